/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "bridge.h"

#include "drivers.h"

const struct fl_driver bridge_driver = {
	.type = "bridge",
	.about = "attaches containers to a bridge, with NAT, published ports and addresses",
	.flags = FL_DRIVER_IPAM | FL_DRIVER_PORTS,
	.fields = bridge_fields,
	.conf_size = sizeof(struct bridge_conf),
	.validate = bridge_validate,
	.prepare = bridge_prepare,
	.network_create = bridge_network_create,
	.network_address = bridge_network_address,
	.network_undo = bridge_network_undo,
	.endpoint_create = bridge_endpoint_create,
	.join = bridge_join,
	.endpoint_delete = fl_endpoint_delete_link,
	.check = bridge_check,
	.status = bridge_status,
};
