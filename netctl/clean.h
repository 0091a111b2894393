/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Text that a stranger chose (the name of a process or a container), for people and for JSON. */
#pragma once

/* Puts '?' where a control character or something that is no UTF-8 stands. Returns s. */
char *clean_text(char *s);
