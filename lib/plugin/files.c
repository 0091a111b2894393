/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * resolv.conf, hosts and hostname of a container, as Docker makes them. A runtime mounts them, so
 * they are changed in place and never replaced; and what somebody wrote into them stays.
 */
#include "plugin/resolver.h"

#include "base/service.h"
#include "base/strbuf.h"
#include "dns/request.h"
#include "plugin/internal.h"
#include "store/hosts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#define HOST_RESOLV_CONF "/etc/resolv.conf"
enum { HOSTS_MAX = 1 << 20, NDOTS_MAX = 15 };

void fl_files_dir(const struct fl_call *c, const struct fl_endpoint *ep, char *buf, size_t size)
{
	snprintf(buf, size, "%s/files/%s", fl_store_path(c->store), ep->id.container);
}

static int fail(const char *path, int e, struct fl_error *err)
{
	return fl_error_errno(err, e, FL_ECODE_STORE, "cannot write %s", path);
}

static int write_new(const char *dir, const char *name, const struct fl_strbuf *text,
		     struct fl_error *err)
{
	FL_AUTOCLOSE int fd = -1;
	char path[4400];

	if (text->failed)
		return fl_error_oom(err);
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		return errno == EEXIST ? 0 : fail(path, errno, err);
	/* Everybody in the container reads it, whatever the caller's umask. */
	if (!fchmod(fd, 0644) && write(fd, text->s, text->len) == (ssize_t)text->len)
		return 0;
	fail(path, errno ? errno : EIO, err);
	/* Half of it would pass for the whole the next time. */
	unlink(path);
	return err ? err->err : -EIO;
}

/* ---- resolv.conf ---- */

static bool is_ndots(const char *option)
{
	return !strncmp(option, "ndots:", 6);
}

/* One that the resolver library would not take is left out. */
static bool is_usable(const char *option)
{
	char *end;
	unsigned long n;

	if (!fl_resolver_is_word(option) || !is_ndots(option))
		return fl_resolver_is_word(option);
	n = strtoul(option + 6, &end, 10);
	return option[6] >= '0' && option[6] <= '9' && !*end && n <= NDOTS_MAX;
}

static void add_options(struct fl_strbuf *b, char **options)
{
	bool ndots = false;

	fl_strbuf_add(b, "options");
	for (char **o = options; o && *o; o++) {
		if (!is_usable(*o))
			continue;
		ndots |= is_ndots(*o);
		fl_strbuf_addf(b, " %s", *o);
	}
	/* Names of containers have no dots, and are to be asked as they are first. */
	fl_strbuf_add(b, ndots ? "\n" : " ndots:0\n");
}

/* "." alone clears it. */
static void add_search(struct fl_strbuf *b, char **search)
{
	if (!search || !*search || (!strcmp(search[0], ".") && !search[1]))
		return;
	fl_strbuf_add(b, "search");
	for (; *search; search++)
		if (fl_resolver_is_word(*search))
			fl_strbuf_addf(b, " %s", *search);
	fl_strbuf_add(b, "\n");
}

/* Where there is no list, the domain is what is searched (resolv.conf(5)). */
static bool has_search(const struct fl_dns *d)
{
	return d->search || (d->domain && *d->domain);
}

static void add_search_of(struct fl_strbuf *b, const struct fl_dns *d)
{
	char *domain[] = { d->domain, NULL };

	add_search(b, d->search ? d->search : domain);
}

static int write_resolv_conf(struct fl_call *c, const char *dir, struct fl_error *err)
{
	FL_AUTOSTRBUF struct fl_strbuf b = { 0 };
	const struct fl_dns *d = &c->result.dns;
	struct fl_dns host = { 0 };
	int r;

	if (!has_search(d) || !d->options)
		fl_resolvconf_read(HOST_RESOLV_CONF, &host, NULL);
	fl_strbuf_addf(&b, "# container %s\nnameserver " FL_DNSD_ADDRESS "\n", c->req.container);
	add_search_of(&b, has_search(d) ? d : &host);
	add_options(&b, d->options ? d->options : host.options);
	r = write_new(dir, "resolv.conf", &b, err);
	fl_dns_clear(&host);
	return r;
}

/* ---- hosts ---- */

static void add_base(struct fl_strbuf *b)
{
	fl_strbuf_add(b, "127.0.0.1\tlocalhost\n");
	if (!access("/proc/net/if_inet6", F_OK))
		fl_strbuf_add(b, "::1\tlocalhost ip6-localhost ip6-loopback\n"
				 "fe00::\tip6-localnet\n"
				 "ff00::\tip6-mcastprefix\n"
				 "ff02::1\tip6-allnodes\n"
				 "ff02::2\tip6-allrouters\n");
}

static void own_name(const struct fl_endpoint *ep, char *buf, size_t size)
{
	struct fl_dns_name n;
	char text[FL_DNS_TEXT_MAX];

	fl_strcpy(buf, size, ep->hostname[0] ? ep->hostname : ep->name);
	if (*buf)
		return;
	fl_strcpy(buf, size, ep->id.container);
	/* The short id, as every runtime shows it. */
	if (!fl_endpoint_canonical(ep, &n)) {
		fl_dns_name_str(&n, text);
		text[strlen(text) - 1] = '\0';
		fl_strcpy(buf, size, text);
	}
}

/* Of the record alone: DEL finds them by the same function. */
static void own_line(const struct fl_endpoint *ep, uint32_t i, struct fl_strbuf *b)
{
	FL_AUTOJSON json_t *dns = json_loads(ep->dns, 0, NULL);
	const char *domain = json_string_value(json_object_get(dns, "domain"));
	char name[FL_HOSTNAME_MAX + 1];

	own_name(ep, name, sizeof(name));
	fl_strbuf_addf(b, "%s\t", fl_addr_str(&ep->addrs[i].addr, FL_ADDR_BUF));
	if (domain && fl_resolver_is_word(domain) && !strchr(name, '.'))
		fl_strbuf_addf(b, "%s.%s ", name, domain);
	fl_strbuf_add(b, name);
	if (ep->name[0] && strcmp(ep->name, name) != 0)
		fl_strbuf_addf(b, " %s", ep->name);
	fl_strbuf_add(b, "\n");
}

/* At which the host itself is reached: the gateway may also be another machine. */
static const struct fl_addr *first_gateway(const struct fl_call *c)
{
	for (size_t i = 0; i < c->result.n_ips; i++)
		if (fl_resolver_is_host(c, &c->result.ips[i].gateway))
			return &c->result.ips[i].gateway;
	return NULL;
}

static void extra_line(const struct fl_call *c, const char *text, struct fl_strbuf *b)
{
	const char *at = strchr(text, ':');
	const struct fl_addr *gateway = first_gateway(c);
	int len = (int)(at - text);

	if (strcmp(at + 1, "host-gateway") != 0)
		fl_strbuf_addf(b, "%s\t%.*s\n", at + 1, len, text);
	else if (gateway)
		fl_strbuf_addf(b, "%s\t%.*s\n", fl_addr_str(gateway, FL_ADDR_BUF), len, text);
}

static int open_hosts(const char *dir, bool create, char *path, size_t size, struct fl_strbuf *ret,
		      struct fl_error *err)
{
	char chunk[4096];
	ssize_t n = 0;
	int fd;

	snprintf(path, size, "%s/hosts", dir);
	fd = open(path, O_RDWR | (create ? O_CREAT : 0) | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		return errno == ENOENT ? -ENOENT : fail(path, errno, err);
	while (n >= 0 && ret->len < HOSTS_MAX && (n = read(fd, chunk, sizeof(chunk))) > 0)
		fl_strbuf_addn(ret, chunk, (size_t)n);
	if (n >= 0 && !ret->failed && ret->len < HOSTS_MAX)
		return fd;
	n = n < 0 ? errno : ret->failed ? ENOMEM : EFBIG;
	close(fd);
	return fail(path, (int)n, err);
}

/* The last line may have been written without its end. */
static void end_line(struct fl_strbuf *text)
{
	if (text->len && text->s[text->len - 1] != '\n')
		fl_strbuf_add(text, "\n");
}

/* Where the line begins; NULL: it is not there. */
static char *find_line(const struct fl_strbuf *text, const char *line)
{
	char *at = text->s ? strstr(text->s, line) : NULL;

	while (at && at != text->s && at[-1] != '\n')
		at = strstr(at + 1, line);
	return at;
}

static void add_line(struct fl_strbuf *text, struct fl_strbuf *line)
{
	if (line->s && !find_line(text, line->s))
		fl_strbuf_add(text, line->s);
	fl_strbuf_clear(line);
}

static int write_hosts(struct fl_call *c, const char *dir, struct fl_error *err)
{
	FL_AUTOSTRBUF struct fl_strbuf text = { 0 }, line = { 0 };
	char path[4400];
	FL_AUTOCLOSE int fd = open_hosts(dir, true, path, sizeof(path), &text, err);
	size_t had = text.len;
	int e;

	if (fd < 0)
		return fd;
	end_line(&text);
	if (!had && !fchmod(fd, 0644))
		add_base(&text);
	for (size_t i = 0; i < c->resolver.hosts.n; i++) {
		extra_line(c, ((const char **)c->resolver.hosts.items)[i], &line);
		add_line(&text, &line);
	}
	for (uint32_t i = 0; i < c->ep.n_addrs; i++) {
		own_line(&c->ep, i, &line);
		add_line(&text, &line);
	}
	if (text.failed)
		return fl_error_oom(err);
	if (pwrite(fd, text.s + had, text.len - had, (off_t)had) == (ssize_t)(text.len - had))
		return 0;
	e = errno;
	/* Half a line would stay for ever. */
	if (ftruncate(fd, (off_t)had))
		e = errno;
	return fail(path, e ? e : EIO, err);
}

/* Somebody replaced it, or made something large of it: nothing there is ours any more. */
static bool is_foreign(int e)
{
	return e == -ENOENT || e == -EFBIG || e == -ELOOP || e == -EISDIR || e == -ENOTDIR;
}

static int drop_lines(const struct fl_endpoint *ep, const char *dir, struct fl_error *err)
{
	FL_AUTOSTRBUF struct fl_strbuf text = { 0 };
	char path[4400];
	FL_AUTOCLOSE int fd = open_hosts(dir, false, path, sizeof(path), &text, err);
	bool found = false;

	if (fd < 0)
		return is_foreign(fd) ? 0 : fd;
	end_line(&text);
	for (uint32_t i = 0; i < ep->n_addrs; i++) {
		FL_AUTOSTRBUF struct fl_strbuf line = { 0 };
		char *at;

		own_line(ep, i, &line);
		at = line.s ? find_line(&text, line.s) : NULL;
		if (!at)
			continue;
		memmove(at, at + line.len, text.len - (size_t)(at - text.s) - line.len + 1);
		text.len -= line.len;
		found = true;
	}
	if (!found)
		return 0;
	if (pwrite(fd, text.s, text.len, 0) != (ssize_t)text.len || ftruncate(fd, (off_t)text.len))
		return fail(path, errno ? errno : EIO, err);
	return 0;
}

/* ---- public ---- */

static int write_hostname(struct fl_call *c, const char *dir, struct fl_error *err)
{
	FL_AUTOSTRBUF struct fl_strbuf b = { 0 };
	char name[FL_HOSTNAME_MAX + 1];

	own_name(&c->ep, name, sizeof(name));
	fl_strbuf_addf(&b, "%s\n", name);
	return write_new(dir, "hostname", &b, err);
}

/* The folder, if it is still what the path leads to once the lock is ours. */
static int try_lock(const char *dir, struct fl_error *err)
{
	FL_AUTOCLOSE int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	struct stat own, there;

	if (fd < 0)
		return is_foreign(-errno) ? -errno : fail(dir, errno, err);
	if (flock(fd, LOCK_EX) || fstat(fd, &own))
		return fail(dir, errno, err);
	if (stat(dir, &there) || own.st_ino != there.st_ino || own.st_dev != there.st_dev)
		return -EAGAIN;
	return fl_take_fd(&fd);
}

static int make_folder(const char *dir, struct fl_error *err)
{
	int r = mkdir(dir, 0755) ? -errno : 0;

	if (r == -ENOENT) {
		r = fl_make_parents(dir, 0700, err);
		if (r)
			return r;
		r = mkdir(dir, 0755) ? -errno : 0;
	}
	return r && r != -EEXIST ? fail(dir, r, err) : 0;
}

/*
 * Networks of a container may come and go at once. The lock is the folder's, which no container
 * sees: whoever can open a file can also lock it for ever.
 */
static int make_and_lock(const char *dir, struct fl_error *err)
{
	int r = -EAGAIN;

	while (r == -EAGAIN || r == -ENOENT) {
		r = make_folder(dir, err);
		if (r)
			return r;
		r = try_lock(dir, err);
	}
	return r < 0 && is_foreign(r) ? fail(dir, r, err) : r;
}

int fl_files_write(struct fl_call *c, struct fl_error *err)
{
	FL_AUTOCLOSE int lock = -1;
	char dir[4352];
	int r;

	fl_files_dir(c, &c->ep, dir, sizeof(dir));
	lock = make_and_lock(dir, err);
	if (lock < 0)
		return lock;
	if (fchmod(lock, 0755))
		return fail(dir, errno, err);
	r = write_resolv_conf(c, dir, err);
	if (!r)
		r = write_hostname(c, dir, err);
	return r ? r : write_hosts(c, dir, err);
}

static int remove_all(const char *dir, struct fl_error *err)
{
	static const char *const names[] = { "resolv.conf", "hosts", "hostname" };
	char path[4400];

	for (size_t i = 0; i < FL_ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		if (unlink(path) && !is_foreign(-errno))
			return fl_error_errno(err, errno, FL_ECODE_STORE, "cannot remove %s", path);
	}
	/* What somebody else put there stays, and the folder with it. */
	rmdir(dir);
	return 0;
}

static int is_same_container(void *arg, const struct fl_sandbox_entry *e)
{
	const struct fl_endpoint *ep = arg;

	return !strcmp(e->id.container, ep->id.container) && !fl_endpoint_id_eq(&e->id, &ep->id);
}

/* Several containers may share a sandbox, and each has files. */
static int is_last(struct fl_call *c, const struct fl_endpoint *ep, bool *ret, struct fl_error *err)
{
	FL_AUTOTXN struct fl_txn *t = NULL;
	int r = fl_txn_begin(c->store, false, &t, err);

	if (!r)
		r = fl_sandboxes_each(t, fl_endpoint_sandbox(ep), false, is_same_container,
				      (void *)ep, err);
	*ret = !r;
	return r < 0 ? r : 0;
}

int fl_files_remove(struct fl_call *c, const struct fl_endpoint *ep, struct fl_error *err)
{
	FL_AUTOCLOSE int lock = -1;
	char dir[4352];
	bool last;
	int r;

	fl_files_dir(c, ep, dir, sizeof(dir));
	do
		lock = try_lock(dir, err);
	while (lock == -EAGAIN);
	if (lock < 0)
		return is_foreign(lock) ? 0 : lock;
	r = is_last(c, ep, &last, err);
	if (r)
		return r;
	return last ? remove_all(dir, err) : drop_lines(ep, dir, err);
}

static int has_resolver(void *arg, const struct fl_endpoint *ep)
{
	return *ep->dns && !strcmp(ep->id.container, arg);
}

int fl_files_sweep(struct fl_store *store, const char *container, struct fl_error *err)
{
	FL_AUTOTXN struct fl_txn *t = NULL;
	FL_AUTOCLOSE int lock = -1;
	char dir[4352];
	int r;

	snprintf(dir, sizeof(dir), "%s/files/%s", fl_store_path(store), container);
	do
		lock = try_lock(dir, err);
	while (lock == -EAGAIN);
	if (lock < 0)
		return is_foreign(lock) ? 0 : lock;
	/* An ADD has its record before it comes here. */
	r = fl_txn_begin(store, false, &t, err);
	if (!r)
		r = fl_endpoints_named(t, container, has_resolver, (void *)container, err);
	if (r)
		return r < 0 ? r : 0;
	r = remove_all(dir, err);
	return r ? r : 1;
}
