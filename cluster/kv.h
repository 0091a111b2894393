/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What ranges and watches share. Private to the reading of answers. */
#pragma once

#include "cluster/wire.h"

/* The whole key of a kv object; owned. */
int fl_etcd_read_key(const json_t *obj, uint8_t **ret, size_t *ret_len, struct fl_error *err);
/* ret->key is NULL for a key that is not ours. */
int fl_etcd_read_kv(const json_t *obj, const char *prefix, struct fl_etcd_kv *ret,
		    struct fl_error *err);
