/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Settings of the host that containers depend on. */
#include "netctl/doctor.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

/* ---- forwarding ---- */

static bool is_routed(const struct fl_network *net, int family)
{
	if (net->direct || net->internal)
		return false;
	for (uint32_t i = 0; i < net->n_subnets; i++)
		if (net->subnets[i].addr.family == family)
			return net->masquerade || !is_bridged(net);
	return false;
}

static const struct fl_network *first_routed(const struct doctor *d, int family)
{
	for (size_t i = 0; i < d->m.n_networks; i++)
		if (is_routed(&d->m.networks[i], family))
			return &d->m.networks[i];
	return NULL;
}

static int check_forwarding(struct doctor *d, int family, struct fl_error *err)
{
	const struct fl_network *net = first_routed(d, family);
	bool on = true;
	int r = net ? fl_forwarding_get(d->c->host, family, &on, err) : 0;

	if (r || on)
		return r;
	mend_sysctl(find(d, family == AF_INET ? "forwarding4-off" : "forwarding6-off",
			 SEVERITY_ERROR, "the host",
			 "it forwards no %s packets: network %s leads nowhere",
			 family == AF_INET ? "IPv4" : "IPv6", net->name),
		    "1", "%s",
		    family == AF_INET ? "net/ipv4/ip_forward" : "net/ipv6/conf/all/forwarding");
	return 0;
}

/* A router does not listen to other routers unless it is told to: ip-sysctl.rst. */
static void check_advertisements(struct doctor *d)
{
	bool on = false;

	if (fl_forwarding_get(d->c->host, AF_INET6, &on, NULL) || !on || !first_routed(d, AF_INET6))
		return;
	for (size_t i = 0; i < d->n_links; i++) {
		const struct fl_link *l = &d->links[i];
		char name[128], now[16];

		/* Containers' ends are hardly asked, which would take long: they have a master. */
		if (l->master || l->flags & IFF_LOOPBACK || !(l->flags & IFF_UP) ||
		    !strcmp(l->kind, "bridge") || !strncmp(l->name, "veth", 4))
			continue;
		snprintf(name, sizeof(name), "net/ipv6/conf/%s/accept_ra", l->name);
		if (!fl_sysctl_read(name, now, sizeof(now), NULL) && !strcmp(now, "1"))
			mend_sysctl(find(d, "accept-ra", SEVERITY_WARNING, l->name,
					 "the host forwards IPv6, so it ignores the advertisements "
					 "there that give it a default route"),
				    "2", "%s", name);
	}
}

/* ---- reverse path filter ---- */

static int by_container(const void *a, const void *b)
{
	return strcmp((*(const struct attachment *const *)a)->main->id.container,
		      (*(const struct attachment *const *)b)->main->id.container);
}

static bool is_strict(const char *link)
{
	char name[128], all[16] = "0", own[16] = "0";

	snprintf(name, sizeof(name), "net/ipv4/conf/%s/rp_filter", link);
	if (fl_sysctl_read("net/ipv4/conf/all/rp_filter", all, sizeof(all), NULL) ||
	    fl_sysctl_read(name, own, sizeof(own), NULL))
		return false;
	/* The kernel takes the greater of the two. */
	return (*all > *own ? *all : *own) == '1';
}

static void tell_strict(struct doctor *d, const struct attachment *a)
{
	const struct fl_network *net = model_network(&d->m, a->main);

	if (!net || !is_bridged(net) || net->internal || !is_strict(net->link))
		return;
	for (size_t i = 0; i < d->n; i++)
		if (!strcmp(d->found[i].code, "rp-filter") &&
		    !strcmp(d->found[i].object, net->link))
			return;
	mend_sysctl(find(d, "rp-filter", SEVERITY_WARNING, net->link,
			 "its reverse path filter is strict, and container %s is in several "
			 "networks: answers that come by another one are dropped",
			 CONTAINER_LABEL(a->main)),
		    "2", "net/ipv4/conf/%s/rp_filter", net->link);
}

static int check_rp_filter(struct doctor *d, struct fl_error *err)
{
	FL_AUTOFREE const struct attachment **all = calloc(d->m.n_attachments + 1, sizeof(*all));
	size_t n = d->m.n_attachments;

	if (!all)
		return fl_error_oom(err);
	for (size_t i = 0; i < n; i++)
		all[i] = &d->m.attachments[i];
	qsort(all, n, sizeof(*all), by_container);
	for (size_t i = 0; i < n; i++)
		if ((i && !by_container(&all[i - 1], &all[i])) ||
		    (i + 1 < n && !by_container(&all[i], &all[i + 1])))
			tell_strict(d, all[i]);
	return 0;
}

/* ---- bridges and the firewall ---- */

static void check_filtered_bridges(struct doctor *d)
{
	char now[16];

	for (size_t i = 0; i < d->m.n_networks; i++)
		if (is_bridged(&d->m.networks[i]) && d->m.networks[i].no_icc) {
			if (fl_sysctl_read("net/bridge/bridge-nf-call-iptables", now, sizeof(now),
					   NULL) ||
			    strcmp(now, "1") != 0)
				return;
			remedy(find(d, "bridge-filtered", SEVERITY_NOTE, d->m.networks[i].link,
				    "frames inside bridges pass the host's firewall "
				    "(bridge-nf-call-iptables): its rules too decide which "
				    "containers of network %s reach each other",
				    d->m.networks[i].name),
			       "sysctl -w net/bridge/bridge-nf-call-iptables=0");
			return;
		}
}

/* ---- MTU ---- */

static void check_uplink(struct doctor *d)
{
	struct fl_nlroute route;
	const struct fl_link *up;
	uint32_t mtu;

	if (fl_default_route(d->c->host, AF_INET, &route, NULL))
		return;
	up = host_link_index(d, route.oif);
	mtu = route.mtu ? route.mtu : up ? up->mtu : 0;
	for (size_t i = 0; mtu && i < d->m.n_networks; i++) {
		const struct fl_network *net = &d->m.networks[i];
		const struct fl_link *l =
			is_bridged(net) && net->masquerade ? host_link(d, net->link) : NULL;

		if (l && l->mtu > mtu)
			remedy(find(d, "mtu-uplink", SEVERITY_WARNING, net->link,
				    "its MTU is %u, and the way out by %s takes %u: connections of "
				    "network %s stall where ICMP is lost",
				    l->mtu, up ? up->name : "the default route", mtu, net->name),
			       "set \"mtu\": %u in the network's configuration, and attach its "
			       "containers again",
			       mtu);
	}
}

/* ---- the kernel ---- */

static bool is_off(FILE *f, const char *option)
{
	char line[256], off[96];

	snprintf(off, sizeof(off), "# %s is not set", option);
	rewind(f);
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, off, strlen(off)))
			return true;
	return false;
}

static void fclose_p(FILE **f)
{
	if (*f)
		fclose(*f);
}

/* As distributions leave it beside the kernel; nothing is known without. */
static void check_kernel(struct doctor *d)
{
	static const struct {
		const char *option, *use;
	} needed[] = {
		{ "CONFIG_BRIDGE", "networks of the plugin bridge" },
		{ "CONFIG_VETH", "containers' cables" },
		{ "CONFIG_NF_TABLES", "all rules" },
		{ "CONFIG_NF_TABLES_INET", "all rules" },
		{ "CONFIG_NFT_NAT", "published ports" },
		{ "CONFIG_NFT_MASQ", "the way out" },
		{ "CONFIG_NFT_FIB_INET", "published ports" },
		{ "CONFIG_NFT_CT", "all rules" },
	};
	FL_CLEANUP(fclose_p) FILE *f = NULL;
	struct utsname u;
	char path[128];

	if (uname(&u))
		return;
	snprintf(path, sizeof(path), "/boot/config-%.65s", u.release);
	f = fopen(path, "re");
	for (size_t i = 0; f && i < FL_ARRAY_SIZE(needed); i++)
		if (is_off(f, needed[i].option))
			remedy(find(d, "kernel-option", SEVERITY_ERROR, needed[i].option,
				    "this kernel was built without it: needed for %s",
				    needed[i].use),
			       "a kernel with %s", needed[i].option);
}

int check_settings(struct doctor *d, struct fl_error *err)
{
	int r = check_forwarding(d, AF_INET, err);

	if (!r)
		r = check_forwarding(d, AF_INET6, err);
	if (!r)
		r = check_rp_filter(d, err);
	if (r)
		return r;
	check_advertisements(d);
	check_filtered_bridges(d);
	check_uplink(d);
	check_kernel(d);
	return 0;
}
