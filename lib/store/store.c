/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The environment: how it is opened, and how a foreign one (another boot, another schema) ends. */
#include "store/private.h"

#include "base/strbuf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/statvfs.h>

#define SCHEMA 5
/* The same in every process, or LMDB would have to remap. tmpfs is sparse: only used pages count.
 */
#define MAP_SIZE ((size_t)256 << 20)
#define MAX_READERS 1024
/* A file system with less room than a large transaction needs counts as full. */
#define FULL_BELOW ((size_t)256 << 10)
#define IDENTITY_KEY "environment"
#define STALE_KEY "stale-rules"
#define SECRET_KEY "secret"

static const char *const table_names[FL_TABLE_COUNT] = {
	[FL_TABLE_META] = "meta",	    [FL_TABLE_NETWORKS] = "networks",
	[FL_TABLE_ENDPOINTS] = "endpoints", [FL_TABLE_POOLS] = "pools",
	[FL_TABLE_LEASES] = "leases",	    [FL_TABLE_PORTS] = "ports",
	[FL_TABLE_NAMES] = "names",	    [FL_TABLE_MEMOS] = "memos",
	[FL_TABLE_HOSTS] = "hosts",	    [FL_TABLE_ADDRESSES] = "addresses",
	[FL_TABLE_SANDBOXES] = "sandboxes", [FL_TABLE_PEERS] = "peers",
};

/* LMDB calls a write that was cut short EIO, which is what a nearly full file system does. */
static bool is_full(const struct fl_store *s)
{
	struct statvfs st;

	return !statvfs(s->dir, &st) && st.f_bavail * st.f_frsize < FULL_BELOW;
}

int fl_store_fail(const struct fl_store *s, int rc, struct fl_error *err)
{
	if (rc == EIO && is_full(s))
		rc = ENOSPC;
	switch (rc) {
	case 0:
		return 0;
	case MDB_NOTFOUND:
		return -ENOENT;
	case ENOSPC:
		return fl_error_set(err, ENOSPC, FL_ECODE_STORE,
				    "state directory %s: its file system is full", s->dir);
	case MDB_MAP_FULL:
	case MDB_TXN_FULL:
		return fl_error_set(err, ENOSPC, FL_ECODE_STORE,
				    "state directory %s: the state has reached %zu MiB", s->dir,
				    MAP_SIZE >> 20);
	case MDB_READERS_FULL:
		return fl_error_set(err, EAGAIN, FL_ECODE_TRY_AGAIN,
				    "state directory %s: %d processes read it at once", s->dir,
				    MAX_READERS);
	case MDB_BAD_VALSIZE:
		return fl_error_set(err, EINVAL, FL_ECODE_STORE,
				    "state directory %s: a key is empty or longer than %d bytes",
				    s->dir, FL_KEY_MAX);
	case ENOMEM:
		return fl_error_oom(err);
	default:
		/* LMDB's own numbers lie outside errno's: they mean damage or misuse. */
		return fl_error_set(err, rc > 0 ? rc : EIO, FL_ECODE_STORE,
				    "state directory %s: %s", s->dir, mdb_strerror(rc));
	}
}

/* What an environment of this boot and schema carries, as JSON text that is compared as a whole. */
static int identity(char *buf, size_t size, struct fl_error *err)
{
	static const char path[] = "/proc/sys/kernel/random/boot_id";
	FL_AUTOCLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	char boot[64];
	ssize_t n;

	if (fd < 0)
		return fl_error_errno(err, errno, FL_ECODE_STORE, "%s", path);
	n = read(fd, boot, sizeof(boot) - 1);
	if (n < 0)
		return fl_error_errno(err, errno, FL_ECODE_STORE, "%s", path);
	boot[n] = '\0';
	boot[strcspn(boot, "\n")] = '\0';
	snprintf(buf, size, "{\"schema\":%d,\"boot\":\"%s\"}", SCHEMA, boot);
	return 0;
}

/* Keys of 8 bytes are compared as numbers where that is what a size_t is. */
static unsigned hosts_flags(void)
{
	return MDB_DUPSORT | (sizeof(size_t) == sizeof(uint64_t) ? MDB_INTEGERKEY : 0);
}

static int open_tables(struct fl_store *s, MDB_txn *txn, unsigned flags)
{
	int rc = 0;

	for (int i = 0; i < FL_TABLE_COUNT && !rc; i++)
		rc = mdb_dbi_open(txn, table_names[i],
				  flags && i == FL_TABLE_HOSTS ? flags | hosts_flags() : flags,
				  &s->dbi[i]);
	return rc;
}

static int read_secret(struct fl_store *s, MDB_txn *txn)
{
	MDB_val key = { sizeof(SECRET_KEY) - 1, (void *)SECRET_KEY }, val;
	int rc = mdb_get(txn, s->dbi[FL_TABLE_META], &key, &val);

	if (!rc && val.mv_size != sizeof(s->secret))
		rc = MDB_NOTFOUND;
	if (!rc)
		memcpy(s->secret, val.mv_data, sizeof(s->secret));
	return rc;
}

static int write_secret(struct fl_store *s, MDB_txn *txn)
{
	MDB_val key = { sizeof(SECRET_KEY) - 1, (void *)SECRET_KEY },
		val = { sizeof(s->secret), s->secret };

	if (getrandom(s->secret, sizeof(s->secret), 0) != sizeof(s->secret))
		return errno;
	return mdb_put(txn, s->dbi[FL_TABLE_META], &key, &val, 0);
}

/* 0: the environment is of this boot and schema. MDB_NOTFOUND: it is new or of another. */
static int check_identity(struct fl_store *s, MDB_txn *txn, const char *id)
{
	MDB_val key = { sizeof(IDENTITY_KEY) - 1, (void *)IDENTITY_KEY }, val;
	int rc = mdb_get(txn, s->dbi[FL_TABLE_META], &key, &val);

	if (!rc && (val.mv_size != strlen(id) || memcmp(val.mv_data, id, val.mv_size)))
		rc = MDB_NOTFOUND;
	return rc ? rc : read_secret(s, txn);
}

static int empty_tables(struct fl_store *s, MDB_txn *txn, const char *id)
{
	MDB_val key = { sizeof(IDENTITY_KEY) - 1, (void *)IDENTITY_KEY },
		val = { strlen(id), (void *)id };
	MDB_val stale = { sizeof(STALE_KEY) - 1, (void *)STALE_KEY }, yes = { 1, (void *)"1" };
	int rc = 0;

	for (int i = 0; i < FL_TABLE_COUNT && !rc; i++)
		rc = mdb_drop(txn, s->dbi[i], 0);
	if (!rc)
		rc = mdb_put(txn, s->dbi[FL_TABLE_META], &stale, &yes, 0);
	if (!rc)
		rc = write_secret(s, txn);
	return rc ? rc : mdb_put(txn, s->dbi[FL_TABLE_META], &key, &val, 0);
}

/* Looks again under the writer's lock: another process may have been faster. */
static int found_environment(struct fl_store *s, const char *id)
{
	MDB_txn *txn;
	int rc = mdb_txn_begin(s->env, NULL, 0, &txn);

	if (rc)
		return rc;
	rc = open_tables(s, txn, MDB_CREATE);
	if (!rc) {
		rc = check_identity(s, txn, id);
		if (rc == MDB_NOTFOUND)
			rc = empty_tables(s, txn, id);
	}
	if (rc) {
		mdb_txn_abort(txn);
		return rc;
	}
	return mdb_txn_commit(txn);
}

static int open_environment(struct fl_store *s, const char *id)
{
	MDB_txn *txn;
	int rc = mdb_txn_begin(s->env, NULL, MDB_RDONLY, &txn);

	if ((rc == MDB_READERS_FULL || rc == EAGAIN) && !s->read_only)
		return found_environment(s, id);
	if (rc)
		return rc;
	rc = open_tables(s, txn, 0);
	if (!rc)
		rc = check_identity(s, txn, id);
	if (rc) {
		mdb_txn_abort(txn);
		return rc == MDB_NOTFOUND && !s->read_only ? found_environment(s, id) : rc;
	}
	return mdb_txn_commit(txn);
}

static int open_env(struct fl_store *s)
{
	/*
	 * No MDB_WRITEMAP: a full tmpfs must be ENOSPC and not SIGBUS. NOTLS ties a reader slot to
	 * its transaction, so that the reader may be kept and a writer opened beside it.
	 */
	unsigned flags = MDB_NOSYNC | MDB_NOMETASYNC | MDB_NOTLS | (s->read_only ? MDB_RDONLY : 0);
	int rc = mdb_env_create(&s->env);

	if (rc)
		return rc;
	mdb_env_set_mapsize(s->env, MAP_SIZE);
	mdb_env_set_maxreaders(s->env, MAX_READERS);
	mdb_env_set_maxdbs(s->env, FL_TABLE_COUNT);
	return mdb_env_open(s->env, s->dir, flags, 0600);
}

static int open_store(const char *dir, bool read_only, struct fl_store **ret, struct fl_error *err)
{
	FL_AUTOSTORE struct fl_store *s = calloc(1, sizeof(*s));
	char id[128];
	int rc, r;

	if (!s)
		return fl_error_oom(err);
	if (strlen(dir) >= sizeof(s->dir))
		return fl_error_set(err, ENAMETOOLONG, FL_ECODE_STORE,
				    "state directory %s: expected a path of at most %zu bytes", dir,
				    sizeof(s->dir) - 1);
	fl_strcpy(s->dir, sizeof(s->dir), dir);
	s->read_only = read_only;
	r = identity(id, sizeof(id), err);
	if (r)
		return r;
	rc = open_env(s);
	if (!rc)
		rc = open_environment(s, id);
	if (rc == ENOENT || rc == ENOTDIR || rc == EACCES)
		return fl_error_errno(err, rc, FL_ECODE_STORE, "state directory %s", dir);
	if (rc)
		return fl_store_fail(s, rc, err);
	*ret = fl_take_ptr(s);
	return 0;
}

int fl_store_open(const char *dir, struct fl_store **ret, struct fl_error *err)
{
	return open_store(dir, false, ret, err);
}

int fl_store_open_reader(const char *dir, struct fl_store **ret, struct fl_error *err)
{
	return open_store(dir, true, ret, err);
}

const char *fl_store_path(const struct fl_store *s)
{
	return s->dir;
}

void fl_store_close(struct fl_store *s)
{
	if (!s)
		return;
	if (s->txn.mdb)
		fl_txn_abort(&s->txn);
	if (s->hosts)
		mdb_cursor_close(s->hosts);
	if (s->reader)
		mdb_txn_abort(s->reader);
	if (s->env)
		mdb_env_close(s->env);
	free(s);
}

static const struct fl_bytes stale_key = { STALE_KEY, sizeof(STALE_KEY) - 1 };

int fl_store_rules_stale(struct fl_txn *t, struct fl_error *err)
{
	struct fl_bytes val;
	int r = fl_get(t, FL_TABLE_META, stale_key, &val, err);

	return r ? (r == -ENOENT ? 0 : r) : 1;
}

int fl_store_rules_rebuilt(struct fl_txn *t, struct fl_error *err)
{
	return fl_del(t, FL_TABLE_META, stale_key, err);
}

int fl_store_rules_mark_stale(struct fl_txn *t, struct fl_error *err)
{
	return fl_put(t, FL_TABLE_META, stale_key, (struct fl_bytes){ "1", 1 }, err);
}
