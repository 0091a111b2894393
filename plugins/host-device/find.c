/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The device that the configuration names, among those of the host. */
#include "hostdev.h"
#include "plugin/plugin.h"

#include "base/strbuf.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SYS "/sys"

/* ---- the one selector ---- */

static const struct {
	const char *key, *runtime; /* runtimeConfig's key, NULL without */
	enum hostdev_by by;
} keys[] = {
	{ "device", NULL, HOSTDEV_NAME },
	{ "hwaddr", NULL, HOSTDEV_MAC },
	{ "kernelpath", NULL, HOSTDEV_KERNEL_PATH },
	{ "pciBusID", NULL, HOSTDEV_PCI },
	{ "runtimeConfig.deviceID", "deviceID", HOSTDEV_AUXILIARY },
};

static int value_of(const struct fl_call *c, size_t i, const char **ret, struct fl_error *err)
{
	const json_t *v = keys[i].runtime ? fl_config_get(c, "runtimeConfig", keys[i].runtime, NULL)
					  : fl_config_get(c, keys[i].key, NULL, NULL);

	if (v && !json_is_string(v))
		return fl_error_set(err, EINVAL, FL_ECODE_DECODE, "%s: expected a string, not %s",
				    keys[i].key, fl_json_kind(v));
	*ret = v ? json_string_value(v) : "";
	return 0;
}

int hostdev_select_types(const struct fl_call *c, struct fl_error *err)
{
	const char *value;
	int r = 0;

	for (size_t i = 0; i < FL_ARRAY_SIZE(keys) && !r; i++)
		r = value_of(c, i, &value, err);
	return r;
}

int hostdev_select(const struct fl_call *c, struct hostdev_selector *ret, struct fl_error *err)
{
	const char *value[FL_ARRAY_SIZE(keys)];
	int chosen = -1, r = 0;

	for (size_t i = 0; i < FL_ARRAY_SIZE(keys) && !r; i++)
		r = value_of(c, i, &value[i], err);
	if (r)
		return r;
	/* The runtime's choice stands over the configuration's of the same sort. */
	if (*value[4])
		value[3] = "";
	for (size_t i = 0; i < FL_ARRAY_SIZE(keys); i++) {
		if (!*value[i])
			continue;
		if (chosen >= 0)
			return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
					    "%s, %s: expected one of them, found both; each "
					    "chooses a device",
					    keys[chosen].key, keys[i].key);
		chosen = (int)i;
	}
	if (chosen < 0)
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "device: expected one of device, hwaddr, kernelpath, pciBusID "
				    "and runtimeConfig.deviceID, found none");
	return hostdev_selector_parse(keys[chosen].key, keys[chosen].by, value[chosen], ret, err);
}

/* ---- who has it ---- */

struct holder {
	struct fl_call *c;
	struct fl_txn *t;
	const struct hostdev_selector *sel;
	struct fl_endpoint_id id;
	bool gone;
};

static int see_holder(void *arg, const struct fl_endpoint *ep)
{
	struct holder *h = arg;
	FL_AUTOJSON json_t *memo = NULL;
	struct fl_bytes bytes;
	struct hostdev d;

	if (strcmp(ep->id.driver, h->c->driver->type) != 0 ||
	    fl_endpoint_id_eq(&ep->id, &h->c->ep.id) || fl_memo_get(h->t, &ep->id, &bytes, NULL))
		return 0;
	memo = json_loadb(bytes.p, bytes.len, 0, NULL);
	if (!memo || hostdev_memo_read(memo, &d, NULL) || !hostdev_matches(h->sel, &d))
		return 0;
	h->id = ep->id;
	h->gone = ep->nsid && fl_nsid_exists(h->c->host, (int32_t)(ep->nsid - 1), NULL) == 0;
	/* One that lives says more than one that is gone. */
	return !h->gone;
}

static bool find_holder(struct fl_call *c, const struct hostdev_selector *sel, struct holder *h)
{
	FL_AUTOTXN struct fl_txn *t = NULL;

	*h = (struct holder){ .c = c, .sel = sel };
	if (fl_txn_begin(c->store, false, &t, NULL))
		return false;
	h->t = t;
	fl_endpoints_each(t, NULL, see_holder, h, NULL);
	return *h->id.container;
}

static int held(const struct hostdev_selector *sel, const struct holder *h, struct fl_error *err)
{
	return fl_error_set(err, EBUSY, FL_ECODE_CONFLICT,
			    "%s: the device %s is in use by container %s (network %s, interface "
			    "%s); one container at a time can have it",
			    sel->key, sel->text, h->id.container, h->id.network, h->id.ifname);
}

int hostdev_missing(struct fl_call *c, const struct hostdev_selector *sel, const char *why,
		    struct fl_error *err)
{
	struct holder h;

	if (!find_holder(c, sel, &h))
		return fl_error_set(err, ENODEV, FL_ECODE_CONFIG, "%s: %s", sel->key, why);
	if (!h.gone)
		return held(sel, &h, err);
	return fl_error_set(err, ENODEV, FL_ECODE_CONFIG,
			    "%s: %s; container %s (network %s, interface %s) had it, and its "
			    "sandbox is gone",
			    sel->key, why, h.id.container, h.id.network, h.id.ifname);
}

/* ---- where it is ---- */

struct stray {
	const struct fl_call *c;
	const struct hostdev_selector *sel;
	struct fl_link *ret;
	bool found;
};

static int see_stray(void *arg, const struct fl_link *l)
{
	struct stray *s = arg;

	if (strcmp(l->alias, s->sel->text) != 0 ||
	    !hostdev_is_stray_name(l->name, s->c->req.ifname))
		return 0;
	*s->ret = *l;
	s->found = true;
	return 0;
}

int hostdev_find_stray(struct fl_call *c, const struct hostdev_selector *sel, struct fl_link *ret,
		       struct fl_error *err)
{
	struct stray s = { c, sel, ret, false };
	int r = sel->by == HOSTDEV_NAME ? fl_links_each(c->host, see_stray, &s, err) : 0;

	return r ? r : s.found ? 0 : -ENODEV;
}

static int missing_name(struct fl_call *c, const struct hostdev_selector *sel, const char *name,
			struct fl_error *err)
{
	char why[160];

	snprintf(why, sizeof(why), "the host has no interface \"%s\"", name);
	return hostdev_missing(c, sel, why, err);
}

/* One that the kernel brought home under another name still counts as what it was. */
static int find_name(struct fl_call *c, const struct hostdev_selector *sel, struct hostdev *ret,
		     struct fl_link *l, struct fl_error *err)
{
	struct fl_error quiet = { 0 };
	int r = fl_link_get(c->host, sel->text, l, &quiet);

	if (r && r != -ENODEV && err)
		*err = quiet;
	if (r != -ENODEV) {
		if (!r)
			hostdev_of_link(l, ret);
		return r;
	}
	r = hostdev_find_stray(c, sel, l, err);
	if (r)
		return r == -ENODEV ? missing_name(c, sel, sel->text, err) : r;
	hostdev_of_link(l, ret);
	fl_strcpy(ret->name, sizeof(ret->name), l->alias);
	ret->alias[0] = '\0';
	return 0;
}

static int see_mac(void *arg, const struct fl_link *l)
{
	hostdev_choose(arg, l);
	return 0;
}

static int find_mac(struct fl_call *c, const struct hostdev_selector *sel, struct fl_link *l,
		    struct fl_error *err)
{
	struct hostdev_choice choice = { .mac = sel->mac };
	int r = fl_links_each(c->host, see_mac, &choice, err);
	char why[80];

	if (r)
		return r;
	if (!choice.rank) {
		snprintf(why, sizeof(why), "no interface of the host has the MAC %s", sel->text);
		return hostdev_missing(c, sel, why, err);
	}
	if (choice.tie)
		return fl_error_set(err, ENOTUNIQ, FL_ECODE_CONFIG,
				    "%s: the interfaces %s and %s both have the MAC %s; choose by "
				    "device",
				    sel->key, choice.link.name, choice.other.name, sel->text);
	*l = choice.link;
	return 0;
}

static int no_interface(struct fl_call *c, const struct hostdev_selector *sel, const char *folder,
			struct fl_error *err)
{
	char driver[64], why[256];

	hostdev_bound_driver(folder, driver, sizeof(driver));
	if (hostdev_is_userspace(driver))
		return fl_error_set(err, EBUSY, FL_ECODE_CONFIG,
				    "%s: the device is in use by DPDK (driver %s) and has no "
				    "interface; choose it by pciBusID",
				    sel->key, driver);
	snprintf(why, sizeof(why), "the device %.128s has no interface on the host%s%s",
		 strrchr(sel->text, '/') ? strrchr(sel->text, '/') + 1 : sel->text,
		 *driver ? "; its driver is " : "", driver);
	return hostdev_missing(c, sel, why, err);
}

static int no_device(struct fl_call *c, const struct hostdev_selector *sel, struct fl_error *err)
{
	char why[HOSTDEV_PATH + 64];

	snprintf(why, sizeof(why), "there is no device %s", sel->text);
	return hostdev_missing(c, sel, why, err);
}

static int find_folder(struct fl_call *c, const struct hostdev_selector *sel, const char *folder,
		       struct fl_link *l, struct fl_error *err)
{
	struct fl_error quiet = { 0 };
	struct hostdev_names names;
	int r = hostdev_names(folder, &names);

	if (r == -ENOENT)
		return no_device(c, sel, err);
	if (r)
		return fl_error_errno(err, r, FL_ECODE_KERNEL, "%s: %s", sel->key, folder);
	if (!names.n)
		return no_interface(c, sel, folder, err);
	if (names.n > 1)
		return fl_error_set(err, ENOTUNIQ, FL_ECODE_CONFIG,
				    "%s: %s has %zu interfaces (%s, %s%s); choose by device",
				    sel->key, sel->text, names.n, names.name[0], names.name[1],
				    names.n > 2 ? ", ..." : "");
	r = fl_link_get(c->host, names.name[0], l, &quiet);
	/* A /sys that was mounted in another namespace shows that one's interfaces. */
	if (r == -ENODEV)
		return missing_name(c, sel, names.name[0], err);
	if (r && err)
		*err = quiet;
	return r;
}

static int find_dpdk(struct fl_call *c, const struct hostdev_selector *sel, const char *folder,
		     struct hostdev *ret, struct fl_error *err)
{
	struct holder h;

	if (access(folder, F_OK))
		return no_device(c, sel, err);
	/* Nothing of the kernel's tells who has it. */
	if (find_holder(c, sel, &h) && !h.gone)
		return held(sel, &h, err);
	*ret = (struct hostdev){ .dpdk = true };
	fl_strcpy(ret->bus, sizeof(ret->bus), sel->text);
	return 0;
}

/* ---- what cannot be given away ---- */

static int refuse(struct fl_call *c, const struct hostdev_selector *sel, const struct fl_link *l,
		  struct fl_error *err)
{
	struct fl_link master;

	if (l->flags & IFF_LOOPBACK)
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "%s: \"%s\" is a loopback interface, which stays in its "
				    "namespace",
				    sel->key, l->name);
	if (!strcmp(l->kind, "bridge"))
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "%s: \"%s\" is a bridge, which stays in its namespace",
				    sel->key, l->name);
	if (!l->master)
		return 0;
	if (fl_link_get_index(c->host, l->master, &master, NULL))
		master = (struct fl_link){ .name = "?", .kind = "?" };
	return fl_error_set(err, EBUSY, FL_ECODE_CONFIG,
			    "%s: \"%s\" is a port of the %s %s; release it first (ip link set %s "
			    "nomaster)",
			    sel->key, l->name, master.kind, master.name, l->name);
}

int hostdev_find(struct fl_call *c, const struct hostdev_selector *sel, bool dpdk,
		 struct hostdev *ret, struct fl_error *err)
{
	char folder[2 * HOSTDEV_PATH], driver[64] = "";
	struct hostdev d = { 0 };
	struct fl_link l;
	int r;

	if (dpdk && sel->by != HOSTDEV_PCI)
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "dpdkMode: needs pciBusID, or a PCI address as "
				    "runtimeConfig.deviceID, not %s",
				    sel->key);
	if (sel->by != HOSTDEV_NAME && sel->by != HOSTDEV_MAC)
		hostdev_folder(SYS, sel, folder);
	if (sel->by == HOSTDEV_PCI)
		hostdev_bound_driver(folder, driver, sizeof(driver));
	if (dpdk || (sel->by == HOSTDEV_PCI && hostdev_is_userspace(driver)))
		return find_dpdk(c, sel, folder, ret, err);
	if (sel->by == HOSTDEV_NAME)
		r = find_name(c, sel, &d, &l, err);
	else
		r = sel->by == HOSTDEV_MAC ? find_mac(c, sel, &l, err)
					   : find_folder(c, sel, folder, &l, err);
	if (!r)
		r = refuse(c, sel, &l, err);
	if (r)
		return r;
	if (sel->by != HOSTDEV_NAME)
		hostdev_of_link(&l, &d);
	if (sel->by == HOSTDEV_PCI || sel->by == HOSTDEV_AUXILIARY)
		fl_strcpy(d.bus, sizeof(d.bus), sel->text);
	*ret = d;
	return 0;
}
