/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The CNI dialect's pure parts, for tests and fuzzers, and its main. */
#pragma once

#include "plugin/plugin.h"

/* Reads CNI_ARGS ("K=V;K=V") into args_mac and args_ip. FL_ECODE_ENV. */
int fl_cni_args(const char *args, struct fl_request *q, struct fl_error *err);
/* "1.0.0" to its enum. -EPROTONOSUPPORT. */
int fl_cni_version(const char *text, enum fl_version *ret);
int fl_cni_main(const struct fl_driver *driver);
