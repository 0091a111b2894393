/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Addresses on buses, folders of devices, and the choice among links. */
#include "hostdev.h"

#include "base/strbuf.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* ---- forms ---- */

/* `min` to `max` hexadecimal digits; *s is behind them afterwards. */
static bool take_hex(const char **s, int min, int max)
{
	int n = 0;

	for (; n < max && isxdigit((unsigned char)**s); n++)
		(*s)++;
	return n >= min;
}

/* Domain, bus, device (5 bits), function (3 bits): Documentation/PCI/sysfs-pci.rst. */
int hostdev_pci_parse(const char *s, char ret[HOSTDEV_BUS])
{
	const char *p = s;
	bool domain = strchr(s, ':') != strrchr(s, ':');

	if (strlen(s) > 16 || (domain && (!take_hex(&p, 4, 8) || *p++ != ':')))
		return -EINVAL;
	if (!take_hex(&p, 2, 2) || *p++ != ':')
		return -EINVAL;
	if ((*p != '0' && *p != '1') || !take_hex(&p, 2, 2) || *p++ != '.')
		return -EINVAL;
	if (*p < '0' || *p > '7' || p[1])
		return -EINVAL;
	snprintf(ret, HOSTDEV_BUS, "%s%s", domain ? "" : "0000:", s);
	for (char *q = ret; *q; q++)
		*q = (char)tolower((unsigned char)*q);
	return 0;
}

bool hostdev_auxiliary_valid(const char *s)
{
	const char *last = strrchr(s, '.'), *first = strchr(s, '.');

	if (!fl_name_valid(s, HOSTDEV_BUS - 1) || !last || first == last || strstr(s, ".."))
		return false;
	return last[1] && last[1 + strspn(last + 1, "0123456789")] == '\0';
}

bool hostdev_path_valid(const char *s)
{
	const char *p = s;

	if (strncmp(s, "/sys/devices/", 13) != 0 || strlen(s) >= HOSTDEV_PATH)
		return false;
	for (; p; p = strchr(p, '/')) {
		size_t n = strcspn(++p, "/");

		if ((n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.'))
			return false;
	}
	return true;
}

static int refuse(const char *key, const char *expected, const char *value, struct fl_error *err)
{
	return fl_error_set(err, EINVAL, FL_ECODE_CONFIG, "%s: expected %s, not \"%.64s\"", key,
			    expected, value);
}

int hostdev_selector_parse(const char *key, enum hostdev_by by, const char *value,
			   struct hostdev_selector *ret, struct fl_error *err)
{
	*ret = (struct hostdev_selector){ .by = by, .key = key };
	fl_strcpy(ret->text, sizeof(ret->text), value);
	switch (by) {
	case HOSTDEV_NAME:
		return fl_ifname_valid(value) ? 0
					      : refuse(key,
						       "an interface name of 1 to 15 bytes without "
						       "'/', ':', '%' and spaces",
						       value, err);
	case HOSTDEV_MAC:
		if (fl_mac_parse(value, &ret->mac) || fl_mac_is_zero(&ret->mac))
			return refuse(key, "a MAC address such as \"02:00:00:00:00:01\"", value,
				      err);
		fl_mac_str(&ret->mac, ret->text);
		return 0;
	case HOSTDEV_KERNEL_PATH:
		return hostdev_path_valid(value)
			       ? 0
			       : refuse(key, "a path below /sys/devices/ without \"..\"", value,
					err);
	default:
		break;
	}
	if (!hostdev_pci_parse(value, ret->text)) {
		ret->by = HOSTDEV_PCI;
		return 0;
	}
	return by == HOSTDEV_AUXILIARY && hostdev_auxiliary_valid(value) ? 0
	       : by == HOSTDEV_AUXILIARY
		       ? refuse(key,
				"a PCI address such as \"0000:3d:00.1\" or an auxiliary device "
				"such as \"mlx5_core.sf.4\"",
				value, err)
		       : refuse(key, "a PCI address such as \"0000:3d:00.1\"", value, err);
}

/* ---- folders ---- */

void hostdev_folder(const char *sys, const struct hostdev_selector *sel, char ret[2 * HOSTDEV_PATH])
{
	const char *bus = sel->by == HOSTDEV_PCI ? "pci" : "auxiliary";

	if (sel->by == HOSTDEV_KERNEL_PATH)
		snprintf(ret, (size_t)2 * HOSTDEV_PATH, "%s%s", sys, sel->text + strlen("/sys"));
	else
		snprintf(ret, (size_t)2 * HOSTDEV_PATH, "%s/bus/%s/devices/%s", sys, bus,
			 sel->text);
}

static int compare(const void *a, const void *b)
{
	return strcmp(a, b);
}

static void closedir_p(DIR **d)
{
	if (*d)
		closedir(*d);
}

/* Adds the interfaces in FOLDER/net; -ENOENT when there is no such folder. */
static int list_net(const char *folder, struct hostdev_names *ret)
{
	char path[3 * HOSTDEV_PATH];
	DIR *d FL_CLEANUP(closedir_p) = NULL;

	snprintf(path, sizeof(path), "%s/net", folder);
	d = opendir(path);
	if (!d)
		return -errno;
	for (const struct dirent *e; ret->n < HOSTDEV_NAMES_MAX && (e = readdir(d));)
		if (fl_ifname_valid(e->d_name))
			fl_strcpy(ret->name[ret->n++], IFNAMSIZ, e->d_name);
	return 0;
}

static void list_virtio(DIR *d, const char *folder, struct hostdev_names *ret)
{
	char path[3 * HOSTDEV_PATH];

	for (const struct dirent *e; (e = readdir(d));) {
		if (strncmp(e->d_name, "virtio", 6) != 0)
			continue;
		snprintf(path, sizeof(path), "%s/%.64s", folder, e->d_name);
		list_net(path, ret);
	}
}

int hostdev_names(const char *folder, struct hostdev_names *ret)
{
	DIR *d FL_CLEANUP(closedir_p) = opendir(folder);
	char path[3 * HOSTDEV_PATH];
	const char *base = strrchr(folder, '/');
	struct stat st;

	*ret = (struct hostdev_names){ .n = 0 };
	if (!d)
		return errno == ENOTDIR ? -ENOENT : -errno;
	snprintf(path, sizeof(path), "%s/ifindex", folder);
	if (base && !stat(path, &st) && fl_ifname_valid(base + 1))
		fl_strcpy(ret->name[ret->n++], IFNAMSIZ, base + 1);
	else if (list_net(folder, ret))
		list_virtio(d, folder, ret);
	qsort(ret->name, ret->n, IFNAMSIZ, compare);
	return 0;
}

void hostdev_bound_driver(const char *folder, char *ret, size_t size)
{
	char path[3 * HOSTDEV_PATH], to[HOSTDEV_PATH];
	const char *base;
	ssize_t n;

	snprintf(path, sizeof(path), "%s/driver", folder);
	n = readlink(path, to, sizeof(to) - 1);
	to[n > 0 ? n : 0] = '\0';
	base = strrchr(to, '/');
	fl_strcpy(ret, size, base ? base + 1 : to);
}

bool hostdev_is_userspace(const char *driver)
{
	static const char *const names[] = { "vfio-pci", "uio_pci_generic", "igb_uio" };

	for (size_t i = 0; i < FL_ARRAY_SIZE(names); i++)
		if (!strcmp(names[i], driver))
			return true;
	return false;
}

/* ---- choosing ---- */

static bool same_mac(const struct fl_mac *a, const struct fl_mac *b)
{
	return !memcmp(a->b, b->b, sizeof(a->b));
}

void hostdev_choose(struct hostdev_choice *choice, const struct fl_link *l)
{
	bool perm = same_mac(&l->perm_mac, &choice->mac);
	/* The hardware's own, then a device without software behind it, then any. */
	int rank = perm ? 3 : !same_mac(&l->mac, &choice->mac) ? 0 : !*l->kind ? 2 : 1;

	if (!rank || rank < choice->rank)
		return;
	choice->tie = rank == choice->rank;
	if (choice->tie)
		choice->other = *l;
	else
		choice->link = *l;
	choice->rank = rank;
}

bool hostdev_matches(const struct hostdev_selector *sel, const struct hostdev *d)
{
	const char *base = strrchr(sel->text, '/');

	switch (sel->by) {
	case HOSTDEV_NAME:
		return !strcmp(sel->text, d->name);
	case HOSTDEV_MAC:
		return same_mac(&sel->mac, &d->mac) || same_mac(&sel->mac, &d->perm_mac);
	case HOSTDEV_KERNEL_PATH:
		return base && base[1] && (!strcmp(base + 1, d->name) || !strcmp(base + 1, d->bus));
	default:
		return !strcmp(sel->text, d->bus);
	}
}

bool hostdev_is_stray_name(const char *name, const char *ifname)
{
	size_t n = !strncmp(name, "hostdev", 7) ? 7 : !strncmp(name, "dev", 3) ? 3 : 0;

	if (*ifname && !strcmp(name, ifname))
		return true;
	return n && name[n] && name[n + strspn(name + n, "0123456789")] == '\0';
}
