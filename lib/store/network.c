/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is done with a network's record beside reading and writing it. */
#include "store/record.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static bool has_subnet(const struct fl_network *net, const struct fl_prefix *p)
{
	for (uint32_t i = 0; i < net->n_subnets; i++)
		if (fl_prefix_same_net(&net->subnets[i], p))
			return true;
	return false;
}

static bool has_anycast(const struct fl_network *net, const struct fl_addr *a)
{
	for (uint32_t i = 0; i < net->n_anycast; i++)
		if (fl_addr_eq(&net->anycast[i].addr, a))
			return true;
	return false;
}

bool fl_network_same(const struct fl_network *a, const struct fl_network *b)
{
	if (strcmp(a->name, b->name) || strcmp(a->driver, b->driver) || strcmp(a->link, b->link) ||
	    strcmp(a->parent, b->parent) || strcmp(a->made, b->made) ||
	    strcmp(a->tunnel, b->tunnel) || strcmp(a->cluster, b->cluster) ||
	    a->tunnel_routed != b->tunnel_routed || a->n_anycast != b->n_anycast ||
	    a->internal != b->internal || a->direct != b->direct ||
	    a->host_access != b->host_access || a->filter_only != b->filter_only ||
	    a->no_icc != b->no_icc || a->isolate != b->isolate || a->guarded != b->guarded ||
	    a->masquerade != b->masquerade || a->hairpin_all != b->hairpin_all ||
	    a->no_hairpin_snat != b->no_hairpin_snat || a->gateway_mode != b->gateway_mode ||
	    !fl_addr_eq(&a->snat[0], &b->snat[0]) || !fl_addr_eq(&a->snat[1], &b->snat[1]) ||
	    a->n_subnets != b->n_subnets)
		return false;
	/* Subnets are unique in a record: equal numbers and one inclusion are equality. */
	for (uint32_t i = 0; i < a->n_subnets; i++)
		if (!has_subnet(b, &a->subnets[i]))
			return false;
	for (uint32_t i = 0; i < a->n_anycast; i++)
		if (!has_anycast(b, &a->anycast[i].addr))
			return false;
	return true;
}

bool fl_network_add_subnet(struct fl_network *net, const struct fl_prefix *p)
{
	if (has_subnet(net, p) || net->n_subnets == FL_NETWORK_SUBNETS)
		return false;
	net->subnets[net->n_subnets++] = fl_prefix_masked(p);
	return true;
}

bool fl_network_add_anycast(struct fl_network *net, const struct fl_addr *a)
{
	if (has_anycast(net, a) || net->n_anycast == FL_NETWORK_SUBNETS)
		return false;
	net->anycast[net->n_anycast++] = (struct fl_prefix){ *a, (uint8_t)fl_addr_bits(a) };
	return true;
}

/* ---- made: lines of "WHAT NAME" ---- */

static const char *find_made(const struct fl_network *net, const char *line)
{
	const char *p = net->made;
	size_t n = strlen(line);

	for (; (p = strstr(p, line)); p++)
		if ((p == net->made || p[-1] == '\n') && p[n] == '\n')
			return p;
	return NULL;
}

int fl_network_made_add(struct fl_network *net, const char *what, const char *name)
{
	char line[64];

	if (fl_network_made_has(net, what, name))
		return 0;
	snprintf(line, sizeof(line), "%s %s\n", what, name);
	if (strlen(net->made) + strlen(line) >= sizeof(net->made))
		return -E2BIG;
	strcat(net->made, line);
	return 0;
}

bool fl_network_made_has(const struct fl_network *net, const char *what, const char *name)
{
	char line[64];

	snprintf(line, sizeof(line), "%s %s", what, name);
	return find_made(net, line);
}

void fl_network_made_remove(struct fl_network *net, const char *what, const char *name)
{
	char line[64], *p;

	snprintf(line, sizeof(line), "%s %s", what, name);
	p = (char *)find_made(net, line);
	if (p)
		memmove(p, p + strlen(line) + 1, strlen(p + strlen(line) + 1) + 1);
}

int fl_network_made_each(const struct fl_network *net,
			 int (*fn)(void *arg, const char *what, const char *name), void *arg)
{
	char what[16], name[IFNAMSIZ];
	int r = 0;

	for (const char *end, *p = net->made; *p && !r; p = end + 1) {
		end = strchr(p, '\n');
		if (!end || sscanf(p, "%15s %15s", what, name) != 2)
			return -EBADMSG;
		r = fn(arg, what, name);
	}
	return r;
}
