/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <net/if.h> /* before any header of the kernel, which then leaves its own names out */

#include "fw/xtables.h"

#include "base/cleanup.h"
#include "base/strbuf.h"
#include "fw/skeleton.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>

#include <linux/netfilter/xt_mark.h>

#define ATTEMPTS 10
#define STEPS 100000 /* a walk visits each rule of a chain once per jump to it */
#define DEPTH 64

/* ipt_getinfo and ip6t_getinfo are the same; so are the heads of ipt_get_entries and its twin. */
_Static_assert(sizeof(struct ipt_getinfo) == sizeof(struct ip6t_getinfo), "one struct for both");
_Static_assert(sizeof(struct ipt_get_entries) == sizeof(struct ip6t_get_entries), "as above");

struct table {
	int family;
	struct ipt_getinfo info;
	struct ipt_get_entries *got; /* owned */
	const uint8_t *entries;
};

/* One rule, of either family. */
struct entry {
	const uint8_t *matches;
	size_t matches_len;
	const struct xt_entry_target *target;
	unsigned next; /* offset behind it */
	bool any;      /* no condition on addresses, interfaces, protocol */
	bool go_to;
};

static bool all_zero(const void *p, size_t n)
{
	const uint8_t *b = p;

	for (size_t i = 0; i < n; i++)
		if (b[i])
			return false;
	return true;
}

static struct entry entry4(const uint8_t *at)
{
	const struct ipt_entry *e = (const void *)at;
	struct ipt_ip ip = e->ip;

	ip.flags &= (uint8_t)~IPT_F_GOTO;
	return (struct entry){
		.matches = e->elems,
		.matches_len = e->target_offset - sizeof(*e),
		.target = (const void *)(at + e->target_offset),
		.next = e->next_offset,
		.any = all_zero(&ip, sizeof(ip)),
		.go_to = e->ip.flags & IPT_F_GOTO,
	};
}

static struct entry entry6(const uint8_t *at)
{
	const struct ip6t_entry *e = (const void *)at;
	struct ip6t_ip6 ip = e->ipv6;

	ip.flags &= (uint8_t)~IP6T_F_GOTO;
	return (struct entry){
		.matches = e->elems,
		.matches_len = e->target_offset - sizeof(*e),
		.target = (const void *)(at + e->target_offset),
		.next = e->next_offset,
		.any = all_zero(&ip, sizeof(ip)),
		.go_to = e->ipv6.flags & IP6T_F_GOTO,
	};
}

/* False when there is no entry at this offset. */
static bool get_entry(const struct table *t, unsigned at, struct entry *ret)
{
	size_t head = t->family == AF_INET ? sizeof(struct ipt_entry) : sizeof(struct ip6t_entry);

	if (at > t->info.size || t->info.size - at < head)
		return false;
	*ret = t->family == AF_INET ? entry4(t->entries + at) : entry6(t->entries + at);
	ret->next += at;
	return ret->next > at && ret->next <= t->info.size;
}

static bool is_our_mark(const struct xt_entry_match *m)
{
	struct xt_mark_mtinfo1 mark;

	if (strcmp(m->u.user.name, "mark") || m->u.user.revision != 1)
		return false;
	memcpy(&mark, m->data, sizeof(mark));
	return !mark.invert && mark.mark == FL_FW_MARK && !(mark.mask & ~FL_FW_MARK);
}

/* True when the entry applies to every packet that has our mark. */
static bool applies(const struct entry *e)
{
	const struct xt_entry_match *m;

	for (size_t i = 0; i + sizeof(*m) <= e->matches_len; i += m->u.match_size) {
		m = (const void *)(e->matches + i);
		if (m->u.match_size < sizeof(*m))
			return false;
		if (strcmp(m->u.user.name, "comment") && !is_our_mark(m))
			return false;
	}
	return e->any;
}

/* A user's chain is headed by an entry whose target ERROR has the name for its data. */
static void name_chain(const struct table *t, unsigned start, char *buf, size_t size)
{
	struct entry e;

	fl_strcpy(buf, size, "FORWARD");
	for (unsigned at = 0; get_entry(t, at, &e); at = e.next)
		if (e.next == start && !strcmp(e.target->u.user.name, XT_ERROR_TARGET))
			fl_strcpy(buf, size, (const char *)e.target->data);
}

struct frame {
	unsigned start, number; /* of the chain; of the rule last looked at */
	unsigned back;		/* where it goes on after the chain */
};

struct walker {
	const struct table *t;
	struct frame frames[DEPTH];
	unsigned depth, at;
};

static void leave(const struct walker *k, struct fl_xt_walk *ret)
{
	const struct frame *f = &k->frames[k->depth];

	ret->number = f->number;
	name_chain(k->t, f->start, ret->chain, sizeof(ret->chain));
}

static bool is_target(const struct entry *e, const char *name)
{
	return !strcmp(e->target->u.user.name, name);
}

/* The chain's invisible last entry, in front of the next chain's head or the table's end. */
static bool is_end(const struct walker *k, const struct entry *e)
{
	struct entry next;

	return get_entry(k->t, e->next, &next) && is_target(&next, XT_ERROR_TARGET);
}

/* Back to the rule behind the jump, or from the first chain, or what it went to, to the policy. */
static void come_back(struct walker *k, const struct entry *e, struct fl_xt_walk *ret)
{
	if (k->depth) {
		k->at = k->frames[k->depth--].back;
		return;
	}
	leave(k, ret);
	if (is_end(k, e))
		ret->number = 0;
	k->at = k->t->info.underflow[NF_INET_FORWARD];
}

static void enter(struct walker *k, const struct entry *e, unsigned chain)
{
	/* A rule without target "jumps" to the next. */
	if (chain == e->next || k->depth + 1 == DEPTH) {
		k->at = e->next;
		return;
	}
	if (!e->go_to)
		k->frames[++k->depth].back = e->next;
	k->frames[k->depth].start = k->at = chain;
	k->frames[k->depth].number = 0;
}

/* A standard target: a verdict, encoded negative, or the offset of a chain. 1: the walk is over. */
static int take_verdict(struct walker *k, const struct entry *e, struct fl_xt_walk *ret)
{
	int verdict = ((const struct xt_standard_target *)e->target)->verdict;
	bool policy = k->at == k->t->info.underflow[NF_INET_FORWARD];

	if (verdict == XT_RETURN)
		come_back(k, e, ret);
	else if (verdict >= 0)
		enter(k, e, (unsigned)verdict);
	if (verdict == XT_RETURN || verdict >= 0)
		return 0;
	/* A queue decides later; what it does not accept is no default of the table. */
	if (verdict != -NF_DROP - 1)
		return 1;
	ret->fate = policy ? FL_XT_POLICY_DROP : FL_XT_STOPPED;
	if (!policy)
		leave(k, ret);
	else if (!ret->chain[0])
		fl_strcpy(ret->chain, sizeof(ret->chain), "FORWARD");
	return 1;
}

static void walk(const struct table *t, struct fl_xt_walk *ret)
{
	struct walker k = { .t = t, .at = t->info.hook_entry[NF_INET_FORWARD] };
	struct entry e;

	k.frames[0].start = k.at;
	for (int i = 0; i < STEPS && get_entry(t, k.at, &e); i++) {
		k.frames[k.depth].number++;
		if (!applies(&e)) {
			k.at = e.next;
		} else if (is_target(&e, "REJECT")) {
			ret->fate = FL_XT_STOPPED;
			return leave(&k, ret);
		} else if (!is_target(&e, XT_STANDARD_TARGET)) {
			k.at = e.next;
		} else if (take_verdict(&k, &e, ret)) {
			return;
		}
	}
}

/* Asking for a table by getsockopt would create it, and with it hooks on every packet. */
static bool has_filter_table(int family)
{
	FL_AUTOFCLOSE FILE *f = fopen(family == AF_INET ? "/proc/thread-self/net/ip_tables_names"
							: "/proc/thread-self/net/ip6_tables_names",
				      "re");
	char line[XT_TABLE_MAXNAMELEN + 2];

	while (f && fgets(line, sizeof(line), f))
		if (!strcmp(line, "filter\n"))
			return true;
	return false;
}

/* -EAGAIN when the table was replaced between the two calls. */
static int read_once(int fd, struct table *t)
{
	bool v4 = t->family == AF_INET;
	int level = v4 ? SOL_IP : SOL_IPV6;
	socklen_t len = sizeof(t->info);

	free(t->got);
	t->got = NULL;
	strcpy(t->info.name, "filter");
	if (getsockopt(fd, level, v4 ? IPT_SO_GET_INFO : IP6T_SO_GET_INFO, &t->info, &len))
		return -errno;
	t->got = calloc(1, sizeof(*t->got) + t->info.size);
	if (!t->got)
		return -ENOMEM;
	strcpy(t->got->name, "filter");
	t->got->size = t->info.size;
	t->entries = (const uint8_t *)t->got + sizeof(*t->got);
	len = (socklen_t)(sizeof(*t->got) + t->info.size);
	if (getsockopt(fd, level, v4 ? IPT_SO_GET_ENTRIES : IP6T_SO_GET_ENTRIES, t->got, &len))
		return -errno;
	return 0;
}

int fl_xt_walk_forward(int family, struct fl_xt_walk *ret, struct fl_error *err)
{
	struct fl_xt_walk w = { .fate = FL_XT_PASSES };
	struct table t = { .family = family };
	FL_AUTOCLOSE int fd = -1;
	int r = -EAGAIN;

	if (!has_filter_table(family)) {
		*ret = w;
		return 0;
	}
	fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		r = -errno;
	for (int i = 0; r == -EAGAIN && i < ATTEMPTS; i++)
		r = read_once(fd, &t);
	if (!r) {
		walk(&t, &w);
		*ret = w;
	}
	free(t.got);
	if (r)
		return fl_error_errno(err, r, FL_ECODE_KERNEL,
				      "iptables-legacy: cannot read table filter of %s",
				      family == AF_INET ? "IPv4" : "IPv6");
	return 0;
}
