/*
 * Asks from many network namespaces at once, with as little work for itself as possible: a
 * connected socket in each, a constant number of queries on the way, each answer followed by the
 * next query from another socket.
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
#include <time.h>
#include <unistd.h>

#define WINDOW_MAX 4096
#define EVENTS 256
#define LOST_NS 1000000000u /* without an answer after a second */
#define LOOK_NS 100000000u  /* how often that is looked for */
#define LATENCY_MAX_US (LOST_NS / 1000)
#define REPLY_MAX 1500

/* One query on the way. Its place in the window is its id's remainder. */
struct query {
	uint64_t sent_ns;
	uint32_t socket;
	uint16_t id;
	bool waiting;
};

struct load {
	struct dns_names names;
	struct sockaddr_in at;
	int *sockets;
	size_t count, cap;
	int epoll;

	struct query window[WINDOW_MAX];
	uint32_t width, waiting;
	uint32_t random;
	bool stopping;

	uint64_t completed, lost, bad;
	uint64_t last_ns;    /* the last answer */
	uint32_t *latencies; /* how many, by microseconds */
};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* xorshift, of Marsaglia; below n, nearly evenly */
static uint32_t pick(struct load *l, size_t n)
{
	l->random ^= l->random << 13;
	l->random ^= l->random >> 17;
	l->random ^= l->random << 5;
	return (uint32_t)((uint64_t)l->random * n >> 32);
}

/* A query that cannot be sent is one that gets no answer. */
static void send_query(struct load *l, uint32_t place, uint64_t now)
{
	uint8_t m[DNS_HEADER_SIZE + DNS_NAME_MAX + 4] = { [2] = 1, [5] = 1 }; /* RD, one question */
	const struct dns_name *name = &l->names.list[pick(l, l->names.count)];
	size_t len = DNS_HEADER_SIZE + name->wire_len;
	struct query *q = &l->window[place];

	/* the next id with this remainder, so that a late answer is not taken for this query's */
	q->id = (uint16_t)(q->id + l->width > UINT16_MAX ? place : q->id + l->width);
	q->socket = pick(l, l->count);
	q->sent_ns = now;
	q->waiting = true;
	l->waiting++;
	m[0] = (uint8_t)(q->id >> 8);
	m[1] = (uint8_t)q->id;
	memcpy(m + DNS_HEADER_SIZE, name->wire, name->wire_len);
	memcpy(m + len, "\0\1\0\1", 4); /* A, IN */
	(void)!send(l->sockets[q->socket], m, len + 4, MSG_DONTWAIT);
}

static void give_up(struct load *l, uint64_t now)
{
	for (uint32_t i = 0; i < l->width; i++) {
		if (!l->window[i].waiting || now - l->window[i].sent_ns < LOST_NS)
			continue;
		l->window[i].waiting = false;
		l->waiting--;
		l->lost++;
		if (!l->stopping)
			send_query(l, i, now);
	}
}

/* An answer is good when it says NOERROR and has a record. */
static void receive(struct load *l, uint32_t socket)
{
	uint8_t m[REPLY_MAX];
	ssize_t n = recv(l->sockets[socket], m, sizeof(m), MSG_DONTWAIT);

	if (n < DNS_HEADER_SIZE)
		return;
	uint16_t id = (uint16_t)(m[0] << 8 | m[1]);
	uint32_t place = id % l->width;
	struct query *q = &l->window[place];

	if (!q->waiting || q->id != id || q->socket != socket)
		return;
	uint64_t now = now_ns(), us = (now - q->sent_ns) / 1000;

	q->waiting = false;
	l->waiting--;
	l->completed++;
	l->bad += (m[3] & 15) != 0 || (m[6] | m[7]) == 0;
	l->latencies[us < LATENCY_MAX_US ? us : LATENCY_MAX_US - 1]++;
	l->last_ns = now;
	if (!l->stopping)
		send_query(l, place, now);
}

static int run(struct load *l, uint64_t begin, uint64_t seconds)
{
	uint64_t end = begin + seconds * 1000000000u, look = begin;
	struct epoll_event events[EVENTS];

	for (uint32_t i = 0; i < l->width; i++) {
		l->window[i].id = (uint16_t)i;
		send_query(l, i, now_ns());
	}
	while (l->waiting > 0) {
		int n = epoll_wait(l->epoll, events, EVENTS, (int)(LOOK_NS / 1000000));
		uint64_t now = now_ns();

		if (n < 0 && errno != EINTR)
			return -errno;
		l->stopping = now >= end;
		for (int i = 0; i < n; i++)
			receive(l, events[i].data.u32);
		if (now - look >= LOOK_NS) {
			look = now_ns(); /* not now: queries have been sent since */
			give_up(l, look);
		}
	}
	return 0;
}

static int open_socket(void *context)
{
	struct load *l = context;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct epoll_event event = { .events = EPOLLIN, .data.u32 = (uint32_t)l->count };

	if (fd < 0)
		return -errno;
	if (l->count == l->cap) {
		int *more = realloc(l->sockets, (l->cap = 2 * l->cap + 64) * sizeof(*more));

		if (!more) {
			close(fd);
			return -ENOMEM;
		}
		l->sockets = more;
	}
	l->sockets[l->count++] = fd;
	if (connect(fd, (struct sockaddr *)&l->at, sizeof(l->at)) < 0 ||
	    epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		return -errno;
	return 0;
}

static uint32_t quantile_us(const struct load *l, double part)
{
	uint64_t wanted = (uint64_t)((double)l->completed * part), seen = 0;

	for (uint32_t us = 0; us < LATENCY_MAX_US; us++) {
		seen += l->latencies[us];
		if (seen > wanted)
			return us;
	}
	return LATENCY_MAX_US;
}

static void print(const struct load *l, uint64_t begin)
{
	printf("{\"completed\": %lu, \"lost\": %lu, \"bad\": %lu, \"seconds\": %.6f, \"p50_us\": "
	       "%u, \"p99_us\": %u}\n",
	       (unsigned long)l->completed, (unsigned long)l->lost, (unsigned long)l->bad,
	       l->completed ? (double)(l->last_ns - begin) / 1e9 : 0.0, quantile_us(l, 0.5),
	       quantile_us(l, 0.99));
}

struct options {
	const char *names, *netns_list;
	long window, seconds;
};

static int parse(int argc, char **argv, struct options *o, struct sockaddr_in *at)
{
	static const struct option known[] = { { "names", required_argument, NULL, 'n' },
					       { "address", required_argument, NULL, 'a' },
					       { "port", required_argument, NULL, 'p' },
					       { "netns-list", required_argument, NULL, 'N' },
					       { "window", required_argument, NULL, 'w' },
					       { "seconds", required_argument, NULL, 's' },
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
		else if (c == 'w')
			o->window = dns_number(optarg, WINDOW_MAX);
		else if (c == 's')
			o->seconds = dns_number(optarg, 3600);
		else
			return -EINVAL;
	}
	at->sin_family = AF_INET;
	at->sin_port = htons((uint16_t)port);
	if (!o->names || optind != argc || port < 0 || o->window < 1 || o->seconds < 1 ||
	    inet_pton(AF_INET, address, &at->sin_addr) != 1)
		return -EINVAL;
	return 0;
}

static int prepare(struct load *l, const struct options *o)
{
	int r = dns_names_read(o->names, &l->names);

	if (r < 0)
		return r;
	l->width = (uint32_t)o->window;
	l->random = 2463534242u;
	l->latencies = calloc(LATENCY_MAX_US, sizeof(*l->latencies));
	if (!l->latencies)
		return -ENOMEM;
	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (l->epoll < 0)
		return -errno;
	r = dns_allow_files();
	return r < 0 ? r : dns_each_netns(o->netns_list, open_socket, l);
}

int main(int argc, char **argv)
{
	static struct load load;
	struct options o = { .window = 200, .seconds = 5 };

	if (parse(argc, argv, &o, &load.at) < 0) {
		fputs("dns-load --names FILE [--netns-list FILE] [--address 127.0.0.11] [--port "
		      "53]\n"
		      "         [--window 200] [--seconds 5]\n",
		      stderr);
		return 2;
	}
	int r = prepare(&load, &o);

	if (r == 0 && load.count == 0)
		r = -ENOENT;
	uint64_t begin = now_ns();

	if (r == 0)
		r = run(&load, begin, (uint64_t)o.seconds);
	if (r < 0) {
		fprintf(stderr, "dns-load: %s\n", strerror(-r));
		return 1;
	}
	print(&load, begin);
	return 0;
}
