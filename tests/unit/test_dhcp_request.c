/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The call to the daemon, with servers that are right, wrong, slow and absent. */
#include "unit.h"

#include "base/cleanup.h"
#include "dhcp/request.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static char folder[] = "/tmp/fl-dhcp-XXXXXX", path[64];

struct server {
	int listener;
	const char *answer; /* NULL: none, until the caller has closed */
	char got[256];
	pthread_t thread;
};

static void *serve(void *arg)
{
	struct server *s = arg;
	FL_AUTOCLOSE int c = accept(s->listener, NULL, NULL);
	size_t n = 0;
	ssize_t r;

	while (n < sizeof(s->got) - 1 && !memchr(s->got, '\n', n)) {
		r = read(c, s->got + n, sizeof(s->got) - 1 - n);
		if (r <= 0)
			return NULL;
		n += (size_t)r;
	}
	if (s->answer)
		(void)!write(c, s->answer, strlen(s->answer));
	else
		(void)!read(c, s->got, sizeof(s->got) - 1);
	return NULL;
}

static void start(struct server *s, const char *answer)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	*s = (struct server){ .listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0),
			      .answer = answer };
	memcpy(a.sun_path, path, strlen(path) + 1);
	unlink(path);
	assert_int_equal(bind(s->listener, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(s->listener, 1), 0);
	assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static int call(const char *answer, int timeout_ms, json_t **ret, struct fl_error *err)
{
	FL_AUTOJSON json_t *request = json_pack("{ss}", "command", "STATUS");
	struct server s;
	int r;

	start(&s, answer);
	r = fl_dhcp_call(path, request, timeout_ms, ret, err);
	pthread_join(s.thread, NULL);
	close(s.listener);
	if (answer)
		assert_string_equal(s.got, "{\"command\":\"STATUS\"}\n");
	return r;
}

static void test_answer(void **state)
{
	FL_AUTOJSON json_t *ret = NULL;

	(void)state;
	assert_int_equal(call("{\"leases\": 3}\n", 5000, &ret, NULL), 0);
	assert_int_equal(json_integer_value(json_object_get(ret, "leases")), 3);
}

static void test_failures(void **state)
{
	static const struct {
		const char *answer;
		int timeout, expect;
		enum fl_ecode code;
		const char *text;
	} t[] = {
		{ "{\"error\":{\"code\":11,\"msg\":\"dhcp: no server\"}}\n", 5000, -EREMOTEIO,
		  FL_ECODE_TRY_AGAIN, "dhcp: no server" },
		{ "{\"error\":{}}\n", 5000, -EREMOTEIO, FL_ECODE_IO, "no reason" },
		{ "hello\n", 5000, -EBADMSG, FL_ECODE_DECODE, "language" },
		{ "{\"lea", 5000, -EPIPE, FL_ECODE_TRY_AGAIN, "ended before" },
		{ "", 5000, -EPIPE, FL_ECODE_TRY_AGAIN, "ended before" },
		{ NULL, 50, -ETIMEDOUT, FL_ECODE_TRY_AGAIN, "in time" },
	};

	(void)state;
	for (size_t i = 0; i < FL_ARRAY_SIZE(t); i++) {
		struct fl_error err = { 0 };
		json_t *ret = NULL;

		assert_int_equal(call(t[i].answer, t[i].timeout, &ret, &err), t[i].expect);
		assert_int_equal(err.code, t[i].code);
		assert_non_null(strstr(err.text, t[i].text));
		assert_null(ret);
	}
}

static void test_no_daemon(void **state)
{
	FL_AUTOJSON json_t *request = json_object();
	char absent[80], longer[200];
	struct fl_error err = { 0 };
	json_t *ret = NULL;

	(void)state;
	snprintf(absent, sizeof(absent), "%s.none", path);
	assert_int_equal(fl_dhcp_call(absent, request, 1000, &ret, &err), -ENOENT);
	assert_int_equal(err.code, FL_ECODE_NOT_AVAILABLE);
	assert_non_null(strstr(err.text, "systemctl enable --now fairlead-dhcpd.socket"));
	/* left behind by one that was killed */
	assert_int_equal(fl_dhcp_call(path, request, 1000, &ret, &err), -ECONNREFUSED);
	assert_int_equal(err.code, FL_ECODE_NOT_AVAILABLE);
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(fl_dhcp_call(longer, request, 1000, &ret, &err), -ENAMETOOLONG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answer),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_no_daemon),
	};
	int r;

	if (!mkdtemp(folder))
		return 1;
	snprintf(path, sizeof(path), "%s/s", folder);
	r = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(path);
	rmdir(folder);
	return r;
}
