/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fw/trace.h"

#include "base/strbuf.h"
#include "fw/private.h"
#include "nft/chains.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/rtnetlink.h>
#include <string.h>

enum { REGISTERS = 16, DEPTH = 16, LOOPBACK_INDEX = 1, SOME_INDEX = 2 };

struct machine {
	struct fl_fw *fw;
	uint8_t family;
	const struct fl_fw_packet *p;
	struct fl_fw_traced *t;
	uint8_t regs[REGISTERS * 4];
	uint32_t mark;
	int set; /* that the present rule found its element in */
	char comment[FL_NFT_COMMENT_MAX + 1];
	struct fl_error *err;
};

/* What a rule, or a chain, says. */
enum says { ON, NO_MATCH, ACCEPT, DROP, RETURN, JUMP, GOTO };

static uint8_t *reg(struct machine *m, uint8_t r)
{
	return m->regs + (size_t)(r - NFT_REG32_00) * 4;
}

/* A register is filled with zeroes behind the value. */
static void load(struct machine *m, uint8_t r, const void *v, size_t len)
{
	uint8_t *to = reg(m, r);

	memset(to, 0, (len + 3) / 4 * 4);
	memcpy(to, v, len);
}

static void load_u32(struct machine *m, uint8_t r, uint32_t v)
{
	load(m, r, &v, sizeof(v));
}

/* Zeroes behind the end, as elements have it. */
static void load_name(struct machine *m, uint8_t r, const char *name)
{
	char padded[IFNAMSIZ] = "";

	memcpy(padded, name, strnlen(name, IFNAMSIZ - 1));
	load(m, r, padded, sizeof(padded));
}

/* Whoever gives the skeleton a new kind of expression teaches it here too. */
static int not_taught(struct machine *m, const char *what, int number)
{
	return fl_error_set(m->err, ENOTSUP, FL_ECODE_KERNEL,
			    "nftables: a rule of the skeleton has %s %d, which the trace does not "
			    "know",
			    what, number);
}

static int get_meta(struct machine *m, const struct fl_nft_expr *e)
{
	bool v6 = m->p->dst.family == AF_INET6;
	uint8_t nfproto = v6 ? NFPROTO_IPV6 : NFPROTO_IPV4;
	uint16_t ethertype = htons(v6 ? ETH_P_IPV6 : ETH_P_IP);

	switch (e->key) {
	case NFT_META_IIFNAME:
		load_name(m, e->reg, m->p->in);
		break;
	case NFT_META_OIFNAME:
		load_name(m, e->reg, m->p->out);
		break;
	case NFT_META_IIF:
		load_u32(m, e->reg, !strcmp(m->p->in, "lo") ? LOOPBACK_INDEX : SOME_INDEX);
		break;
	case NFT_META_NFPROTO:
		load(m, e->reg, &nfproto, 1);
		break;
	case NFT_META_PROTOCOL:
		load(m, e->reg, &ethertype, sizeof(ethertype));
		break;
	case NFT_META_L4PROTO:
		load(m, e->reg, &m->p->proto, 1);
		break;
	case NFT_META_MARK:
		load_u32(m, e->reg, m->mark);
		break;
	default:
		return not_taught(m, "meta key", e->key);
	}
	return 0;
}

static void get_payload(struct machine *m, const struct fl_nft_expr *e)
{
	bool v6 = m->p->dst.family == AF_INET6;
	uint8_t header[64] = { 0 };

	if (e->key == NFT_PAYLOAD_NETWORK_HEADER) {
		memcpy(header + (v6 ? 8 : 12), m->p->src.b, v6 ? 16 : 4);
		memcpy(header + (v6 ? 24 : 16), m->p->dst.b, v6 ? 16 : 4);
	} else if (e->key == NFT_PAYLOAD_TRANSPORT_HEADER) {
		header[2] = (uint8_t)(m->p->dport >> 8);
		header[3] = (uint8_t)m->p->dport;
	} else {
		memcpy(header + 6, m->p->mac.b, sizeof(m->p->mac.b));
	}
	load(m, e->reg, header + e->offset, e->len);
}

static void get_ct(struct machine *m, const struct fl_nft_expr *e)
{
	uint32_t state = 1u << ((m->p->established ? IP_CT_ESTABLISHED : IP_CT_NEW) + 1);

	load_u32(m, e->reg, e->key == NFT_CT_STATUS ? (m->p->dnat ? IPS_DST_NAT : 0) : state);
}

static enum says compare(struct machine *m, const struct fl_nft_expr *e)
{
	bool equal = !memcmp(reg(m, e->reg), e->value, e->len);

	return equal == (e->key == NFT_CMP_EQ) ? ON : NO_MATCH;
}

static void mask(struct machine *m, const struct fl_nft_expr *e)
{
	uint8_t *r = reg(m, e->reg);

	for (size_t i = 0; i < e->len; i++)
		r[i] = (uint8_t)((r[i] & e->mask[i]) ^ e->value[i]);
}

static int set_id(uint8_t family, const char *name)
{
	for (int i = 0; i < FL_FW_SETS; i++)
		if (fl_fw_sets[i].family == family && !strcmp(fl_fw_sets[i].name, name))
			return i;
	return -1;
}

/* `target` gets the chain of a verdict map. */
static int look_up(struct machine *m, const struct fl_nft_expr *e, const char **target,
		   enum says *ret)
{
	int id = set_id(m->family, e->name), r;
	const struct fl_nft_set *set = &fl_fw_sets[id];
	struct fl_nft_elem key = { 0 };
	struct fl_nft_found found;

	memcpy(key.key, reg(m, e->reg), fl_nft_key_len(set));
	r = fl_nft_get_elem(&m->fw->nft, set, &key, &found, m->err);
	if (r && r != -ENOENT)
		return r;
	*ret = !r == !(e->code & NFT_LOOKUP_F_INV) ? ON : NO_MATCH;
	if (r)
		return 0;
	m->set = id;
	memcpy(m->comment, found.comment, sizeof(m->comment));
	if (!e->map)
		return 0;
	if (e->dreg == NFT_REG_VERDICT) {
		/* The skeleton's verdict maps lead to this one chain. */
		*target = fl_fw_outward;
		*ret = GOTO;
	} else {
		load(m, e->dreg, found.data, fl_nft_data_len(set));
	}
	return 0;
}

static void translate(struct machine *m, const struct fl_nft_expr *e)
{
	int family = e->family == NFPROTO_IPV6 ? AF_INET6 : AF_INET;
	const uint8_t *port = e->dreg ? reg(m, e->dreg) : NULL;
	struct fl_addr to = fl_addr_make(family, reg(m, e->reg));

	if (e->key == NFT_NAT_SNAT) {
		m->t->snat = to;
		return;
	}
	m->t->dnat = to;
	m->t->dnat_port = port ? (uint16_t)(port[0] << 8 | port[1]) : 0;
}

static enum says verdict(const struct fl_nft_expr *e, const char **target)
{
	*target = e->name;
	switch (e->code) {
	case NF_ACCEPT:
		return ACCEPT;
	case NF_DROP:
		return DROP;
	case NFT_JUMP:
		return JUMP;
	case NFT_GOTO:
		return GOTO;
	default:
		return RETURN;
	}
}

static int step(struct machine *m, const struct fl_nft_expr *e, const char **target, enum says *ret)
{
	*ret = ON;
	switch (e->op) {
	case FL_NFT_META:
		return get_meta(m, e);
	case FL_NFT_META_SET:
		memcpy(&m->mark, reg(m, e->reg), sizeof(m->mark));
		break;
	case FL_NFT_CT:
		get_ct(m, e);
		break;
	case FL_NFT_PAYLOAD:
		get_payload(m, e);
		break;
	case FL_NFT_FIB:
		load_u32(m, e->reg, m->p->to_local ? RTN_LOCAL : RTN_UNICAST);
		break;
	case FL_NFT_CMP:
		*ret = compare(m, e);
		break;
	case FL_NFT_BITWISE:
		mask(m, e);
		break;
	case FL_NFT_LOOKUP:
		return look_up(m, e, target, ret);
	case FL_NFT_NAT:
		translate(m, e);
		*ret = ACCEPT;
		break;
	case FL_NFT_MASQ:
		m->t->masquerade = true;
		*ret = ACCEPT;
		break;
	case FL_NFT_IMMEDIATE:
		*ret = verdict(e, target);
		break;
	default:
		return not_taught(m, "expression", e->op);
	}
	return 0;
}

static int run_rule(struct machine *m, const struct fl_nft_expr *e, const char **target,
		    enum says *ret)
{
	int r = 0;

	m->set = -1;
	*ret = ON;
	for (; !r && *ret == ON && e->op != FL_NFT_END; e++)
		r = step(m, e, target, ret);
	return r;
}

/* The rule that decided: not the one that merely marks what was decided on. */
static void remember(struct machine *m, const char *chain)
{
	if (!strcmp(chain, "admit"))
		return;
	fl_strcpy(m->t->chain, sizeof(m->t->chain), chain);
	m->t->set = m->set;
	memcpy(m->t->comment, m->set < 0 ? "" : m->comment, m->set < 0 ? 1 : sizeof(m->comment));
}

static int run_chain(struct machine *m, const char *chain, unsigned depth, enum says *ret)
{
	const struct fl_nft_expr *rule;
	const char *target = NULL;
	struct fl_fw_chain_state state = { 0 };
	int r = fl_fw_chain_state(m->fw, m->family, chain, &state, m->err);
	bool live = state.kept || state.foreign;

	*ret = ON;
	if (r && r != -ENOENT)
		return r;
	m->t->absent |= !live;
	m->t->changed |= live && (state.kept < state.wanted || state.foreign);
	for (size_t i = 0; live && (rule = fl_fw_skeleton_rule(m->family, chain, i)); i++) {
		enum says s;

		r = run_rule(m, rule, &target, &s);
		if (r || s == RETURN)
			return r;
		if (s == ON || s == NO_MATCH)
			continue;
		remember(m, chain);
		if ((s == JUMP || s == GOTO) && depth < DEPTH) {
			enum says deeper;

			r = run_chain(m, target, depth + 1, &deeper);
			if (r || deeper != ON || s == GOTO) {
				*ret = deeper;
				return r;
			}
			continue;
		}
		*ret = s;
		return 0;
	}
	return 0;
}

int fl_fw_trace(struct fl_fw *fw, uint8_t family, const char *chain, const struct fl_fw_packet *p,
		struct fl_fw_traced *ret, struct fl_error *err)
{
	struct fl_fw_traced t = { .set = -1 };
	struct machine m = { .fw = fw, .family = family, .p = p, .t = &t, .set = -1, .err = err };
	enum says s;
	int r = run_chain(&m, chain, 0, &s);

	if (!r && s != DROP && s != ACCEPT)
		r = fl_fw_chain_drops(fw, family, chain, err);
	if (r < 0)
		return r;
	if (r) {
		t.policy = true;
		s = DROP;
		fl_strcpy(t.chain, sizeof(t.chain), chain);
	}
	t.outcome = s == DROP ? FL_FW_DROPPED : s == ACCEPT ? FL_FW_ACCEPTED : FL_FW_GOES_ON;
	t.marked = m.mark & FL_FW_MARK;
	*ret = t;
	return 0;
}
