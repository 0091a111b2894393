/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tap: a persistent TAP device in the sandbox, for a hypervisor (kernel: networking/tuntap.rst). */
#include "drivers.h"

#include "base/strbuf.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <string.h>
#include <sys/ioctl.h>

struct tap_conf {
	bool multi_queue, dad;
	int64_t mtu, owner, group;
	json_t *owner_json, *group_json;
	struct fl_mac mac;
	const char *selinux, *bridge;
};

static const struct fl_field fields[] = {
	FL_F("multiQueue", BOOL, struct tap_conf, multi_queue),
	FL_F("mtu", INT, struct tap_conf, mtu, 0, 65535),
	FL_F("mac", MAC, struct tap_conf, mac),
	FL_F("owner", INT, struct tap_conf, owner, 0, UINT32_MAX - 1),
	FL_F("owner", JSON, struct tap_conf, owner_json),
	FL_F("group", INT, struct tap_conf, group, 0, UINT32_MAX - 1),
	FL_F("group", JSON, struct tap_conf, group_json),
	FL_F("selinuxContext", STRING, struct tap_conf, selinux, .max = 255),
	FL_F("bridge", STRING, struct tap_conf, bridge),
	FL_F("enabledad", BOOL, struct tap_conf, dad),
	{ 0 },
};

static int validate(struct fl_call *c, struct fl_error *err)
{
	struct tap_conf *conf = c->conf;
	struct fl_mac asked = { 0 };
	int r = fl_requested_mac(c, &asked, err);

	if (conf->bridge && *conf->bridge && !fl_ifname_valid(conf->bridge))
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "bridge: expected the name of a bridge in the sandbox, not "
				    "\"%.64s\"",
				    conf->bridge);
	c->ep.mac = fl_mac_is_zero(&asked) ? conf->mac : asked;
	return r;
}

/* Devices belong to the context of whoever makes them, so the thread takes that one for a moment.
 */
static int set_context(const char *context, char *old, size_t size, struct fl_error *err)
{
	FL_AUTOCLOSE int fd = open("/proc/thread-self/attr/current", O_RDWR | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : pread(fd, old, size - 1, 0);

	if (n < 0 || access("/sys/fs/selinux/enforce", F_OK))
		return fl_error_set(err, EOPNOTSUPP, FL_ECODE_KERNEL,
				    "selinuxContext: SELinux is not active on this host; leave the "
				    "key away");
	old[n] = '\0';
	if (write(fd, context, strlen(context)) < 0)
		return fl_error_errno(err, errno, FL_ECODE_KERNEL, "selinuxContext: \"%s\"",
				      context);
	return 0;
}

static int unset_context(const char *old)
{
	FL_AUTOCLOSE int fd = open("/proc/thread-self/attr/current", O_RDWR | O_CLOEXEC);

	return fd < 0 || write(fd, old, strlen(old)) < 0 ? -errno : 0;
}

static int configure(int fd, struct fl_call *c, struct fl_error *err)
{
	const struct tap_conf *conf = c->conf;
	unsigned index = c->ep.ifindex;
	struct ifreq ifr = { 0 };

	fl_strcpy(ifr.ifr_name, sizeof(ifr.ifr_name), c->req.ifname);
	ifr.ifr_flags = (short)(IFF_TAP | IFF_NO_PI | IFF_TUN_EXCL |
				(conf->multi_queue ? IFF_MULTI_QUEUE : 0));
	if (ioctl(fd, TUNSETIFINDEX, &index) || ioctl(fd, TUNSETIFF, &ifr))
		return errno == EBUSY ? fl_ifname_taken(c, err)
				      : fl_error_errno(err, errno, FL_ECODE_KERNEL, "tap %s",
						       c->req.ifname);
	if (conf->owner_json && ioctl(fd, TUNSETOWNER, (unsigned long)conf->owner))
		return fl_error_errno(err, errno, FL_ECODE_KERNEL, "owner: %lld",
				      (long long)conf->owner);
	if (conf->group_json && ioctl(fd, TUNSETGROUP, (unsigned long)conf->group))
		return fl_error_errno(err, errno, FL_ECODE_KERNEL, "group: %lld",
				      (long long)conf->group);
	if (ioctl(fd, TUNSETPERSIST, 1UL))
		return fl_error_errno(err, errno, FL_ECODE_KERNEL, "tap %s: cannot be kept",
				      c->req.ifname);
	return 0;
}

/* In the sandbox: a device belongs to the namespace in which /dev/net/tun was opened. */
static int make(struct fl_call *c, struct fl_error *err)
{
	const struct tap_conf *conf = c->conf;
	FL_AUTOCLOSE int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	char old[256] = "";
	bool labelled = conf->selinux && *conf->selinux;
	int r;

	if (fd < 0)
		return fl_error_errno(err, errno, FL_ECODE_KERNEL,
				      "/dev/net/tun (CONFIG_TUN, or the device node is missing)");
	r = labelled ? set_context(conf->selinux, old, sizeof(old), err) : 0;
	if (r)
		return r;
	r = configure(fd, c, err);
	if (labelled && unset_context(old) && !r)
		r = fl_error_set(err, EIO, FL_ECODE_KERNEL,
				 "selinuxContext: cannot go back to the context before it");
	return r;
}

static int settle(struct fl_call *c, struct fl_error *err)
{
	const struct tap_conf *conf = c->conf;
	struct fl_link l;
	int r = fl_link_set_mac(c->inside, c->ep.ifindex, &c->ep.mac, err);

	if (!r && conf->mtu)
		r = fl_link_set_mtu(c->inside, c->ep.ifindex, (uint32_t)conf->mtu, err);
	if (r || !conf->bridge || !*conf->bridge)
		return r;
	r = fl_link_get(c->inside, conf->bridge, &l, err);
	if (!r)
		r = fl_link_set_master(c->inside, c->ep.ifindex, l.index, err);
	return r ? fl_error_prefix(err, "bridge") : 0;
}

static int create(struct fl_call *c, struct fl_error *err)
{
	struct fl_link l;
	int r = fl_call_inside(c, make, err);

	if (!r)
		r = settle(c, err);
	if (!r)
		r = fl_link_get_index(c->inside, c->ep.ifindex, &l, err);
	if (!r && fl_result_add_interface(&c->result, l.name, &l.mac, c->req.netns, l.mtu) < 0)
		r = fl_error_oom(err);
	return r;
}

static int join(struct fl_call *c, struct fl_error *err)
{
	const struct tap_conf *conf = c->conf;

	return fl_join_interface(c, &(struct fl_join){ .dad = conf->dad }, err);
}

static int check(struct fl_call *c, struct fl_error *err)
{
	return fl_check_kind(c, "tun", "TAP device", err);
}

const struct fl_driver tap_driver = {
	.type = "tap",
	.about = "gives a sandbox a persistent TAP device",
	.flags = FL_DRIVER_IPAM | FL_DRIVER_INSIDE | FL_DRIVER_DIRECT,
	.fields = fields,
	.conf_size = sizeof(struct tap_conf),
	.validate = validate,
	.endpoint_create = create,
	.join = join,
	.endpoint_delete = fl_endpoint_delete_inside,
	.check = check,
};
