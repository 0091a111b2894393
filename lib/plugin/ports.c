/* SPDX-License-Identifier: GPL-2.0-or-later */
/* runtimeConfig.portMappings: what to publish, and the choice of a port where 0 was asked for. */
#include "plugin/internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

struct mapping {
	int64_t host_port, host_port_end, container_port, range;
	const char *protocol, *host_ip;
};

static const struct fl_field mapping_fields[] = {
	FL_F("hostPort", INT, struct mapping, host_port, 0, 65535),
	FL_F("hostPortEnd", INT, struct mapping, host_port_end, 0, 65535),
	FL_F("containerPort", INT, struct mapping, container_port, 1, 65535),
	FL_F("range", INT, struct mapping, range, 0, 65535),
	FL_F("protocol", STRING, struct mapping, protocol, .max = 16),
	FL_F("hostIP", STRING, struct mapping, host_ip, .max = 64),
	{ 0 },
};

struct runtime {
	struct fl_list mappings;
};

static const struct fl_field runtime_fields[] = {
	FL_F("portMappings", LIST, struct runtime, mappings, .max = FL_PORTS_MAX,
	     .sub = mapping_fields, .size = sizeof(struct mapping)),
	{ 0 },
};

static int bad(struct fl_error *err, size_t i, const char *key, const char *expected,
	       const char *got)
{
	return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
			    "runtimeConfig.portMappings[%zu].%s: expected %s, not \"%.64s\"", i,
			    key, expected, got);
}

static int count_of(const struct mapping *m, size_t i, uint32_t *ret, struct fl_error *err)
{
	int64_t n = m->range ? m->range : 1;

	if (m->host_port_end) {
		if (m->host_port_end < m->host_port || !m->host_port)
			return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
					    "runtimeConfig.portMappings[%zu].hostPortEnd: expected "
					    "a port from hostPort (%lld) on, not %lld",
					    i, (long long)m->host_port,
					    (long long)m->host_port_end);
		if (m->range && n != m->host_port_end - m->host_port + 1)
			return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
					    "runtimeConfig.portMappings[%zu]: range and "
					    "hostPortEnd contradict each other",
					    i);
		n = m->host_port_end - m->host_port + 1;
	}
	if (m->host_port + n - 1 > 65535 || m->container_port + n - 1 > 65535)
		return fl_error_set(
			err, EINVAL, FL_ECODE_CONFIG,
			"runtimeConfig.portMappings[%zu]: the range of %lld ports passes 65535", i,
			(long long)n);
	*ret = (uint32_t)n;
	return 0;
}

static int convert(const struct mapping *m, size_t i, struct fl_port *ret, struct fl_error *err)
{
	struct fl_port p = { .proto = IPPROTO_TCP,
			     .host_port = (uint16_t)m->host_port,
			     .container_port = (uint16_t)m->container_port };
	int r;

	if (!m->container_port)
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "runtimeConfig.portMappings[%zu].containerPort: expected an "
				    "integer from 1 to 65535, found none",
				    i);
	if (m->protocol && *m->protocol && fl_proto_parse(m->protocol, &p.proto))
		return bad(err, i, "protocol", "\"tcp\", \"udp\" or \"sctp\"", m->protocol);
	if (m->host_ip && *m->host_ip && fl_addr_parse(m->host_ip, &p.host))
		return bad(err, i, "hostIP", "an IP address", m->host_ip);
	r = count_of(m, i, &p.count, err);
	if (!r)
		*ret = p;
	return r;
}

/* The next port of a run that runtimes spell out port by port (podman expands its ranges). */
static bool continues(const struct fl_port *last, const struct fl_port *p)
{
	return last->host_port && last->proto == p->proto && fl_addr_eq(&last->host, &p->host) &&
	       last->host_port + last->count == p->host_port &&
	       last->container_port + last->count == p->container_port;
}

int fl_ports_parse(struct fl_call *c, struct fl_error *err)
{
	const json_t *rc = fl_json_get(c->req.config, "runtimeConfig");
	struct runtime raw = { 0 };
	struct fl_port p;
	int r;

	if (!rc || !(c->driver->flags & FL_DRIVER_PORTS))
		return 0;
	if (!json_is_object(rc))
		return fl_error_set(err, EINVAL, FL_ECODE_DECODE,
				    "runtimeConfig: expected an object, not %s", fl_json_kind(rc));
	r = fl_fields_decode(rc, runtime_fields, "runtimeConfig", &raw, err);
	if (!r && raw.mappings.n) {
		c->ep.ports = calloc(raw.mappings.n, sizeof(*c->ep.ports));
		if (!c->ep.ports)
			r = fl_error_oom(err);
	}
	for (size_t i = 0; !r && i < raw.mappings.n; i++) {
		r = convert((struct mapping *)raw.mappings.items + i, i, &p, err);
		if (r)
			break;
		if (p.host.family == AF_INET6 && fl_addr_is_loopback(&p.host))
			fprintf(stderr,
				"note: runtimeConfig.portMappings[%zu].hostIP: Linux does not "
				"route ::1; use 127.0.0.1\n",
				i);
		if (c->ep.n_ports && continues(&c->ep.ports[c->ep.n_ports - 1], &p))
			c->ep.ports[c->ep.n_ports - 1].count += p.count;
		else
			c->ep.ports[c->ep.n_ports++] = p;
	}
	fl_fields_clear(runtime_fields, &raw);
	return r;
}

unsigned fl_endpoint_families(const struct fl_endpoint *ep)
{
	unsigned f = 0;

	for (uint32_t i = 0; i < ep->n_addrs; i++)
		f |= ep->addrs[i].addr.family == AF_INET ? FL_FAMILY_V4 : FL_FAMILY_V6;
	return f;
}

/* ---- hostPort 0 ---- */

struct choice {
	const struct fl_port *port;
	char reserved[4096]; /* net.ipv4.ip_local_reserved_ports: "8080,9000-9999" */
};

static bool in_list(const char *list, unsigned port)
{
	while (*list) {
		unsigned first, last;
		int used = 0;

		if (sscanf(list, "%u%n", &first, &used) != 1)
			return false;
		last = first;
		list += used;
		if (*list == '-' && sscanf(list, "-%u%n", &last, &used) == 1)
			list += used;
		if (port >= first && port <= last)
			return true;
		list += *list == ',';
	}
	return false;
}

static bool is_reserved(void *arg, uint16_t port)
{
	const struct choice *ch = arg;
	struct fl_listener l;

	if (in_list(ch->reserved, port))
		return true;
	/* About 30 us under the write lock, once for nearly every choice: only for hostPort 0. */
	return fl_port_listener(ch->port->proto, &ch->port->host, port, 1, &l, NULL) == 1;
}

static int choose(struct fl_call *c, struct fl_txn *t, struct fl_port *p, struct fl_error *err)
{
	unsigned first = 32768, last = 60999;
	struct choice ch = { .port = p };
	char range[64] = "";
	uint32_t offset = 0;
	int r;

	if (!fl_sysctl_read("net/ipv4/ip_local_port_range", range, sizeof(range), NULL))
		sscanf(range, "%u %u", &first, &last);
	fl_sysctl_read("net/ipv4/ip_local_reserved_ports", ch.reserved, sizeof(ch.reserved), NULL);
	if (getrandom(&offset, sizeof(offset), 0) != sizeof(offset) || last < first || last > 65535)
		return fl_error_set(err, ERANGE, FL_ECODE_KERNEL,
				    "net.ipv4.ip_local_port_range is \"%s\"", range);
	r = fl_ports_find_free(t, p->proto, &p->host, fl_endpoint_families(&c->ep), p->count,
			       (uint16_t)first, (uint16_t)last, offset % (last - first + 1),
			       is_reserved, &ch, &p->host_port, err);
	return r;
}

static int report(struct fl_call *c, const struct fl_port *p)
{
	json_t *list, *one = json_object();

	if (!c->result.extra)
		c->result.extra = json_object();
	list = json_object_get(c->result.extra, "portMappings");
	if (!list) {
		list = json_array();
		json_object_set_new(c->result.extra, "portMappings", list);
	}
	json_object_set_new(one, "hostPort", json_integer(p->host_port));
	json_object_set_new(one, "containerPort", json_integer(p->container_port));
	json_object_set_new(one, "protocol", json_string(fl_proto_str(p->proto)));
	if (p->count > 1)
		json_object_set_new(one, "range", json_integer(p->count));
	if (fl_addr_is_set(&p->host))
		json_object_set_new(one, "hostIP", json_string(fl_addr_str(&p->host, FL_ADDR_BUF)));
	return json_array_append_new(list, one);
}

int fl_ports_choose(struct fl_call *c, struct fl_txn *t, struct fl_error *err)
{
	/* A port chosen for one mapping is claimed only at the end: set aside what is chosen so
	 * far. */
	for (uint32_t i = 0; i < c->ep.n_ports; i++) {
		struct fl_port *p = &c->ep.ports[i];
		int r;

		if (p->host_port)
			continue;
		for (uint32_t tries = 0;; tries++) {
			bool clash = false;

			r = choose(c, t, p, err);
			if (r)
				return r;
			for (uint32_t k = 0; k < c->ep.n_ports && !clash; k++) {
				const struct fl_port *q = &c->ep.ports[k];

				clash = k != i && q->host_port && q->proto == p->proto &&
					q->host_port < p->host_port + p->count &&
					p->host_port < q->host_port + q->count;
			}
			if (!clash)
				break;
			p->host_port = 0;
			if (tries == 64)
				return fl_error_set(err, EADDRNOTAVAIL, FL_ECODE_EXHAUSTED,
						    "no free host port was found");
		}
		if (report(c, p))
			return fl_error_oom(err);
	}
	return 0;
}

/* A host process that holds one of the ports. An error only where the caller asked for one. */
int fl_ports_check_host(const struct fl_call *c, struct fl_error *err)
{
	for (uint32_t i = 0; i < c->ep.n_ports; i++) {
		const struct fl_port *p = &c->ep.ports[i];
		struct fl_listener l;
		char comm[16] = "";
		pid_t pid = 0;

		if (!p->host_port ||
		    fl_port_listener(p->proto, &p->host, p->host_port, p->count, &l, NULL) != 1)
			continue;
		if (!c->check_host_ports) {
			fprintf(stderr,
				"note: a host process listens on %s port %u too; connections to it "
				"now reach the container\n",
				fl_proto_str(p->proto), l.port);
			continue;
		}
		if (fl_inode_owner(l.inode, &pid, comm))
			return fl_error_set(err, EADDRINUSE, FL_ECODE_CONFLICT,
					    "%s port %u is held by the host process %s (pid %d); "
					    "stop it or publish another port",
					    fl_proto_str(p->proto), l.port, comm, (int)pid);
		return fl_error_set(err, EADDRINUSE, FL_ECODE_CONFLICT,
				    "%s port %u is held by a host process of user %u",
				    fl_proto_str(p->proto), l.port, l.uid);
	}
	return 0;
}
