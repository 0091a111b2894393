/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "netctl/conflist.h"

#include "base/strbuf.h"
#include "netctl/ctl.h"
#include "netctl/nearest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

enum { FILE_MAX = 1 << 20 };

void conflists_clear(struct conflists *l)
{
	for (size_t i = 0; i < l->n; i++) {
		free(l->v[i].file);
		free(l->v[i].name);
		json_decref(l->v[i].json);
	}
	free(l->v);
	*l = (struct conflists){ 0 };
}

/* {"cniVersion", "name", "type", ...} as a list of one, in the way of libcni. */
static json_t *wrap(json_t *single)
{
	json_t *list = json_object(), *v;

	v = json_object_get(single, "cniVersion");
	if (v)
		json_object_set(list, "cniVersion", v);
	v = json_object_get(single, "name");
	if (v)
		json_object_set(list, "name", v);
	json_object_set_new(list, "plugins", json_pack("[o]", single));
	return list;
}

static const char *check(const json_t *list)
{
	const json_t *plugins = json_object_get(list, "plugins"), *one;
	const char *name = json_string_value(json_object_get(list, "name"));
	size_t i;

	if (!fl_name_valid(name ? name : "", FL_NAME_MAX))
		return "name: expected the network's name: a letter or digit, then letters, "
		       "digits, "
		       "'_', '.', '-'";
	if (!json_is_array(plugins) || !json_array_size(plugins))
		return "plugins: expected a list of configurations";
	json_array_foreach(plugins, i, one) if (
		!json_string_length(json_object_get(
			one, "type"))) return "plugins: expected a type in each of them";
	return NULL;
}

static json_t *parse(int fd, char *why, size_t size)
{
	json_error_t je;
	json_t *v = json_loadfd(fd, 0, &je);
	const char *fault;

	if (!v) {
		snprintf(why, size, "not JSON: line %d, column %d: %s", je.line, je.column,
			 je.text);
		return NULL;
	}
	if (!json_is_object(v)) {
		snprintf(why, size, "expected an object, not %s", fl_json_kind(v));
		json_decref(v);
		return NULL;
	}
	if (!json_object_get(v, "plugins"))
		v = wrap(v);
	fault = check(v);
	if (!fault)
		return v;
	snprintf(why, size, "%s", fault);
	json_decref(v);
	return NULL;
}

static json_t *load(int dir, const char *file, char *why, size_t size)
{
	FL_AUTOCLOSE int fd = openat(dir, file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	if (fd < 0 || fstat(fd, &st)) {
		snprintf(why, size, "cannot be read: %s", strerror(errno));
		return NULL;
	}
	if (!S_ISREG(st.st_mode) || st.st_size > FILE_MAX) {
		snprintf(why, size, "not a regular file of at most %d bytes", FILE_MAX);
		return NULL;
	}
	return parse(fd, why, size);
}

static int add(struct conflists *l, int dir, const char *file)
{
	struct conflist *grown = realloc(l->v, (l->n + 1) * sizeof(*grown)), *one;

	if (!grown)
		return -ENOMEM;
	l->v = grown;
	one = &l->v[l->n];
	*one = (struct conflist){ .file = strdup(file) };
	one->json = load(dir, file, one->why, sizeof(one->why));
	one->name = strdup(one->json ? json_string_value(json_object_get(one->json, "name")) : "");
	one->ours = !strncmp(file, CONFLIST_PREFIX, strlen(CONFLIST_PREFIX));
	l->n++;
	return one->file && one->name ? 0 : -ENOMEM;
}

static bool is_configuration(const char *file)
{
	const char *dot = strrchr(file, '.');

	return dot && (!strcmp(dot, ".conflist") || !strcmp(dot, ".conf") || !strcmp(dot, ".json"));
}

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct conflist *)a)->file, ((const struct conflist *)b)->file);
}

int conflists_read(const char *dir, struct conflists *ret, struct fl_error *err)
{
	AUTOCONFLISTS struct conflists l = { 0 };
	DIR *d = opendir(dir);
	const struct dirent *e;
	int r = 0;

	if (!d && errno != ENOENT)
		return fl_error_errno(err, errno, FL_ECODE_IO, "cannot read %s", dir);
	while (d && !r && (e = readdir(d)))
		if (is_configuration(e->d_name))
			r = add(&l, dirfd(d), e->d_name);
	if (d)
		closedir(d);
	if (r)
		return fl_error_oom(err);
	if (l.n)
		qsort(l.v, l.n, sizeof(*l.v), compare);
	*ret = l;
	l = (struct conflists){ 0 };
	return 0;
}

const struct conflist *conflists_find(const struct conflists *l, const char *name)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->v[i].json && !strcmp(l->v[i].name, name))
			return &l->v[i];
	return NULL;
}

int conflists_get(const struct conflists *l, const char *dir, const char *name,
		  const struct conflist **ret, struct fl_error *err)
{
	const struct conflist *found = conflists_find(l, name);
	struct nearest n = { .word = name };

	if (found) {
		*ret = found;
		return 0;
	}
	for (size_t i = 0; i < l->n; i++)
		if (*l->v[i].name)
			nearest_try(&n, l->v[i].name);
	if (n.best)
		return not_found(err, "%s: no such network in %s; did you mean %s?", name, dir,
				 n.best);
	return not_found(err, "%s: no such network in %s", name, dir);
}

json_t *conflist_main(const struct conflist *l)
{
	return json_array_get(json_object_get(l->json, "plugins"), 0);
}

const char *conflist_type(const struct conflist *l)
{
	const char *type = json_string_value(json_object_get(conflist_main(l), "type"));

	return type ? type : "";
}

static int one_subnet(const json_t *range, int (*fn)(void *arg, const struct fl_prefix *subnet),
		      void *arg)
{
	const char *text = json_string_value(fl_json_get(range, "subnet"));
	struct fl_prefix p;

	return text && !fl_prefix_parse(text, &p) ? fn(arg, &p) : 0;
}

int conflist_subnets_each(const struct conflist *l,
			  int (*fn)(void *arg, const struct fl_prefix *subnet), void *arg)
{
	const json_t *ipam = fl_json_get(conflist_main(l), "ipam"), *set, *range;
	size_t i, k;
	int r;

	if (!json_is_object(ipam))
		return 0;
	r = one_subnet(ipam, fn, arg);
	json_array_foreach(fl_json_get(ipam, "ranges"), i, set)
		json_array_foreach(set, k, range) if (!r) r = one_subnet(range, fn, arg);
	return r;
}

void conflist_path(const char *dir, const struct conflist *l, char *buf, size_t size)
{
	snprintf(buf, size, "%s/%s", dir, l->file);
}

int conflist_lock(const char *dir, const struct conflist *l, bool exclusive, int *ret,
		  struct fl_error *err)
{
	FL_AUTOCLOSE int fd = -1;
	struct stat st;
	char path[4400];

	conflist_path(dir, l, path, sizeof(path));
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 && errno != ENOENT)
		return fl_error_errno(err, errno, FL_ECODE_IO, "%s", path);
	if (fd >= 0 && flock(fd, exclusive ? LOCK_EX : LOCK_SH))
		return fl_error_errno(err, errno, FL_ECODE_IO, "cannot lock %s", path);
	if (fd < 0 || fstat(fd, &st) || !st.st_nlink)
		return not_found(err, "network %s was removed just now", l->name);
	*ret = fl_take_fd(&fd);
	return 0;
}
