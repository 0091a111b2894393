/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Answers about the cluster itself. */
#include "cluster/wire.h"

#include <errno.h>
#include <string.h>

static int copy_text(const json_t *obj, const char *key, char *to, size_t size,
		     struct fl_error *err)
{
	const char *text;
	int r = fl_etcd_text(obj, key, &text, err);

	if (!r)
		fl_etcd_excerpt(text, strlen(text), to, size);
	return r;
}

int fl_etcd_read_status(const json_t *answer, struct fl_etcd_status *ret, struct fl_error *err)
{
	struct fl_etcd_status s = { 0 };
	int r = copy_text(answer, "version", s.version, sizeof(s.version), err);

	if (!r)
		r = fl_etcd_int(answer, "dbSize", &s.db_size, err);
	if (!r)
		r = fl_etcd_int(answer, "dbSizeInUse", &s.db_in_use, err);
	if (!r)
		r = fl_etcd_uint(answer, "leader", &s.leader, err);
	if (!r)
		*ret = s;
	return r;
}

/* Refuses what is no list of at most `max` objects. */
static int objects(const json_t *answer, const char *key, size_t max, const json_t **ret,
		   struct fl_error *err)
{
	const json_t *list = json_object_get(answer, key);
	bool good = !list || json_is_null(list) || json_is_array(list);

	for (size_t i = 0; good && i < json_array_size(list); i++)
		good = i < max && json_is_object(json_array_get(list, i));
	if (!good)
		return fl_error_set(err, EBADMSG, FL_ECODE_IO,
				    "%s: expected a list of at most %zu objects", key, max);
	*ret = list;
	return 0;
}

static int read_member(const json_t *obj, struct fl_etcd_member *m, struct fl_error *err)
{
	const json_t *urls = json_object_get(obj, "clientURLs");
	const json_t *url = json_array_get(urls, 0);
	int r = fl_etcd_uint(obj, "ID", &m->id, err);

	if (!r)
		r = copy_text(obj, "name", m->name, sizeof(m->name), err);
	if (json_is_string(url))
		fl_etcd_excerpt(json_string_value(url), json_string_length(url), m->client_url,
				sizeof(m->client_url));
	m->learner = json_is_true(json_object_get(obj, "isLearner"));
	return r;
}

int fl_etcd_read_members(const json_t *answer, struct fl_etcd_members *ret, struct fl_error *err)
{
	FL_AUTOFREE struct fl_etcd_member *items = NULL;
	const json_t *list;
	size_t n;
	int r = objects(answer, "members", FL_ETCD_MEMBERS_MAX, &list, err);

	if (r)
		return r;
	n = json_array_size(list);
	items = calloc(n + 1, sizeof(*items));
	if (!items)
		return fl_error_oom(err);
	for (size_t i = 0; !r && i < n; i++)
		r = read_member(json_array_get(list, i), &items[i], err);
	if (!r)
		*ret = (struct fl_etcd_members){ fl_take_ptr(items), n };
	return r;
}

int fl_etcd_read_alarms(const json_t *answer, unsigned *ret, struct fl_error *err)
{
	const json_t *list;
	unsigned alarms = 0;
	/* each member may have each alarm */
	int r = objects(answer, "alarms", 8L * FL_ETCD_MEMBERS_MAX, &list, err);

	for (size_t i = 0; !r && i < json_array_size(list); i++) {
		const char *kind;

		r = fl_etcd_text(json_array_get(list, i), "alarm", &kind, err);
		if (r)
			return r;
		if (!strcmp(kind, "NOSPACE"))
			alarms |= FL_ETCD_ALARM_NOSPACE;
		else if (!strcmp(kind, "CORRUPT"))
			alarms |= FL_ETCD_ALARM_CORRUPT;
		else if (*kind && strcmp(kind, "NONE"))
			alarms |= FL_ETCD_ALARM_OTHER;
	}
	if (!r)
		*ret = alarms;
	return r;
}
