/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "overlay/vni.h"

#include "base/cleanup.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

static int compare(const void *x, const void *y)
{
	uint32_t a = *(const uint32_t *)x, b = *(const uint32_t *)y;

	return a < b ? -1 : a > b;
}

/* The first of first..last that `used`, sorted, does not have. */
static bool gap(const uint32_t *used, size_t n, uint32_t first, uint32_t last, uint32_t *ret)
{
	uint32_t at = first;

	for (size_t i = 0; i < n && used[i] <= at; i++)
		if (used[i] == at)
			at++;
	if (at > last)
		return false;
	*ret = at;
	return true;
}

int fl_vni_find(const uint32_t *used, size_t n, uint32_t from, uint32_t *ret, struct fl_error *err)
{
	FL_AUTOFREE uint32_t *sorted = calloc(n + 1, sizeof(*sorted));

	if (!sorted)
		return fl_error_oom(err);
	if (n)
		memcpy(sorted, used, n * sizeof(*used));
	qsort(sorted, n, sizeof(*sorted), compare);
	if (from < FL_VNI_AUTO_FIRST || from > FL_VNI_AUTO_LAST)
		from = FL_VNI_AUTO_FIRST;
	if (gap(sorted, n, from, FL_VNI_AUTO_LAST, ret) ||
	    gap(sorted, n, FL_VNI_AUTO_FIRST, from - 1, ret))
		return 0;
	return fl_error_set(err, ENOSPC, FL_ECODE_EXHAUSTED,
			    "all VNIs from %u to %u are in use; choose one below by \"vni\", or "
			    "remove networks",
			    FL_VNI_AUTO_FIRST, FL_VNI_AUTO_LAST);
}
