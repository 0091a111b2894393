/* How a set is declared: the floor must repeat it, exactly, to assert that the set is there. */
#include "fl-bench.h"
#include "nlraw.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ATTRIBUTES (NFTA_SET_MAX + 1)

static void index_attributes(const struct nlmsghdr *h, const struct nlattr **ret)
{
	const uint8_t *at = (const uint8_t *)NLMSG_DATA(h) + NLMSG_ALIGN(sizeof(struct nfgenmsg));
	const uint8_t *end = (const uint8_t *)h + h->nlmsg_len;

	while (at + sizeof(struct nlattr) <= end) {
		const struct nlattr *a = (const struct nlattr *)at;
		unsigned type = a->nla_type & NLA_TYPE_MASK;

		if (a->nla_len < sizeof(*a))
			return;
		if (type < ATTRIBUTES)
			ret[type] = a;
		at += NLA_ALIGN(a->nla_len);
	}
}

static uint32_t be32_value(const struct nlattr *a)
{
	uint32_t v = 0;

	if (a != NULL)
		memcpy(&v, a + 1, sizeof(v));
	return ntohl(v);
}

static bool print_match(const struct nlmsghdr *h, const char *prefix)
{
	const struct nlattr *a[ATTRIBUTES] = { 0 };

	index_attributes(h, a);
	const char *name = a[NFTA_SET_NAME] != NULL ? (const char *)(a[NFTA_SET_NAME] + 1) : "";

	if (strncmp(name, prefix, strlen(prefix)) != 0)
		return false;
	printf("%s,%u,%u\n", name, be32_value(a[NFTA_SET_KEY_TYPE]), be32_value(a[NFTA_SET_KEY_LEN]));
	return true;
}

/* Returns 1 when found, 0 to read on, -errno at the end. */
static int scan(const uint8_t *data, size_t len, const char *prefix)
{
	const struct nlmsghdr *h = (const struct nlmsghdr *)data;

	for (int left = (int)len; left > 0 && NLMSG_OK(h, (unsigned)left); h = NLMSG_NEXT(h, left)) {
		if (h->nlmsg_type == NLMSG_DONE)
			return -ENOENT;
		if (h->nlmsg_type == NLMSG_ERROR)
			return ((const struct nlmsgerr *)NLMSG_DATA(h))->error;
		if (print_match(h, prefix))
			return 1;
	}
	return 0;
}

int bench_nft_set(int argc, char **argv)
{
	static _Alignas(struct nlmsghdr) uint8_t answer[65536];
	struct nlbuf b = { 0 };

	if (argc != 3)
		return 2;
	int fd = nl_open(NETLINK_NETFILTER), r = fd < 0 ? fd : 0;

	nl_nfmessage(&b, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETSET, NLM_F_DUMP, NFPROTO_INET, 0);
	nl_put_str(&b, NFTA_SET_TABLE, argv[1]);
	if (r == 0 && (b.failed || send(fd, b.data, b.len, 0) < 0))
		r = -EIO;
	while (r == 0) {
		ssize_t n = recv(fd, answer, sizeof(answer), 0);

		r = n < 0 ? -errno : scan(answer, (size_t)n, argv[2]);
	}
	nlbuf_free(&b);
	return r > 0 ? 0 : nl_report(r, argv[1]);
}
