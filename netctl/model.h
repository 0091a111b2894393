/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the store knows, read in one transaction. The plugins of a chain keep a record each; what
 * people mean is the attachment: network, container, interface.
 */
#pragma once

#include "netctl/ctl.h"

struct attachment {
	/* The plugin's that made the interface, else the first one's. In model.endpoints. */
	const struct fl_endpoint *main;
	const struct fl_endpoint *first; /* the records of the chain lie together */
	size_t n;
	/*
	 * Where containers share sandboxes: the first attachment of the one whose sandbox it is in.
	 * NULL: that one is attached to nothing, or nobody shares any.
	 */
	const struct attachment *owner;
};

struct model {
	struct fl_network *networks; /* by name, then driver */
	size_t n_networks;
	struct fl_endpoint *endpoints; /* by network, container, interface */
	size_t n_endpoints;
	struct attachment *attachments; /* in the same order */
	size_t n_attachments;
	uint64_t txn; /* fl_txn_id() of when it was read; 0: there was nothing to read */
};

/* Empty when no plugin has run on this host yet. */
int model_read(struct ctl *c, struct model *ret, struct fl_error *err);
/* Reads it again if the store has changed since: 1, else 0. */
int model_update(struct ctl *c, struct model *m, struct fl_error *err);
void model_clear(struct model *m);
#define AUTOMODEL FL_CLEANUP(model_clear)

/* One of endpoints that are had otherwise: a copy of each, then their attachments. -ENOMEM. */
int model_add(struct model *m, const struct fl_endpoint *ep);
int model_group(struct model *m);

/* Room for one more than n: doubles at powers of two. -ENOMEM. */
int array_grow(void **items, size_t n, size_t size);

/* How many names of networks there are: each plugin of a chain keeps a record. */
size_t model_count_networks(const struct model *m);
/* NULL: there is no such record. */
const struct fl_endpoint *model_endpoint(const struct model *m, const struct fl_endpoint_id *id);
/* The record of the network that the endpoint's plugin keeps; NULL: none. */
const struct fl_network *model_network(const struct model *m, const struct fl_endpoint *ep);

/*
 * Attachments of a container by what people call it: its id, else its name, else a prefix of the
 * id; NULL for all. Narrowed to a network and an interface unless NULL. *n is how many there are,
 * *ret an array of pointers into the model (owned). None, and a name or prefix of several
 * containers (-ENOTUNIQ), are EXIT_NOT_FOUND.
 */
int model_find(const struct model *m, const char *container, const char *network,
	       const char *ifname, const struct attachment ***ret, size_t *n, struct fl_error *err);

/* Is there a container of just this id or name? */
bool model_knows(const struct model *m, const char *word);

/* What people call a container: its name, else the first twelve letters of its id. */
const char *name_or_id(const char *name, const char *id, char *buf, size_t size);
const char *container_label(const struct fl_endpoint *ep, char *buf, size_t size);
#define CONTAINER_LABEL(ep) \
	container_label(ep, (char[FL_HOSTNAME_MAX + 1]){ 0 }, FL_HOSTNAME_MAX + 1)

const char *state_str(enum fl_state s);	  /* "creating", "ready", "deleting" */
const char *origin_str(enum fl_origin o); /* "cni", "netctl", ... */

/* "0.0.0.0:8080", "[2001:db8::1]:8080", of ranges "0.0.0.0:8000-8009". `family` chooses the
 * wildcard. */
const char *port_host_str(const struct fl_port *p, int family, char *buf, size_t size);
/* "80/tcp", "80-89/udp" */
const char *port_container_str(const struct fl_port *p, char *buf, size_t size);
#define PORT_HOST(p, family) port_host_str(p, family, (char[80]){ 0 }, 80)
#define PORT_CONTAINER(p) port_container_str(p, (char[32]){ 0 }, 32)

/* {"hostIP", "hostPort", "containerPort", "protocol", "range"}; hostIP "" for all addresses. */
json_t *port_json(const struct fl_port *p);
/*
 * {"network", "container", "name", "interface", "driver", "plugins", "state", "origin",
 * "hostInterface", "mac", "addresses", "ports", "netns", "aliases"}; strings are "" where absent.
 */
json_t *attachment_json(const struct attachment *a);
/* The same in words, for the verbs that show it. */
#define ATTACHMENT_JSON                                                                        \
	"network, container (id), name, interface, driver, plugins (list), state (creating, "  \
	"ready, deleting), origin (cni, netctl), hostInterface, mac, addresses (list), ports " \
	"(list), netns, aliases (list), label (what tables call the container)"
