/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nft/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SNDBUF_DEFAULT 131072 /* below every kernel's default of net.core.wmem_default */

static int open_socket(struct fl_nft *nft)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER), one = 1;

	if (fd < 0)
		return -errno;
	/* Both only make errors richer and smaller: kernels that refuse them do as well. */
	setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof(one));
	setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof(one));
	*nft = (struct fl_nft){ .fd = fd };
	return 0;
}

int fl_nft_open(struct fl_nft *ret, struct fl_error *err)
{
	int r = open_socket(ret);

	return r ? fl_error_errno(err, r, FL_ECODE_KERNEL, "cannot open a nfnetlink socket") : 0;
}

void fl_nft_close(struct fl_nft *nft)
{
	if (nft->fd >= 0)
		close(nft->fd);
	nft->fd = -1;
}

struct nlmsghdr *fl_nfnl_header(void *buf, unsigned subsys, unsigned message, uint16_t flags,
				uint8_t family, uint16_t resource, uint32_t seq)
{
	struct nlmsghdr *nlh = fl_msg_start(buf);
	struct nfgenmsg *nfg = fl_msg_extra(nlh, sizeof(*nfg));

	nlh->nlmsg_type = (uint16_t)(subsys << 8 | message);
	nlh->nlmsg_flags = NLM_F_REQUEST | flags;
	nlh->nlmsg_seq = seq;
	nfg->nfgen_family = family;
	nfg->version = NFNETLINK_V0;
	nfg->res_id = htons(resource);
	return nlh;
}

void fl_nfnl_parse_ack(const struct nlmsghdr *nlh, struct fl_nfnl_ack *ret)
{
	const struct nlmsgerr *e = fl_msg_payload(nlh);
	unsigned skip = sizeof(*e);
	const struct nlattr *attr;

	*ret = (struct fl_nfnl_ack){ .err = -EBADMSG };
	if (fl_msg_payload_len(nlh) < sizeof(*e))
		return;
	ret->err = e->error;
	ret->seq = e->msg.nlmsg_seq;
	if (!(nlh->nlmsg_flags & NLM_F_ACK_TLVS))
		return;
	if (!(nlh->nlmsg_flags & NLM_F_CAPPED))
		skip += e->msg.nlmsg_len - (unsigned)sizeof(e->msg);
	fl_attr_for_each(attr, nlh, skip)
	{
		uint16_t type = fl_attr_type(attr);

		if (type == NLMSGERR_ATTR_MSG && fl_attr_is_str(attr))
			ret->text = fl_attr_str(attr);
		else if (type == NLMSGERR_ATTR_OFFS && fl_attr_is_u32(attr))
			ret->offset = fl_attr_u32(attr);
	}
}

/* A message must fit the send buffer, of which the kernel keeps some bytes for itself. */
static void grow_sndbuf(struct fl_nft *nft, size_t len)
{
	int want = len > INT32_MAX / 4 ? INT32_MAX / 4 : (int)len + 4096;

	if (len < SNDBUF_DEFAULT || len < nft->sndbuf)
		return;
	if (setsockopt(nft->fd, SOL_SOCKET, SO_SNDBUFFORCE, &want, sizeof(want)))
		setsockopt(nft->fd, SOL_SOCKET, SO_SNDBUF, &want, sizeof(want));
	nft->sndbuf = (size_t)want;
}

int fl_nfnl_send(struct fl_nft *nft, const void *buf, size_t len)
{
	static const struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	ssize_t n;
	int r = nft->fd < 0 ? open_socket(nft) : 0;

	if (r)
		return r;
	grow_sndbuf(nft, len);
	do
		n = sendto(nft->fd, buf, len, 0, (const struct sockaddr *)&kernel, sizeof(kernel));
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

ssize_t fl_nfnl_recv(struct fl_nft *nft, void *buf, size_t size)
{
	ssize_t n;

	do
		n = recv(nft->fd, buf, size, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

/* 1: the conversation is over; 0: go on; negative errno: it failed. */
static int take_reply(const struct nlmsghdr *nlh, fl_nfnl_cb cb, void *arg, struct fl_error *err)
{
	struct fl_nfnl_ack ack;
	int r;

	if (nlh->nlmsg_type == NLMSG_DONE)
		return 1;
	if (nlh->nlmsg_type == NLMSG_ERROR) {
		fl_nfnl_parse_ack(nlh, &ack);
		if (ack.err && ack.text)
			fl_error_details(err, ack.text);
		return ack.err ? ack.err : 1;
	}
	r = cb ? cb(nlh, arg) : 0;
	return r < 0 ? r : 0;
}

int fl_nfnl_talk(struct fl_nft *nft, const struct nlmsghdr *request, fl_nfnl_cb cb, void *arg,
		 struct fl_error *err)
{
	bool dump = (request->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
	FL_AUTOFREE uint8_t *buf = malloc(FL_NFNL_BUF);
	int r = buf ? fl_nfnl_send(nft, request, request->nlmsg_len) : -ENOMEM, end = 0;

	/* After an error the rest is read too, so that the next request meets an empty socket. */
	while (!r && end != 1) {
		ssize_t n = fl_nfnl_recv(nft, buf, FL_NFNL_BUF);
		int left = (int)n;

		if (n == -EAGAIN)
			return end ? end : dump ? -EIO : 0;
		if (n < 0 && n != -ENOBUFS)
			return (int)n;
		if (n < 0 && !end)
			end = (int)n;
		for (struct nlmsghdr *nlh = (void *)buf; left > 0 && fl_msg_ok(nlh, left);
		     nlh = fl_msg_next(nlh, &left)) {
			if (nlh->nlmsg_seq == request->nlmsg_seq && !end)
				end = take_reply(nlh, cb, arg, err);
		}
	}
	return r;
}
