/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Running another plugin: found in CNI_PATH, same environment but for CNI_COMMAND, the complete
 * configuration on stdin (CNI specification 1.1.0 section 4).
 */
#include "plugin/internal.h"

#include "plugin/execute.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

int fl_plugin_find(const char *path, const char *type, char *buf, size_t size, struct fl_error *err)
{
	struct stat st;

	if (!*type || strchr(type, '/') || !strcmp(type, ".") || !strcmp(type, ".."))
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "expected a name without '/', not \"%.64s\"", type);
	for (const char *end, *p = path; *p; p = *end ? end + 1 : end) {
		end = strchrnul(p, ':');
		if (end == p ||
		    snprintf(buf, size, "%.*s/%s", (int)(end - p), p, type) >= (int)size)
			continue;
		if (!stat(buf, &st) && S_ISREG(st.st_mode))
			return 0;
	}
	return fl_error_set(err, ENOENT, FL_ECODE_CONFIG,
			    "there is no executable \"%s\" in CNI_PATH \"%s\"", type, path);
}

static int foreign_error(const char *type, const char *command, json_t *obj, struct fl_error *err)
{
	const char *msg = json_string_value(fl_json_get(obj, "msg"));
	json_t *code = fl_json_get(obj, "code");

	if (!msg)
		return fl_error_set(err, EIO, FL_ECODE_IO,
				    "plugin %s failed in %s without an error object", type,
				    command);
	fl_error_set(err, EIO,
		     json_is_integer(code) ? (enum fl_ecode)json_integer_value(code) : FL_ECODE_IO,
		     "%s", msg);
	fl_error_details(err, json_string_value(fl_json_get(obj, "details")));
	return -EIO;
}

int fl_plugin_execute(const char *path, const char *type, const char *command, const json_t *config,
		      json_t **ret, struct fl_error *err)
{
	FL_AUTOFREE char *text = json_dumps(config, JSON_COMPACT);
	FL_AUTOSTRBUF struct fl_strbuf out = { 0 };
	FL_AUTOJSON json_t *obj = NULL;
	char file[4096], setting[32];
	int r, status = 0;

	if (!text)
		return fl_error_oom(err);
	snprintf(setting, sizeof(setting), "CNI_COMMAND=%s", command);
	r = fl_plugin_find(path, type, file, sizeof(file), err);
	if (!r)
		r = fl_execute((const char *[]){ file, NULL }, setting, text, &out, &status, err);
	if (r)
		return r;
	obj = out.len ? json_loadb(out.s, out.len, 0, NULL) : NULL;
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		return foreign_error(type, command, obj, err);
	if (ret)
		*ret = fl_take_ptr(obj);
	return 0;
}

int fl_delegate(const struct fl_call *c, const char *type, const char *command, json_t **ret,
		struct fl_error *err)
{
	int r = fl_plugin_execute(c->req.path, type, command, c->req.config, ret, err);

	/* A message of ours names a key: say whose. */
	return r == -EIO || r == -ENOMEM ? r : r ? fl_error_prefix(err, "ipam.type") : 0;
}
