/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where the fields of overlay/request.h lie, as JSON, for the agent that the tests play: {struct:
 * {"size": N, "fields": {name: [offset, size, kind]}}}, and the numbers by their names.
 */
#include "overlay/request.h"

#include <stddef.h>
#include <stdio.h>

#define REQUEST struct fl_overlay_request
#define ANSWER struct fl_overlay_answer
#define ROW(st, member, kind)                                                                    \
	printf("%s\"" #member "\":[%zu,%zu,\"" kind "\"]", n++ ? "," : "", offsetof(st, member), \
	       sizeof(((st *)NULL)->member))
#define NUMBER(name) printf(",\"" #name "\":%lld", (long long)(FL_OVERLAY_##name))

static void request(void)
{
	int n = 0;

	printf("\"request\":{\"size\":%zu,\"fields\":{", sizeof(REQUEST));
	ROW(REQUEST, magic, "int");
	ROW(REQUEST, op, "int");
	ROW(REQUEST, dev, "int");
	ROW(REQUEST, ino, "int");
	ROW(REQUEST, network, "text");
	ROW(REQUEST, node, "text");
	ROW(REQUEST, create, "int");
	ROW(REQUEST, settings.mode, "int");
	ROW(REQUEST, settings.vni, "int");
	ROW(REQUEST, settings.mtu, "int");
	ROW(REQUEST, settings.port, "int");
	ROW(REQUEST, settings.internal, "int");
	ROW(REQUEST, settings.broadcast, "int");
	ROW(REQUEST, settings.ipv6, "int");
	ROW(REQUEST, settings.n_subnets, "int");
	ROW(REQUEST, settings.subnets[0].subnet, "prefix");
	ROW(REQUEST, settings.subnets[0].gateway, "address");
	ROW(REQUEST, settings.subnets[1].subnet, "prefix");
	ROW(REQUEST, settings.subnets[1].gateway, "address");
	ROW(REQUEST, container, "text");
	ROW(REQUEST, ifname, "text");
	ROW(REQUEST, mac, "mac");
	ROW(REQUEST, bridge, "int");
	ROW(REQUEST, tunnel, "int");
	ROW(REQUEST, ips[0], "address");
	ROW(REQUEST, ips[1], "address");
	ROW(REQUEST, name, "text");
	ROW(REQUEST, aliases, "names");
	ROW(REQUEST, n_aliases, "int");
	printf("}}");
}

static void answer(void)
{
	int n = 0;

	printf(",\"answer\":{\"size\":%zu,\"fields\":{", sizeof(ANSWER));
	ROW(ANSWER, magic, "int");
	ROW(ANSWER, result, "int");
	ROW(ANSWER, code, "int");
	ROW(ANSWER, text, "text");
	ROW(ANSWER, network.id, "text");
	ROW(ANSWER, network.mode, "int");
	ROW(ANSWER, network.vni, "int");
	ROW(ANSWER, network.port, "int");
	ROW(ANSWER, network.mtu, "int");
	ROW(ANSWER, network.underlay_mtu, "int");
	ROW(ANSWER, network.internal, "int");
	ROW(ANSWER, network.broadcast, "int");
	ROW(ANSWER, network.local, "address");
	ROW(ANSWER, network.mac, "mac");
	ROW(ANSWER, network.n_subnets, "int");
	ROW(ANSWER, network.subnets[0].subnet, "prefix");
	ROW(ANSWER, network.subnets[0].gateway, "address");
	ROW(ANSWER, network.subnets[0].node, "address");
	ROW(ANSWER, network.subnets[1].subnet, "prefix");
	ROW(ANSWER, network.subnets[1].gateway, "address");
	ROW(ANSWER, network.subnets[1].node, "address");
	ROW(ANSWER, ips[0], "address");
	ROW(ANSWER, ips[1], "address");
	ROW(ANSWER, n_synced, "int");
	printf("}}");
}

int main(void)
{
	putchar('{');
	request();
	answer();
	printf(",\"address\":[%zu,%zu],\"prefix_length\":%zu", offsetof(struct fl_addr, family),
	       offsetof(struct fl_addr, b), offsetof(struct fl_prefix, len));
	NUMBER(MAGIC);
	NUMBER(JOIN);
	NUMBER(ALLOCATE);
	NUMBER(RELEASE);
	NUMBER(CHECK);
	NUMBER(STATUS);
	NUMBER(CREATE);
	NUMBER(REMOVE);
	NUMBER(SHOW);
	NUMBER(EVICT);
	NUMBER(LEAVE);
	NUMBER(RESYNC);
	NUMBER(HOST);
	printf(",\"SOCKET\":\"%s\",\"PROGRAM\":\"%s\"}\n", FL_OVERLAY_SOCKET, FL_OVERLAY_PROGRAM);
	return 0;
}
