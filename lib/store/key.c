/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "store/private.h"

#include <errno.h>
#include <string.h>

void fl_key_bytes(struct fl_key *k, const void *p, size_t n)
{
	if (k->overflow || n > sizeof(k->b) - k->len) {
		k->overflow = true;
		return;
	}
	memcpy(k->b + k->len, p, n);
	k->len += n;
}

void fl_key_str(struct fl_key *k, const char *s, bool last)
{
	fl_key_bytes(k, s, strlen(s) + !last);
}

void fl_key_u8(struct fl_key *k, uint8_t v)
{
	fl_key_bytes(k, &v, 1);
}

void fl_key_u16(struct fl_key *k, uint16_t v)
{
	fl_key_bytes(k, (uint8_t[]){ (uint8_t)(v >> 8), (uint8_t)v }, 2);
}

void fl_key_u32(struct fl_key *k, uint32_t v)
{
	fl_key_u16(k, (uint16_t)(v >> 16));
	fl_key_u16(k, (uint16_t)v);
}

void fl_key_addr(struct fl_key *k, const struct fl_addr *a)
{
	fl_key_u8(k, a->family == AF_INET ? 4 : 6);
	fl_key_bytes(k, a->b, fl_addr_len(a));
}

/*
 * Network and driver come first: "is this network in use by this driver" and "endpoints of this
 * network" are then prefix searches.
 */
void fl_key_endpoint(struct fl_key *k, const struct fl_endpoint_id *id)
{
	fl_key_str(k, id->network, false);
	fl_key_str(k, id->driver, false);
	fl_key_str(k, id->container, false);
	fl_key_str(k, id->ifname, true);
}

/* Copies the bytes up to a NUL or the end; false when they do not fit. */
static bool take_part(struct fl_bytes *rest, char *to, size_t size, bool last)
{
	size_t n = strnlen(rest->p, rest->len);

	if (n >= size || last != (n == rest->len))
		return false;
	memcpy(to, rest->p, n);
	to[n] = '\0';
	rest->p = (const char *)rest->p + n + !last;
	rest->len -= n + !last;
	return true;
}

int fl_key_endpoint_parse(struct fl_bytes key, struct fl_endpoint_id *ret, struct fl_error *err)
{
	struct fl_endpoint_id id;

	if (!take_part(&key, id.network, sizeof(id.network), false) ||
	    !take_part(&key, id.driver, sizeof(id.driver), false) ||
	    !take_part(&key, id.container, sizeof(id.container), false) ||
	    !take_part(&key, id.ifname, sizeof(id.ifname), true))
		return fl_error_set(err, EBADMSG, FL_ECODE_STORE,
				    "state: an owner's key is damaged");
	*ret = id;
	return 0;
}
