/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tuning.h"

#include "base/strbuf.h"

#include <errno.h>
#include <regex.h>
#include <stdio.h>
#include <string.h>

#define ALLOW_LIST "/etc/cni/tuning/allowlist.conf"
#define PLACEHOLDER "IFNAME"

/* As sysctl(8): the first separator says which one it is, so that eth0.10 can be written. */
int tuning_sysctl_path(const char *name, const char *ifname, char path[SYSCTL_PATH])
{
	bool dots = name[strcspn(name, "./")] != '/';
	size_t n = 0;

	for (const char *p = name; *p;) {
		const char *put = NULL;

		if (!strncmp(p, PLACEHOLDER, strlen(PLACEHOLDER))) {
			put = ifname;
			p += strlen(PLACEHOLDER);
		}
		if (n + (put ? strlen(put) : 1) >= SYSCTL_PATH)
			return -ENAMETOOLONG;
		if (put) {
			memcpy(path + n, put, strlen(put));
			n += strlen(put);
			continue;
		}
		path[n++] = dots && *p == '.' ? '/' : *p;
		p++;
	}
	path[n] = '\0';
	if (strncmp(path, "net/", 4) || strstr(path, "..") || strstr(path, "//") ||
	    path[n - 1] == '/')
		return -EINVAL;
	return 0;
}

/* Each line of the list is a regular expression; without a list everything below net is allowed. */
static int allowed(const char *name, struct fl_error *err)
{
	FL_AUTOFCLOSE FILE *f = fopen(ALLOW_LIST, "re");
	bool found = !f;
	char line[512];
	regex_t re;

	if (!f && errno != ENOENT)
		return fl_error_errno(err, errno, FL_ECODE_IO, "%s", ALLOW_LIST);
	while (!found && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\r\n")] = '\0';
		if (!*line)
			continue;
		if (regcomp(&re, line, REG_EXTENDED | REG_NOSUB))
			return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
					    "%s: \"%.64s\" is no regular expression", ALLOW_LIST,
					    line);
		found = !regexec(&re, name, 0, NULL, 0);
		regfree(&re);
	}
	if (found)
		return 0;
	return fl_error_set(err, EPERM, FL_ECODE_CONFIG, "sysctl.%s: not allowed by %s", name,
			    ALLOW_LIST);
}

static int take(struct tuning_conf *conf, const char *name, const json_t *value, const char *ifname,
		struct fl_error *err)
{
	struct sysctl_setting *s = &conf->settings[conf->n_settings];
	int r;

	if (!json_is_string(value))
		return fl_error_set(err, EINVAL, FL_ECODE_DECODE,
				    "sysctl.%.64s: expected a string, not %s", name,
				    fl_json_kind(value));
	r = tuning_sysctl_path(name, ifname, s->path);
	if (r)
		return fl_error_set(err, r, FL_ECODE_CONFIG,
				    "sysctl.%.64s: expected a key below \"net\", because only "
				    "those belong to the sandbox",
				    name);
	for (size_t i = 0; i < conf->n_settings; i++)
		if (!strcmp(conf->settings[i].path, s->path))
			return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
					    "sysctl.%.64s: given twice, as \"%s\"", name, s->path);
	s->value = json_string_value(value);
	conf->n_settings++;
	return allowed(name, err);
}

int tuning_sysctl_parse(struct tuning_conf *conf, const char *ifname, struct fl_error *err)
{
	size_t n = json_object_size(conf->sysctl);
	const char *name;
	json_t *value;
	int r = 0;

	if (!n)
		return 0;
	if (n > SYSCTLS_MAX)
		return fl_error_set(err, E2BIG, FL_ECODE_CONFIG, "sysctl: expected at most %d keys",
				    SYSCTLS_MAX);
	conf->settings = calloc(n, sizeof(*conf->settings));
	if (!conf->settings)
		return fl_error_oom(err);
	json_object_foreach (conf->sysctl, name, value) {
		if (!r)
			r = take(conf, name, value, ifname, err);
	}
	return r;
}

int tuning_sysctl_read(const struct tuning_conf *conf, json_t **ret, struct fl_error *err)
{
	FL_AUTOJSON json_t *old = json_object();
	char now[1024];

	for (size_t i = 0; i < conf->n_settings; i++) {
		const char *path = conf->settings[i].path;
		int r = fl_sysctl_read(path, now, sizeof(now), err);

		if (r == -ENOENT)
			return fl_error_set(err, r, FL_ECODE_CONFIG,
					    "sysctl: this kernel has no \"%s\" in the sandbox",
					    path);
		if (r)
			return r;
		if (json_object_set_new(old, path, json_string(now)))
			return fl_error_oom(err);
	}
	*ret = fl_take_ptr(old);
	return 0;
}

int tuning_sysctl_write(const struct tuning_conf *conf, struct fl_error *err)
{
	int r = 0;

	for (size_t i = 0; i < conf->n_settings && r >= 0; i++)
		r = fl_sysctl_write(conf->settings[i].path, conf->settings[i].value, NULL, 0, err);
	return r < 0 ? r : 0;
}

void tuning_sysctl_restore(const json_t *old)
{
	const char *path;
	json_t *value;

	json_object_foreach ((json_t *)old, path, value) {
		struct fl_error e = { 0 };
		int r = fl_sysctl_write(path, json_string_value(value), NULL, 0, &e);

		/* One that cannot be put back must not keep the rest, and DEL, from being done. */
		if (r < 0 && r != -ENOENT)
			fprintf(stderr, "note: %s\n", e.text);
	}
}

/* The kernel separates several numbers by tabs. */
static bool same_value(const char *a, const char *b)
{
	for (;;) {
		size_t n = strcspn(a, " \t"), m = strcspn(b, " \t");

		if (n != m || memcmp(a, b, n))
			return false;
		a += n + strspn(a + n, " \t");
		b += m + strspn(b + m, " \t");
		if (!*a || !*b)
			return *a == *b;
	}
}

int tuning_sysctl_check(const struct tuning_conf *conf, struct fl_error *err)
{
	char now[1024];

	for (size_t i = 0; i < conf->n_settings; i++) {
		const struct sysctl_setting *s = &conf->settings[i];
		int r = fl_sysctl_read(s->path, now, sizeof(now), err);

		if (r)
			return r;
		if (!same_value(now, s->value))
			return fl_error_set(err, EUCLEAN, FL_ECODE_CHECK,
					    "sysctl %s is \"%s\", not \"%s\"", s->path, now,
					    s->value);
	}
	return 0;
}
