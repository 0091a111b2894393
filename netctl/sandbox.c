/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sandbox ls, create, rm, exec */
#include "netctl/sandbox.h"

#include "base/strbuf.h"
#include "netctl/attach.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* ---- inside ---- */

int sandbox_loopback(struct fl_error *err)
{
	FL_AUTONL struct fl_nl *nl = NULL;
	int r = fl_nl_open(&nl, err);

	return r ? r : fl_link_set_up(nl, 1, true, err);
}

static int bind_file(const char *folder, const char *name, const char *over, struct fl_error *err)
{
	char path[4096 + FL_NAME_MAX + 32];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	if (access(path, F_OK) || access(over, F_OK))
		return 0;
	if (mount(path, over, "none", MS_BIND, NULL))
		return fl_error_errno(err, errno, FL_ECODE_KERNEL, "cannot mount %s over %s", path,
				      over);
	return 0;
}

int sandbox_enter_files(const char *state, const char *container, struct fl_error *err)
{
	char folder[4096 + FL_NAME_MAX];
	int r;

	if (unshare(CLONE_NEWNS) || mount("", "/", "none", MS_SLAVE | MS_REC, NULL))
		return fl_error_errno(err, errno, FL_ECODE_KERNEL, "cannot make a mount namespace");
	/* /sys shows the devices of the namespace that mounted it. */
	umount2("/sys", MNT_DETACH);
	if (mount("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NOEXEC | MS_NODEV, NULL))
		return fl_error_errno(err, errno, FL_ECODE_KERNEL, "cannot mount /sys");
	snprintf(folder, sizeof(folder), "%.4000s/files/%s", state, container);
	r = bind_file(folder, "resolv.conf", "/etc/resolv.conf", err);
	if (!r)
		r = bind_file(folder, "hosts", "/etc/hosts", err);
	return r ? r : bind_file(folder, "hostname", "/etc/hostname", err);
}

int sandbox_execute(char *const *argv)
{
	int e;

	execvp(argv[0], argv);
	e = errno;
	fprintf(stderr, "netctl: %s: %s\n", argv[0], strerror(e));
	return e == ENOENT ? EXIT_RUN + 2 : EXIT_RUN + 1;
}

static volatile sig_atomic_t child_pid;

static void pass_on(int sig)
{
	if (child_pid > 0)
		kill(child_pid, sig);
}

void sandbox_hold_signals(bool hold)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGQUIT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(hold ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
}

int sandbox_wait(int pid)
{
	struct sigaction pass = { .sa_handler = pass_on, .sa_flags = SA_RESTART };
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	int status = 0;

	child_pid = pid;
	sigaction(SIGTERM, &pass, NULL);
	sigaction(SIGHUP, &pass, NULL);
	sigaction(SIGINT, &ignore, NULL);
	sigaction(SIGQUIT, &ignore, NULL);
	sandbox_hold_signals(false);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	child_pid = 0;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* ---- exec ---- */

static int run_exec(struct ctl *c, struct fl_error *err)
{
	FL_AUTONETNS struct fl_netns ns = FL_NETNS_NONE;
	AUTOMODEL struct model m = { 0 };
	char state[4096];
	struct target t;
	int r = model_read(c, &m, err);

	if (!r)
		r = ctl_state_dir(c, state, sizeof(state), err);
	if (!r)
		r = target_resolve(c, &m, c->argv[0], &t, err);
	if (!r)
		r = fl_netns_open(t.netns, &c->self, &ns, err);
	if (!r)
		r = fl_netns_enter(&ns, err);
	if (!r)
		r = sandbox_enter_files(state, t.container, err);
	if (r)
		return r;
	fflush(stdout);
	/* LMDB's file has no O_CLOEXEC. */
	fl_store_close(fl_take_ptr(c->store));
	c->status = sandbox_execute(c->argv + 1);
	return 0;
}

/* ---- ls ---- */

static json_t *row_of(const char *name, const char *path)
{
	return json_pack("{ss ss s[] s[]}", "name", name, "path", path, "networks", "addresses");
}

static json_t *row_named(json_t *rows, json_t *index, const char *name, const char *path)
{
	json_t *row = json_object_get(index, name);

	if (row)
		return row;
	row = row_of(name, path);
	json_object_set(index, name, row);
	json_array_append_new(rows, row);
	return row;
}

static void add_named(json_t *rows, json_t *index)
{
	struct dirent **names = NULL;
	int n = scandir(FL_NETNS_RUN_DIR, &names, NULL, alphasort);
	char path[300];

	for (int i = 0; i < n; i++) {
		if (names[i]->d_name[0] != '.') {
			snprintf(path, sizeof(path), FL_NETNS_RUN_DIR "/%s", names[i]->d_name);
			row_named(rows, index, names[i]->d_name, path);
		}
		free(names[i]);
	}
	free(names);
}

static void add_attachment(json_t *rows, json_t *index, const struct attachment *a)
{
	const struct fl_endpoint *ep = a->main;
	json_t *row = row_named(rows, index, ep->id.container, ep->netns);

	if (*ep->name && strcmp(ep->name, ep->id.container) != 0)
		json_object_set_new(row, "container", json_string(ep->name));
	json_array_append_new(json_object_get(row, "networks"), json_string(ep->id.network));
	for (uint32_t i = 0; i < ep->n_addrs; i++)
		json_array_append_new(json_object_get(row, "addresses"),
				      json_string(fl_prefix_str(&ep->addrs[i], FL_PREFIX_BUF)));
}

static int run_ls(struct ctl *c, struct fl_error *err)
{
	static const struct column columns[] = {
		{ "SANDBOX", "name", COLUMN_TRUNC, NULL },
		{ "NAME", "container", COLUMN_WIDE, NULL },
		{ "NETWORKS", "networks", COLUMN_WRAP, NULL },
		{ "ADDRESSES", "addresses", COLUMN_WRAP, NULL },
		{ "PATH", "path", COLUMN_TRUNC, NULL },
		{ 0 },
	};
	FL_AUTOJSON json_t *index = json_object();
	AUTOMODEL struct model m = { 0 };
	json_t *rows;
	int r = model_read(c, &m, err);

	if (r)
		return r;
	rows = json_array();
	add_named(rows, index);
	for (size_t i = 0; i < m.n_attachments; i++)
		add_attachment(rows, index, &m.attachments[i]);
	return show_list(c, rows, columns, err);
}

/* ---- create, rm ---- */

static int path_of(const char *name, char *buf, size_t size, struct fl_error *err)
{
	if (!fl_name_valid(name, FL_NAME_MAX))
		return usage_error(err,
				   "%.64s: expected a letter or digit, then letters, digits, '_', "
				   "'.', '-'",
				   name);
	snprintf(buf, size, FL_NETNS_RUN_DIR "/%s", name);
	return 0;
}

static int bring_up(struct ctl *c, void *arg, struct fl_error *err)
{
	(void)c;
	(void)arg;
	return sandbox_loopback(err);
}

static int run_create(struct ctl *c, struct fl_error *err)
{
	FL_AUTONETNS struct fl_netns ns = FL_NETNS_NONE;
	char path[256];
	int r = path_of(c->argv[0], path, sizeof(path), err);

	if (!r)
		r = ctl_self(c, err);
	if (!r)
		r = fl_netns_create(path, &c->self, err);
	if (r)
		return r;
	r = fl_netns_open(path, &c->self, &ns, err);
	if (!r)
		r = ctl_inside(c, &ns, bring_up, NULL, err);
	if (r)
		fl_netns_remove(path, NULL);
	else if (!c->quiet)
		puts(path);
	return r;
}

static int run_rm(struct ctl *c, struct fl_error *err)
{
	char path[256];
	int r = 0, first = 0;

	for (int i = 0; i < c->argc; i++) {
		struct fl_error e = { 0 };

		r = path_of(c->argv[i], path, sizeof(path), &e);
		if (!r && access(path, F_OK))
			r = not_found(&e, "%s: no such namespace in " FL_NETNS_RUN_DIR, c->argv[i]);
		if (!r) {
			r = detach_all(c, c->argv[i], NULL, NULL, NULL, &e);
			r = r == -ENOENT && e.code == FL_ECODE_UNKNOWN_CONTAINER ? 0 : r;
		}
		if (!r)
			r = fl_netns_remove(path, &e);
		if (!r)
			say(c, "%s", c->argv[i]);
		if (r && !first) {
			*err = e;
			first = r;
		}
	}
	return first;
}

static const struct example ls_examples[] = {
	{ "netctl sandbox ls", "named namespaces and the sandboxes of containers" },
	{ 0 },
};

static const struct example create_examples[] = {
	{ "netctl sandbox create ns1", "/run/netns/ns1, as ip netns add makes it, with lo up" },
	{ 0 },
};

static const struct example rm_examples[] = {
	{ "netctl sandbox rm ns1", "takes it off its networks and removes it" },
	{ 0 },
};

static const struct example exec_examples[] = {
	{ "netctl sandbox exec ns1 ip addr", "a command in it" },
	{ "netctl sandbox exec web1 -- getent hosts db", "names as the container resolves them" },
	{ 0 },
};

const struct command sandbox_ls_command = {
	.name = "sandbox ls",
	.args = "",
	.about = "named namespaces, and sandboxes that are attached to networks",
	.json = "a list of objects: name, path, networks (list), addresses (list); container, "
		"where "
		"it has another name.",
	.examples = ls_examples,
	.flags = COMMAND_READS,
	.run = run_ls,
};

const struct command sandbox_create_command = {
	.name = "sandbox create",
	.args = "NAME",
	.about = "make a named network namespace",
	.examples = create_examples,
	.min = 1,
	.max = 1,
	.run = run_create,
};

const struct command sandbox_rm_command = {
	.name = "sandbox rm",
	.args = "NAME...",
	.about = "take named namespaces off their networks and remove them",
	.examples = rm_examples,
	.min = 1,
	.max = -1,
	.completes = "@netns",
	.run = run_rm,
};

const struct command sandbox_exec_command = {
	.name = "sandbox exec",
	.args = "NETNS|PID|CONTAINER [--] COMMAND [ARG...]",
	.about = "run a command in a sandbox, with its names and name server",
	.text = "The command has the sandbox's network, and its resolv.conf and hosts in place of "
		"the host's; everything else is the host's. Exit status: the command's; 125 when "
		"netctl failed, 126 when the command cannot be executed, 127 when there is none.",
	.examples = exec_examples,
	.flags = COMMAND_RUNS,
	.min = 2,
	.max = -1,
	.completes = "@netns @command",
	.run = run_exec,
};
