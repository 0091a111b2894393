/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cluster/records.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct {
	const char *name;
	bool net; /* a network's id comes next */
} kinds[FL_REC_KINDS] = {
	[FL_REC_NET] = { "net", true },
	[FL_REC_VNI] = { "vni", false },
	[FL_REC_NETNAME] = { "netname", false },
	[FL_REC_NODE] = { "node", false },
	[FL_REC_ALIVE] = { "alive", false },
	[FL_REC_JOIN] = { "join", true },
	[FL_REC_EP] = { "ep", true },
	[FL_REC_IP] = { "ip", true },
	[FL_REC_BLK] = { "blk", true },
};

static unsigned block_len(int family)
{
	return family == AF_INET ? 26 : 122;
}

struct fl_prefix fl_rec_block_of(const struct fl_addr *a)
{
	struct fl_prefix p = { *a, (uint8_t)block_len(a->family) };

	return fl_prefix_masked(&p);
}

/* ---- building ---- */

static bool block_valid(const struct fl_prefix *p)
{
	struct fl_prefix masked = fl_prefix_masked(p);

	return fl_addr_is_set(&p->addr) && p->len == block_len(p->addr.family) &&
	       fl_addr_eq(&masked.addr, &p->addr);
}

static bool valid(const struct fl_rec_key *k)
{
	if (kinds[k->kind].net && !fl_name_valid(k->net, FL_REC_ID_MAX))
		return false;
	switch (k->kind) {
	case FL_REC_NET:
		return true;
	case FL_REC_VNI:
		return k->vni > 0 && k->vni <= FL_REC_VNI_MAX;
	case FL_REC_NETNAME:
		return fl_name_valid(k->id, FL_REC_NETNAME_MAX);
	case FL_REC_IP:
		return fl_addr_is_set(&k->addr);
	case FL_REC_BLK:
		return block_valid(&k->block);
	default:
		return fl_name_valid(k->id, FL_REC_ID_MAX);
	}
}

/* What stands after the last slash of all kinds but net/. */
static void write_last(const struct fl_rec_key *k, char *buf, size_t size)
{
	if (k->kind == FL_REC_VNI)
		snprintf(buf, size, "%u", k->vni);
	else if (k->kind == FL_REC_IP)
		snprintf(buf, size, "%s", fl_addr_str(&k->addr, FL_ADDR_BUF));
	else if (k->kind == FL_REC_BLK)
		snprintf(buf, size, "%s-%u", fl_addr_str(&k->block.addr, FL_ADDR_BUF),
			 k->block.len);
	else
		snprintf(buf, size, "%s", k->id);
}

int fl_rec_key(const struct fl_rec_key *k, char *buf)
{
	char last[FL_REC_ID_MAX + 1];

	if (!valid(k))
		return -EINVAL;
	write_last(k, last, sizeof(last));
	if (k->kind == FL_REC_NET)
		snprintf(buf, FL_REC_KEY_STR, "net/%s", k->net);
	else if (kinds[k->kind].net)
		snprintf(buf, FL_REC_KEY_STR, "%s/%s/%s", kinds[k->kind].name, k->net, last);
	else
		snprintf(buf, FL_REC_KEY_STR, "%s/%s", kinds[k->kind].name, last);
	return 0;
}

const char *fl_rec_prefix(enum fl_rec_kind kind, const char *net, char *buf)
{
	snprintf(buf, FL_REC_KEY_STR, "%s/%s%s", kinds[kind].name, net ? net : "", net ? "/" : "");
	return buf;
}

/* ---- parsing ---- */

static int kind_of(const char *word, enum fl_rec_kind *ret)
{
	for (int i = 0; i < FL_REC_KINDS; i++)
		if (!strcmp(kinds[i].name, word)) {
			*ret = (enum fl_rec_kind)i;
			return 0;
		}
	return -EINVAL;
}

static int read_id(const char *text, char *to)
{
	if (strlen(text) > FL_REC_ID_MAX)
		return -EINVAL;
	strcpy(to, text);
	return 0;
}

static int read_block(char *text, struct fl_prefix *ret)
{
	char *dash = strrchr(text, '-');

	if (!dash)
		return -EINVAL;
	*dash = '/';
	return fl_prefix_parse(text, ret);
}

static int read_last(char *text, struct fl_rec_key *k)
{
	switch (k->kind) {
	case FL_REC_VNI:
		k->vni = (uint32_t)strtoul(text, NULL, 10);
		return 0;
	case FL_REC_IP:
		return fl_addr_parse(text, &k->addr);
	case FL_REC_BLK:
		return read_block(text, &k->block);
	default:
		return read_id(text, k->id);
	}
}

int fl_rec_key_parse(const char *key, struct fl_rec_key *ret)
{
	char copy[FL_REC_KEY_STR], again[FL_REC_KEY_STR], *rest = copy, *word;
	struct fl_rec_key k = { 0 };
	int r;

	if (strlen(key) >= sizeof(copy))
		return -EINVAL;
	strcpy(copy, key);
	word = strsep(&rest, "/");
	r = kind_of(word, &k.kind);
	if (!r && kinds[k.kind].net) {
		word = strsep(&rest, "/");
		r = word ? read_id(word, k.net) : -EINVAL;
	}
	if (!r && k.kind != FL_REC_NET)
		r = rest ? read_last(rest, &k) : -EINVAL;
	/* One spelling: no leading zeros, no second form of an address, nothing behind it. */
	if (r || fl_rec_key(&k, again) || strcmp(again, key))
		return -EINVAL;
	*ret = k;
	return 0;
}
