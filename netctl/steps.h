/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What was looked at one after the other, and what came of it: for verbs that find a fault. */
#pragma once

#include "netctl/ctl.h"

struct steps {
	json_t *list; /* of {"step", "ok": true | false | null, "detail", "remedy"} */
	bool failed, unknown;
};

void steps_clear(struct steps *s);
#define AUTOSTEPS FL_CLEANUP(steps_clear)

/* `step` names what was looked at in a word or two. Strangers' text may be among the details. */
void step_ok(struct steps *s, const char *step, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* The remedy is a sentence for people; NULL: there is none to tell. */
void step_failed(struct steps *s, const char *step, const char *remedy, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
void step_unknown(struct steps *s, const char *step, const char *remedy, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* A line for each: how it went, what it was, the details; the remedy below. */
void steps_print(const struct ctl *c, const struct steps *s);
/* Their list, for a JSON object; a new reference. */
json_t *steps_json(const struct steps *s);

/* A sentence that lives as long as the block it stands in. */
const char *text(char *buf, size_t size, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
#define TEXT(...) text((char[512]){ 0 }, 512, __VA_ARGS__)
