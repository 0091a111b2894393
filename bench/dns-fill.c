/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dns-fill STATE NAMES SANDBOXES: writes what as many ADDs would have written for the resolver, in
 * few transactions. An endpoint for each "NAME ADDRESS" of the file NAMES, in a sandbox that nobody
 * can enter, and one for each path of the file SANDBOXES; all on one network.
 */
#include "netns/netns.h"
#include "store/hosts.h"

#include <stdio.h>
#include <string.h>

enum { BATCH = 2000, LINE_MAX = 4096 };

#define NETWORK "bench"
#define SETTINGS "{\"forward\":false}"

struct fill {
	struct fl_store *store;
	struct fl_txn *txn;
	struct fl_netns self;
	unsigned long n;
	struct fl_error err;
};

static int put(struct fill *f, struct fl_endpoint *ep)
{
	int r = f->txn ? 0 : fl_txn_begin(f->store, true, &f->txn, &f->err);

	snprintf(ep->id.network, sizeof(ep->id.network), NETWORK);
	snprintf(ep->id.driver, sizeof(ep->id.driver), "bridge");
	snprintf(ep->id.ifname, sizeof(ep->id.ifname), "eth0");
	snprintf(ep->id.container, sizeof(ep->id.container), "%064lx", ++f->n);
	snprintf(ep->link, sizeof(ep->link), "veth%08lx", f->n);
	snprintf(ep->dns, sizeof(ep->dns), SETTINGS);
	ep->state = FL_STATE_CREATING;
	if (!r)
		r = fl_endpoint_put(f->txn, ep, &f->err);
	if (!r && f->n % BATCH == 0)
		r = fl_txn_commit(&f->txn, &f->err);
	return r;
}

static int put_name(struct fill *f, char *line)
{
	struct fl_endpoint ep = { .n_addrs = 1 };
	char *at = strchr(line, ' ');

	if (!at)
		return fl_error_set(&f->err, 22, FL_ECODE_CONFIG, "no address: %s", line);
	*at = '\0';
	snprintf(ep.name, sizeof(ep.name), "%s", line);
	ep.addrs[0].len = 8;
	if (fl_addr_parse(at + 1, &ep.addrs[0].addr))
		return fl_error_set(&f->err, 22, FL_ECODE_CONFIG, "no address: %s", at + 1);
	return put(f, &ep);
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
	return r ? r : put(f, &ep);
}

static int each_line(struct fill *f, const char *path, int (*fn)(struct fill *f, char *line))
{
	FL_AUTOFCLOSE FILE *file = fopen(path, "re");
	char line[LINE_MAX];
	int r = 0;

	if (!file)
		return fl_error_set(&f->err, 2, FL_ECODE_IO, "cannot read %s", path);
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
		r = each_line(&f, argv[3], put_sandbox);
	if (!r && f.txn)
		r = fl_txn_commit(&f.txn, &f.err);
	if (r)
		fprintf(stderr, "dns-fill: %s\n", f.err.text);
	fl_store_close(f.store);
	return r ? 1 : 0;
}
