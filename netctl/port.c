/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "netctl/port.h"

#include "fw/elems.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

bool port_is(const char *text, struct port_want *ret)
{
	struct port_want w = { 0 };
	unsigned long port;
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	port = strtoul(text, &end, 10);
	if (!port || port > 65535 || (*end && *end != '/'))
		return false;
	if (*end && fl_proto_parse(end + 1, &w.proto))
		return false;
	w.port = (uint16_t)port;
	*ret = w;
	return true;
}

int port_parse(const char *text, struct port_want *ret, struct fl_error *err)
{
	return port_is(text, ret) ? 0
				  : usage_error(err,
						"%s: expected a port from 1 to 65535, with /tcp, "
						"/udp or /sctp behind it if need be",
						text);
}

int option_address(const struct ctl *c, const char *name, struct fl_addr *ret, struct fl_error *err)
{
	const char *text = option_value(c, name);

	*ret = (struct fl_addr){ 0 };
	if (text && fl_addr_parse(text, ret))
		return usage_error(err, "--%s: expected an IP address, not \"%s\"", name, text);
	return 0;
}

const char *mapping_obstacle(const struct mapping *m)
{
	if (m->host.family == AF_INET6 && fl_addr_is_loopback(&m->host))
		return "nothing leads from ::1 to a container: IPv6 has no route_localnet";
	if (!fl_addr_is_set(&m->inside))
		return m->host.family == AF_INET6 ? "the container has no IPv6 address"
						  : "the container has no IPv4 address";
	return NULL;
}

int mappings_each(const struct fl_endpoint *ep, const struct fl_network *net,
		  int (*fn)(void *arg, const struct mapping *m), void *arg)
{
	static const int families[] = { AF_INET, AF_INET6 };
	bool translated = !net || (!net->internal && net->gateway_mode == FL_GATEWAY_NAT);
	struct mapping m = { .ep = ep };
	int r = 0;

	for (uint32_t i = 0; i < ep->n_ports; i++)
		for (size_t f = 0; f < FL_ARRAY_SIZE(families) && !r; f++) {
			const struct fl_addr *inside = fl_fw_publish_addr(ep, families[f]);

			m.port = ep->ports[i];
			m.host = m.port.host;
			if (!fl_addr_is_set(&m.host) && inside)
				m.host = (struct fl_addr){ .family = (uint8_t)families[f] };
			/* At an address of its own it is held even where nothing can lead in. */
			if (m.host.family != families[f])
				continue;
			m.inside = inside ? *inside : (struct fl_addr){ 0 };
			m.translated = translated && !mapping_obstacle(&m);
			r = fn(arg, &m);
		}
	return r;
}

bool mapping_covers(const struct mapping *m, uint8_t proto, uint16_t host_port)
{
	return m->port.proto == proto && host_port >= m->port.host_port &&
	       host_port - m->port.host_port < (int)m->port.count;
}

struct search {
	const struct attachment *at;
	const struct fl_addr *address;
	int family;
	uint8_t proto;
	uint16_t port;
	struct mapping found;
	enum { NOTHING, SOMEWHERE, HERE } how;
};

static int look_at(void *arg, const struct mapping *m)
{
	struct search *s = arg;
	bool here = fl_addr_eq(&m->host, s->address);

	if (!mapping_covers(m, s->proto, s->port) || (s->family && m->host.family != s->family) ||
	    (fl_addr_is_set(s->address) && !here && !fl_addr_is_any(&m->host)))
		return 0;
	if (s->how < SOMEWHERE || here) {
		s->found = *m;
		s->found.at = s->at;
		s->how = here ? HERE : SOMEWHERE;
	}
	return s->how == HERE;
}

bool mapping_find(const struct model *m, uint8_t proto, const struct fl_addr *address, int family,
		  uint16_t host_port, struct mapping *ret)
{
	struct search s = {
		.address = address, .family = family, .proto = proto, .port = host_port
	};

	for (size_t i = 0; i < m->n_attachments && s.how != HERE; i++) {
		s.at = &m->attachments[i];
		for (size_t k = 0; k < s.at->n; k++)
			if (s.at->first[k].n_ports)
				mappings_each(&s.at->first[k], model_network(m, &s.at->first[k]),
					      look_at, &s);
	}
	if (s.how)
		*ret = s.found;
	return s.how;
}

struct mapping mapping_nth(const struct mapping *m, uint32_t i)
{
	struct mapping one = *m;

	one.port.host_port = (uint16_t)(one.port.host_port + i);
	one.port.container_port = (uint16_t)(one.port.container_port + i);
	one.port.count = 1;
	return one;
}

const char *mapping_host(const struct mapping *m, char *buf, size_t size)
{
	return port_host_str(&m->port, m->host.family, buf, size);
}

const char *mapping_inside(const struct mapping *m, char *buf, size_t size)
{
	struct fl_port inside = { m->port.proto, m->inside, m->port.container_port, 0,
				  m->port.count };

	*buf = '\0';
	return fl_addr_is_set(&m->inside) ? port_host_str(&inside, m->inside.family, buf, size)
					  : buf;
}

const char *address_port_str(const struct fl_addr *a, uint16_t port, char *buf, size_t size)
{
	struct fl_port p = { IPPROTO_TCP, *a, port, 0, 1 };

	return port_host_str(&p, a->family, buf, size);
}

static const char *name_of(const struct mapping *m)
{
	for (size_t i = 0; m->at && !*m->ep->name && i < m->at->n; i++)
		if (*m->at->first[i].name)
			return m->at->first[i].name;
	return m->ep->name;
}

json_t *mapping_json(const struct mapping *m)
{
	const struct fl_port *p = &m->port;

	return json_pack("{ss ss ss si si ss ss ss ss ss ss si sb}", "protocol",
			 fl_proto_str(p->proto), "host", MAPPING_HOST(m), "hostIP",
			 fl_addr_str(&m->host, FL_ADDR_BUF), "hostPort", (int)p->host_port, "range",
			 (int)p->count, "container", m->ep->id.container, "name", name_of(m),
			 "network", m->ep->id.network, "interface", m->ep->id.ifname, "inside",
			 MAPPING_INSIDE(m), "insideIP",
			 fl_addr_is_set(&m->inside) ? fl_addr_str(&m->inside, FL_ADDR_BUF) : "",
			 "containerPort", (int)p->container_port, "translated", (int)m->translated);
}
