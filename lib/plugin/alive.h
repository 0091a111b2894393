/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Is the process that makes an endpoint still at it? A name in the abstract socket space of the
 * host namespace is held from before the record is written until the process ends, however it ends;
 * it is seen from every pid namespace, and the kernel gives it up for a killed process.
 */
#pragma once

#include "store/record.h"

/* Holds the endpoint's name for this process; the descriptor is never closed. */
void fl_alive_hold(const struct fl_endpoint *ep);
/* True while some process holds it. An endpoint with neither link nor sandbox id has no name. */
bool fl_alive_check(const struct fl_endpoint *ep);
