/* SPDX-License-Identifier: GPL-2.0-or-later */
/* CNI_ARGS. */
#include "plugin/cni.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fl_request q = { 0 };
	struct fl_error err = { 0 };
	char *text = malloc(size + 1);

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	fl_cni_args(text, &q, &err);
	free(text);
	return 0;
}
