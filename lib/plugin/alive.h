/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Is the process that makes an endpoint still at it? A name in the abstract socket space of the
 * host namespace is held from before the record is written until the process ends, however it ends;
 * it is seen from every pid namespace, and the kernel gives it up for a killed process.
 */
#pragma once

#include <stdbool.h>

/* Holds the name for this process; the descriptor is never closed. */
void fl_alive_hold(const char *link);
/* True while some process holds it. */
bool fl_alive_check(const char *link);
