/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * netctl as a CNI runtime: executes the plugins of a network's list in order, each with the result
 * of the one before (CNI specification 1.1.0 section 3 and 4), and keeps what a later DEL needs in
 * STATE/attachments/CONTAINER/NETWORK,INTERFACE.
 */
#pragma once

#include "netctl/conflist.h"
#include "netctl/model.h"

struct attach {
	const struct conflist *net;
	const char *container, *netns;
	const struct fl_netns *sandbox; /* that netns leads to */
	const char *ifname;		/* NULL: the first free ethN, unless it is on the network */
	const char *name;		/* what people call it; NULL */
	const char *hostname;		/* NULL */
	json_t *capabilities; /* capability arguments: {"portMappings": [...]}; borrowed, or NULL */
};

/*
 * ADD; ret_ifname has IFNAMSIZ bytes. On failure what succeeded is deleted, and nothing is left.
 * -EEXIST when there is such an interface, whoever made it. A capability that no plugin of the list
 * declares is an error naming it.
 */
int runtime_attach(struct ctl *c, const struct attach *a, json_t **ret_result, char *ret_ifname,
		   struct fl_error *err);
/*
 * DEL of a whole attachment, whoever made it: by what was kept of it, else by the configuration of
 * that name in the folder; what records are left goes by runtime_forget(). Absent is success. A
 * foreign plugin's failure is reported, and what was kept stays for the next try, unless `force`.
 */
int runtime_detach(struct ctl *c, const struct attachment *a, bool force, struct fl_error *err);
/*
 * The same for what netctl attached and no record tells of: foreign plugins, and ours that keep
 * none. Of all networks and interfaces where these are NULL. `list` gets {"container", "network",
 * "interface"} of each.
 */
int runtime_detach_unrecorded(struct ctl *c, const char *container, const char *network,
			      const char *ifname, bool force, json_t *list, struct fl_error *err);
/* DEL of one record by nothing but itself: no configuration is needed. */
int runtime_forget(struct ctl *c, const struct fl_endpoint *ep, struct fl_error *err);

/* Is the sandbox provably gone, and nobody at work on it? Costs one question to the kernel. */
bool runtime_is_gone(struct ctl *c, const struct fl_endpoint *ep);
