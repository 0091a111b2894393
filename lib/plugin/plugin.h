/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a plugin is: a const table of operations on network, endpoint and sandbox. Dialects (CNI
 * here), the store, IPAM, nftables, rollback and privileges are this library's; a driver never sees
 * which dialect called it.
 *
 * Order of an ADD: validate; prepare; one transaction writes the endpoint as `creating` with lease,
 * ports and memo; network_create, endpoint_create, network_address, join; one nftables batch; one
 * transaction marks it `ready`. With an IPAM that needs the interface (or is the driver's own,
 * allocate), addresses and ports are claimed behind endpoint_create. A failure anywhere runs the
 * same deletion as DEL, by the record.
 */
#pragma once

#include "base/fields.h"
#include "fw/fw.h"
#include "ipam/ipam.h"
#include "netns/netns.h"
#include "nl/virtual.h"
#include "plugin/resolver.h"
#include "plugin/result.h"
#include "plugin/subnet.h"
#include "store/store.h"

enum fl_verb {
	FL_VERB_ADD,
	FL_VERB_DEL,
	FL_VERB_CHECK,
	FL_VERB_GC,
	FL_VERB_STATUS,
	FL_VERB_VERSION
};

enum fl_ipam_mode {
	FL_IPAM_NONE,
	FL_IPAM_OWN,	 /* host-local, in this process and transaction */
	FL_IPAM_STATIC,	 /* addresses are in the configuration */
	FL_IPAM_DHCP,	 /* a server's, through fairlead-dhcpd: needs the interface */
	FL_IPAM_FOREIGN, /* executed: may need the interface */
	FL_IPAM_DRIVER	 /* the driver's allocate(): set by its validate() */
};

/* What is asked for, after decoding; the same for every dialect. */
struct fl_request {
	enum fl_verb verb;
	const char *container, *netns, *ifname; /* "" where absent */
	const char *path;			/* plugin search path, ':' separated */
	const char *args;			/* CNI_ARGS as given */
	char args_mac[18], args_ip[512],
		args_gateway[512];	     /* the keys of CNI_ARGS that concern us */
	char args_name[FL_HOSTNAME_MAX + 1]; /* K8S_POD_NAME */
	json_t *config;			     /* whole configuration, borrowed */
	const char *network;
	enum fl_version version;
};

struct fl_call {
	struct fl_request req;
	const struct fl_driver *driver;
	void *conf; /* driver's struct, decoded by its field table */

	struct fl_netns self, sandbox; /* sandbox.fd < 0: not given or gone */
	struct fl_nl *host, *inside;   /* route sockets in either; inside only with a sandbox */
	struct fl_nl *addr_watch;      /* hears of addresses inside, until they are in use */
	struct fl_nl *near_watch;      /* of the host's end: fl_expect_link_local() */
	uint32_t near_index;
	struct fl_store *store;
	struct fl_fw *fw;

	enum fl_ipam_mode ipam_mode;
	struct fl_ipam_conf ipam;
	struct fl_static_conf fixed; /* FL_IPAM_STATIC */
	const char *ipam_type;
	struct fl_result ipam_result; /* addresses, routes, dns that IPAM gave */

	struct fl_result prev; /* prevResult */
	bool has_prev;
	struct fl_result result; /* what the driver and the engine fill */

	struct fl_network net; /* intent from validate; as stored afterwards */
	struct fl_endpoint ep;
	uint32_t inside_index; /* of the interface in the sandbox */
	uint32_t link_index;   /* of net.link once network_create ran */
	bool created_network;  /* this call created the network's link: undone on failure */
	bool check_host_ports;
	json_t *memo;	     /* owned; what prepare() has for the deletion: see fl_call_memo() */
	bool wholly_inside;  /* FL_DRIVER_INSIDE, or a driver's validate() for this endpoint */
	bool mac_settled;    /* ep.mac is final */
	bool mac_given;	     /* the caller named it */
	bool mac_chosen;     /* not by us from the address: neighbours may know another behind it */
	bool rules_stale;    /* nftables may hold elements that no record knows: rebuild first */
	bool idle;	     /* chained driver: nothing to do for this endpoint */
	struct fl_used used; /* prefixes that an automatic subnet must avoid */
	struct fl_prefix own_subnet; /* of the bridge, from before: the automatic one again */
	struct fl_dns dns;	     /* configuration's dns, over IPAM's */
	struct fl_resolver resolver;
	/* The dialect's: hands c->result to the caller. Runs once, after all that can fail. */
	int (*emit)(struct fl_call *c, struct fl_error *err);
	struct fl_endpoint *evicted; /* owners found gone by this call's transaction */
	size_t n_evicted;
};

enum {
	FL_DRIVER_STATELESS = 1,   /* never opens store or nftables; endpoint ops only */
	FL_DRIVER_CHAINED = 2,	   /* needs prevResult for ADD and CHECK; owns no interface */
	FL_DRIVER_IPAM = 4,	   /* runs IPAM */
	FL_DRIVER_PORTS = 8,	   /* publishes runtimeConfig.portMappings */
	FL_DRIVER_IS_IPAM = 16,	   /* an IPAM executable: allocate is its ADD */
	FL_DRIVER_NO_ADDRESS = 32, /* never has an address: results before 0.3.0 cannot be made */
	/*
	 * Its interface lies wholly in the sandbox. The record then has the sandbox's nsid, and the
	 * index of the interface, which is chosen before it is made.
	 */
	FL_DRIVER_INSIDE = 64,
	FL_DRIVER_HOST = 128,	 /* the sandbox is the host's own namespace */
	FL_DRIVER_DIRECT = 256,	 /* traffic does not pass through the host: no nftables elements */
	FL_DRIVER_SHARES = 1024, /* the sandbox is another container's: no interface of its own */
	FL_DRIVER_NAMES = 2048,	 /* chained: a resolver for a container of another plugin */
	FL_DRIVER_KEEPS_LINK =
		512, /* the interface is somebody's: a DEL without record leaves it */
};

struct fl_driver {
	const char *type;  /* name of the executable */
	const char *about; /* one line */
	unsigned flags;
	const struct fl_field *fields;
	size_t conf_size;

	/* Checks the decoded configuration and fills call->net, call->ep intent. No I/O. */
	int (*validate)(struct fl_call *c, struct fl_error *err);
	/* Frees what validate() put into c->conf. May be NULL. */
	void (*clear)(struct fl_call *c);
	/*
	 * Looks and changes nothing: names to indexes, what DEL has to restore. Before the first
	 * transaction; c->net, c->ep and c->memo are final afterwards but for addresses and ports.
	 * The network's record may exist: its `made` is merged by the engine. May be NULL.
	 */
	int (*prepare)(struct fl_call *c, struct fl_error *err);
	/*
	 * Addresses are known (c->ipam_result): the last word on c->net before it is recorded, in
	 * the transaction that claims them. May be NULL.
	 */
	int (*settle)(struct fl_call *c, struct fl_txn *t, struct fl_error *err);
	/* Ensures the network's kernel objects. Idempotent; races with itself in other processes.
	 */
	int (*network_create)(struct fl_call *c, struct fl_error *err);
	/* Undoes what this call's network_create made (c->created_network). */
	void (*network_undo)(struct fl_call *c);
	/* Creates the endpoint by c->ep, already in its sandbox where the kernel can. */
	int (*endpoint_create)(struct fl_call *c, struct fl_error *err);
	/* What the network needs once addresses are known: gateways, forwarding. May be NULL. */
	int (*network_address)(struct fl_call *c, struct fl_error *err);
	/*
	 * FL_IPAM_DRIVER: gets the addresses, into c->ipam_result; the interface is there, and is
	 * in the record. Only release() gives them back.
	 */
	int (*allocate)(struct fl_call *c, struct fl_error *err);
	/* Addresses, routes and sysctls inside; fills c->result. */
	int (*join)(struct fl_call *c, struct fl_error *err);
	/* Deletes by the record `ep` and nothing else. Absent objects are success. */
	int (*endpoint_delete)(struct fl_call *c, const struct fl_endpoint *ep,
			       struct fl_error *err);
	/*
	 * Behind endpoint_delete, and for a DEL without a record: gives back what allocate() got,
	 * by id and record of its network alone. What is not there is success. May be NULL.
	 */
	int (*release)(struct fl_call *c, const struct fl_endpoint_id *id, struct fl_error *err);
	/*
	 * DEL without a record, for FL_DRIVER_KEEPS_LINK: gives back what is recognised without
	 * doubt. The sandbox may be gone (c->inside NULL); where it is not, no record claims
	 * CNI_IFNAME in it. May be NULL.
	 */
	int (*endpoint_unknown)(struct fl_call *c, struct fl_error *err);
	/*
	 * The network's last endpoint went: removes what net->made lists. Inside the write
	 * transaction `t`, so that an ADD that revives the network waits. May be NULL.
	 */
	int (*network_delete)(struct fl_call *c, struct fl_txn *t, const struct fl_network *net,
			      struct fl_error *err);
	/*
	 * DEL without a record, and without one of its network, whose lost record had objects in
	 * `made`: takes them away if nobody uses them. Inside the write transaction `t`. May be
	 * NULL.
	 */
	int (*network_unknown)(struct fl_call *c, struct fl_txn *t, struct fl_error *err);
	int (*check)(struct fl_call *c, struct fl_error *err);
	int (*status)(struct fl_call *c, struct fl_error *err);
};

/* The main of every plugin. */
int fl_plugin_main(const struct fl_driver *driver);
/*
 * Would an ADD take this configuration of one plugin? All that is known without the host: types,
 * values, what excludes each other.
 */
int fl_config_check(const struct fl_driver *d, const char *network, json_t *config,
		    struct fl_error *err);

/* ---- for drivers ---- */

/* Runs fn with the thread in the sandbox, and comes back. */
int fl_call_inside(struct fl_call *c, int (*fn)(struct fl_call *c, struct fl_error *err),
		   struct fl_error *err);
/*
 * The usual join: addresses, interface up, routes, gateway defaults, sysctls. Fills
 * c->result.ips and routes from c->ipam_result.
 */
struct fl_join {
	int result_index; /* of the interface in c->result.interfaces */
	bool down;	  /* leaves it down */
	bool dad;	  /* waits for IPv6 duplicate address detection */
	bool via_gateway; /* the subnet too is reached through the gateway: ptp */
};
int fl_join_interface(struct fl_call *c, const struct fl_join *how, struct fl_error *err);
/*
 * The kernel takes an IPv6 address into use in its own time (a work queue), and drops what comes
 * for it before that. This waits for it, which costs nothing when other things were done meanwhile;
 * the engine does so at the end of an ADD.
 */
void fl_await_addresses(struct fl_call *c);
/*
 * The same of the link-local address of a link of the host that has just been made, and has its
 * carrier when this ADD is done: without one it asks for no neighbours, and what comes from outside
 * for the container waits a second.
 */
int fl_expect_link_local(struct fl_call *c, const char *link, uint32_t index, struct fl_error *err);
/* The usual check: interface, its MAC, addresses and routes of prevResult inside the sandbox. */
int fl_check_interface(struct fl_call *c, struct fl_error *err);
/* The same, and that it is of this IFLA_INFO_KIND; `what` is its name in the sentence. */
int fl_check_kind(struct fl_call *c, const char *kind, const char *what, struct fl_error *err);
/*
 * The pair of ep.link and CNI_IFNAME: the host's end in `master` (0: none) and up, the other one in
 * the sandbox. Fills ep.ifindex, inside_index, and the result with both. mtu 0: the default.
 */
int fl_veth_attach(struct fl_call *c, uint32_t master, uint32_t mtu, struct fl_error *err);
/* The sentence for -EEXIST of an interface in the sandbox. */
int fl_ifname_taken(const struct fl_call *c, struct fl_error *err);
/* Removes the endpoint's host link, and what shapes it, by recorded index. */
int fl_endpoint_delete_link(struct fl_call *c, const struct fl_endpoint *ep, struct fl_error *err);
/* Removes the interface in the sandbox by recorded index, if the sandbox is still that one. */
int fl_endpoint_delete_inside(struct fl_call *c, const struct fl_endpoint *ep,
			      struct fl_error *err);

/* The recorded sandbox of an endpoint, as long as it can be reached and is the same. */
struct fl_sandbox {
	struct fl_netns ns;
	struct fl_nl *nl; /* route socket in it */
	bool borrowed;	  /* the call's own */
};
/*
 * -ENOENT (err without meaning): gone, replaced, or without a path that leads to it. By CNI_NETNS,
 * else by the recorded path.
 */
int fl_sandbox_open(struct fl_call *c, const struct fl_endpoint *ep, struct fl_sandbox *ret,
		    struct fl_error *err);
void fl_sandbox_close(struct fl_sandbox *s);
/* Runs fn with the thread in that sandbox, and comes back. */
int fl_sandbox_run(struct fl_call *c, const struct fl_sandbox *s,
		   int (*fn)(struct fl_call *c, void *arg, struct fl_error *err), void *arg,
		   struct fl_error *err);
#define FL_AUTOSANDBOX FL_CLEANUP(fl_sandbox_close)

/* What prepare() of the ADD had put into c->memo; a new reference. -ENOENT (err untouched). */
int fl_call_memo(struct fl_call *c, const struct fl_endpoint *ep, json_t **ret,
		 struct fl_error *err);

/* FL_FAMILY_* of its addresses. */
unsigned fl_endpoint_families(const struct fl_endpoint *ep);

/* prevResult's interface with CNI_IFNAME inside the sandbox, or NULL. */
const struct fl_result_interface *fl_prev_interface(const struct fl_call *c);
/* Does this address of prevResult lie on CNI_IFNAME in the sandbox? */
bool fl_prev_is_ours(const struct fl_call *c, const struct fl_result_ip *ip);
/* The host's end of the pair: the veth of prevResult before our interface; "" where there is none.
 */
const char *fl_prev_host_end(const struct fl_call *c);

/* A default route for each family that has a gateway and none yet, into c->ipam_result. */
int fl_add_default_routes(struct fl_call *c, struct fl_error *err);

/*
 * A locally administered MAC that is the same whenever the address is given out again on this
 * network of this host, so that no neighbour's cache is ever wrong and nothing needs to be
 * announced.
 */
struct fl_mac fl_mac_for_address(const struct fl_call *c, const struct fl_addr *a);
/* The container's MAC: runtimeConfig.mac over args.cni.mac over CNI_ARGS MAC; zero if none asks. */
int fl_requested_mac(const struct fl_call *c, struct fl_mac *ret, struct fl_error *err);
/* Writes a host sysctl only where it differs. */
int fl_host_sysctl(const char *value, struct fl_error *err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* IPv6 forwarding without the host losing its own default route: accept_ra 1 becomes 2 first. */
int fl_enable_forwarding(struct fl_call *c, int family, struct fl_error *err);

json_t *fl_config_get(const struct fl_call *c, const char *a, const char *b, const char *d);

/* ---- engine.c: verbs over store, kernel and nftables ---- */
int fl_engine_add(struct fl_call *c, struct fl_error *err);
int fl_engine_del(struct fl_call *c, struct fl_error *err);
int fl_engine_check(struct fl_call *c, struct fl_error *err);
int fl_engine_gc(struct fl_call *c, struct fl_error *err);
int fl_engine_status(struct fl_call *c, struct fl_error *err);
