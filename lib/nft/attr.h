/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Netlink messages and attributes (struct nlmsghdr, struct nlattr: linux/netlink.h), written into
 * memory that the caller has made large enough, and read from what the kernel sent. Nothing here
 * allocates or fails; integers are in the order that the protocol's own header says.
 */
#pragma once

#include <linux/netlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* ---- writing: at the end of the message ---- */

static inline struct nlmsghdr *fl_msg_start(void *buf)
{
	struct nlmsghdr *nlh = buf;

	memset(nlh, 0, NLMSG_HDRLEN);
	nlh->nlmsg_len = NLMSG_HDRLEN;
	return nlh;
}

/* The protocol's own header, zeroed. */
static inline void *fl_msg_extra(struct nlmsghdr *nlh, size_t len)
{
	char *at = (char *)nlh + nlh->nlmsg_len;

	memset(at, 0, NLMSG_ALIGN(len));
	nlh->nlmsg_len += (uint32_t)NLMSG_ALIGN(len);
	return at;
}

static inline struct nlattr *fl_attr_at_end(struct nlmsghdr *nlh)
{
	return (struct nlattr *)((char *)nlh + NLMSG_ALIGN(nlh->nlmsg_len));
}

static inline void fl_attr_put(struct nlmsghdr *nlh, uint16_t type, size_t len, const void *data)
{
	struct nlattr *a = fl_attr_at_end(nlh);
	size_t pad = NLA_ALIGN(len) - len;

	a->nla_type = type;
	a->nla_len = (uint16_t)(NLA_HDRLEN + len);
	if (len)
		memcpy((char *)a + NLA_HDRLEN, data, len);
	memset((char *)a + NLA_HDRLEN + len, 0, pad);
	nlh->nlmsg_len = (uint32_t)((char *)a - (char *)nlh + NLA_HDRLEN + NLA_ALIGN(len));
}

static inline void fl_attr_put_u8(struct nlmsghdr *nlh, uint16_t type, uint8_t v)
{
	fl_attr_put(nlh, type, sizeof(v), &v);
}

static inline void fl_attr_put_u16(struct nlmsghdr *nlh, uint16_t type, uint16_t v)
{
	fl_attr_put(nlh, type, sizeof(v), &v);
}

static inline void fl_attr_put_u32(struct nlmsghdr *nlh, uint16_t type, uint32_t v)
{
	fl_attr_put(nlh, type, sizeof(v), &v);
}

static inline void fl_attr_put_u64(struct nlmsghdr *nlh, uint16_t type, uint64_t v)
{
	fl_attr_put(nlh, type, sizeof(v), &v);
}

static inline void fl_attr_put_strz(struct nlmsghdr *nlh, uint16_t type, const char *s)
{
	fl_attr_put(nlh, type, strlen(s) + 1, s);
}

static inline struct nlattr *fl_attr_nest_start(struct nlmsghdr *nlh, uint16_t type)
{
	struct nlattr *a = fl_attr_at_end(nlh);

	a->nla_type = NLA_F_NESTED | type;
	nlh->nlmsg_len = (uint32_t)((char *)a - (char *)nlh + NLA_HDRLEN);
	return a;
}

static inline void fl_attr_nest_end(struct nlmsghdr *nlh, struct nlattr *start)
{
	start->nla_len = (uint16_t)((char *)fl_attr_at_end(nlh) - (char *)start);
}

/* ---- reading ---- */

static inline bool fl_msg_ok(const struct nlmsghdr *nlh, int len)
{
	return len >= (int)NLMSG_HDRLEN && nlh->nlmsg_len >= NLMSG_HDRLEN &&
	       (int)nlh->nlmsg_len <= len;
}

static inline struct nlmsghdr *fl_msg_next(const struct nlmsghdr *nlh, int *len)
{
	*len -= (int)NLMSG_ALIGN(nlh->nlmsg_len);
	return (struct nlmsghdr *)((char *)nlh + NLMSG_ALIGN(nlh->nlmsg_len));
}

static inline void *fl_msg_payload(const struct nlmsghdr *nlh)
{
	return (char *)nlh + NLMSG_HDRLEN;
}

static inline size_t fl_msg_payload_len(const struct nlmsghdr *nlh)
{
	return nlh->nlmsg_len - NLMSG_HDRLEN;
}

static inline uint16_t fl_attr_type(const struct nlattr *a)
{
	return a->nla_type & NLA_TYPE_MASK;
}

static inline uint16_t fl_attr_len(const struct nlattr *a)
{
	return (uint16_t)(a->nla_len - NLA_HDRLEN);
}

static inline void *fl_attr_data(const struct nlattr *a)
{
	return (char *)a + NLA_HDRLEN;
}

static inline uint8_t fl_attr_u8(const struct nlattr *a)
{
	return *(const uint8_t *)fl_attr_data(a);
}

static inline uint16_t fl_attr_u16(const struct nlattr *a)
{
	uint16_t v;

	memcpy(&v, fl_attr_data(a), sizeof(v));
	return v;
}

static inline uint32_t fl_attr_u32(const struct nlattr *a)
{
	uint32_t v;

	memcpy(&v, fl_attr_data(a), sizeof(v));
	return v;
}

static inline uint64_t fl_attr_u64(const struct nlattr *a)
{
	uint64_t v;

	memcpy(&v, fl_attr_data(a), sizeof(v));
	return v;
}

static inline const char *fl_attr_str(const struct nlattr *a)
{
	return fl_attr_data(a);
}

/* Ends with a NUL inside the attribute. */
static inline bool fl_attr_is_str(const struct nlattr *a)
{
	return fl_attr_len(a) && !fl_attr_str(a)[fl_attr_len(a) - 1];
}

static inline bool fl_attr_is_u32(const struct nlattr *a)
{
	return fl_attr_len(a) == sizeof(uint32_t);
}

static inline bool fl_attr_fits(const struct nlattr *a, const char *end)
{
	ptrdiff_t left = end - (const char *)a;

	return left >= (ptrdiff_t)NLA_HDRLEN && a->nla_len >= NLA_HDRLEN && a->nla_len <= left;
}

static inline const struct nlattr *fl_attr_next(const struct nlattr *a)
{
	return (const struct nlattr *)((const char *)a + NLA_ALIGN(a->nla_len));
}

/* Attributes behind `offset` bytes of the message's payload. */
#define fl_attr_for_each(a, nlh, offset)                                       \
	for ((a) = (const struct nlattr *)((const char *)fl_msg_payload(nlh) + \
					   NLMSG_ALIGN(offset));               \
	     fl_attr_fits((a), (const char *)(nlh) + (nlh)->nlmsg_len); (a) = fl_attr_next(a))

#define fl_attr_for_each_nested(a, nest)                      \
	for ((a) = (const struct nlattr *)fl_attr_data(nest); \
	     fl_attr_fits((a), (const char *)(nest) + (nest)->nla_len); (a) = fl_attr_next(a))
