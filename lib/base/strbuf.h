/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A growing string; sticky error: after a failed allocation further calls do nothing. */
#pragma once

#include "base/cleanup.h"

#include <stdbool.h>
#include <stddef.h>

struct fl_strbuf {
	char *s; /* NUL-terminated once anything was added, else NULL */
	size_t len, cap;
	bool failed;
};

void fl_strbuf_add(struct fl_strbuf *b, const char *s);
void fl_strbuf_addn(struct fl_strbuf *b, const void *s, size_t n);
void fl_strbuf_addf(struct fl_strbuf *b, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void fl_strbuf_clear(struct fl_strbuf *b);
#define FL_AUTOSTRBUF FL_CLEANUP(fl_strbuf_clear)

/* Copies a name into a fixed array of `size` bytes; cuts what does not fit. */
void fl_strcpy(char *dst, size_t size, const char *src);

/* True when every byte is one of [a-zA-Z0-9_.-] and the first is alphanumeric, 1..max bytes. */
bool fl_name_valid(const char *s, size_t max);
/* The kernel's rules for interface names (dev_valid_name) and no ':': 1..15 bytes. */
bool fl_ifname_valid(const char *s);
