/* What the steady state has before the first measured ADD. Nothing here is measured. */
#include "floor.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* The rules that a packet of a published port or a masqueraded one meets; no more. */
static const char skeleton[] =
	"table inet %1$s {\n"
	"	set skeleton { type ifname; }\n"
	"	set bridges { type ifname; elements = { \"%2$s\" } }\n"
	"	map masquerade4 { type ipv4_addr : verdict; flags interval; }\n"
	"	map publish4 { type inet_proto . inet_service : ipv4_addr . inet_service; }\n"
	"	map publish4_range { type inet_proto . inet_service : ipv4_addr; flags interval; }\n"
	"	chain publish {\n"
	"		dnat ip addr . port to meta l4proto . th dport map @publish4\n"
	"		dnat ip to meta l4proto . th dport map @publish4_range\n"
	"	}\n"
	"	chain prerouting {\n"
	"		type nat hook prerouting priority dstnat; policy accept;\n"
	"		fib daddr type local jump publish\n"
	"	}\n"
	"	chain output {\n"
	"		type nat hook output priority -100; policy accept;\n"
	"		fib daddr type local jump publish\n"
	"	}\n"
	"	chain forward {\n"
	"		type filter hook forward priority filter; policy accept;\n"
	"		ct state established,related accept\n"
	"		ct status dnat accept\n"
	"	}\n"
	"	chain outward { masquerade fully-random; }\n"
	"	chain postrouting {\n"
	"		type nat hook postrouting priority srcnat; policy accept;\n"
	"		ip daddr != 224.0.0.0/4 ip saddr vmap @masquerade4\n"
	"	}\n"
	"}\n";

static int load_skeleton(const struct floor *f)
{
	FILE *nft = popen("nft -f -", "we");

	if (nft == NULL)
		return -errno;
	fprintf(nft, skeleton, f->table, f->bridge);
	return pclose(nft) == 0 ? 0 : -EIO;
}

int floor_setup(const struct floor *f, const char **ret_step)
{
	int r = floor_link_setup(f, ret_step);

	if (r < 0)
		return r;
	*ret_step = "load the nftables skeleton";
	return load_skeleton(f);
}
