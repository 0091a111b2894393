/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * After a broker's death: sandboxes that are recorded are served again. By the recorded path where
 * that still leads to the same namespace, else by any process that is in it.
 */
#include "dns/broker.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

struct wanted {
	uint64_t sandbox;
	struct fl_endpoint_id id;
	uint64_t cookie, dev, ino; /* of its record, and so on */
	char netns[256];
	uint16_t port;
	bool missing;
};

struct list {
	struct broker *b;
	struct wanted *v;
	size_t n, cap;
};

/* Entries of a sandbox come together: one of them is enough. */
static int collect(void *arg, const struct fl_sandbox_entry *e)
{
	struct list *l = arg;
	struct wanted *grown;

	if ((l->n && l->v[l->n - 1].sandbox == e->sandbox) || served_find(l->b, e->sandbox))
		return 0;
	if (l->n == l->cap) {
		l->cap = l->cap ? 2 * l->cap : 64;
		grown = realloc(l->v, l->cap * sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		l->v = grown;
	}
	l->v[l->n] = (struct wanted){ .sandbox = e->sandbox, .id = e->id };
	l->n++;
	return 0;
}

static int read_record(struct broker *b, struct wanted *w)
{
	FL_AUTOENDPOINT struct fl_endpoint ep = { 0 };
	FL_AUTOTXN struct fl_txn *t = NULL;
	struct fl_error err = { 0 };
	int r = fl_txn_begin(b->store, false, &t, &err);

	if (!r)
		r = fl_endpoint_get(t, &w->id, &ep, &err);
	if (r && r != -ENOENT)
		say("%s", err.text);
	if (r)
		return r;
	w->cookie = ep.cookie;
	w->dev = ep.dev;
	w->ino = ep.ino;
	w->port = (uint16_t)ep.dns_port;
	memcpy(w->netns, ep.netns, sizeof(w->netns));
	return 0;
}

/* What the records say of the port, where we had to take another one. */
static void record_port(struct broker *b, struct wanted *w, uint16_t port)
{
	FL_AUTOENDPOINT struct fl_endpoint ep = { 0 };
	FL_AUTOTXN struct fl_txn *t = NULL;

	if (w->port == port || fl_txn_begin(b->store, true, &t, NULL) ||
	    fl_endpoint_get(t, &w->id, &ep, NULL))
		return;
	ep.dns_port = port;
	if (!fl_endpoint_put(t, &ep, NULL))
		fl_txn_commit(&t, NULL);
}

static bool open_by(struct broker *b, struct wanted *w, const char *path)
{
	FL_AUTONETNS struct fl_netns ns = FL_NETNS_NONE;
	struct fl_netns recorded = { -1, w->cookie, w->dev, w->ino };
	struct fl_error err = { 0 };
	struct served *s;

	if (!*path || fl_netns_open(path, &b->self, &ns, NULL) || !fl_netns_same(&ns, &recorded))
		return false;
	if (served_open(b, &ns, w->sandbox, w->netns, w->port, w->port != 0, &s, &err)) {
		say("container %s: %s", w->id.container, err.text);
		return true; /* another way in would not help */
	}
	/* Found by a process: as long as there is one in it, it is used. */
	s->seen |= path != w->netns;
	record_port(b, w, s->port);
	return true;
}

static void try_process(struct list *l, const char *pid)
{
	char path[300];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%s/ns/net", pid);
	if (stat(path, &st))
		return;
	for (size_t i = 0; i < l->n; i++) {
		struct wanted *w = &l->v[i];

		if (w->missing && w->dev == st.st_dev && w->ino == st.st_ino)
			w->missing = !open_by(l->b, w, path);
	}
}

static void search_processes(struct list *l)
{
	DIR *proc = opendir("/proc");
	const struct dirent *e;

	while (proc && (e = readdir(proc)))
		if (e->d_name[0] >= '1' && e->d_name[0] <= '9')
			try_process(l, e->d_name);
	if (proc)
		closedir(proc);
}

static int relisten(void *arg, const char *network, const struct fl_addr *a, uint16_t port)
{
	struct fl_error err = { 0 };

	if (served_listen(arg, network, a, port, &err))
		say("%s", err.text);
	return 0;
}

void reopen_all(struct broker *b)
{
	FL_AUTOTXN struct fl_txn *t = NULL;
	struct list l = { .b = b };
	struct fl_error err = { 0 };
	bool missing = false;
	int r = fl_txn_begin(b->store, false, &t, &err);

	if (!r)
		r = fl_sandboxes_each(t, 0, true, collect, &l, &err);
	if (!r)
		r = fl_listeners_each(t, relisten, b, &err);
	fl_txn_abort(fl_take_ptr(t));
	if (r)
		say("%s", err.err ? err.text : strerror(-r));
	for (size_t i = 0; i < l.n; i++) {
		struct wanted *w = &l.v[i];

		w->missing = !read_record(b, w) && !open_by(b, w, w->netns);
		missing |= w->missing;
	}
	if (missing)
		search_processes(&l);
	free(l.v);
}
