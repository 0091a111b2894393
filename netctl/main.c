/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From the command line to a verb, and from its end to an exit status. */
#include "netctl/ctl.h"
#include "netctl/nearest.h"
#include "netctl/text.h"

#include "base/strbuf.h"

#include <errno.h>
#include <getopt.h>
#include <locale.h>
#include <stdio_ext.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/ioctl.h>

enum { OPTIONS_MAX = 64, GIVEN_MAX = 4096 };

/* getopt's form of a verb's options. */
struct options {
	const struct option_spec *spec[OPTIONS_MAX];
	struct option longs[OPTIONS_MAX + 1];
	char shorts[2 * OPTIONS_MAX + 4];
	int n;
};

static int take_spec(void *arg, const struct option_spec *o)
{
	struct options *all = arg;
	size_t len = strlen(all->shorts);

	all->spec[all->n] = o;
	all->longs[all->n] = (struct option){ o->name, o->value ? required_argument : no_argument,
					      NULL, 256 + all->n };
	if (o->letter) {
		all->shorts[len++] = o->letter;
		if (o->value)
			all->shorts[len++] = ':';
		all->shorts[len] = '\0';
	}
	all->n++;
	return all->n == OPTIONS_MAX;
}

static const struct option_spec *spec_of(const struct options *all, int ch)
{
	if (ch >= 256)
		return all->spec[ch - 256];
	for (int i = 0; i < all->n; i++)
		if (all->spec[i]->letter == ch)
			return all->spec[i];
	return NULL;
}

static int unknown_option(const struct options *all, int ch, char **argv, struct fl_error *err)
{
	const char *word = argv[optind - 1], *close = NULL;
	struct nearest n = { .word = word + strspn(word, "-") };

	if (ch == ':')
		return usage_error(err, "%s: expected a value behind it", word);
	/* A letter that getopt does not know may stand in the midst of a word. */
	if (optopt && optopt < 256)
		return usage_error(err, "-%c: no such option", optopt);
	for (int i = 0; i < all->n; i++)
		nearest_try(&n, all->spec[i]->name);
	close = n.best;
	return close ? usage_error(err, "%s: no such option; did you mean --%s?", word, close)
		     : usage_error(err, "%s: no such option", word);
}

static int take_option(struct ctl *c, const struct option_spec *spec, const char *value,
		       struct fl_error *err)
{
	struct given *grown = realloc(c->given, (c->n_given + 1) * sizeof(*grown));

	if (!grown)
		return fl_error_oom(err);
	if (c->n_given == GIVEN_MAX)
		return usage_error(err, "more than %d options", GIVEN_MAX);
	c->given = grown;
	c->given[c->n_given++] = (struct given){ spec, value };
	return 0;
}

static int parse(struct ctl *c, int argc, char **argv, struct fl_error *err)
{
	struct options all = { .shorts = ":" };
	int ch, r = 0;

	/* Behind the word that ends them, options are the command's that is to be run. */
	if (c->command->flags & COMMAND_RUNS)
		strcpy(all.shorts, "+:");
	options_each(c->command, take_spec, &all);
	optind = 1;
	opterr = 0;
	for (;;) {
		ch = getopt_long(argc, argv, all.shorts, all.longs, NULL);
		if (ch == -1 && c->command->flags & COMMAND_RUNS && c->argc + 1 < c->command->min &&
		    optind < argc && strcmp(argv[optind - 1], "--") != 0) {
			/* An argument before the command: options may follow it. */
			c->argv[c->argc++] = argv[optind++];
			continue;
		}
		if (ch == -1 || r)
			break;
		if (ch == '?' || ch == ':')
			return unknown_option(&all, ch, argv, err);
		r = take_option(c, spec_of(&all, ch), optarg, err);
	}
	while (!r && optind < argc)
		c->argv[c->argc++] = argv[optind++];
	return r;
}

static int check_count(const struct ctl *c, struct fl_error *err)
{
	const struct command *cmd = c->command;

	if (c->argc < cmd->min)
		return usage_error(err, "expected %s%d argument%s, found %d",
				   cmd->max == cmd->min ? "" : "at least ", cmd->min,
				   cmd->min == 1 ? "" : "s", c->argc);
	if (cmd->max >= 0 && c->argc > cmd->max)
		return cmd->max ? usage_error(err, "%s: one argument too many", c->argv[cmd->max])
				: usage_error(err, "%s: expected no argument", c->argv[0]);
	return 0;
}

static int settle_colour(struct ctl *c, struct fl_error *err)
{
	const char *when = option_value(c, "color"), *no = getenv("NO_COLOR"),
		   *term = getenv("TERM");
	struct winsize w = { 0 };
	bool tty = isatty(STDOUT_FILENO);

	if (tty)
		c->width = !ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) && w.ws_col ? w.ws_col : 80;
	c->colour = tty && !(no && *no) && !(term && !strcmp(term, "dumb"));
	if (!when || !strcmp(when, "auto"))
		return 0;
	if (strcmp(when, "always") != 0 && strcmp(when, "never") != 0)
		return usage_error(err, "--color: expected auto, always or never, not \"%s\"",
				   when);
	c->colour = *when == 'a';
	return 0;
}

static const char *first_set(const char *a, const char *b, const char *otherwise)
{
	return a && *a ? a : b && *b ? b : otherwise;
}

static int settle(struct ctl *c, struct fl_error *err)
{
	const char *state = option_value(c, "state-dir");

	c->json = option_given(c, "json");
	c->quiet = option_given(c, "quiet");
	c->no_header = option_given(c, "no-header");
	c->dir = first_set(option_value(c, "dir"), getenv("NETCONFPATH"), "/etc/cni/net.d");
	c->path = first_set(option_value(c, "cni-path"), getenv("CNI_PATH"), FAIRLEAD_CNI_BINDIR);
	/* Plugins that are executed look there too. */
	if (state && setenv("FAIRLEAD_STATE_DIR", state, 1))
		return fl_error_oom(err);
	return settle_colour(c, err);
}

/* ---- the verb ---- */

static bool asks_for_help(const char *word)
{
	return !strcmp(word, "-h") || !strcmp(word, "--help");
}

/* Of "network create a": two words of argv. 0: none. */
static int find(int argc, char **argv, const struct command **ret)
{
	char two[128];

	for (size_t i = 0; commands[i]; i++) {
		snprintf(two, sizeof(two), "%s %s", argc ? argv[0] : "", argc > 1 ? argv[1] : "");
		if (!strcmp(commands[i]->name, two)) {
			*ret = commands[i];
			return 2;
		}
	}
	/* A group's name is a short form ("port CONTAINER") only with something behind it. */
	if (argc && group_about(argv[0]) && (argc == 1 || asks_for_help(argv[1])))
		return 0;
	for (size_t i = 0; argc && commands[i]; i++)
		if (!strcmp(commands[i]->name, argv[0])) {
			*ret = commands[i];
			return 1;
		}
	return 0;
}

/* Options in front of the verb go behind it, where getopt looks for them. */
static void move_behind(char **argv, int n, int words)
{
	size_t last = (size_t)(n + words - 1);

	while (n--) {
		char *first = argv[0];

		memmove(argv, argv + 1, last * sizeof(*argv));
		argv[last] = first;
	}
}

/* What hands have learned elsewhere. */
static const struct {
	const char *word, *verb;
} synonyms[] = {
	{ "delete", "rm" },	     { "remove", "rm" },	  { "del", "rm" },
	{ "list", "ls" },	     { "add", "create" },	  { "new", "create" },
	{ "show", "inspect" },
}, elsewhere[] = {
	{ "ps", "endpoint ls" },     { "ls", "endpoint ls" },	  { "list", "endpoint ls" },
	{ "inspect", "endpoint inspect" }, { "exec", "sandbox exec" }, { "connect", "network connect" },
	{ "disconnect", "network disconnect" }, { "events", "monitor" }, { "publish", "attach" },
	{ "ports", "port ls" },	     { "check", "doctor" },	  { "repair", "doctor" },
	{ "create", "network create" }, { "rm", "network rm" },
};

static bool is_verb(const char *name)
{
	for (size_t i = 0; commands[i]; i++)
		if (!strcmp(commands[i]->name, name))
			return true;
	return false;
}

static const char *usual_word(const char *word)
{
	for (size_t i = 0; i < FL_ARRAY_SIZE(synonyms); i++)
		if (!strcmp(synonyms[i].word, word))
			return synonyms[i].verb;
	return word;
}

/* "network delete", "create network", "ps": the verb that is meant; false: none is known. */
static bool translate(int argc, char **argv, char *buf, size_t size)
{
	const char *first = usual_word(argv[0]), *second = argc > 1 ? usual_word(argv[1]) : "";

	snprintf(buf, size, "%s %s", first, second);
	if (is_verb(buf))
		return true;
	snprintf(buf, size, "%.60s %.60s", second, first);
	if (is_verb(buf))
		return true;
	for (size_t i = 0; i < FL_ARRAY_SIZE(elsewhere); i++)
		if (!strcmp(elsewhere[i].word, argv[0])) {
			snprintf(buf, size, "%s", elsewhere[i].verb);
			return true;
		}
	return false;
}

static int no_verb(int argc, char **argv, struct fl_error *err)
{
	struct nearest n = { .word = argv[0] };
	const char *group = group_about(argv[0]) ? argv[0] : NULL;
	char words[128], meant[128];

	if (argv[0][0] == '-')
		return usage_error(err,
				   "%s: no such option in front of a verb; the verb's own go "
				   "behind it",
				   argv[0]);
	snprintf(words, sizeof(words), "%s%s%s", argv[0], group ? " " : "",
		 group && argc > 1 ? argv[1] : "");
	n.word = words;
	if (translate(argc, argv, meant, sizeof(meant)))
		return usage_error(err, "%s: no such verb; did you mean \"%s\"?", words, meant);
	for (size_t i = 0; commands[i]; i++) {
		size_t len = group_len(commands[i]);
		FL_AUTOFREE char *head = strndup(commands[i]->name, len);

		nearest_try(&n, commands[i]->name);
		if (!group && len && head)
			nearest_try_copy(&n, head);
	}
	return n.best ? usage_error(err, "%s: no such verb; did you mean \"%s\"?", words, n.best)
		      : usage_error(err, "%s: no such verb", words);
}

/* A group's name alone, or with a question: its verbs. -1: it is something else. */
static int overview(int argc, char **argv)
{
	if (!argc) {
		print_overview();
		return EXIT_USAGE;
	}
	if (!group_about(argv[0]) || (argc > 1 && argv[1][0] != '-'))
		return -1;
	print_group(argv[0]);
	return argc > 1 && asks_for_help(argv[1]) ? 0 : EXIT_USAGE;
}

/*
 * Before the options are parsed, for an error in them. Behind the first argument of a verb that
 * runs something it is not ours.
 */
static bool wants_json(const struct command *cmd, int argc, char **argv)
{
	if (cmd && cmd->flags & COMMAND_RUNS)
		return false;
	for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (!strcmp(argv[i], "--json"))
			return true;
	return false;
}

/* ---- the end ---- */

static int status_of(const struct fl_error *e)
{
	if (e->code == FL_ECODE_UNKNOWN_CONTAINER && (e->err == -ENOENT || e->err == -ENOTUNIQ))
		return EXIT_NOT_FOUND;
	return e->code == FL_ECODE_UNSUPPORTED && e->err == -EINVAL ? EXIT_USAGE : EXIT_FAILED;
}

/* Plugins and arguments may say anything: what is no UTF-8 would be no JSON either. */
static void report_json(const struct fl_error *e)
{
	struct fl_error clean = *e;
	FL_AUTOJSON json_t *o =
		json_pack("{si ss}", "code", (int)e->code, "msg", clean_text(clean.text));

	if (o && e->details[0])
		json_object_set_new(o, "details", json_string(clean_text(clean.details)));
	json_dumpf(o, stderr, JSON_COMPACT);
	fputc('\n', stderr);
}

static void report_text(const struct command *cmd, const struct fl_error *e)
{
	FL_AUTOFREE char *text = plain_text(e->text), *details = plain_text(e->details);

	fprintf(stderr, "netctl%s%s: %s\n", cmd ? " " : "", cmd ? cmd->name : "",
		text ? text : "out of memory");
	if (details && *details && !strstr(e->text, e->details))
		fprintf(stderr, "  %s\n", details);
	if (!cmd)
		fprintf(stderr, "netctl help lists the verbs.\n");
	else if (status_of(e) == EXIT_USAGE)
		print_usage(cmd);
}

static int report(const struct ctl *c, const struct fl_error *e)
{
	int status = status_of(e);

	if (c->json)
		report_json(e);
	else
		report_text(c->command, e);
	return c->command && c->command->flags & COMMAND_RUNS && status != EXIT_USAGE ? EXIT_RUN
										      : status;
}

static void clear(struct ctl *c)
{
	fl_store_close(c->store);
	fl_nl_close(c->host);
	fl_netns_close(&c->self);
	free(c->given);
	free(c->argv);
}

static int run(struct ctl *c, int argc, char **argv, struct fl_error *err)
{
	int r;

	c->argv = calloc((size_t)argc + 1, sizeof(*c->argv));
	if (!c->argv)
		return fl_error_oom(err);
	r = parse(c, argc, argv, err);
	if (r)
		return r;
	if (option_given(c, "help")) {
		print_help(c->command);
		return 0;
	}
	r = settle(c, err);
	if (!r)
		r = check_count(c, err);
	return r ? r : c->command->run(c, err);
}

/* The kernel's own random bytes for jansson's hash: saves it opening /dev/urandom. */
static void seed_hash(void)
{
	size_t seed;

	memcpy(&seed, (const void *)getauxval(AT_RANDOM), sizeof(seed));
	json_object_seed(seed | 1);
}

int main(int argc, char **argv)
{
	struct ctl c = { .self = FL_NETNS_NONE };
	struct fl_error err = { 0 };
	int words, before, status;

	setlocale(LC_CTYPE, "");
	/* One thread: no lock for each of the small pieces that JSON is written in. */
	__fsetlocking(stdout, FSETLOCKING_BYCALLER);
	seed_hash();
	if (argc == 2 && asks_for_help(argv[1])) {
		print_overview();
		return 0;
	}
	before = leading_options(argc - 1, argv + 1);
	if (before < argc - 1 && !strcmp(argv[before + 1], "--version"))
		argv[before + 1] += 2;
	words = find(argc - 1 - before, argv + 1 + before, &c.command);
	status = words ? -1 : overview(argc - 1 - before, argv + 1 + before);
	if (status >= 0)
		return status;
	c.json = wants_json(c.command, argc, argv);
	if (words)
		move_behind(argv + 1, before, words);
	/* The last word of the verb stands where getopt expects the program's name. */
	if (words ? run(&c, argc - words, argv + words, &err)
		  : no_verb(argc - 1 - before, argv + 1 + before, &err))
		c.status = report(&c, &err);
	clear(&c);
	if (fflush(stdout) && !c.status)
		c.status = EXIT_FAILED;
	return c.status;
}
