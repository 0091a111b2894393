/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * doctor: what the host is like, read once, and a table of checks that compare it with what is
 * recorded. A check only looks; what it finds may carry a repair.
 */
#pragma once

#include "netctl/agent.h"
#include "netctl/conflist.h"
#include "netctl/leftovers.h"

enum severity { SEVERITY_NOTE, SEVERITY_WARNING, SEVERITY_ERROR };

/* Repairs run in this order: what comes first may be needed by what follows. */
enum stage {
	STAGE_BRIDGE,
	STAGE_LINK,
	STAGE_ADDRESS,
	STAGE_SYSCTL,
	STAGE_RULES,
	STAGE_RECORD,
	STAGE_LEASE,
	STAGE_RESOLVER,
	STAGE_OVERLAY,
};

struct doctor;
struct finding;
typedef int (*repair_fn)(struct doctor *d, const struct finding *f, struct fl_error *err);

struct finding {
	const char *code; /* short, for scripts; never renamed */
	enum severity severity;
	char object[256]; /* "bridge net0" */
	char text[768];
	char remedy[640]; /* "" where there is none */
	repair_fn repair; /* NULL: it cannot be repaired */
	enum stage stage;
	bool repaired;
	/* For the repair. */
	const struct fl_network *net;
	const struct fl_endpoint *ep;
	const struct leftover *left;
	uint32_t index; /* of a link */
	struct fl_prefix prefix;
	char sysctl[128], value[16];
};

struct doctor {
	struct ctl *c;
	struct model m;
	struct conflists files;
	struct leftovers left;
	struct cluster cluster; /* by check_overlay(); empty without an agent */
	struct fl_link *links;	/* of the host, by index */
	size_t n_links;
	struct fl_link **by_name;
	struct fl_ifaddr *addrs; /* of the host, by link */
	size_t n_addrs;
	struct finding *found;
	size_t n, cap;
	bool failed; /* memory */
};

/* Appends one; never NULL. */
struct finding *find(struct doctor *d, const char *code, enum severity s, const char *object,
		     const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* What to do about it. */
void remedy(struct finding *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void mend(struct finding *f, enum stage stage, repair_fn repair);
/* The repair is to write a sysctl of the host, and so is the remedy. */
void mend_sysctl(struct finding *f, const char *value, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Runs fn, which dumps something, until nothing changed meanwhile; findings of the tries before are
 * dropped. */
int dump(struct doctor *d, int (*fn)(struct doctor *d, struct fl_error *err), struct fl_error *err);

/* NULL: there is none. */
const struct fl_link *host_link(const struct doctor *d, const char *name);
const struct fl_link *host_link_index(const struct doctor *d, uint32_t index);
/* The link of an endpoint's host end, by its index where that is known. */
const struct fl_link *host_end(const struct doctor *d, const struct fl_endpoint *ep);
/* Addresses of one link. */
const struct fl_ifaddr *host_addrs(const struct doctor *d, uint32_t index, size_t *n);
/* "container web, interface eth0 of network net" */
const char *endpoint_object(const struct fl_endpoint *ep, char *buf, size_t size);
#define ENDPOINT_OBJECT(ep) endpoint_object(ep, (char[256]){ 0 }, 256)

/* "bridge" where the network's link is one that its plugin makes. */
static inline bool is_bridged(const struct fl_network *net)
{
	return !__builtin_strcmp(net->driver, "bridge") && *net->link;
}

/* ---- the checks: 0, or why nothing can be said ---- */
int check_records(struct doctor *d, struct fl_error *err);   /* doctor_records.c */
int check_leases(struct doctor *d, struct fl_error *err);    /* doctor_records.c */
int check_bridges(struct doctor *d, struct fl_error *err);   /* doctor_links.c */
int check_ports(struct doctor *d, struct fl_error *err);     /* doctor_links.c */
int check_rules(struct doctor *d, struct fl_error *err);     /* doctor_rules.c */
int check_firewalls(struct doctor *d, struct fl_error *err); /* doctor_rules.c */
int check_resolver(struct doctor *d, struct fl_error *err);  /* doctor_dns.c */
int check_settings(struct doctor *d, struct fl_error *err);  /* doctor_host.c */
int check_subnets(struct doctor *d, struct fl_error *err);   /* doctor_subnets.c */
int check_files(struct doctor *d, struct fl_error *err);     /* doctor_files.c */
int check_overlay(struct doctor *d, struct fl_error *err);   /* doctor_overlay.c */
int check_entries(struct doctor *d, struct fl_error *err);   /* doctor_entries.c */
int check_routed(struct doctor *d, struct fl_error *err);    /* doctor_routed.c */
int check_paths(struct doctor *d, struct fl_error *err);     /* doctor_path.c */
