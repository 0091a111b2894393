/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Completion: the shells' scripts ask the hidden verb `complete` with the words so far, of which
 * the last is being typed, and get a candidate a line, "WORD<tab>DESCRIPTION"; ":file", ":dir" and
 * ":command" leave it to the shell. So whatever the table knows is completed, in every shell.
 */
#include "netctl/agent.h"
#include "netctl/conflist.h"
#include "netctl/model.h"
#include "netctl/out.h"
#include "netctl/text.h"

#include "base/strbuf.h"

#include <dirent.h>
#include <string.h>

struct completion {
	struct ctl *c;
	const char *prefix; /* the word being typed */
	const struct command *cmd;
};

static void offer(const struct completion *k, const char *word, const char *about)
{
	FL_AUTOFREE char *plain = about ? plain_text(about) : NULL;

	if (!strncmp(word, k->prefix, strlen(k->prefix)))
		printf("%s\t%s\n", word, plain ? plain : "");
}

/* A shell puts it into the command line as it is: any letter but a name's would be obeyed there. */
static void offer_name(const struct completion *k, const char *name, const char *about)
{
	if (fl_name_valid(name, FL_NAME_MAX))
		offer(k, name, about);
}

/* ---- what is there ---- */

static void offer_networks(const struct completion *k)
{
	AUTOCONFLISTS struct conflists files = { 0 };

	if (conflists_read(k->c->dir, &files, NULL))
		return;
	for (size_t i = 0; i < files.n; i++)
		if (files.v[i].json)
			offer_name(k, files.v[i].name, conflist_type(&files.v[i]));
}

static void offer_containers(const struct completion *k)
{
	AUTOMODEL struct model m = { 0 };
	const char *last = "";

	if (model_read(k->c, &m, NULL))
		return;
	for (size_t i = 0; i < m.n_attachments; i++) {
		const struct fl_endpoint *ep = m.attachments[i].main;

		if (strcmp(ep->id.container, last) != 0)
			offer_name(k, *ep->name ? ep->name : ep->id.container, ep->id.network);
		last = ep->id.container;
	}
}

static void offer_addresses(const struct completion *k)
{
	AUTOMODEL struct model m = { 0 };

	if (model_read(k->c, &m, NULL))
		return;
	for (size_t i = 0; i < m.n_attachments; i++) {
		const struct fl_endpoint *ep = m.attachments[i].main;

		for (uint32_t a = 0; a < ep->n_addrs; a++)
			offer(k, fl_addr_str(&ep->addrs[a].addr, FL_ADDR_BUF), CONTAINER_LABEL(ep));
	}
}

static void offer_nodes(const struct completion *k)
{
	AUTOCLUSTER struct cluster all = { 0 };
	const json_t *node;
	size_t i;

	if (!agent_is_there(k->c) || cluster_read(k->c, &all, NULL))
		return;
	json_array_foreach(all.nodes, i, node)
	{
		offer_name(k, text_of(node, "name"), text_of(node, "state"));
	}
}

static void offer_namespaces(const struct completion *k)
{
	DIR *d = opendir(FL_NETNS_RUN_DIR);
	const struct dirent *e;

	while (d && (e = readdir(d)))
		offer_name(k, e->d_name, "namespace");
	if (d)
		closedir(d);
}

/* ---- verbs and options ---- */

/* First words, or the second ones of a group. */
static void offer_verbs(const struct completion *k, const char *group)
{
	size_t len = group ? strlen(group) : 0;
	char last[64] = "", head[64];

	for (size_t i = 0; commands[i]; i++) {
		const struct command *cmd = commands[i];
		size_t of = group_len(cmd);

		if (cmd->flags & COMMAND_HIDDEN)
			continue;
		if (group) {
			if (of == len && !strncmp(cmd->name, group, len))
				offer(k, cmd->name + len + 1, cmd->about);
			continue;
		}
		snprintf(head, sizeof(head), "%.*s", of ? (int)of : 63, cmd->name);
		if (strcmp(head, last) != 0)
			offer(k, head, of ? group_about(head) : cmd->about);
		memcpy(last, head, sizeof(last));
	}
}

static int offer_option(void *arg, const struct option_spec *o)
{
	char word[64];

	snprintf(word, sizeof(word), "--%s", o->name);
	offer(arg, word, o->about);
	return 0;
}

static void offer_words(const struct completion *k, const char *words)
{
	char word[64];

	while (*words) {
		size_t len = strcspn(words, " |");

		snprintf(word, sizeof(word), "%.*s", (int)len, words);
		offer(k, word, NULL);
		words += len + (words[len] != '\0');
	}
}

/* By the table's word for it. */
static void offer_kind(const struct completion *k, const char *kind)
{
	if (!strcmp(kind, "@network"))
		offer_networks(k);
	else if (!strcmp(kind, "@endpoint"))
		offer_containers(k);
	else if (!strcmp(kind, "@address"))
		offer_addresses(k);
	else if (!strcmp(kind, "@node"))
		offer_nodes(k);
	else if (!strcmp(kind, "@sandbox") || !strcmp(kind, "@netns")) {
		offer_containers(k);
		offer_namespaces(k);
	} else if (!strcmp(kind, "@verb"))
		offer_verbs(k, NULL);
	else if (*kind == '@')
		printf(":%s\n", kind + 1);
	else
		offer_words(k, kind);
}

/* The n-th of "@network @endpoint"; the last one stands for all further ones. */
static void offer_argument(const struct completion *k, size_t n)
{
	const char *kinds = k->cmd->completes;
	char kind[64];

	if (!kinds || (k->cmd->max >= 0 && n >= (size_t)k->cmd->max))
		return;
	while (n && strchr(kinds, ' ')) {
		kinds = strchr(kinds, ' ') + 1;
		n--;
	}
	snprintf(kind, sizeof(kind), "%.*s", (int)strcspn(kinds, " "), kinds);
	offer_kind(k, kind);
}

static void complete_verb(struct completion *k, int argc, char **argv)
{
	const struct option_spec *last = argc > 1 ? option_named(k->cmd, argv[argc - 2]) : NULL;
	size_t n = 0;

	if (last && last->value && !strchr(argv[argc - 2], '=')) {
		if (last->completes)
			offer_kind(k, last->completes);
		return;
	}
	for (int i = 0; i < argc - 1; i++) {
		const struct option_spec *o = option_named(k->cmd, argv[i]);

		if (o && o->value && !strchr(argv[i], '='))
			i++;
		else
			n += argv[i][0] != '-';
	}
	if (k->prefix[0] == '-')
		options_each(k->cmd, offer_option, k);
	else
		offer_argument(k, n);
}

/* How many words of argv are a verb. */
static int find(int argc, char **argv, const struct command **ret)
{
	for (int words = argc > 1 ? 2 : 1; words; words--)
		for (size_t i = 0; commands[i]; i++) {
			char text[128];

			snprintf(text, sizeof(text), "%s%s%s", argv[0], words > 1 ? " " : "",
				 words > 1 ? argv[1] : "");
			if (!strcmp(commands[i]->name, text)) {
				*ret = commands[i];
				return words;
			}
		}
	return 0;
}

/* The verb, or one more of the options in front of it, or the value of the last. */
static void offer_first(struct completion *k, int before, char **argv)
{
	const struct option_spec *last = before ? option_named(&any_verb, argv[before - 1]) : NULL;

	if (last && last->value && !strchr(argv[before - 1], '='))
		offer_kind(k, last->completes);
	else if (k->prefix[0] == '-')
		options_each(&any_verb, offer_option, k);
	else
		offer_verbs(k, NULL);
}

static int run(struct ctl *c, struct fl_error *err)
{
	struct completion k = { .c = c, .prefix = c->argc ? c->argv[c->argc - 1] : "" };
	int before = leading_options(c->argc ? c->argc - 1 : 0, c->argv), words;
	char **argv = c->argv + before;
	int argc = c->argc - before;

	(void)err;
	if (argc <= 1) {
		offer_first(&k, before, c->argv);
		return 0;
	}
	words = find(argc - 1, argv, &k.cmd);
	/* `port 80` and `port ls`: the group's verbs too while its second word is typed. */
	if (argc == 2 && group_about(argv[0]))
		offer_verbs(&k, argv[0]);
	if (words)
		complete_verb(&k, argc - words, argv + words);
	return 0;
}

const struct command complete_command = {
	.name = "complete",
	.args = "[--] WORD...",
	.about = "candidates for the last word, for the shells' completion",
	.flags = COMMAND_HIDDEN,
	.max = -1,
	.run = run,
};

/* ---- the scripts ---- */

static const char bash[] =
	"# bash completion of netctl\n"
	"_netctl() {\n"
	"\tlocal line current=${COMP_WORDS[COMP_CWORD]}\n"
	"\tCOMPREPLY=()\n"
	"\twhile IFS= read -r line; do\n"
	"\t\tcase $line in\n"
	"\t\t:file) compopt -o default; return ;;\n"
	"\t\t:dir) compopt -o dirnames; return ;;\n"
	"\t\t:command) mapfile -t COMPREPLY < <(compgen -c -- \"$current\"); return ;;\n"
	"\t\tesac\n"
	"\t\tCOMPREPLY+=(\"${line%%$'\\t'*}\")\n"
	"\tdone < <(netctl complete -- \"${COMP_WORDS[@]:1:COMP_CWORD}\" 2>/dev/null)\n"
	"}\n"
	"complete -F _netctl netctl\n";

static const char zsh[] = "#compdef netctl\n"
			  "# zsh completion of netctl\n"
			  "_netctl() {\n"
			  "\tlocal line\n"
			  "\tlocal -a found\n"
			  "\twhile IFS= read -r line; do\n"
			  "\t\tcase $line in\n"
			  "\t\t:file) _files; return ;;\n"
			  "\t\t:dir) _files -/; return ;;\n"
			  "\t\t:command) _command_names -e; return ;;\n"
			  "\t\tesac\n"
			  "\t\tfound+=(\"${${line%%$'\\t'*}//:/\\\\:}:${line#*$'\\t'}\")\n"
			  "\tdone < <(netctl complete -- \"${(@)words[2,CURRENT]}\" 2>/dev/null)\n"
			  "\t_describe netctl found\n"
			  "}\n"
			  "if [ \"$funcstack[1]\" = _netctl ]; then _netctl \"$@\"; else compdef "
			  "_netctl netctl; fi\n";

static const char fish[] = "# fish completion of netctl\n"
			   "function __netctl_complete\n"
			   "\tset -l words (commandline -opc)[2..] (commandline -ct)\n"
			   "\tfor line in (netctl complete -- $words 2>/dev/null)\n"
			   "\t\tswitch $line\n"
			   "\t\t\tcase ':file'\n"
			   "\t\t\t\t__fish_complete_path (commandline -ct)\n"
			   "\t\t\tcase ':dir'\n"
			   "\t\t\t\t__fish_complete_directories (commandline -ct)\n"
			   "\t\t\tcase ':command'\n"
			   "\t\t\t\t__fish_complete_command\n"
			   "\t\t\tcase '*'\n"
			   "\t\t\t\techo $line\n"
			   "\t\tend\n"
			   "\tend\n"
			   "end\n"
			   "complete -c netctl -f -a '(__netctl_complete)'\n";

static int run_script(struct ctl *c, struct fl_error *err)
{
	const char *shell = c->argv[0];
	const char *text = !strcmp(shell, "bash")   ? bash
			   : !strcmp(shell, "zsh")  ? zsh
			   : !strcmp(shell, "fish") ? fish
						    : NULL;

	if (!text)
		return usage_error(err, "%s: expected bash, zsh or fish", shell);
	fputs(text, stdout);
	return 0;
}

static const struct example examples[] = {
	{ "source <(netctl completion bash)", "completion in this shell; installed with netctl" },
	{ 0 },
};

const struct command completion_command = {
	.name = "completion",
	.args = "bash|zsh|fish",
	.about = "the script by which a shell completes netctl's words",
	.examples = examples,
	.min = 1,
	.max = 1,
	.completes = "bash|zsh|fish",
	.run = run_script,
};
