/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Without memory the agent is started again: what it knows is in the stores and in the kernel. */
#include "overlay/common.h"

#include <stdlib.h>
#include <unistd.h>

void die_of_memory(void)
{
	static const char text[] = "fairlead-overlayd: no memory\n";
	ssize_t n = write(2, text, sizeof(text) - 1);

	(void)n;
	/* A keeper starts another one after a signal, also in the first life. */
	abort();
}

void *must_alloc(size_t n)
{
	void *p = calloc(1, n ? n : 1);

	if (!p)
		die_of_memory();
	return p;
}

char *must_copy(const char *s)
{
	char *copy = strdup(s);

	if (!copy)
		die_of_memory();
	return copy;
}
