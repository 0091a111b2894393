/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A network configuration from a stranger: IPAM, ports, DNS and previous result, all that decodes
 * it. */
#include "plugin/internal.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct fl_driver driver = { .type = "fuzz",
					 .flags = FL_DRIVER_IPAM | FL_DRIVER_PORTS };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fl_call c = { .driver = &driver,
			     .self = FL_NETNS_NONE,
			     .sandbox = FL_NETNS_NONE,
			     .req = { .container = "c",
				      .netns = "",
				      .ifname = "eth0",
				      .network = "n",
				      .args = "",
				      .path = "" } };
	struct fl_error err = { 0 };
	const json_t *prev;

	c.req.version = size ? data[0] % FL_VERSIONS : FL_V110;
	c.req.config = json_loadb((const char *)data + !!size, size - !!size, 0, NULL);
	if (!json_is_object(c.req.config)) {
		json_decref(c.req.config);
		return 0;
	}
	/* A file named by resolvConf is not part of the input. */
	json_object_del(json_object_get(c.req.config, "ipam"), "resolvConf");
	prev = fl_json_get(c.req.config, "prevResult");
	if (prev)
		c.has_prev = !fl_result_parse(prev, c.req.version, "prevResult", &c.prev, &err);
	if (c.has_prev) {
		json_t *out = NULL;

		if (!fl_result_json(&c.prev, c.req.version, &out, &err))
			json_decref(out);
	}
	fl_engine_decode(&c, &err);
	fl_call_clear(&c);
	return 0;
}
