/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * peer-tool STATE put [RECORD...]       records as the store has them; without any, a line each
 * peer-tool STATE del NETWORK ID...
 * peer-tool STATE ls [NETWORK]
 *
 * What an agent writes of other nodes, for tests that have none. A call is one transaction.
 */
#include "store/peers.h"

#include <stdio.h>
#include <string.h>

struct tool {
	struct fl_txn *t;
	char **argv; /* behind the verb, NULL at the end */
	struct fl_error err;
};

static int put_one(struct tool *k, const char *record)
{
	struct fl_peer p;
	int r = fl_peer_decode(record, strlen(record), &p, &k->err);

	return r ? r : fl_peer_put(k->t, &p, &k->err);
}

static int put(struct tool *k)
{
	char line[8192];
	int r = 0;

	for (char **v = k->argv; *v && !r; v++)
		r = put_one(k, *v);
	while (!*k->argv && !r && fgets(line, sizeof(line), stdin))
		r = put_one(k, line);
	return r;
}

static int del(struct tool *k)
{
	int r = 0;

	for (char **v = k->argv + 1; *k->argv && *v && !r; v++)
		r = fl_peer_del(k->t, *k->argv, *v, &k->err);
	return r;
}

static int print(void *arg, const struct fl_peer *p)
{
	FL_AUTOFREE char *json = NULL;
	struct tool *k = arg;
	int r = fl_peer_encode(p, &json, &k->err);

	return r ? r : (puts(json), 0);
}

static int ls(struct tool *k)
{
	return fl_peers_each(k->t, *k->argv, print, k, &k->err);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(struct tool *k);
	} verbs[] = { { "put", put }, { "del", del }, { "ls", ls } };
	FL_AUTOSTORE struct fl_store *s = NULL;
	struct tool k = { .argv = argv + 3 };
	size_t i = 0;
	int r;

	while (argc > 2 && i < FL_ARRAY_SIZE(verbs) && strcmp(argv[2], verbs[i].name) != 0)
		i++;
	if (argc < 3 || i == FL_ARRAY_SIZE(verbs)) {
		fputs("usage: peer-tool STATE put|del|ls ...\n", stderr);
		return 2;
	}
	r = fl_store_open(argv[1], &s, &k.err);
	if (!r)
		r = fl_txn_begin(s, true, &k.t, &k.err);
	if (!r) {
		r = verbs[i].run(&k);
		if (r)
			fl_txn_abort(k.t);
		else
			r = fl_txn_commit(&k.t, &k.err);
	}
	if (r)
		fprintf(stderr, "peer-tool: %s\n", k.err.text);
	return r ? 1 : 0;
}
