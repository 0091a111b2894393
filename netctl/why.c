/* SPDX-License-Identifier: GPL-2.0-or-later */
/* why: does a packet get from one party to another, and what would have to change. */
#include "netctl/out.h"
#include "netctl/reach.h"

#include <string.h>

static const char *verdict_of(const struct steps *s)
{
	return s->failed ? "not reached" : s->unknown ? "not known" : "reached";
}

static void print_verdict(const struct ctl *c, const struct walk *w)
{
	const char *verdict = verdict_of(w->steps);
	const char *colour = w->steps->failed	 ? COLOUR_BAD
			     : w->steps->unknown ? COLOUR_WARN
						 : COLOUR_GOOD;

	if (!c->quiet)
		putchar('\n');
	printf("%s\n", PAINTED(c, colour, verdict));
}

static int show(struct ctl *c, const struct walk *w, struct fl_error *err)
{
	if (w->steps->failed)
		c->status = EXIT_NO;
	if (c->json)
		return show_json(json_pack("{ss ss ss so}", "from", PARTY(w->from), "to",
					   PARTY(w->to), "verdict", verdict_of(w->steps), "steps",
					   steps_json(w->steps)),
				 err);
	if (!c->quiet)
		steps_print(c, w->steps);
	print_verdict(c, w);
	return 0;
}

static int run(struct ctl *c, struct fl_error *err)
{
	AUTOPARTY struct party from = { 0 };
	AUTOPARTY struct party to = { 0 };
	AUTOSTEPS struct steps steps = { 0 };
	FL_AUTOFW struct fl_fw *fw = NULL;
	AUTOMODEL struct model m = { 0 };
	struct walk w = { c, &m, &steps, .from = &from, .to = &to };
	int r = model_read(c, &m, err);

	w.family = option_given(c, "ipv6") ? AF_INET6 : 0;
	if (!r)
		r = ctl_self(c, err);
	if (!r)
		r = ctl_host(c, err);
	if (!r)
		r = party_parse(c, &m, c->argv[0], false, &from, err);
	if (!r)
		r = party_parse(c, &m, c->argv[1], true, &to, err);
	if (!r)
		r = fl_fw_open(&fw, err);
	w.fw = fw;
	if (!r)
		r = reach(&w, err);
	return r ? r : show(c, &w, err);
}

static const struct option_spec options[] = {
	{ "ipv6", '6', NULL, "by IPv6, where names have addresses of both families", NULL },
	{ 0 },
};

static const struct example examples[] = {
	{ "netctl why web db:5432", "does one container reach another's port" },
	{ "netctl why outside host:8080", "is a published port reached from outside" },
	{ "netctl why web 192.0.2.1:8080 --json", "an address with a port, for scripts" },
	{ 0 },
};

const struct command why_command = {
	.name = "why",
	.args = "FROM TO[:PORT[/PROTO]]",
	.about = "whether a packet gets from one to another, and why not",
	.text = "FROM and TO are containers, by name or id; host; outside; or an IP address. "
		"Containers of other nodes are known where an agent tells of them; the way to them "
		"is followed as far as the tunnel, in mode l3 by route, neighbour and FDB entry to "
		"the "
		"node's VTEP, and from them as of the tunnel. A port "
		"is tcp unless /udp or /sctp follows; without one, the question is whether a ping "
		"would get there. An IPv6 address with a port stands in brackets.\n\n"
		"The way is followed by the routes, links and nftables elements that are in the "
		"kernel now, so that what somebody flushed or changed shows. Other people's "
		"nftables chains that the packet or its answer passes, on the host and in the "
		"sandboxes, are told: one that stops everything is a failure, one whose rules may "
		"stop it is not known. Of what comes from outside it is assumed that it got as far "
		"as this host. Nothing is sent.\n\n"
		"Exit status 4: not reached.",
	.json = "from, to, verdict (reached, not reached, not known), steps (a list of objects: "
		"step, ok (true, false, or null for not known), detail, remedy).",
	.options = options,
	.examples = examples,
	.flags = COMMAND_READS,
	.min = 2,
	.max = 2,
	.completes = "@endpoint",
	.run = run,
};
