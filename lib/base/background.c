/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/background.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
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
	return WIFSIGNALED(status) || (lived && *ret_exit && *ret_exit != FL_BACKGROUND_ANOTHER);
}

/* The keeper. Comes back in the daemon only. */
static int keep(struct fl_background *b)
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
		fl_close_p(&b->ready);
		b->ready = -1;
		if (pid < 0)
			return 1;
		again = ended_badly(pid, lived, &status);
		lived = true;
		quick = seconds() - began < 2 ? quick + 1 : 0;
		/* Something is wrong with it that starting again does not mend. */
		if (again && quick > QUICK_DEATHS)
			nanosleep(&(struct timespec){ .tv_sec = 1 }, NULL);
	} while (again && !ending);
	return status;
}

/* Ready: an empty message. Otherwise what is wrong, and maybe that another one is there. */
static int wait_ready(int from)
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
	if (!len)
		len = (size_t)snprintf(text, sizeof(text), "it ended before it was ready");
	printf("%.*s\n", (int)len, text);
	return 1;
}

int fl_background_start(struct fl_background *b)
{
	int pair[2];
	pid_t pid;

	if (pipe2(pair, O_CLOEXEC)) {
		fprintf(stderr, "%s: pipe: %s\n", b->program, strerror(errno));
		return 1;
	}
	pid = fork();
	if (pid < 0) {
		fprintf(stderr, "%s: fork: %s\n", b->program, strerror(errno));
		return 1;
	}
	if (pid) {
		close(pair[1]);
		return wait_ready(pair[0]);
	}
	close(pair[0]);
	b->ready = pair[1];
	setsid();
	if (chdir("/"))
		return 1;
	be_quiet();
	return keep(b);
}

static void tell(const struct fl_background *b, const void *msg, size_t len)
{
	ssize_t n = b->ready < 0 ? 0 : write(b->ready, msg, len);

	(void)n; /* whoever waited is gone */
	if (b->ready >= 0)
		close(b->ready);
}

void fl_background_ready(const struct fl_background *b)
{
	tell(b, "", 1);
}

void fl_background_failed(const struct fl_background *b, const struct fl_error *err)
{
	tell(b, err->text, strlen(err->text));
}
