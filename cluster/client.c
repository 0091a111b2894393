/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cluster/client.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>

uint64_t etcd_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

uint32_t etcd_lot(void)
{
	uint32_t n = 0;

	if (getrandom(&n, sizeof(n), GRND_NONBLOCK) != sizeof(n))
		n = (uint32_t)etcd_now();
	return n;
}

const char *fl_etcd_outcome_str(enum fl_etcd_outcome o)
{
	static const char *const names[] = {
		[FL_ETCD_OK] = "ok",
		[FL_ETCD_COMPARE] = "compare failed",
		[FL_ETCD_NOT_REACHED] = "not reached",
		[FL_ETCD_UNKNOWN] = "unknown",
		[FL_ETCD_REFUSED] = "refused",
		[FL_ETCD_NO_SPACE] = "no space",
		[FL_ETCD_DENIED] = "denied",
		[FL_ETCD_LOST] = "lost",
		[FL_ETCD_COMPACTED] = "compacted",
	};

	return names[o];
}

/* ---- settings ---- */

static int copy(const char *from, char **to, struct fl_error *err)
{
	if (!from)
		return 0;
	*to = strdup(from);
	return *to ? 0 : fl_error_oom(err);
}

/* The first line of a file. */
static int read_password(const char *path, char **ret, struct fl_error *err)
{
	FL_AUTOCLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	char buf[1024 + 2];
	struct stat st;
	ssize_t n = fd < 0 || fstat(fd, &st) ? -1 : read(fd, buf, sizeof(buf) - 1);

	if (n < 0)
		return fl_error_errno(err, errno == ENOENT ? ENOENT : EIO, FL_ECODE_IO,
				      "etcd: password file %s", path);
	if (S_ISREG(st.st_mode) && st.st_mode & (S_IRWXG | S_IRWXO))
		return fl_error_set(err, EPERM, FL_ECODE_CONFIG,
				    "etcd: password file %s: others may read or write it (mode "
				    "%03o); chmod 600 it",
				    path, st.st_mode & 0777);
	buf[n] = '\0';
	buf[strcspn(buf, "\r\n")] = '\0';
	if (!*buf || strlen(buf) > 1024)
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "etcd: password file %s: expected a line of 1 to 1,024 bytes",
				    path);
	return copy(buf, ret, err);
}

static int check_readable(const char *path, const char *what, struct fl_error *err)
{
	if (path && access(path, R_OK))
		return fl_error_errno(err, errno, FL_ECODE_IO, "etcd: %s %s", what, path);
	return 0;
}

static int read_files(struct fl_etcd *c, const struct fl_etcd_config *f, struct fl_error *err)
{
	int r;

	if (!f->cert_file != !f->key_file)
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "etcd: certFile, keyFile: expected both, or none");
	r = check_readable(f->ca_file, "CA file", err);
	if (!r)
		r = check_readable(f->cert_file, "certificate file", err);
	if (!r)
		r = check_readable(f->key_file, "key file", err);
	if (!r)
		r = copy(f->ca_file, &c->ca_file, err);
	if (!r)
		r = copy(f->cert_file, &c->cert_file, err);
	if (!r)
		r = copy(f->key_file, &c->key_file, err);
	return r;
}

static int read_user(struct fl_etcd *c, const struct fl_etcd_config *f, struct fl_error *err)
{
	int r;

	if (!f->user)
		return 0;
	if (!f->password == !f->password_file)
		return fl_error_set(
			err, EINVAL, FL_ECODE_CONFIG,
			"etcd: user \"%.64s\": expected password or passwordFile, and not both",
			f->user);
	r = copy(f->user, &c->user, err);
	if (!r)
		r = f->password ? copy(f->password, &c->password, err)
				: read_password(f->password_file, &c->password, err);
	return r;
}

static int read_config(struct fl_etcd *c, const struct fl_etcd_config *f, struct fl_error *err)
{
	int r;

	if (!f->cluster || !fl_name_valid(f->cluster, 63))
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "etcd: expected a cluster's name of 1 to 63 of [a-zA-Z0-9_.-]");
	snprintf(c->prefix, sizeof(c->prefix), "/%s/v1/", f->cluster);
	c->connect_ms = f->connect_ms ? f->connect_ms : CONNECT_MS;
	c->try_ms = f->try_ms ? f->try_ms : TRY_MS;
	c->total_ms = f->total_ms ? f->total_ms : TOTAL_MS;
	c->check_ms = f->check_ms ? f->check_ms : CHECK_MS;
	c->cluster_id = f->cluster_id;
	c->revision = f->revision;
	c->restored = f->restored;
	c->arg = f->arg;
	r = endpoints_init(&c->endpoints, f->endpoints, f->n_endpoints, etcd_lot(), err);
	if (!r)
		r = read_files(c, f, err);
	if (!r)
		r = read_user(c, f, err);
	return r;
}

int fl_etcd_new(struct event_base *base, const struct fl_etcd_config *config, struct fl_etcd **ret,
		struct fl_error *err)
{
	FL_AUTOETCD struct fl_etcd *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return fl_error_oom(err);
	c->base = base;
	TAILQ_INIT(&c->calls);
	TAILQ_INIT(&c->watches);
	TAILQ_INIT(&c->ready);
	c->pulse = evtimer_new(base, watches_pulse, c);
	if (!c->pulse)
		return fl_error_oom(err);
	r = read_config(c, config, err);
	if (!r)
		r = transport_init(c, err);
	if (!r)
		*ret = fl_take_ptr(c);
	return r;
}

void fl_etcd_free(struct fl_etcd *c)
{
	while (!TAILQ_EMPTY(&c->watches))
		fl_etcd_watch_stop(TAILQ_FIRST(&c->watches));
	while (!TAILQ_EMPTY(&c->calls))
		call_free(TAILQ_FIRST(&c->calls));
	transport_clear(c);
	if (c->pulse)
		event_free(c->pulse);
	if (c->password)
		explicit_bzero(c->password, strlen(c->password));
	explicit_bzero(c->token, sizeof(c->token));
	free(c->ca_file);
	free(c->cert_file);
	free(c->key_file);
	free(c->user);
	free(c->password);
	free(c);
}

/* ---- what is known ---- */

const char *fl_etcd_prefix(const struct fl_etcd *c)
{
	return c->prefix;
}

const struct fl_etcd_stats *fl_etcd_stats(const struct fl_etcd *c)
{
	return &c->stats;
}

void fl_etcd_endpoint(const struct fl_etcd *c, const char **ret_url, const char **ret_version)
{
	*ret_url = c->endpoints.list[c->endpoints.current].url;
	*ret_version = c->endpoints.list[c->endpoints.current].version;
}

void fl_etcd_identity(const struct fl_etcd *c, uint64_t *ret_cluster, int64_t *ret_revision)
{
	*ret_cluster = c->cluster_id;
	*ret_revision = c->revision;
}

bool identity_check(struct fl_etcd *c, const struct fl_etcd_header *h, int64_t floor)
{
	bool other = c->cluster_id && h->cluster_id != c->cluster_id;

	if (!other && h->revision >= floor) {
		c->cluster_id = h->cluster_id;
		if (h->revision > c->revision)
			c->revision = h->revision;
		return true;
	}
	c->cluster_id = h->cluster_id;
	c->revision = h->revision;
	fl_etcd_is_another(c);
	return false;
}

void fl_etcd_is_another(struct fl_etcd *c)
{
	c->stats.restores++;
	/* What was asked of the cluster that was must not be compared with this one. */
	for (struct fl_etcd_call *call = TAILQ_FIRST(&c->calls); call;
	     call = TAILQ_NEXT(call, link))
		call->floor = -1;
	c->token[0] = '\0';
	watches_end(c, FL_ETCD_ENDED_RESTORED);
	if (c->restored)
		c->restored(c->arg);
}
