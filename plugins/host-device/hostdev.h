/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * host-device: which device the configuration means, what is remembered of it, and its way home.
 *
 * While a device is away its alias (IFLA_IFALIAS) is its name on the host, as the reference plugin
 * has it, and its index is the one of the record. The kernel takes a physical device home by itself
 * when the namespace dies (net/core/dev.c, default_device_exit_net()): under the sandbox's name, or
 * as devN when that is taken, with alias and index as they were.
 */
#pragma once

#include "base/addr.h"
#include "base/json.h"
#include "nl/nl.h"

#include <net/if.h>
#include <stdbool.h>

struct fl_call;
struct fl_endpoint;

#define HOSTDEV_BUS 64	 /* bytes of an address on a bus, its NUL included */
#define HOSTDEV_PATH 512 /* bytes of a kernelpath, its NUL included */
#define HOSTDEV_NAMES_MAX 64

/* ---- what the configuration says ---- */
enum hostdev_by { HOSTDEV_NAME, HOSTDEV_MAC, HOSTDEV_KERNEL_PATH, HOSTDEV_PCI, HOSTDEV_AUXILIARY };

struct hostdev_selector {
	enum hostdev_by by;
	const char *key;	 /* as people wrote it, for messages */
	char text[HOSTDEV_PATH]; /* name, path, or the address in its usual form */
	struct fl_mac mac;	 /* HOSTDEV_MAC */
};

/* ---- what is remembered: the memo beside the record ---- */
struct hostdev {
	char name[IFNAMSIZ]; /* on the host */
	char kind[16];	     /* struct fl_link's */
	char alias[256];
	char bus[HOSTDEV_BUS]; /* address on its bus; "" unknown */
	uint32_t index, mtu;
	struct fl_mac mac, perm_mac;
	bool up;
	bool dpdk; /* a userspace driver has it: there is no interface */
};

/* ---- sysfs.c: pure but for reading below the folder that stands for /sys ---- */

/* "0000:3d:00.1"; the domain may be left away, letters may be large: lower case comes back. */
int hostdev_pci_parse(const char *s, char ret[HOSTDEV_BUS]);
/* "mlx5_core.sf.4": module, kind and number (auxiliary_bus.rst). */
bool hostdev_auxiliary_valid(const char *s);
/* Absolute, below /sys/devices/, without "." and "..". */
bool hostdev_path_valid(const char *s);
/* Fills key, by, text and mac from a configuration's value. -EINVAL, FL_ECODE_CONFIG. */
int hostdev_selector_parse(const char *key, enum hostdev_by by, const char *value,
			   struct hostdev_selector *ret, struct fl_error *err);
/* The folder of the device below `sys` ("/sys"). Only for the selectors that have one. */
void hostdev_folder(const char *sys, const struct hostdev_selector *sel,
		    char ret[2 * HOSTDEV_PATH]);

struct hostdev_names {
	char name[HOSTDEV_NAMES_MAX][IFNAMSIZ]; /* sorted */
	size_t n;
};
/*
 * Interfaces of the device: those in FOLDER/net, else in FOLDER/virtio... /net; of a folder that is
 * an interface itself, that one. -ENOENT: there is no such folder.
 */
int hostdev_names(const char *folder, struct hostdev_names *ret);
/* Name of its driver; "" without. */
void hostdev_bound_driver(const char *folder, char *ret, size_t size);
/* A driver that hands the device to a program: vfio-pci, uio_pci_generic, igb_uio. */
bool hostdev_is_userspace(const char *driver);

/*
 * The interface with this MAC: of several (a bond and its ports, a VLAN and its master) the one
 * whose hardware has it. `other` is filled when two are equally good.
 */
struct hostdev_choice {
	struct fl_mac mac;
	int rank; /* 0: nothing found */
	struct fl_link link, other;
	bool tie;
};
void hostdev_choose(struct hostdev_choice *choice, const struct fl_link *l);
/* Does the selector mean this device? By what is remembered: the device may be away. */
bool hostdev_matches(const struct hostdev_selector *sel, const struct hostdev *d);
/* A name that the kernel or this plugin gave to a device on its way home. */
bool hostdev_is_stray_name(const char *name, const char *ifname);

/* ---- find.c ---- */
/*
 * The one selector of the configuration. -EINVAL, FL_ECODE_CONFIG: none, two, or one that cannot be
 * meant.
 */
int hostdev_select_types(const struct fl_call *c,
			 struct fl_error *err); /* for verbs that need no device */
int hostdev_select(const struct fl_call *c, struct hostdev_selector *ret, struct fl_error *err);
/*
 * The device on the host, as it stands there. A userspace driver, or `dpdk`, makes it one without
 * interface. Refuses what cannot be given away.
 */
int hostdev_find(struct fl_call *c, const struct hostdev_selector *sel, bool dpdk,
		 struct hostdev *ret, struct fl_error *err);
/* The sentence for a device that is not there; names the container that has it. */
int hostdev_missing(struct fl_call *c, const struct hostdev_selector *sel, const char *why,
		    struct fl_error *err);
/*
 * A link that came home under another name and has the `device` that is meant as its alias. Only
 * for that selector: any other fits links whose alias means something else. -ENODEV (err
 * untouched).
 */
int hostdev_find_stray(struct fl_call *c, const struct hostdev_selector *sel, struct fl_link *ret,
		       struct fl_error *err);

/* ---- return.c ---- */
/* A new reference, or NULL without memory. */
json_t *hostdev_memo(const struct hostdev *d);
int hostdev_memo_read(const json_t *memo, struct hostdev *ret, struct fl_error *err);
void hostdev_of_link(const struct fl_link *l, struct hostdev *ret);
/* The driver's endpoint_delete and endpoint_unknown. */
int hostdev_return(struct fl_call *c, const struct fl_endpoint *ep, struct fl_error *err);
int hostdev_return_unknown(struct fl_call *c, struct fl_error *err);
