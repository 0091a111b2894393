/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is given to -p and --expose, as docker run has it. Pure. */
#pragma once

#include "base/error.h"
#include "base/json.h"

#include <stdint.h>

/* [[ADDRESS:]HOST[-LAST]:]CONTAINER[-LAST][/PROTOCOL] */
struct portspec {
	char host[64];	    /* "" for every address */
	uint16_t host_port; /* 0: a free one */
	uint32_t n_host;    /* length of the host's range; 0: none was given */
	uint16_t container_port;
	uint32_t count; /* length of the container's range */
	uint8_t proto;
};

/* Exit status EXIT_USAGE with the part that is wrong. */
int portspec_parse(const char *text, struct portspec *ret, struct fl_error *err);
/* A capability argument, {"hostPort", "containerPort", "protocol", "hostIP", "range"}. */
json_t *portspec_json(const struct portspec *p);
