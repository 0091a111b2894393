/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sandbox ls, create, rm, exec */
#include "netctl/sandbox.h"

#include "base/strbuf.h"
#include "netctl/attach.h"
#include "netctl/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
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

/*
 * The name that the sandbox's hosts file has an address for: whoever asks for his own address would
 * wait for the name server otherwise.
 */
static void set_hostname(const char *folder, const char *otherwise)
{
	char path[4096 + FL_NAME_MAX + 32], name[FL_HOSTNAME_MAX + 2] = "";
	FL_AUTOFCLOSE FILE *f = NULL;

	snprintf(path, sizeof(path), "%s/hostname", folder);
	f = fopen(path, "re");
	if (!f || !fgets(name, sizeof(name), f))
		fl_strcpy(name, sizeof(name), otherwise ? otherwise : "");
	name[strcspn(name, "\n")] = '\0';
	if (*name && (unshare(CLONE_NEWUTS) || sethostname(name, strlen(name))))
		fprintf(stderr, "note: cannot set the host name: %s\n", strerror(errno));
}

int sandbox_enter_files(const char *state, const char *container, const char *hostname,
			struct fl_error *err)
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
	set_hostname(folder, hostname);
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
		r = target_open(c, &t, &ns, err);
	if (!r)
		r = fl_netns_enter(&ns, err);
	if (!r)
		r = sandbox_enter_files(state, t.container, NULL, err);
	if (r)
		return r;
	fflush(stdout);
	/* LMDB's file has no O_CLOEXEC. */
	fl_store_close(fl_take_ptr(c->store));
	c->status = sandbox_execute(c->argv + 1);
	return 0;
}

/* ---- ls ---- */

static json_t *row_of(json_t *rows, const char *name, const char *path)
{
	json_t *row =
		json_pack("{ss ss s[] s[]}", "name", name, "path", path, "networks", "addresses");

	json_array_append_new(rows, row);
	return row;
}

/* Under which a sandbox's row is found again: namespaces by what they are, not by their names. */
static const char *key_of(uint64_t cookie, uint64_t ino, char *buf, size_t size)
{
	snprintf(buf, size, "%" PRIu64 "/%" PRIu64, cookie, cookie ? 0 : ino);
	return buf;
}
#define KEY(cookie, ino) key_of(cookie, ino, (char[48]){ 0 }, 48)

static void add_named(struct ctl *c, json_t *rows, json_t *index)
{
	struct dirent **names = NULL;
	int n = scandir(FL_NETNS_RUN_DIR, &names, NULL, alphasort);
	char path[300];

	for (int i = 0; i < n; i++) {
		FL_AUTONETNS struct fl_netns ns = FL_NETNS_NONE;

		snprintf(path, sizeof(path), FL_NETNS_RUN_DIR "/%s", names[i]->d_name);
		if (names[i]->d_name[0] != '.') {
			json_t *row = row_of(rows, clean_text(names[i]->d_name), path);

			if (!fl_netns_open(path, &c->self, &ns, NULL))
				json_object_set(index, KEY(ns.cookie, ns.ino), row);
		}
		free(names[i]);
	}
	free(names);
}

static void add_attachment(json_t *rows, json_t *index, const struct attachment *a)
{
	const struct fl_endpoint *ep = a->main;
	const char *key = KEY(ep->cookie, ep->ino);
	json_t *row = json_object_get(index, key);

	if (!row) {
		row = row_of(rows, ep->id.container, ep->netns);
		json_object_set(index, key, row);
	}
	if (strcmp(CONTAINER_LABEL(ep), json_string_value(json_object_get(row, "name"))) != 0)
		json_object_set_new(row, "container", json_string(CONTAINER_LABEL(ep)));
	json_array_append_new(json_object_get(row, "networks"), json_string(ep->id.network));
	for (uint32_t i = 0; i < ep->n_addrs; i++)
		json_array_append_new(json_object_get(row, "addresses"),
				      json_string(fl_prefix_str(&ep->addrs[i], FL_PREFIX_BUF)));
}

static int run_ls(struct ctl *c, struct fl_error *err)
{
	static const struct column columns[] = {
		{ "SANDBOX", "name", COLUMN_TRUNC, NULL },
		{ "CONTAINER", "container", COLUMN_WIDE, NULL },
		{ "NETWORKS", "networks", COLUMN_WRAP, NULL },
		{ "ADDRESSES", "addresses", COLUMN_WRAP, NULL },
		{ "PATH", "path", COLUMN_TRUNC, NULL },
		{ 0 },
	};
	FL_AUTOJSON json_t *index = json_object();
	AUTOMODEL struct model m = { 0 };
	json_t *rows;
	int r = model_read(c, &m, err);

	if (!r)
		r = ctl_self(c, err);
	if (r)
		return r;
	rows = json_array();
	add_named(c, rows, index);
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

/* The name of a sandbox that lives on without its file is not free. */
static int refuse_lost(struct ctl *c, const char *name, const char *path, struct fl_error *err)
{
	AUTOMODEL struct model m = { 0 };
	int r = model_read(c, &m, err);

	for (size_t i = 0; !r && i < m.n_attachments && access(path, F_OK); i++) {
		const struct fl_endpoint *ep = m.attachments[i].main;

		if (!strcmp(ep->id.container, name) && !runtime_is_gone(c, ep))
			return fl_error_set(
				err, EEXIST, FL_ECODE_CONFLICT,
				"a sandbox %s lives on without its file, and is on network "
				"%s; `netctl sandbox rm %s` detaches it",
				name, ep->id.network, name);
	}
	return r;
}

static int create_one(struct ctl *c, const char *name, struct fl_error *err)
{
	FL_AUTONETNS struct fl_netns ns = FL_NETNS_NONE;
	char path[256];
	int r = path_of(name, path, sizeof(path), err);

	if (!r)
		r = refuse_lost(c, name, path, err);
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

static int run_create(struct ctl *c, struct fl_error *err)
{
	int r = 0;

	for (int i = 0; i < c->argc && !r; i++)
		r = create_one(c, c->argv[i], err);
	return r;
}

/* Whoever has it for a sandbox, by whatever id; a runtime's container only by force. */
static int detach_owners(struct ctl *c, const char *name, const char *path, json_t *list,
			 struct fl_error *err)
{
	FL_AUTONETNS struct fl_netns ns = FL_NETNS_NONE;
	const struct attachment *owner;
	size_t n;
	int r = 0;

	/* A file that keeps no namespace has no owner. */
	while (!r && !fl_netns_open(path, &c->self, &ns, NULL)) {
		AUTOMODEL struct model m = { 0 };

		r = model_read(c, &m, err);
		owner = r ? NULL : target_owner(&m, &ns, name);
		fl_netns_close(&ns);
		if (!owner)
			break;
		if (owner->main->origin != FL_ORIGIN_NETCTL && !option_given(c, "force"))
			return fl_error_set(err, EBUSY, FL_ECODE_CONFLICT,
					    "%s is the sandbox of container %s, which a runtime "
					    "attached; remove it there, or --force",
					    name, CONTAINER_LABEL(owner->main));
		r = detach_all(c, owner->main->id.container, NULL, NULL, list, &n, err);
		fl_store_close(fl_take_ptr(c->store));
	}
	/* What it was attached to by plugins that keep no record. */
	return r ? r : detach_all(c, name, NULL, NULL, list, &n, err);
}

/* The file is gone, and a program may keep the namespace: its attachments are what can be removed.
 */
static int remove_lost(struct ctl *c, const char *name, json_t *list, struct fl_error *err)
{
	size_t n;
	int r = detach_all(c, name, NULL, NULL, list, &n, err);

	if (!r && !n)
		return not_found(err, "%s: no such namespace in " FL_NETNS_RUN_DIR, name);
	return r;
}

static int remove_one(struct ctl *c, const char *name, json_t *list, struct fl_error *err)
{
	char path[256];
	int r = path_of(name, path, sizeof(path), err);

	if (!r && access(path, F_OK))
		return remove_lost(c, name, list, err);
	if (!r)
		r = detach_owners(c, name, path, list, err);
	if (!r)
		r = fl_netns_remove(path, err);
	if (!r)
		say(c, "%s", name);
	return r;
}

static int run_rm(struct ctl *c, struct fl_error *err)
{
	FL_AUTOJSON json_t *list = json_array();
	int r = ctl_self(c, err), first = 0;

	if (r)
		return r;
	for (int i = 0; i < c->argc; i++) {
		struct fl_error e = { 0 };

		r = remove_one(c, c->argv[i], list, &e);
		if (r && !first) {
			*err = e;
			first = r;
		} else if (r) {
			remark(c, "%s", e.text);
		}
	}
	return first || !c->json ? first : show_json(fl_take_ptr(list), err);
}

static const struct option_spec rm_options[] = {
	{ "force", 'f', NULL, "also a runtime's sandbox, and whatever a foreign plugin's DEL says",
	  NULL },
	{ 0 },
};

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
	.args = "NAME...",
	.about = "make named network namespaces",
	.examples = create_examples,
	.min = 1,
	.max = -1,
	.run = run_create,
};

const struct command sandbox_rm_command = {
	.name = "sandbox rm",
	.args = "NAME...",
	.about = "take named namespaces off their networks and remove them",
	.json = "a list of what was detached: container, network, interface.",
	.options = rm_options,
	.examples = rm_examples,
	.flags = COMMAND_READS,
	.min = 1,
	.max = -1,
	.completes = "@netns",
	.run = run_rm,
};

const struct command sandbox_exec_command = {
	.name = "sandbox exec",
	.args = "NETNS|PID|CONTAINER [--] COMMAND [ARG...]",
	.about = "run a command in a sandbox, with its names and name server",
	.text = "The command has the sandbox's network, host name, resolv.conf and hosts in place "
		"of "
		"the host's; everything else is the host's. Exit status: the command's; 125 when "
		"netctl failed, 126 when the command cannot be executed, 127 when there is none.",
	.examples = exec_examples,
	.flags = COMMAND_RUNS,
	.min = 2,
	.max = -1,
	.completes = "@netns @command",
	.run = run_exec,
};
