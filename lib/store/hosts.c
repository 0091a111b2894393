/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "store/hosts.h"

#include "base/json.h"
#include "base/siphash.h"
#include "base/strbuf.h"
#include "store/private.h"

#include <errno.h>
#include <string.h>

#define SHORT_ID 12 /* digits of a container's id: what every runtime shows */

#define HASH_START 0xcbf29ce484222325u /* FNV-1a */

static uint64_t hash_more(uint64_t h, const void *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		h = (h ^ ((const uint8_t *)p)[i]) * 0x100000001b3u;
	return h;
}

static uint64_t owner_hash(const struct fl_endpoint_id *id)
{
	struct fl_key k = { 0 };

	fl_key_endpoint(&k, id);
	return fl_named_hash(fl_key_done(&k), false);
}

uint64_t fl_named_hash(struct fl_bytes key, bool elsewhere)
{
	uint64_t h = hash_more(HASH_START, key.p, key.len);

	return elsewhere ? h | FL_HOST_ELSEWHERE : h & ~FL_HOST_ELSEWHERE;
}

uint64_t fl_sandbox_id(uint64_t cookie, uint64_t dev, uint64_t ino)
{
	if (cookie)
		return cookie;
	return hash_more(hash_more(HASH_START, &dev, sizeof(dev)), &ino, sizeof(ino)) | 1ull << 63;
}

/* ---- keys ---- */

/* The name's own end, its root label, parts it from the network. */
static uint64_t host_key(const struct fl_store *s, const struct fl_dns_name *name,
			 const char *network)
{
	size_t len = strlen(network);
	uint8_t b[FL_DNS_NAME_MAX + FL_NAME_MAX];

	if (len > FL_NAME_MAX)
		len = FL_NAME_MAX; /* no network is called so */
	memcpy(b, name->b, name->len);
	memcpy(b + name->len, network, len);
	return fl_siphash(s->secret, b, name->len + len);
}

static struct fl_bytes address_key(struct fl_key *k, const struct fl_addr *a, const char *network)
{
	k->len = 0;
	k->overflow = false;
	fl_key_addr(k, a);
	fl_key_str(k, network, true);
	return fl_key_done(k);
}

static struct fl_bytes sandbox_key(struct fl_key *k, uint64_t sandbox, const uint64_t *owner)
{
	*k = (struct fl_key){ 0 };
	fl_key_u32(k, (uint32_t)(sandbox >> 32));
	fl_key_u32(k, (uint32_t)sandbox);
	if (owner)
		fl_key_bytes(k, owner, sizeof(*owner));
	return fl_key_done(k);
}

/* ---- names ---- */

/* The root is nobody's: whoever were called so would answer every question for it. */
static int parse_name(const char *text, struct fl_dns_name *ret)
{
	return strcmp(text, ".") != 0 ? fl_dns_name_parse(text, ret) : -EINVAL;
}

static int short_id(const struct fl_named *who, struct fl_dns_name *ret)
{
	char text[SHORT_ID + 1];

	fl_strcpy(text, sizeof(text), who->container);
	return parse_name(text, ret);
}

int fl_named_canonical(const struct fl_named *who, struct fl_dns_name *ret)
{
	if (*who->name && !parse_name(who->name, ret))
		return 0;
	return short_id(who, ret);
}

int fl_named_each(const struct fl_named *who, int (*fn)(void *arg, const struct fl_dns_name *name),
		  void *arg)
{
	FL_AUTOJSON json_t *aliases = *who->aliases ? json_loads(who->aliases, 0, NULL) : NULL;
	struct fl_dns_name n;
	int r = fl_named_canonical(who, &n) ? 0 : fn(arg, &n);

	for (size_t i = 0; !r && i < json_array_size(aliases); i++) {
		const char *text = json_string_value(json_array_get(aliases, i));

		if (text && !parse_name(text, &n))
			r = fn(arg, &n);
	}
	if (!r && !short_id(who, &n))
		r = fn(arg, &n);
	if (!r && *who->hostname && !parse_name(who->hostname, &n))
		r = fn(arg, &n);
	return r;
}

static struct fl_named named_of(const struct fl_endpoint *ep)
{
	struct fl_named who = { .network = ep->id.network,
				.container = ep->id.container,
				.name = ep->name,
				.hostname = ep->hostname,
				.aliases = ep->aliases,
				.owner = owner_hash(&ep->id),
				.n_addrs = ep->n_addrs };

	for (uint32_t i = 0; i < ep->n_addrs; i++)
		who.addrs[i] = ep->addrs[i].addr;
	return who;
}

int fl_endpoint_canonical(const struct fl_endpoint *ep, struct fl_dns_name *ret)
{
	struct fl_named who = named_of(ep);

	return fl_named_canonical(&who, ret);
}

int fl_endpoint_hostnames(const struct fl_endpoint *ep,
			  int (*fn)(void *arg, const struct fl_dns_name *name), void *arg)
{
	struct fl_named who = named_of(ep);

	return fl_named_each(&who, fn, arg);
}

/* ---- writing ---- */

struct entry {
	struct fl_txn *t;
	const struct fl_named *who;
	bool put;
	struct fl_error *err;
};

/* As an entry of hosts: every byte counts, where there are a hundred thousand. */
static struct fl_bytes host_entry(struct fl_key *k, const struct fl_addr *a, uint64_t owner)
{
	k->len = 0;
	k->overflow = false;
	if (a)
		fl_key_addr(k, a);
	else
		fl_key_u8(k, 0);
	fl_key_bytes(k, &owner, sizeof(owner));
	return fl_key_done(k);
}

static int change_host(const struct entry *e, const struct fl_dns_name *name,
		       const struct fl_addr *a, bool put)
{
	MDB_dbi dbi = e->t->store->dbi[FL_TABLE_HOSTS];
	uint64_t key = host_key(e->t->store, name, e->who->network);
	struct fl_key v;
	struct fl_bytes val = host_entry(&v, a, e->who->owner);
	MDB_val mk = { sizeof(key), &key }, mv = { val.len, (void *)val.p };
	int rc;

	rc = put ? mdb_put(e->t->mdb, dbi, &mk, &mv, MDB_NODUPDATA)
		 : mdb_del(e->t->mdb, dbi, &mk, &mv);
	if (rc == MDB_KEYEXIST || rc == MDB_NOTFOUND)
		return 0;
	return fl_store_fail(e->t->store, rc, e->err);
}

/* Without an address the name is known all the same: asking elsewhere for it would be wrong. */
static int change_name(void *arg, const struct fl_dns_name *name)
{
	const struct entry *e = arg;
	bool put = e->put && !e->who->n_addrs;
	int r = 0;

	if (put || !e->put || !e->who->fresh)
		r = change_host(e, name, NULL, put);
	for (uint32_t i = 0; !r && i < e->who->n_addrs; i++)
		r = change_host(e, name, &e->who->addrs[i], e->put);
	return r;
}

/* ---- listeners ---- */

#define LISTEN_PREFIX "listen/"

static struct fl_bytes listener_key(struct fl_key *k, const char *network)
{
	*k = (struct fl_key){ 0 };
	fl_key_str(k, LISTEN_PREFIX, true);
	fl_key_str(k, network, true);
	return fl_key_done(k);
}

static int put_listener(struct fl_txn *t, const struct fl_endpoint *ep, struct fl_error *err)
{
	struct fl_key k;

	if (!strstr(ep->dns, "\"listen\":"))
		return 0;
	return fl_put(t, FL_TABLE_META, listener_key(&k, ep->id.network),
		      (struct fl_bytes){ ep->dns, strlen(ep->dns) }, err);
}

int fl_listener_get(struct fl_txn *t, const char *network, struct fl_bytes *ret,
		    struct fl_error *err)
{
	struct fl_key k;

	return fl_get(t, FL_TABLE_META, listener_key(&k, network), ret, err);
}

int fl_listener_del(struct fl_txn *t, const char *network, struct fl_error *err)
{
	struct fl_key k;

	return fl_del(t, FL_TABLE_META, listener_key(&k, network), err);
}

struct listeners {
	int (*fn)(void *arg, const char *network, const struct fl_addr *a, uint16_t port);
	void *arg;
};

static int each_listener(void *arg, struct fl_bytes key, struct fl_bytes val)
{
	FL_AUTOJSON json_t *dns = json_loadb(val.p, val.len, 0, NULL);
	const json_t *list = json_object_get(dns, "listen");
	const struct listeners *l = arg;
	char network[FL_NAME_MAX + 1] = "";
	size_t skip = strlen(LISTEN_PREFIX);
	struct fl_addr a;
	int r = 0;

	if (key.len - skip < sizeof(network))
		memcpy(network, (const char *)key.p + skip, key.len - skip);
	for (size_t i = 0; !r && i < json_array_size(list); i++) {
		const json_t *pair = json_array_get(list, i);
		const char *text = json_string_value(json_array_get(pair, 0));

		if (text && !fl_addr_parse(text, &a))
			r = l->fn(l->arg, network, &a,
				  (uint16_t)json_integer_value(json_array_get(pair, 1)));
	}
	return r;
}

int fl_listeners_each(struct fl_txn *t,
		      int (*fn)(void *arg, const char *network, const struct fl_addr *a,
				uint16_t port),
		      void *arg, struct fl_error *err)
{
	struct listeners l = { fn, arg };
	struct fl_key k;

	return fl_each(t, FL_TABLE_META, listener_key(&k, ""), each_listener, &l, err);
}

/* ---- addresses ---- */

/* '#' is in no id and no name: by the hash of its key an endpoint that is here is found. */
static struct fl_bytes owner_key(struct fl_key *k, uint64_t owner)
{
	*k = (struct fl_key){ 0 };
	fl_key_u8(k, '#');
	fl_key_bytes(k, &owner, sizeof(owner));
	return fl_key_done(k);
}

/* Owner and name of an entry of the table of addresses. */
static int split_address(struct fl_bytes val, uint64_t *ret_owner, struct fl_dns_name *ret_name,
			 struct fl_error *err)
{
	if (val.len <= sizeof(*ret_owner) || val.len > sizeof(*ret_owner) + FL_DNS_NAME_MAX)
		return fl_error_set(err, EBADMSG, FL_ECODE_STORE, "state: an address is damaged");
	memcpy(ret_owner, val.p, sizeof(*ret_owner));
	if (ret_name) {
		ret_name->len = (uint8_t)(val.len - sizeof(*ret_owner));
		memcpy(ret_name->b, (const uint8_t *)val.p + sizeof(*ret_owner), ret_name->len);
	}
	return 0;
}

static int get_address(struct fl_txn *t, const struct fl_addr *a, const char *network,
		       struct fl_bytes *ret, struct fl_error *err)
{
	struct fl_key k;

	return fl_get(t, FL_TABLE_ADDRESSES, address_key(&k, a, network), ret, err);
}

/* What is elsewhere does not take the place of what is here. */
static int put_address(const struct entry *e, const struct fl_addr *a,
		       const struct fl_dns_name *name)
{
	MDB_dbi dbi = e->t->store->dbi[FL_TABLE_ADDRESSES];
	bool elsewhere = e->who->owner & FL_HOST_ELSEWHERE;
	struct fl_key k, val = { 0 };
	struct fl_bytes key = address_key(&k, a, e->who->network);
	MDB_val mk = { key.len, (void *)key.p }, mv;
	uint64_t owner = 0;
	int rc, r;

	fl_key_bytes(&val, &e->who->owner, sizeof(e->who->owner));
	fl_key_bytes(&val, name->b, name->len);
	mv = (MDB_val){ val.len, val.b };
	rc = mdb_put(e->t->mdb, dbi, &mk, &mv, elsewhere ? MDB_NOOVERWRITE : 0);
	if (rc != MDB_KEYEXIST)
		return fl_store_fail(e->t->store, rc, e->err);
	r = split_address((struct fl_bytes){ mv.mv_data, mv.mv_size }, &owner, NULL, e->err);
	if (r || !(owner & FL_HOST_ELSEWHERE))
		return r;
	return fl_put(e->t, FL_TABLE_ADDRESSES, key, fl_key_done(&val), e->err);
}

/* An address that another one has by now stays that one's. */
static int del_address(const struct entry *e, const struct fl_addr *a)
{
	struct fl_bytes val;
	uint64_t owner = 0;
	struct fl_key k;
	int r = get_address(e->t, a, e->who->network, &val, e->err);

	if (!r)
		r = split_address(val, &owner, NULL, e->err);
	if (r || owner != e->who->owner)
		return r == -ENOENT ? 0 : r;
	return fl_del(e->t, FL_TABLE_ADDRESSES, address_key(&k, a, e->who->network), e->err);
}

static int change_addresses(const struct entry *e)
{
	struct fl_dns_name name;
	bool named = !fl_named_canonical(e->who, &name);
	int r = 0;

	for (uint32_t i = 0; !r && i < e->who->n_addrs; i++) {
		const struct fl_addr *a = &e->who->addrs[i];

		if (!e->put)
			r = del_address(e, a);
		else if (named)
			r = put_address(e, a, &name);
	}
	return r;
}

static int change(struct fl_txn *t, const struct fl_named *who, bool put, struct fl_error *err)
{
	struct entry e = { t, who, put, err };
	int r = fl_named_each(who, change_name, &e);

	return r ? r : change_addresses(&e);
}

int fl_named_put(struct fl_txn *t, const struct fl_named *who, struct fl_error *err)
{
	return change(t, who, true, err);
}

int fl_named_del(struct fl_txn *t, const struct fl_named *who, struct fl_error *err)
{
	return change(t, who, false, err);
}

int fl_hosts_put(struct fl_txn *t, const struct fl_endpoint *ep, struct fl_error *err)
{
	struct fl_named who = named_of(ep);
	struct fl_key k, val = { 0 };
	FL_AUTOSTRBUF struct fl_strbuf b = { 0 };
	int r = fl_named_put(t, &who, err);

	if (!r)
		r = put_listener(t, ep, err);
	if (r)
		return r;
	fl_key_endpoint(&val, &ep->id);
	r = fl_put(t, FL_TABLE_NAMES, owner_key(&k, who.owner), fl_key_done(&val), err);
	if (r)
		return r;
	/* The key's length, the key, the resolver's settings. */
	fl_strbuf_addn(&b, &(uint16_t){ (uint16_t)val.len }, sizeof(uint16_t));
	fl_strbuf_addn(&b, val.b, val.len);
	fl_strbuf_add(&b, ep->dns);
	if (b.failed)
		return fl_error_oom(err);
	return fl_put(t, FL_TABLE_SANDBOXES, sandbox_key(&k, fl_endpoint_sandbox(ep), &who.owner),
		      (struct fl_bytes){ b.s, b.len }, err);
}

int fl_hosts_del(struct fl_txn *t, const struct fl_endpoint *ep, struct fl_error *err)
{
	struct fl_named who = named_of(ep);
	struct fl_key k;
	int r = fl_named_del(t, &who, err);

	if (!r)
		r = fl_del(t, FL_TABLE_NAMES, owner_key(&k, who.owner), err);
	return r ? r
		 : fl_del(t, FL_TABLE_SANDBOXES,
			  sandbox_key(&k, fl_endpoint_sandbox(ep), &who.owner), err);
}

/* ---- reading ---- */

/* Kept from one transaction to the next: this is what each query of the resolver costs. */
static int renew_cursor(struct fl_txn *t, MDB_cursor **ret, bool *ret_own)
{
	struct fl_store *s = t->store;
	int rc;

	*ret_own = !t->pooled;
	if (!t->pooled)
		return mdb_cursor_open(t->mdb, s->dbi[FL_TABLE_HOSTS], ret);
	rc = s->hosts ? mdb_cursor_renew(t->mdb, s->hosts)
		      : mdb_cursor_open(t->mdb, s->dbi[FL_TABLE_HOSTS], &s->hosts);
	*ret = s->hosts;
	return rc;
}

static int take_host(const struct fl_txn *t, MDB_val v, struct fl_host *ret, struct fl_error *err)
{
	const uint8_t *b = v.mv_data;
	size_t len = v.mv_size ? (b[0] == 4 ? 4 : b[0] == 6 ? 16 : 0) : 0;

	if (v.mv_size != 1 + len + sizeof(ret->owner))
		return fl_error_set(err, EBADMSG, FL_ECODE_STORE,
				    "state directory %s: a host's entry is damaged", t->store->dir);
	ret->family = b[0];
	memcpy(ret->addr, b + 1, len);
	memset(ret->addr + len, 0, sizeof(ret->addr) - len);
	memcpy(ret->owner, b + 1 + len, sizeof(ret->owner));
	return 0;
}

int fl_hosts_find(struct fl_txn *t, const struct fl_dns_name *name, const char *network,
		  struct fl_host *out, size_t max, size_t *n, struct fl_error *err)
{
	uint64_t key = host_key(t->store, name, network);
	MDB_val mk = { sizeof(key), &key }, mv;
	MDB_cursor *c;
	bool own;
	int rc = renew_cursor(t, &c, &own), r = 0;

	if (rc)
		return fl_store_fail(t->store, rc, err);
	rc = mdb_cursor_get(c, &mk, &mv, MDB_SET);
	if (rc)
		r = fl_store_fail(t->store, rc, err);
	while (!rc && !r && *n < max) {
		r = take_host(t, mv, &out[*n], err);
		*n += !r;
		rc = mdb_cursor_get(c, &mk, &mv, MDB_NEXT_DUP);
	}
	if (own)
		mdb_cursor_close(c);
	return r;
}

int fl_hosts_reverse(struct fl_txn *t, const struct fl_addr *a, const char *network,
		     struct fl_dns_name *ret_name, struct fl_endpoint_id *ret_id,
		     struct fl_error *err)
{
	struct fl_bytes val;
	uint64_t owner = 0;
	struct fl_key k;
	int r = get_address(t, a, network, &val, err);

	if (!r)
		r = split_address(val, &owner, ret_name, err);
	if (r || !ret_id)
		return r;
	r = fl_get(t, FL_TABLE_NAMES, owner_key(&k, owner), &val, err);
	return r ? r : fl_key_endpoint_parse(val, ret_id, err);
}

struct sandboxes {
	int (*fn)(void *arg, const struct fl_sandbox_entry *e);
	void *arg;
	struct fl_error *err;
};

static int each_sandbox(void *arg, struct fl_bytes key, struct fl_bytes val)
{
	const struct sandboxes *s = arg;
	const uint8_t *k = key.p;
	struct fl_sandbox_entry e;
	uint16_t len;
	int r;

	if (key.len != 16 || val.len < sizeof(len))
		return fl_error_set(s->err, EBADMSG, FL_ECODE_STORE, "state: a sandbox is damaged");
	memcpy(&len, val.p, sizeof(len));
	if (val.len < sizeof(len) + len)
		return fl_error_set(s->err, EBADMSG, FL_ECODE_STORE, "state: a sandbox is damaged");
	e.sandbox = (uint64_t)fl_get_u32(k) << 32 | fl_get_u32(k + 4);
	e.dns = (const char *)val.p + sizeof(len) + len;
	e.dns_len = val.len - sizeof(len) - len;
	r = fl_key_endpoint_parse((struct fl_bytes){ (const char *)val.p + sizeof(len), len },
				  &e.id, s->err);
	return r ? r : s->fn(s->arg, &e);
}

int fl_sandboxes_each(struct fl_txn *t, uint64_t sandbox, bool all,
		      int (*fn)(void *arg, const struct fl_sandbox_entry *e), void *arg,
		      struct fl_error *err)
{
	struct sandboxes s = { fn, arg, err };
	struct fl_key k;

	return fl_each(t, FL_TABLE_SANDBOXES,
		       all ? (struct fl_bytes){ 0 } : sandbox_key(&k, sandbox, NULL), each_sandbox,
		       &s, err);
}

static int add_digest(void *arg, struct fl_bytes key, struct fl_bytes val)
{
	uint64_t *h = arg;

	*h = hash_more(hash_more(*h ? *h : HASH_START, key.p, key.len), val.p, val.len);
	return 0;
}

int fl_sandbox_digest(struct fl_txn *t, uint64_t sandbox, uint64_t *ret, struct fl_error *err)
{
	struct fl_key k;

	*ret = 0;
	return fl_each(t, FL_TABLE_SANDBOXES, sandbox_key(&k, sandbox, NULL), add_digest, ret, err);
}

static int is_another(void *arg, const struct fl_sandbox_entry *e)
{
	const struct fl_endpoint_id *except = arg;

	return !except || !fl_endpoint_id_eq(&e->id, except);
}

int fl_sandbox_in_use(struct fl_txn *t, uint64_t sandbox, const struct fl_endpoint_id *except,
		      struct fl_error *err)
{
	return fl_sandboxes_each(t, sandbox, false, is_another, (void *)except, err);
}
