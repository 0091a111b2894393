/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dhcp/options.h"

#include "base/cleanup.h"
#include "base/fields.h"
#include "base/strbuf.h"
#include "dhcp/names.h"

#include <errno.h>
#include <string.h>

#define NAME_MAX_LEN 255
#define CLIENT_ID_MAX 254 /* of a text: the type byte comes before it */

static const struct {
	const char *name;
	uint8_t code;
} names[] = {
	{ "subnet-mask", FL_DHCP_OPT_MASK },
	{ "time-offset", 2 },
	{ "routers", FL_DHCP_OPT_ROUTERS },
	{ "domain-name-servers", FL_DHCP_OPT_DNS },
	{ "host-name", FL_DHCP_OPT_HOSTNAME },
	{ "domain-name", FL_DHCP_OPT_DOMAIN },
	{ "interface-mtu", FL_DHCP_OPT_MTU },
	{ "broadcast-address", 28 },
	{ "static-routes", FL_DHCP_OPT_STATIC_ROUTES },
	{ "ntp-servers", 42 },
	{ "vendor-encapsulated-options", 43 },
	{ "dhcp-lease-time", FL_DHCP_OPT_LEASE },
	{ "dhcp-server-identifier", FL_DHCP_OPT_SERVER },
	{ "dhcp-renewal-time", FL_DHCP_OPT_T1 },
	{ "dhcp-rebinding-time", FL_DHCP_OPT_T2 },
	{ "vendor-class-identifier", 60 },
	{ "dhcp-client-identifier", FL_DHCP_OPT_CLIENT_ID },
	{ "user-class", 77 },
	{ "fqdn", 81 },
	{ "domain-search", FL_DHCP_OPT_SEARCH },
	{ "classless-static-routes", FL_DHCP_OPT_ROUTES },
	{ "rfc3442-classless-static-routes", FL_DHCP_OPT_ROUTES },
};

int fl_dhcp_option_code(const char *name)
{
	int code = 0;

	for (size_t i = 0; i < FL_ARRAY_SIZE(names); i++)
		if (!strcmp(names[i].name, name))
			return names[i].code;
	for (const char *p = name; *p; p++) {
		if (*p < '0' || *p > '9' || code > 25)
			return -EINVAL;
		code = code * 10 + *p - '0';
	}
	return code >= 1 && code <= 254 ? code : -EINVAL;
}

/* RFC 3442: option 121 comes before 33 and 3. */
static const uint8_t default_params[] = {
	FL_DHCP_OPT_MASK,    FL_DHCP_OPT_ROUTES, FL_DHCP_OPT_STATIC_ROUTES,
	FL_DHCP_OPT_ROUTERS, FL_DHCP_OPT_DNS,	 FL_DHCP_OPT_DOMAIN,
	FL_DHCP_OPT_SEARCH,  FL_DHCP_OPT_MTU,	 FL_DHCP_OPT_LEASE,
	FL_DHCP_OPT_SERVER,  FL_DHCP_OPT_T1,	 FL_DHCP_OPT_T2,
};

struct wish {
	bool skip_default;
	json_t *option;
};

struct given {
	json_t *option;
	const char *value, *from_arg;
};

static const struct fl_field wish_fields[] = {
	FL_F("skipDefault", BOOL, struct wish, skip_default),
	FL_F("option", JSON, struct wish, option),
	{ 0 },
};
static const struct fl_field given_fields[] = {
	FL_F("option", JSON, struct given, option),
	FL_F("value", STRING, struct given, value),
	FL_F("fromArg", STRING, struct given, from_arg),
	{ 0 },
};

struct raw {
	struct fl_dhcp_request q;
	const char *hostname, *client_id;
	bool broadcast;
	struct fl_list request, provide;
	json_t *args, *valid, *families;
};

static const char *const commands[] = { "ADD", "DEL", "CHECK", "STATUS", "GC", NULL };

static const struct fl_field fields[] = {
	FL_F("command", ENUM, struct raw, q.command, .names = commands),
	FL_F("network", STRING, struct raw, q.network, .max = NAME_MAX_LEN),
	FL_F("container", STRING, struct raw, q.container, .max = NAME_MAX_LEN),
	FL_F("ifname", STRING, struct raw, q.ifname, .max = IFNAMSIZ - 1),
	FL_F("netns", STRING, struct raw, q.netns),
	FL_F("timeout", INT, struct raw, q.timeout, 1, 600),
	FL_F("priority", INT, struct raw, q.priority, 0, UINT32_MAX),
	FL_F("families", JSON, struct raw, families),
	FL_F("hostname", STRING, struct raw, hostname, .max = 255),
	FL_F("clientId", STRING, struct raw, client_id, .max = CLIENT_ID_MAX),
	FL_F("broadcast", BOOL, struct raw, broadcast),
	FL_F("request", LIST, struct raw, request, .sub = wish_fields, .size = sizeof(struct wish)),
	FL_F("provide", LIST, struct raw, provide, .sub = given_fields,
	     .size = sizeof(struct given)),
	FL_F("args", JSON, struct raw, args),
	FL_F("valid", JSON, struct raw, valid),
	{ 0 },
};

static int option_of(const json_t *v, const char *list, size_t i, struct fl_error *err)
{
	int code = -EINVAL;

	if (json_is_string(v))
		code = fl_dhcp_option_code(json_string_value(v));
	else if (json_is_integer(v) && json_integer_value(v) >= 1 && json_integer_value(v) <= 254)
		code = (int)json_integer_value(v);
	else if (v && !json_is_integer(v))
		return fl_error_set(err, EINVAL, FL_ECODE_DECODE,
				    "%s[%zu].option: expected a name or a number, not %s", list, i,
				    fl_json_kind(v));
	if (code < 0)
		fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
			     "%s[%zu].option: expected a name such as \"domain-name-servers\" or a "
			     "number from 1 to 254%s%.64s",
			     list, i, json_is_string(v) ? ", not " : "",
			     json_is_string(v) ? json_string_value(v) : "");
	return code;
}

static int add_param(struct fl_dhcp_ident *id, uint8_t code, struct fl_error *err)
{
	if (memchr(id->params, code, id->n_params))
		return 0;
	if (id->n_params == FL_DHCP_PARAMS_MAX)
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "request: expected at most %d options", FL_DHCP_PARAMS_MAX);
	id->params[id->n_params++] = code;
	return 0;
}

static int parse_wishes(const struct fl_list *list, struct fl_dhcp_ident *id, struct fl_error *err)
{
	const struct wish *w = list->items;
	bool skip = false;
	int r = 0, code;

	for (size_t i = 0; i < list->n; i++)
		skip = skip || w[i].skip_default;
	for (size_t i = 0; i < FL_ARRAY_SIZE(default_params) && !skip; i++)
		add_param(id, default_params[i], NULL);
	for (size_t i = 0; i < list->n && !r; i++) {
		if (!w[i].option && w[i].skip_default)
			continue;
		code = option_of(w[i].option, "request", i, err);
		r = code < 0 ? code : add_param(id, (uint8_t)code, err);
	}
	return r;
}

/* The value of NAME in "NAME=value;...", or of the member; NULL when there is none. */
static char *arg_value(const json_t *args, const char *name)
{
	size_t n = strlen(name);
	const char *p;

	if (json_is_object(args)) {
		p = json_string_value(json_object_get(args, name));
		return p ? strdup(p) : NULL;
	}
	for (p = json_string_value(args); p && *p; p += *p == ';') {
		size_t len = strcspn(p, ";");

		if (len > n && !strncmp(p, name, n) && p[n] == '=')
			return strndup(p + n + 1, len - n - 1);
		p += len;
	}
	return NULL;
}

/* Those that the client itself writes. */
static bool own_option(int code)
{
	return code == FL_DHCP_OPT_REQUESTED || code == FL_DHCP_OPT_OVERLOAD ||
	       code == FL_DHCP_OPT_TYPE || code == FL_DHCP_OPT_SERVER ||
	       code == FL_DHCP_OPT_PARAMS || code == FL_DHCP_OPT_MAX_SIZE;
}

static int set_option(struct fl_dhcp_ident *id, uint8_t code, const void *data, size_t n,
		      struct fl_error *err)
{
	size_t i = 0;

	if (code == FL_DHCP_OPT_CLIENT_ID) {
		memcpy(id->client_id, data, n);
		id->client_id_len = (uint8_t)n;
		return 0;
	}
	while (i < id->n_extra && id->extra[i].code != code)
		i++;
	if (i == FL_DHCP_EXTRA_MAX)
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "provide: expected at most %d options", FL_DHCP_EXTRA_MAX);
	id->extra[i].code = code;
	id->extra[i].len = (uint8_t)n;
	memcpy(id->extra[i].data, data, n);
	id->n_extra += i == id->n_extra;
	return 0;
}

/* As with the reference, `fromArg` wins over `value`, and without either nothing is sent. */
static int provide(const struct given *g, size_t i, const json_t *args, struct fl_dhcp_ident *id,
		   struct fl_error *err)
{
	FL_AUTOFREE char *arg = g->from_arg && args ? arg_value(args, g->from_arg) : NULL;
	int code = option_of(g->option, "provide", i, err);
	const char *value = arg ? arg : g->value;

	if (code < 0)
		return code;
	if (own_option(code))
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "provide[%zu].option: option %d is written by the client "
				    "itself: leave it out",
				    i, code);
	if (!value || !*value)
		return 0;
	if (strlen(value) > 255)
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "provide[%zu]: expected a value of at most 255 bytes for "
				    "option %d, not %zu",
				    i, code, strlen(value));
	return set_option(id, (uint8_t)code, value, strlen(value), err);
}

static void set_client_id(struct fl_dhcp_ident *id, struct fl_dhcp6_ident *id6,
			  const struct raw *raw)
{
	FL_AUTOSTRBUF struct fl_strbuf b = { 0 };
	size_t n;

	if (raw->client_id && *raw->client_id)
		fl_strbuf_add(&b, raw->client_id);
	else
		fl_strbuf_addf(&b, "%s/%s/%s", raw->q.container, raw->q.network, raw->q.ifname);
	fl_dhcp6_ident_make(b.s ? b.s : "", raw->q.ifname, id6);
	n = b.len > CLIENT_ID_MAX ? CLIENT_ID_MAX : b.len;
	/* type 0: not a hardware address (RFC 2132, 9.14) */
	id->client_id[0] = 0;
	if (n)
		memcpy(id->client_id + 1, b.s, n);
	id->client_id_len = (uint8_t)(n + 1);
}

static int parse_families(const json_t *list, struct fl_dhcp_request *q, struct fl_error *err)
{
	size_t n = json_array_size(list);

	q->v4 = !list;
	for (size_t i = 0; i < n; i++) {
		json_int_t v = json_integer_value(json_array_get(list, i));

		q->v4 |= v == 4;
		q->v6 |= v == 6;
		if (v != 4 && v != 6)
			n = 0;
	}
	if (list && !n)
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "families: expected a list of 4 and 6");
	return 0;
}

/* Only the first label, and only one that is a host name: what is sent is a partial name. */
static void set_hostname6(struct fl_dhcp6_ident *id, const char *name)
{
	size_t n = strcspn(name, ".");
	char label[FL_DHCP6_HOSTNAME_MAX + 1] = "";

	if (n > FL_DHCP6_HOSTNAME_MAX)
		return;
	memcpy(label, name, n);
	if (fl_dhcp_name_valid(label))
		memcpy(id->hostname, label, sizeof(label));
}

static int parse_ident(const struct raw *raw, struct fl_dhcp_ident *id, struct fl_dhcp6_ident *id6,
		       struct fl_error *err)
{
	const struct given *g = raw->provide.items;
	int r = parse_wishes(&raw->request, id, err);

	if (raw->args && !json_is_string(raw->args) && !json_is_object(raw->args))
		return fl_error_set(err, EINVAL, FL_ECODE_DECODE,
				    "args: expected a string or an object, not %s",
				    fl_json_kind(raw->args));
	id->broadcast = raw->broadcast;
	set_client_id(id, id6, raw);
	if (raw->hostname && *raw->hostname) {
		set_option(id, FL_DHCP_OPT_HOSTNAME, raw->hostname, strlen(raw->hostname), NULL);
		set_hostname6(id6, raw->hostname);
	}
	for (size_t i = 0; i < raw->provide.n && !r; i++)
		r = provide(&g[i], i, raw->args, id, err);
	return r;
}

static int need(const char *key, const char *value, struct fl_error *err)
{
	if (value && *value)
		return 0;
	return fl_error_set(err, EINVAL, FL_ECODE_CONFIG, "%s: is missing", key);
}

static int check_valid(const json_t *valid, struct fl_error *err)
{
	if (!json_is_array(valid) || json_array_size(valid) > FL_DHCP_VALID_MAX)
		return fl_error_set(err, EINVAL, FL_ECODE_DECODE,
				    "valid: expected a list of at most %d pairs",
				    FL_DHCP_VALID_MAX);
	for (size_t i = 0; i < json_array_size(valid); i++) {
		const json_t *pair = json_array_get(valid, i);

		if (json_array_size(pair) != 2 || !json_is_string(json_array_get(pair, 0)) ||
		    !json_is_string(json_array_get(pair, 1)))
			return fl_error_set(err, EINVAL, FL_ECODE_DECODE,
					    "valid[%zu]: expected [container, ifname]", i);
	}
	return 0;
}

static int check(const struct raw *raw, struct fl_error *err)
{
	const struct fl_dhcp_request *q = &raw->q;
	int r;

	if (q->command < 0)
		return need("command", NULL, err);
	if (q->command == FL_DHCP_CMD_STATUS)
		return 0;
	r = need("network", q->network, err);
	if (!r && q->command == FL_DHCP_CMD_GC)
		return check_valid(raw->valid, err);
	if (!r)
		r = need("container", q->container, err);
	if (!r)
		r = need("ifname", q->ifname, err);
	if (!r && !fl_ifname_valid(q->ifname))
		r = fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				 "ifname: \"%s\" is no interface name", q->ifname);
	if (!r && q->command == FL_DHCP_CMD_ADD)
		r = need("netns", q->netns, err);
	if (!r && q->netns && *q->netns && *q->netns != '/')
		r = fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				 "netns: expected an absolute path, not \"%.64s\"", q->netns);
	return r;
}

int fl_dhcp_request_parse(const json_t *json, struct fl_dhcp_request *ret, struct fl_error *err)
{
	struct raw raw = { .q.command = -1 };
	int r;

	if (!json_is_object(json))
		return fl_error_set(err, EINVAL, FL_ECODE_DECODE,
				    "the request: expected an object");
	r = fl_fields_decode(json, fields, "", &raw, err);
	if (!r)
		r = check(&raw, err);
	if (!r && raw.q.command == FL_DHCP_CMD_ADD)
		r = parse_families(raw.families, &raw.q, err);
	if (!r && raw.q.command == FL_DHCP_CMD_ADD)
		r = parse_ident(&raw, &raw.q.id, &raw.q.id6, err);
	fl_fields_clear(fields, &raw);
	if (r)
		return r;
	raw.q.valid = raw.valid;
	*ret = raw.q;
	return 0;
}
