/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dns/start.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

enum { QUICK_DEATHS = 5 };

static volatile sig_atomic_t ending, child;

static void on_end(int sig)
{
	(void)sig;
	ending = 1;
	if (child > 0)
		kill((pid_t)child, SIGTERM);
}

static time_t seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec;
}

static void be_quiet(void)
{
	FL_AUTOCLOSE int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int fd = 0; fd < 3 && null >= 0; fd++)
		if (null != fd)
			dup2(null, fd);
	if (null < 3)
		(void)fl_take_fd(&null);
}

/* Should it be started again? One that fails at once would fail again. */
static bool ended_badly(pid_t pid, bool lived, int *ret_exit)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return false;
	*ret_exit = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
	if (ending)
		return false;
	return WIFSIGNALED(status) || (lived && *ret_exit && *ret_exit != START_ANOTHER);
}

/* The keeper. Comes back in the broker only. */
static int keep(struct start *s)
{
	struct sigaction end = { .sa_handler = on_end }, hangup = { .sa_handler = SIG_IGN };
	unsigned quick = 0;
	bool lived = false, again;
	int status = 0;
	time_t began;
	pid_t pid;

	sigaction(SIGTERM, &end, NULL);
	sigaction(SIGINT, &end, NULL);
	sigaction(SIGHUP, &hangup, NULL);
	do {
		began = seconds();
		pid = fork();
		if (!pid) {
			signal(SIGTERM, SIG_DFL);
			signal(SIGINT, SIG_DFL);
			signal(SIGHUP, SIG_DFL);
			return -1;
		}
		child = pid;
		fl_close_p(&s->ready);
		s->ready = -1;
		if (pid < 0)
			return 1;
		again = ended_badly(pid, lived, &status);
		lived = true;
		quick = seconds() - began < 2 ? quick + 1 : 0;
		/* Something is wrong with it that starting again does not mend. */
		if (again && quick > QUICK_DEATHS)
			nanosleep(&(struct timespec){ .tv_sec = 1 }, NULL);
	} while (again);
	return status;
}

/* Ready: an empty message. Otherwise what is wrong, and maybe that another one is there. */
static int wait_ready(int from, pid_t pid)
{
	char text[FL_ERROR_TEXT];
	size_t len = 0;
	ssize_t n;

	while (len < sizeof(text) && (n = read(from, text + len, sizeof(text) - len)) != 0)
		if (n > 0)
			len += (size_t)n;
		else if (errno != EINTR)
			break;
	if (len == 1 && !text[0])
		return 0;
	(void)pid;
	if (!len)
		len = (size_t)snprintf(text, sizeof(text), "it ended before it was ready");
	printf("%.*s\n", (int)len, text);
	return 1;
}

int start_background(struct start *s)
{
	int pair[2];
	pid_t pid;

	if (pipe2(pair, O_CLOEXEC)) {
		perror("fairlead-dnsd: pipe");
		return 1;
	}
	pid = fork();
	if (pid < 0) {
		perror("fairlead-dnsd: fork");
		return 1;
	}
	if (pid) {
		close(pair[1]);
		return wait_ready(pair[0], pid);
	}
	close(pair[0]);
	s->ready = pair[1];
	setsid();
	if (chdir("/"))
		return 1;
	be_quiet();
	return keep(s);
}

static void tell(const struct start *s, const void *msg, size_t len)
{
	ssize_t n = s->ready < 0 ? 0 : write(s->ready, msg, len);

	(void)n; /* whoever waited is gone */
	if (s->ready >= 0)
		close(s->ready);
}

void start_ready(const struct start *s)
{
	tell(s, "", 1);
}

void start_failed(const struct start *s, const struct fl_error *err)
{
	tell(s, err->text, strlen(err->text));
}
