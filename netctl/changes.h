/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What two looks at a host differ in, as events. */
#pragma once

#include "netctl/hostview.h"
#include "netctl/model.h"

/* One look. */
struct view {
	struct model m;
	bool *known; /* for each attachment of m: it has been attached, as far as was told */
	struct host_view host;
};

void view_clear(struct view *v);

struct event {
	const char *event; /* "attach", "detach", "publish", "unpublish", "address", "state" */
	const char *network, *container, *name; /* "" where it is nobody's */
	const char *label;			/* what people call the container; "-" */
	const char *interface;
	const char *detail; /* for people */
	json_t *more;	    /* further members of the JSON; NULL; released by who gets it */
};

struct changes {
	void (*tell)(void *arg, const struct event *e);
	void *arg;
};

/*
 * Tells what led from `old` to `now`, and fills now->known. An attachment is told of when it is
 * ready; what came and went in between is not told of at all. With `first`, nothing is told.
 */
int changes_tell(const struct changes *c, const struct view *old, struct view *now, bool first,
		 struct fl_error *err);
