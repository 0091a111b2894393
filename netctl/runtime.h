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
	const char *container, *netns, *ifname;
	const char *name;     /* what people call it; NULL */
	const char *hostname; /* NULL */
	bool another;	      /* also when the container is on this network already */
	json_t *capabilities; /* capability arguments: {"portMappings": [...]}; borrowed, may be
				 NULL */
};

/*
 * ADD. On failure the plugins' DEL has run, and nothing is left. -EEXIST when the container has
 * such an interface on this network. A capability that no plugin of the list declares is an error
 * naming it.
 */
int runtime_attach(struct ctl *c, const struct attach *a, json_t **ret_result,
		   struct fl_error *err);
/*
 * DEL of a whole attachment, whoever made it: by what was kept, else by the configuration of that
 * name in the folder; what records are left goes by runtime_forget(). Absent is success.
 */
int runtime_detach(struct ctl *c, const struct attachment *a, struct fl_error *err);
/* DEL of one record by nothing but itself: no configuration is needed. */
int runtime_forget(struct ctl *c, const struct fl_endpoint *ep, struct fl_error *err);

/* Is the sandbox provably gone, and nobody at work on it? Costs one question to the kernel. */
bool runtime_is_gone(struct ctl *c, const struct fl_endpoint *ep);
