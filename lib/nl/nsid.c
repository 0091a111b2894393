/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nl/virtual.h"

#include <errno.h>
#include <linux/net_namespace.h>
#include <netlink/attr.h>

static void nsid_init(struct fl_req *q, int type)
{
	struct rtgenmsg g = { .rtgen_family = AF_UNSPEC };

	fl_req_init(q, type, 0, &g, sizeof(g));
}

static int take_nsid(void *arg, const struct nlmsghdr *h)
{
	const char *g = NLMSG_DATA(h);
	const struct nlattr *a = (const struct nlattr *)(g + NLMSG_ALIGN(sizeof(struct rtgenmsg)));
	int rest = (int)(h->nlmsg_len - NLMSG_SPACE(sizeof(struct rtgenmsg)));

	for (; nla_ok(a, rest); a = nla_next(a, &rest))
		if (nla_type(a) == NETNSA_NSID)
			*(int32_t *)arg = nla_get_s32(a);
	return 0;
}

static int ask_nsid(struct fl_nl *nl, int attr, uint32_t value, int32_t *ret, struct fl_error *err)
{
	FL_AUTOREQ struct fl_req q = { 0 };

	*ret = NETNSA_NSID_NOT_ASSIGNED;
	nsid_init(&q, RTM_GETNSID);
	fl_req_u32(&q, attr, value);
	return fl_nl_ask(nl, &q, take_nsid, ret, err);
}

int fl_nsid_assign(struct fl_nl *nl, int netns_fd, int32_t want, int32_t *ret, struct fl_error *err)
{
	FL_AUTOREQ struct fl_req q = { 0 };
	struct fl_error add = { 0 };
	int32_t id;
	int r, got;

	nsid_init(&q, RTM_NEWNSID);
	fl_req_u32(&q, NETNSA_FD, (uint32_t)netns_fd);
	fl_req_u32(&q, NETNSA_NSID, (uint32_t)want);
	got = fl_nl_do(nl, &q, &add, "namespace id %d", want);
	if (got && got != -EEXIST)
		goto failed;
	if (!got && want >= 0) {
		*ret = want;
		return 0;
	}
	/* -EEXIST is either: the namespace has an id, or the id is another's. */
	r = ask_nsid(nl, NETNSA_FD, (uint32_t)netns_fd, &id, err);
	if (r)
		return r;
	if (id != NETNSA_NSID_NOT_ASSIGNED) {
		*ret = id;
		return 0;
	}
failed:
	if (err && got)
		*err = add;
	return got ? got
		   : fl_error_set(err, ENOENT, FL_ECODE_KERNEL,
				  "namespace id %d: the kernel lost it", want);
}

int fl_nsid_exists(struct fl_nl *nl, int32_t id, struct fl_error *err)
{
	struct fl_error ask = { 0 };
	int32_t got;
	int r;

	if (id < 0)
		return 0;
	/* By the number the kernel looks for a namespace that still has references, and answers
	 * -ENOENT otherwise: also for one whose clean-up is only queued. */
	r = ask_nsid(nl, NETNSA_NSID, (uint32_t)id, &got, &ask);
	if (r == -ENOENT)
		return 0;
	if (r && err)
		*err = ask;
	return r ? r : 1;
}
