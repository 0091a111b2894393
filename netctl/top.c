/* SPDX-License-Identifier: GPL-2.0-or-later */
/* top: traffic per second, again and again. */
#include "netctl/links.h"
#include "netctl/out.h"
#include "netctl/select.h"
#include "netctl/shares.h"
#include "netctl/text.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <termios.h>
#include <time.h>

enum sort { SORT_RX, SORT_TX, SORT_NAME };

struct rates {
	const struct attachment *a;
	const struct traffic *now;
	bool known; /* there are two readings of the same interface */
	double in, out, pin, pout;
};

/* What was read before: by the interface, which no later one is. */
struct reading {
	uint64_t key[2]; /* sandbox and index; 0 and index on the host */
	struct traffic t;
};

struct top {
	struct ctl *c;
	struct model m;
	enum sort sort;
	bool screen; /* stdout is a terminal */
	bool cooked; /* `before` is to be put back */
	struct termios before;
	unsigned lines;
	int timer, signals;
	struct reading *last; /* by key */
	size_t n_last;
	struct timespec at;
	struct rates *rates;
	size_t n;
};

/* ---- readings ---- */

static int compare_readings(const void *x, const void *y)
{
	const struct reading *a = x, *b = y;

	if (a->key[0] != b->key[0])
		return a->key[0] < b->key[0] ? -1 : 1;
	return a->key[1] < b->key[1] ? -1 : a->key[1] > b->key[1];
}

static void key_of(const struct fl_endpoint *ep, uint64_t key[2])
{
	key[0] = is_inside(ep) ? ep->cookie + 1 : 0;
	key[1] = ep->ifindex;
}

static double per_second(uint64_t now, uint64_t before, double seconds)
{
	return now > before && seconds > 0 ? (double)(now - before) / seconds : 0;
}

static struct rates rate(const struct top *t, const struct attachment *a, const struct traffic *now,
			 double seconds)
{
	struct rates r = { .a = a, .now = now };
	struct reading key = { { 0 }, { 0 } };
	const struct reading *last;

	key_of(a->main, key.key);
	last = t->n_last && now->from
		       ? bsearch(&key, t->last, t->n_last, sizeof(key), compare_readings)
		       : NULL;
	if (!last)
		return r;
	r.known = true;
	r.in = per_second(now->in.bytes, last->t.in.bytes, seconds);
	r.out = per_second(now->out.bytes, last->t.out.bytes, seconds);
	r.pin = per_second(now->in.packets, last->t.in.packets, seconds);
	r.pout = per_second(now->out.packets, last->t.out.packets, seconds);
	return r;
}

static int compare_names(const struct rates *a, const struct rates *b)
{
	int r = strcmp(CONTAINER_LABEL(a->a->main), CONTAINER_LABEL(b->a->main));

	return r ? r : a->a < b->a ? -1 : a->a > b->a;
}

static int compare_rates(const void *x, const void *y, void *arg)
{
	const struct rates *a = x, *b = y;
	enum sort sort = *(const enum sort *)arg;
	double v = sort == SORT_TX ? b->out - a->out : b->in - a->in;

	if (sort == SORT_NAME || v == 0)
		return compare_names(a, b);
	return v < 0 ? -1 : 1;
}

/* The readings of now are the next time's last ones. */
static int keep(struct top *t, const struct attachment *const *a, const struct traffic *now,
		size_t n, struct fl_error *err)
{
	struct reading *kept = calloc(n + 1, sizeof(*kept));
	size_t used = 0;

	if (!kept)
		return fl_error_oom(err);
	for (size_t i = 0; i < n; i++) {
		if (!now[i].from)
			continue;
		key_of(a[i]->main, kept[used].key);
		kept[used++].t = now[i];
	}
	qsort(kept, used, sizeof(*kept), compare_readings);
	free(t->last);
	t->last = kept;
	t->n_last = used;
	return 0;
}

static double seconds_between(const struct timespec *a, const struct timespec *b)
{
	return (double)(b->tv_sec - a->tv_sec) + (double)(b->tv_nsec - a->tv_nsec) / 1e9;
}

/* ---- showing ---- */

static const struct column columns[] = {
	{ "CONTAINER", "label", COLUMN_TRUNC, NULL }, { "NETWORK", "network", COLUMN_TRUNC, NULL },
	{ "INTERFACE", "interface", 0, NULL },	      { "IN/s", "in", COLUMN_RIGHT, NULL },
	{ "OUT/s", "out", COLUMN_RIGHT, NULL },	      { "PKTS-IN/s", "pin", COLUMN_RIGHT, NULL },
	{ "PKTS-OUT/s", "pout", COLUMN_RIGHT, NULL }, { 0 },
};

static json_t *rate_json(const struct ctl *c, const struct rates *r, double v)
{
	if (!r->known)
		return c->json ? json_null() : json_string("-");
	return c->json ? json_real(v) : json_string(SHORT_NUMBER(v));
}

static json_t *row_of(const struct ctl *c, const struct rates *r)
{
	const struct fl_endpoint *ep = r->a->main;
	const char *interface = c->json ? ep->id.ifname : SHARES_INTERFACE(r->a);

	return json_pack("{ss ss ss ss ss so so so so}", "label", CONTAINER_LABEL(ep), "container",
			 ep->id.container, "network", ep->id.network, "interface", interface,
			 "sharesSandboxOf", ep->shares, "in", rate_json(c, r, r->in), "out",
			 rate_json(c, r, r->out), "pin", rate_json(c, r, r->pin), "pout",
			 rate_json(c, r, r->pout));
}

static json_t *rows_of(const struct ctl *c, const struct rates *rates, size_t n)
{
	json_t *rows = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(rows, row_of(c, &rates[i]));
	return rows;
}

/* One line, so that a script reads a reading at a time. */
static int show_line(const struct ctl *c, const struct rates *rates, size_t n, struct fl_error *err)
{
	FL_AUTOJSON json_t *rows = rows_of(c, rates, n);

	if (!rows)
		return fl_error_oom(err);
	json_dumpf(rows, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
	putchar('\n');
	return 0;
}

static void show_head(const struct top *t, const struct rates *rates, size_t n)
{
	double in = 0, out = 0;

	for (size_t i = 0; i < n; i++) {
		in += rates[i].in;
		out += rates[i].out;
	}
	printf("%zu endpoints, in %s/s, out %s/s%s\n\n", n, SHORT_NUMBER(in), SHORT_NUMBER(out),
	       t->cooked ? "; q ends" : "");
}

static int show(struct top *t, const struct rates *rates, size_t n, struct fl_error *err)
{
	size_t fits = n;
	int r;

	if (t->c->json) {
		r = show_line(t->c, rates, n, err);
	} else {
		if (t->screen) {
			size_t room = t->lines > 4 ? t->lines - 4 : 1;

			fits = n < room ? n : room;
			fputs("\033[H\033[J", stdout);
			show_head(t, rates, n);
		}
		r = show_list(t->c, rows_of(t->c, rates, fits), columns, err);
		if (!t->screen)
			putchar('\n');
	}
	if (!r && (fflush(stdout) || ferror(stdout)))
		r = fl_error_errno(err, errno, FL_ECODE_IO, "standard output");
	return r;
}

static int look(struct top *t, bool draw, struct fl_error *err)
{
	FL_AUTOFREE const struct attachment **found = NULL;
	FL_AUTOFREE struct traffic *now = NULL;
	FL_AUTOFREE struct rates *rates = NULL;
	struct timespec at;
	double seconds;
	size_t n = 0;
	int r = model_update(t->c, &t->m, err);

	if (r >= 0)
		/* Who is named has to be there in the beginning, and may go and come later. */
		r = select_attachments(&t->m, t->c->argv, (size_t)t->c->argc, !draw, &found, &n,
				       err);
	/* Unasked, every interface is there already. An owner may go and come like anybody. */
	if (!r && t->c->argc) {
		r = shares_resolve(&t->m, &found, &n, err);
		r = r == -ENOENT && draw ? 0 : r;
	}
	if (r)
		return r;
	now = calloc(n + 1, sizeof(*now));
	rates = calloc(n + 1, sizeof(*rates));
	if (!now || !rates)
		return fl_error_oom(err);
	r = traffic_read(t->c, found, n, now, err);
	if (r)
		return r;
	clock_gettime(CLOCK_MONOTONIC, &at);
	seconds = seconds_between(&t->at, &at);
	for (size_t i = 0; i < n; i++)
		rates[i] = rate(t, found[i], &now[i], seconds);
	qsort_r(rates, n, sizeof(*rates), compare_rates, &t->sort);
	if (draw)
		r = show(t, rates, n, err);
	t->at = at;
	return r ? r : keep(t, found, now, n, err);
}

/* ---- the terminal ---- */

static void measure(struct top *t)
{
	struct winsize w;

	if (!t->screen || ioctl(STDOUT_FILENO, TIOCGWINSZ, &w))
		return;
	t->lines = w.ws_row ? w.ws_row : 24;
	t->c->width = w.ws_col ? w.ws_col : 80;
}

static void enter(struct top *t)
{
	struct termios raw;

	if (!t->screen)
		return;
	/* Keys are not echoed into the picture; ^C and ^Z stay signals. */
	if (isatty(STDIN_FILENO) && !tcgetattr(STDIN_FILENO, &t->before)) {
		raw = t->before;
		raw.c_lflag &= ~(tcflag_t)(ECHO | ICANON);
		t->cooked = !tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	}
	fputs("\033[?1049h\033[?25l", stdout);
	measure(t);
}

static void leave(struct top *t)
{
	if (!t->screen)
		return;
	fputs("\033[?25h\033[?1049l", stdout);
	fflush(stdout);
	if (t->cooked)
		tcsetattr(STDIN_FILENO, TCSANOW, &t->before);
	t->cooked = false;
}

/* ---- the loop ---- */

/* 1: the end. */
static int take_signal(struct top *t, struct fl_error *err)
{
	struct signalfd_siginfo s;

	if (read(t->signals, &s, sizeof(s)) != sizeof(s))
		return 0;
	switch (s.ssi_signo) {
	case SIGWINCH:
		measure(t);
		return look(t, true, err);
	case SIGTSTP:
		leave(t);
		raise(SIGSTOP);
		enter(t);
		return look(t, true, err);
	default:
		return 1;
	}
}

static bool take_key(void)
{
	char key;
	ssize_t n = read(STDIN_FILENO, &key, 1);

	/* The end of a terminal's input is that of the terminal. */
	return n == 0 || (n == 1 && (key == 'q' || key == 'Q'));
}

static int loop(struct top *t, long count, struct fl_error *err)
{
	int r = look(t, false, err);

	while (!r) {
		struct pollfd p[] = { { t->timer, POLLIN, 0 },
				      { t->signals, POLLIN, 0 },
				      { t->cooked ? STDIN_FILENO : -1, POLLIN, 0 } };
		uint64_t ticks;

		if (poll(p, FL_ARRAY_SIZE(p), -1) < 0 && errno != EINTR)
			return fl_error_errno(err, errno, FL_ECODE_IO, "poll");
		if (p[1].revents)
			r = take_signal(t, err);
		if (!r && p[2].revents && take_key())
			r = 1;
		if (r || !p[0].revents || read(t->timer, &ticks, sizeof(ticks)) < 0)
			continue;
		r = look(t, true, err);
		if (!r && count && !--count)
			r = 1;
	}
	return r < 0 ? r : 0;
}

static int prepare(struct top *t, long seconds, struct fl_error *err)
{
	struct itimerspec every = { { seconds, 0 }, { seconds, 0 } };
	sigset_t set;

	sigemptyset(&set);
	for (const int *s = (const int[]){ SIGINT, SIGTERM, SIGHUP, SIGQUIT, 0 }; *s; s++)
		sigaddset(&set, *s);
	if (t->screen) {
		sigaddset(&set, SIGWINCH);
		sigaddset(&set, SIGTSTP);
	}
	sigprocmask(SIG_BLOCK, &set, NULL);
	t->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	t->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (t->signals < 0 || t->timer < 0 || timerfd_settime(t->timer, 0, &every, NULL))
		return fl_error_errno(err, errno, FL_ECODE_IO, "a timer and signals as files");
	return 0;
}

static int parse_sort(const struct ctl *c, enum sort *ret, struct fl_error *err)
{
	static const char *const names[] = { "rx", "tx", "name" };
	const char *word = option_value(c, "sort");

	*ret = SORT_RX;
	for (size_t i = 0; word && i < FL_ARRAY_SIZE(names); i++)
		if (!strcmp(word, names[i])) {
			*ret = (enum sort)i;
			return 0;
		}
	return word ? usage_error(err, "--sort: expected rx, tx or name, not \"%s\"", word) : 0;
}

static int run(struct ctl *c, struct fl_error *err)
{
	struct top t = { .c = c, .timer = -1, .signals = -1, .lines = 24 };
	long seconds, count;
	int r = option_number(c, "interval", 1, 3600, 1, &seconds, err);

	if (!r)
		r = option_number(c, "count", 1, 1000000000, 0, &count, err);
	if (!r)
		r = parse_sort(c, &t.sort, err);
	if (r)
		return r;
	t.screen = isatty(STDOUT_FILENO) && !c->json;
	r = prepare(&t, seconds, err);
	if (!r) {
		enter(&t);
		r = loop(&t, count, err);
		leave(&t);
	}
	close(t.timer);
	close(t.signals);
	free(t.last);
	model_clear(&t.m);
	return r;
}

static const struct option_spec options[] = {
	{ "interval", 0, "SECONDS", "between two readings (1)", NULL },
	{ "count", 0, "N", "end after so many readings", NULL },
	{ "sort", 0, "BY", "rx, tx (the busiest first) or name (rx)", "rx|tx|name" },
	{ 0 },
};

static const struct example examples[] = {
	{ "netctl top", "who sends and receives how much, until q or ^C" },
	{ "netctl top --count 1 --sort tx", "one table, of the next second" },
	{ 0 },
};

const struct command top_command = {
	.name = "top",
	.args = "[CONTAINER|NETWORK...]",
	.about = "traffic of each endpoint per second, refreshed",
	.text = "On a terminal the table fills the screen; elsewhere a table follows the other. "
		"With "
		"--json each reading is a line. In and out are as the container sees it. What is "
		"attached while it runs is there in the next reading, with rates from the one "
		"after it. Of a container that shares another one's sandbox, that one's are "
		"shown.",
	.json = "each reading is a line with a list of objects: label, container (id), network, "
		"interface, " SHARES_JSON
		", in and out (bytes a second), pin and pout (packets a second); null "
		"where there was no reading before.",
	.options = options,
	.examples = examples,
	.flags = COMMAND_READS,
	.max = -1,
	.completes = "@endpoint",
	.run = run,
};
