/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "netctl/network_common.h"

#include <string.h>

size_t network_endpoints(const struct model *m, const char *network)
{
	size_t n = 0;

	for (size_t i = 0; i < m->n_attachments; i++)
		n += !strcmp(m->attachments[i].main->id.network, network);
	return n;
}

const struct fl_network *network_record(const struct model *m, const char *network)
{
	for (size_t i = 0; i < m->n_attachments; i++)
		if (!strcmp(m->attachments[i].main->id.network, network))
			return model_network(m, m->attachments[i].main);
	return NULL;
}

int add_subnet(void *list, const struct fl_prefix *p)
{
	struct fl_prefix masked = fl_prefix_masked(p);

	return json_array_append_new(list, json_string(fl_prefix_str(&masked, FL_PREFIX_BUF)));
}

json_t *network_subnets(const struct fl_network *net)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < net->n_subnets; i++)
		add_subnet(list, &net->subnets[i]);
	return list;
}
