/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/cleanup.h"
#include "base/netconf.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define FILE_MAX (64 * 1024)
#define BLANKS " \t\r\v\f"

static size_t count(char **list)
{
	size_t n = 0;

	while (list && list[n])
		n++;
	return n;
}

static int append(char ***list, const char *word)
{
	size_t n = count(*list);
	char **longer = realloc(*list, (n + 2) * sizeof(char *));

	if (!longer)
		return -ENOMEM;
	*list = longer;
	longer[n + 1] = NULL;
	longer[n] = strdup(word);
	return longer[n] ? 0 : -ENOMEM;
}

/* Words after the keyword: all of them, or only the first. */
static int append_words(char ***list, char **rest, bool all)
{
	char *word;

	while ((word = strtok_r(NULL, BLANKS, rest))) {
		int r = append(list, word);

		if (r || !all)
			return r;
	}
	return 0;
}

static int set_domain(struct fl_dns *d, char **rest)
{
	char *word = strtok_r(NULL, BLANKS, rest), *copy;

	if (!word)
		return 0;
	copy = strdup(word);
	if (!copy)
		return -ENOMEM;
	free(d->domain);
	d->domain = copy;
	return 0;
}

static int parse_line(struct fl_dns *d, char *line)
{
	char *rest, *word = strtok_r(line, BLANKS, &rest);

	if (!word || *word == '#' || *word == ';')
		return 0;
	if (!strcmp(word, "nameserver"))
		return append_words(&d->nameservers, &rest, false);
	if (!strcmp(word, "search"))
		return append_words(&d->search, &rest, true);
	if (!strcmp(word, "options"))
		return append_words(&d->options, &rest, true);
	if (!strcmp(word, "domain"))
		return set_domain(d, &rest);
	return 0;
}

int fl_resolvconf_parse(const char *text, size_t len, struct fl_dns *ret, struct fl_error *err)
{
	FL_AUTOFREE char *copy = strndup(text, len);
	struct fl_dns d = { 0 };
	char *line, *next = copy;
	int r = copy ? 0 : -ENOMEM;

	while (!r && (line = strsep(&next, "\n")))
		r = parse_line(&d, line);
	if (r) {
		fl_dns_clear(&d);
		return fl_error_oom(err);
	}
	*ret = d;
	return 0;
}

/* Reads until the end or until the buffer is full. Returns the number of bytes or -errno. */
static ssize_t read_all(int fd, char *buf, size_t size)
{
	size_t n = 0;

	while (n < size) {
		ssize_t got = read(fd, buf + n, size - n);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (!got)
			break;
		n += (size_t)got;
	}
	return (ssize_t)n;
}

int fl_resolvconf_read(const char *path, struct fl_dns *ret, struct fl_error *err)
{
	/* NONBLOCK: the path may name a pipe that nobody writes. */
	FL_AUTOCLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	FL_AUTOFREE char *text = NULL;
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st))
		return fl_error_errno(err, errno, FL_ECODE_CONFIG, "%s", path);
	if (!S_ISREG(st.st_mode))
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG, "%s: expected a regular file",
				    path);
	text = malloc(FILE_MAX + 1);
	if (!text)
		return fl_error_oom(err);
	n = read_all(fd, text, FILE_MAX + 1);
	if (n < 0)
		return fl_error_errno(err, (int)n, FL_ECODE_IO, "%s", path);
	if (n > FILE_MAX)
		return fl_error_set(err, EFBIG, FL_ECODE_CONFIG, "%s: expected at most %d bytes",
				    path, FILE_MAX);
	return fl_resolvconf_parse(text, (size_t)n, ret, err);
}
