/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The tuning plugin's configuration, and its two parts. Keys and defaults: fairlead-tuning(8). */
#pragma once

#include "plugin/plugin.h"

#define SYSCTLS_MAX 256
#define SYSCTL_PATH 192

struct sysctl_setting {
	char path[SYSCTL_PATH]; /* "net/ipv4/conf/eth0/arp_filter" */
	const char *value;	/* borrowed from the configuration */
};

struct tuning_conf {
	json_t *sysctl;
	struct fl_mac mac;
	int promisc, allmulti; /* FL_FIELD_TRI; -1: not given */
	int64_t mtu, txqlen;   /* -1: not given */
	const char *data_dir;

	struct sysctl_setting *settings; /* allocated with the call's memory: tuning_clear() */
	size_t n_settings;
};

/* sysctl.c: names to paths, checked against each other and the host's list of what is allowed. */
int tuning_sysctl_parse(struct tuning_conf *conf, const char *ifname, struct fl_error *err);
/* Of "net.ipv4.conf.IFNAME.x" or "net/ipv4/conf/IFNAME/x". -EINVAL: not below net. Pure. */
int tuning_sysctl_path(const char *name, const char *ifname, char path[SYSCTL_PATH]);
/* In the sandbox: the present values as {"PATH": "value"}; NULL on failure. */
int tuning_sysctl_read(const struct tuning_conf *conf, json_t **ret, struct fl_error *err);
int tuning_sysctl_write(const struct tuning_conf *conf, struct fl_error *err);
/* Writes {"PATH": "value"} back; a key that is not there any more is left out. */
void tuning_sysctl_restore(const json_t *old);
int tuning_sysctl_check(const struct tuning_conf *conf, struct fl_error *err);
