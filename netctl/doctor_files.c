/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Network configurations that no runtime can use. */
#include "netctl/doctor.h"

#include <string.h>
#include <unistd.h>

/* In one of the folders of CNI_PATH. */
static bool is_installed(const char *path, const char *type)
{
	while (*path) {
		size_t n = strcspn(path, ":");
		char file[4096];

		snprintf(file, sizeof(file), "%.*s/%s", (int)n, path, type);
		if (n && !access(file, X_OK))
			return true;
		path += n + (path[n] == ':');
	}
	return false;
}

static void check_type(struct doctor *d, const char *file, const char *type)
{
	if (!type || !*type || strchr(type, '/'))
		remedy(find(d, "plugin-missing", SEVERITY_ERROR, file,
			    "\"%s\" cannot be a plugin's name", type ? type : ""),
		       "correct its \"type\"");
	else if (!is_installed(d->c->path, type))
		remedy(find(d, "plugin-missing", SEVERITY_ERROR, file,
			    "there is no executable \"%s\" in %s", type, d->c->path),
		       "install it, or name its folder by --cni-path");
}

static void check_plugins(struct doctor *d, const char *file, const struct conflist *l)
{
	const json_t *one;
	size_t i;

	json_array_foreach(json_object_get(l->json, "plugins"), i, one)
	{
		const char *ipam = json_string_value(fl_json_get(fl_json_get(one, "ipam"), "type"));

		check_type(d, file, json_string_value(json_object_get(one, "type")));
		if (ipam && *ipam)
			check_type(d, file, ipam);
	}
}

/* A kubelet takes the first one for all pods. */
static void check_first(struct doctor *d, const char *file, const struct conflist *l)
{
	if (l->ours && !access("/var/lib/kubelet", F_OK))
		remedy(find(d, "conflist-first", SEVERITY_WARNING, file,
			    "it is the first of the folder: the kubelet takes network %s for its "
			    "pods",
			    l->name),
		       "rename it, so that the pods' network comes first");
}

int check_files(struct doctor *d, struct fl_error *err)
{
	(void)err;
	for (size_t i = 0; i < d->files.n; i++) {
		const struct conflist *l = &d->files.v[i];
		char file[4096];

		conflist_path(d->c->dir, l, file, sizeof(file));
		if (!l->json) {
			remedy(find(d, "conflist-unreadable", SEVERITY_ERROR, file, "%s", l->why),
			       "correct it, or move it away");
			continue;
		}
		if (!i)
			check_first(d, file, l);
		check_plugins(d, file, l);
		for (size_t k = 0; k < i; k++)
			if (d->files.v[k].json && !strcmp(d->files.v[k].name, l->name))
				remedy(find(d, "conflist-twice", SEVERITY_WARNING, file,
					    "network %s is %s's already, which runtimes take",
					    l->name, d->files.v[k].file),
				       "rename one of the two");
	}
	return 0;
}
