/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include "base/cleanup.h"
#include "base/seqpacket.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

struct message {
	uint32_t magic;
	char text[12];
};

static const struct fl_asked who = { "tests", "a-daemon", "feed it", 77 };
static const struct message question = { 77, "how are you" };

struct pair {
	int ours, theirs;
};

static struct pair make_pair(void)
{
	int fd[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fd), 0);
	return (struct pair){ fd[0], fd[1] };
}

static void end_pair(struct pair *p)
{
	fl_close_p(&p->ours);
	fl_close_p(&p->theirs);
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static void test_exact_size(void **state)
{
	FL_CLEANUP(end_pair) struct pair p = make_pair();
	char long_one[sizeof(struct message) + 1] = "";
	struct message m;

	(void)state;
	assert_int_equal(fl_packet_send(p.ours, &question, sizeof(question), NULL, 0), 0);
	assert_int_equal(fl_packet_receive(p.theirs, &m, sizeof(m), NULL, 0), 0);
	assert_memory_equal(&m, &question, sizeof(m));
	assert_int_equal(fl_packet_send(p.ours, long_one, sizeof(long_one), NULL, 0), 0);
	assert_int_equal(fl_packet_receive(p.theirs, &m, sizeof(m), NULL, 0), -EBADMSG);
	assert_int_equal(fl_packet_send(p.ours, long_one, sizeof(m) - 1, NULL, 0), 0);
	assert_int_equal(fl_packet_receive(p.theirs, &m, sizeof(m), NULL, 0), -EBADMSG);
	/* The socket goes on. */
	assert_int_equal(fl_packet_send(p.ours, &question, sizeof(question), NULL, 0), 0);
	assert_int_equal(fl_packet_receive(p.theirs, &m, sizeof(m), NULL, 0), 0);
	close(fl_take_fd(&p.ours));
	assert_int_equal(fl_packet_receive(p.theirs, &m, sizeof(m), NULL, 0), -ECONNRESET);
	assert_int_equal(fl_packet_send(p.theirs, &question, sizeof(question), NULL, 0), -EPIPE);
}

static void test_descriptors(void **state)
{
	FL_CLEANUP(end_pair) struct pair p = make_pair();
	int given[2] = { p.ours, p.theirs }, got[2] = { -1, -1 };
	int free_one = dup(0);
	struct message m;

	(void)state;
	close(free_one);
	assert_int_equal(fl_packet_send(p.ours, &question, sizeof(question), given, 2), 0);
	assert_int_equal(fl_packet_receive(p.theirs, &m, sizeof(m), got, 2), 2);
	assert_true(fcntl(got[0], F_GETFD) & FD_CLOEXEC);
	close(got[0]);
	close(got[1]);
	assert_int_equal(
		fl_packet_send(p.ours, &question, sizeof(question), given, FL_PACKET_FDS + 1),
		-E2BIG);
	/* Whatever nobody asked for is closed. */
	assert_int_equal(fl_packet_send(p.ours, &question, sizeof(question), given, 2), 0);
	assert_int_equal(fl_packet_receive(p.theirs, &m, sizeof(m), NULL, 0), 0);
	assert_false(is_open(free_one));
	/* And what comes with a message of another size. */
	assert_int_equal(fl_packet_send(p.ours, &question, sizeof(question) - 1, given, 2), 0);
	assert_int_equal(fl_packet_receive(p.theirs, &m, sizeof(m), got, 2), -EBADMSG);
	assert_false(is_open(free_one));
}

/* The other side's answer lies there before it is asked. */
static int ask(struct pair *p, const void *answer, size_t len, struct message *m,
	       struct fl_error *err)
{
	assert_int_equal(fl_packet_send(p->theirs, answer, len, NULL, 0), 0);
	return fl_packet_ask(p->ours, &who, &question, sizeof(question), -1, m, sizeof(*m), err);
}

static void test_ask(void **state)
{
	FL_CLEANUP(end_pair) struct pair p = make_pair();
	const struct message good = { 77, "very well" }, other = { 78, "hm" };
	const struct timeval soon = { 0, 1000 };
	struct message m = { 1, "untouched" };
	struct fl_error err = { 0 };

	(void)state;
	assert_int_equal(ask(&p, &other, sizeof(other), &m, &err), -EPROTO);
	assert_string_equal(err.text, "tests: the a-daemon at work is of another version: feed it");
	assert_int_equal(ask(&p, &good, sizeof(good) - 1, &m, &err), -EPROTO);
	assert_string_equal(m.text, "untouched");
	assert_int_equal(ask(&p, &good, sizeof(good), &m, &err), 0);
	assert_string_equal(m.text, "very well");
	setsockopt(p.ours, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof(soon));
	assert_int_equal(
		fl_packet_ask(p.ours, &who, &question, sizeof(question), -1, &m, sizeof(m), &err),
		-ETIMEDOUT);
	assert_int_equal(err.code, FL_ECODE_TRY_AGAIN);
	close(fl_take_fd(&p.theirs));
	err = (struct fl_error){ 0 };
	assert_int_equal(
		fl_packet_ask(p.ours, &who, &question, sizeof(question), -1, &m, sizeof(m), &err),
		-ENOENT);
	assert_int_equal(err.err, 0);
}

static void test_connect(void **state)
{
	char folder[] = "/tmp/fl-seqpacket-XXXXXX", name[100];

	(void)state;
	assert_non_null(mkdtemp(folder));
	assert_int_equal(fl_packet_connect_in(folder, "none.sock"), -ENOENT);
	memset(name, 'x', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(fl_packet_connect_in(folder, name), -ENAMETOOLONG);
	rmdir(folder);
	assert_int_equal(fl_packet_connect_in(folder, "none.sock"), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exact_size),
		cmocka_unit_test(test_descriptors),
		cmocka_unit_test(test_ask),
		cmocka_unit_test(test_connect),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
