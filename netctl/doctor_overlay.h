/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the checks of overlay networks have in common. */
#pragma once

#include "netctl/doctor.h"
#include "vxlan/dataplane.h"

/* A network that the cluster has, of which this node has a tunnel. */
bool is_of_cluster(const struct fl_network *net);
/* Bytes of the IP packets on the way between nodes when the network's are of its MTU; 0: not known.
 */
long long overlay_need(const struct doctor *d, const json_t *net);
