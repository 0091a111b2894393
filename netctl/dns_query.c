/* SPDX-License-Identifier: GPL-2.0-or-later */
/* dns query: a question as a container asks it, from inside its sandbox. */
#include "netctl/dns.h"
#include "netctl/out.h"
#include "netctl/text.h"

#include "dns/request.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>

/* The resolver itself gives up after 10 s, and says so. */
enum { ANSWER_SECONDS = 12, ASKED_MAX = FL_DNS_HEADER + FL_DNS_NAME_MAX + 4 + FL_DNS_OPT_SIZE };

struct question {
	struct fl_dns_name name;
	uint16_t type;
	uint8_t asked[2 + ASKED_MAX]; /* with the length that TCP has in front */
	size_t len;		      /* of the message */
	uint8_t *answer;	      /* FL_DNS_MESSAGE_MAX */
	size_t answer_len;
	bool tcp;
	uint64_t us;
};

static uint8_t *message_of(struct question *q)
{
	return q->asked + 2;
}

static void build(struct question *q)
{
	uint8_t *msg = message_of(q);
	uint16_t id = 0;
	size_t at = FL_DNS_HEADER;

	(void)!getrandom(&id, sizeof(id), 0);
	fl_dns_set16(msg, id);
	fl_dns_set16(msg + 2, FL_DNS_RD);
	fl_dns_set16(msg + 4, 1);
	fl_dns_set16(msg + 10, 1);
	memcpy(msg + at, q->name.b, q->name.len);
	at += q->name.len;
	fl_dns_set16(msg + at, q->type);
	fl_dns_set16(msg + at + 2, FL_DNS_IN);
	fl_dns_write_opt(msg + at + 4, 0, false);
	q->len = at + 4 + FL_DNS_OPT_SIZE;
	fl_dns_set16(q->asked, (uint16_t)q->len);
}

/* ---- asking ---- */

static int no_answer(int e, struct fl_error *err)
{
	if (e == EAGAIN)
		return fl_error_set(err, ETIMEDOUT, FL_ECODE_TRY_AGAIN,
				    "the resolver at " FL_DNSD_ADDRESS
				    " gave no answer within %d s",
				    ANSWER_SECONDS);
	return fl_error_errno(err, e, FL_ECODE_IO,
			      "cannot ask the resolver at " FL_DNSD_ADDRESS
			      " (netctl doctor tells more)");
}

static int connect_to(int type)
{
	static const struct timeval limit = { ANSWER_SECONDS, 0 };
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(FL_DNS_PORT) };
	FL_AUTOCLOSE int s = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	inet_pton(AF_INET, FL_DNSD_ADDRESS, &a.sin_addr);
	if (s < 0)
		return -errno;
	setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(s, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (connect(s, (const struct sockaddr *)&a, sizeof(a)))
		return -errno;
	return fl_take_fd(&s);
}

static bool is_answer(struct question *q, size_t n)
{
	return fl_dns_is_answer(q->answer, n, message_of(q), q->len);
}

static int ask_udp(struct question *q, struct fl_error *err)
{
	FL_AUTOCLOSE int s = connect_to(SOCK_DGRAM);
	ssize_t n;

	if (s < 0 || send(s, message_of(q), q->len, MSG_NOSIGNAL) < 0)
		return no_answer(s < 0 ? -s : errno, err);
	do
		n = recv(s, q->answer, FL_DNS_MESSAGE_MAX, 0);
	while ((n < 0 && errno == EINTR) || (n >= 0 && !is_answer(q, (size_t)n)));
	if (n < 0)
		return no_answer(errno, err);
	q->answer_len = (size_t)n;
	return 0;
}

static int read_exactly(int s, uint8_t *to, size_t len)
{
	while (len) {
		ssize_t n = recv(s, to, len, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -ECONNRESET;
		to += n;
		len -= (size_t)n;
	}
	return 0;
}

static int ask_tcp(struct question *q, struct fl_error *err)
{
	FL_AUTOCLOSE int s = connect_to(SOCK_STREAM);
	uint8_t head[2];
	int r;

	if (s < 0 || send(s, q->asked, 2 + q->len, MSG_NOSIGNAL) < 0)
		return no_answer(s < 0 ? -s : errno, err);
	r = read_exactly(s, head, sizeof(head));
	if (!r)
		r = read_exactly(s, q->answer, fl_dns_get16(head));
	if (r)
		return no_answer(-r, err);
	q->answer_len = fl_dns_get16(head);
	q->tcp = true;
	return is_answer(q, q->answer_len) ? 0 : no_answer(EBADMSG, err);
}

static uint64_t microseconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static int ask(struct ctl *c, void *arg, struct fl_error *err)
{
	struct question *q = arg;
	uint64_t begun = microseconds();
	int r = ask_udp(q, err);

	(void)c;
	if (!r && fl_dns_get16(q->answer + 2) & FL_DNS_TC)
		r = ask_tcp(q, err);
	q->us = microseconds() - begun;
	return r;
}

/* ---- the answer ---- */

static json_t *record_json(const struct question *q, const struct fl_dns_rr *rr)
{
	char owner[FL_DNS_TEXT_MAX];
	struct fl_dns_name n;

	if (fl_dns_expand_name(q->answer, q->answer_len, rr->start, &n))
		return NULL;
	return json_pack("{ss sI ss so}", "name", fl_dns_name_str(&n, owner), "ttl",
			 (json_int_t)rr->ttl, "type", DNS_TYPE(rr->type), "data",
			 dns_data_json(q->answer, q->answer_len, rr));
}

/* Answer, authority, additional. -EBADMSG. */
static int read_sections(const struct question *q, json_t *sections[3], struct fl_error *err)
{
	size_t at = FL_DNS_HEADER;
	struct fl_dns_rr rr;

	for (uint16_t n = fl_dns_count(q->answer, 0); n && at; n--) {
		at = fl_dns_skip_name(q->answer, q->answer_len, at);
		at = at ? at + FL_DNS_QUESTION_FIXED : 0;
	}
	for (int section = 0; section < 3 && at; section++)
		for (uint16_t n = fl_dns_count(q->answer, section + 1); n && at; n--) {
			at = fl_dns_read_rr(q->answer, q->answer_len, at, &rr);
			if (at && rr.type != FL_DNS_OPT &&
			    json_array_append_new(sections[section], record_json(q, &rr)))
				at = 0;
		}
	return at ? 0
		  : fl_error_set(err, EBADMSG, FL_ECODE_IO,
				 "the answer of " FL_DNSD_ADDRESS " cannot be read");
}

static const struct column columns[] = {
	{ "NAME", "name", 0, NULL },
	{ "TTL", "ttl", COLUMN_RIGHT, NULL },
	{ "TYPE", "type", 0, NULL },
	{ "DATA", "data", 0, NULL },
	{ 0 },
};

static const struct column quiet_columns[] = { { "DATA", "data", 0, NULL }, { 0 } };

static uint16_t rcode_of(const struct question *q)
{
	return fl_dns_get16(q->answer + 2) & FL_DNS_RCODE;
}

static int show(struct ctl *c, struct question *q, const struct fl_endpoint *ep,
		struct fl_error *err)
{
	FL_AUTOJSON json_t *answers = json_array(), *authority = json_array(), *more = json_array();
	json_t *sections[3] = { answers, authority, more };
	char name[FL_DNS_TEXT_MAX], label[FL_HOSTNAME_MAX + 1];
	uint16_t rcode = rcode_of(q);
	int r = read_sections(q, sections, err);

	if (r)
		return r;
	fl_dns_name_str(&q->name, name);
	container_label(ep, label, sizeof(label));
	if (rcode == FL_DNS_NXDOMAIN || (!rcode && !json_array_size(answers)))
		c->status = EXIT_NO;
	else if (rcode)
		c->status = EXIT_FAILED;
	if (c->json)
		return show_json(json_pack("{s{ss ss} ss ss ss ss sI sO sO sO}", "question", "name",
					   name, "type", DNS_TYPE(q->type), "from",
					   ep->id.container, "server", FL_DNSD_ADDRESS, "transport",
					   q->tcp ? "tcp" : "udp", "rcode", DNS_RCODE(rcode),
					   "microseconds", (json_int_t)q->us, "answers", answers,
					   "authority", authority, "additional", more),
				 err);
	say(c, "%s %s from %s: %s, %zu answer%s (%s, %.1f ms)", name, DNS_TYPE(q->type),
	    clean_text(label), DNS_RCODE(rcode), json_array_size(answers),
	    json_array_size(answers) == 1 ? "" : "s", q->tcp ? "tcp" : "udp",
	    (double)q->us / 1000.0);
	return json_array_size(answers)
		       ? show_list(c, json_incref(answers), c->quiet ? quiet_columns : columns, err)
		       : 0;
}

static int read_question(const struct ctl *c, struct question *q, struct fl_error *err)
{
	struct fl_addr a;
	bool address = !fl_addr_parse(c->argv[0], &a);

	q->type = FL_DNS_A;
	if (option_given(c, "reverse") && !address)
		return usage_error(err, "%s: expected an IP address for --reverse", c->argv[0]);
	if (c->argc > 1 && dns_type_parse(c->argv[1], &q->type))
		return usage_error(err,
				   "%s: no such type of records; others are TYPE0 to TYPE65535",
				   c->argv[1]);
	if (option_given(c, "reverse") || (address && c->argc < 2)) {
		q->type = FL_DNS_PTR;
		fl_dns_name_of_addr(&a, &q->name);
		return 0;
	}
	if (fl_dns_name_parse(c->argv[0], &q->name))
		return usage_error(err, "%s: cannot be a domain name", c->argv[0]);
	return 0;
}

static int run_query(struct ctl *c, struct fl_error *err)
{
	FL_AUTONETNS struct fl_netns ns = FL_NETNS_NONE;
	FL_AUTOFREE uint8_t *buf = malloc(FL_DNS_MESSAGE_MAX);
	struct question q = { .answer = buf };
	AUTOMODEL struct model m = { 0 };
	AUTOASKERS struct askers a = { 0 };
	const struct fl_endpoint *ep = NULL;
	int r = buf ? read_question(c, &q, err) : fl_error_oom(err);

	if (!r)
		r = model_read(c, &m, err);
	if (!r)
		r = askers_find(&m, &a, err);
	if (!r)
		r = askers_choose(&m, &a, option_value(c, "from"), &ep, err);
	if (r)
		return r;
	r = ctl_sandbox(c, ep, &ns, NULL, err);
	if (r == -ENOENT)
		return not_found(err, "the sandbox of container %s is gone; `netctl gc` removes it",
				 CONTAINER_LABEL(ep));
	build(&q);
	if (!r)
		r = ctl_inside(c, &ns, ask, &q, err);
	return r ? r : show(c, &q, ep, err);
}

static const struct option_spec options[] = {
	{ "from", 0, "CONTAINER", "who asks; needed where several have a resolver", "@endpoint" },
	{ "reverse", 'x', NULL, "the name of an address", NULL },
	{ 0 },
};

static const struct example examples[] = {
	{ "netctl dns query db --from web", "what a container is told" },
	{ "netctl dns query example.com AAAA --from web", "of the world outside" },
	{ "netctl dns query 10.89.0.2 --from web", "the name of an address" },
	{ 0 },
};

const struct command dns_query_command = {
	.name = "dns query",
	.args = "NAME [TYPE]",
	.about = "ask the resolver as a container does",
	.text = "A real question to " FL_DNSD_ADDRESS
		" from inside the sandbox, by UDP and, where the "
		"answer is too long for it, by TCP. The exit status is 4 when there is no such "
		"name, "
		"or nothing of this type, and 1 when the resolver could not tell.",
	.json = "question (name, type), from (id), server, transport (udp, tcp), rcode, "
		"microseconds, answers, authority and additional (lists of objects: "
		"name, ttl, type, data).",
	.options = options,
	.examples = examples,
	.flags = COMMAND_READS,
	.min = 1,
	.max = 2,
	.run = run_query,
};
