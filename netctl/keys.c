/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "netctl/keys.h"

#include "base/strbuf.h"
#include "drivers.h"
#include "netctl/ctl.h"
#include "netctl/nearest.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

/* Which keys each plugin looks at, as keys-probe saw it when this was built. Arrays, because a
 * pointer would be relocated at each start. */
static const struct row {
	char driver[FL_DRIVER_MAX];
	char ipam[16]; /* "": without IPAM */
	char path[64]; /* "vlanTrunk[].id" */
} rows[] = {
#include "plugin-keys.inc"
	{ "", "", "" },
};

static const struct fl_driver *const drivers[] = {
#define DRIVER(name) &name##_driver,
#include "drivers.inc"
#undef DRIVER
};

enum { KEY_PATH = 256 };

struct look {
	const char *driver, *ipam;
	struct fl_error *err;
};

/* ---- the table ---- */

static bool is_ipam(const char *path)
{
	return !strncasecmp(path, "ipam.", 5);
}

static bool concerns(const struct look *l, const struct row *row)
{
	return !strcmp(row->driver, l->driver) &&
	       (!l->ipam || !is_ipam(row->path) || !strcmp(row->ipam, l->ipam));
}

static bool has_key(const struct look *l, const char *path)
{
	for (size_t i = 0; i < FL_ARRAY_SIZE(rows); i++)
		if (concerns(l, &rows[i]) && !strcasecmp(rows[i].path, path))
			return true;
	return false;
}

/* Are there keys known inside of it? Without, what is inside has names of the user's. */
static bool has_inside(const struct look *l, const char *path, const char *sep)
{
	size_t len = strlen(path);

	for (size_t i = 0; i < FL_ARRAY_SIZE(rows); i++)
		if (concerns(l, &rows[i]) && !strncasecmp(rows[i].path, path, len) &&
		    !strncmp(rows[i].path + len, sep, strlen(sep)))
			return true;
	return false;
}

static bool has_ipam(const struct look *l)
{
	for (size_t i = 0; i < FL_ARRAY_SIZE(rows); i++)
		if (!strcmp(rows[i].driver, l->driver) && !strcmp(rows[i].ipam, l->ipam))
			return true;
	return false;
}

static const char *last_key(const char *path)
{
	const char *dot = strrchr(path, '.');

	return dot ? dot + 1 : path;
}

/* One with the path left out, else one that is mistyped. */
static const char *find_near(const struct look *l, const char *path)
{
	struct nearest near = { .word = path };

	for (size_t i = 0; i < FL_ARRAY_SIZE(rows); i++)
		if (concerns(l, &rows[i]) && !strchr(rows[i].path, '[')) {
			if (!strcasecmp(last_key(rows[i].path), path))
				return rows[i].path;
			nearest_try(&near, rows[i].path);
		}
	return near.best;
}

/* ---- what was given ---- */

static int unknown(const struct look *l, const char *path)
{
	const char *near = find_near(l, path);

	return usage_error(l->err,
			   "--opt %s: %s has no such key%s%s; one that only other programs read is "
			   "written by --foreign-opt",
			   path, l->driver, near ? ", did you mean " : "", near ? near : "");
}

static bool is_plain(const json_t *v)
{
	return !json_is_object(v) && !json_is_array(v);
}

static int look_at(const struct look *l, const char *path, json_t *v)
{
	bool object = json_is_object(v) && has_inside(l, path, ".");
	bool list = json_is_array(v) && has_inside(l, path, "[]");
	char below[KEY_PATH];
	const char *key;
	json_t *item;
	size_t i;
	int r = 0;

	if (!object && !list)
		return has_key(l, path) ? 0 : unknown(l, path);
	json_object_foreach (v, key, item) {
		snprintf(below, sizeof(below), "%s.%s", path, key);
		r = r ? r : look_at(l, below, item);
	}
	snprintf(below, sizeof(below), "%s[]", path);
	/* A list may have words as well, which the plugin reads itself. */
	json_array_foreach(v, i, item) r = r || is_plain(item) ? r : look_at(l, below, item);
	return r;
}

int keys_check(const char *driver, const char *ipam, const char *path, json_t *value,
	       struct fl_error *err)
{
	struct look l = { driver, ipam, err };

	/* Built where the probe could not run. */
	if (!*rows[0].driver)
		return 0;
	/* The runtime's: which of its capabilities the plugin is handed. */
	if (!strcmp(path, "capabilities") || !strncmp(path, "capabilities.", 13))
		return 0;
	if (strlen(path) >= KEY_PATH / 2)
		return usage_error(err, "--opt %.40s...: expected a path of at most %d letters",
				   path, KEY_PATH / 2 - 1);
	if (ipam && !has_ipam(&l)) {
		if (is_ipam(path) || !strcasecmp(path, "ipam"))
			return 0;
		l.ipam = NULL;
	}
	return look_at(&l, path, value);
}

int keys_check_values(const char *driver, const char *network, json_t *plugin, struct fl_error *err)
{
	struct fl_error why = { 0 };

	for (size_t i = 0; i < FL_ARRAY_SIZE(drivers); i++)
		if (!strcmp(drivers[i]->type, driver) &&
		    fl_config_check(drivers[i], network, plugin, &why))
			return usage_error(err, "%s", why.text);
	return 0;
}
