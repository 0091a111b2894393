/* SPDX-License-Identifier: GPL-2.0-or-later */
/* nftables: ours against the records, and other people's firewalls. */
#include "netctl/doctor.h"
#include "netctl/reload.h"

#include "fw/foreign.h"

#include <errno.h>
#include <string.h>

enum { EACH_MAX = 20 }; /* elements that are named one by one */

#define TABLE "table inet fairlead"

static int rebuild(struct doctor *d, const struct finding *f, struct fl_error *err)
{
	int r = reload_rules(d->c, err);

	(void)f;
	if (!r)
		r = reload_admit(&d->m, err);
	return r < 0 ? r : 0;
}

struct rules {
	struct doctor *d;
	size_t count[FL_FW_ORPHAN + 1];
	bool closed; /* 127.0.0.0/8 is kept from the outside */
};

static void mend_rules(struct finding *f)
{
	remedy(f, "netctl reload");
	mend(f, STAGE_RULES, rebuild);
}

static void take_chain(struct rules *s, const struct fl_fw_difference *x)
{
	char object[320];

	snprintf(object, sizeof(object), "chain %s of " TABLE, x->what);
	if (x->found > x->wanted) {
		find(s->d, "rules-foreign", SEVERITY_NOTE, object,
		     "it has %zu rules that are not ours; they are lost when it is rebuilt. Keep "
		     "them in a table of your own",
		     x->found - x->wanted);
		return;
	}
	if (!strcmp(x->what, "raw"))
		s->closed = false;
	mend_rules(find(s->d, "rules-missing", SEVERITY_ERROR, object,
			"%zu of its %zu rules are missing", x->wanted - x->found, x->wanted));
}

static void take_table(struct rules *s, const struct fl_fw_difference *x)
{
	s->closed = false;
	if (!x->wanted)
		return;
	if (x->kind == FL_FW_NO_TABLE)
		mend_rules(find(s->d, "rules-missing", SEVERITY_ERROR, TABLE,
				"it is not there: nothing is translated, published or let through. "
				"Somebody flushed the ruleset"));
	else
		mend_rules(find(s->d, "rules-version", SEVERITY_ERROR, TABLE,
				"it is of another version of fairlead"));
}

static void take_difference(void *arg, const struct fl_fw_difference *x)
{
	static const char *const codes[] = { [FL_FW_MISSING] = "element-missing",
					     [FL_FW_ELSEWHERE] = "element-wrong",
					     [FL_FW_ORPHAN] = "element-orphan" };
	struct rules *s = arg;
	char object[400];

	if (x->kind == FL_FW_CHAIN) {
		take_chain(s, x);
		return;
	}
	if (x->kind == FL_FW_POLICY) {
		snprintf(object, sizeof(object), "chain %s of " TABLE, x->what);
		mend_rules(find(s->d, "rules-policy", SEVERITY_ERROR, object,
				"its policy is drop, and fairlead's chains have accept"));
		return;
	}
	if (x->kind < FL_FW_MISSING) {
		take_table(s, x);
		return;
	}
	if (s->count[x->kind]++ >= EACH_MAX)
		return;
	snprintf(object, sizeof(object), "%s in table %s fairlead", x->what, x->family);
	mend_rules(find(s->d, codes[x->kind],
			x->kind == FL_FW_ORPHAN ? SEVERITY_WARNING : SEVERITY_ERROR, object,
			x->kind == FL_FW_MISSING ? "it is missing, and belongs to %s"
			: x->kind == FL_FW_ELSEWHERE
				? "it leads elsewhere, and belongs to %s"
				: "no record explains it; its comment is \"%s\"",
			x->owner));
}

static void tell_rest(struct rules *s)
{
	static const struct {
		enum fl_fw_difference_kind kind;
		const char *code, *what;
	} rest[] = { { FL_FW_MISSING, "element-missing", "missing" },
		     { FL_FW_ELSEWHERE, "element-wrong", "elsewhere" },
		     { FL_FW_ORPHAN, "element-orphan", "explained by no record" } };

	for (size_t i = 0; i < FL_ARRAY_SIZE(rest); i++)
		if (s->count[rest[i].kind] > EACH_MAX)
			mend_rules(find(s->d, rest[i].code, SEVERITY_ERROR, "nftables",
					"%zu more elements are %s",
					s->count[rest[i].kind] - EACH_MAX, rest[i].what));
}

/* What route_localnet opens, the rule in `raw` closes. */
static void check_localnet(struct rules *s)
{
	for (size_t i = 0; !s->closed && i < s->d->n_links; i++)
		if (s->d->links[i].route_localnet) {
			struct finding *f =
				find(s->d, "localnet-open", SEVERITY_ERROR, s->d->links[i].name,
				     "route_localnet is on, and no rule keeps neighbours "
				     "from the host's 127.0.0.0/8");
			if (s->d->m.n_endpoints)
				mend_rules(f);
			else
				mend_sysctl(f, "0", "net/ipv4/conf/%s/route_localnet",
					    s->d->links[i].name);
		}
}

int check_rules(struct doctor *d, struct fl_error *err)
{
	FL_AUTOFW struct fl_fw *fw = NULL;
	struct rules s = { .d = d, .closed = true };
	int r = fl_fw_open(&fw, err);

	if (!r)
		r = fl_fw_compare(fw, d->m.networks, d->m.n_networks, d->m.endpoints,
				  d->m.n_endpoints, take_difference, &s, err);
	if (r == -ENOENT && err->code == FL_ECODE_TRY_AGAIN) {
		mend_rules(find(d, "rules-missing", SEVERITY_ERROR, TABLE, "%s", err->text));
		s.closed = false;
		r = 0;
	}
	if (r < 0)
		return r;
	tell_rest(&s);
	check_localnet(&s);
	return 0;
}

/* ---- other people's ---- */

static int admit(struct doctor *d, const struct finding *f, struct fl_error *err)
{
	int r = reload_admit(&d->m, err);

	(void)f;
	return r < 0 ? r : 0;
}

struct obstacles {
	struct doctor *d;
	bool firewalld, closed;
};

/* "nftables: ... stops ...: `COMMAND`" */
static void take_obstacle(void *arg, const char *sentence)
{
	struct obstacles *o = arg;
	const char *command = strchr(sentence, '`'),
		   *end = command ? strchr(command + 1, '`') : NULL;
	size_t len = command ? (size_t)(command - sentence) : strlen(sentence);
	struct finding *f;

	o->firewalld |= !strncmp(sentence, "firewalld", 9);
	/* Told already, with what mends it. */
	if (o->closed &&
	    (!strncmp(sentence, "iptables-nft", 12) || !strncmp(sentence, "ip6tables-nft", 13)))
		return;
	while (len && (sentence[len - 1] == ' ' || sentence[len - 1] == ':'))
		len--;
	f = find(o->d, "firewall-closed", SEVERITY_WARNING, "another firewall", "%.*s", (int)len,
		 sentence);
	if (end)
		remedy(f, "%.*s", (int)(end - command - 1), command + 1);
}

int check_firewalls(struct doctor *d, struct fl_error *err)
{
	FL_AUTOFW struct fl_fw *fw = NULL;
	struct obstacles o = { .d = d };
	int r = d->m.n_endpoints && reload_wants_admit(&d->m) ? fl_fw_open(&fw, err) : 0;

	if (r || !fw)
		return r;
	r = fl_fw_admit_is_missing(fw, err);
	o.closed = r > 0;
	if (o.closed) {
		struct finding *f =
			find(d, "forward-closed", SEVERITY_ERROR, "chain FORWARD of iptables",
			     "it drops what containers send: our rule is not in it");

		remedy(f, "netctl reload");
		mend(f, STAGE_RULES, admit);
	}
	if (r >= 0)
		r = fl_fw_foreign_obstacles(fw, take_obstacle, &o, err);
	if (r >= 0 && !o.firewalld)
		r = fl_fw_has_table(fw, "firewalld", err);
	if (r > 0 && !o.firewalld && fl_fw_has_table(fw, "firewalld", err) > 0)
		find(d, "firewalld", SEVERITY_NOTE, "firewalld",
		     "it is at work: connections that containers open need a zone that lets them "
		     "through (the plugin firewall, or firewall-cmd --zone=trusted "
		     "--add-source=SUBNET)");
	return r < 0 ? r : 0;
}
