/* SPDX-License-Identifier: GPL-2.0-or-later */
/* port check: what a published port needs, in the order in which a packet needs it. */
#include "netctl/out.h"
#include "netctl/reach.h"
#include "netctl/text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>

enum { PROBE_MS = 1000 };

struct check {
	struct ctl *c;
	const struct model *m;
	struct fl_fw *fw;
	struct steps steps;
	struct port_want want;
	struct fl_addr address; /* --address */
	struct mapping mapping; /* of that one port */
	struct fl_port whole;	/* as it is recorded */
	const struct fl_network *net;
};

static void check_clear(struct check *k)
{
	steps_clear(&k->steps);
	fl_fw_close(k->fw);
}

/* ---- records ---- */

static bool find_record(struct check *k)
{
	int family = option_given(k->c, "ipv6") ? AF_INET6 : k->address.family;
	struct mapping *m = &k->mapping;

	if (!mapping_find(k->m, k->want.proto, &k->address, family, k->want.port, m)) {
		step_failed(&k->steps, "record",
			    TEXT("netctl port ls shows what is published, netctl port who %u who "
				 "else has the port",
				 k->want.port),
			    "no container publishes port %u/%s%s%s", k->want.port,
			    fl_proto_str(k->want.proto), family ? " at " : "",
			    fl_addr_is_set(&k->address) ? fl_addr_str(&k->address, FL_ADDR_BUF)
			    : family			? "IPv6"
							: "");
		return false;
	}
	k->whole = m->port;
	*m = mapping_nth(m, (uint32_t)(k->want.port - m->port.host_port));
	k->net = model_network(k->m, m->ep);
	step_ok(&k->steps, "record", "%s is %s of container %s, network %s", MAPPING_HOST(m),
		MAPPING_INSIDE(m), CONTAINER_LABEL(m->at->main), m->ep->id.network);
	return true;
}

static void check_state(struct check *k)
{
	const struct fl_endpoint *ep = k->mapping.ep;

	if (ep->state == FL_STATE_READY)
		step_ok(&k->steps, "state", "the attachment is ready");
	else
		step_failed(&k->steps, "state",
			    "wait for its plugin; if none is at work any more, the next ADD or GC "
			    "clears it away",
			    "the attachment is %s", state_str(ep->state));
}

static void check_network(struct check *k)
{
	const struct fl_network *net = k->net;
	const char *at = ADDRESS_PORT(&k->mapping.inside, k->mapping.port.container_port);

	if (net && net->internal)
		step_failed(&k->steps, "network", "publish it on a network that is not internal",
			    "network %s is internal: nothing is published", net->name);
	else if (net && net->gateway_mode == FL_GATEWAY_ROUTED)
		step_ok(&k->steps, "network",
			"network %s is routed: the port is not translated, but open at %s",
			net->name, at);
	else if (net && net->guarded)
		step_ok(&k->steps, "network",
			"network %s is guarded: only the host's port leads "
			"to %s from outside",
			net->name, at);
}

/* ---- the host ---- */

static void check_address(struct check *k)
{
	const struct fl_addr *a = &k->mapping.host;

	if (mapping_obstacle(&k->mapping)) {
		step_failed(&k->steps, "address",
			    "publish the port at an address from which something leads in, such as "
			    "0.0.0.0",
			    "%s", mapping_obstacle(&k->mapping));
		return;
	}
	if (fl_addr_is_any(a))
		return;
	if (address_is_local(k->c, a))
		step_ok(&k->steps, "address", "%s is an address of the host",
			fl_addr_str(a, FL_ADDR_BUF));
	else
		step_failed(&k->steps, "address",
			    TEXT("give it to the host (ip address add %s/PREFIX dev LINK), or "
				 "publish the port at an address that the host has",
				 fl_addr_str(a, FL_ADDR_BUF)),
			    "%s is not an address of the host", fl_addr_str(a, FL_ADDR_BUF));
}

/* Translation comes before it, so that it is not asked; but it is there for some reason. */
static void check_process(struct check *k)
{
	struct fl_error why = { 0 };
	struct fl_listener l;
	char comm[17] = "";
	pid_t pid = 0;
	int r = fl_port_listener(k->want.proto, &k->mapping.host, k->want.port, 1, &l, &why);

	if (r < 0)
		step_unknown(&k->steps, "process", NULL, "%s", why.text);
	if (r <= 0)
		return;
	fl_inode_owner(l.inode, &pid, comm);
	step_unknown(&k->steps, "process", "end it, or let one of the two use another port",
		     "%s (process %d of the host) listens at %s too: only what is not translated "
		     "comes to it",
		     *comm ? clean_text(comm) : "a socket", (int)pid,
		     ADDRESS_PORT(&l.addr, l.port));
}

static void check_rules(struct check *k)
{
	static const char rebuild[] = "netctl reload brings fairlead's rules back";
	bool shifted = k->whole.host_port != k->whole.container_port;
	struct fl_endpoint one = *k->mapping.ep;
	struct fl_error why = { 0 };
	int r = fl_fw_check_skeleton(k->fw, &why);

	if (r < 0)
		step_unknown(&k->steps, "skeleton", NULL, "%s", why.text);
	else if (!r)
		step_failed(&k->steps, "skeleton", rebuild, "%s", why.text);
	else
		step_ok(&k->steps, "skeleton", "fairlead's rules are there");
	/* A shifted range is an element for each port, any other a single one. */
	one.ports = shifted ? &k->mapping.port : &k->whole;
	one.n_ports = 1;
	r = fl_fw_check(k->fw, k->net, &one, &why);
	if (r < 0)
		step_unknown(&k->steps, "element", NULL, "%s", why.text);
	else if (!r)
		step_failed(&k->steps, "element", rebuild, "%s", why.text);
	else
		step_ok(&k->steps, "element", "what nftables needs for it is there");
}

/* ---- the way ---- */

/* Whom a packet is sent to: the host's port, or the container's where nothing is translated. */
static const char *target(const struct check *k, char *buf, size_t size)
{
	const struct mapping *m = &k->mapping;
	const char *proto = fl_proto_str(k->want.proto);

	if (!m->translated)
		snprintf(buf, size, "%s/%s", ADDRESS_PORT(&m->inside, m->port.container_port),
			 proto);
	else if (fl_addr_is_set(&k->address) && !fl_addr_is_any(&k->address))
		snprintf(buf, size, "%s/%s", ADDRESS_PORT(&k->address, k->want.port), proto);
	else if (!fl_addr_is_any(&m->host))
		snprintf(buf, size, "%s/%s", ADDRESS_PORT(&m->host, k->want.port), proto);
	else
		snprintf(buf, size, "host:%u/%s", k->want.port, proto);
	return buf;
}

/* From outside, unless only the host can be meant. */
static const char *asker(const struct check *k)
{
	const char *from = option_value(k->c, "from");
	struct fl_error ignored = { 0 };
	struct fl_nlroute r;

	if (from)
		return from;
	if (fl_addr_is_loopback(&k->mapping.host) ||
	    fl_default_route(k->c->host, k->mapping.host.family, &r, &ignored))
		return "host";
	return "outside";
}

static int follow(struct check *k, struct fl_error *err)
{
	AUTOPARTY struct party from = { 0 };
	AUTOPARTY struct party to = { 0 };
	struct walk w = { k->c, k->m, &k->steps, k->fw, &from, &to };
	char words[128];
	int r = party_parse(k->c, k->m, asker(k), false, &from, err);

	w.family = k->mapping.host.family;
	if (!r)
		r = party_parse(k->c, k->m, target(k, words, sizeof(words)), true, &to, err);
	return r ? r : reach(&w, err);
}

/* ---- a true connection ---- */

static socklen_t socket_address(const struct fl_addr *a, uint16_t port,
				struct sockaddr_storage *ret)
{
	struct sockaddr_in6 *six = (void *)ret;
	struct sockaddr_in *four = (void *)ret;

	*ret = (struct sockaddr_storage){ .ss_family = a->family };
	if (a->family == AF_INET6) {
		six->sin6_port = htons(port);
		memcpy(&six->sin6_addr, a->b, 16);
		return sizeof(*six);
	}
	four->sin_port = htons(port);
	memcpy(&four->sin_addr, a->b, 4);
	return sizeof(*four);
}

/* 0, or the errno of the failure. */
static int connect_within(const struct fl_addr *a, uint16_t port, int ms)
{
	FL_AUTOCLOSE int fd =
		socket(a->family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);
	struct sockaddr_storage to;
	socklen_t len = socket_address(a, port, &to), size = sizeof(int);
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	int failure = 0;

	if (fd < 0)
		return errno;
	if (!connect(fd, (struct sockaddr *)&to, len))
		return 0;
	if (errno != EINPROGRESS)
		return errno;
	if (poll(&p, 1, ms) <= 0)
		return ETIMEDOUT;
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &size);
	return failure;
}

static void probe(struct check *k)
{
	const struct mapping *m = &k->mapping;
	const char *at = ADDRESS_PORT(&m->inside, m->port.container_port);
	int failure;

	if (k->want.proto != IPPROTO_TCP) {
		step_unknown(&k->steps, "probe", NULL, "only tcp tells whether somebody is there");
		return;
	}
	failure = connect_within(&m->inside, m->port.container_port, PROBE_MS);
	if (failure)
		step_failed(&k->steps, "probe", NULL, "a connection from the host to %s: %s", at,
			    strerror(failure));
	else
		step_ok(&k->steps, "probe", "a connection from the host to %s succeeds", at);
}

/* ---- the verb ---- */

static int show(struct check *k, struct fl_error *err)
{
	struct ctl *c = k->c;
	const char *port = TEXT("%u/%s", k->want.port, fl_proto_str(k->want.proto));

	if (k->steps.failed)
		c->status = EXIT_NO;
	if (c->json)
		return show_json(json_pack("{ss so sb}", "port", port, "steps",
					   steps_json(&k->steps), "ok", (int)!k->steps.failed),
				 err);
	if (!c->quiet)
		steps_print(c, &k->steps);
	else
		puts(k->steps.failed ? "failed" : "ok");
	return 0;
}

static int look(struct check *k, struct fl_error *err)
{
	int r;

	if (!find_record(k))
		return 0;
	check_state(k);
	check_network(k);
	check_address(k);
	check_process(k);
	if (mapping_obstacle(&k->mapping))
		return 0;
	check_rules(k);
	r = follow(k, err);
	if (!r && option_given(k->c, "probe"))
		probe(k);
	return r;
}

static int run(struct ctl *c, struct fl_error *err)
{
	FL_CLEANUP(check_clear) struct check k = { .c = c };
	AUTOMODEL struct model m = { 0 };
	int r = port_parse(c->argv[0], &k.want, err);

	k.m = &m;
	if (!k.want.proto)
		k.want.proto = IPPROTO_TCP;
	if (!r)
		r = option_address(c, "address", &k.address, err);
	if (!r)
		r = model_read(c, &m, err);
	if (!r)
		r = ctl_self(c, err);
	if (!r)
		r = ctl_host(c, err);
	if (!r)
		r = fl_fw_open(&k.fw, err);
	if (!r)
		r = look(&k, err);
	return r ? r : show(&k, err);
}

static const struct option_spec options[] = {
	{ "address", 0, "ADDRESS", "at this address of the host", NULL },
	{ "from", 0, "WHO", "host, outside (default) or a container", "@endpoint" },
	{ "ipv6", '6', NULL, "by IPv6", NULL },
	{ "probe", 0, NULL, "connect to the container from the host, for a second at most", NULL },
	{ 0 },
};

static const struct example examples[] = {
	{ "netctl port check 8080", "is it reached from outside, and if not, where does it end" },
	{ "netctl port check 8080 --from host --probe", "from the host, with a true connection" },
	{ 0 },
};

const struct command port_check_command = {
	.name = "port check",
	.args = "PORT[/PROTO]",
	.about = "what stops a published port, step by step",
	.text = "Record, state, network, address, nftables, forwarding, other firewalls, route, "
		"link, sandbox, interface, the way back and who listens: each is a line with ok, "
		"failed or unknown, and the remedy. Nothing is sent without --probe. Exit status "
		"4: a step failed.",
	.json = "port, steps (a list of objects: step, ok (true, false, or null for not known), "
		"detail, remedy), ok (no step failed).",
	.options = options,
	.examples = examples,
	.flags = COMMAND_READS,
	.min = 1,
	.max = 1,
	.run = run,
};
