/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "netctl/doctor.h"

#include "netctl/out.h"
#include "netctl/text.h"

#include "base/strbuf.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

enum { LOOKS = 3, DUMPS = 100 };

static const struct {
	const char *about;
	int (*run)(struct doctor *d, struct fl_error *err);
} checks[] = {
	{ "records", check_records },
	{ "leases", check_leases },
	{ "bridges", check_bridges },
	{ "ports of bridges", check_ports },
	{ "nftables", check_rules },
	{ "other firewalls", check_firewalls },
	{ "resolver", check_resolver },
	{ "settings of the host", check_settings },
	{ "subnets", check_subnets },
	{ "configurations", check_files },
	{ "overlay networks", check_overlay },
	{ "entries of bridges and tunnels", check_entries },
	{ "routes of overlay networks", check_routed },
	{ "ways to other nodes", check_paths },
};

/* ---- findings ---- */

static struct finding *slot(struct doctor *d)
{
	static struct finding none;
	size_t cap = d->cap ? 2 * d->cap : 16;
	struct finding *v = d->n < d->cap ? d->found : reallocarray(d->found, cap, sizeof(*v));

	if (!v) {
		d->failed = true;
		return &none;
	}
	if (d->n == d->cap)
		d->cap = cap;
	d->found = v;
	return &v[d->n++];
}

struct finding *find(struct doctor *d, const char *code, enum severity s, const char *object,
		     const char *fmt, ...)
{
	struct finding *f = slot(d);
	va_list ap;

	*f = (struct finding){ .code = code, .severity = s };
	snprintf(f->object, sizeof(f->object), "%s", object);
	va_start(ap, fmt);
	vsnprintf(f->text, sizeof(f->text), fmt, ap);
	va_end(ap);
	clean_text(f->object);
	clean_text(f->text);
	return f;
}

void remedy(struct finding *f, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(f->remedy, sizeof(f->remedy), fmt, ap);
	va_end(ap);
	clean_text(f->remedy);
}

void mend(struct finding *f, enum stage stage, repair_fn repair)
{
	f->stage = stage;
	f->repair = repair;
}

static int write_sysctl(struct doctor *d, const struct finding *f, struct fl_error *err)
{
	int r = fl_sysctl_write(f->sysctl, f->value, NULL, 0, err);

	(void)d;
	return r < 0 ? r : 0;
}

void mend_sysctl(struct finding *f, const char *value, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(f->sysctl, sizeof(f->sysctl), fmt, ap);
	va_end(ap);
	snprintf(f->value, sizeof(f->value), "%s", value);
	/* With slashes sysctl(8) takes a dot in an interface's name for what it is. */
	remedy(f, "sysctl -w %s=%s", f->sysctl, value);
	mend(f, STAGE_SYSCTL, write_sysctl);
}

/* ---- the host ---- */

static int take_link(void *arg, const struct fl_link *l)
{
	struct doctor *d = arg;
	size_t n = d->n_links;
	struct fl_link *v = d->links;

	if (n < 16 ? !n : !(n & (n - 1)))
		v = reallocarray(v, n < 16 ? 16 : 2 * n, sizeof(*v));
	if (!v)
		return -ENOMEM;
	d->links = v;
	v[d->n_links++] = *l;
	return 0;
}

static int take_addr(void *arg, const struct fl_ifaddr *a)
{
	struct doctor *d = arg;
	size_t n = d->n_addrs;
	struct fl_ifaddr *v = d->addrs;

	if (n < 16 ? !n : !(n & (n - 1)))
		v = reallocarray(v, n < 16 ? 16 : 2 * n, sizeof(*v));
	if (!v)
		return -ENOMEM;
	d->addrs = v;
	v[d->n_addrs++] = *a;
	return 0;
}

static int dump_links(struct doctor *d, struct fl_error *err)
{
	d->n_links = 0;
	return fl_links_each(d->c->host, take_link, d, err);
}

static int dump_addrs(struct doctor *d, struct fl_error *err)
{
	d->n_addrs = 0;
	return fl_ifaddrs_each(d->c->host, 0, take_addr, d, err);
}

int dump(struct doctor *d, int (*fn)(struct doctor *d, struct fl_error *err), struct fl_error *err)
{
	size_t n = d->n;
	int r = -EINTR;

	/* The kernel says when something came in between. */
	for (int i = 0; r == -EINTR && i < DUMPS; i++) {
		d->n = n;
		r = fn(d, err);
	}
	return r;
}

static int by_index(const void *a, const void *b)
{
	const struct fl_link *x = a, *y = b;

	return x->index < y->index ? -1 : x->index > y->index;
}

static int by_link(const void *a, const void *b)
{
	const struct fl_ifaddr *x = a, *y = b;

	return x->index < y->index ? -1 : x->index > y->index;
}

static int by_name(const void *a, const void *b)
{
	return strcmp((*(struct fl_link *const *)a)->name, (*(struct fl_link *const *)b)->name);
}

static int read_host(struct doctor *d, struct fl_error *err)
{
	int r = ctl_host(d->c, err);

	if (!r)
		r = dump(d, dump_links, err);
	if (!r)
		r = dump(d, dump_addrs, err);
	if (r)
		return r == -ENOMEM ? fl_error_oom(err) : r;
	d->by_name = calloc(d->n_links + 1, sizeof(struct fl_link *));
	if (!d->by_name)
		return fl_error_oom(err);
	if (d->n_links)
		qsort(d->links, d->n_links, sizeof(*d->links), by_index);
	if (d->n_addrs)
		qsort(d->addrs, d->n_addrs, sizeof(*d->addrs), by_link);
	for (size_t i = 0; i < d->n_links; i++)
		d->by_name[i] = &d->links[i];
	if (d->n_links)
		qsort(d->by_name, d->n_links, sizeof(struct fl_link *), by_name);
	return 0;
}

const struct fl_link *host_link(const struct doctor *d, const char *name)
{
	struct fl_link key = { 0 }, *pkey = &key, **found;

	fl_strcpy(key.name, sizeof(key.name), name);
	found = d->n_links
			? bsearch(&pkey, d->by_name, d->n_links, sizeof(struct fl_link *), by_name)
			: NULL;
	return found ? *found : NULL;
}

const struct fl_link *host_link_index(const struct doctor *d, uint32_t index)
{
	struct fl_link key = { .index = index };

	return d->n_links ? bsearch(&key, d->links, d->n_links, sizeof(key), by_index) : NULL;
}

const struct fl_link *host_end(const struct doctor *d, const struct fl_endpoint *ep)
{
	if (!*ep->link)
		return NULL;
	return ep->ifindex ? host_link_index(d, ep->ifindex) : host_link(d, ep->link);
}

const struct fl_ifaddr *host_addrs(const struct doctor *d, uint32_t index, size_t *n)
{
	size_t from = 0, to = d->n_addrs, end;

	while (from < to) {
		size_t mid = from + (to - from) / 2;

		if (d->addrs[mid].index < index)
			from = mid + 1;
		else
			to = mid;
	}
	for (end = from; end < d->n_addrs && d->addrs[end].index == index; end++)
		continue;
	*n = end - from;
	return d->addrs + from;
}

const char *endpoint_object(const struct fl_endpoint *ep, char *buf, size_t size)
{
	snprintf(buf, size, "container %s, interface %s of network %s", CONTAINER_LABEL(ep),
		 ep->id.ifname, ep->id.network);
	return buf;
}

/* ---- looking ---- */

static void doctor_clear(struct doctor *d)
{
	model_clear(&d->m);
	conflists_clear(&d->files);
	leftovers_clear(&d->left);
	cluster_clear(&d->cluster);
	free(d->links);
	free(d->by_name);
	free(d->addrs);
	free(d->found);
	*d = (struct doctor){ .c = d->c };
}

/* Grows with each change of the records; 0: there are none. */
static int generation(struct ctl *c, uint64_t *ret, struct fl_error *err)
{
	FL_AUTOTXN struct fl_txn *t = NULL;
	int r = ctl_store(c, false, err);

	*ret = 0;
	if (!r && c->store)
		r = fl_txn_begin(c->store, false, &t, err);
	if (!r && t)
		*ret = fl_txn_id(t);
	return r;
}

static int look_once(struct doctor *d, struct fl_error *err)
{
	int r = model_read(d->c, &d->m, err);

	if (!r)
		r = conflists_read(d->c->dir, &d->files, err);
	if (!r)
		r = read_host(d, err);
	if (!r)
		r = leftovers_find(d->c, &d->m, NULL, &d->left, err);
	for (size_t i = 0; i < FL_ARRAY_SIZE(checks) && !r; i++) {
		struct fl_error why = { 0 };

		if (checks[i].run(d, &why))
			find(d, "check-failed", SEVERITY_ERROR, checks[i].about,
			     "nothing can be said about them: %s", why.text);
	}
	return !r && d->failed ? fl_error_oom(err) : r;
}

/* Containers come and go meanwhile: what is found then may be half of an ADD. */
static int look(struct doctor *d, struct fl_error *err)
{
	for (int i = 0;; i++) {
		uint64_t before, after;
		int r = generation(d->c, &before, err);

		if (!r)
			r = look_once(d, err);
		if (!r)
			r = generation(d->c, &after, err);
		if (r || !d->n || before == after || i == LOOKS)
			return r;
		doctor_clear(d);
	}
}

/* ---- repairing ---- */

static int by_stage(const void *a, const void *b)
{
	const struct finding *x = *(struct finding *const *)a, *y = *(struct finding *const *)b;

	if (x->stage != y->stage)
		return x->stage < y->stage ? -1 : 1;
	return x < y ? -1 : x > y;
}

/* One repair may mend many: it runs once for the same thing. */
static bool is_same_repair(const struct finding *a, const struct finding *b)
{
	return a->repair == b->repair && a->net == b->net && a->ep == b->ep && a->left == b->left &&
	       a->index == b->index && !memcmp(&a->prefix, &b->prefix, sizeof(a->prefix)) &&
	       !strcmp(a->sysctl, b->sysctl);
}

static void tell_repair(const struct doctor *d, const struct finding *f, struct fl_error *why)
{
	if (d->c->quiet || (!d->c->width && !why))
		return;
	fprintf(stderr, "%s: %s%s%s\n", f->code, f->object,
		why ? ": cannot repair: " : ": repaired", why ? clean_text(why->text) : "");
}

static int repair(struct doctor *d, struct fl_error *err)
{
	FL_AUTOFREE struct finding **order = calloc(d->n + 1, sizeof(struct finding *));
	const struct finding *last = NULL;
	size_t n = 0;

	if (!order)
		return fl_error_oom(err);
	for (size_t i = 0; i < d->n; i++)
		if (d->found[i].repair)
			order[n++] = &d->found[i];
	qsort(order, n, sizeof(struct finding *), by_stage);
	for (size_t i = 0; i < n; i++) {
		struct fl_error why = { 0 };
		int r;

		if (last && is_same_repair(last, order[i]))
			continue;
		last = order[i];
		r = order[i]->repair(d, order[i], &why);
		tell_repair(d, order[i], r < 0 ? &why : NULL);
	}
	return 0;
}

static bool is_still_there(const struct doctor *d, const struct finding *f)
{
	for (size_t i = 0; i < d->n; i++)
		if (!strcmp(d->found[i].code, f->code) && !strcmp(d->found[i].object, f->object) &&
		    !strcmp(d->found[i].text, f->text))
			return true;
	return false;
}

/* ---- telling ---- */

static const char *const severities[] = {
	[SEVERITY_NOTE] = "note", [SEVERITY_WARNING] = "warning", [SEVERITY_ERROR] = "error"
};

static json_t *finding_json(const struct finding *f, bool repaired)
{
	return json_pack("{ss ss ss ss ss sb sb}", "code", f->code, "severity",
			 severities[f->severity], "object", f->object, "text", f->text, "remedy",
			 f->remedy, "repairable", f->repair != NULL, "repaired", (int)repaired);
}

struct summary {
	int count[3], repaired;
	size_t networks, endpoints;
};

/* What is there now, and what of `before` (may be NULL) is there no more. */
static json_t *rows_of(const struct doctor *d, const struct doctor *before, struct summary *s)
{
	json_t *rows = json_array();

	for (size_t i = 0; before && i < before->n; i++)
		if (before->found[i].repair && !is_still_there(d, &before->found[i])) {
			json_array_append_new(rows, finding_json(&before->found[i], true));
			s->repaired++;
		}
	for (int severity = SEVERITY_ERROR; severity >= SEVERITY_NOTE; severity--)
		for (size_t i = 0; i < d->n; i++)
			if ((int)d->found[i].severity == severity) {
				json_array_append_new(rows, finding_json(&d->found[i], false));
				s->count[severity]++;
			}
	s->networks = model_count_networks(&d->m);
	s->endpoints = d->m.n_attachments;
	return rows;
}

static const char *colour_of(const json_t *row)
{
	const char *s = json_string_value(json_object_get(row, "severity"));

	if (json_is_true(json_object_get(row, "repaired")))
		return COLOUR_GOOD;
	return *s == 'e' ? COLOUR_BAD : *s == 'w' ? COLOUR_WARN : COLOUR_FAINT;
}

/* In lines of the terminal's width, all of them indented. */
static void print_wrapped(const struct ctl *c, const char *text)
{
	size_t width = c->width > 40 ? c->width - 9 : SIZE_MAX, at = 0;

	for (; *text; text += strspn(text, " ")) {
		size_t n = strcspn(text, " ");

		if (at && at + 1 + n > width) {
			putchar('\n');
			at = 0;
		}
		printf("%s%.*s", at ? " " : "        ", (int)n, text);
		at += n + (at > 0);
		text += n;
	}
	putchar('\n');
}

static void print_finding(const struct ctl *c, const json_t *row)
{
	const char *remedy_text = json_string_value(json_object_get(row, "remedy"));
	bool repaired = json_is_true(json_object_get(row, "repaired"));
	char word[16];

	snprintf(word, sizeof(word), "%-7s",
		 repaired ? "mended" : json_string_value(json_object_get(row, "severity")));
	printf("%s %s (%s)\n", PAINTED(c, colour_of(row), word),
	       json_string_value(json_object_get(row, "object")),
	       json_string_value(json_object_get(row, "code")));
	print_wrapped(c, json_string_value(json_object_get(row, "text")));
	if (repaired)
		return;
	/* A command is not broken: it is to be copied. */
	if (*remedy_text)
		printf("        %s %s\n", PAINTED(c, COLOUR_HEAD, "->"), remedy_text);
	if (json_is_true(json_object_get(row, "repairable")))
		printf("        %s netctl doctor --repair\n", PAINTED(c, COLOUR_HEAD, "->"));
}

static const char *plural(int n)
{
	return n == 1 ? "" : "s";
}

static void print_summary(const struct ctl *c, const struct summary *s)
{
	int errors = s->count[SEVERITY_ERROR], warnings = s->count[SEVERITY_WARNING];
	char text[64];

	snprintf(text, sizeof(text), "%d error%s, %d warning%s", errors, plural(errors), warnings,
		 plural(warnings));
	if (s->repaired)
		printf("%d mended; ", s->repaired);
	if (errors || warnings)
		puts(PAINTED(c, errors ? COLOUR_BAD : COLOUR_WARN, text));
	else
		printf("%s (%zu networks, %zu endpoints looked at)\n",
		       PAINTED(c, COLOUR_GOOD, "all is well"), s->networks, s->endpoints);
}

static int tell(struct ctl *c, json_t *rows, const struct summary *s, struct fl_error *err)
{
	FL_AUTOJSON json_t *owned = rows;
	const json_t *row;
	size_t i;

	if (c->json)
		return show_json(json_pack("{sO s{si si si si sI sI}}", "findings", owned,
					   "summary", "errors", s->count[SEVERITY_ERROR],
					   "warnings", s->count[SEVERITY_WARNING], "notes",
					   s->count[SEVERITY_NOTE], "repaired", s->repaired,
					   "networks", (json_int_t)s->networks, "endpoints",
					   (json_int_t)s->endpoints),
				 err);
	if (c->quiet) {
		json_array_foreach(owned, i, row)
		{
			if (!json_is_true(json_object_get(row, "repaired")))
				puts(json_string_value(json_object_get(row, "code")));
		}
		return 0;
	}
	json_array_foreach(owned, i, row)
	{
		print_finding(c, row);
	}
	print_summary(c, s);
	return 0;
}

static int run_doctor(struct ctl *c, struct fl_error *err)
{
	FL_CLEANUP(doctor_clear) struct doctor d = { .c = c }, after = { .c = c };
	struct summary s = { 0 };
	bool mending = option_given(c, "repair");
	int r = look(&d, err);

	if (!r && mending)
		r = repair(&d, err);
	/* Only what is seen to be gone is repaired. */
	if (!r && mending)
		r = look(&after, err);
	if (r)
		return r;
	r = tell(c, mending ? rows_of(&after, &d, &s) : rows_of(&d, NULL, &s), &s, err);
	if (s.count[SEVERITY_ERROR] || s.count[SEVERITY_WARNING])
		c->status = EXIT_NO;
	return r;
}

static const struct option_spec options[] = {
	{ "repair", 0, NULL, "mend what can be mended, and look again", NULL },
	{ 0 },
};

static const struct example examples[] = {
	{ "netctl doctor", "what is wrong, and what to do about it" },
	{ "netctl doctor --repair", "mend what can be mended" },
	{ 0 },
};

const struct command doctor_command = {
	.name = "doctor",
	.args = "",
	.about = "compare what is recorded with the kernel, and say what is wrong",
	.text = "Looks at records, leases, bridges and their ports, nftables, other firewalls, the "
		"resolver, settings of the host, subnets and configurations; of overlays also at "
		"the agent, etcd, the entries that lead to other nodes, what goes before their "
		"routes (mode l3), and the "
		"ways there. With "
		"--repair it "
		"mends "
		"what it may without harm to what lives. The exit status is 0 when nothing or only "
		"notes are left, else 4.",
	.json = "findings (a list of objects: code, severity (error, warning, note), "
		"object, text, remedy, repairable, repaired), summary (errors, "
		"warnings, notes, repaired, networks, endpoints: how many).",
	.options = options,
	.examples = examples,
	.flags = COMMAND_READS,
	.run = run_doctor,
};
