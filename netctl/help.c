/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Help from the command table. */
#include "netctl/ctl.h"

#include <stdio.h>
#include <string.h>

enum { ABOUT = 28, WIDTH = 79 };

/* Wraps at blanks; an empty line stays one. The cursor is at column `at` of the first line. */
static void print_wrapped_from(const char *text, int indent, int at)
{
	while (*text) {
		int len = (int)strcspn(text, " \n");

		if (at > indent && at + 1 + len > WIDTH) {
			putchar('\n');
			at = 0;
		}
		if (!at)
			at = printf("%*s", indent, "");
		else if (at > indent)
			at += printf(" ");
		at += printf("%.*s", len, text);
		text += len;
		if (*text == '\n') {
			putchar('\n');
			at = 0;
		}
		text += *text != '\0';
	}
	if (at)
		putchar('\n');
}

static void print_wrapped(const char *text, int indent)
{
	print_wrapped_from(text, indent, 0);
}

static int print_option(void *arg, const struct option_spec *o)
{
	char left[96], letter[8] = "";

	(void)arg;
	if (o->letter)
		snprintf(letter, sizeof(letter), "-%c, ", o->letter);
	snprintf(left, sizeof(left), "%s--%s%s%s", letter, o->name, o->value ? " " : "",
		 o->value ? o->value : "");
	if (strlen(left) > ABOUT - 4)
		printf("  %s\n%*s", left, ABOUT, "");
	else
		printf("  %-*s", ABOUT - 2, left);
	print_wrapped_from(o->about, ABOUT, ABOUT);
	return 0;
}

static void print_commands(const char *group)
{
	for (size_t i = 0; commands[i]; i++) {
		const struct command *cmd = commands[i];
		size_t len = group_len(cmd);

		if (cmd->flags & COMMAND_HIDDEN || len != strlen(group) ||
		    strncmp(cmd->name, group, len) != 0)
			continue;
		printf("  %-*s%s\n", ABOUT - 2, cmd->name, cmd->about);
	}
}

void print_usage(const struct command *cmd)
{
	fprintf(stderr, "usage: netctl %s [OPTIONS]%s%s\n       netctl help %s\n", cmd->name,
		*cmd->args ? " " : "", cmd->args, cmd->name);
}

void print_help(const struct command *cmd)
{
	printf("usage: netctl %s [OPTIONS]%s%s\n\n", cmd->name, *cmd->args ? " " : "", cmd->args);
	print_wrapped(cmd->about, 0);
	if (cmd->text) {
		putchar('\n');
		print_wrapped(cmd->text, 0);
	}
	if (cmd->json) {
		putchar('\n');
		print_wrapped("With --json: ", 0);
		print_wrapped(cmd->json, 2);
	}
	puts("\nOptions:");
	options_each(cmd, print_option, NULL);
	if (!cmd->examples)
		return;
	puts("\nExamples:");
	for (const struct example *e = cmd->examples; e->line; e++)
		printf("  %s\n      %s\n", e->line, e->about);
}

void print_group(const char *group)
{
	printf("usage: netctl %s VERB [OPTIONS] [ARGUMENTS]\n\n%s\n\n", group, group_about(group));
	print_commands(group);
	printf("\nnetctl help %s VERB tells more.\n", group);
}

void print_overview(void)
{
	const char *last = "";
	size_t last_len = 0;

	puts("usage: netctl VERB [OPTIONS] [ARGUMENTS]\n\n"
	     "Shows and changes the container networks of this host.\n");
	print_commands("");
	for (size_t i = 0; commands[i]; i++) {
		size_t len = group_len(commands[i]);
		char group[64];

		if (!len || (len == last_len && !strncmp(last, commands[i]->name, len)))
			continue;
		last = commands[i]->name;
		last_len = len;
		snprintf(group, sizeof(group), "%.*s", (int)len, last);
		putchar('\n');
		print_commands(group);
	}
	puts("\nnetctl help VERB tells more; --json is there on every verb that shows something.\n"
	     "Exit status: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 the answer is no.");
}

static int run(struct ctl *c, struct fl_error *err)
{
	char words[128];

	if (!c->argc) {
		print_overview();
		return 0;
	}
	snprintf(words, sizeof(words), "%s%s%s", c->argv[0], c->argc > 1 ? " " : "",
		 c->argc > 1 ? c->argv[1] : "");
	if (c->argc == 1 && group_about(words)) {
		print_group(words);
		return 0;
	}
	for (size_t i = 0; commands[i]; i++)
		if (!strcmp(commands[i]->name, words)) {
			print_help(commands[i]);
			return 0;
		}
	return not_found(err, "%s: no such verb; netctl help lists them all", words);
}

const struct command help_command = {
	.name = "help",
	.args = "[VERB]",
	.about = "what netctl can do, or one verb of it",
	.max = 2,
	.completes = "@verb",
	.run = run,
};
