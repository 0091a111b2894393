/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Published ports, as the verbs of the group "port" and `why` see them. */
#pragma once

#include "netctl/model.h"

/* PORT[/PROTO], as people write it. */
struct port_want {
	uint16_t port;
	uint8_t proto; /* 0: nobody said */
};

/* Wrong usage when it is not one. */
int port_parse(const char *text, struct port_want *ret, struct fl_error *err);
/* The same without judging. */
bool port_is(const char *text, struct port_want *ret);
/* An address option: unset when it was not given. */
int option_address(const struct ctl *c, const char *name, struct fl_addr *ret,
		   struct fl_error *err);

/* One port or range in one family. */
struct mapping {
	const struct attachment *at;  /* NULL where there is no model */
	const struct fl_endpoint *ep; /* the record whose port it is */
	struct fl_port port;
	struct fl_addr host;   /* the wildcard of the family: at every address */
	struct fl_addr inside; /* unset: the container has no address of the family */
	bool translated;       /* false: opened at the container's own address, or not at all */
};

/* Those of one endpoint; net: its network's record, or NULL. Until fn returns non-zero. */
int mappings_each(const struct fl_endpoint *ep, const struct fl_network *net,
		  int (*fn)(void *arg, const struct mapping *m), void *arg);
/* Why nothing can ever be translated from its address, in words; NULL: nothing stands against it.
 */
const char *mapping_obstacle(const struct mapping *m);
/* Does it cover the port (of the host)? */
bool mapping_covers(const struct mapping *m, uint8_t proto, uint16_t host_port);
/*
 * The one that publishes a port at an address of the host (unset: at any) in a family (0: in any).
 * One at the very address goes before one at all of them, as in the rules.
 */
bool mapping_find(const struct model *m, uint8_t proto, const struct fl_addr *address, int family,
		  uint16_t host_port, struct mapping *ret);
/* The i-th port of a range alone. */
struct mapping mapping_nth(const struct mapping *m, uint32_t i);
/* Host part and inside part: "0.0.0.0:8080", "10.1.0.2:80", with ranges "10.1.0.2:80-89". */
const char *mapping_host(const struct mapping *m, char *buf, size_t size);
const char *mapping_inside(const struct mapping *m, char *buf, size_t size);
#define MAPPING_HOST(m) mapping_host(m, (char[80]){ 0 }, 80)
#define MAPPING_INSIDE(m) mapping_inside(m, (char[80]){ 0 }, 80)
/*
 * {"protocol", "host", "hostIP", "hostPort", "range", "container", "name", "network", "interface",
 * "inside", "insideIP", "containerPort", "translated"}
 */
json_t *mapping_json(const struct mapping *m);
/* The same in words, for the verbs that show it. */
#define MAPPING_JSON                                                                               \
	"protocol, host (address:port, with a range address:first-last), hostIP, hostPort, range " \
	"(how many ports), container (id), name, network, interface, inside (as host), insideIP, " \
	"containerPort, translated (false where the network opens the port at the container's "    \
	"own "                                                                                     \
	"address, or where nothing leads in: inside is \"\" then if it has no address there)"
/* "10.1.0.2:80", "[fd00::2]:80" */
const char *address_port_str(const struct fl_addr *a, uint16_t port, char *buf, size_t size);
#define ADDRESS_PORT(a, port) address_port_str(a, port, (char[80]){ 0 }, 80)
