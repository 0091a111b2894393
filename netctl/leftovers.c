/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "netctl/leftovers.h"

#include "netctl/kept.h"
#include "netctl/runtime.h"
#include "netctl/text.h"

#include "base/strbuf.h"
#include "plugin/alive.h"
#include "plugin/resolver.h"
#include "store/leases.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>

void leftovers_clear(struct leftovers *l)
{
	free(l->v);
	*l = (struct leftovers){ 0 };
}

static struct leftover *one_more(struct leftovers *l, enum leftover_kind kind)
{
	size_t cap = l->cap ? 2 * l->cap : 16;
	struct leftover *v = l->n < l->cap ? l->v : reallocarray(l->v, cap, sizeof(*v));

	if (!v)
		return NULL;
	if (l->n == l->cap)
		l->cap = cap;
	l->v = v;
	v[l->n] = (struct leftover){ .kind = kind };
	return &v[l->n++];
}

/* ---- attachments ---- */

/* One that has no name to be held by gives no sign of life, nor of death. */
static bool is_unfinished(const struct fl_endpoint *ep)
{
	if (ep->state == FL_STATE_READY || fl_alive_check(ep))
		return false;
	return ep->state == FL_STATE_DELETING || *ep->link || ep->nsid;
}

static bool has_interface(struct ctl *c, const struct fl_endpoint *ep)
{
	FL_AUTONETNS struct fl_netns ns = FL_NETNS_NONE;
	FL_AUTONL struct fl_nl *nl = NULL;
	struct fl_link link;

	return ctl_sandbox(c, ep, &ns, &nl, NULL) || fl_link_find(nl, ep->id.ifname, &link, NULL);
}

static bool lives(struct ctl *c, const struct fl_endpoint *ep)
{
	FL_AUTONETNS struct fl_netns ns = FL_NETNS_NONE;

	return !ctl_sandbox(c, ep, &ns, NULL, NULL);
}

/* LEFT_KINDS: it is none. */
static enum leftover_kind kind_of(struct ctl *c, const struct fl_endpoint *ep)
{
	if (is_unfinished(ep))
		return LEFT_UNFINISHED;
	if (ep->state != FL_STATE_READY || !runtime_is_gone(c, ep))
		return LEFT_KINDS;
	if (!lives(c, ep))
		return LEFT_SANDBOX;
	/* Another namespace may have got the host's end: the pair is there, and so is the cable. */
	return has_interface(c, ep) ? LEFT_KINDS : LEFT_UNPLUGGED;
}

static int find_attachments(struct ctl *c, const struct model *m, const char *network,
			    struct leftovers *l)
{
	for (size_t i = 0; i < m->n_attachments; i++) {
		const struct attachment *a = &m->attachments[i];
		enum leftover_kind kind = LEFT_KINDS;
		struct leftover *one;

		if (!network || !strcmp(a->main->id.network, network))
			kind = kind_of(c, a->main);
		one = kind == LEFT_KINDS ? NULL : one_more(l, kind);
		if (kind != LEFT_KINDS && !one)
			return -ENOMEM;
		if (one) {
			one->a = a;
			one->id = a->main->id;
		}
	}
	return 0;
}

/* ---- leases ---- */

void pool_network(const char *pool, char *buf, size_t size)
{
	size_t n = strcspn(pool, "@");

	snprintf(buf, size, "%.*s", (int)n, pool);
}

/* host-local as an executable keeps no record: who has the address is the foreign plugin's matter.
 */
static bool is_recorded(const char *driver)
{
	return *driver != '@' && strcmp(driver, "host-local") != 0;
}

bool lease_is_stale(const struct model *m, const struct fl_endpoint_id *owner)
{
	if (!strcmp(owner->driver, FL_LEASE_STALE))
		return true;
	return is_recorded(owner->driver) && !model_endpoint(m, owner);
}

struct lease_search {
	const struct model *m;
	const char *network; /* NULL: all */
	struct leftovers *l;
	struct fl_txn *t;
	const char *pool;
	struct fl_error *err;
};

static int take_lease(void *arg, const struct fl_addr *addr, const struct fl_endpoint_id *owner)
{
	struct lease_search *s = arg;
	struct leftover *one;

	if (!lease_is_stale(s->m, owner))
		return 0;
	one = one_more(s->l, LEFT_LEASE);
	if (!one)
		return -ENOMEM;
	fl_strcpy(one->pool, sizeof(one->pool), s->pool);
	one->addr = *addr;
	one->id = *owner;
	return 0;
}

static int take_pool(void *arg, const char *name, const struct fl_pool *pool)
{
	struct lease_search *s = arg;
	char network[FL_NAME_MAX + 1];

	pool_network(name, network, sizeof(network));
	if (s->network && strcmp(s->network, network) != 0)
		return 0;
	s->pool = name;
	return fl_leases_each(s->t, pool, NULL, NULL, take_lease, s, s->err);
}

static int find_leases(struct ctl *c, const struct model *m, const char *network,
		       struct leftovers *l, struct fl_error *err)
{
	FL_AUTOTXN struct fl_txn *t = NULL;
	struct lease_search s = { .m = m, .network = network, .l = l, .err = err };
	int r = fl_txn_begin(c->store, false, &t, err);

	s.t = t;
	return r ? r : fl_pools_each(t, take_pool, &s, err);
}

/* ---- files ---- */

static void closedir_p(DIR **d)
{
	if (*d)
		closedir(*d);
}

/* Calls fn for each name in STATE/FOLDER. */
static int names_each(struct ctl *c, const char *folder,
		      int (*fn)(void *arg, int dir, const char *name), void *arg)
{
	FL_CLEANUP(closedir_p) DIR *d = NULL;
	char state[4096], path[4352];
	const struct dirent *e;
	int r = ctl_state_dir(c, state, sizeof(state), NULL);

	snprintf(path, sizeof(path), "%.3900s/%s", r ? "" : state, folder);
	d = r ? NULL : opendir(path);
	while (d && !r && (e = readdir(d)))
		if (e->d_name[0] != '.')
			r = fn(arg, dirfd(d), e->d_name);
	return r;
}

struct file_search {
	struct ctl *c;
	const struct model *m;
	const char *network, *container;
	struct leftovers *l;
};

static int by_container(const void *key, const void *item)
{
	return strcmp(key, *(char *const *)item);
}

static int compare_strings(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Ids of the containers that have a record, sorted; malloc'd. */
static const char **containers_of(const struct model *m)
{
	const char **ids = calloc(m->n_attachments + 1, sizeof(*ids));

	for (size_t i = 0; ids && i < m->n_attachments; i++)
		ids[i] = m->attachments[i].main->id.container;
	if (ids && m->n_attachments)
		qsort(ids, m->n_attachments, sizeof(*ids), compare_strings);
	return ids;
}

struct folder_search {
	struct file_search s;
	const char **ids;
};

static int take_folder(void *arg, int dir, const char *name)
{
	struct folder_search *f = arg;
	struct leftover *one;

	(void)dir;
	if (strlen(name) > FL_NAME_MAX ||
	    bsearch(name, f->ids, f->s.m->n_attachments, sizeof(*f->ids), by_container))
		return 0;
	one = one_more(f->s.l, LEFT_FILES);
	if (!one)
		return -ENOMEM;
	fl_strcpy(one->id.container, sizeof(one->id.container), name);
	return 0;
}

static bool has_record(const struct model *m, const struct fl_endpoint_id *id)
{
	/* The records of an attachment lie together: the first one is behind the empty driver. */
	size_t from = 0, to = m->n_attachments;

	while (from < to) {
		size_t mid = from + (to - from) / 2;
		const struct fl_endpoint_id *at = &m->attachments[mid].main->id;
		int r = strcmp(id->network, at->network);

		r = r ? r : strcmp(id->container, at->container);
		r = r ? r : strcmp(id->ifname, at->ifname);
		if (!r)
			return true;
		if (r < 0)
			to = mid;
		else
			from = mid + 1;
	}
	return false;
}

/* NETWORK,IFNAME; an interface's name may have a comma, a network's has none. */
static bool read_name(const char *name, struct fl_endpoint_id *ret)
{
	size_t n = strcspn(name, ",");

	if (!name[n] || n > FL_NAME_MAX || strlen(name + n + 1) >= IFNAMSIZ)
		return false;
	memcpy(ret->network, name, n);
	ret->network[n] = '\0';
	fl_strcpy(ret->ifname, sizeof(ret->ifname), name + n + 1);
	return true;
}

static bool kept_sandbox_lives(struct ctl *c, const json_t *kept)
{
	const char *path = json_string_value(json_object_get(kept, "netns"));
	FL_AUTONETNS struct fl_netns ns = FL_NETNS_NONE;

	return path && *path && !fl_netns_open(path, &c->self, &ns, NULL);
}

static int take_kept(void *arg, int dir, const char *name)
{
	struct file_search *s = arg;
	struct leftover one = { .kind = LEFT_KEPT }, *slot;
	FL_AUTOJSON json_t *kept = NULL;
	char path[FL_NAME_MAX + 512];

	if (!read_name(name, &one.id) || (s->network && strcmp(s->network, one.id.network) != 0))
		return 0;
	fl_strcpy(one.id.container, sizeof(one.id.container), s->container);
	if (has_record(s->m, &one.id))
		return 0;
	snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", dir, name);
	kept = json_load_file(path, 0, NULL);
	one.unfinished = kept && !json_object_get(kept, "result");
	/* Plugins that are not ours leave no record, and are in use as long as the sandbox is. */
	if (!kept || (!one.unfinished && kept_sandbox_lives(s->c, kept)))
		return 0;
	slot = one_more(s->l, LEFT_KEPT);
	if (!slot)
		return -ENOMEM;
	*slot = one;
	return 0;
}

/* Who attaches or detaches holds the folder's lock. -1: somebody is at work. */
static int open_idle(int dir, const char *name)
{
	int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB)) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/* What was not whole yet when its writer was killed has a name with a dot; *whole: others. */
static size_t count_unwritten(int folder, bool remove, size_t *whole)
{
	int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	FL_CLEANUP(closedir_p) DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;
	size_t n = 0;

	*whole = !d;
	while (d && (e = readdir(d)))
		if (e->d_name[0] != '.')
			++*whole;
		else if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			n += !remove || !unlinkat(folder, e->d_name, 0);
	return n;
}

static int take_kept_folder(void *arg, int dir, const char *name)
{
	FL_AUTOCLOSE int idle = open_idle(dir, name);
	struct file_search *s = arg;
	char folder[FL_NAME_MAX + 32];
	struct leftover *one;
	size_t whole;
	int r;

	if (idle < 0 || strlen(name) > FL_NAME_MAX)
		return 0;
	s->container = name;
	snprintf(folder, sizeof(folder), "attachments/%s", name);
	r = names_each(s->c, folder, take_kept, s);
	if (r || s->network || (!count_unwritten(idle, false, &whole) && whole))
		return r;
	one = one_more(s->l, LEFT_KEPT);
	if (!one)
		return -ENOMEM;
	fl_strcpy(one->id.container, sizeof(one->id.container), name);
	return 0;
}

static int find_files(struct ctl *c, const struct model *m, const char *network,
		      struct leftovers *l)
{
	struct folder_search f = { .s = { c, m, network, NULL, l } };
	FL_AUTOFREE const char **ids = containers_of(m);
	int r = ids ? names_each(c, "attachments", take_kept_folder, &f.s) : -ENOMEM;

	f.ids = ids;
	return r || network || !c->store ? r : names_each(c, "files", take_folder, &f);
}

/* ---- all ---- */

int leftovers_find(struct ctl *c, const struct model *m, const char *network, struct leftovers *ret,
		   struct fl_error *err)
{
	AUTOLEFTOVERS struct leftovers l = { 0 };
	int r = ctl_store(c, false, err);

	if (!r)
		r = ctl_host(c, err);
	if (!r && c->store)
		r = find_attachments(c, m, network, &l);
	if (!r && c->store)
		r = find_leases(c, m, network, &l, err);
	/* Plugins that are not ours leave no other state. */
	if (!r)
		r = find_files(c, m, network, &l);
	if (r)
		return r == -ENOMEM ? fl_error_oom(err) : r;
	*ret = l;
	l = (struct leftovers){ 0 };
	return 0;
}

/* ---- removal ---- */

static int free_lease(struct ctl *c, const struct leftover *l, struct fl_error *err)
{
	FL_AUTOENDPOINT struct fl_endpoint ep = { 0 };
	FL_AUTOTXN struct fl_txn *t = NULL;
	struct fl_endpoint_id owner;
	struct fl_pool pool;
	int r = fl_txn_begin(c->store, true, &t, err);

	if (!r)
		r = fl_pool_get(t, l->pool, &pool, err);
	if (!r)
		r = fl_lease_owner(t, &pool, &l->addr, &owner, err);
	if (r)
		return r == -ENOENT ? 0 : r;
	if (!fl_endpoint_id_eq(&owner, &l->id))
		return 0;
	r = fl_endpoint_get(t, &owner, &ep, err);
	if (r != -ENOENT)
		return r;
	r = fl_lease_free(t, &pool, &l->addr, err);
	if (!r)
		r = fl_txn_commit(&t, err);
	return r ? r : 1;
}

/* 0: it has been finished or removed since it was looked at. */
static int is_still_unfinished(struct ctl *c, const struct fl_endpoint_id *id, struct fl_error *err)
{
	AUTOKEPT struct kept k = KEPT_NONE;
	FL_AUTOJSON json_t *v = NULL;
	int r = kept_lock(c, id->container, &k, err);

	if (!r)
		kept_choose(&k, id->network, id->ifname);
	if (!r)
		r = kept_read(&k, &v, err);
	return r == -ENOENT ? 0 : r ? r : !json_object_get(v, "result");
}

/* The folder goes with the lock, when nothing else is in it. */
static int remove_unwritten(struct ctl *c, const char *container, struct fl_error *err)
{
	AUTOKEPT struct kept k = KEPT_NONE;
	size_t whole;
	int r = kept_lock(c, container, &k, err);

	return r ? r : count_unwritten(k.dir, true, &whole) || !whole;
}

/* The plugins of what was kept are asked once more: foreign ones have their own state. */
static int remove_kept(struct ctl *c, const struct leftover *l, struct fl_error *err)
{
	FL_AUTOJSON json_t *list = json_array();
	int r = 1;

	if (!*l->id.network)
		return remove_unwritten(c, l->id.container, err);
	if (l->unfinished)
		r = is_still_unfinished(c, &l->id, err);
	if (r <= 0)
		return r;
	r = runtime_detach_unrecorded(c, l->id.container, l->id.network, l->id.ifname, true, list,
				      err);
	return r ? r : 1;
}

/* 1: its record is the one that was judged. An ADD of the same name may have come since. */
static int is_unchanged(struct ctl *c, const struct fl_endpoint *ep, struct fl_error *err)
{
	FL_AUTOENDPOINT struct fl_endpoint now = { 0 };
	FL_AUTOTXN struct fl_txn *t = NULL;
	int r = fl_txn_begin(c->store, false, &t, err);

	if (!r)
		r = fl_endpoint_get(t, &ep->id, &now, err);
	if (r)
		return r == -ENOENT ? 0 : r;
	return now.state == ep->state && now.cookie == ep->cookie && now.ino == ep->ino &&
	       now.ifindex == ep->ifindex && now.nsid == ep->nsid && !strcmp(now.link, ep->link);
}

int attachment_remove(struct ctl *c, const struct attachment *a, struct fl_error *err)
{
	/* In this order: an ADD that ends in between has changed its record. */
	int r = fl_alive_check(a->main) ? 0 : is_unchanged(c, a->main, err);

	if (r <= 0)
		return r;
	r = runtime_detach(c, a, true, err);
	return r ? r : 1;
}

int leftover_remove(struct ctl *c, const struct leftover *l, struct fl_error *err)
{
	int r;

	switch (l->kind) {
	case LEFT_LEASE:
		r = ctl_store(c, true, err);
		return r ? r : free_lease(c, l, err);
	case LEFT_KEPT:
		return remove_kept(c, l, err);
	case LEFT_FILES:
		return fl_files_sweep(c->store, l->id.container, err);
	default:
		return attachment_remove(c, l->a, err);
	}
}

/* ---- in words ---- */

const char *leftover_kind_str(enum leftover_kind k)
{
	static const char *const names[] = {
		[LEFT_SANDBOX] = "endpoint",   [LEFT_UNFINISHED] = "endpoint",
		[LEFT_UNPLUGGED] = "endpoint", [LEFT_LEASE] = "lease",
		[LEFT_KEPT] = "attachment",    [LEFT_FILES] = "files",
	};

	return names[k];
}

const char *leftover_why(const struct leftover *l)
{
	switch (l->kind) {
	case LEFT_SANDBOX:
		return "its sandbox is gone";
	case LEFT_UNFINISHED:
		return l->a->main->state == FL_STATE_CREATING ? "its ADD ended in the midst of it"
							      : "its DEL ended in the midst of it";
	case LEFT_UNPLUGGED:
		return "its interface is gone, though the sandbox lives";
	case LEFT_LEASE:
		return strcmp(l->id.driver, FL_LEASE_STALE) != 0
			       ? "its owner is not attached"
			       : "it was imported, and its container ended before this boot";
	case LEFT_KEPT:
		return !*l->id.network ? "netctl was killed as it wrote what it keeps"
		       : l->unfinished ? "its ADD ended in the midst of it"
				       : "its sandbox is gone, and nothing is recorded of it";
	default:
		return "the container is not attached";
	}
}

const char *leftover_str(const struct leftover *l, char *buf, size_t size)
{
	char network[FL_NAME_MAX + 1], who[FL_HOSTNAME_MAX + 1];

	pool_network(l->pool, network, sizeof(network));
	snprintf(who, sizeof(who), "%s", l->id.container);
	if (l->a)
		container_label(l->a->main, who, sizeof(who));
	if (l->kind == LEFT_FILES || (l->kind == LEFT_KEPT && !*l->id.network))
		snprintf(buf, size, "files of container %s", who);
	else if (l->kind == LEFT_LEASE)
		snprintf(buf, size, "address %s of network %s, container %s",
			 fl_addr_str(&l->addr, FL_ADDR_BUF), network, who);
	else
		snprintf(buf, size, "container %s, interface %s of network %s", who, l->id.ifname,
			 l->id.network);
	return clean_text(buf);
}
