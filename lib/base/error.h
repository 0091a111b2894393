/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The error object: what went wrong, in words, with a number for programs.
 *
 * Convention of every fallible function in this tree: it returns 0 or a negative errno, leaves
 * its ret_ outputs untouched on failure, and fills `struct fl_error` (which may be NULL) once,
 * at the place that knows object and cause. Callers add context in front with fl_error_prefix().
 * Libraries never print; only a main does.
 */
#pragma once

#include <stddef.h>

#define FL_ERROR_TEXT 1024

/*
 * Numbers that a CNI error object carries (CNI specification 1.1.0, "Error"); 100 and above are
 * fairlead's own. FL_ECODE_NONE lets the dialect derive one from the errno.
 */
enum fl_ecode {
	FL_ECODE_NONE = 0,
	FL_ECODE_VERSION = 1,	  /* incompatible CNI version */
	FL_ECODE_UNSUPPORTED = 2, /* unsupported field; the text has key and value */
	FL_ECODE_UNKNOWN_CONTAINER = 3,
	FL_ECODE_ENV = 4, /* bad environment variable; the text names it */
	FL_ECODE_IO = 5,
	FL_ECODE_DECODE = 6, /* not JSON, or a value of the wrong JSON type */
	FL_ECODE_CONFIG = 7, /* a value that the network configuration may not have */
	FL_ECODE_NETNS = 8,  /* the sandbox is the caller's own namespace */
	FL_ECODE_TRY_AGAIN = 11,
	FL_ECODE_NOT_AVAILABLE = 50, /* STATUS: an ADD could not succeed */
	FL_ECODE_LIMITED = 51,	     /* STATUS: and running containers may suffer too */
	FL_ECODE_KERNEL = 100,	     /* a kernel call failed */
	FL_ECODE_STORE = 101,	     /* the state directory cannot be used */
	FL_ECODE_CONFLICT = 102,     /* address, port or name held by another endpoint */
	FL_ECODE_EXHAUSTED = 103,    /* no free address or port in the range asked for */
	FL_ECODE_CHECK = 104,	     /* CHECK found a difference */
	FL_ECODE_PRIVILEGE = 105,    /* a capability is missing */
};

struct fl_error {
	int err; /* negative errno, 0 while there is no error */
	enum fl_ecode code;
	char text[FL_ERROR_TEXT];    /* a sentence that names the object and the cause */
	char details[FL_ERROR_TEXT]; /* optional: the kernel's extended ack, a foreign plugin's
					details */
};

/*
 * Fills `e` and returns `err`, so that `return fl_error_set(...)` reads well. `err` may be given
 * positive or negative; a negative errno is returned. The text is cut at FL_ERROR_TEXT bytes.
 */
int fl_error_set(struct fl_error *e, int err, enum fl_ecode code, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* As fl_error_set(), and appends ": " and the errno's text. */
int fl_error_errno(struct fl_error *e, int err, enum fl_ecode code, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* Puts context in front of the present text: "CONTEXT: text". Returns e->err (0 for NULL). */
int fl_error_prefix(struct fl_error *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Sets the details; NULL and "" clear them. */
void fl_error_details(struct fl_error *e, const char *details);

/* The one text for running out of memory. Returns -ENOMEM. */
int fl_error_oom(struct fl_error *e);
