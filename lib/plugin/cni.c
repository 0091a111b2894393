/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The CNI dialect: environment and stdin into a request, a result or an error object out.
 * CNI specification 1.1.0 section 2; versions 0.1.0 to 1.1.0.
 */
#include "plugin/cni.h"

#include "base/strbuf.h"
#include "plugin/internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#define STDIN_MAX (16u << 20)
#define NEWEST fl_version_names[FL_VERSIONS - 1]

enum { NEED_CONTAINER = 1, NEED_NETNS = 2, NEED_IFNAME = 4 };

static const struct verb {
	const char *name;
	unsigned need;
	enum fl_version since;
	int (*run)(struct fl_call *c, struct fl_error *err);
} verbs[] = {
	[FL_VERB_ADD] = { "ADD", NEED_CONTAINER | NEED_NETNS | NEED_IFNAME, FL_V010,
			  fl_engine_add },
	[FL_VERB_DEL] = { "DEL", NEED_CONTAINER | NEED_IFNAME, FL_V010, fl_engine_del },
	[FL_VERB_CHECK] = { "CHECK", NEED_CONTAINER | NEED_NETNS | NEED_IFNAME, FL_V040,
			    fl_engine_check },
	[FL_VERB_GC] = { "GC", 0, FL_V110, fl_engine_gc },
	[FL_VERB_STATUS] = { "STATUS", 0, FL_V110, fl_engine_status },
	[FL_VERB_VERSION] = { "VERSION", 0, FL_V010, NULL },
};

static const char *env(const char *name)
{
	const char *v = getenv(name);

	return v ? v : "";
}

static int find_verb(const char *name, enum fl_verb *ret, struct fl_error *err)
{
	for (size_t i = 0; i < FL_ARRAY_SIZE(verbs); i++)
		if (!strcmp(verbs[i].name, name)) {
			*ret = (enum fl_verb)i;
			return 0;
		}
	return fl_error_set(
		err, EINVAL, FL_ECODE_ENV,
		"CNI_COMMAND: expected ADD, DEL, CHECK, GC, STATUS or VERSION, not \"%.64s\"",
		name);
}

static int check_present(const struct fl_request *q, struct fl_error *err)
{
	unsigned need = verbs[q->verb].need;
	char list[128] = "";

	if (need & NEED_CONTAINER && !*q->container)
		strcat(list, ",CNI_CONTAINERID");
	if (need & NEED_NETNS && !*q->netns)
		strcat(list, ",CNI_NETNS");
	if (need & NEED_IFNAME && !*q->ifname)
		strcat(list, ",CNI_IFNAME");
	if (!*list)
		return 0;
	return fl_error_set(err, EINVAL, FL_ECODE_ENV, "required env variables [%s] missing",
			    list + 1);
}

/* One pair of CNI_ARGS. Keys that are not ours belong to another plugin of the chain. */
static void take_arg(struct fl_request *q, const char *key, size_t key_len, const char *value,
		     size_t len)
{
	if (key_len == 3 && !strncmp(key, "MAC", 3))
		snprintf(q->args_mac, sizeof(q->args_mac), "%.*s", (int)len, value);
	if (key_len == 2 && !strncmp(key, "IP", 2))
		snprintf(q->args_ip, sizeof(q->args_ip), "%.*s", (int)len, value);
	if (key_len == 7 && !strncmp(key, "GATEWAY", 7))
		snprintf(q->args_gateway, sizeof(q->args_gateway), "%.*s", (int)len, value);
	if (key_len == 12 && !strncmp(key, "K8S_POD_NAME", 12))
		snprintf(q->args_name, sizeof(q->args_name), "%.*s", (int)len, value);
}

int fl_cni_args(const char *args, struct fl_request *q, struct fl_error *err)
{
	for (const char *end, *p = args; *p; p = *end ? end + 1 : end) {
		const char *eq;

		end = strchrnul(p, ';');
		if (end == p)
			continue;
		eq = memchr(p, '=', (size_t)(end - p));
		if (!eq || memchr(eq + 1, '=', (size_t)(end - eq - 1)))
			return fl_error_set(err, EINVAL, FL_ECODE_ENV,
					    "CNI_ARGS: expected KEY=VALUE pairs separated by ';', "
					    "found \"%.*s\"",
					    (int)(end - p > 64 ? 64 : end - p), p);
		take_arg(q, p, (size_t)(eq - p), eq + 1, (size_t)(end - eq - 1));
	}
	return 0;
}

static int read_env(struct fl_request *q, struct fl_error *err)
{
	int r;

	q->container = env("CNI_CONTAINERID");
	q->netns = env("CNI_NETNS");
	q->ifname = env("CNI_IFNAME");
	q->path = env("CNI_PATH");
	q->args = env("CNI_ARGS");
	r = check_present(q, err);
	if (r)
		return r;
	if (verbs[q->verb].need & NEED_CONTAINER && !fl_name_valid(q->container, FL_NAME_MAX))
		return fl_error_set(err, EINVAL, FL_ECODE_ENV,
				    "CNI_CONTAINERID: invalid characters in containerID, or longer "
				    "than %d: expected a letter or digit, "
				    "then letters, digits, '_', '.', '-'; not \"%.64s\"",
				    FL_NAME_MAX, q->container);
	if (verbs[q->verb].need & NEED_IFNAME && !fl_ifname_valid(q->ifname))
		return fl_error_set(err, EINVAL, FL_ECODE_ENV,
				    "CNI_IFNAME: expected 1 to 15 bytes without '/', ':', '%%' and "
				    "spaces, not \"%.64s\"",
				    q->ifname);
	if (strlen(q->netns) >= sizeof(((struct fl_endpoint *)0)->netns))
		return fl_error_set(err, ENAMETOOLONG, FL_ECODE_ENV,
				    "CNI_NETNS: expected a path of at most 255 bytes");
	return verbs[q->verb].need ? fl_cni_args(q->args, q, err) : 0;
}

static int read_stdin(struct fl_strbuf *b, struct fl_error *err)
{
	char chunk[16384];
	ssize_t n;

	for (;;) {
		n = read(STDIN_FILENO, chunk, sizeof(chunk));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fl_error_errno(err, errno, FL_ECODE_IO,
					      "cannot read the configuration from stdin");
		if (!n)
			break;
		fl_strbuf_addn(b, chunk, (size_t)n);
		if (b->len > STDIN_MAX)
			return fl_error_set(err, EFBIG, FL_ECODE_IO,
					    "the configuration on stdin is larger than %u bytes",
					    STDIN_MAX);
	}
	return b->failed ? fl_error_oom(err) : 0;
}

static int parse_config(const struct fl_strbuf *b, json_t **ret, struct fl_error *err)
{
	json_error_t je;
	json_t *config = json_loadb(b->s ? b->s : "", b->len, 0, &je);

	if (!config)
		return fl_error_set(
			err, EBADMSG, FL_ECODE_DECODE,
			"the configuration on stdin is not JSON: line %d, column %d: %s", je.line,
			je.column, je.text);
	if (!json_is_object(config)) {
		fl_error_set(err, EBADMSG, FL_ECODE_DECODE,
			     "the configuration on stdin: expected an object, not %s",
			     fl_json_kind(config));
		json_decref(config);
		return -EBADMSG;
	}
	*ret = config;
	return 0;
}

static int config_string(const json_t *config, const char *key, const char *absent,
			 const char **ret, struct fl_error *err)
{
	const json_t *v = fl_json_get(config, key);

	if (v && !json_is_string(v))
		return fl_error_set(err, EINVAL, FL_ECODE_DECODE, "%s: expected a string, not %s",
				    key, fl_json_kind(v));
	*ret = v ? json_string_value(v) : absent;
	return 0;
}

int fl_cni_version(const char *text, enum fl_version *ret)
{
	for (int i = 0; i < FL_VERSIONS; i++)
		if (!strcmp(fl_version_names[i], text)) {
			*ret = (enum fl_version)i;
			return 0;
		}
	return -EPROTONOSUPPORT;
}

static int check_version(struct fl_request *q, const char *text, struct fl_error *err)
{
	const struct verb *v = &verbs[q->verb];
	char details[256];
	size_t len;

	if (fl_cni_version(text, &q->version)) {
		fl_error_set(err, EPROTONOSUPPORT, FL_ECODE_VERSION,
			     "incompatible CNI versions: cniVersion \"%.32s\" is not supported",
			     text);
		len = (size_t)snprintf(details, sizeof(details),
				       "config is \"%.32s\", plugin supports [", text);
		for (int i = 0; i < FL_VERSIONS; i++)
			len += (size_t)snprintf(details + len, sizeof(details) - len, "%s\"%s\"",
						i ? " " : "", fl_version_names[i]);
		snprintf(details + len, sizeof(details) - len, "]");
		fl_error_details(err, details);
		return -EPROTONOSUPPORT;
	}
	if (q->version < v->since)
		return fl_error_set(err, EPROTONOSUPPORT, FL_ECODE_VERSION,
				    "config version does not allow %s: cniVersion %s, needs %s",
				    v->name, text, fl_version_names[v->since]);
	return 0;
}

static int read_config(struct fl_request *q, struct fl_error *err)
{
	const char *version = "", *type = "";
	int r = config_string(q->config, "name", "", &q->network, err);

	if (!r && !*q->network)
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG, "name: missing network name");
	if (!r && !fl_name_valid(q->network, FL_NAME_MAX))
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "name: invalid characters found in network name, or longer "
				    "than %d: \"%.64s\"",
				    FL_NAME_MAX, q->network);
	if (!r)
		r = config_string(q->config, "cniVersion", "0.1.0", &version, err);
	if (!r)
		r = check_version(q, version, err);
	if (!r)
		r = config_string(q->config, "type", "", &type, err);
	if (!r && strchr(type, '/'))
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "type: expected a name without '/', not \"%.64s\"", type);
	return r;
}

static void print(json_t *obj)
{
	json_dumpf(obj, stdout, JSON_INDENT(4) | JSON_SORT_KEYS);
	putchar('\n');
}

/* The engine's last step before an ADD counts as done: without a result the caller knows of
 * nothing. */
static int print_result(struct fl_call *c, struct fl_error *err)
{
	FL_AUTOJSON json_t *out = NULL;
	int r = fl_result_json(&c->result, c->req.version, &out, err);

	if (r)
		return r;
	print(out);
	if (fflush(stdout))
		return fl_error_errno(err, errno, FL_ECODE_IO, "cannot write the result to stdout");
	return 0;
}

static int read_prev(struct fl_call *c, struct fl_error *err)
{
	const json_t *prev = fl_json_get(c->req.config, "prevResult");
	const char *text = NULL;
	enum fl_version v = c->req.version;
	int r;

	/* DEL goes by its record: a prevResult that cannot be read must not keep it from working.
	 */
	if (!prev || c->req.verb == FL_VERB_DEL || c->req.verb == FL_VERB_GC ||
	    c->req.verb == FL_VERB_STATUS)
		return 0;
	if (json_is_object(prev)) {
		r = config_string(prev, "cniVersion", NULL, &text, err);
		if (r)
			return fl_error_prefix(err, "prevResult");
	}
	if (text && fl_cni_version(text, &v))
		return fl_error_set(err, EINVAL, FL_ECODE_VERSION,
				    "prevResult.cniVersion: \"%.32s\" is not supported", text);
	r = fl_result_parse(prev, v, "prevResult", &c->prev, err);
	c->has_prev = !r;
	return r;
}

static int run(struct fl_call *c, struct fl_strbuf *in, struct fl_error *err)
{
	int r = read_env(&c->req, err);

	if (!r)
		r = read_stdin(in, err);
	if (!r)
		r = parse_config(in, &c->req.config, err);
	if (!r)
		r = read_config(&c->req, err);
	if (!r)
		r = read_prev(c, err);
	if (!r)
		r = verbs[c->req.verb].run(c, err);
	return r;
}

static int print_error(const struct fl_call *c, const struct fl_error *e)
{
	FL_AUTOJSON json_t *obj = json_object();
	bool known = c->req.version < FL_VERSIONS;

	json_object_set_new(obj, "cniVersion",
			    json_string(known ? fl_version_names[c->req.version] : NEWEST));
	json_object_set_new(obj, "code", json_integer(e->code ? (int)e->code : FL_ECODE_KERNEL));
	/* Bytes of strangers may not be UTF-8: then the text is replaced, never the object lost. */
	if (json_object_set_new(obj, "msg", json_string(e->text)))
		json_object_set_new(obj, "msg", json_string("the error's text is not valid UTF-8"));
	if (e->details[0])
		json_object_set_new(obj, "details", json_string(e->details));
	print(obj);
	return 1;
}

static int print_version(void)
{
	FL_AUTOJSON json_t *obj = json_object(), *in = NULL;
	struct fl_strbuf text = { 0 };
	json_t *list = json_array();
	const char *asked = NULL;
	enum fl_version v;

	if (!isatty(STDIN_FILENO) && !read_stdin(&text, NULL) && !parse_config(&text, &in, NULL))
		asked = json_string_value(fl_json_get(in, "cniVersion"));
	if (!asked || fl_cni_version(asked, &v))
		asked = NEWEST;
	for (int i = 0; i < FL_VERSIONS; i++)
		json_array_append_new(list, json_string(fl_version_names[i]));
	json_object_set_new(obj, "cniVersion", json_string(asked));
	json_object_set_new(obj, "supportedVersions", list);
	print(obj);
	fl_strbuf_clear(&text);
	return 0;
}

static int print_about(const struct fl_driver *d)
{
	fprintf(stderr, "%s: %s (fairlead %s)\nCNI protocol versions supported:", d->type, d->about,
		FAIRLEAD_VERSION);
	for (int i = 0; i < FL_VERSIONS; i++)
		fprintf(stderr, "%s %s", i ? "," : "", fl_version_names[i]);
	fprintf(stderr, "\nA container runtime runs it with CNI_COMMAND and its companions set and "
			"a network configuration on stdin.\n");
	return 0;
}

/* The kernel's own random bytes for jansson's hash: saves it opening /dev/urandom. */
static void seed_hash(void)
{
	size_t seed;

	memcpy(&seed, (const void *)getauxval(AT_RANDOM), sizeof(seed));
	json_object_seed(seed | 1);
}

int fl_cni_main(const struct fl_driver *driver)
{
	struct fl_call c = {
		.driver = driver,
		.self = FL_NETNS_NONE,
		.sandbox = FL_NETNS_NONE,
		.emit = print_result,
		.req = { .version = FL_VERSIONS, .container = "", .netns = "", .ifname = "" }
	};
	struct fl_strbuf in = { 0 };
	struct fl_error err = { 0 };
	const char *command = env("CNI_COMMAND");
	int r;

	seed_hash();
	if (!*command)
		return print_about(driver);
	r = find_verb(command, &c.req.verb, &err);
	if (!r && c.req.verb == FL_VERB_VERSION)
		return print_version();
	if (!r)
		r = run(&c, &in, &err);
	if (r)
		r = print_error(&c, &err);
	fl_call_clear(&c);
	fl_strbuf_clear(&in);
	if (fflush(stdout))
		r = 1;
	return r;
}

int fl_plugin_main(const struct fl_driver *driver)
{
	return fl_cni_main(driver);
}
