#include "dns-tool.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define ROOM_STEP 4096 /* names */
#define FILES 20000

/* Writes the name as labels; returns their length, or 0 when it is not a name. */
static size_t name_to_wire(const char *name, uint8_t *out)
{
	size_t len = 0;

	while (*name) {
		size_t label = strcspn(name, ".");

		if (label == 0 || label > 63 || len + label + 2 > DNS_NAME_MAX)
			return 0;
		out[len++] = (uint8_t)label;
		for (size_t i = 0; i < label; i++)
			out[len++] = (uint8_t)tolower((unsigned char)name[i]);
		name += label + (name[label] == '.');
	}
	out[len] = 0;
	return len > 0 ? len + 1 : 0;
}

static int read_line(const char *line, struct dns_name *name, uint8_t *wire)
{
	char host[DNS_NAME_MAX + 1], address[INET_ADDRSTRLEN];

	if (sscanf(line, "%255s %15s", host, address) != 2 ||
	    inet_pton(AF_INET, address, &name->address) != 1)
		return -EINVAL;
	name->wire_len = (uint8_t)name_to_wire(host, wire);
	return name->wire_len > 0 ? 0 : -EINVAL;
}

/* The arena is as large as the file twice: a wire is two bytes longer than the name, a line more.
 */
static int read_all(FILE *f, struct dns_names *names, size_t room)
{
	size_t used = 0, cap = 0, line_cap = 0;
	char *line = NULL;
	int r = 0;

	names->arena = malloc(room + DNS_NAME_MAX);
	if (!names->arena)
		return -ENOMEM;
	while (r == 0 && getline(&line, &line_cap, f) > 0) {
		if (names->count == cap) {
			struct dns_name *more =
				realloc(names->list, (cap += ROOM_STEP) * sizeof(*more));

			if (!more) {
				r = -ENOMEM;
				break;
			}
			names->list = more;
		}
		struct dns_name *name = &names->list[names->count];

		r = used > room ? -EFBIG : read_line(line, name, names->arena + used);
		name->wire = names->arena + used;
		used += name->wire_len;
		names->count += r == 0;
	}
	free(line);
	return r == 0 && names->count == 0 ? -EINVAL : r;
}

int dns_names_read(const char *path, struct dns_names *ret)
{
	struct dns_names names = { 0 };
	FILE *f = fopen(path, "re");

	if (!f)
		return -errno;
	int r = fseek(f, 0, SEEK_END) < 0 ? -errno : 0;
	long size = ftell(f);

	rewind(f);
	if (r == 0)
		r = size < 0 ? -EINVAL : read_all(f, &names, (size_t)size);
	fclose(f);
	if (r < 0)
		dns_names_free(&names);
	else
		*ret = names;
	return r;
}

void dns_names_free(struct dns_names *names)
{
	free(names->list);
	free(names->arena);
	*names = (struct dns_names){ 0 };
}

static int enter(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	int r = setns(fd, CLONE_NEWNET) < 0 ? -errno : 0;

	close(fd);
	return r;
}

int dns_each_netns(const char *path, int (*f)(void *context), void *context)
{
	char *line = NULL;
	size_t cap = 0;
	int r = 0;

	if (!path)
		return f(context);
	FILE *list = fopen(path, "re");

	if (!list)
		return -errno;
	int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	if (home < 0)
		r = -errno;
	while (r == 0 && getline(&line, &cap, list) > 0) {
		line[strcspn(line, "\n")] = '\0';
		r = enter(line);
		if (r == 0)
			r = f(context);
	}
	if (home >= 0) {
		if (setns(home, CLONE_NEWNET) < 0 && r == 0)
			r = -errno;
		close(home);
	}
	free(line);
	fclose(list);
	return r;
}

int dns_allow_files(void)
{
	struct rlimit now, wanted = { .rlim_cur = FILES, .rlim_max = FILES };

	if (getrlimit(RLIMIT_NOFILE, &now) == 0 && now.rlim_cur >= FILES)
		return 0;
	if (now.rlim_max > FILES)
		wanted.rlim_max = now.rlim_max;
	return setrlimit(RLIMIT_NOFILE, &wanted) < 0 ? -errno : 0;
}

long dns_number(const char *s, long max)
{
	char *end;

	errno = 0;
	long n = strtol(s, &end, 10);

	return errno || *end || end == s || n < 0 || n > max ? -1 : n;
}
