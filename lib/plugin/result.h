/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The CNI result, in memory as the newest version has it, read from and written as any version
 * (CNI specification 1.1.0 "Success"; SPEC.md of 0.1.0 to 1.0.0 for the older shapes).
 */
#pragma once

#include "base/addr.h"
#include "base/error.h"
#include "base/json.h"
#include "base/netconf.h"

enum fl_version { FL_V010, FL_V020, FL_V030, FL_V031, FL_V040, FL_V100, FL_V110, FL_VERSIONS };
extern const char *const fl_version_names[FL_VERSIONS + 1]; /* NULL-terminated */

#define FL_RESULT_INTERFACES 64
#define FL_RESULT_IPS 64

struct fl_result_interface {
	char name[128]; /* foreign plugins name devices that are no links here */
	char mac[64];
	char *sandbox;		    /* owned; NULL on the host */
	char *socket_path, *pci_id; /* owned, NULL when absent */
	uint32_t mtu;
};

struct fl_result_ip {
	struct fl_prefix address;
	struct fl_addr gateway;
	int interface; /* index, -1: not given */
};

struct fl_result {
	struct fl_result_interface interfaces[FL_RESULT_INTERFACES];
	size_t n_interfaces;
	struct fl_result_ip ips[FL_RESULT_IPS];
	size_t n_ips;
	struct fl_route *routes; /* owned */
	size_t n_routes;
	struct fl_dns dns;
	json_t *extra; /* owned, may be NULL: further members of the object, as fairlead adds them
			*/
};

void fl_result_clear(struct fl_result *r);
#define FL_AUTORESULT FL_CLEANUP(fl_result_clear)

/*
 * Reads a result of the given version. `path` is put in front of keys in messages ("prevResult").
 * FL_ECODE_DECODE or FL_ECODE_CONFIG.
 */
int fl_result_parse(const json_t *json, enum fl_version version, const char *path,
		    struct fl_result *ret, struct fl_error *err);
/*
 * The JSON object of the version. Down-conversion as the reference does it: before 0.3.0 one
 * address per family; mtu, socketPath and pciID from 1.0.0 on. -ENOMEM.
 */
int fl_result_json(const struct fl_result *r, enum fl_version version, json_t **ret,
		   struct fl_error *err);

/* Appends an interface; returns its index or -ENOSPC. sandbox may be NULL and is copied. */
int fl_result_add_interface(struct fl_result *r, const char *name, const struct fl_mac *mac,
			    const char *sandbox, uint32_t mtu);
int fl_result_add_route(struct fl_result *r, const struct fl_route *route);
