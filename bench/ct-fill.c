/* A busy host's conntrack table: entries put straight into it, without a packet. */
#include "fl-bench.h"
#include "nlraw.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <unistd.h>

#define PER_SEND 200
#define TIMEOUT_S 3600

struct flow {
	uint32_t src, dst; /* host order */
	uint16_t sport, dport;
	uint8_t protocol;
};

static void put_tuple(struct nlbuf *b, uint16_t type, const struct flow *f)
{
	size_t tuple = nl_nest(b, type), ip = nl_nest(b, CTA_TUPLE_IP);

	nl_put_be32(b, CTA_IP_V4_SRC, f->src);
	nl_put_be32(b, CTA_IP_V4_DST, f->dst);
	nl_nest_end(b, ip);
	size_t proto = nl_nest(b, CTA_TUPLE_PROTO);

	nl_put_u8(b, CTA_PROTO_NUM, f->protocol);
	nl_put_u16(b, CTA_PROTO_SRC_PORT, htons(f->sport));
	nl_put_u16(b, CTA_PROTO_DST_PORT, htons(f->dport));
	nl_nest_end(b, proto);
	nl_nest_end(b, tuple);
}

static void put_tcp_state(struct nlbuf *b)
{
	size_t info = nl_nest(b, CTA_PROTOINFO), tcp = nl_nest(b, CTA_PROTOINFO_TCP);

	nl_put_u8(b, CTA_PROTOINFO_TCP_STATE, TCP_CONNTRACK_ESTABLISHED);
	nl_nest_end(b, tcp);
	nl_nest_end(b, info);
}

/* No destination port is one that the benchmark publishes (all of those are below 32768). */
static struct flow flow_number(uint32_t i)
{
	return (struct flow){
		.src = 0xcb007100 + i / 30000, /* 203.0.113.0 on */
		.dst = 0xc6336401,             /* 198.51.100.1 */
		.sport = (uint16_t)(32768 + i % 30000),
		.dport = 40000,
		.protocol = i % 2 ? IPPROTO_UDP : IPPROTO_TCP,
	};
}

static void put_entry(struct nlbuf *b, uint32_t i, bool last)
{
	struct flow orig = flow_number(i), reply = orig;

	reply.src = orig.dst;
	reply.dst = orig.src;
	reply.sport = orig.dport;
	reply.dport = orig.sport;
	nl_nfmessage(b, NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_NEW,
		NLM_F_CREATE | NLM_F_EXCL | (last ? NLM_F_ACK : 0), AF_INET, 0);
	put_tuple(b, CTA_TUPLE_ORIG, &orig);
	put_tuple(b, CTA_TUPLE_REPLY, &reply);
	nl_put_be32(b, CTA_TIMEOUT, TIMEOUT_S);
	nl_put_be32(b, CTA_STATUS, IPS_CONFIRMED | IPS_SEEN_REPLY | IPS_ASSURED);
	if (orig.protocol == IPPROTO_TCP)
		put_tcp_state(b);
}

int bench_ct_fill(int argc, char **argv)
{
	struct nlbuf b = { 0 };

	if (argc != 2)
		return 2;
	uint32_t count = (uint32_t)strtoul(argv[1], NULL, 10);
	int fd = nl_open(NETLINK_NETFILTER), r = fd;

	for (uint32_t i = 0; r >= 0 && i < count;) {
		nlbuf_reset(&b);
		for (uint32_t end = i + PER_SEND < count ? i + PER_SEND : count; i < end; i++)
			put_entry(&b, i, i + 1 == end);
		r = nl_talk(fd, &b, b.seq);
	}
	nlbuf_free(&b);
	if (fd >= 0)
		close(fd);
	return nl_report(r, "ct-fill");
}

int bench_ct_flush(int argc, char **argv)
{
	struct nlbuf b = { 0 };

	(void)argv;
	if (argc != 1)
		return 2;
	int fd = nl_open(NETLINK_NETFILTER), r = fd;

	if (r >= 0) {
		nl_nfmessage(&b, NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE, NLM_F_ACK, AF_INET, 0);
		r = nl_talk(fd, &b, b.seq);
		nlbuf_free(&b);
		close(fd);
	}
	return nl_report(r, "ct-flush");
}
