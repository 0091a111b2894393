/* SPDX-License-Identifier: GPL-2.0-or-later */
/* attach and detach; network connect and disconnect, which are the same for who knows docker. */
#include "netctl/attach.h"

#include "base/strbuf.h"
#include "netctl/cluster_network.h"
#include "netctl/kept.h"
#include "netctl/portspec.h"

#include <errno.h>
#include <string.h>

/* ---- capability arguments ---- */

static bool is_free(struct ctl *c, struct fl_txn *t, const struct portspec *p, uint16_t port)
{
	struct fl_endpoint_id owner;
	struct fl_listener l;
	struct fl_addr host = { 0 };

	(void)c;
	fl_addr_parse(p->host, &host);
	return (!t || fl_ports_owner(t, p->proto, &host, port, &owner, NULL) == -ENOENT) &&
	       fl_port_listener(p->proto, &host, port, 1, &l, NULL) != 1;
}

/* One container port at the first free one of a range: "8000-8010:80". */
static int choose(struct ctl *c, const char *text, struct portspec *p, struct fl_error *err)
{
	FL_AUTOTXN struct fl_txn *t = NULL;
	int r;

	if (p->n_host <= 1 || p->count != 1)
		return 0;
	r = ctl_store(c, false, err);
	if (!r && c->store)
		r = fl_txn_begin(c->store, false, &t, err);
	for (uint32_t i = 0; !r && i < p->n_host; i++)
		if (is_free(c, t, p, (uint16_t)(p->host_port + i))) {
			p->host_port = (uint16_t)(p->host_port + i);
			return 0;
		}
	return r ? r
		 : fl_error_set(err, EADDRINUSE, FL_ECODE_EXHAUSTED,
				"%s: none of these host ports is free", text);
}

static int add_ports(struct ctl *c, const char *option, json_t *list, struct fl_error *err)
{
	struct portspec p;
	const char *text;

	for (size_t i = 0; (text = option_nth(c, option, i)); i++) {
		int r = portspec_parse(text, &p, err);

		if (!r && !strcmp(option, "expose") && (p.n_host || *p.host))
			r = usage_error(err, "--expose %s: expected no host port", text);
		if (!r)
			r = choose(c, text, &p, err);
		if (r)
			return r;
		if (!strcmp(option, "publish") || option_given(c, "publish-all"))
			json_array_append_new(list, portspec_json(&p));
	}
	return 0;
}

/* Moves the list in under its name unless it is empty. */
static void put_list(json_t *to, const char *key, json_t *list)
{
	if (json_array_size(list))
		json_object_set(to, key, list);
	json_decref(list);
}

static json_t *list_of(const struct ctl *c, const char *option)
{
	json_t *list = json_array();
	const char *text;

	for (size_t i = 0; (text = option_nth(c, option, i)); i++)
		json_array_append_new(list, json_string(text));
	return list;
}

static int check_addresses(const struct ctl *c, const char *option, struct fl_error *err)
{
	struct fl_prefix p;
	const char *text;

	for (size_t i = 0; (text = option_nth(c, option, i)); i++)
		if (fl_prefix_parse_lenient(text, &p))
			return usage_error(err, "--%s: expected an IP address, not \"%s\"", option,
					   text);
	return 0;
}

static int check_names(const struct ctl *c, const char *option, struct fl_error *err)
{
	const char *text;

	for (size_t i = 0; (text = option_nth(c, option, i)); i++)
		if (!fl_name_valid(text, FL_HOSTNAME_MAX))
			return usage_error(err, "--%s: expected a host name, not \"%.64s\"", option,
					   text);
	return 0;
}

static int check_options(const struct ctl *c, struct fl_error *err)
{
	const char *mac = option_value(c, "mac"), *ifname = option_value(c, "interface");
	struct fl_mac m;
	int r = check_addresses(c, "ip", err);

	if (!r)
		r = check_addresses(c, "dns", err);
	if (!r)
		r = check_names(c, "name", err);
	if (!r)
		r = check_names(c, "hostname", err);
	if (!r)
		r = check_names(c, "alias", err);
	if (!r && mac && fl_mac_parse(mac, &m))
		r = usage_error(err, "--mac: expected aa:bb:cc:dd:ee:ff, not \"%.64s\"", mac);
	if (!r && ifname && !fl_ifname_valid(ifname))
		r = usage_error(err, "--interface: expected 1 to 15 bytes without '/', ':' and "
				     "blanks");
	if (!r && option_given(c, "expose") && !option_given(c, "publish-all"))
		remark(c, "--expose publishes nothing without -P");
	return r;
}

int attach_arguments(struct ctl *c, json_t **ret, struct fl_error *err)
{
	FL_AUTOJSON json_t *args = json_object();
	json_t *ports = json_array(), *dns = json_object();
	const char *mac = option_value(c, "mac");
	int r = check_options(c, err);

	if (!r)
		r = add_ports(c, "publish", ports, err);
	if (!r)
		r = add_ports(c, "expose", ports, err);
	put_list(args, "portMappings", ports);
	put_list(args, "ips", list_of(c, "ip"));
	put_list(args, "aliases", list_of(c, "alias"));
	if (mac)
		json_object_set_new(args, "mac", json_string(mac));
	put_list(dns, "servers", list_of(c, "dns"));
	put_list(dns, "searches", list_of(c, "dns-search"));
	put_list(dns, "options", list_of(c, "dns-option"));
	if (json_object_size(dns))
		json_object_set(args, "dns", dns);
	json_decref(dns);
	if (!r)
		*ret = fl_take_ptr(args);
	return r;
}

/* ---- attaching ---- */

/* A namespace's name is a name to resolve; a process id is none. */
static const char *name_of(const struct ctl *c, const struct model *m, const struct target *t)
{
	const char *name = option_value(c, "name");

	for (size_t i = 0; !name && i < m->n_attachments; i++) {
		const struct fl_endpoint *ep = m->attachments[i].main;

		if (!strcmp(ep->id.container, t->container) && *ep->name)
			name = ep->name;
	}
	return name || t->at || !strncmp(t->container, "pid-", 4) ? name : t->container;
}

static bool chooses_port(const struct ctl *c)
{
	struct portspec p;
	const char *text;

	for (size_t i = 0; (text = option_nth(c, "publish", i)); i++)
		if (!portspec_parse(text, &p, NULL) && p.n_host > 1 && p.count == 1)
			return true;
	return false;
}

/* Says what else the word is, or how there would be such a network. */
static int no_network(const struct ctl *c, const struct model *m, const char *network,
		      struct fl_error *err)
{
	char path[300];

	snprintf(path, sizeof(path), FL_NETNS_RUN_DIR "/%.250s", network);
	if (model_knows(m, network) || (!strchr(network, '/') && !access(path, F_OK)))
		return not_found(err,
				 "%s is a sandbox and no network; the network comes first: netctl "
				 "attach NETWORK %s",
				 network, network);
	if (strchr(network, ','))
		return not_found(err, "%s: expected one network; attach to each by itself",
				 network);
	if (!strstr(err->text, "did you mean") && fl_name_valid(network, FL_NAME_MAX))
		fl_error_set(err, ENOENT, FL_ECODE_UNKNOWN_CONTAINER,
			     "%s: no such network in %s; `netctl network create %s` makes one",
			     network, c->dir, network);
	return -ENOENT;
}

/* Nothing gets in: what docker and podman say by silence. */
static int refuse_internal(const struct attach *a, const json_t *args, struct fl_error *err)
{
	if (!json_object_get(args, "portMappings") ||
	    !json_is_true(fl_json_get(conflist_main(a->net), "internal")))
		return 0;
	return fl_error_set(
		err, EINVAL, FL_ECODE_CONFIG,
		"network %s is internal: nothing is published there; attach without -p, "
		"or to a network that is not",
		a->net->name);
}

static int attach_locked(struct ctl *c, struct attach *a, const struct conflists *files,
			 const char *network, json_t **ret_result, char *ret_ifname,
			 struct fl_error *err)
{
	FL_AUTOCLOSE int ports = -1, file = -1;
	FL_AUTOJSON json_t *args = NULL;
	int r = conflists_get(files, c->dir, network, &a->net, err);

	if (!r)
		r = conflist_lock(c->dir, a->net, false, &file, err);
	if (!r && chooses_port(c))
		r = kept_lock_all(c, &ports, err);
	if (!r)
		r = attach_arguments(c, &args, err);
	if (!r)
		r = refuse_internal(a, args, err);
	a->capabilities = args;
	return r ? r : runtime_attach(c, a, ret_result, ret_ifname, err);
}

/* One that another node made has no file here yet. */
static int find_network(struct ctl *c, const char *network, struct conflists *files,
			struct fl_error *err)
{
	int r = conflists_read(c->dir, files, err);

	if (r || conflists_find(files, network))
		return r;
	r = cluster_adopt(c, network, err);
	if (r <= 0)
		return r;
	conflists_clear(files);
	return conflists_read(c->dir, files, err);
}

int attach_target(struct ctl *c, const struct model *m, const char *network, const struct target *t,
		  json_t **ret_result, char *ret_ifname, struct fl_error *err)
{
	FL_AUTONETNS struct fl_netns ns = FL_NETNS_NONE;
	AUTOCONFLISTS struct conflists files = { 0 };
	struct attach a = { .container = t->container,
			    .netns = t->netns,
			    .sandbox = &ns,
			    .ifname = option_value(c, "interface"),
			    .name = name_of(c, m, t),
			    .hostname = option_value(c, "hostname") };
	int r = 0;

	if (!fl_name_valid(t->container, FL_NAME_MAX))
		return usage_error(err,
				   "%.64s: cannot be a container's id: expected a letter or digit, "
				   "then letters, digits, '_', '.', '-'; give one by --id",
				   t->container);
	r = find_network(c, network, &files, err);
	if (!r && !conflists_find(&files, network)) {
		conflists_get(&files, c->dir, network, &a.net, err);
		return no_network(c, m, network, err);
	}
	if (!r)
		r = target_open(c, t, &ns, err);
	if (!r && fl_netns_same(&ns, &c->self))
		r = fl_error_set(err, EINVAL, FL_ECODE_NETNS,
				 "%s is the host's own namespace, and no sandbox", t->netns);
	return r ? r : attach_locked(c, &a, &files, network, ret_result, ret_ifname, err);
}

/* What ADD recorded: the result does not say which host ports were published. */
static int recorded(struct ctl *c, const char *network, const struct target *t, const char *ifname,
		    json_t **ret, struct fl_error *err)
{
	AUTOMODEL struct model m = { 0 };
	int r;

	fl_store_close(fl_take_ptr(c->store));
	r = model_read(c, &m, err);
	for (size_t i = 0; !r && i < m.n_attachments; i++) {
		const struct fl_endpoint_id *id = &m.attachments[i].main->id;

		if (!strcmp(id->network, network) && !strcmp(id->container, t->container) &&
		    !strcmp(id->ifname, ifname)) {
			*ret = attachment_json(&m.attachments[i]);
			return 0;
		}
	}
	return r ? r : -ENOENT;
}

static void print_port(const json_t *p)
{
	const char *host = json_string_value(json_object_get(p, "hostIP"));
	struct fl_port port = {
		.host_port = (uint16_t)json_integer_value(json_object_get(p, "hostPort")),
		.container_port = (uint16_t)json_integer_value(json_object_get(p, "containerPort")),
		.count = (uint32_t)json_integer_value(json_object_get(p, "range")),
	};

	fl_addr_parse(host, &port.host);
	fl_proto_parse(json_string_value(json_object_get(p, "protocol")), &port.proto);
	printf("  %s -> %s\n", PORT_CONTAINER(&port), PORT_HOST(&port, AF_INET));
}

/* Of plugins that keep no record: what they said. */
static char *addresses_of(const json_t *result)
{
	FL_AUTOJSON json_t *list = json_array();
	const json_t *ip;
	size_t i;

	json_array_foreach(json_object_get(result, "ips"), i, ip)
		json_array_append(list, json_object_get(ip, "address"));
	return cell_text(list, ", ");
}

int attach_show(struct ctl *c, const char *network, const struct target *t, json_t *result,
		const char *ifname, struct fl_error *err)
{
	FL_AUTOJSON json_t *row = NULL;
	FL_AUTOFREE char *addresses = NULL;
	const json_t *p;
	size_t i;
	int r;

	if (c->json)
		return show_json(json_incref(result), err);
	if (c->quiet)
		return 0;
	r = recorded(c, network, t, ifname, &row, err);
	if (r && r != -ENOENT)
		return r;
	addresses = row ? cell_text(json_object_get(row, "addresses"), ", ") : addresses_of(result);
	printf("%s on %s: %s %s\n", t->container, network, ifname, addresses ? addresses : "-");
	json_array_foreach(json_object_get(row, "ports"), i, p) print_port(p);
	return 0;
}

static bool is_network(const struct ctl *c, const char *word)
{
	AUTOCONFLISTS struct conflists files = { 0 };

	return !conflists_read(c->dir, &files, NULL) && conflists_find(&files, word);
}

static int attach_words(struct ctl *c, const char *network, const char *word, struct fl_error *err)
{
	AUTOMODEL struct model m = { 0 };
	FL_AUTOJSON json_t *result = NULL;
	const char *id = option_value(c, "id");
	char ifname[IFNAMSIZ];
	struct target t;
	int r = model_read(c, &m, err);

	if (!r)
		r = target_resolve(c, &m, word, &t, err);
	if (r == -ENOENT && is_network(c, word))
		return not_found(err,
				 "%s is a network and no sandbox; the network comes first: netctl "
				 "%s %s %s",
				 word, c->command->name, word, network);
	if (!r && id)
		fl_strcpy(t.container, sizeof(t.container), id);
	if (!r)
		r = attach_target(c, &m, network, &t, &result, ifname, err);
	return r ? r : attach_show(c, network, &t, result, ifname, err);
}

static int run_attach(struct ctl *c, struct fl_error *err)
{
	return attach_words(c, c->argv[0], c->argv[1], err);
}

/* ---- detaching ---- */

static bool is_meant(const struct fl_endpoint_id *id, const char *container, const char *network,
		     const char *ifname)
{
	return !strcmp(id->container, container) && (!network || !strcmp(id->network, network)) &&
	       (!ifname || !strcmp(id->ifname, ifname));
}

static void tell(const struct ctl *c, const json_t *gone)
{
	say(c, "%s: %s is gone from %s", json_string_value(json_object_get(gone, "container")),
	    json_string_value(json_object_get(gone, "interface")),
	    json_string_value(json_object_get(gone, "network")));
}

int detach_all(struct ctl *c, const char *container, const char *network, const char *ifname,
	       json_t *list, size_t *ret_n, struct fl_error *err)
{
	bool force = option_given(c, "force");
	AUTOMODEL struct model m = { 0 };
	struct fl_error e = { 0 };
	int r = model_read(c, &m, err), first = 0;
	size_t told;

	*ret_n = 0;
	for (size_t i = 0; !r && i < m.n_attachments; i++) {
		const struct fl_endpoint *ep = m.attachments[i].main;

		if (!is_meant(&ep->id, container, network, ifname))
			continue;
		++*ret_n;
		/* What stays after one failure must not keep the others. */
		if (!runtime_detach(c, &m.attachments[i], force, first ? &e : err)) {
			json_array_append_new(list,
					      json_pack("{ss ss ss}", "container", ep->id.container,
							"network", ep->id.network, "interface",
							ep->id.ifname));
			tell(c, json_array_get(list, json_array_size(list) - 1));
		} else if (!first)
			first = err->err;
	}
	if (r || first)
		return r ? r : first;
	told = json_array_size(list);
	r = runtime_detach_unrecorded(c, container, network, ifname, force, list, err);
	for (; told < json_array_size(list); told++, ++*ret_n)
		tell(c, json_array_get(list, told));
	return r;
}

static int run_detach(struct ctl *c, struct fl_error *err)
{
	const char *word = c->argv[1], *network = c->argv[0];
	FL_AUTOJSON json_t *list = json_array();
	AUTOMODEL struct model m = { 0 };
	struct fl_error unknown = { 0 };
	struct target t;
	size_t n;
	int r = model_read(c, &m, err);

	if (r)
		return r;
	/* A container's id stays when its namespace went. */
	r = target_resolve(c, &m, word, &t, &unknown);
	if (r == -ENOTUNIQ)
		return ambiguous(err, "%s", unknown.text);
	if (r)
		fl_strcpy(t.container, sizeof(t.container), word);
	r = detach_all(c, t.container, network, option_value(c, "interface"), list, &n, err);
	if (!r && !n && is_network(c, word) && !is_network(c, network))
		return not_found(err, "%s is a network; it comes first: netctl %s %s %s", word,
				 c->command->name, word, network);
	if (!r && !n)
		return not_found(err, "%s is not attached to network %s", word, network);
	return r || !c->json ? r : show_json(fl_take_ptr(list), err);
}

static const struct option_spec attach_options[] = {
	ATTACH_OPTIONS,
	{ "id", 0, "ID", "the container's id for plugins (the namespace's name)", NULL },
	{ 0 },
};

static const struct option_spec detach_options[] = {
	{ "interface", 'i', "NAME", "this attachment only, where there are several", NULL },
	{ "force", 'f', NULL, "forget it even if a foreign plugin's DEL fails", NULL },
	{ 0 },
};

static const struct example attach_examples[] = {
	{ "netctl attach web ns1 -p 8080:80",
	  "the named namespace ns1, port 80 at the host's 8080" },
	{ "netctl attach web 4242 --ip 10.89.0.77", "the network namespace of process 4242" },
	{ "netctl attach db ns1 --alias backend", "a second network for the same sandbox" },
	{ 0 },
};

static const struct example detach_examples[] = {
	{ "netctl detach web ns1", "takes ns1 off the network" },
	{ 0 },
};

#define WHAT                                                                                      \
	"A sandbox is a container that is attached to something (its name, id, or the beginning " \
	"of its id), a namespace by its name in /run/netns or by any path, or a process id."

const struct command attach_command = {
	.name = "attach",
	.args = "NETWORK NETNS|PID|CONTAINER",
	.about = "attach a sandbox to a network",
	.text = WHAT "\n\nThe plugins of the network's configuration are executed as a container "
		     "runtime would; no runtime is needed.",
	.json = "the CNI result of the last plugin.",
	.options = attach_options,
	.examples = attach_examples,
	.flags = COMMAND_READS,
	.min = 2,
	.max = 2,
	.completes = "@network @netns",
	.run = run_attach,
};

const struct command detach_command = {
	.name = "detach",
	.args = "NETWORK NETNS|PID|CONTAINER",
	.about = "take a sandbox off a network",
	.text = WHAT "\n\nWorks also when the sandbox is gone, and for what a runtime attached.",
	.json = "a list of what is gone: container, network, interface.",
	.options = detach_options,
	.examples = detach_examples,
	.flags = COMMAND_READS,
	.min = 2,
	.max = 2,
	.completes = "@network @endpoint",
	.run = run_detach,
};

static const struct example connect_examples[] = {
	{ "netctl network connect db web1 --alias backend", "container web1 is on db too" },
	{ 0 },
};

static const struct example disconnect_examples[] = {
	{ "netctl network disconnect db web1", "and no more" },
	{ 0 },
};

const struct command network_connect_command = {
	.name = "network connect",
	.args = "NETWORK CONTAINER",
	.about = "attach a container to another network; the same as attach",
	.json = "the CNI result of the last plugin.",
	.options = attach_options,
	.examples = connect_examples,
	.flags = COMMAND_READS,
	.min = 2,
	.max = 2,
	.completes = "@network @endpoint",
	.run = run_attach,
};

const struct command network_disconnect_command = {
	.name = "network disconnect",
	.args = "NETWORK CONTAINER",
	.about = "take a container off a network; the same as detach",
	.json = "a list of what is gone: container, network, interface.",
	.options = detach_options,
	.examples = disconnect_examples,
	.flags = COMMAND_READS,
	.min = 2,
	.max = 2,
	.completes = "@network @endpoint",
	.run = run_detach,
};
