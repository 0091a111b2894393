/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is given to -p: whatever is accepted is in bounds, and its JSON is one. */
#include "netctl/portspec.h"

#include "base/cleanup.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	FL_AUTOFREE char *text = size < 4096 ? strndup((const char *)data, size) : NULL;
	struct fl_error err = { 0 };
	struct portspec p;

	if (!text)
		return 0;
	if (portspec_parse(text, &p, &err)) {
		if (!err.err || !err.text[0])
			abort();
		return 0;
	}
	if (!p.container_port || !p.count || p.container_port + p.count - 1 > 65535 ||
	    (p.n_host && (!p.host_port || p.host_port + p.n_host - 1 > 65535)))
		abort();
	json_decref(portspec_json(&p));
	return 0;
}
