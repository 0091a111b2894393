/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Containers that joined another one's sandbox: interfaces and ports are that one's. */
#pragma once

#include "netctl/model.h"

/*
 * In place of attachments to another's sandbox, those of its owner, each once. An owner that is
 * attached to nothing is EXIT_NOT_FOUND. *found is owned as that of model_find().
 */
int shares_resolve(const struct model *m, const struct attachment ***found, size_t *n,
		   struct fl_error *err);
/* The key of a row that tells it, in words. */
#define SHARES_JSON "sharesSandboxOf (id of the container whose interfaces it has; \"\": none)"
/* "(web's)" for the interface of one that shares web's sandbox; else the interface's name. */
const char *shares_interface(const struct attachment *a, char *buf, size_t size);
#define SHARES_INTERFACE(a) shares_interface(a, (char[300]){ 0 }, 300)
