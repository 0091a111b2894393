/*
 * Runs jobs and times them. A job is a chain of steps, each one process, as a CNI runtime runs a list of
 * plugins; a step's time is from just before the spawn to the return of wait4, and a job's is the sum.
 *
 * The job file is a sequence of NUL-terminated strings, so that nothing needs quoting. A job:
 *     tag, number of steps, and for each step
 *     file for stdout ("" = none), file that replaces "@PREV@" in stdin ("" = none), stdin,
 *     argc, argv..., envc, env...
 * Jobs are read one at a time: a child's ru_maxrss is never less than that of the process that spawned it.
 */
#include "fl-bench.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_STEPS 8
#define MAX_WORKERS 256
#define PLACEHOLDER "@PREV@"

struct step {
	char *out, *prev, *input;
	char **argv, **envp;
	uint64_t ns;
	int status;
	long maxrss; /* KiB */
};

struct job {
	char *tag;
	struct step steps[MAX_STEPS];
	unsigned count;
	uint64_t begin, end; /* CLOCK_MONOTONIC, ns */
};

struct runner {
	FILE *jobs;
	pthread_mutex_t lock; /* over the job file and stdout */
	pthread_barrier_t start;
	bool failed;
};

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

/* NULL at the end of the file. */
static char *read_string(FILE *f)
{
	char *s = NULL;
	size_t cap = 0;

	if (getdelim(&s, &cap, '\0', f) < 0) {
		free(s);
		return NULL;
	}
	return s;
}

static unsigned read_count(FILE *f, unsigned max)
{
	char *s = read_string(f);
	unsigned long n = s != NULL ? strtoul(s, NULL, 10) : max + 1UL;

	free(s);
	if (n > max) {
		fprintf(stderr, "fl-bench: malformed job file\n");
		exit(2);
	}
	return (unsigned)n;
}

static char **read_strings(FILE *f)
{
	unsigned n = read_count(f, 256);
	char **v = calloc(n + 1UL, sizeof(*v));

	for (unsigned i = 0; v != NULL && i < n; i++)
		v[i] = read_string(f);
	return v;
}

static void free_strings(char **v)
{
	for (char **s = v; v != NULL && *s != NULL; s++)
		free(*s);
	free(v);
}

static bool read_job(FILE *f, struct job *j)
{
	*j = (struct job){ .tag = read_string(f) };
	if (j->tag == NULL)
		return false;
	j->count = read_count(f, MAX_STEPS);
	for (unsigned i = 0; i < j->count; i++) {
		struct step *s = &j->steps[i];

		s->out = read_string(f);
		s->prev = read_string(f);
		s->input = read_string(f);
		s->argv = read_strings(f);
		s->envp = read_strings(f);
		if (s->envp == NULL || s->argv == NULL || s->argv[0] == NULL || s->input == NULL) {
			fprintf(stderr, "fl-bench: truncated job file\n");
			exit(2);
		}
	}
	return true;
}

static void free_job(struct job *j)
{
	for (unsigned i = 0; i < j->count; i++) {
		struct step *s = &j->steps[i];

		free(s->out);
		free(s->prev);
		free(s->input);
		free_strings(s->argv);
		free_strings(s->envp);
	}
	free(j->tag);
}

static void copy_file(int to, const char *path)
{
	char buf[4096];
	ssize_t n;
	int from = open(path, O_RDONLY | O_CLOEXEC);

	while (from >= 0 && (n = read(from, buf, sizeof(buf))) > 0)
		if (write(to, buf, (size_t)n) != n)
			break;
	if (from >= 0)
		close(from);
}

/* A memfd with the input, in which the placeholder has become the contents of the earlier result. */
static int make_stdin(const struct step *s)
{
	int fd = memfd_create("stdin", MFD_CLOEXEC);
	const char *at = *s->prev != '\0' ? strstr(s->input, PLACEHOLDER) : NULL, *rest = s->input;

	if (fd < 0)
		return -1;
	if (at != NULL) {
		if (write(fd, s->input, (size_t)(at - s->input)) < 0)
			perror("fl-bench: stdin");
		copy_file(fd, s->prev);
		rest = at + strlen(PLACEHOLDER);
	}
	if (write(fd, rest, strlen(rest)) < 0 || lseek(fd, 0, SEEK_SET) < 0)
		perror("fl-bench: stdin");
	return fd;
}

/* posix_spawn is CLONE_VM|CLONE_VFORK: its cost does not depend on who calls. */
static void run_step(struct step *s)
{
	const char *path = *s->out != '\0' ? s->out : "/dev/null";
	int in = make_stdin(s), out = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	posix_spawn_file_actions_t actions;
	struct rusage usage = { 0 };
	pid_t pid;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
	uint64_t begin = now();
	int error = EBADF;

	if (in >= 0 && out >= 0)
		error = posix_spawn(&pid, s->argv[0], &actions, NULL, s->argv, s->envp);

	if (error == 0)
		while (wait4(pid, &s->status, 0, &usage) < 0 && errno == EINTR)
			;
	s->ns = now() - begin;
	s->maxrss = usage.ru_maxrss;
	if (error != 0) {
		fprintf(stderr, "fl-bench: %s: %s\n", s->argv[0], strerror(error));
		s->status = 127 << 8;
	}
	posix_spawn_file_actions_destroy(&actions);
	close(in);
	close(out);
}

static void run_job(struct job *j)
{
	j->begin = now();
	for (unsigned i = 0; i < j->count; i++) {
		run_step(&j->steps[i]);
		if (j->steps[i].status != 0) {
			j->count = i + 1;
			break;
		}
	}
	j->end = now();
}

static void print_job(const struct job *j)
{
	printf("{\"tag\":\"%s\",\"begin\":%ju,\"end\":%ju,\"steps\":[", j->tag, (uintmax_t)j->begin,
		(uintmax_t)j->end);
	for (unsigned i = 0; i < j->count; i++) {
		const struct step *s = &j->steps[i];

		printf("%s{\"ns\":%ju,\"status\":%d,\"maxrss\":%ld}", i > 0 ? "," : "",
			(uintmax_t)s->ns, s->status, s->maxrss);
	}
	printf("]}\n");
}

static void *work(void *arg)
{
	struct runner *r = arg;
	struct job job;

	pthread_barrier_wait(&r->start);
	for (;;) {
		pthread_mutex_lock(&r->lock);
		bool more = read_job(r->jobs, &job);

		pthread_mutex_unlock(&r->lock);
		if (!more)
			return NULL;
		run_job(&job);
		pthread_mutex_lock(&r->lock);
		print_job(&job);
		r->failed |= job.count > 0 && job.steps[job.count - 1].status != 0;
		pthread_mutex_unlock(&r->lock);
		free_job(&job);
	}
}

static int run_workers(struct runner *r, unsigned workers)
{
	pthread_t threads[MAX_WORKERS];
	pthread_attr_t small;

	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 128 * 1024);
	pthread_barrier_init(&r->start, NULL, workers);
	for (unsigned i = 1; i < workers; i++)
		if (pthread_create(&threads[i], &small, work, r) != 0)
			return 2;
	work(r);
	for (unsigned i = 1; i < workers; i++)
		pthread_join(threads[i], NULL);
	return r->failed ? 1 : 0;
}

/* Children are in our process group: a run that hangs ends with everything it started. */
static void out_of_time(int signal)
{
	static const char text[] = "fl-bench: out of time\n";

	(void)signal;
	if (write(STDERR_FILENO, text, sizeof(text) - 1) > 0)
		kill(0, SIGKILL);
}

/* What a child's ru_maxrss cannot fall below, whatever the child is. */
static void print_own_size(void)
{
	char line[128];
	FILE *f = fopen("/proc/self/status", "re");

	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		if (strncmp(line, "VmHWM:", 6) == 0)
			printf("{\"runner_maxrss\":%ld}\n", strtol(line + 6, NULL, 10));
	if (f != NULL)
		fclose(f);
}

int bench_run(int argc, char **argv)
{
	struct runner r = { .lock = PTHREAD_MUTEX_INITIALIZER };
	unsigned long workers = 1, seconds = 120;
	int option;

	while ((option = getopt(argc, argv, "c:t:")) != -1) {
		if (option == 'c')
			workers = strtoul(optarg, NULL, 10);
		else if (option == 't')
			seconds = strtoul(optarg, NULL, 10);
		else
			return 2;
	}
	if (optind != argc - 1 || workers < 1 || workers > MAX_WORKERS)
		return 2;
	r.jobs = fopen(argv[optind], "re");
	if (r.jobs == NULL) {
		perror(argv[optind]);
		return 2;
	}
	setpgid(0, 0);
	signal(SIGALRM, out_of_time);
	alarm((unsigned)seconds);
	int status = run_workers(&r, (unsigned)workers);

	print_own_size();
	fclose(r.jobs);
	return status;
}
