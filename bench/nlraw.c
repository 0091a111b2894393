#include "nlraw.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void nlbuf_free(struct nlbuf *b)
{
	free(b->data);
	*b = (struct nlbuf){ 0 };
}

void nlbuf_reset(struct nlbuf *b)
{
	b->len = 0;
	b->message = 0;
}

static void *reserve(struct nlbuf *b, size_t len)
{
	size_t need = b->len + NLMSG_ALIGN(len);

	if (b->failed)
		return NULL;
	if (need > b->cap) {
		size_t cap = need * 2 + 1024;
		uint8_t *data = realloc(b->data, cap);

		if (data == NULL) {
			b->failed = true;
			return NULL;
		}
		b->data = data;
		b->cap = cap;
	}
	void *at = b->data + b->len;

	memset(at, 0, NLMSG_ALIGN(len));
	b->len = need;
	return at;
}

static void grow_message(struct nlbuf *b)
{
	if (!b->failed)
		((struct nlmsghdr *)(b->data + b->message))->nlmsg_len = (uint32_t)(b->len - b->message);
}

void nl_raw(struct nlbuf *b, const void *data, size_t len)
{
	void *at = reserve(b, len);

	if (at == NULL)
		return;
	memcpy(at, data, len);
	grow_message(b);
}

void nl_message(struct nlbuf *b, uint16_t type, uint16_t flags, const void *header, size_t len)
{
	b->message = b->len;
	struct nlmsghdr *h = reserve(b, sizeof(*h));

	if (h == NULL)
		return;
	h->nlmsg_type = type;
	h->nlmsg_flags = NLM_F_REQUEST | flags;
	h->nlmsg_seq = ++b->seq;
	nl_raw(b, header, len);
}

void nl_nfmessage(struct nlbuf *b, uint16_t type, uint16_t flags, uint8_t family, uint16_t resource)
{
	struct nfgenmsg g = { .nfgen_family = family, .res_id = htons(resource) };

	nl_message(b, type, flags, &g, sizeof(g));
}

void nl_put(struct nlbuf *b, uint16_t type, const void *data, size_t len)
{
	struct nlattr *a = reserve(b, sizeof(*a) + len);

	if (a == NULL)
		return;
	a->nla_type = type;
	a->nla_len = (uint16_t)(sizeof(*a) + len);
	if (len > 0) /* a nest has no data */
		memcpy(a + 1, data, len);
	grow_message(b);
}

void nl_put_str(struct nlbuf *b, uint16_t type, const char *s)
{
	nl_put(b, type, s, strlen(s) + 1);
}

void nl_put_u8(struct nlbuf *b, uint16_t type, uint8_t v)
{
	nl_put(b, type, &v, sizeof(v));
}

void nl_put_u16(struct nlbuf *b, uint16_t type, uint16_t v)
{
	nl_put(b, type, &v, sizeof(v));
}

void nl_put_u32(struct nlbuf *b, uint16_t type, uint32_t v)
{
	nl_put(b, type, &v, sizeof(v));
}

void nl_put_be32(struct nlbuf *b, uint16_t type, uint32_t v)
{
	nl_put_u32(b, type, htonl(v));
}

size_t nl_nest(struct nlbuf *b, uint16_t type)
{
	size_t at = b->len;

	nl_put(b, type | NLA_F_NESTED, NULL, 0);
	return at;
}

void nl_nest_end(struct nlbuf *b, size_t nest)
{
	if (!b->failed)
		((struct nlattr *)(b->data + nest))->nla_len = (uint16_t)(b->len - nest);
}

int nl_open(int protocol)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);

	return fd < 0 ? -errno : fd;
}

static int send_all(int fd, const struct nlbuf *b)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };

	/* A batch is one datagram; the default send buffer holds about 200 kB. */
	if (b->len > 100000) {
		int size = (int)b->len * 2;

		setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	}
	ssize_t n = sendto(fd, b->data, b->len, 0, (struct sockaddr *)&kernel, sizeof(kernel));

	return n < 0 ? -errno : 0;
}

/* One datagram of answers. Returns 1 when the awaited one is in it, 0 to read on, or the kernel's -errno. */
static int scan_answers(const uint8_t *data, size_t len, uint32_t expect)
{
	const struct nlmsghdr *h = (const struct nlmsghdr *)data;

	while (len >= sizeof(*h) && h->nlmsg_len >= sizeof(*h)) {
		if (h->nlmsg_type == NLMSG_ERROR) {
			const struct nlmsgerr *e = NLMSG_DATA(h);

			if (e->error != 0)
				return e->error;
			if (h->nlmsg_seq == expect)
				return 1;
		}
		if (h->nlmsg_type == NLMSG_DONE && h->nlmsg_seq == expect)
			return 1;
		if (NLMSG_ALIGN(h->nlmsg_len) >= len)
			break;
		len -= NLMSG_ALIGN(h->nlmsg_len);
		h = (const struct nlmsghdr *)((const uint8_t *)h + NLMSG_ALIGN(h->nlmsg_len));
	}
	return 0;
}

int nl_talk(int fd, const struct nlbuf *b, uint32_t expect)
{
	static _Alignas(struct nlmsghdr) uint8_t answer[32768];

	if (b->failed)
		return -ENOMEM;
	int r = send_all(fd, b);

	while (r == 0) {
		/* An error echoes its message; a long one is cut, and is the last we read. */
		ssize_t n = recv(fd, answer, sizeof(answer), 0);

		if (n < 0)
			r = errno == EINTR ? 0 : -errno;
		else
			r = scan_answers(answer, (size_t)n, expect);
	}
	return r < 0 ? r : 0;
}

int nl_report(int r, const char *what)
{
	if (r >= 0)
		return 0;
	fprintf(stderr, "%s: %s\n", what, strerror(-r));
	return 1;
}
