/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/caps.h"

#include <errno.h>

int fl_keep_capabilities(const cap_value_t *keep, size_t n, size_t must, size_t asleep,
			 const char *needed, struct fl_error *err)
{
	cap_t have = cap_get_proc(), caps = cap_init();
	cap_flag_value_t set;
	int r = 0;

	for (size_t i = 0; i < n && have && caps; i++) {
		if (cap_get_flag(have, keep[i], CAP_PERMITTED, &set) || set != CAP_SET) {
			if (i < must)
				r = fl_error_set(err, EPERM, FL_ECODE_PRIVILEGE,
						 "capabilities %s are needed: start it as root",
						 needed);
			continue;
		}
		cap_set_flag(caps, CAP_PERMITTED, 1, &keep[i], CAP_SET);
		if (i < asleep)
			cap_set_flag(caps, CAP_EFFECTIVE, 1, &keep[i], CAP_SET);
	}
	if (!r && (!have || !caps || cap_set_proc(caps)))
		r = fl_error_errno(err, errno, FL_ECODE_PRIVILEGE, "cannot drop capabilities");
	cap_free(have);
	cap_free(caps);
	return r;
}
