/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A configuration from a stranger, for each plugin: its own keys, IPAM, the previous result. The
 * first three bytes choose plugin, verb and version.
 */
#include "drivers.h"
#include "plugin/internal.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct fl_driver *const drivers[] = {
#define DRIVER(name) &name##_driver,
#include "drivers.inc"
#undef DRIVER
};

static void decode(struct fl_call *c, const uint8_t *data, size_t size)
{
	struct fl_error err = { 0 };
	const json_t *prev;

	c->req.config = json_loadb((const char *)data, size, 0, NULL);
	if (!json_is_object(c->req.config))
		return;
	/* Files named by the input are not part of it. */
	json_object_del(json_object_get(c->req.config, "ipam"), "resolvConf");
	prev = fl_json_get(c->req.config, "prevResult");
	if (prev)
		c->has_prev = !fl_result_parse(prev, c->req.version, "prevResult", &c->prev, &err);
	/* A refusal always has words. */
	err = (struct fl_error){ 0 };
	if (fl_engine_decode(c, &err) && !*err.text)
		__builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fl_call c = { .self = FL_NETNS_NONE,
			     .sandbox = FL_NETNS_NONE,
			     .req = { .container = "c",
				      .netns = "",
				      .ifname = "eth0",
				      .network = "n",
				      .args = "",
				      .path = "" } };

	if (size < 3)
		return 0;
	c.driver = drivers[data[0] % FL_ARRAY_SIZE(drivers)];
	c.req.verb = data[1] % (FL_VERB_STATUS + 1);
	c.req.version = data[2] % FL_VERSIONS;
	decode(&c, data + 3, size - 3);
	fl_call_clear(&c);
	return 0;
}
