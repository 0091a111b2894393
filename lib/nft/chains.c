/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nft/chains.h"

#include "nft/internal.h"

#include <endian.h>
#include <errno.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/xt_mark.h>
#include <string.h>

void fl_nft_base_chains_clear(struct fl_nft_base_chains *l)
{
	free(l->v);
	*l = (struct fl_nft_base_chains){ 0 };
}

void fl_nft_rules_clear(struct fl_nft_rules *l)
{
	free(l->v);
	*l = (struct fl_nft_rules){ 0 };
}

/* One more item at the end of a list, zeroed; NULL when memory is short. */
static void *one_more(void **v, size_t *n, size_t *cap, size_t size)
{
	void *item;

	if (*n == *cap) {
		size_t more = *cap ? 2 * *cap : 16;
		void *bigger = reallocarray(*v, more, size);

		if (!bigger)
			return NULL;
		*v = bigger;
		*cap = more;
	}
	item = (char *)*v + size * (*n)++;
	memset(item, 0, size);
	return item;
}

static void copy_str(char *dst, size_t size, const struct nlattr *attr)
{
	size_t n = attr ? strnlen(fl_attr_data(attr), fl_attr_len(attr)) : 0;

	if (n >= size)
		n = size - 1;
	if (n)
		memcpy(dst, fl_attr_data(attr), n);
	dst[n] = '\0';
}

static uint32_t get_be32(const struct nlattr *attr)
{
	return attr && fl_attr_len(attr) >= 4 ? ntohl(fl_attr_u32(attr)) : 0;
}

static bool name_is(const struct nlattr *attr, const char *name)
{
	char buf[32];

	copy_str(buf, sizeof(buf), attr);
	return !strcmp(buf, name);
}

/* ---- chains ---- */

static void add_device(struct fl_nft_base_chain *c, const struct nlattr *name, bool prefix)
{
	char *to;

	if (c->n_devices++ >= FL_NFT_DEVICES)
		return;
	to = c->devices[c->n_devices - 1];
	copy_str(to, IFNAMSIZ, name);
	if (prefix)
		strcat(to, "*");
}

static void read_devices(const struct nlattr *const *hook, struct fl_nft_base_chain *c)
{
	const struct nlattr *a;

	if (hook[NFTA_HOOK_DEVS])
		fl_attr_for_each_nested(a, hook[NFTA_HOOK_DEVS])
			add_device(c, a, fl_attr_type(a) != NFTA_DEVICE_NAME);
	else if (hook[NFTA_HOOK_DEV])
		add_device(c, hook[NFTA_HOOK_DEV], false);
}

/* False: not a base chain. */
static bool read_chain(const struct nlmsghdr *nlh, struct fl_nft_base_chain *c)
{
	const struct nfgenmsg *nfg = fl_msg_payload(nlh);
	const struct nlattr *t[NFTA_CHAIN_MAX + 1] = { 0 }, *hook[NFTA_HOOK_MAX + 1] = { 0 };

	fl_nft_index_message(nlh, t, NFTA_CHAIN_MAX);
	if (!t[NFTA_CHAIN_HOOK])
		return false;
	fl_nft_index_attrs(t[NFTA_CHAIN_HOOK], hook, NFTA_HOOK_MAX);
	*c = (struct fl_nft_base_chain){
		.family = nfg->nfgen_family,
		.hook = get_be32(hook[NFTA_HOOK_HOOKNUM]),
		.priority = (int32_t)get_be32(hook[NFTA_HOOK_PRIORITY]),
		.policy = t[NFTA_CHAIN_POLICY] ? get_be32(t[NFTA_CHAIN_POLICY]) : NF_ACCEPT,
		/* A base chain is nobody's target: its only users are its rules. */
		.rules = get_be32(t[NFTA_CHAIN_USE]),
	};
	read_devices(hook, c);
	copy_str(c->table, sizeof(c->table), t[NFTA_CHAIN_TABLE]);
	copy_str(c->name, sizeof(c->name), t[NFTA_CHAIN_NAME]);
	return true;
}

static int take_chain(const struct nlmsghdr *nlh, void *arg)
{
	struct fl_nft_base_chains *l = arg;
	struct fl_nft_base_chain c, *slot;

	if (!read_chain(nlh, &c))
		return 0;
	slot = one_more((void **)&l->v, &l->n, &l->cap, sizeof(*l->v));
	if (!slot)
		return -ENOMEM;
	*slot = c;
	return 0;
}

int fl_nft_list_base_chains(struct fl_nft *nft, struct fl_nft_base_chains *ret,
			    struct fl_error *err)
{
	uint8_t buf[FL_NFT_REQUEST_MAX] __attribute__((aligned(8))) = { 0 };
	struct nlmsghdr *nlh = fl_nft_request(buf, NFT_MSG_GETCHAIN, NLM_F_DUMP, NFPROTO_UNSPEC);
	FL_AUTONFTCHAINS struct fl_nft_base_chains l = { 0 };
	struct fl_error details = { 0 };
	int r = fl_nfnl_talk(nft, nlh, take_chain, &l, &details);

	if (r) {
		fl_error_errno(err, r, FL_ECODE_KERNEL, "nftables: cannot list the chains");
		fl_error_details(err, details.details);
		return r;
	}
	fl_nft_base_chains_clear(ret);
	*ret = l;
	l = (struct fl_nft_base_chains){ 0 };
	return 0;
}

static int take_one_chain(const struct nlmsghdr *nlh, void *arg)
{
	return read_chain(nlh, arg) ? 0 : -ENOENT;
}

int fl_nft_get_base_chain(struct fl_nft *nft, uint8_t family, const char *table, const char *chain,
			  struct fl_nft_base_chain *ret, struct fl_error *err)
{
	uint8_t buf[FL_NFT_REQUEST_MAX] __attribute__((aligned(8))) = { 0 };
	struct nlmsghdr *nlh = fl_nft_request(buf, NFT_MSG_GETCHAIN, 0, family);
	struct fl_nft_base_chain c = { 0 };
	struct fl_error details = { 0 };
	int r;

	fl_attr_put_strz(nlh, NFTA_CHAIN_TABLE, table);
	fl_attr_put_strz(nlh, NFTA_CHAIN_NAME, chain);
	r = fl_nfnl_talk(nft, nlh, take_one_chain, &c, &details);
	if (r == -ENOENT)
		return r;
	if (r) {
		fl_error_errno(err, r, FL_ECODE_KERNEL, "nftables: cannot read chain %s of %s %s",
			       chain, fl_nft_family_str(family), table);
		fl_error_details(err, details.details);
		return r;
	}
	*ret = c;
	return 0;
}

/* ---- rules ---- */

/* A rule while its expressions are looked at: how many steps of a comparison of the mark we saw. */
struct reading {
	struct fl_nft_rule *rule;
	bool loaded; /* the mark is in the register */
	uint32_t mask;
	unsigned conditions;
};

static void read_verdict(const struct nlattr *data, struct fl_nft_rule *rule)
{
	const struct nlattr *d[NFTA_DATA_MAX + 1] = { 0 }, *v[NFTA_VERDICT_MAX + 1] = { 0 };

	fl_nft_index_attrs(data, d, NFTA_DATA_MAX);
	if (!d[NFTA_DATA_VERDICT])
		return;
	fl_nft_index_attrs(d[NFTA_DATA_VERDICT], v, NFTA_VERDICT_MAX);
	copy_str(rule->target, sizeof(rule->target), v[NFTA_VERDICT_CHAIN]);
	switch ((int32_t)get_be32(v[NFTA_VERDICT_CODE])) {
	case NF_ACCEPT:
		rule->effect = FL_NFT_ACCEPTS;
		break;
	case NF_DROP:
		rule->effect = FL_NFT_DROPS;
		break;
	case NFT_JUMP:
		rule->effect = FL_NFT_JUMPS;
		break;
	case NFT_GOTO:
		rule->effect = FL_NFT_GOES_TO;
		break;
	case NFT_RETURN:
		rule->effect = FL_NFT_RETURNS;
		break;
	}
}

static void read_immediate(struct reading *s, const struct nlattr *data)
{
	const struct nlattr *t[NFTA_IMMEDIATE_MAX + 1] = { 0 };

	fl_nft_index_attrs(data, t, NFTA_IMMEDIATE_MAX);
	if (t[NFTA_IMMEDIATE_DATA])
		read_verdict(t[NFTA_IMMEDIATE_DATA], s->rule);
}

static void read_meta(struct reading *s, const struct nlattr *data)
{
	const struct nlattr *t[NFTA_META_MAX + 1] = { 0 };

	fl_nft_index_attrs(data, t, NFTA_META_MAX);
	if (!t[NFTA_META_DREG])
		return;
	s->loaded = get_be32(t[NFTA_META_KEY]) == NFT_META_MARK;
	s->mask = UINT32_MAX;
}

static uint32_t get_host32(const struct nlattr *data)
{
	const struct nlattr *d[NFTA_DATA_MAX + 1] = { 0 };

	if (data)
		fl_nft_index_attrs(data, d, NFTA_DATA_MAX);
	if (!d[NFTA_DATA_VALUE] || fl_attr_len(d[NFTA_DATA_VALUE]) != 4)
		return 0;
	return fl_attr_u32(d[NFTA_DATA_VALUE]);
}

static void read_bitwise(struct reading *s, const struct nlattr *data)
{
	const struct nlattr *t[NFTA_BITWISE_MAX + 1] = { 0 };

	fl_nft_index_attrs(data, t, NFTA_BITWISE_MAX);
	s->mask = get_host32(t[NFTA_BITWISE_MASK]);
	if (get_be32(t[NFTA_BITWISE_OP]) || get_host32(t[NFTA_BITWISE_XOR]))
		s->loaded = false;
}

static void condition(struct reading *s, uint32_t mark, uint32_t mask)
{
	s->rule->conditional = true;
	s->rule->mark = mark;
	s->rule->mark_mask = ++s->conditions == 1 ? mask : 0;
}

static void read_cmp(struct reading *s, const struct nlattr *data)
{
	const struct nlattr *t[NFTA_CMP_MAX + 1] = { 0 };
	uint32_t value;

	fl_nft_index_attrs(data, t, NFTA_CMP_MAX);
	value = get_host32(t[NFTA_CMP_DATA]);
	if (s->loaded && get_be32(t[NFTA_CMP_OP]) == NFT_CMP_EQ)
		condition(s, value, s->mask);
	else
		condition(s, 0, 0);
}

/* iptables-nft's: an extension of iptables in a native rule. */
static void read_match(struct reading *s, const struct nlattr *data)
{
	const struct nlattr *t[NFTA_MATCH_MAX + 1] = { 0 };
	struct xt_mark_mtinfo1 mark;

	fl_nft_index_attrs(data, t, NFTA_MATCH_MAX);
	if (name_is(t[NFTA_MATCH_NAME], "comment"))
		return;
	if (name_is(t[NFTA_MATCH_NAME], "mark") && get_be32(t[NFTA_MATCH_REV]) == 1 &&
	    t[NFTA_MATCH_INFO] && fl_attr_len(t[NFTA_MATCH_INFO]) >= sizeof(mark)) {
		memcpy(&mark, fl_attr_data(t[NFTA_MATCH_INFO]), sizeof(mark));
		condition(s, mark.mark, mark.invert ? 0 : mark.mask);
	} else {
		condition(s, 0, 0);
	}
}

static void read_target(struct reading *s, const struct nlattr *data)
{
	const struct nlattr *t[NFTA_TARGET_MAX + 1] = { 0 };

	fl_nft_index_attrs(data, t, NFTA_TARGET_MAX);
	if (name_is(t[NFTA_TARGET_NAME], "REJECT"))
		s->rule->effect = FL_NFT_REJECTS;
}

static void read_reject(struct reading *s, const struct nlattr *data)
{
	(void)data;
	s->rule->effect = FL_NFT_REJECTS;
}

static void read_nothing(struct reading *s, const struct nlattr *data)
{
	(void)s;
	(void)data;
}

static const struct {
	const char *name;
	void (*read)(struct reading *s, const struct nlattr *data);
} readers[] = {
	{ "immediate", read_immediate }, { "meta", read_meta },
	{ "bitwise", read_bitwise },	 { "cmp", read_cmp },
	{ "match", read_match },	 { "target", read_target },
	{ "reject", read_reject },	 { "counter", read_nothing },
	{ "log", read_nothing },	 { "last", read_nothing },
};

/* What is not known may or may not match. */
static void read_expr(struct reading *s, const struct nlattr *expr)
{
	const struct nlattr *t[NFTA_EXPR_MAX + 1] = { 0 };

	fl_nft_index_attrs(expr, t, NFTA_EXPR_MAX);
	for (size_t i = 0; i < FL_ARRAY_SIZE(readers); i++)
		if (t[NFTA_EXPR_DATA] && name_is(t[NFTA_EXPR_NAME], readers[i].name))
			return readers[i].read(s, t[NFTA_EXPR_DATA]);
	condition(s, 0, 0);
}

struct rule_list {
	const char *chain;
	struct fl_nft_rules rules;
};

static int take_rule(const struct nlmsghdr *nlh, void *arg)
{
	const struct nlattr *t[NFTA_RULE_MAX + 1] = { 0 }, *expr;
	struct rule_list *l = arg;
	struct reading s = { 0 };
	char chain[FL_NFT_NAME];

	fl_nft_index_message(nlh, t, NFTA_RULE_MAX);
	copy_str(chain, sizeof(chain), t[NFTA_RULE_CHAIN]);
	/* Kernels that do not filter the dump send the whole table. */
	if (strcmp(chain, l->chain))
		return 0;
	s.rule = one_more((void **)&l->rules.v, &l->rules.n, &l->rules.cap, sizeof(*s.rule));
	if (!s.rule)
		return -ENOMEM;
	if (t[NFTA_RULE_HANDLE])
		s.rule->handle = be64toh(fl_attr_u64(t[NFTA_RULE_HANDLE]));
	if (t[NFTA_RULE_USERDATA])
		fl_nft_copy_comment(t[NFTA_RULE_USERDATA], s.rule->comment,
				    sizeof(s.rule->comment));
	s.rule->digest = fl_nft_digest(t[NFTA_RULE_EXPRESSIONS]);
	if (t[NFTA_RULE_EXPRESSIONS])
		fl_attr_for_each_nested(expr, t[NFTA_RULE_EXPRESSIONS]) read_expr(&s, expr);
	return 0;
}

int fl_nft_list_rules(struct fl_nft *nft, uint8_t family, const char *table, const char *chain,
		      struct fl_nft_rules *ret, struct fl_error *err)
{
	uint8_t buf[FL_NFT_REQUEST_MAX] __attribute__((aligned(8))) = { 0 };
	struct nlmsghdr *nlh = fl_nft_request(buf, NFT_MSG_GETRULE, NLM_F_DUMP, family);
	struct rule_list l = { .chain = chain };
	struct fl_error details = { 0 };
	int r;

	fl_attr_put_strz(nlh, NFTA_RULE_TABLE, table);
	fl_attr_put_strz(nlh, NFTA_RULE_CHAIN, chain);
	r = fl_nfnl_talk(nft, nlh, take_rule, &l, &details);
	if (r) {
		fl_nft_rules_clear(&l.rules);
		fl_error_errno(err, r, FL_ECODE_KERNEL,
			       "nftables: cannot read the rules of chain %s of %s %s", chain,
			       fl_nft_family_str(family), table);
		fl_error_details(err, details.details);
		return r;
	}
	fl_nft_rules_clear(ret);
	*ret = l.rules;
	return 0;
}

/* Userdata is a list of type, length, value; the comment is type 0 in rules and in elements. */
void fl_nft_copy_comment(const struct nlattr *attr, char *dst, size_t size)
{
	const uint8_t *p = fl_attr_data(attr);
	size_t left = fl_attr_len(attr);

	for (; left >= 2 && left >= 2u + p[1]; left -= 2u + p[1], p += 2 + p[1]) {
		if (p[0] || !p[1])
			continue;
		strncpy(dst, (const char *)p + 2, p[1] < size ? p[1] : size - 1);
		return;
	}
}
