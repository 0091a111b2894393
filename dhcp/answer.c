/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a caller gets to know of an endpoint's leases. */
#include "dhcp/daemon.h"

#include <linux/rtnetlink.h>
#include <string.h>

static json_t *text_of(const struct fl_addr *a)
{
	return json_string(fl_addr_str(a, FL_ADDR_BUF));
}

static json_t *routes_of(const struct lease *l)
{
	const struct fl_dhcp_reply *r = &l->client.lease;
	json_t *list = json_array(), *route;

	for (size_t i = 0; i < r->n_routes; i++) {
		route = json_pack("{ss}", "dst", fl_prefix_str(&r->routes[i].dst, FL_PREFIX_BUF));
		if (fl_addr_is_set(&r->routes[i].gw))
			json_object_set_new(route, "gw", text_of(&r->routes[i].gw));
		else
			json_object_set_new(route, "scope", json_integer(RT_SCOPE_LINK));
		if (l->q.priority)
			json_object_set_new(route, "priority", json_integer(l->q.priority));
		json_array_append_new(list, route);
	}
	return list;
}

static void append_once(json_t *obj, const char *key, const char *text)
{
	json_t *list = json_object_get(obj, key);

	if (!list) {
		list = json_array();
		json_object_set_new(obj, key, list);
	}
	for (size_t i = 0; i < json_array_size(list); i++)
		if (!strcmp(json_string_value(json_array_get(list, i)), text))
			return;
	json_array_append_new(list, json_string(text));
}

static void add_dns(json_t *dns, const struct fl_addr *servers, size_t n_servers,
		    const char search[][256], size_t n_search)
{
	for (size_t i = 0; i < n_servers; i++)
		append_once(dns, "nameservers", fl_addr_str(&servers[i], FL_ADDR_BUF));
	for (size_t i = 0; i < n_search; i++)
		append_once(dns, "search", search[i]);
}

static void add_v4(json_t *answer, json_t *dns, const struct lease *l)
{
	const struct fl_dhcp_reply *r = &l->client.lease;
	json_t *ip4 = json_pack("{ss}", "address", fl_prefix_str(&r->ip, FL_PREFIX_BUF));

	if (fl_addr_is_set(&r->gateway))
		json_object_set_new(ip4, "gateway", text_of(&r->gateway));
	json_object_set_new(answer, "ip4", ip4);
	json_object_set_new(answer, "routes", routes_of(l));
	if (*r->domain)
		json_object_set_new(dns, "domain", json_string(r->domain));
	if (r->mtu)
		json_object_set_new(answer, "mtu", json_integer(r->mtu));
	add_dns(dns, r->dns, r->n_dns, r->search, r->n_search);
}

static void add_v6(json_t *answer, json_t *dns, const struct lease *l)
{
	const struct fl_dhcp6_reply *r = &l->client6.lease;
	struct fl_prefix ip = lease6_ip(r);

	json_object_set_new(answer, "ip6",
			    json_pack("{ss}", "address", fl_prefix_str(&ip, FL_PREFIX_BUF)));
	add_dns(dns, r->dns, r->n_dns, r->search, r->n_search);
}

json_t *answer_of(struct daemon *d, const struct fl_dhcp_request *q)
{
	json_t *answer = json_pack("{s[]}", "routes"), *dns = json_object();
	uint64_t now = now_ms(), expiry = FL_DHCP_NEVER;

	/* IPv4's name servers come first, whatever the order of the leases is. */
	for (int v6 = 0; v6 < 2; v6++)
		for (const struct lease *l = lease_find(d, q); l; l = lease_next(l)) {
			if (!lease_held(l) || (l->family == AF_INET6) != v6)
				continue;
			(v6 ? add_v6 : add_v4)(answer, dns, l);
			expiry = lease_expiry(l) < expiry ? lease_expiry(l) : expiry;
		}
	json_object_set_new(answer, "dns", dns);
	json_object_set_new(answer, "lease",
			    json_integer(expiry == FL_DHCP_NEVER ? -1
					 : expiry < now		 ? 0
							: (json_int_t)((expiry - now) / 1000)));
	return answer;
}
