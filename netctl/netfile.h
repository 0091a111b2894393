/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The files that netctl makes: fairlead-NAME.conflist. */
#pragma once

#include "netctl/conflist.h"
#include "netctl/ctl.h"

/*
 * Would a runtime use the new file where it used another, or none? Then only with --default:
 * somebody else's file would lose its place as the first, or a kubelet's pods would get it.
 */
int netfile_may_be_made(const struct ctl *c, const struct conflists *files, const char *network,
			struct fl_error *err);
/* "fl-NAME", and where that is too long a part of it and a number: IFNAMSIZ bytes. */
void netfile_bridge(const char *network, char *buf);
/* Makes the folder, and holds it: two networks at once would choose the same free subnet. */
int netfile_lock(const struct ctl *c, int *ret, struct fl_error *err);
/* Atomically; -EEXIST when there is one. `path` is filled. */
int netfile_write(const struct ctl *c, const char *network, const json_t *list, char *path,
		  size_t size, struct fl_error *err);
