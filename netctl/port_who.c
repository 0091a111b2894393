/* SPDX-License-Identifier: GPL-2.0-or-later */
/* port who: one look into the state and one question to the kernel, whatever else is there. */
#include "netctl/out.h"
#include "netctl/port.h"
#include "netctl/text.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

static const struct column columns[] = {
	{ "PROTOCOL", "protocol", 0, NULL },   { "ADDRESS", "host", 0, NULL },
	{ "HELD BY", "holder", 0, NULL },      { "KIND", "kind", 0, NULL },
	{ "NETWORK", "network", 0, NULL },     { "INTERFACE", "interface", COLUMN_WIDE, NULL },
	{ "INSIDE", "inside", 0, NULL },       { "PID", "pid", COLUMN_RIGHT, NULL },
	{ "USER", "uid", COLUMN_RIGHT, NULL }, { 0 },
};

struct question {
	uint8_t proto;
	uint16_t port;
	const struct fl_addr *address;
	json_t *rows;
};

static int take(void *arg, const struct mapping *m)
{
	const struct question *q = arg;
	struct mapping one;
	json_t *row;

	if (!mapping_covers(m, q->proto, q->port) ||
	    (fl_addr_is_set(q->address) && q->address->family != m->host.family))
		return 0;
	one = mapping_nth(m, (uint32_t)(q->port - m->port.host_port));
	row = mapping_json(&one);
	json_object_set_new(row, "kind", json_string("container"));
	json_object_set_new(row, "holder", json_string(CONTAINER_LABEL(m->ep)));
	return json_array_append_new(q->rows, row) ? -ENOMEM : 0;
}

static int take_name(void *arg, const struct fl_endpoint *ep)
{
	struct fl_endpoint *unnamed = arg;

	memcpy(unnamed->name, ep->name, sizeof(ep->name));
	return *ep->name != '\0';
}

static int ask_store(struct fl_txn *t, struct question *q, struct fl_error *err)
{
	FL_AUTOENDPOINT struct fl_endpoint ep = { 0 };
	struct fl_network net;
	struct fl_endpoint_id id;
	int r = fl_ports_owner(t, q->proto, q->address, q->port, &id, err);

	if (!r)
		r = fl_endpoint_get(t, &id, &ep, err);
	if (r)
		return r == -ENOENT ? 0 : r;
	/* Of a chain's plugins not each knows what people call the container. */
	if (!*ep.name)
		r = fl_endpoints_named(t, id.container, take_name, &ep, err);
	if (r < 0)
		return r;
	r = fl_network_get(t, id.network, id.driver, &net, err);
	if (r && r != -ENOENT)
		return r;
	return mappings_each(&ep, r ? NULL : &net, take, q) ? fl_error_oom(err) : 0;
}

static int ask_kernel(const struct question *q, struct fl_error *err)
{
	struct fl_listener l;
	char comm[17] = "";
	pid_t pid = 0;
	json_t *row;
	int r = fl_port_listener(q->proto, q->address, q->port, 1, &l, err);

	if (r <= 0)
		return r;
	fl_inode_owner(l.inode, &pid, comm);
	row = json_pack("{ss ss ss si si ss ss}", "kind", "process", "protocol",
			fl_proto_str(q->proto), "host", ADDRESS_PORT(&l.addr, l.port), "hostPort",
			(int)l.port, "uid", (int)l.uid, "hostIP", fl_addr_str(&l.addr, FL_ADDR_BUF),
			"command", clean_text(comm));
	if (pid)
		json_object_set_new(row, "pid", json_integer(pid));
	json_object_set_new(row, "holder", json_string(*comm ? comm : "(unknown)"));
	return json_array_append_new(q->rows, row) ? fl_error_oom(err) : 0;
}

static int ask(struct ctl *c, const struct port_want *want, const struct fl_addr *address,
	       json_t *rows, struct fl_error *err)
{
	static const uint8_t all[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP };
	FL_AUTOTXN struct fl_txn *t = NULL;
	int r = ctl_store(c, false, err);

	if (!r && c->store)
		r = fl_txn_begin(c->store, false, &t, err);
	for (size_t i = 0; i < FL_ARRAY_SIZE(all) && !r; i++) {
		struct question q = { want->proto ? want->proto : all[i], want->port, address,
				      rows };

		if (want->proto && i)
			break;
		if (t)
			r = ask_store(t, &q, err);
		if (!r)
			r = ask_kernel(&q, err);
	}
	return r;
}

static int run(struct ctl *c, struct fl_error *err)
{
	struct port_want want;
	struct fl_addr address;
	json_t *rows;
	int r = port_parse(c->argv[0], &want, err);

	if (!r)
		r = option_address(c, "address", &address, err);
	if (r)
		return r;
	rows = json_array();
	r = ask(c, &want, &address, rows, err);
	if (r || json_array_size(rows) || c->json) {
		c->status = r || json_array_size(rows) ? 0 : EXIT_NO;
		if (!r)
			return show_list(c, rows, columns, err);
		json_decref(rows);
		return r;
	}
	json_decref(rows);
	c->status = EXIT_NO;
	say(c, "nobody: port %s is neither published nor held by a process of this host",
	    c->argv[0]);
	return 0;
}

static const struct option_spec options[] = {
	{ "address", 0, "ADDRESS", "at this address of the host", NULL },
	{ 0 },
};

static const struct example examples[] = {
	{ "netctl port who 8080", "the container or process behind port 8080, of any protocol" },
	{ "netctl port who 53/udp --address 192.0.2.1", "at one address of the host" },
	{ 0 },
};

const struct command port_who_command = {
	.name = "port who",
	.args = "PORT[/PROTO]",
	.about = "who holds a port of the host",
	.text = "Of several holders at different addresses one is shown of each kind; --address "
		"asks for another. Exit status 4: nobody holds it.",
	.json = "a list of objects: kind (container, process), holder (what the table calls it); "
		"of a "
		"container " MAPPING_JSON
		", for the one port; of a process protocol, host, hostIP, "
		"hostPort, pid (where /proc tells it), command, uid.",
	.options = options,
	.examples = examples,
	.flags = COMMAND_READS,
	.min = 1,
	.max = 1,
	.run = run,
};
