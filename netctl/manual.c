/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The hidden verb `manual`: what of netctl(8) the command table knows, in scdoc's words. */
#include "netctl/ctl.h"

#include <ctype.h>
#include <string.h>

/* What scdoc would take for its own. */
static void print_escaped(const char *text)
{
	for (const char *p = text; *p; p++) {
		if (strchr("\\*_#[]~`", *p) || (*p == '.' && p != text && p[-1] == '\n'))
			putchar('\\');
		putchar(*p);
	}
}

static int print_option(void *arg, const struct option_spec *o)
{
	(void)arg;
	putchar('*');
	if (o->letter)
		printf("-%c*, *", o->letter);
	/* scdoc takes -- in bold as it is. */
	printf("--%s*", o->name);
	if (o->value) {
		printf(" _");
		print_escaped(o->value);
		putchar('_');
	}
	printf("\n\t");
	print_escaped(o->about);
	printf("\n\n");
	return 0;
}

static void print_options(const struct option_spec *o)
{
	for (; o && o->name; o++)
		print_option(NULL, o);
}

static void print_command(const struct command *cmd)
{
	printf("## netctl ");
	print_escaped(cmd->name);
	printf("\n\n*netctl %s* [OPTIONS]%s", cmd->name, *cmd->args ? " " : "");
	print_escaped(cmd->args);
	printf("\n\n");
	putchar(toupper((unsigned char)*cmd->about));
	print_escaped(cmd->about + 1);
	printf(".\n\n");
	if (cmd->text) {
		print_escaped(cmd->text);
		printf("\n\n");
	}
	print_options(cmd->options);
	if (cmd->flags & COMMAND_READS)
		printf("Shows something: *--json* and *--no-header* are there.\n\n");
	if (cmd->json) {
		printf("JSON: ");
		print_escaped(cmd->json);
		printf("\n\n");
	}
	for (const struct example *e = cmd->examples; e && e->line; e++) {
		printf("```\n# %s\n%s\n```\n\n", e->about, e->line);
	}
}

static void print_options_part(void)
{
	print_options(common_options);
	printf("Verbs that show something have these too:\n\n");
	print_options(reading_options);
}

static void print_verbs_part(void)
{
	for (size_t i = 0; commands[i]; i++)
		if (!(commands[i]->flags & COMMAND_HIDDEN))
			print_command(commands[i]);
}

/* stdin to stdout, with what the table knows where @OPTIONS@ and @VERBS@ stand. */
static int run(struct ctl *c, struct fl_error *err)
{
	char line[4096];

	(void)c;
	(void)err;
	while (fgets(line, sizeof(line), stdin)) {
		if (!strcmp(line, "@OPTIONS@\n"))
			print_options_part();
		else if (!strcmp(line, "@VERBS@\n"))
			print_verbs_part();
		else
			fputs(line, stdout);
	}
	return 0;
}

const struct command manual_command = {
	.name = "manual",
	.args = "",
	.about = "netctl(8) from what is on stdin, with verbs and options from the table",
	.flags = COMMAND_HIDDEN,
	.run = run,
};
