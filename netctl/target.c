/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "netctl/target.h"

#include "base/strbuf.h"

#include <errno.h>
#include <string.h>

static bool is_number(const char *s)
{
	return *s && strspn(s, "0123456789") == strlen(s) && strlen(s) < 10;
}

static int by_path(const char *path, struct target *t, struct fl_error *err)
{
	const char *base = strrchr(path, '/') + 1, *pid;
	unsigned n;

	if (strlen(path) >= sizeof(t->netns))
		return usage_error(err, "%.64s...: expected a path of at most %zu bytes", path,
				   sizeof(t->netns) - 1);
	fl_strcpy(t->netns, sizeof(t->netns), path);
	pid = !strncmp(path, "/proc/", 6) && sscanf(path, "/proc/%u/ns/net", &n) == 1 ? path : NULL;
	if (pid)
		snprintf(t->container, sizeof(t->container), "pid-%u", n);
	else
		fl_strcpy(t->container, sizeof(t->container), base);
	return 0;
}

static void by_attachment(const struct attachment *a, struct target *t)
{
	fl_strcpy(t->container, sizeof(t->container), a->main->id.container);
	fl_strcpy(t->netns, sizeof(t->netns), a->main->netns);
	t->at = a;
}

const struct attachment *target_owner(const struct model *m, const struct fl_netns *ns,
				      const char *id)
{
	const struct attachment *found = NULL;

	for (size_t i = 0; i < m->n_attachments; i++) {
		const struct attachment *a = &m->attachments[i];
		struct fl_netns recorded = { -1, a->main->cookie, a->main->dev, a->main->ino };

		if (!fl_netns_same(&recorded, ns))
			continue;
		if (!strcmp(a->main->id.container, id))
			return a;
		if (!found || (*found->main->shares && !*a->main->shares))
			found = a;
	}
	return found;
}

/* A namespace that a container has, found by another name of it. */
static void recognise(struct ctl *c, const struct model *m, struct target *t)
{
	FL_AUTONETNS struct fl_netns ns = FL_NETNS_NONE;
	const struct attachment *owner;

	if (ctl_self(c, NULL) || fl_netns_open(t->netns, &c->self, &ns, NULL))
		return;
	owner = target_owner(m, &ns, t->container);
	if (!owner)
		return;
	fl_strcpy(t->container, sizeof(t->container), owner->main->id.container);
	t->at = owner;
}

static bool is_namespace(const char *name, char *path, size_t size)
{
	return !strchr(name, '/') && *name != '.' &&
	       snprintf(path, size, FL_NETNS_RUN_DIR "/%s", name) < (int)size &&
	       !access(path, F_OK);
}

/* A container's name that is another one's namespace too must not be guessed at. */
static int by_container(struct ctl *c, const struct model *m, const char *word, struct target *t,
			struct fl_error *err)
{
	FL_AUTOFREE const struct attachment **found = NULL;
	struct target other = { .at = NULL };
	size_t n = 0;
	int r = model_find(m, word, NULL, NULL, &found, &n, err);

	if (r)
		return r;
	by_attachment(found[0], t);
	if (!strcmp(t->container, word) || !is_namespace(word, other.netns, sizeof(other.netns)))
		return 0;
	recognise(c, m, &other);
	if (!strcmp(other.container, t->container))
		return 0;
	return ambiguous(err,
			 "%s is the name of container %s, and of another namespace; say %s "
			 "or " FL_NETNS_RUN_DIR "/%s",
			 word, t->container, t->container, word);
}

static int by_namespace(struct ctl *c, const struct model *m, const char *id, struct target *t)
{
	fl_strcpy(t->container, sizeof(t->container), id);
	recognise(c, m, t);
	return 0;
}

static int by_pid(struct ctl *c, const struct model *m, const char *pid, struct target *t,
		  struct fl_error *err)
{
	char id[32];

	snprintf(t->netns, sizeof(t->netns), "/proc/%s/ns/net", pid);
	if (access(t->netns, F_OK))
		return not_found(err, "%s: no such process", pid);
	snprintf(id, sizeof(id), "pid-%s", pid);
	return by_namespace(c, m, id, t);
}

static int by_prefix(const struct model *m, const char *word, struct target *t,
		     struct fl_error *err)
{
	FL_AUTOFREE const struct attachment **found = NULL;
	struct fl_error why = { 0 };
	size_t n = 0;
	int r = model_find(m, word, NULL, NULL, &found, &n, &why);

	if (!r) {
		by_attachment(found[0], t);
		return 0;
	}
	if (r == -ENOTUNIQ)
		return ambiguous(err, "%s", why.text);
	return not_found(err,
			 "%s: no attached container, no namespace in " FL_NETNS_RUN_DIR
			 ", no process; `netctl sandbox create %s` makes a namespace",
			 word, word);
}

int target_resolve(struct ctl *c, const struct model *m, const char *word, struct target *ret,
		   struct fl_error *err)
{
	struct target t = { .at = NULL };
	int r;

	if (strchr(word, '/')) {
		r = by_path(word, &t, err);
		if (!r)
			recognise(c, m, &t);
	} else if (model_knows(m, word)) {
		r = by_container(c, m, word, &t, err);
	} else if (is_namespace(word, t.netns, sizeof(t.netns))) {
		r = by_namespace(c, m, word, &t);
	} else if (is_number(word)) {
		r = by_pid(c, m, word, &t, err);
	} else {
		r = by_prefix(m, word, &t, err);
	}
	if (!r)
		*ret = t;
	return r;
}

int target_open(struct ctl *c, const struct target *t, struct fl_netns *ret, struct fl_error *err)
{
	int r = ctl_self(c, err);

	if (r)
		return r;
	if (!t->at)
		return fl_netns_open(t->netns, &c->self, ret, err);
	r = ctl_sandbox(c, t->at->main, ret, NULL, err);
	if (r != -ENOENT)
		return r;
	return not_found(
		err,
		"the sandbox of container %s is gone: %s leads nowhere, or to another one; "
		"`netctl gc` takes away what is left",
		t->container, *t->netns ? t->netns : "no path");
}
