/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dns-fill STATE NAMES SANDBOXES: writes what as many ADDs would have written for the resolver, in
 * few transactions: containers elsewhere that have the names and addresses of the file NAMES, and
 * an endpoint here for each path of the file SANDBOXES; all on one network.
 */
#include "netns/netns.h"
#include "store/hosts.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { BATCH = 2000, LINE_MAX = 4096, GROUP = 3 };

#define NETWORK "bench"
#define SETTINGS "{\"forward\":false}"

struct fill {
	struct fl_store *store;
	struct fl_txn *txn;
	struct fl_netns self;
	unsigned long n;
	char group[GROUP][64], address[64];
	size_t n_group;
	struct fl_error err;
};

static void describe(struct fill *f, struct fl_endpoint *ep, const char *id)
{
	snprintf(ep->id.network, sizeof(ep->id.network), NETWORK);
	snprintf(ep->id.driver, sizeof(ep->id.driver), "bridge");
	snprintf(ep->id.ifname, sizeof(ep->id.ifname), "eth0");
	snprintf(ep->id.container, sizeof(ep->id.container), "%s%052lx", id, ++f->n);
	snprintf(ep->dns, sizeof(ep->dns), SETTINGS);
	ep->state = FL_STATE_CREATING;
}

/* Elsewhere: names, and no record of its own. Here: all that an ADD writes. */
static int put(struct fill *f, const struct fl_endpoint *ep, bool here)
{
	int r = f->txn ? 0 : fl_txn_begin(f->store, true, &f->txn, &f->err);

	if (!r)
		r = here ? fl_endpoint_put(f->txn, ep, &f->err) : fl_hosts_put(f->txn, ep, &f->err);
	if (!r && f->n % BATCH == 0)
		r = fl_txn_commit(&f->txn, &f->err);
	return r;
}

/* The lines of one container follow each other: name, alias, short id, as many as there are. */
static int put_group(struct fill *f)
{
	struct fl_endpoint ep = { .n_addrs = 1, .addrs[0].len = 8 };

	if (!f->n_group)
		return 0;
	describe(f, &ep, f->n_group > 2 ? f->group[2] : "000000000000");
	snprintf(ep.name, sizeof(ep.name), "%s", f->group[0]);
	if (f->n_group > 1)
		snprintf(ep.aliases, sizeof(ep.aliases), "[\"%s\"]", f->group[1]);
	f->n_group = 0;
	if (fl_addr_parse(f->address, &ep.addrs[0].addr))
		return fl_error_set(&f->err, EINVAL, FL_ECODE_CONFIG, "no address: %s", f->address);
	return put(f, &ep, false);
}

static int put_name(struct fill *f, char *line)
{
	char *at = strchr(line, ' ');
	int r = 0;

	if (!at)
		return fl_error_set(&f->err, EINVAL, FL_ECODE_CONFIG, "no address: %s", line);
	*at = '\0';
	if (strcmp(f->address, at + 1) != 0 || f->n_group == GROUP)
		r = put_group(f);
	snprintf(f->address, sizeof(f->address), "%s", at + 1);
	snprintf(f->group[f->n_group++], sizeof(f->group[0]), "%s", line);
	return r;
}

static int put_sandbox(struct fill *f, char *line)
{
	FL_AUTONETNS struct fl_netns ns = FL_NETNS_NONE;
	struct fl_endpoint ep = { 0 };
	int r = fl_netns_open(line, &f->self, &ns, &f->err);

	snprintf(ep.netns, sizeof(ep.netns), "%s", line);
	ep.cookie = ns.cookie;
	ep.dev = ns.dev;
	ep.ino = ns.ino;
	describe(f, &ep, "");
	return r ? r : put(f, &ep, true);
}

static int each_line(struct fill *f, const char *path, int (*fn)(struct fill *f, char *line))
{
	FL_AUTOFCLOSE FILE *file = fopen(path, "re");
	char line[LINE_MAX];
	int r = 0;

	if (!file)
		return fl_error_set(&f->err, ENOENT, FL_ECODE_IO, "cannot read %s", path);
	while (!r && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		r = *line ? fn(f, line) : 0;
	}
	return r;
}

int main(int argc, char **argv)
{
	struct fill f = { .self = FL_NETNS_NONE };
	int r;

	if (argc != 4) {
		fputs("usage: dns-fill STATE NAMES SANDBOXES\n", stderr);
		return 2;
	}
	r = fl_netns_self(&f.self, &f.err);
	if (!r)
		r = fl_store_open(argv[1], &f.store, &f.err);
	if (!r)
		r = each_line(&f, argv[2], put_name);
	if (!r)
		r = put_group(&f);
	if (!r)
		r = each_line(&f, argv[3], put_sandbox);
	if (!r && f.txn)
		r = fl_txn_commit(&f.txn, &f.err);
	if (r)
		fprintf(stderr, "dns-fill: %s\n", f.err.text);
	fl_store_close(f.store);
	return r ? 1 : 0;
}
