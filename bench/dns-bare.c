/*
 * The yardstick of the DNS case: what answering one A record costs when there is nothing else to
 * do. One table in memory, recvfrom until the socket is empty, a sendto each. Not a floor: reading
 * many datagrams by one call can be cheaper.
 */
#include "dns-tool.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define QUERY_MAX 512
#define EVENTS 64

#define FLAGS_QR 0x80
#define FLAGS_OPCODE 0x78
#define FLAGS_RD 0x01
#define FLAGS_RA 0x80
#define RCODE_NXDOMAIN 3
#define TYPE_A_CLASS_IN "\0\1\0\1"

struct table {
	struct dns_names names;
	uint32_t *slots; /* index of the name, plus 1; open addressing */
	uint32_t mask;
};

struct server {
	struct sockaddr_in at;
	int epoll;
};

/* FNV-1a */
static uint32_t hash_byte(uint32_t hash, uint8_t byte)
{
	return (hash ^ byte) * 16777619u;
}

#define HASH_START 2166136261u

static int table_fill(struct table *t)
{
	uint32_t size = 4;

	while (size < 2 * t->names.count)
		size *= 2;
	t->mask = size - 1;
	t->slots = calloc(size, sizeof(*t->slots));
	if (!t->slots)
		return -ENOMEM;
	for (uint32_t i = 0; i < t->names.count; i++) {
		uint32_t h = HASH_START;

		for (int k = 0; k < t->names.list[i].wire_len; k++)
			h = hash_byte(h, t->names.list[i].wire[k]);
		while (t->slots[h & t->mask])
			h++;
		t->slots[h & t->mask] = i + 1;
	}
	return 0;
}

static const struct dns_name *table_find(const struct table *t, uint32_t hash, const uint8_t *wire,
					 size_t len)
{
	for (uint32_t slot; (slot = t->slots[hash & t->mask]) != 0; hash++) {
		const struct dns_name *name = &t->names.list[slot - 1];

		if (name->wire_len == len && memcmp(name->wire, wire, len) == 0)
			return name;
	}
	return NULL;
}

/* The name's length with its empty label, or 0; lower is its copy in lower case. Length bytes are
 * below 'A'. */
static size_t read_name(const uint8_t *wire, size_t room, uint8_t *lower, uint32_t *ret_hash)
{
	uint32_t hash = HASH_START;
	size_t len = 0, label = 0;

	for (; len < room && len < DNS_NAME_MAX; len++) {
		uint8_t c = wire[len];

		if (label == 0 && c > 63)
			return 0;
		lower[len] = c >= 'A' && c <= 'Z' && label > 0 ? c | 0x20 : c;
		hash = hash_byte(hash, lower[len]);
		if (label > 0)
			label--;
		else if (c > 0)
			label = c;
		else
			break;
	}
	if (len == room || len == DNS_NAME_MAX)
		return 0;
	*ret_hash = hash;
	return len + 1;
}

/* Turns the query into its answer, in place. Returns the answer's length, or 0 for none. */
static size_t answer(const struct table *t, uint8_t *m, size_t len)
{
	static const uint8_t one_question[] = { 0, 1 };
	uint8_t lower[DNS_NAME_MAX];
	uint32_t hash;

	if (len < DNS_HEADER_SIZE || m[2] & (FLAGS_QR | FLAGS_OPCODE) ||
	    memcmp(m + 4, one_question, 2) != 0)
		return 0;
	size_t name_len = read_name(m + DNS_HEADER_SIZE, len - DNS_HEADER_SIZE, lower, &hash);
	size_t end = DNS_HEADER_SIZE + name_len + 4;

	if (name_len == 0 || end > len)
		return 0;
	const struct dns_name *name = table_find(t, hash, lower, name_len);
	bool found = name && memcmp(m + end - 4, TYPE_A_CLASS_IN, 4) == 0;

	m[2] = FLAGS_QR | (m[2] & FLAGS_RD);
	m[3] = FLAGS_RA | (name ? 0 : RCODE_NXDOMAIN);
	memcpy(m + 6, found ? "\0\1\0\0\0\0" : "\0\0\0\0\0\0", 6);
	if (!found)
		return end;
	/* the question's name, A, IN, TTL 0, four bytes */
	memcpy(m + end, "\xc0\x0c" TYPE_A_CLASS_IN "\0\0\0\0\0\4", 12);
	memcpy(m + end + 12, &name->address, 4);
	return end + 16;
}

static void serve(const struct table *t, int fd)
{
	uint8_t message[QUERY_MAX + 16];
	struct sockaddr_in from;

	for (;;) {
		socklen_t from_len = sizeof(from);
		ssize_t n = recvfrom(fd, message, QUERY_MAX, MSG_DONTWAIT, (struct sockaddr *)&from,
				     &from_len);

		if (n < 0)
			return;
		size_t len = answer(t, message, (size_t)n);

		if (len > 0)
			sendto(fd, message, len, 0, (struct sockaddr *)&from, from_len);
	}
}

static int open_socket(void *context)
{
	struct server *s = context;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&s->at, sizeof(s->at)) < 0 ||
	    epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &event) < 0) {
		int r = -errno;

		close(fd);
		return r;
	}
	return 0;
}

static int run(const struct table *t, int epoll)
{
	struct epoll_event events[EVENTS];

	for (;;) {
		int n = epoll_wait(epoll, events, EVENTS, -1);

		if (n < 0 && errno != EINTR)
			return -errno;
		for (int i = 0; i < n; i++)
			serve(t, events[i].data.fd);
	}
}

static int report(int r, const char *what)
{
	fprintf(stderr, "dns-bare: %s: %s\n", what, strerror(-r));
	return 1;
}

struct options {
	const char *names, *netns_list;
	struct sockaddr_in at;
};

static int parse(int argc, char **argv, struct options *o)
{
	static const struct option known[] = { { "names", required_argument, NULL, 'n' },
					       { "address", required_argument, NULL, 'a' },
					       { "port", required_argument, NULL, 'p' },
					       { "netns-list", required_argument, NULL, 'N' },
					       { 0 } };
	const char *address = "127.0.0.11";
	long port = DNS_PORT;

	for (int c; (c = getopt_long(argc, argv, "", known, NULL)) != -1;) {
		if (c == 'n')
			o->names = optarg;
		else if (c == 'a')
			address = optarg;
		else if (c == 'p')
			port = dns_number(optarg, 65535);
		else if (c == 'N')
			o->netns_list = optarg;
		else
			return -EINVAL;
	}
	o->at.sin_family = AF_INET;
	o->at.sin_port = htons((uint16_t)port);
	if (!o->names || optind != argc || port < 0 ||
	    inet_pton(AF_INET, address, &o->at.sin_addr) != 1)
		return -EINVAL;
	return 0;
}

int main(int argc, char **argv)
{
	struct options o = { 0 };
	struct table table = { 0 };

	if (parse(argc, argv, &o) < 0) {
		fputs("dns-bare --names FILE [--address 127.0.0.11] [--port 53] [--netns-list "
		      "FILE]\n",
		      stderr);
		return 2;
	}
	int r = dns_names_read(o.names, &table.names);

	if (r == 0)
		r = table_fill(&table);
	if (r < 0)
		return report(r, o.names);
	struct server server = { .at = o.at, .epoll = epoll_create1(EPOLL_CLOEXEC) };

	r = server.epoll < 0 ? -errno : dns_allow_files();
	if (r == 0)
		r = dns_each_netns(o.netns_list, open_socket, &server);
	if (r < 0)
		return report(r, "sockets");
	return report(run(&table, server.epoll), "epoll");
}
