/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a refusal means for the request. Sources: etcd's rpctypes/error.go (3.4 and 3.5 have the
 * same texts for these), and what its gateway and grpc's client add.
 */
#include "cluster/client.h"

#include <errno.h>
#include <string.h>

static const struct rule {
	const char *text; /* part of the message; NULL: by the code alone */
	int code;
	enum verdict verdict;
	enum fl_etcd_outcome outcome;
	const char *remedy;
} rules[] = {
	/* said before anything is done */
	{ "no leader", 0, V_NEXT, 0, "check the other members: this one sees no majority of them" },
	{ "too many requests", 0, V_NEXT, 0, "the member is overloaded; check its disk" },
	{ "all SubConns are in TransientFailure", 0, V_NEXT, 0,
	  "the gateway cannot reach its own server: a certificate used with --client-cert-auth "
	  "needs "
	  "the extended key usage clientAuth besides serverAuth" },
	{ "connection error: desc", 0, V_NEXT, 0,
	  "the gateway cannot reach its own server: check the server's certificate" },
	{ "invalid auth token", 0, V_LOGIN, FL_ETCD_DENIED, "check the user and the password" },
	{ "auth store is old", 0, V_LOGIN, FL_ETCD_DENIED, "try again" },
	{ "user name is empty", 0, V_LOGIN, FL_ETCD_DENIED,
	  "the cluster wants a login: configure a user and a password" },
	{ "authentication is not enabled", 0, V_NO_AUTH, FL_ETCD_REFUSED, "" },
	{ "authentication failed", 0, V_ENDED, FL_ETCD_DENIED, "check the user and the password" },
	{ "permission denied", 0, V_ENDED, FL_ETCD_DENIED,
	  "give the user's role permission for the keys below the cluster's prefix" },
	{ "CommonName of client sending a request against gateway", 0, V_ENDED, FL_ETCD_DENIED,
	  "use a client certificate without a common name, besides user and password: the gateway "
	  "cannot take the user from a certificate" },
	{ "requested lease not found", 0, V_ENDED, FL_ETCD_LOST, "grant another" },
	{ "required revision has been compacted", 0, V_ENDED, FL_ETCD_COMPACTED,
	  "read the present state" },
	{ "database space exceeded", 0, V_ENDED, FL_ETCD_NO_SPACE,
	  "compact and defragment the members, raise --quota-backend-bytes, then disarm the alarm "
	  "(etcdctl alarm disarm)" },
	{ "corrupt cluster", 0, V_ENDED, FL_ETCD_REFUSED,
	  "the members disagree about the data: restore the cluster from a backup" },
	/* the rest by its code: it may or may not have been done */
	{ NULL, 1, V_UNSURE, 0, "read again" },
	{ NULL, 2, V_UNSURE, 0, "check the member's log" },
	{ NULL, 4, V_UNSURE, 0, "check that a majority of the members is alive" },
	{ NULL, 7, V_ENDED, FL_ETCD_DENIED, "check the user's role" },
	{ NULL, 13, V_UNSURE, 0, "check the member's log" },
	{ NULL, 14, V_UNSURE, 0, "check that a majority of the members is alive" },
	{ NULL, 16, V_LOGIN, FL_ETCD_DENIED, "check the user and the password" },
};
static const struct rule otherwise = { NULL, 0, V_ENDED, FL_ETCD_REFUSED, "see the server's log" };

static const struct rule *rule_for(int code, const char *message)
{
	for (size_t i = 0; i < FL_ARRAY_SIZE(rules); i++) {
		const struct rule *r = &rules[i];

		if (r->text ? strstr(message, r->text) != NULL : r->code == code)
			return r;
	}
	return &otherwise;
}

static int errno_of(const struct rule *r)
{
	if (r->verdict == V_NEXT || r->verdict == V_UNSURE)
		return EAGAIN;
	switch (r->outcome) {
	case FL_ETCD_DENIED:
		return EACCES;
	case FL_ETCD_NO_SPACE:
		return ENOSPC;
	case FL_ETCD_LOST:
		return ENOENT;
	case FL_ETCD_COMPACTED:
		return ESTALE;
	default:
		return EPROTO;
	}
}

static struct judged say(const struct rule *r, const struct endpoint *to, const char *user,
			 const char *message, struct fl_error *err)
{
	bool of_user = user && r->outcome == FL_ETCD_DENIED;

	fl_error_set(err, errno_of(r), FL_ECODE_IO, "etcd %s: %s%.64s%s%s; %s", to->url,
		     of_user ? "user \"" : "", of_user ? user : "", of_user ? "\": " : "", message,
		     r->remedy);
	return (struct judged){ r->verdict, r->outcome };
}

struct judged refusal_judge(const struct fl_etcd_refusal *r, const struct endpoint *to,
			    const char *user, struct fl_error *err)
{
	return say(rule_for(r->code, r->message), to, user, r->message, err);
}

struct judged refusal_plain(long status, const char *body, size_t len, const struct endpoint *to,
			    struct fl_error *err)
{
	static const struct rule https = { .verdict = V_NEXT,
					   .remedy = "write https:// in the endpoint" };
	static const struct rule missing = {
		.verdict = V_NEXT,
		.remedy = "check that it is etcd's client port and that --enable-grpc-gateway is "
			  "not off"
	};
	static const struct rule strange = { .verdict = V_UNSURE,
					     .remedy =
						     "check that the endpoint is an etcd server" };
	const struct rule *r = &strange;
	char said[128], message[256];

	fl_etcd_excerpt(body, len, said, sizeof(said));
	snprintf(message, sizeof(message), "HTTP status %ld, not JSON: \"%s\"", status, said);
	if (strstr(said, "CommonName"))
		r = rule_for(0, "CommonName of client sending a request against gateway");
	else if (strstr(said, "HTTP request to an HTTPS server"))
		r = &https;
	else if (status == 404 || status == 405)
		r = &missing;
	return say(r, to, NULL, message, err);
}
