/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A request that cannot be answered yet (the store was not read, the network not joined) stays with
 * its client, and is looked at again whenever something has changed.
 */
#include "overlay/agent.h"

#include "base/seqpacket.h"
#include "base/service.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

enum {
	CLIENTS_MAX = 4096,
	PIECE = 32 << 10, /* of a stream */
	GRACE_MS = 2500,  /* before trouble with the store is told, which may pass */
};

static void handle(struct client *c);

static void client_free(struct client *c)
{
	struct agent *a = c->a;

	if (c->prev)
		c->prev->next = c->next;
	else
		a->clients = c->next;
	if (c->next)
		c->next->prev = c->prev;
	a->n_clients--;
	event_free(c->readable);
	event_free(c->timer);
	close(c->fd);
	fl_strbuf_clear(&c->out);
	free(c);
}

static void client_close(struct client *c)
{
	event_del(c->readable);
	event_del(c->timer); /* What runs for it comes to its end first. */
	c->gone = true;
	c->dead = !c->started;
	agent_wake(c->a);
}

void client_answer(struct client *c, int r, const struct fl_error *err,
		   const struct fl_overlay_answer *fill)
{
	struct fl_overlay_answer answer = fill ? *fill : (struct fl_overlay_answer){ 0 };

	r = r > 0 ? -r : r;
	answer.magic = FL_OVERLAY_MAGIC;
	answer.result = r;
	if (r < 0 && err) {
		answer.code = err->code ? err->code : FL_ECODE_IO;
		snprintf(answer.text, sizeof(answer.text), "%.511s", err->text);
	}
	c->busy = c->started = false;
	event_del(c->timer);
	c->dead = c->gone;
	/* Whoever calls may go on with it. */
	if (c->dead)
		agent_wake(c->a);
	else
		fl_packet_send(c->fd, &answer, sizeof(answer), NULL, 0);
}

/* ---- waiting ---- */

static void refuse(struct client *c)
{
	struct agent *a = c->a;
	struct fl_error err = { 0 };

	if (a->trouble.err)
		fl_error_set(&err, ETIMEDOUT,
			     a->trouble.code == FL_ECODE_CONFLICT ? FL_ECODE_CONFLICT
								  : FL_ECODE_TRY_AGAIN,
			     "%.400s", a->trouble.text);
	else
		fl_error_set(&err, ETIMEDOUT, FL_ECODE_TRY_AGAIN,
			     "the cluster's store was not read within %d s; try again",
			     WAIT_MS / 1000);
	client_answer(c, -ETIMEDOUT, &err, NULL);
}

static bool is_too_late(const struct client *c)
{
	const struct agent *a = c->a;
	int64_t waited = now_ms() - c->began;

	return waited >= WAIT_MS || (a->trouble.err && (a->hopeless || waited >= GRACE_MS));
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct client *c = arg;

	(void)fd;
	(void)what;
	if (c->busy && !c->started)
		handle(c);
}

static void keep_waiting(struct client *c)
{
	static const struct timeval look = { 0, 250000 };

	if (!c->busy || c->started)
		return;
	if (is_too_late(c))
		refuse(c);
	else
		event_add(c->timer, &look);
}

void clients_wake(struct agent *a)
{
	struct client *c, *next;

	for (c = a->clients; c; c = next) {
		next = c->next;
		if (c->dead)
			client_free(c);
		else if (c->busy && !c->started)
			handle(c);
	}
}
bool clients_want(const struct agent *a, const char *network)
{
	for (const struct client *c = a->clients; c; c = c->next)
		if (!c->gone && !strcmp(c->q.network, network) &&
		    (c->q.op == FL_OVERLAY_JOIN || c->q.op == FL_OVERLAY_ALLOCATE))
			return true;
	return false;
}

/* ---- operations ---- */

static int no_network(struct client *c, struct fl_error *err)
{
	return fl_error_set(err, ENOENT, FL_ECODE_UNKNOWN_CONTAINER,
			    "the cluster %s has no network %s", c->a->conf.cluster, c->q.network);
}

/* What a configuration says has to be what the network is. */
static int check_settings(const struct client *c, const struct fl_rec_net *net,
			  struct fl_error *err)
{
	const struct fl_overlay_settings *s = &c->q.settings;
	const char *key = NULL;

	if (net->encrypted)
		return fl_error_set(err, EOPNOTSUPP, FL_ECODE_UNSUPPORTED,
				    "network %s is encrypted, which this version of fairlead "
				    "cannot do; nothing of it goes out in clear",
				    net->name);
	if (s->vni && s->vni != net->vni)
		key = "vni";
	else if (s->mtu && s->mtu != net->mtu)
		key = "mtu";
	else if (s->port && s->port != (net->port ? net->port : VXLAN_PORT))
		key = "port";
	else if (s->internal && !net->internal)
		key = "internal";
	else if (s->broadcast && !net->broadcast)
		key = "broadcast";
	else if (s->mode == FL_OVERLAY_L3 && net->mode != FL_REC_L3)
		key = "mode";
	for (uint32_t i = 0; !key && i < s->n_subnets && i < FL_OVERLAY_SUBNETS; i++) {
		bool found = false;

		for (size_t k = 0; k < net->n_subnets; k++)
			found |= fl_prefix_same_net(&net->subnets[k].subnet,
						    &s->subnets[i].subnet) &&
				 net->subnets[k].subnet.len == s->subnets[i].subnet.len &&
				 (!fl_addr_is_set(&s->subnets[i].gateway) ||
				  fl_addr_eq(&s->subnets[i].gateway, &net->subnets[k].gateway));
		if (!found)
			key = "subnets";
	}
	if (!key)
		return 0;
	return fl_error_set(err, EEXIST, FL_ECODE_CONFLICT,
			    "network %s is in the cluster with another %s; remove what the "
			    "configuration says about it, or use another name",
			    net->name, key);
}

static void do_join(struct client *c)
{
	struct network *net = network_named(c->a, c->q.network);
	struct fl_overlay_answer answer = { 0 };
	struct fl_error err = { 0 };
	int r = 0;

	if (!networks_synced(c->a) || !nodes_synced(c->a))
		return;
	if (!net && c->expects)
		return;
	if (!net && c->q.create) {
		create_network(c);
		return;
	}
	r = net ? check_settings(c, &net->rec, &err) : no_network(c, &err);
	if (r) {
		client_answer(c, r, &err, NULL);
		return;
	}
	network_join(net);
	if (net->refusal.err) {
		client_answer(c, net->refusal.err, &net->refusal, NULL);
		return;
	}
	if (!network_ready(net))
		return;
	network_answer(net, &answer.network);
	client_answer(c, 0, NULL, &answer);
}

/* In any order; what is not set is not asked for. */
static bool has_addresses(const struct ep *e, const struct fl_addr *ips)
{
	for (int i = 0; i < FL_OVERLAY_SUBNETS; i++)
		if (fl_addr_is_set(&ips[i]) &&
		    !fl_addr_eq(&ips[i], &e->ip[ips[i].family == AF_INET6]))
			return false;
	return true;
}

static void do_check(struct client *c)
{
	struct network *net = network_named(c->a, c->q.network);
	char id[FL_OVERLAY_ID];
	struct fl_error err = { 0 };
	const struct ep *e;
	int r = 0;

	if (net && !network_ready(net))
		return;
	endpoint_id(c->a, c->q.container, c->q.ifname, id);
	e = net ? table_find(net, id) : NULL;
	if (net && endpoint_conflict(net, id, &err))
		r = -EUCLEAN;
	else if (!e || !e->node->self || !has_addresses(e, c->q.ips))
		r = fl_error_set(&err, EUCLEAN, FL_ECODE_CHECK,
				 "the cluster has not these addresses for container %s, interface "
				 "%s of network %s",
				 c->q.container, c->q.ifname, c->q.network);
	client_answer(c, r, &err, NULL);
}

static void do_status(struct client *c)
{
	struct agent *a = c->a;

	if (a->member.state == MEMBER_IN && networks_synced(a) && !a->trouble.err)
		client_answer(c, 0, NULL, NULL);
}

/* Whoever asks has seen a difference: it is none of ours to count. */
static void do_resync(struct client *c)
{
	struct network *net = network_named(c->a, c->q.network);

	if (!networks_synced(c->a) || (net && net->joined && !network_ready(net)))
		return;
	if (net && net->joined)
		program_compare(net, true);
	client_answer(c, 0, NULL, NULL);
}

static void do_leave(struct client *c)
{
	struct agent *a = c->a;
	struct network *net, *tmp;
	struct fl_error err = { 0 };

	HASH_ITER (hh, a->networks, net, tmp)
		if (net->n_local || local_has_endpoints(a, net->rec.name)) {
			client_answer(c,
				      fl_error_set(&err, EBUSY, FL_ECODE_CONFLICT,
						   "this node has %u endpoints on network %s; "
						   "detach them first",
						   net->n_local, net->rec.name),
				      &err, NULL);
			return;
		}
	HASH_ITER (hh, a->networks, net, tmp)
		if (net->member) {
			network_leave(net);
			return;
		}
	member_leave(a, c);
}

/* Those that need to know the networks, or the nodes too, wait until they are known. */

static void do_create(struct client *c)
{
	if (networks_synced(c->a))
		create_network(c);
}

static void do_remove(struct client *c)
{
	if (networks_synced(c->a))
		remove_network(c);
}

static void do_evict(struct client *c)
{
	if (networks_synced(c->a) && nodes_synced(c->a))
		sweep_node(c->a, c->q.node, c);
}

/* As it is; of an agent that has just been started, what it is about to read. */
static void do_show(struct client *c)
{
	const struct agent *a = c->a;
	bool knows = a->member.state == MEMBER_IN && networks_synced(a) && nodes_synced(a);

	if (knows || a->trouble.err || now_ms() - c->began >= GRACE_MS)
		show(c);
}

static void do_unknown(struct client *c)
{
	client_answer(c, -EOPNOTSUPP,
		      &(struct fl_error){ .code = FL_ECODE_UNSUPPORTED,
					  .text = "this fairlead-overlayd does not know the "
						  "request: start the newer one" },
		      NULL);
}

static void handle(struct client *c)
{
	static void (*const operations[])(struct client *) = {
		[FL_OVERLAY_JOIN] = do_join,
		[FL_OVERLAY_ALLOCATE] = endpoint_allocate,
		[FL_OVERLAY_RELEASE] = endpoint_release,
		[FL_OVERLAY_CHECK] = do_check,
		[FL_OVERLAY_STATUS] = do_status,
		[FL_OVERLAY_CREATE] = do_create,
		[FL_OVERLAY_REMOVE] = do_remove,
		[FL_OVERLAY_SHOW] = do_show,
		[FL_OVERLAY_EVICT] = do_evict,
		[FL_OVERLAY_LEAVE] = do_leave,
		[FL_OVERLAY_RESYNC] = do_resync,
	};
	size_t op = c->q.op;

	if (c->a->hopeless && op != FL_OVERLAY_SHOW && op != FL_OVERLAY_RELEASE) {
		refuse(c);
		return;
	}
	if (op >= FL_ARRAY_SIZE(operations) || !operations[op]) {
		do_unknown(c);
		return;
	}
	operations[op](c);
	keep_waiting(c);
}

/* ---- connections ---- */

/* A byte that is neither 0 nor 1 is no bool to look at. */
static void settle(bool *b)
{
	uint8_t byte;

	memcpy(&byte, b, sizeof(byte));
	*b = byte != 0;
}

static void end_strings(struct fl_overlay_request *q)
{
	settle(&q->create);
	settle(&q->settings.internal);
	settle(&q->settings.broadcast);
	settle(&q->settings.ipv6);
	q->network[sizeof(q->network) - 1] = '\0';
	q->node[sizeof(q->node) - 1] = '\0';
	q->container[sizeof(q->container) - 1] = '\0';
	q->ifname[sizeof(q->ifname) - 1] = '\0';
	q->name[sizeof(q->name) - 1] = '\0';
	if (q->n_aliases > FL_OVERLAY_ALIASES)
		q->n_aliases = FL_OVERLAY_ALIASES;
	if (q->settings.n_subnets > FL_OVERLAY_SUBNETS)
		q->settings.n_subnets = FL_OVERLAY_SUBNETS;
	for (int i = 0; i < FL_OVERLAY_ALIASES; i++)
		q->aliases[i][FL_OVERLAY_HOST - 1] = '\0';
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct client *c = arg;
	struct fl_overlay_request q;
	int r = fl_packet_receive(fd, &q, sizeof(q), NULL, 0);

	(void)what;
	if (r == -EAGAIN)
		return;
	/* One at a time; who does not wait for the answer is none of ours. */
	if (r < 0 || c->busy) {
		client_close(c);
		return;
	}
	c->q = q;
	end_strings(&c->q);
	if (q.magic != FL_OVERLAY_MAGIC) {
		client_answer(c, -EPROTO, NULL, NULL);
		return;
	}
	if (q.dev != c->a->state_dev || q.ino != c->a->state_ino) {
		client_answer(c, -EXDEV, NULL, NULL);
		return;
	}
	c->busy = true;
	c->expects = false;
	c->began = now_ms();
	handle(c);
}

static void on_accept(evutil_socket_t fd, short what, void *arg)
{
	struct agent *a = arg;
	int s = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct client *c;

	(void)what;
	if (s < 0)
		return;
	if (a->n_clients >= CLIENTS_MAX) {
		close(s);
		return;
	}
	c = must_alloc(sizeof(*c));
	c->a = a;
	c->fd = s;
	c->next = a->clients;
	if (c->next)
		c->next->prev = c;
	a->clients = c;
	a->n_clients++;
	c->readable = event_new(a->base, s, EV_READ | EV_PERSIST, on_readable, c);
	c->timer = evtimer_new(a->base, on_timer, c);
	if (!c->readable || !c->timer)
		die_of_memory();
	event_add(c->readable, NULL);
}

/* ---- streams ---- */

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct client *c = arg;
	size_t left = c->out.len - c->sent, n = left < PIECE ? left : PIECE;
	ssize_t sent = left ? send(fd, c->out.s + c->sent, n, MSG_NOSIGNAL | MSG_DONTWAIT) : 0;

	(void)what;
	if (sent < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	c->sent += sent > 0 ? (size_t)sent : 0;
	if (sent < 0 || c->sent == c->out.len)
		client_close(c);
}

void client_stream(struct client *c)
{
	client_answer(c, 0, NULL, NULL);
	event_free(c->readable);
	c->readable = event_new(c->a->base, c->fd, EV_WRITE | EV_PERSIST, on_writable, c);
	if (!c->readable)
		die_of_memory();
	event_add(c->readable, NULL);
}

/* ---- the socket ---- */

int control_open(struct agent *a, struct fl_error *err)
{
	FL_AUTOCLOSE int dir = open(a->state, O_PATH | O_DIRECTORY | O_CLOEXEC);
	char path[sizeof(a->state) + 32];

	if (dir < 0)
		return fl_error_errno(err, errno, FL_ECODE_STORE, "state directory %s", a->state);
	/* By its descriptor: the path may be longer than an address can be. The lock is ours, so
	 * whoever listened there is dead. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d/" FL_OVERLAY_SOCKET, dir);
	if (unlink(path) && errno != ENOENT)
		return fl_error_errno(err, errno, FL_ECODE_IO, "cannot remove %s/%s", a->state,
				      FL_OVERLAY_SOCKET);
	a->listener = fl_listen_at(path, SOCK_SEQPACKET, "--state", err);
	if (a->listener < 0)
		return a->listener;
	a->accept = event_new(a->base, a->listener, EV_READ | EV_PERSIST, on_accept, a);
	if (!a->accept)
		die_of_memory();
	event_add(a->accept, NULL);
	return 0;
}

void control_close(struct agent *a)
{
	char path[sizeof(a->state) + 32];
	uint64_t dev, ino;

	/* There may be another agent's: of this folder, whose lock we did not get, or of the one
	 * that came in its place. */
	snprintf(path, sizeof(path), "%s/" FL_OVERLAY_SOCKET, a->state);
	if (a->listener >= 0 && !fl_folder_identify(a->state, &dev, &ino) && dev == a->state_dev &&
	    ino == a->state_ino)
		unlink(path);
	while (a->clients)
		client_free(a->clients);
	if (a->accept)
		event_free(a->accept);
	fl_close_p(&a->listener);
}
