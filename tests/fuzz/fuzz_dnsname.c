/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Names as text, from configuration and from other programs: two of them, parted by a newline. */
#include "base/dnsname.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void check_text(const struct fl_dns_name *n)
{
	char *text = malloc(FL_DNS_TEXT_MAX);
	struct fl_dns_name again;

	must(text && strlen(fl_dns_name_str(n, text)) < FL_DNS_TEXT_MAX);
	/* where nothing was escaped it is read back */
	if (!strchr(text, '\\'))
		must(!fl_dns_name_parse(text, &again) && fl_dns_name_eq(n, &again));
	free(text);
}

static void check_labels(const struct fl_dns_name *n)
{
	struct fl_dns_name up = *n;

	for (unsigned left = fl_dns_name_labels(n); left; left--) {
		must(fl_dns_name_labels(&up) == left && up.len > 1);
		up = fl_dns_name_parent(&up);
		must(!up.b[up.len - 1]);
	}
	must(up.len == 1 && fl_dns_name_parent(&up).len == 1);
}

static void check_address(const struct fl_dns_name *n)
{
	struct fl_dns_name again;
	struct fl_addr a;

	if (fl_dns_name_to_addr(n, &a))
		return;
	fl_dns_name_of_addr(&a, &again);
	must(fl_dns_name_eq(n, &again));
}

static void check_two(const struct fl_dns_name *a, const struct fl_dns_name *b)
{
	struct fl_dns_name joined, stem;

	if (fl_dns_name_join(a, b, &joined)) {
		must(a->len + b->len - 1 > FL_DNS_NAME_MAX);
	} else {
		must(fl_dns_name_stem(&joined, b, &stem) == (a->len > 1));
		must(a->len == 1 || fl_dns_name_eq(&stem, a));
	}
	if (fl_dns_name_stem(a, b, &stem))
		must(!fl_dns_name_join(&stem, b, &joined) && fl_dns_name_eq(&joined, a));
}

static void check(const struct fl_dns_name *n)
{
	must(n->len && !n->b[n->len - 1]);
	check_text(n);
	check_labels(n);
	check_address(n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1), *second;
	struct fl_dns_name a, b;

	must(text);
	memcpy(text, data, size);
	text[size] = '\0';
	second = strchr(text, '\n');
	if (second)
		*second++ = '\0';
	if (!fl_dns_name_parse(text, &a)) {
		check(&a);
		if (second && !fl_dns_name_parse(second, &b))
			check_two(&a, &b);
	}
	free(text);
	return 0;
}
