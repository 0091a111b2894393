/* What the tools of the DNS case share: the file of names, and work in many network namespaces. */
#ifndef BENCH_DNS_TOOL_H
#define BENCH_DNS_TOOL_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

#define DNS_HEADER_SIZE 12
#define DNS_NAME_MAX 255
#define DNS_PORT 53

struct dns_name {
	const uint8_t *wire; /* in lower case, with the root's empty label */
	uint8_t wire_len;
	struct in_addr address;
};

struct dns_names {
	struct dns_name *list;
	size_t count;
	uint8_t *arena; /* where the wires point to */
};

/* Reads lines "NAME ADDRESS". Returns 0, or -errno: -EINVAL for a line that is not one, or none at
 * all. */
int dns_names_read(const char *path, struct dns_names *ret);
void dns_names_free(struct dns_names *names);

/*
 * Enters each network namespace that the file names, one path a line, calls f there, and comes
 * back. Without a file (NULL): calls it once, here. Stops at the first -errno of f and returns it.
 */
int dns_each_netns(const char *path, int (*f)(void *context), void *context);

/* Lets the process have a descriptor for each of some ten thousand sandboxes. Returns 0 or -errno.
 */
int dns_allow_files(void);

/* The number that s is, or -1 when it is not one of at least 0 and at most max. */
long dns_number(const char *s, long max);

#endif
