/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "netctl/target.h"

#include "base/strbuf.h"

#include <errno.h>
#include <string.h>

static int check_id(const char *id, struct fl_error *err)
{
	if (fl_name_valid(id, FL_NAME_MAX))
		return 0;
	return usage_error(err,
			   "%.64s: cannot be a container's id: expected a letter or digit, then "
			   "letters, digits, '_', '.', '-'; give one by --id",
			   id);
}

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
	return check_id(t->container, err);
}

static void by_attachment(const struct attachment *a, struct target *t)
{
	fl_strcpy(t->container, sizeof(t->container), a->main->id.container);
	fl_strcpy(t->netns, sizeof(t->netns), a->main->netns);
	t->known = true;
}

static bool is_namespace(const char *name, char *path, size_t size)
{
	return !strchr(name, '/') && *name != '.' &&
	       snprintf(path, size, FL_NETNS_RUN_DIR "/%s", name) < (int)size &&
	       !access(path, F_OK);
}

int target_resolve(struct ctl *c, const struct model *m, const char *word, struct target *ret,
		   struct fl_error *err)
{
	FL_AUTOFREE const struct attachment **found = NULL;
	struct target t = { .known = false };
	size_t n = 0;
	int r;

	(void)c;
	if (strchr(word, '/')) {
		r = by_path(word, &t, err);
	} else if (!model_find(m, word, NULL, NULL, &found, &n, NULL)) {
		by_attachment(found[0], &t);
		r = 0;
	} else if (is_namespace(word, t.netns, sizeof(t.netns))) {
		fl_strcpy(t.container, sizeof(t.container), word);
		r = check_id(word, err);
	} else if (is_number(word)) {
		snprintf(t.netns, sizeof(t.netns), "/proc/%s/ns/net", word);
		snprintf(t.container, sizeof(t.container), "pid-%s", word);
		r = access(t.netns, F_OK) ? not_found(err, "%s: no such process", word) : 0;
	} else {
		r = not_found(err,
			      "%s: no attached container, no namespace in " FL_NETNS_RUN_DIR
			      ", no process; `netctl sandbox create %s` makes a namespace",
			      word, word);
	}
	if (!r)
		*ret = t;
	return r;
}

static bool is_recorded(const struct model *m, const struct target *t, const char *ifname)
{
	for (size_t i = 0; i < m->n_attachments; i++)
		if (!strcmp(m->attachments[i].main->id.container, t->container) &&
		    !strcmp(m->attachments[i].main->id.ifname, ifname))
			return true;
	return false;
}

int target_free_interface(struct ctl *c, const struct model *m, const struct target *t, char *ret,
			  struct fl_error *err)
{
	FL_AUTONETNS struct fl_netns ns = FL_NETNS_NONE;
	FL_AUTONL struct fl_nl *nl = NULL;
	char name[IFNAMSIZ];
	struct fl_link link;
	int r = ctl_self(c, err);

	if (!r)
		r = fl_netns_open(t->netns, &c->self, &ns, err);
	if (!r)
		r = ctl_nl_in(c, &ns, &nl, err);
	for (unsigned i = 0; !r && i < 1000; i++) {
		snprintf(name, sizeof(name), "eth%u", i);
		if (is_recorded(m, t, name))
			continue;
		r = fl_link_find(nl, name, &link, err);
		if (!r) {
			memcpy(ret, name, sizeof(name));
			return 0;
		}
		r = r > 0 ? 0 : r;
	}
	return r ? r
		 : fl_error_set(err, EEXIST, FL_ECODE_CONFLICT,
				"%s: no free interface name; give one by --interface", t->netns);
}
