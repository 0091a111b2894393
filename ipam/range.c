/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A range's rules and defaults, as the reference's host-local has them. */
#include "ipam/private.h"

#include <errno.h>

static int bad(struct fl_error *err, const char *path, const char *key, const struct fl_addr *a,
	       const struct fl_prefix *subnet)
{
	return fl_error_set(err, EINVAL, FL_ECODE_CONFIG, "%s.%s: %s is not in %s", path, key,
			    fl_addr_str(a, FL_ADDR_BUF), fl_prefix_str(subnet, FL_PREFIX_BUF));
}

static int check_subnet(const struct fl_prefix *subnet, const char *path, struct fl_error *err)
{
	struct fl_prefix masked = fl_prefix_masked(subnet);
	unsigned longest = fl_addr_bits(&subnet->addr) - 2;

	if (fl_addr_is_v4mapped(&subnet->addr))
		return fl_error_set(
			err, EINVAL, FL_ECODE_CONFIG,
			"%s.subnet: expected an IPv4 or IPv6 prefix, not the IPv4-mapped %s", path,
			fl_prefix_str(subnet, FL_PREFIX_BUF));
	if (subnet->len > longest)
		return fl_error_set(
			err, EINVAL, FL_ECODE_CONFIG,
			"%s.subnet: %s is too small: expected a prefix length of at most %u", path,
			fl_prefix_str(subnet, FL_PREFIX_BUF), longest);
	if (!fl_addr_eq(&masked.addr, &subnet->addr))
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "%s.subnet: %s has host bits set: the network is %s", path,
				    fl_prefix_str(subnet, FL_PREFIX_BUF),
				    fl_prefix_str(&masked, FL_PREFIX_BUF));
	return 0;
}

int fl_range_complete(struct fl_range *r, const char *path, struct fl_error *err)
{
	const struct fl_prefix *subnet = &r->subnet;
	int e = check_subnet(subnet, path, err);

	if (e)
		return e;
	/* The gateway may lie outside of the subnet, but not in another family. */
	if (!fl_addr_is_set(&r->gateway))
		r->gateway = fl_addr_add(subnet->addr, 1);
	else if (r->gateway.family != subnet->addr.family)
		return bad(err, path, "gateway", &r->gateway, subnet);

	if (!fl_addr_is_set(&r->start))
		r->start = fl_addr_add(subnet->addr, 1);
	else if (!fl_prefix_contains(subnet, &r->start))
		return bad(err, path, "rangeStart", &r->start, subnet);

	if (!fl_addr_is_set(&r->end)) {
		r->end = fl_prefix_last(subnet);
		if (r->end.family == AF_INET) /* the broadcast address */
			r->end = fl_addr_sub(r->end, 1);
	} else if (!fl_prefix_contains(subnet, &r->end)) {
		return bad(err, path, "rangeEnd", &r->end, subnet);
	}
	if (fl_addr_cmp(&r->start, &r->end) > 0)
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "%s.rangeEnd: %s comes before rangeStart %s", path,
				    fl_addr_str(&r->end, FL_ADDR_BUF),
				    fl_addr_str(&r->start, FL_ADDR_BUF));
	return 0;
}

bool fl_range_holds(const struct fl_range *r, const struct fl_addr *a)
{
	return r->start.family == a->family && fl_addr_cmp(&r->start, a) <= 0 &&
	       fl_addr_cmp(a, &r->end) <= 0;
}

bool fl_range_overlaps(const struct fl_range *a, const struct fl_range *b)
{
	return fl_range_holds(a, &b->start) || fl_range_holds(b, &a->start);
}
