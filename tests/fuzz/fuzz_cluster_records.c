/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What another node, or anyone who may write there, puts into the cluster's store. */
#include "cluster/records.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void read_key(const uint8_t *data, size_t size)
{
	char *text = strndup((const char *)data, size), again[FL_REC_KEY_STR];
	struct fl_rec_key k;

	must(text);
	if (!fl_rec_key_parse(text, &k))
		must(!fl_rec_key(&k, again) && !strcmp(again, text));
	free(text);
}

/* What was accepted is written in a way that is accepted, and that is the same again. */
static void read_value(enum fl_rec_kind kind, const uint8_t *data, size_t size)
{
	struct fl_rec *r = calloc(1, sizeof(*r));
	struct fl_strbuf once = { 0 }, twice = { 0 };
	struct fl_error err;

	must(r);
	if (!fl_rec_decode(kind, (const char *)data, size, r, &err)) {
		must(!fl_rec_encode(r, &once));
		must(!fl_rec_decode(kind, once.s, once.len, r, &err));
		must(!fl_rec_encode(r, &twice) && !strcmp(once.s, twice.s));
	}
	fl_strbuf_clear(&once);
	fl_strbuf_clear(&twice);
	free(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1)
		return 0;
	if (data[0] == 'k')
		read_key(data + 1, size - 1);
	else if (data[0] >= '0' && data[0] < '0' + FL_REC_KINDS)
		read_value((enum fl_rec_kind)(data[0] - '0'), data + 1, size - 1);
	return 0;
}
