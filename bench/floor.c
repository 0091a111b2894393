/*
 * floor: the least that an ADD or DEL of a bridge plugin can cost. It sends the netlink messages that the
 * kernel must get, reads nothing that is not needed, keeps no state and prints nothing. Plugins are
 * measured as a ratio to it, because the ratio holds on any machine. libc only.
 */
#include "floor.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OPT_BRIDGE = 256, OPT_NAME, OPT_ADDRESS, OPT_GATEWAY, OPT_MTU, OPT_HAIRPIN, OPT_LO, OPT_TABLE, OPT_ASSERT,
	OPT_UDP, OPT_HOST_PORT, OPT_CONTAINER_PORT, OPT_PORTS, OPT_SHIFTED, OPT_CT_FLUSH,
	OPT_MACVLAN };

static const struct option options[] = {
	{ "bridge", required_argument, NULL, OPT_BRIDGE },
	{ "name", required_argument, NULL, OPT_NAME },
	{ "address", required_argument, NULL, OPT_ADDRESS },
	{ "gateway", required_argument, NULL, OPT_GATEWAY },
	{ "mtu", required_argument, NULL, OPT_MTU },
	{ "hairpin", no_argument, NULL, OPT_HAIRPIN },
	{ "lo", no_argument, NULL, OPT_LO },
	{ "table", required_argument, NULL, OPT_TABLE },
	{ "assert", required_argument, NULL, OPT_ASSERT },
	{ "udp", no_argument, NULL, OPT_UDP },
	{ "host-port", required_argument, NULL, OPT_HOST_PORT },
	{ "container-port", required_argument, NULL, OPT_CONTAINER_PORT },
	{ "ports", required_argument, NULL, OPT_PORTS },
	{ "shifted", required_argument, NULL, OPT_SHIFTED },
	{ "ct-flush", no_argument, NULL, OPT_CT_FLUSH },
	{ "macvlan", required_argument, NULL, OPT_MACVLAN },
	{ 0 },
};

static const char usage[] =
	"usage: floor setup|add|del [options]     environment: CNI_NETNS CNI_IFNAME CNI_CONTAINERID\n"
	"  --bridge NAME --name HOSTVETH --address A.B.C.D/N --gateway A.B.C.D --mtu N --hairpin --lo\n"
	"  --table NAME --assert SET,KEYTYPE,KEYLEN   table of family inet; its empty set that is asserted\n"
	"  --host-port P --container-port P --ports N (equal range) --shifted N (single elements)\n"
	"  --udp --ct-flush                           drop the ports' conntrack entries\n"
	"  --macvlan MASTER                           a macvlan there instead; of the rest --address, --gateway, --lo\n";

static uint32_t number(const char *s, uint32_t max)
{
	char *end;
	unsigned long v = strtoul(s, &end, 0);

	if (*s == '\0' || *end != '\0' || v > max) {
		fprintf(stderr, "floor: bad number \"%s\"\n", s);
		exit(2);
	}
	return (uint32_t)v;
}

static void parse_address(struct floor *f, char *s)
{
	char *slash = strchr(s, '/');

	if (slash != NULL) {
		*slash = '\0';
		f->prefix = (uint8_t)number(slash + 1, 32);
	}
	if (inet_pton(AF_INET, s, &f->address) != 1) {
		fprintf(stderr, "floor: bad address \"%s\"\n", s);
		exit(2);
	}
}

static void parse_assert(struct floor *f, char *s)
{
	char *type = strchr(s, ','), *len = type != NULL ? strchr(type + 1, ',') : NULL;

	if (len == NULL) {
		fputs(usage, stderr);
		exit(2);
	}
	*type++ = '\0';
	*len++ = '\0';
	f->assert_set = s;
	f->assert_type = number(type, UINT32_MAX);
	f->assert_len = number(len, 64);
}

static bool link_option(struct floor *f, int option)
{
	switch (option) {
	case OPT_BRIDGE: f->bridge = optarg; return true;
	case OPT_NAME: f->host_name = optarg; return true;
	case OPT_ADDRESS: parse_address(f, optarg); return true;
	case OPT_GATEWAY: return inet_pton(AF_INET, optarg, &f->gateway) == 1;
	case OPT_MTU: f->mtu = number(optarg, 65535); return true;
	case OPT_HAIRPIN: f->hairpin = true; return true;
	case OPT_LO: f->lo = true; return true;
	case OPT_MACVLAN: f->master = optarg; return true;
	default: return false;
	}
}

static bool port_option(struct floor *f, int option)
{
	switch (option) {
	case OPT_TABLE: f->table = optarg; return true;
	case OPT_ASSERT: parse_assert(f, optarg); return true;
	case OPT_UDP: f->protocol = IPPROTO_UDP; return true;
	case OPT_HOST_PORT: f->host_port = (uint16_t)number(optarg, 65535); return true;
	case OPT_CONTAINER_PORT: f->container_port = (uint16_t)number(optarg, 65535); return true;
	case OPT_PORTS: f->ports = number(optarg, 65535); return true;
	case OPT_SHIFTED: f->shifted = number(optarg, 65535); return true;
	case OPT_CT_FLUSH: f->ct_flush = true; return true;
	default: return false;
	}
}

static int add(const struct floor *f, const char **step)
{
	int r;

	if (f->master)
		return floor_macvlan_add(f, step);
	r = floor_link_add(f, step);
	if (r == 0)
		r = floor_publish(f, step);
	if (r == 0 && f->ct_flush)
		r = floor_ct_flush(f, step);
	return r;
}

static int del(const struct floor *f, const char **step)
{
	int r;

	if (f->master)
		return floor_macvlan_del(f, step);
	r = floor_unpublish(f, step);
	if (r == 0 && f->ct_flush)
		r = floor_ct_flush(f, step);
	return r == 0 ? floor_link_del(f, step) : r;
}

int main(int argc, char **argv)
{
	struct floor f = {
		.netns = getenv("CNI_NETNS"), .ifname = getenv("CNI_IFNAME"),
		.containerid = getenv("CNI_CONTAINERID"),
		.bridge = "floor0", .mtu = 1500, .prefix = 32, .table = "floor", .protocol = IPPROTO_TCP,
		.assert_set = "skeleton", .assert_type = 41, .assert_len = IFNAMSIZ, /* type ifname */
	};
	const char *step = "";
	int option, r;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
		if (!link_option(&f, option) && !port_option(&f, option))
			break;
	const char *verb = option == -1 && optind == argc - 1 ? argv[optind] : "";
	bool named = f.host_name || f.master;

	if (strcmp(verb, "setup") == 0)
		r = floor_setup(&f, &step);
	else if (strcmp(verb, "add") == 0 && f.netns && f.ifname && f.containerid && named)
		r = add(&f, &step);
	else if (strcmp(verb, "del") == 0 && f.ifname && f.containerid && named && (f.netns || !f.master))
		r = del(&f, &step);
	else {
		fputs(usage, stderr);
		return 2;
	}
	if (r < 0)
		fprintf(stderr, "floor: %s: %s: %s\n", verb, step, strerror(-r));
	return r < 0;
}
