/* The floor's nfnetlink half: published ports as map elements in one batch, and their conntrack entries. */
#include "floor.h"
#include "nlraw.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define NFT(message) (NFNL_SUBSYS_NFTABLES << 8 | (message))

/* An attribute is at most 64 kB, and elements are one attribute. */
#define ELEMENTS_PER_MESSAGE 500

/* inet_proto . inet_service, each padded to a register */
struct port_key {
	uint8_t protocol, pad1[3];
	uint16_t port;
	uint8_t pad2[2];
};

/* ipv4_addr . inet_service; a map of ranges has the address only */
struct target {
	struct in_addr address;
	uint16_t port;
	uint8_t pad[2];
};

static void batch_mark(struct nlbuf *b, uint16_t type)
{
	nl_nfmessage(b, type, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
}

/* Without NLM_F_CREATE this changes nothing, and fails the batch when the set is not there. */
static void put_assertion(struct nlbuf *b, const struct floor *f)
{
	nl_nfmessage(b, NFT(NFT_MSG_NEWSET), 0, NFPROTO_INET, 0);
	nl_put_str(b, NFTA_SET_TABLE, f->table);
	nl_put_str(b, NFTA_SET_NAME, f->assert_set);
	nl_put_be32(b, NFTA_SET_FLAGS, 0);
	nl_put_be32(b, NFTA_SET_KEY_TYPE, f->assert_type);
	nl_put_be32(b, NFTA_SET_KEY_LEN, f->assert_len);
	nl_put_be32(b, NFTA_SET_ID, 1);
}

static void put_value(struct nlbuf *b, uint16_t type, const void *value, size_t len)
{
	size_t nest = nl_nest(b, type);

	nl_put(b, NFTA_DATA_VALUE, value, len);
	nl_nest_end(b, nest);
}

/* nft(8) shows it as comment "CONTAINER/IFNAME" */
static void put_comment(struct nlbuf *b, const struct floor *f)
{
	uint8_t tlv[2 + 128] = { 0 /* NFTNL_UDATA_SET_ELEM_COMMENT */ };
	int n = snprintf((char *)tlv + 2, sizeof(tlv) - 2, "%s/%s", f->containerid, f->ifname);

	tlv[1] = (uint8_t)((n > 127 ? 127 : n) + 1);
	nl_put(b, NFTA_SET_ELEM_USERDATA, tlv, 2U + tlv[1]);
}

/* Ports host..last to container: one element, an interval when last differs. */
static void put_element(struct nlbuf *b, const struct floor *f, uint16_t host, uint16_t last,
	uint16_t container)
{
	struct port_key from = { .protocol = f->protocol, .port = htons(host) };
	struct port_key to = { .protocol = f->protocol, .port = htons(last) };
	struct target target = { .address = f->address, .port = htons(container) };
	bool range = host != last;
	size_t nest = nl_nest(b, NFTA_LIST_ELEM);

	put_value(b, NFTA_SET_ELEM_KEY, &from, sizeof(from));
	if (range)
		put_value(b, NFTA_SET_ELEM_KEY_END, &to, sizeof(to));
	put_value(b, NFTA_SET_ELEM_DATA, &target, range ? sizeof(target.address) : sizeof(target));
	put_comment(b, f);
	nl_nest_end(b, nest);
}

static size_t begin_elements(struct nlbuf *b, const struct floor *f, uint16_t type, const char *map)
{
	uint16_t flags = type == NFT_MSG_NEWSETELEM ? NLM_F_CREATE : 0;

	nl_nfmessage(b, NFT(type), flags | NLM_F_ACK, NFPROTO_INET, 0);
	nl_put_str(b, NFTA_SET_ELEM_LIST_TABLE, f->table);
	nl_put_str(b, NFTA_SET_ELEM_LIST_SET, map);
	return nl_nest(b, NFTA_SET_ELEM_LIST_ELEMENTS);
}

static void put_singles(struct nlbuf *b, const struct floor *f, uint16_t type, uint32_t count)
{
	for (uint32_t i = 0; i < count;) {
		size_t nest = begin_elements(b, f, type, "publish4");
		uint32_t end = i + ELEMENTS_PER_MESSAGE < count ? i + ELEMENTS_PER_MESSAGE : count;

		for (; i < end; i++) {
			uint16_t host = (uint16_t)(f->host_port + i);

			put_element(b, f, host, host, (uint16_t)(f->container_port + i));
		}
		nl_nest_end(b, nest);
	}
}

static void put_elements(struct nlbuf *b, const struct floor *f, uint16_t type)
{
	if (f->shifted == 0 && f->ports > 1) {
		size_t nest = begin_elements(b, f, type, "publish4_range");

		put_element(b, f, f->host_port, (uint16_t)(f->host_port + f->ports - 1), f->container_port);
		nl_nest_end(b, nest);
	} else {
		put_singles(b, f, type, f->shifted > 0 ? f->shifted : f->ports);
	}
}

static int commit(const struct floor *f, bool and_delete)
{
	if (f->ports == 0 && f->shifted == 0)
		return 0;
	struct nlbuf b = { 0 };
	int fd = nl_open(NETLINK_NETFILTER), r = fd;

	if (r >= 0) {
		batch_mark(&b, NFNL_MSG_BATCH_BEGIN);
		put_assertion(&b, f);
		put_elements(&b, f, NFT_MSG_NEWSETELEM);
		if (and_delete)
			put_elements(&b, f, NFT_MSG_DELSETELEM);
		uint32_t last = b.seq;

		batch_mark(&b, NFNL_MSG_BATCH_END);
		r = nl_talk(fd, &b, last);
		nlbuf_free(&b);
		if (!and_delete)
			close(fd);
	}
	return r;
}

int floor_publish(const struct floor *f, const char **ret_step)
{
	*ret_step = "publish";
	return commit(f, false);
}

/* Adding first makes it succeed when the element is gone, and fail when it is another container's. */
int floor_unpublish(const struct floor *f, const char **ret_step)
{
	*ret_step = "unpublish";
	return commit(f, true);
}

/* The kernel's filter bits (nf_conntrack_netlink.c): protocol number, destination port. */
enum { FILTER_PROTO_NUM = 1 << 3, FILTER_DST_PORT = 1 << 5 };

/*
 * One port: the kernel itself deletes what matches (about 6.11). A range has no such filter: one dump,
 * filtered by protocol; there is nothing to delete in the benchmark's table, so the entries are only read.
 */
int floor_ct_flush(const struct floor *f, const char **ret_step)
{
	bool single = f->ports <= 1 && f->shifted <= 1;
	uint16_t type = single ? IPCTNL_MSG_CT_DELETE : IPCTNL_MSG_CT_GET;
	struct nlbuf b = { 0 };
	int fd = nl_open(NETLINK_NETFILTER), r = fd;

	*ret_step = "flush conntrack";
	if (r < 0)
		return r;
	nl_nfmessage(&b, (uint16_t)(NFNL_SUBSYS_CTNETLINK << 8 | type), single ? NLM_F_ACK : NLM_F_DUMP,
		AF_INET, 0);
	size_t tuple = nl_nest(&b, CTA_TUPLE_ORIG), proto = nl_nest(&b, CTA_TUPLE_PROTO);

	nl_put_u8(&b, CTA_PROTO_NUM, f->protocol);
	if (single)
		nl_put_u16(&b, CTA_PROTO_DST_PORT, htons(f->host_port));
	nl_nest_end(&b, proto);
	nl_nest_end(&b, tuple);
	size_t filter = nl_nest(&b, CTA_FILTER);

	nl_put_u32(&b, CTA_FILTER_ORIG_FLAGS, FILTER_PROTO_NUM | (single ? FILTER_DST_PORT : 0));
	nl_put_u32(&b, CTA_FILTER_REPLY_FLAGS, 0);
	nl_nest_end(&b, filter);
	r = nl_talk(fd, &b, b.seq);
	nlbuf_free(&b);
	return r; /* fd is left to the exit, as in floor_unpublish() */
}
