/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "netctl/ctl.h"

#include "netctl/text.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

/* ---- options ---- */

bool option_given(const struct ctl *c, const char *name)
{
	for (size_t i = 0; i < c->n_given; i++)
		if (!strcmp(c->given[i].spec->name, name))
			return true;
	return false;
}

const char *option_value(const struct ctl *c, const char *name)
{
	const char *found = NULL;

	for (size_t i = 0; i < c->n_given; i++)
		if (!strcmp(c->given[i].spec->name, name))
			found = c->given[i].value;
	return found;
}

const char *option_nth(const struct ctl *c, const char *name, size_t nth)
{
	for (size_t i = 0; i < c->n_given; i++)
		if (!strcmp(c->given[i].spec->name, name) && !nth--)
			return c->given[i].value;
	return NULL;
}

int option_number(const struct ctl *c, const char *name, long min, long max, long absent, long *ret,
		  struct fl_error *err)
{
	const char *text = option_value(c, name);
	char *end;
	long v;

	if (!text) {
		*ret = absent;
		return 0;
	}
	errno = 0;
	v = strtol(text, &end, 10);
	if (!*text || *end || errno || v < min || v > max)
		return usage_error(err, "--%s: expected a number from %ld to %ld, not \"%s\"", name,
				   min, max, text);
	*ret = v;
	return 0;
}

/* ---- errors ---- */

__attribute__((format(printf, 4, 0))) static int
fail(struct fl_error *err, int e, enum fl_ecode code, const char *fmt, va_list ap)
{
	char text[FL_ERROR_TEXT];

	vsnprintf(text, sizeof(text), fmt, ap);
	return fl_error_set(err, e, code, "%s", text);
}

int usage_error(struct fl_error *err, const char *fmt, ...)
{
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = fail(err, EINVAL, FL_ECODE_UNSUPPORTED, fmt, ap);
	va_end(ap);
	return r;
}

int ambiguous(struct fl_error *err, const char *fmt, ...)
{
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = fail(err, ENOTUNIQ, FL_ECODE_UNKNOWN_CONTAINER, fmt, ap);
	va_end(ap);
	return r;
}

int not_found(struct fl_error *err, const char *fmt, ...)
{
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = fail(err, ENOENT, FL_ECODE_UNKNOWN_CONTAINER, fmt, ap);
	va_end(ap);
	return r;
}

/* A line; what others chose in it must not reach the terminal raw. */
__attribute__((format(printf, 3, 0))) static void put_line(FILE *to, const char *before,
							   const char *fmt, va_list ap)
{
	FL_AUTOFREE char *plain = NULL;
	char *raw;

	if (vasprintf(&raw, fmt, ap) < 0)
		return;
	plain = plain_text(raw);
	free(raw);
	if (plain)
		fprintf(to, "%s%s\n", before, plain);
}

void say(const struct ctl *c, const char *fmt, ...)
{
	va_list ap;

	if (c->quiet || c->json)
		return;
	va_start(ap, fmt);
	put_line(stdout, "", fmt, ap);
	va_end(ap);
}

void remark(const struct ctl *c, const char *fmt, ...)
{
	va_list ap;

	if (c->quiet)
		return;
	fflush(stdout);
	va_start(ap, fmt);
	put_line(stderr, "note: ", fmt, ap);
	va_end(ap);
}

/* ---- the host ---- */

int ctl_self(struct ctl *c, struct fl_error *err)
{
	return c->self.fd >= 0 ? 0 : fl_netns_self(&c->self, err);
}

int ctl_host(struct ctl *c, struct fl_error *err)
{
	return c->host ? 0 : fl_nl_open(&c->host, err);
}

int ctl_state_dir(struct ctl *c, char *buf, size_t size, struct fl_error *err)
{
	int r = ctl_self(c, err);

	/* Anybody's own state would be an empty one, and a wrong answer. */
	if (!r && geteuid() != 0)
		return fl_error_set(err, EPERM, FL_ECODE_PRIVILEGE,
				    "the state of the host's networks is root's: run netctl as "
				    "root");
	return r ? r : fl_store_dir(NULL, c->self.cookie, buf, size, err);
}

int ctl_store(struct ctl *c, bool write, struct fl_error *err)
{
	char dir[4096], file[4200];
	struct stat st;
	int r = c->store && c->store_writes >= write ? 1 : ctl_state_dir(c, dir, sizeof(dir), err);

	if (r)
		return r > 0 ? 0 : r;
	if (write) {
		/* A process may have an environment open once only. */
		fl_store_close(fl_take_ptr(c->store));
		c->store_writes = true;
		return fl_store_open(dir, &c->store, err);
	}
	snprintf(file, sizeof(file), "%s/data.mdb", dir);
	if (stat(file, &st) && errno == ENOENT)
		return 0;
	return fl_store_open_reader(dir, &c->store, err);
}

int ctl_inside(struct ctl *c, const struct fl_netns *ns,
	       int (*fn)(struct ctl *c, void *arg, struct fl_error *err), void *arg,
	       struct fl_error *err)
{
	struct fl_error back = { 0 };
	int r = fl_netns_enter(ns, err), b;

	if (r)
		return r;
	r = fn(c, arg, err);
	b = fl_netns_enter(&c->self, &back);
	return b ? fl_error_set(err, b, back.code, "%s", back.text) : r;
}

static int open_nl(struct ctl *c, void *arg, struct fl_error *err)
{
	(void)c;
	return fl_nl_open(arg, err);
}

int ctl_nl_in(struct ctl *c, const struct fl_netns *ns, struct fl_nl **ret, struct fl_error *err)
{
	return ctl_inside(c, ns, open_nl, ret, err);
}

int ctl_sandbox(struct ctl *c, const struct fl_endpoint *ep, struct fl_netns *ret_ns,
		struct fl_nl **ret_nl, struct fl_error *err)
{
	struct fl_netns recorded = { -1, ep->cookie, ep->dev, ep->ino };
	FL_AUTONETNS struct fl_netns ns = FL_NETNS_NONE;
	int r = ctl_self(c, err);

	if (!r)
		r = fl_netns_reopen(ep->netns, &recorded, &c->self, &ns, err);
	if (!r && ret_nl)
		r = ctl_nl_in(c, &ns, ret_nl, err);
	if (r)
		return r;
	*ret_ns = ns;
	ns.fd = -1;
	return 0;
}
