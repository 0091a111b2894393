/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * run: a sandbox for the time of one command. Nothing but the command's process keeps the
 * namespace, so that what is left when netctl is killed is a record, which gc takes away.
 */
#include "netctl/attach.h"
#include "netctl/sandbox.h"
#include "netctl/text.h"

#include "base/strbuf.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/wait.h>

/* The child's half: each side waits for a byte of the other; end of file is the other's end. */
struct link_up {
	int ready; /* child to parent: the namespace is there */
	int go;	   /* parent to child: the interfaces are */
};

static bool told(int fd)
{
	char byte;
	ssize_t n;

	do
		n = read(fd, &byte, 1);
	while (n < 0 && errno == EINTR);
	return n == 1;
}

static bool tell(int fd)
{
	return write(fd, "", 1) == 1;
}

static int complain(const struct fl_error *e)
{
	FL_AUTOFREE char *text = plain_text(e->text);

	fprintf(stderr, "netctl run: %s\n", text ? text : "out of memory");
	return EXIT_RUN;
}

static int child(const struct ctl *c, const struct link_up *l, const char *state,
		 const char *container)
{
	const char *hostname = option_value(c, "hostname");
	struct fl_error e = { 0 };
	int r;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!hostname)
		hostname = option_value(c, "name");
	r = fl_netns_unshare(&e);
	if (!r)
		r = sandbox_loopback(&e);
	if (r)
		return complain(&e);
	if (!tell(l->ready) || !told(l->go))
		return EXIT_RUN;
	sandbox_hold_signals(false);
	if (sandbox_enter_files(state, container, hostname, &e))
		return complain(&e);
	return sandbox_execute(c->argv + 1);
}

static int start(const struct ctl *c, const char *state, const char *container, pid_t *ret_pid,
		 int *ret_go, struct fl_error *err)
{
	int ready[2] = { -1, -1 }, go[2] = { -1, -1 };
	bool up;
	pid_t pid;

	if (pipe2(ready, O_CLOEXEC) || pipe2(go, O_CLOEXEC))
		return fl_error_errno(err, errno, FL_ECODE_KERNEL, "pipe");
	fflush(NULL);
	sandbox_hold_signals(true);
	pid = fork();
	if (!pid) {
		close(ready[0]);
		close(go[1]);
		_exit(child(c, &(struct link_up){ ready[1], go[0] }, state, container));
	}
	close(ready[1]);
	close(go[0]);
	up = pid > 0 && told(ready[0]);
	close(ready[0]);
	if (!up) {
		close(go[1]);
		if (pid > 0)
			waitpid(pid, NULL, 0);
		return fl_error_set(err, ECHILD, FL_ECODE_KERNEL, "the sandbox was not made");
	}
	*ret_pid = pid;
	*ret_go = go[1];
	return 0;
}

static int name_it(struct ctl *c, const struct model *m, struct target *t, struct fl_error *err)
{
	const char *name = option_value(c, "name");
	unsigned char bits[6];

	if (strchr(c->argv[0], ',') && (option_given(c, "publish") || option_given(c, "interface")))
		return usage_error(err, "-p and --interface: expected one network, not %s",
				   c->argv[0]);
	for (size_t i = 0; name && i < m->n_attachments; i++) {
		const struct fl_endpoint *ep = m->attachments[i].main;

		if ((!strcmp(ep->id.container, name) || !strcmp(ep->name, name)) &&
		    !runtime_is_gone(c, ep))
			return fl_error_set(err, EEXIST, FL_ECODE_CONFLICT,
					    "a container %s is attached to network %s already",
					    name, ep->id.network);
	}
	if (name && !fl_name_valid(name, FL_NAME_MAX))
		return usage_error(err, "--name: expected letters, digits, '_', '.', '-'");
	if (name) {
		fl_strcpy(t->container, sizeof(t->container), name);
		return 0;
	}
	if (getrandom(bits, sizeof(bits), 0) != sizeof(bits))
		return fl_error_errno(err, errno, FL_ECODE_KERNEL, "getrandom");
	snprintf(t->container, sizeof(t->container), "run-%02x%02x%02x%02x%02x%02x", bits[0],
		 bits[1], bits[2], bits[3], bits[4], bits[5]);
	return 0;
}

/* Where a free host port was asked for, somebody wants to know which. stdout is the command's. */
static void tell_chosen(const json_t *result)
{
	const json_t *p;
	size_t i;

	json_array_foreach(json_object_get(result, "portMappings"), i, p)
		fprintf(stderr, "%lld/%s -> %lld\n",
			(long long)json_integer_value(json_object_get(p, "containerPort")),
			json_string_value(json_object_get(p, "protocol")),
			(long long)json_integer_value(json_object_get(p, "hostPort")));
}

/* `run front,back` attaches to both. */
static int attach_networks(struct ctl *c, const struct model *m, const struct target *t,
			   struct fl_error *err)
{
	FL_AUTOFREE char *list = strdup(c->argv[0]);
	char *next = list, *network;
	int r = list ? 0 : fl_error_oom(err);

	while (!r && (network = strsep(&next, ","))) {
		FL_AUTOJSON json_t *result = NULL;
		char ifname[IFNAMSIZ];

		r = attach_target(c, m, network, t, &result, ifname, err);
		if (!r && !c->quiet)
			tell_chosen(result);
	}
	return r;
}

static int run(struct ctl *c, struct fl_error *err)
{
	AUTOMODEL struct model m = { 0 };
	FL_AUTOJSON json_t *list = json_array();
	struct fl_error quiet = { 0 };
	struct target t = { .at = NULL };
	size_t n;
	char state[4096];
	pid_t pid = -1;
	int go = -1, r = model_read(c, &m, err);

	if (!r)
		r = ctl_state_dir(c, state, sizeof(state), err);
	if (!r)
		r = name_it(c, &m, &t, err);
	/* LMDB's file has no O_CLOEXEC; and the store changes from here on. */
	fl_store_close(fl_take_ptr(c->store));
	if (!r)
		r = start(c, state, t.container, &pid, &go, err);
	if (r)
		return r;
	snprintf(t.netns, sizeof(t.netns), "/proc/%d/ns/net", pid);
	r = attach_networks(c, &m, &t, err);
	if (!r && !tell(go))
		r = fl_error_errno(err, errno, FL_ECODE_KERNEL, "the sandbox went away");
	/* Without the byte the child ends. */
	close(go);
	c->status = sandbox_wait(pid);
	fl_store_close(fl_take_ptr(c->store));
	c->quiet = true;
	if (detach_all(c, t.container, NULL, NULL, list, &n, &quiet) && !r)
		r = fl_error_set(err, quiet.err, quiet.code, "%s", quiet.text);
	return r;
}

static const struct option_spec options[] = {
	ATTACH_OPTIONS,
	{ 0 },
};

static const struct example examples[] = {
	{ "netctl run web -- ip addr", "a command on network web" },
	{ "netctl run web -p 8080:8000 --name site -- python3 -m http.server",
	  "a server that others reach as site, and the outside at port 8080" },
	{ "netctl run web -- sh", "a shell to look around" },
	{ 0 },
};

const struct command run_command = {
	.name = "run",
	.args = "NETWORK[,NETWORK...] [--] COMMAND [ARG...]",
	.about = "run a command in a sandbox of its own on a network",
	.text = "The sandbox is made for the command and goes with it. The command has the "
		"sandbox's network, host name, resolv.conf and hosts in place of the host's; "
		"everything else is the host's. Exit status: the command's; 125 when netctl "
		"failed, "
		"126 when the command cannot be executed, 127 when there is none.",
	.options = options,
	.examples = examples,
	.flags = COMMAND_RUNS,
	.min = 2,
	.max = -1,
	.completes = "@network @command",
	.run = run,
};
