/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libcurl's multi interface on libevent (curl_multi_socket_action(3)).
 *
 * Inside of libcurl's callbacks nothing but bytes is moved; owners are told when it has returned,
 * so that they may free transfers and start others.
 */
#include "cluster/client.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

/* ---- the loop ---- */

static void queue_ready(struct transfer *t)
{
	if (t->queued)
		return;
	t->queued = true;
	TAILQ_INSERT_TAIL(&t->c->ready, t, ready);
}

static void collect_finished(struct fl_etcd *c)
{
	CURLMsg *m;
	int left;

	while ((m = curl_multi_info_read(c->multi, &left))) {
		struct transfer *t = NULL;

		if (m->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &t);
		t->result = m->data.result;
		t->finished = true;
		queue_ready(t);
	}
}

/* An owner's function may free any transfer, this one included: it is the last thing done. */
static void hand_on(struct fl_etcd *c)
{
	struct transfer *t;

	while ((t = TAILQ_FIRST(&c->ready))) {
		TAILQ_REMOVE(&c->ready, t, ready);
		t->queued = false;
		if (t->data && t->in.len && !t->finished)
			t->data(t->arg);
		else if (t->finished)
			t->done(t->arg);
	}
}

static void act(struct fl_etcd *c, curl_socket_t fd, int what)
{
	int running;

	curl_multi_socket_action(c->multi, fd, what, &running);
	collect_finished(c);
	hand_on(c);
}

static void on_socket(evutil_socket_t fd, short what, void *arg)
{
	act(arg, fd,
	    (what & EV_READ ? CURL_CSELECT_IN : 0) | (what & EV_WRITE ? CURL_CSELECT_OUT : 0));
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	act(arg, CURL_SOCKET_TIMEOUT, 0);
}

static int set_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *old)
{
	struct fl_etcd *c = arg;
	struct event *e = old;
	int kind = EV_PERSIST | (what & CURL_POLL_IN ? EV_READ : 0) |
		   (what & CURL_POLL_OUT ? EV_WRITE : 0);

	(void)easy;
	if (e)
		event_free(e);
	e = what == CURL_POLL_REMOVE ? NULL : event_new(c->base, fd, (short)kind, on_socket, c);
	if (e)
		event_add(e, NULL);
	curl_multi_assign(c->multi, fd, e);
	return 0;
}

static int set_timer(CURLM *multi, long ms, void *arg)
{
	struct fl_etcd *c = arg;
	struct timeval tv = { ms / 1000, ms % 1000 * 1000 };

	(void)multi;
	if (ms < 0)
		event_del(c->timer);
	else
		event_add(c->timer, &tv);
	return 0;
}

int transport_init(struct fl_etcd *c, struct fl_error *err)
{
	if (curl_global_init(CURL_GLOBAL_DEFAULT))
		return fl_error_set(err, EIO, FL_ECODE_IO, "etcd: libcurl cannot be used");
	c->multi = curl_multi_init();
	c->timer = evtimer_new(c->base, on_timer, c);
	if (!c->multi || !c->timer)
		return fl_error_oom(err);
	curl_multi_setopt(c->multi, CURLMOPT_SOCKETFUNCTION, set_socket);
	curl_multi_setopt(c->multi, CURLMOPT_SOCKETDATA, c);
	curl_multi_setopt(c->multi, CURLMOPT_TIMERFUNCTION, set_timer);
	curl_multi_setopt(c->multi, CURLMOPT_TIMERDATA, c);
	/* By itself libcurl keeps few while few are in use, and each costs a handshake. */
	curl_multi_setopt(c->multi, CURLMOPT_MAXCONNECTS, (long)FL_ETCD_CALLS_MAX);
	return 0;
}

void transport_clear(struct fl_etcd *c)
{
	if (c->multi)
		curl_multi_cleanup(c->multi);
	if (c->timer)
		event_free(c->timer);
}

/* ---- connections ---- */

static uint64_t cookie_of(int fd)
{
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);

	return getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len) ? 0 : cookie;
}

static void forget_socket(struct fl_etcd *c, int fd)
{
	for (unsigned i = 0; i < c->n_sockets; i++)
		if (c->sockets[i].fd == fd) {
			c->sockets[i] = c->sockets[--c->n_sockets];
			return;
		}
}

static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *to)
{
	struct fl_etcd *c = arg;
	int fd = socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);

	(void)purpose;
	if (fd < 0)
		return CURL_SOCKET_BAD;
	/* libcurl 7.88 does not tell of the end of one that was never connected. */
	forget_socket(c, fd);
	/* One more than is remembered is none of ours to break. */
	if (c->n_sockets < FL_ARRAY_SIZE(c->sockets)) {
		c->sockets[c->n_sockets].fd = fd;
		c->sockets[c->n_sockets++].cookie = cookie_of(fd);
	}
	return fd;
}

static int close_socket(void *arg, curl_socket_t fd)
{
	forget_socket(arg, fd);
	return close(fd);
}

/* libcurl sees an end: of a request under way, and of a kept connection before it is used again. */
void fl_etcd_reconnect(struct fl_etcd *c)
{
	for (unsigned i = 0; i < c->n_sockets; i++)
		if (c->sockets[i].cookie && cookie_of(c->sockets[i].fd) == c->sockets[i].cookie)
			shutdown(c->sockets[i].fd, SHUT_RDWR);
}

/* ---- one exchange ---- */

static size_t on_data(char *data, size_t size, size_t n, void *arg)
{
	struct transfer *t = arg;

	(void)size; /* always 1 */
	t->c->stats.bytes_in += n;
	if (t->in.len + n > t->max) {
		t->too_large = true;
		return 0;
	}
	fl_strbuf_addn(&t->in, data, n);
	if (t->data)
		queue_ready(t);
	return t->in.failed ? 0 : n;
}

/*
 * Called when a connection is there and before the first byte. libcurl sends a request again by
 * itself when a kept connection turns out to be closed; whether the server has done it is not known
 * then, so that a write must not be.
 */
static int on_send(void *arg, char *remote, char *local, int remote_port, int local_port)
{
	struct transfer *t = arg;
	bool again = t->sent;

	(void)remote;
	(void)local;
	(void)remote_port;
	(void)local_port;
	t->sent = true;
	return again && t->once ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

/* A peer that vanished without a word is noticed within about four seconds. */
static int on_open(void *arg, curl_socket_t fd, curlsocktype purpose)
{
	static const struct {
		int level, name, value;
	} options[] = {
		{ SOL_SOCKET, SO_KEEPALIVE, 1 },	 { IPPROTO_TCP, TCP_KEEPIDLE, 2 },
		{ IPPROTO_TCP, TCP_KEEPINTVL, 1 },	 { IPPROTO_TCP, TCP_KEEPCNT, 2 },
		{ IPPROTO_TCP, TCP_USER_TIMEOUT, 3000 }, { IPPROTO_TCP, TCP_NODELAY, 1 },
	};

	(void)arg;
	(void)purpose;
	for (size_t i = 0; i < FL_ARRAY_SIZE(options); i++)
		setsockopt(fd, options[i].level, options[i].name, &options[i].value, sizeof(int));
	return CURL_SOCKOPT_OK;
}

static void set_tls(struct transfer *t)
{
	const struct fl_etcd *c = t->c;

	curl_easy_setopt(t->easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	if (c->ca_file)
		curl_easy_setopt(t->easy, CURLOPT_CAINFO, c->ca_file);
	if (c->cert_file) {
		curl_easy_setopt(t->easy, CURLOPT_SSLCERT, c->cert_file);
		curl_easy_setopt(t->easy, CURLOPT_SSLKEY, c->key_file);
	}
}

static void set_options(struct transfer *t, const struct exchange *x)
{
	curl_easy_setopt(t->easy, CURLOPT_PRIVATE, t);
	curl_easy_setopt(t->easy, CURLOPT_URL, t->url);
	curl_easy_setopt(t->easy, CURLOPT_ERRORBUFFER, t->text);
	curl_easy_setopt(t->easy, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(t->easy, CURLOPT_WRITEDATA, t);
	curl_easy_setopt(t->easy, CURLOPT_PREREQFUNCTION, on_send);
	curl_easy_setopt(t->easy, CURLOPT_PREREQDATA, t);
	curl_easy_setopt(t->easy, CURLOPT_SOCKOPTFUNCTION, on_open);
	curl_easy_setopt(t->easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
	curl_easy_setopt(t->easy, CURLOPT_OPENSOCKETDATA, t->c);
	curl_easy_setopt(t->easy, CURLOPT_CLOSESOCKETFUNCTION, close_socket);
	curl_easy_setopt(t->easy, CURLOPT_CLOSESOCKETDATA, t->c);
	curl_easy_setopt(t->easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(t->easy, CURLOPT_PROXY, ""); /* whatever the environment says */
	curl_easy_setopt(t->easy, CURLOPT_PROTOCOLS_STR, "http,https");
	/* With HTTP/2 the watches would share their connection with the rest. */
	curl_easy_setopt(t->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->headers);
	curl_easy_setopt(t->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)t->c->connect_ms);
	curl_easy_setopt(t->easy, CURLOPT_TIMEOUT_MS, (long)x->timeout_ms);
	if (!x->get) {
		curl_easy_setopt(t->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(t->body));
		curl_easy_setopt(t->easy, CURLOPT_POSTFIELDS, t->body);
	}
	set_tls(t);
}

static int add_header(struct transfer *t, const char *text)
{
	struct curl_slist *more = curl_slist_append(t->headers, text);

	if (more)
		t->headers = more;
	return more ? 0 : -ENOMEM;
}

static int set_headers(struct transfer *t, const struct exchange *x)
{
	char text[TOKEN_MAX + 32];
	/* "Expect: 100-continue" would cost a large transaction a round trip. */
	int r = add_header(t, "Expect:");

	if (!r)
		r = add_header(t, "Content-Type: application/json");
	if (!r && x->leader)
		r = add_header(t, "Grpc-Metadata-hasleader: true");
	if (!r && t->c->token[0] && !x->get) {
		snprintf(text, sizeof(text), "Authorization: %s", t->c->token);
		r = add_header(t, text);
		explicit_bzero(text, sizeof(text));
	}
	return r;
}

static int make_url(struct transfer *t, const struct exchange *x)
{
	const char *api = x->raw ? "" : x->to->api;

	return asprintf(&t->url, "%s%s%s", x->to->url, api, x->path) < 0 ? -ENOMEM : 0;
}

int transfer_start(struct fl_etcd *c, const struct exchange *x, struct transfer **ret)
{
	FL_CLEANUP(transfer_free_p) struct transfer *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->c = c;
	t->max = x->max;
	t->once = x->once;
	t->easy = curl_easy_init();
	if (!x->get)
		t->body = strdup(x->body);
	if (!t->easy || make_url(t, x) || set_headers(t, x) || (!x->get && !t->body))
		return -ENOMEM;
	set_options(t, x);
	if (curl_multi_add_handle(c->multi, t->easy))
		return -ENOMEM;
	c->stats.requests++;
	c->stats.bytes_out += t->body ? strlen(t->body) : 0;
	*ret = fl_take_ptr(t);
	return 0;
}

void transfer_free(struct transfer *t)
{
	if (t->queued)
		TAILQ_REMOVE(&t->c->ready, t, ready);
	if (t->easy) {
		curl_multi_remove_handle(t->c->multi, t->easy);
		curl_easy_cleanup(t->easy);
	}
	curl_slist_free_all(t->headers);
	fl_strbuf_clear(&t->in);
	if (t->body)
		explicit_bzero(t->body, strlen(t->body)); /* it may be a login */
	free(t->body);
	free(t->url);
	free(t);
}

long transfer_status(const struct transfer *t)
{
	long status = 0;

	curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
	return status;
}

/* ---- what went wrong ---- */

static const struct {
	CURLcode code;
	int err;
	const char *remedy;
} remedies[] = {
	{ CURLE_COULDNT_RESOLVE_HOST, EHOSTUNREACH, "check the name, or give an address" },
	{ CURLE_COULDNT_CONNECT, ECONNREFUSED, "check that etcd runs and listens there" },
	{ CURLE_OPERATION_TIMEDOUT, ETIMEDOUT, "check that the member is alive and reachable" },
	{ CURLE_PEER_FAILED_VERIFICATION, EPROTO,
	  "check that the CA file is of the server's certificate, and that the certificate names "
	  "this host" },
	{ CURLE_SSL_CACERT_BADFILE, EINVAL, "check the CA file" },
	{ CURLE_SSL_CERTPROBLEM, EINVAL, "check the certificate and its key" },
	{ CURLE_SSL_CONNECT_ERROR, EPROTO,
	  "check that the endpoint speaks https, and that it accepts the client's certificate" },
	{ CURLE_RECV_ERROR, ECONNRESET,
	  "check the member's log; with client certificates, that it accepts this one" },
	{ CURLE_GOT_NOTHING, ECONNRESET,
	  "check the member's log; if it wants TLS, write https:// in the endpoint" },
	{ CURLE_UNSUPPORTED_PROTOCOL, EPROTO, "check that the port is etcd's client port" },
	{ CURLE_WEIRD_SERVER_REPLY, EPROTO, "check that the port is etcd's client port" },
};

int transfer_error(const struct transfer *t, const struct endpoint *to, struct fl_error *err)
{
	const char *said = *t->text ? t->text : curl_easy_strerror(t->result);

	if (t->too_large)
		return fl_error_set(err, E2BIG, FL_ECODE_IO,
				    "etcd %s: an answer of more than %zu MiB; check that the "
				    "endpoint is an etcd server",
				    to->url, t->max >> 20);
	if (t->result == CURLE_ABORTED_BY_CALLBACK) /* on_send() */
		return fl_error_set(err, ECONNRESET, FL_ECODE_IO,
				    "etcd %s: the connection was closed under the request",
				    to->url);
	for (size_t i = 0; i < FL_ARRAY_SIZE(remedies); i++)
		if (remedies[i].code == t->result)
			return fl_error_set(err, remedies[i].err, FL_ECODE_IO, "etcd %s: %s; %s",
					    to->url, said, remedies[i].remedy);
	return fl_error_set(err, EIO, FL_ECODE_IO, "etcd %s: %s; check the member's log", to->url,
			    said);
}
