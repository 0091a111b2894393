/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "overlay.h"

#include "drivers.h"

const struct fl_driver overlay_driver = {
	.type = "overlay",
	.about = "attaches containers to a network that spans nodes (VXLAN)",
	.flags = FL_DRIVER_IPAM | FL_DRIVER_PORTS,
	.fields = overlay_fields,
	.conf_size = sizeof(struct overlay_conf),
	.validate = overlay_validate,
	.clear = overlay_clear,
	.prepare = overlay_prepare,
	.settle = overlay_settle,
	.network_create = overlay_network_create,
	.network_address = overlay_network_address,
	.network_delete = overlay_network_delete,
	.endpoint_create = overlay_endpoint_create,
	.allocate = overlay_allocate,
	.join = overlay_join,
	.endpoint_delete = fl_endpoint_delete_link,
	.release = overlay_release,
	.network_unknown = overlay_network_unknown,
	.check = overlay_check,
	.status = overlay_status,
};
