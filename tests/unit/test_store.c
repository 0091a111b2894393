/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "storefixture.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct fl_bytes bytes(const char *s)
{
	return (struct fl_bytes){ s, strlen(s) };
}

static void put(struct fixture *f, const char *key, const char *val)
{
	assert_int_equal(fl_put(f->txn, FL_TABLE_NAMES, bytes(key), bytes(val), &f->err), 0);
}

static void begin(struct fixture *f, bool write)
{
	assert_int_equal(fl_txn_begin(f->store, write, &f->txn, &f->err), 0);
}

static void commit(struct fixture *f)
{
	assert_int_equal(fl_txn_commit(&f->txn, &f->err), 0);
	assert_null(f->txn);
}

static void reopen(struct fixture *f)
{
	fl_store_close(f->store);
	f->store = NULL;
	assert_int_equal(fl_store_open(f->dir, &f->store, &f->err), 0);
}

static int get(struct fixture *f, const char *key)
{
	struct fl_bytes val;

	return fl_get(f->txn, FL_TABLE_NAMES, bytes(key), &val, &f->err);
}

static void committed_is_kept(void **state)
{
	struct fixture *f = *state;
	struct fl_bytes val;

	begin(f, true);
	put(f, "a", "1");
	commit(f);
	begin(f, true);
	put(f, "b", "2");
	fl_txn_abort(f->txn);
	reopen(f);
	begin(f, false);
	assert_int_equal(fl_get(f->txn, FL_TABLE_NAMES, bytes("a"), &val, &f->err), 0);
	assert_int_equal(val.len, 1);
	assert_memory_equal(val.p, "1", 1);
	assert_int_equal(get(f, "b"), -ENOENT);
	assert_int_equal(f->err.err, 0); /* absence is not an error to report */
	commit(f);
}

static void one_transaction_at_a_time(void **state)
{
	struct fixture *f = *state;
	struct fl_txn *second = NULL;

	begin(f, false);
	assert_int_equal(fl_txn_begin(f->store, true, &second, &f->err), -EBUSY);
	assert_null(second);
	commit(f);
	begin(f, true);
	commit(f);
}

static void reading_does_not_write(void **state)
{
	struct fixture *f = *state;

	begin(f, false);
	assert_false(fl_txn_writes(f->txn));
	assert_int_equal(fl_put(f->txn, FL_TABLE_NAMES, bytes("a"), bytes("1"), &f->err), -EACCES);
	assert_int_equal(fl_del(f->txn, FL_TABLE_NAMES, bytes("a"), &f->err), -EACCES);
	commit(f);
}

static void seeks(void **state)
{
	struct fixture *f = *state;
	struct fl_bytes key, val;

	begin(f, true);
	assert_int_equal(
		fl_seek(f->txn, FL_TABLE_NAMES, (struct fl_bytes){ 0 }, &key, &val, &f->err),
		-ENOENT);
	assert_int_equal(fl_seek_before(f->txn, FL_TABLE_NAMES, bytes("z"), &key, &val, &f->err),
			 -ENOENT);
	put(f, "b", "1");
	put(f, "d", "2");
	assert_int_equal(fl_seek(f->txn, FL_TABLE_NAMES, bytes("c"), &key, &val, &f->err), 0);
	assert_memory_equal(key.p, "d", 1);
	assert_int_equal(fl_seek(f->txn, FL_TABLE_NAMES, bytes("e"), &key, &val, &f->err), -ENOENT);
	assert_int_equal(fl_seek_before(f->txn, FL_TABLE_NAMES, bytes("d"), &key, &val, &f->err),
			 0);
	assert_memory_equal(key.p, "b", 1);
	assert_int_equal(fl_seek_before(f->txn, FL_TABLE_NAMES, bytes("z"), &key, &val, &f->err),
			 0);
	assert_memory_equal(key.p, "d", 1);
	assert_int_equal(fl_seek_before(f->txn, FL_TABLE_NAMES, bytes("b"), &key, &val, &f->err),
			 -ENOENT);
}

static void bad_keys(void **state)
{
	static char longer[600];
	struct fixture *f = *state;
	struct fl_network net;
	struct fl_bytes val;

	memset(longer, 'x', sizeof(longer) - 1);
	begin(f, true);
	assert_int_equal(fl_put(f->txn, FL_TABLE_NAMES, bytes(""), bytes("1"), &f->err), -EINVAL);
	assert_int_equal(fl_put(f->txn, FL_TABLE_NAMES, bytes(longer), bytes("1"), &f->err),
			 -EINVAL);
	assert_int_equal(fl_get(f->txn, FL_TABLE_NAMES, bytes(longer), &val, &f->err), -ENOENT);
	assert_int_equal(fl_network_get(f->txn, longer, "bridge", &net, &f->err), -EINVAL);
	assert_int_equal(fl_endpoints_each(f->txn, longer, NULL, NULL, &f->err), -EINVAL);
}

struct visit {
	struct fixture *f;
	bool delete;
	int n;
};

static int visit(void *arg, struct fl_bytes key, struct fl_bytes val)
{
	struct visit *v = arg;
	char copy[16];

	(void)val;
	v->n++;
	memcpy(copy, key.p, key.len);
	if (v->delete)
		assert_int_equal(
			fl_del(v->f->txn, FL_TABLE_NAMES, (struct fl_bytes){ copy, key.len }, NULL),
			0);
	return v->n == 9999 ? 7 : 0;
}

static void enumeration_survives_deletion(void **state)
{
	struct fixture *f = *state;
	struct visit all = { f, false, 0 }, del = { f, true, 0 }, rest = { f, false, 0 },
		     stop = { f, false, 9998 };
	char key[16];

	begin(f, true);
	for (int i = 0; i < 3000; i++) {
		snprintf(key, sizeof(key), "%c%04d", "abc"[i % 3], i);
		put(f, key, "some value to fill pages with");
	}
	assert_int_equal(
		fl_each(f->txn, FL_TABLE_NAMES, (struct fl_bytes){ 0 }, visit, &all, &f->err), 0);
	assert_int_equal(all.n, 3000);
	assert_int_equal(fl_each(f->txn, FL_TABLE_NAMES, bytes("b"), visit, &del, &f->err), 0);
	assert_int_equal(del.n, 1000);
	assert_int_equal(fl_each(f->txn, FL_TABLE_NAMES, bytes("b"), visit, &rest, &f->err), 0);
	assert_int_equal(rest.n, 0);
	assert_int_equal(fl_each(f->txn, FL_TABLE_NAMES, bytes("c"), visit, &stop, &f->err), 7);
	commit(f);
	begin(f, false);
	assert_int_equal(
		fl_each(f->txn, FL_TABLE_NAMES, (struct fl_bytes){ 0 }, visit, &rest, &f->err), 0);
	assert_int_equal(rest.n, 2000);
}

static void another_boot_empties(void **state)
{
	struct fixture *f = *state;
	struct fl_bytes val;

	begin(f, true);
	put(f, "a", "1");
	assert_int_equal(
		fl_put(f->txn, FL_TABLE_META, bytes("environment"),
		       bytes("{\"schema\":1,\"boot\":\"00000000-0000-0000-0000-000000000000\"}"),
		       &f->err),
		0);
	commit(f);
	reopen(f);
	begin(f, false);
	assert_int_equal(get(f, "a"), -ENOENT);
	assert_int_equal(fl_get(f->txn, FL_TABLE_META, bytes("environment"), &val, &f->err), 0);
	assert_null(memmem(val.p, val.len, "00000000-0000", 13));
	commit(f);
	begin(f, true);
	put(f, "b", "1");
	commit(f);
	reopen(f);
	begin(f, false);
	assert_int_equal(get(f, "b"), 0); /* and only once */
}

static void missing_directory(void **state)
{
	struct fixture *f = *state;
	struct fl_store *s = NULL;

	assert_int_equal(fl_store_open("/nonexistent/fairlead", &s, &f->err), -ENOENT);
	assert_int_equal(f->err.code, FL_ECODE_STORE);
	assert_non_null(strstr(f->err.text, "/nonexistent/fairlead"));
	assert_null(s);
}

/* A child that dies with the writer's lock in its hands, having changed much. */
static void die_writing(const char *dir)
{
	struct fl_store *s;
	struct fl_txn *t;
	char key[16];

	if (fl_store_open(dir, &s, NULL) || fl_txn_begin(s, true, &t, NULL))
		_exit(1);
	for (int i = 0; i < 10000; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		if (fl_put(t, FL_TABLE_NAMES, bytes(key), bytes("lost"), NULL))
			_exit(1);
	}
	kill(getpid(), SIGKILL);
}

static void killed_writer(void **state)
{
	struct fixture *f = *state;
	pid_t pid;
	int status;

	begin(f, true);
	put(f, "a", "1");
	commit(f);
	pid = fork();
	if (!pid)
		die_writing(f->dir);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	begin(f, true);
	assert_int_equal(get(f, "a"), 0);
	assert_int_equal(get(f, "k1"), -ENOENT);
	put(f, "b", "1");
	commit(f);
}

/* In a mount namespace of its own; exit status 77 where that is not allowed. */
static void fill_file_system(const char *dir)
{
	char key[16], val[512];
	struct fl_error err = { 0 };
	struct fl_store *s;
	struct fl_txn *t;
	int r;

	if (unshare(CLONE_NEWNS) && unshare(CLONE_NEWUSER | CLONE_NEWNS))
		_exit(77);
	if (mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) ||
	    mount("tmpfs", dir, "tmpfs", 0, "size=256k"))
		_exit(77);
	if (fl_store_open(dir, &s, NULL) || fl_txn_begin(s, true, &t, NULL))
		_exit(1);
	memset(val, 'x', sizeof(val));
	for (int i = 0; i < 2000; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		if (fl_put(t, FL_TABLE_NAMES, bytes(key), (struct fl_bytes){ val, sizeof(val) },
			   NULL))
			_exit(2);
	}
	r = fl_txn_commit(&t, &err);
	if (r != -ENOSPC || !strstr(err.text, "full"))
		_exit(3);
	/* What was there before can still be changed. */
	if (fl_txn_begin(s, true, &t, NULL) ||
	    fl_put(t, FL_TABLE_NAMES, bytes("a"), bytes("1"), NULL) || fl_txn_commit(&t, NULL))
		_exit(4);
	_exit(0);
}

static void full_file_system(void **state)
{
	struct fixture *f = *state;
	pid_t pid = fork();
	int status;

	if (!pid)
		fill_file_system(f->dir);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (status == 77 << 8)
		skip();
	assert_int_equal(status, 0);
}

/* Process 1 of a pid namespace of its own reads "a", says so, and reads on until the pipe closes.
 */
static void read_as_pid_1(const char *dir, int said, int wait_for)
{
	struct fl_bytes val;
	struct fl_store *s;
	struct fl_txn *t;
	int status;
	char c;

	if (unshare(CLONE_NEWPID) && unshare(CLONE_NEWUSER | CLONE_NEWPID))
		_exit(77);
	if (!fork()) {
		if (getpid() != 1 || fl_store_open(dir, &s, NULL) ||
		    fl_txn_begin(s, false, &t, NULL) ||
		    fl_get(t, FL_TABLE_NAMES, bytes("a"), &val, NULL) || write(said, "", 1) != 1)
			_exit(1);
		_exit(read(wait_for, &c, 1) != 0);
	}
	wait(&status);
	_exit(status >> 8);
}

/* LMDB's reader slots are taken by pid: the second pid 1 gets EAGAIN and reads all the same. */
static void readers_of_one_pid(void **state)
{
	struct fixture *f = *state;
	int said[2], hold[2], status[2];
	pid_t pid[2];
	char c;

	begin(f, true);
	put(f, "a", "1");
	commit(f);
	fl_store_close(f->store);
	f->store = NULL;
	assert_int_equal(pipe(said) | pipe(hold), 0);
	for (int i = 0; i < 2; i++) {
		pid[i] = fork();
		if (!pid[i]) {
			close(hold[1]);
			read_as_pid_1(f->dir, said[1], hold[0]);
		}
		/* The next one begins while this one reads (or has failed). */
		if (i == 0 && poll(&(struct pollfd){ said[0], POLLIN, 0 }, 1, 5000) == 1)
			assert_int_equal(read(said[0], &c, 1), 1);
	}
	poll(&(struct pollfd){ said[0], POLLIN, 0 }, 1, 5000);
	close(hold[1]);
	for (int i = 0; i < 2; i++)
		assert_int_equal(waitpid(pid[i], &status[i], 0), pid[i]);
	close(hold[0]);
	close(said[0]);
	close(said[1]);
	if (status[0] == 77 << 8)
		skip();
	assert_int_equal(status[0], 0);
	assert_int_equal(status[1], 0);
}

static struct fl_endpoint endpoint(const char *network, const char *driver, const char *container)
{
	return (struct fl_endpoint){ .id = make_id(network, driver, container, "eth0"),
				     .state = FL_STATE_READY };
}

static int count_endpoints(void *arg, const struct fl_endpoint *ep)
{
	assert_int_equal(ep->state, FL_STATE_READY);
	++*(int *)arg;
	return 0;
}

static void endpoints(void **state)
{
	struct fixture *f = *state;
	/* "net" must not find "network": keys end in NUL. */
	struct fl_endpoint eps[] = { endpoint("net", "bridge", "c1"),
				     endpoint("net", "bridge", "c2"),
				     endpoint("net", "portmap", "c1"),
				     endpoint("network", "bridge", "c1") };
	FL_AUTOENDPOINT struct fl_endpoint back = { 0 };
	int n = 0;

	begin(f, true);
	for (size_t i = 0; i < FL_ARRAY_SIZE(eps); i++)
		assert_int_equal(fl_endpoint_put(f->txn, &eps[i], &f->err), 0);
	assert_int_equal(fl_endpoints_each(f->txn, "net", count_endpoints, &n, &f->err), 0);
	assert_int_equal(n, 3);
	assert_int_equal(fl_endpoints_each(f->txn, NULL, count_endpoints, &n, &f->err), 0);
	assert_int_equal(n, 7);
	assert_int_equal(fl_endpoint_get(f->txn, &eps[2].id, &back, &f->err), 0);
	assert_string_equal(back.id.driver, "portmap");

	assert_int_equal(fl_network_in_use(f->txn, "net", "bridge", NULL, &f->err), 1);
	assert_int_equal(fl_network_in_use(f->txn, "net", "bridge", &eps[0].id, &f->err), 1);
	assert_int_equal(fl_network_in_use(f->txn, "net", "bridge", &eps[1].id, &f->err), 1);
	assert_int_equal(fl_network_in_use(f->txn, "net", "portmap", &eps[2].id, &f->err), 0);
	assert_int_equal(fl_network_in_use(f->txn, "net", "macvlan", NULL, &f->err), 0);
	assert_int_equal(fl_endpoint_del(f->txn, &eps[0].id, &f->err), 0);
	assert_int_equal(fl_endpoint_del(f->txn, &eps[0].id, &f->err), 0);
	assert_int_equal(fl_network_in_use(f->txn, "net", "bridge", &eps[1].id, &f->err), 0);
	assert_int_equal(fl_endpoint_get(f->txn, &eps[0].id, &back, &f->err), -ENOENT);
}

struct seen_names {
	int n;
	char container[FL_NAME_MAX + 1];
};

static int see_name(void *arg, const struct fl_endpoint *ep)
{
	struct seen_names *s = arg;

	s->n++;
	strcpy(s->container, ep->id.container);
	return 0;
}

static int found_by(struct fixture *f, const char *name, bool sharing, char *container)
{
	struct seen_names s = { 0 };
	int r = sharing ? fl_endpoints_sharing(f->txn, name, see_name, &s, &f->err)
			: fl_endpoints_named(f->txn, name, see_name, &s, &f->err);

	assert_int_equal(r, 0);
	strcpy(container, s.container);
	return s.n;
}

/* Names of the greatest length too: the keys of the store have 511 bytes at most. */
static void names_of_containers(void **state)
{
	struct fixture *f = *state;
	struct fl_endpoint long_one = endpoint("", "bridge", ""),
			   web = endpoint("net", "bridge", "c1"),
			   sharer = endpoint("shared", "container", "c2");
	char longest[FL_HOSTNAME_MAX + 1] = "", found[FL_NAME_MAX + 1];

	long_one.state = web.state = sharer.state = FL_STATE_CREATING;
	memset(long_one.id.network, 'n', FL_NAME_MAX);
	memset(long_one.id.container, 'c', FL_NAME_MAX);
	memset(longest, 'h', FL_HOSTNAME_MAX);
	strcpy(long_one.name, longest);
	memset(sharer.shares, 'c', FL_NAME_MAX);
	strcpy(web.name, "web");
	begin(f, true);
	assert_int_equal(fl_endpoint_put(f->txn, &long_one, &f->err), 0);
	assert_int_equal(fl_endpoint_put(f->txn, &web, &f->err), 0);
	assert_int_equal(fl_endpoint_put(f->txn, &web, &f->err), 0);
	assert_int_equal(fl_endpoint_put(f->txn, &sharer, &f->err), 0);
	assert_int_equal(found_by(f, "web", false, found), 1);
	assert_string_equal(found, "c1");
	assert_int_equal(found_by(f, "we", false, found), 0);
	assert_int_equal(found_by(f, "c1", false, found), 1);
	assert_int_equal(found_by(f, longest, false, found), 1);
	assert_int_equal(found_by(f, long_one.id.container, true, found), 1);
	assert_string_equal(found, "c2");
	assert_int_equal(fl_endpoint_evict(f->txn, &web, &f->err), 0);
	assert_int_equal(fl_endpoint_evict(f->txn, &sharer, &f->err), 0);
	assert_int_equal(found_by(f, "web", false, found), 0);
	assert_int_equal(found_by(f, "c1", false, found), 0);
	assert_int_equal(found_by(f, long_one.id.container, true, found), 0);
}

static void memos(void **state)
{
	struct fixture *f = *state;
	struct fl_endpoint ep = endpoint("net", "tuning", "c1");
	struct fl_bytes memo;

	begin(f, true);
	assert_int_equal(fl_memo_get(f->txn, &ep.id, &memo, &f->err), -ENOENT);
	assert_int_equal(fl_endpoint_put(f->txn, &ep, &f->err), 0);
	assert_int_equal(fl_memo_put(f->txn, &ep.id, (struct fl_bytes){ "{}", 2 }, &f->err), 0);
	assert_int_equal(fl_memo_get(f->txn, &ep.id, &memo, &f->err), 0);
	assert_memory_equal(memo.p, "{}", 2);
	assert_int_equal(fl_endpoint_evict(f->txn, &ep, &f->err), 0);
	assert_int_equal(fl_memo_get(f->txn, &ep.id, &memo, &f->err), -ENOENT);
}

/* A new environment does not know what nftables holds, until it was rebuilt once. */
static void rules_of_a_new_environment(void **state)
{
	struct fixture *f = *state;

	begin(f, true);
	assert_int_equal(fl_store_rules_stale(f->txn, &f->err), 1);
	assert_int_equal(fl_store_rules_rebuilt(f->txn, &f->err), 0);
	assert_int_equal(fl_txn_commit(&f->txn, &f->err), 0);
	fl_store_close(f->store);
	assert_int_equal(fl_store_open(f->dir, &f->store, &f->err), 0);
	begin(f, true);
	assert_int_equal(fl_store_rules_stale(f->txn, &f->err), 0);
}

static int count_networks(void *arg, const struct fl_network *net)
{
	assert_string_equal(net->driver, "bridge");
	++*(int *)arg;
	return 0;
}

static void networks(void **state)
{
	struct fixture *f = *state;
	struct fl_network net = { .name = "a", .driver = "bridge", .masquerade = true }, back;
	int n = 0;

	begin(f, true);
	assert_int_equal(fl_network_put(f->txn, &net, &f->err), 0);
	strcpy(net.name, "b");
	assert_int_equal(fl_network_put(f->txn, &net, &f->err), 0);
	assert_int_equal(fl_networks_each(f->txn, count_networks, &n, &f->err), 0);
	assert_int_equal(n, 2);
	assert_int_equal(fl_network_get(f->txn, "b", "bridge", &back, &f->err), 0);
	assert_true(fl_network_same(&net, &back));
	assert_int_equal(fl_network_get(f->txn, "b", "macvlan", &back, &f->err), -ENOENT);
	assert_int_equal(fl_network_del(f->txn, "b", "bridge", &f->err), 0);
	assert_int_equal(fl_network_get(f->txn, "b", "bridge", &back, &f->err), -ENOENT);
}

static void damaged_record_is_named(void **state)
{
	struct fixture *f = *state;
	struct fl_network net;

	begin(f, true);
	assert_int_equal(fl_put(f->txn, FL_TABLE_NETWORKS, (struct fl_bytes){ "a\0bridge", 8 },
				bytes("{}"), &f->err),
			 0);
	assert_int_equal(fl_network_get(f->txn, "a", "bridge", &net, &f->err), -EBADMSG);
	assert_non_null(strstr(f->err.text, "network record"));
}

static void directory_choice(void **state)
{
	struct fixture *f = *state;
	char path[256], base[128];
	struct stat st;

	snprintf(base, sizeof(base), "%s/deep/er", f->dir);
	unsetenv("FAIRLEAD_STATE_DIR");
	assert_int_equal(fl_store_dir(base, 42, path, sizeof(path), &f->err), 0);
	assert_true(strstr(path, "/deep/er/42"));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	assert_int_equal(fl_store_dir(base, 42, path, sizeof(path), &f->err), 0);
	assert_int_equal(fl_store_dir(base, 42, path, 10, &f->err), -ENAMETOOLONG);

	setenv("FAIRLEAD_STATE_DIR", f->dir, 1);
	assert_int_equal(fl_store_dir(base, 7, path, sizeof(path), &f->err), 0);
	assert_null(strstr(path, "deep"));

	/* Somebody else could have put things there. */
	assert_int_equal(chmod(path, 0777), 0);
	assert_int_equal(fl_store_dir(base, 7, path, sizeof(path), &f->err), -EPERM);
	assert_int_equal(f->err.code, FL_ECODE_STORE);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(symlink("/tmp", path), 0);
	assert_int_equal(fl_store_dir(base, 7, path, sizeof(path), &f->err), -ENOTDIR);
	unsetenv("FAIRLEAD_STATE_DIR");
}

#define STORE_TEST(fn) cmocka_unit_test_setup_teardown(fn, fixture_open, fixture_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORE_TEST(committed_is_kept),
		STORE_TEST(one_transaction_at_a_time),
		STORE_TEST(reading_does_not_write),
		STORE_TEST(seeks),
		STORE_TEST(bad_keys),
		STORE_TEST(enumeration_survives_deletion),
		STORE_TEST(another_boot_empties),
		STORE_TEST(missing_directory),
		STORE_TEST(killed_writer),
		STORE_TEST(full_file_system),
		STORE_TEST(readers_of_one_pid),
		STORE_TEST(endpoints),
		STORE_TEST(networks),
		STORE_TEST(names_of_containers),
		STORE_TEST(memos),
		STORE_TEST(rules_of_a_new_environment),
		STORE_TEST(damaged_record_is_named),
		STORE_TEST(directory_choice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
