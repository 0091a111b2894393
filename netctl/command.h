/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A verb of netctl. The one table of them (commands.c) is what dispatch, help, completion and the
 * list in the man page are made of.
 */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

struct ctl;

struct option_spec {
	const char *name;  /* long; NULL ends the list */
	char letter;	   /* 0: none */
	const char *value; /* what stands for its value in the usage, "CIDR"; NULL: it has none */
	const char *about;
	/* "a|b|c", or one of @network @endpoint @address @node @sandbox @netns @verb @file @dir
	 * @command; NULL */
	const char *completes;
};

struct example {
	const char *line; /* NULL ends the list */
	const char *about;
};

enum {
	COMMAND_READS = 1,  /* shows something: --json, --no-header */
	COMMAND_RUNS = 2,   /* options end at the first argument behind `min` - 1 of them */
	COMMAND_HIDDEN = 4, /* in no list */
};

struct command {
	const char *name;  /* "network create" */
	const char *args;  /* "NAME [CONTAINER...]", "" for none */
	const char *about; /* one line, without a full stop */
	const char *text;  /* paragraphs for help and man page; NULL */
	const char *json;  /* of verbs that show something: the shape of it, with every key */
	const struct option_spec *options;
	const struct example *examples;
	unsigned flags;
	int min, max;	       /* number of arguments; max -1: any */
	const char *completes; /* of each argument, the last one of all further ones; NULL */
	int (*run)(struct ctl *c, struct fl_error *err);
};

extern const struct command *const commands[]; /* ends with NULL */

/* The options that every verb has, and those of verbs that show something. */
extern const struct option_spec common_options[], reading_options[];

/* What a group of verbs ("network") is about; NULL: no such group. */
const char *group_about(const char *group);
/* "network" of "network create"; "" for verbs of one word. */
size_t group_len(const struct command *cmd);
/* Calls fn for each option of the verb, common ones last, until it returns non-zero. */
int options_each(const struct command *cmd, int (*fn)(void *arg, const struct option_spec *o),
		 void *arg);

/* No verb: the options that may stand in front of any. */
extern const struct command any_verb;
/* The option of the verb that the word, "--json", "--dir=/run" or "-q", names; NULL. */
const struct option_spec *option_named(const struct command *cmd, const char *word);
/* How many words in front of a verb are options that every one has, with their values. */
int leading_options(int argc, char **argv);

/* help.c */
void print_overview(void);
void print_group(const char *group);
void print_help(const struct command *cmd);
void print_usage(const struct command *cmd); /* one line, on stderr */
