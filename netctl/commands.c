/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The one table of verbs. */
#include "netctl/command.h"

#include "base/cleanup.h"

#include <string.h>

#define COMMANDS(X)           \
	X(attach)             \
	X(detach)             \
	X(run)                \
	X(network_ls)         \
	X(network_create)     \
	X(network_inspect)    \
	X(network_rm)         \
	X(network_prune)      \
	X(network_connect)    \
	X(network_disconnect) \
	X(sandbox_ls)         \
	X(sandbox_create)     \
	X(sandbox_rm)         \
	X(sandbox_exec)       \
	X(node_ls)            \
	X(node_inspect)       \
	X(node_rm)            \
	X(endpoint_ls)        \
	X(endpoint_inspect)   \
	X(topology)           \
	X(stats)              \
	X(top)                \
	X(monitor)            \
	X(port_ls)            \
	X(port_show)          \
	X(port_who)           \
	X(port_check)         \
	X(port)               \
	X(why)                \
	X(doctor)             \
	X(gc)                 \
	X(reload)             \
	X(ipam_ls)            \
	X(ipam_show)          \
	X(ipam_who)           \
	X(ipam_free)          \
	X(ipam_import)        \
	X(dns_ls)             \
	X(dns_query)          \
	X(dns_stats)          \
	X(dns_log)            \
	X(completion)         \
	X(complete)           \
	X(manual)             \
	X(version)            \
	X(help)

#define DECLARE(name) extern const struct command name##_command;
COMMANDS(DECLARE)

#define ENTRY(name) &name##_command,
const struct command *const commands[] = { COMMANDS(ENTRY) NULL };

static const struct {
	const char *name, *about;
} groups[] = {
	{ "network", "networks: the configurations that runtimes see, and what they have become" },
	{ "node", "the nodes of the cluster that overlay networks span" },
	{ "endpoint", "attachments of sandboxes to networks" },
	{ "port", "published ports" },
	{ "sandbox", "network namespaces, with and without a runtime" },
	{ "ipam", "addresses and who has them" },
	{ "dns", "the resolver of the sandboxes" },
};

const char *group_about(const char *group)
{
	for (size_t i = 0; i < FL_ARRAY_SIZE(groups); i++)
		if (!strcmp(groups[i].name, group))
			return groups[i].about;
	return NULL;
}

size_t group_len(const struct command *cmd)
{
	const char *space = strchr(cmd->name, ' ');

	return space ? (size_t)(space - cmd->name) : 0;
}

const struct option_spec common_options[] = {
	{ "dir", 0, "DIR", "where network configurations are (/etc/cni/net.d)", "@dir" },
	{ "cni-path", 0, "PATH", "where plugins are, separated by ':' ($CNI_PATH)", "@dir" },
	{ "state-dir", 0, "DIR", "where the state lives (/run/fairlead)", "@dir" },
	{ "color", 0, "WHEN", "auto, always or never", "auto|always|never" },
	{ "quiet", 'q', NULL, "say less: names only, no remarks", NULL },
	{ "help", 'h', NULL, "what the verb does, and its options", NULL },
	{ 0 },
};

const struct option_spec reading_options[] = {
	{ "json", 0, NULL, "for scripts: JSON on stdout, errors as JSON on stderr", NULL },
	{ "no-header", 0, NULL, "a table without its first line", NULL },
	{ 0 },
};

static int each_of(const struct option_spec *o, int (*fn)(void *arg, const struct option_spec *o),
		   void *arg)
{
	int r = 0;

	for (; o && o->name && !r; o++)
		r = fn(arg, o);
	return r;
}

int options_each(const struct command *cmd, int (*fn)(void *arg, const struct option_spec *o),
		 void *arg)
{
	int r = each_of(cmd->options, fn, arg);

	if (!r && cmd->flags & COMMAND_READS)
		r = each_of(reading_options, fn, arg);
	return r ? r : each_of(common_options, fn, arg);
}

struct named {
	const char *word;
	const struct option_spec *found;
};

static int is_named(void *arg, const struct option_spec *o)
{
	struct named *n = arg;
	size_t len = strlen(o->name);
	bool is = n->word[1] == '-'
			  ? !strncmp(n->word + 2, o->name, len) &&
				    (!n->word[2 + len] || (o->value && n->word[2 + len] == '='))
			  : o->letter && n->word[1] == o->letter && !n->word[2];

	if (is)
		n->found = o;
	return is;
}

const struct option_spec *option_named(const struct command *cmd, const char *word)
{
	struct named n = { .word = word };

	if (word[0] == '-' && word[1])
		options_each(cmd, is_named, &n);
	return n.found;
}

const struct command any_verb = { .name = "", .flags = COMMAND_READS };

int leading_options(int argc, char **argv)
{
	const struct option_spec *o;
	int n = 0;

	while (n < argc && (o = option_named(&any_verb, argv[n])))
		n += o->value && !strchr(argv[n], '=') ? 2 : 1;
	return n < argc ? n : argc;
}
