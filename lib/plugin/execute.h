/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Programs that are executed: foreign IPAM plugins, and what talks to a foreign firewall. */
#pragma once

#include "base/error.h"
#include "base/json.h"
#include "base/strbuf.h"

/*
 * Runs argv[0] with this process's environment, in which `setting` ("NAME=value", may be NULL)
 * replaces the variable of that name; feeds `input` to its stdin and collects at most 1 MiB of its
 * stdout. *ret_status is waitpid(2)'s. -ENOENT when there is no such file.
 */
int fl_execute(const char *const *argv, const char *setting, const char *input,
	       struct fl_strbuf *out, int *ret_status, struct fl_error *err);
/* The executable of a plugin: FL_ECODE_CONFIG where there is none of that name in `path`. */
int fl_plugin_find(const char *path, const char *type, char *buf, size_t size,
		   struct fl_error *err);
/*
 * Executes the plugin `type` of `path` (folders, separated by ':') with this process's environment
 * and CNI_COMMAND. stdout is returned as JSON (NULL when empty; `ret` may be NULL). -EIO with code,
 * text and details of its error object; FL_ECODE_CONFIG where there is none of that
 * name.
 */
int fl_plugin_execute(const char *path, const char *type, const char *command, const json_t *config,
		      json_t **ret, struct fl_error *err);
/* Of a program of the suite that is no plugin: in $FAIRLEAD_LIBEXEC_DIR, else where it is
 * installed. */
void fl_libexec_path(const char *name, char *buf, size_t size);
