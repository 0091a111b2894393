/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Scope-bound release of memory and file descriptors.
 *
 * A type that owns something defines its own macro beside its declaration with
 * FL_DEFINE_CLEANUP; ownership leaves a scope only by fl_take_ptr() or fl_take_fd().
 */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FL_CLEANUP(fn) __attribute__((cleanup(fn)))

/* Defines fl_NAME_p(TYPE *) which calls FN on a variable that is not NULL. */
#define FL_DEFINE_CLEANUP(type, fn)        \
	static inline void fn##_p(type *p) \
	{                                  \
		if (*p)                    \
			fn(*p);            \
	}

static inline void fl_free_p(void *p)
{
	free(*(void **)p);
}

static inline void fl_close_p(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void fl_fclose_p(FILE **f)
{
	if (*f)
		fclose(*f);
}

#define FL_AUTOFREE FL_CLEANUP(fl_free_p)
#define FL_AUTOCLOSE FL_CLEANUP(fl_close_p)
#define FL_AUTOFCLOSE FL_CLEANUP(fl_fclose_p)

/* Hands the pointer on and leaves NULL, so that the scope's end releases nothing. */
#define fl_take_ptr(p)                       \
	({                                   \
		__auto_type fl_taken_ = (p); \
		(p) = NULL;                  \
		fl_taken_;                   \
	})

static inline int fl_take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

#define FL_ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
