/* The floor: the kernel work of one ADD or DEL, and nothing else. */
#ifndef BENCH_FLOOR_H
#define BENCH_FLOOR_H

#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

struct floor {
	/* environment, as a CNI runtime sets it */
	const char *netns;       /* CNI_NETNS */
	const char *ifname;      /* CNI_IFNAME */
	const char *containerid; /* CNI_CONTAINERID */

	/* options */
	const char *bridge;
	const char *host_name; /* of the veth's host end */
	const char *master;    /* a macvlan's; NULL: the bridge */
	struct in_addr address, gateway;
	uint8_t prefix;
	uint32_t mtu;
	bool hairpin;
	bool lo; /* bring the sandbox's lo up, too */
	const char *table;        /* in family inet */
	const char *assert_set;   /* empty set that proves the skeleton's version, and its key */
	uint32_t assert_type, assert_len;
	uint8_t protocol;         /* of the published ports */
	uint16_t host_port, container_port;
	uint32_t ports;           /* 1: one port; more: an equal range, as one element */
	uint32_t shifted;         /* this many single elements instead */
	bool ct_flush;            /* drop conntrack entries of the ports, as UDP needs */
};

/* Each returns 0 or -errno and names the failed step in *ret_step. */
int floor_link_add(const struct floor *f, const char **ret_step);
int floor_link_del(const struct floor *f, const char **ret_step);
/* These end in the sandbox's namespace. */
int floor_macvlan_add(const struct floor *f, const char **ret_step);
int floor_macvlan_del(const struct floor *f, const char **ret_step);
int floor_publish(const struct floor *f, const char **ret_step);
/*
 * Leaves its socket open, to be closed by the exit: while a deleted element waits for its RCU grace period,
 * close() waits for it, too. Left open, that wait and RTM_DELLINK's are one.
 */
int floor_unpublish(const struct floor *f, const char **ret_step);
/* Leaves its socket open, for the same reason. */
int floor_ct_flush(const struct floor *f, const char **ret_step);

/* The bridge, up, with its address. Not measured. */
int floor_link_setup(const struct floor *f, const char **ret_step);

/* The bridge, unless it is there, and a table of our own, by nft(8). Not measured. */
int floor_setup(const struct floor *f, const char **ret_step);

#endif
