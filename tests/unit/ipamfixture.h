/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Configurations and allocations in one line, for tests. */
#pragma once

#include "ipam/ipam.h"

#include "base/json.h"
#include "storefixture.h"

#include <errno.h>

/* ' becomes " so that cases read well. */
static inline json_t *config(const char *text)
{
	FL_AUTOFREE char *copy = strdup(text);
	json_t *j;

	for (char *p = copy; *p; p++)
		if (*p == '\'')
			*p = '"';
	j = json_loads(copy, 0, NULL);
	if (!j)
		fail_msg("not JSON: %s", copy);
	return j;
}

/* `ipam` is the inside of that object. No lease directory of this machine is imported. */
static inline struct fl_ipam_conf conf_of(const char *ipam)
{
	FL_AUTOSTRBUF struct fl_strbuf b = { 0 };
	FL_AUTOJSON json_t *j = NULL;
	struct fl_ipam_conf c = { 0 };
	struct fl_error err = { 0 };

	fl_strbuf_addf(&b, "{'ipam':{'type':'host-local','dataDir':'/nonexistent',%s}}", ipam);
	j = config(b.s);
	if (fl_ipam_parse(j, "net", "1.1.0", NULL, &c, &err))
		fail_msg("%s", err.text);
	return c;
}

static inline void request(struct fl_ipam_conf *c, const char *address)
{
	fl_strcpy(c->request_src[0], sizeof(c->request_src[0]), "runtimeConfig.ips");
	c->requests[0] = make_addr(address);
	c->n_requests = 1;
}

static inline struct fl_endpoint_id container(int n)
{
	char name[32];

	snprintf(name, sizeof(name), "c%d", n);
	return make_id("net", "bridge", name, "eth0");
}

/* Allocates for container n; returns the error, and the addresses joined by a space. */
static inline int allocate(struct fixture *f, const struct fl_ipam_conf *c, int n,
			   const struct fl_gone *gone, char *ret)
{
	struct fl_endpoint_id id = container(n);
	struct fl_ipam_result res = { 0 };
	int r;

	f->err = (struct fl_error){ 0 };
	r = fl_ipam_allocate(f->txn, c, &id, gone, &res, &f->err);
	for (size_t i = 0, len = 0; i < res.n_addrs; i++)
		len += (size_t)sprintf(ret + len, "%s%s", i ? " " : "",
				       fl_prefix_str(&res.addrs[i].addr, FL_PREFIX_BUF));
	return r;
}

static inline void expect(struct fixture *f, const struct fl_ipam_conf *c, int n, const char *want)
{
	char got[1024] = "";
	int r = allocate(f, c, n, NULL, got);

	if (r)
		fail_msg("container %d: %s", n, f->err.text);
	assert_string_equal(got, want);
}

static inline void expect_error(struct fixture *f, const struct fl_ipam_conf *c, int n, int want,
				enum fl_ecode code)
{
	char got[1024] = "";

	assert_int_equal(allocate(f, c, n, NULL, got), want);
	assert_int_equal(f->err.code, code);
}

static inline void release(struct fixture *f, const struct fl_ipam_conf *c, int n)
{
	struct fl_endpoint_id id = container(n);

	assert_int_equal(fl_ipam_release_conf(f->txn, c, &id, &f->err), 0);
}
