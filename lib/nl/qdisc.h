/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Traffic control: tc(8), tc-tbf(8), tc-htb(8), tc-u32(8), linux/pkt_sched.h, linux/pkt_cls.h.
 *
 * Rates are bytes per second, bursts bytes. Handles are 32-bit: 0x10000 is "1:", 0x10005 "1:5",
 * FL_TC_ROOT is the device itself. A scheduler, classifier or action that this kernel lacks gives
 * -ENOENT and a text with its option; so does a parent that is not there, with the kernel's text.
 */
#pragma once

#include "nl/nl.h"

#include <linux/pkt_sched.h>

#define FL_TC_ROOT 0u
#define FL_TC_INGRESS 0xfffffff1u	 /* parent of the ingress qdisc */
#define FL_TC_INGRESS_HANDLE 0xffff0000u /* parent of its filters, "ffff:" */

/* A queuing discipline, or a class of htb. */
struct fl_qdisc {
	char kind[16];
	uint32_t ifindex, handle;
	uint32_t parent; /* FL_TC_ROOT, FL_TC_INGRESS or a class */
	uint64_t rate;	 /* tbf; htb's class */
	uint32_t burst;	 /* of `rate`; from `buffer`, thus rounded */
	uint32_t buffer; /* the burst's duration in ticks of 64 ns, low 32 bits */
};

/*
 * Token bucket, made or changed. rate and burst above 0; a burst below the MTU drops what is
 * larger. Packets wait for at most latency_us. handle 0: the kernel's choice.
 */
int fl_tbf_set(struct fl_nl *nl, uint32_t ifindex, uint32_t parent, uint32_t handle, uint64_t rate,
	       uint32_t burst, uint32_t latency_us, struct fl_error *err);
void fl_tbf_build(struct fl_req *q, uint32_t ifindex, uint32_t parent, uint32_t handle,
		  uint64_t rate, uint32_t burst, uint32_t latency_us);

/*
 * Root HTB. default_class is a class's minor number (handle 0x10000, class 1:30: 0x30), 0: what no
 * filter takes is not shaped. -EEXIST: there is a root qdisc with a handle.
 */
int fl_htb_root(struct fl_nl *nl, uint32_t ifindex, uint32_t handle, uint32_t default_class,
		struct fl_error *err);
/* Made or changed. burst is that of both rates. */
int fl_htb_class(struct fl_nl *nl, uint32_t ifindex, uint32_t parent, uint32_t classid,
		 uint64_t rate, uint64_t ceil, uint32_t burst, struct fl_error *err);
/* -ENOENT: none, or not of htb. */
int fl_htb_class_get(struct fl_nl *nl, uint32_t ifindex, uint32_t classid, struct fl_qdisc *ret,
		     struct fl_error *err);
void fl_htb_class_build(struct fl_req *q, uint32_t ifindex, uint32_t parent, uint32_t classid,
			uint64_t rate, uint64_t ceil, uint32_t burst);

/* -EEXIST: there is one, or a clsact. */
int fl_ingress_add(struct fl_nl *nl, uint32_t ifindex, struct fl_error *err);

/* Every packet at `parent` (FL_TC_INGRESS_HANDLE) leaves by to_ifindex instead. */
int fl_u32_redirect(struct fl_nl *nl, uint32_t ifindex, uint32_t parent, uint32_t to_ifindex,
		    struct fl_error *err);
void fl_u32_redirect_build(struct fl_req *q, uint32_t ifindex, uint32_t parent,
			   uint32_t to_ifindex);
/*
 * Packets from (by_source) or to the net go to the class. prio (1..65535, lower first) is of one
 * family: IPv4 and IPv6 filters of the same number are refused by the kernel.
 */
int fl_u32_class(struct fl_nl *nl, uint32_t ifindex, uint32_t parent, uint16_t prio,
		 const struct fl_prefix *net, bool by_source, uint32_t classid,
		 struct fl_error *err);
void fl_u32_class_build(struct fl_req *q, uint32_t ifindex, uint32_t parent, uint16_t prio,
			const struct fl_prefix *net, bool by_source, uint32_t classid);

/* With its classes and filters. Absent, the link too, is success. */
int fl_qdisc_del(struct fl_nl *nl, uint32_t ifindex, uint32_t parent, struct fl_error *err);

/* Of one link; of all when ifindex is 0. */
int fl_qdiscs_each(struct fl_nl *nl, uint32_t ifindex,
		   int (*fn)(void *arg, const struct fl_qdisc *), void *arg, struct fl_error *err);
/*
 * The one at parent (FL_TC_ROOT, FL_TC_INGRESS or a class), without reading those of other links.
 * -ENOENT: none; -ENODEV: no such link.
 */
int fl_qdisc_get(struct fl_nl *nl, uint32_t ifindex, uint32_t parent, struct fl_qdisc *ret,
		 struct fl_error *err);
/* Whether it is a tbf of this rate and, within what the kernel's ticks can tell, this burst. */
bool fl_tbf_matches(const struct fl_qdisc *q, uint64_t rate, uint32_t burst);
/* The same of a class. */
bool fl_htb_matches(const struct fl_qdisc *q, uint64_t rate, uint32_t burst);
