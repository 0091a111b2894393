/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * firewalld, asked over the system bus (firewalld.dbus(5), interface org.fedoraproject.FirewallD1
 * .zone). Runtime changes only: nothing is written to its permanent configuration, so they go with
 * a reload or restart of firewalld, and CHECK finds them missing.
 *
 * No call starts firewalld. Each waits at most 2 seconds.
 */
#pragma once

#include "base/addr.h"
#include "base/cleanup.h"
#include "base/error.h"

struct fl_firewalld; /* a private connection to the system bus */

/*
 * Connects to $DBUS_SYSTEM_BUS_ADDRESS, else /run/dbus/system_bus_socket. 1: firewalld runs and
 * *ret is its connection; 0: there is no bus, or nobody on the bus is firewalld, and
 * *ret is untouched.
 */
int fl_firewalld_open(struct fl_firewalld **ret, struct fl_error *err);
void fl_firewalld_close(struct fl_firewalld *f);
FL_DEFINE_CLEANUP(struct fl_firewalld *, fl_firewalld_close)
#define FL_AUTOFIREWALLD FL_CLEANUP(fl_firewalld_close_p)

/* 1 or 0, by a connection of its own. */
int fl_firewalld_running(struct fl_error *err);

/*
 * Each address, whatever its prefix length, becomes a source of the zone as a host (/32, /128).
 * Both are idempotent: what the zone has already, or has no longer, is success; so is removing
 * when firewalld has stopped meanwhile. They stop at the first failure and undo nothing: removing
 * all of the addresses is the way back. FL_ECODE_CONFIG when there is no such zone,
 * FL_ECODE_CONFLICT when another zone has the address.
 */
int fl_firewalld_add_sources(struct fl_firewalld *f, const char *zone,
			     const struct fl_prefix *addrs, size_t n, struct fl_error *err);
int fl_firewalld_remove_sources(struct fl_firewalld *f, const char *zone,
				const struct fl_prefix *addrs, size_t n, struct fl_error *err);
/* 1: the zone has all of them; 0 with err filled (FL_ECODE_CHECK, the first one missing). */
int fl_firewalld_has_sources(struct fl_firewalld *f, const char *zone,
			     const struct fl_prefix *addrs, size_t n, struct fl_error *err);
