/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Changes of links that exist. */
#include "nl/virtual.h"

#include <errno.h>
#include <string.h>

static void change_init(struct fl_req *q, uint32_t index, unsigned mask, unsigned flags)
{
	struct ifinfomsg ifi = { .ifi_family = AF_UNSPEC,
				 .ifi_index = (int)index,
				 .ifi_change = mask,
				 .ifi_flags = flags };

	fl_req_init(q, RTM_NEWLINK, 0, &ifi, sizeof(ifi));
}

int fl_link_move_as(struct fl_nl *nl, uint32_t index, const struct fl_link_target *to,
		    struct fl_error *err)
{
	FL_AUTOREQ struct fl_req q = { 0 };

	/* The kernel closes the link on its way, so that a rename needs nothing more; where the
	 * old name is taken in the other namespace it takes the new one at once. */
	change_init(&q, index, 0, 0);
	fl_req_u32(&q, IFLA_NET_NS_FD, (uint32_t)to->netns_fd);
	if (to->index)
		fl_req_u32(&q, IFLA_NEW_IFINDEX, to->index);
	if (to->name)
		fl_req_str(&q, IFLA_IFNAME, to->name);
	/* Without its NUL, as below. */
	if (to->alias)
		fl_req_put(&q, IFLA_IFALIAS, to->alias, strlen(to->alias));
	return fl_nl_do(nl, &q, err, "interface %u: move to another namespace%s%s", index,
			to->name ? " as " : "", to->name ? to->name : "");
}

int fl_link_move(struct fl_nl *nl, uint32_t index, int netns_fd, const char *new_name,
		 struct fl_error *err)
{
	return fl_link_move_as(nl, index, &(struct fl_link_target){ netns_fd, new_name, 0, NULL },
			       err);
}

static int rename_link(struct fl_nl *nl, uint32_t index, const char *name, struct fl_error *err)
{
	FL_AUTOREQ struct fl_req q = { 0 };

	change_init(&q, index, 0, 0);
	fl_req_str(&q, IFLA_IFNAME, name);
	return fl_nl_do(nl, &q, err, "interface %u: rename to %s", index, name);
}

int fl_link_rename(struct fl_nl *nl, uint32_t index, const char *name, struct fl_error *err)
{
	int r = rename_link(nl, index, name, err), up;

	if (r != -EBUSY)
		return r;
	r = fl_link_set_up(nl, index, false, err);
	if (r)
		return r;
	r = rename_link(nl, index, name, err);
	up = fl_link_set_up(nl, index, true, r ? NULL : err);
	return r ? r : up;
}

int fl_link_set_mtu(struct fl_nl *nl, uint32_t index, uint32_t mtu, struct fl_error *err)
{
	FL_AUTOREQ struct fl_req q = { 0 };

	change_init(&q, index, 0, 0);
	fl_req_u32(&q, IFLA_MTU, mtu);
	return fl_nl_do(nl, &q, err, "interface %u: set MTU %u", index, mtu);
}

int fl_link_set_txqlen(struct fl_nl *nl, uint32_t index, uint32_t packets, struct fl_error *err)
{
	FL_AUTOREQ struct fl_req q = { 0 };

	change_init(&q, index, 0, 0);
	fl_req_u32(&q, IFLA_TXQLEN, packets);
	return fl_nl_do(nl, &q, err, "interface %u: set transmit queue length %u", index, packets);
}

int fl_link_set_allmulti(struct fl_nl *nl, uint32_t index, bool on, struct fl_error *err)
{
	FL_AUTOREQ struct fl_req q = { 0 };

	change_init(&q, index, IFF_ALLMULTI, on ? IFF_ALLMULTI : 0);
	return fl_nl_do(nl, &q, err, "interface %u: all-multicast mode", index);
}

int fl_link_set_alias(struct fl_nl *nl, uint32_t index, const char *alias, struct fl_error *err)
{
	FL_AUTOREQ struct fl_req q = { 0 };

	change_init(&q, index, 0, 0);
	/* Without its NUL, which would be a byte of the alias: length 0 is what clears it. */
	fl_req_put(&q, IFLA_IFALIAS, alias, strlen(alias));
	return fl_nl_do(nl, &q, err, "interface %u: set alias", index);
}

int fl_link_set_master(struct fl_nl *nl, uint32_t index, uint32_t master, struct fl_error *err)
{
	FL_AUTOREQ struct fl_req q = { 0 };

	change_init(&q, index, 0, 0);
	fl_req_u32(&q, IFLA_MASTER, master);
	if (!master)
		return fl_nl_do(nl, &q, err, "interface %u: release from its master", index);
	return fl_nl_do(nl, &q, err, "interface %u: put into interface %u", index, master);
}
