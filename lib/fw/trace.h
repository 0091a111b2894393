/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What our tables do with one packet: the skeleton's own rules, run over a description of it. Sets
 * and maps are asked in the kernel, one element by its key at a time, and so is whether a chain has
 * its rules still, as they were put there: what is flushed does nothing here either. Nothing is
 * sent, nothing changes.
 */
#pragma once

#include "fw/fw.h"
#include "fw/skeleton.h"

struct fl_fw_packet {
	uint8_t proto; /* IPPROTO_* */
	struct fl_addr src, dst;
	uint16_t dport;
	char in[IFNAMSIZ], out[IFNAMSIZ]; /* interfaces; "" none */
	struct fl_mac mac;		  /* source, table bridge only */
	bool to_local;			  /* dst is an address of the host */
	bool dnat;			  /* the connection's destination was translated */
	bool established;		  /* it belongs to a connection that was let through */
};

enum fl_fw_outcome { FL_FW_GOES_ON, FL_FW_ACCEPTED, FL_FW_DROPPED };

struct fl_fw_traced {
	enum fl_fw_outcome outcome; /* FL_FW_GOES_ON: no rule has a verdict for it */
	char chain[32];		    /* of the rule that decided; "" none */
	int set;		    /* enum fl_fw_set_id of the element that it found; -1 none */
	char comment[FL_NFT_COMMENT_MAX + 1]; /* of that element: whose it is */
	bool marked;			      /* it carries FL_FW_MARK now */
	struct fl_addr dnat, snat;	      /* unset: not translated */
	uint16_t dnat_port;		      /* 0: stays */
	bool masquerade;
	bool absent;  /* a chain on its way has no rules, or is not there at all */
	bool changed; /* a chain on its way has not the rules that the skeleton gave it */
	bool policy;  /* dropped by the policy, which somebody gave the chain */
};

/* family: NFPROTO_INET or NFPROTO_BRIDGE; chain: a base chain of the skeleton. */
int fl_fw_trace(struct fl_fw *fw, uint8_t family, const char *chain, const struct fl_fw_packet *p,
		struct fl_fw_traced *ret, struct fl_error *err);

/*
 * 1 when each chain has the rules of our version, unchanged and no others, and the policy accept; 0
 * with err filled (FL_ECODE_CHECK: which has not).
 */
int fl_fw_check_skeleton(struct fl_fw *fw, struct fl_error *err);
