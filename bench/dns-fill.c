/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dns-fill STATE NAMES SANDBOXES: writes what as many ADDs would have written for the resolver, in
 * few transactions: containers elsewhere that have the names and addresses of the file NAMES, and
 * an endpoint here for each path of the file SANDBOXES; all on one network.
 */
#include "netns/netns.h"
#include "store/peers.h"

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

static void make_id(struct fill *f, const char *id, char *buf, size_t size)
{
	snprintf(buf, size, "%s%052lx", id, ++f->n);
}

static int begin(struct fill *f)
{
	return f->txn ? 0 : fl_txn_begin(f->store, true, &f->txn, &f->err);
}

static int end(struct fill *f)
{
	return f->n % BATCH == 0 ? fl_txn_commit(&f->txn, &f->err) : 0;
}

/* The lines of one container follow each other: name, alias, short id, as many as there are. */
static int put_group(struct fill *f)
{
	struct fl_peer p = { .network = NETWORK, .node = "elsewhere" };
	int r;

	if (!f->n_group)
		return 0;
	make_id(f, f->n_group > 2 ? f->group[2] : "000000000000", p.container, sizeof(p.container));
	snprintf(p.id, sizeof(p.id), "%.64s", p.container);
	snprintf(p.name, sizeof(p.name), "%s", f->group[0]);
	if (f->n_group > 1)
		snprintf(p.aliases, sizeof(p.aliases), "[\"%s\"]", f->group[1]);
	f->n_group = 0;
	if (fl_addr_parse(f->address, &p.addrs[0]))
		return fl_error_set(&f->err, EINVAL, FL_ECODE_CONFIG, "no address: %s", f->address);
	r = begin(f);
	if (!r)
		r = fl_peer_put(f->txn, &p, &f->err);
	return r ? r : end(f);
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
	struct fl_endpoint ep = {
		.id = { .network = NETWORK, .driver = "bridge", .ifname = "eth0" },
		.dns = SETTINGS,
		.state = FL_STATE_CREATING
	};
	int r = fl_netns_open(line, &f->self, &ns, &f->err);

	snprintf(ep.netns, sizeof(ep.netns), "%s", line);
	ep.cookie = ns.cookie;
	ep.dev = ns.dev;
	ep.ino = ns.ino;
	make_id(f, "", ep.id.container, sizeof(ep.id.container));
	if (!r)
		r = begin(f);
	if (!r)
		r = fl_endpoint_put(f->txn, &ep, &f->err);
	return r ? r : end(f);
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
