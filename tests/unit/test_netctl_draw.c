/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * netctl's text, DOT and SVG, of names that no plugin would let pass. With an argument ("svg",
 * "dot") it prints what it drew, for programs that know these formats.
 */
#include "unit.h"

#include "netctl/svg.h"
#include "netctl/text.h"

#include <stdio.h>
#include <string.h>

#define EVIL "<script>&\"'\\\n]]>\x1b[31m\xff\xe2\x80\xae"

static void test_utf8(void **state)
{
	static const struct {
		const char *in;
		uint32_t first;
		size_t n;
	} cases[] = {
		{ "", 0, 0 },
		{ "a", 'a', 1 },
		{ "\xc3\xbc", 0xfc, 2 },
		{ "\xe6\xbc\xa2", 0x6f22, 3 },
		{ "\xf0\x9f\x90\xb3", 0x1f433, 4 },
		{ "\x80", 0xfffd, 1 },
		{ "\xc3", 0xfffd, 1 },
		{ "\xe6\xbc", 0xfffd, 1 },
		{ "\xc0\x80", 0xfffd, 1 },	   /* overlong */
		{ "\xed\xa0\x80", 0xfffd, 1 },	   /* surrogate */
		{ "\xf4\x90\x80\x80", 0xfffd, 1 }, /* beyond */
		{ "\xff", 0xfffd, 1 },
	};

	(void)state;
	for (size_t i = 0; i < FL_ARRAY_SIZE(cases); i++) {
		uint32_t ch = 0;

		assert_int_equal(utf8_next(cases[i].in, &ch), cases[i].n);
		assert_int_equal(ch, cases[i].first);
	}
}

static void test_escapes(void **state)
{
	static const struct {
		void (*fn)(struct fl_strbuf *b, const char *s);
		const char *in, *out;
	} cases[] = {
		{ add_plain, "a\x1b[1m\n\x7f\xc2\x9b", "a\\u{1b}[1m\\u{a}\\u{7f}\\u{9b}" },
		{ add_plain, "\xe2\x80\xae\xff\xc3\xbc", "\\u{202e}\xef\xbf\xbd\xc3\xbc" },
		{ add_xml, "<&>\"'", "&lt;&amp;&gt;&quot;&#39;" },
		{ add_xml, "a\x01\xff\xef\xbf\xbf", "a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
		{ add_dot, "\"\\N&amp;\n", "\\\"\\\\N&amp;amp;\xef\xbf\xbd" },
	};

	(void)state;
	for (size_t i = 0; i < FL_ARRAY_SIZE(cases); i++) {
		FL_AUTOSTRBUF struct fl_strbuf b = { 0 };

		cases[i].fn(&b, cases[i].in);
		assert_string_equal(b.s, cases[i].out);
	}
}

static void test_fitting(void **state)
{
	static const char *const words[] = { "web", "a-name-that-is-long", "WWWWMMMM",
					     "\xe6\xbc\xa2\xe5\xad\x97\xe6\xbc\xa2", EVIL };

	(void)state;
	for (size_t i = 0; i < FL_ARRAY_SIZE(words); i++)
		for (int width = 20; width < 200; width += 7) {
			FL_AUTOSTRBUF struct fl_strbuf b = { 0 };
			bool cut = add_fitting(&b, FONT_SANS_BOLD, 13, width, words[i]);

			assert_true(text_width(FONT_SANS_BOLD, 13, b.s) <= width);
			assert_int_equal(cut, text_width(FONT_SANS_BOLD, 13, words[i]) > width);
			assert_true(cut || !strcmp(b.s, words[i]));
		}
}

static void test_numbers(void **state)
{
	static const struct {
		double v;
		const char *s;
	} cases[] = {
		{ 0, "0" },	     { 999, "999" },	 { 999.4, "999" },     { 999.6, "1.00k" },
		{ 1000, "1.00k" },   { 12345, "12.3k" }, { 99960, "100k" },    { 999499, "999k" },
		{ 999500, "1.00M" }, { 1.2e9, "1.20G" }, { 18.4e18, "18.4E" },
	};

	(void)state;
	for (size_t i = 0; i < FL_ARRAY_SIZE(cases); i++)
		assert_string_equal(SHORT_NUMBER(cases[i].v), cases[i].s);
}

/* ---- pictures ---- */

struct drawn {
	struct fl_endpoint eps[3];
	struct attachment atts[3];
	const struct attachment *by_net[3], *by_box[3];
	struct fl_network net;
	struct topo_net nets[2];
	struct topo_box boxes[2];
	struct fl_peer peers[TOPO_NAMES + 1];
	struct topo_node nodes[1];
	struct topology t;
};

/* Of the first network, more than are shown. */
static void make_node(struct drawn *d)
{
	for (size_t i = 0; i < FL_ARRAY_SIZE(d->peers); i++) {
		strcpy(d->peers[i].node, "o" EVIL);
		strcpy(d->peers[i].container, "p" EVIL);
		strcpy(d->peers[i].name, EVIL);
	}
	d->nodes[0] = (struct topo_node){ d->peers[0].node, d->peers, FL_ARRAY_SIZE(d->peers), 1 };
	strcpy(d->net.tunnel, "<tu&\">");
	d->nets[0].nodes = d->t.nodes = d->nodes;
	d->nets[0].n_nodes = d->t.n_nodes = 1;
}

/* One container on two networks, one on the second only. */
static void make(struct drawn *d)
{
	static struct fl_port ports[] = {
		{ .proto = 6, .host_port = 80, .container_port = 80, .count = 1 }
	};

	*d = (struct drawn){ 0 };
	for (int i = 0; i < 3; i++) {
		struct fl_endpoint *ep = &d->eps[i];

		strcpy(ep->id.network, i ? "b" EVIL : "a" EVIL);
		strcpy(ep->id.container, i < 2 ? "c" EVIL : "d");
		strcpy(ep->id.ifname, "e<&\">\x1b");
		strcpy(ep->id.driver, "f" EVIL);
		strcpy(ep->name, EVIL);
		fl_prefix_parse("10.1.0.2/24", &ep->addrs[0]);
		ep->n_addrs = 1;
		ep->ports = ports;
		ep->n_ports = 1;
		d->atts[i] = (struct attachment){ ep, ep, 1 };
		d->by_net[i] = d->by_box[i] = &d->atts[i];
	}
	strcpy(d->net.link, "<br&\">");
	for (int i = 0; i < 2; i++) {
		d->nets[i] = (struct topo_net){ .name = d->eps[i].id.network,
						.driver = d->eps[i].id.driver,
						.record = &d->net,
						.link = d->net.link,
						.members = &d->by_net[i],
						.n = i ? 2 : 1 };
		d->boxes[i] = (struct topo_box){ d->eps[i ? 2 : 0].id.container,
						 &d->by_box[i ? 2 : 0], i ? 1 : 2 };
	}
	d->t = (struct topology){ .by_net = d->by_net,
				  .by_box = d->by_box,
				  .n = 3,
				  .nets = d->nets,
				  .n_nets = 2,
				  .boxes = d->boxes,
				  .n_boxes = 2 };
	strcpy(d->t.host, "h" EVIL);
	strcpy(d->t.uplink, "u<&\">");
	make_node(d);
}

static void draw(bool svg, struct fl_strbuf *b)
{
	static struct drawn d;

	make(&d);
	if (svg)
		assert_int_equal(draw_svg(&d.t, b, NULL), 0);
	else
		draw_dot(&d.t, b);
}

static void test_hostile_svg(void **state)
{
	FL_AUTOSTRBUF struct fl_strbuf b = { 0 };

	(void)state;
	draw(true, &b);
	assert_null(strstr(b.s, "<script"));
	assert_null(strchr(b.s, '\x1b'));
	assert_non_null(strstr(b.s, "data-container=\"c&lt;script&gt;&amp;&quot;&#39;\\"));
	/* each line of a container is a line to its own network */
	assert_non_null(strstr(b.s, "data-container=\"d\""));
	assert_non_null(strstr(b.s, "data-node=\"o&lt;script&gt;"));
}

static void test_hostile_dot(void **state)
{
	FL_AUTOSTRBUF struct fl_strbuf b = { 0 };
	bool quoted = false;

	(void)state;
	draw(false, &b);
	assert_null(strchr(b.s, '\x1b'));
	/* No name ends its string or line. */
	for (const char *p = b.s; *p; p++) {
		if (quoted && *p == '\\')
			p++;
		else if (*p == '"')
			quoted = !quoted;
		assert_false(quoted && *p == '\n');
	}
	assert_false(quoted);
	assert_non_null(strstr(b.s, "&lt;script&gt;&amp;\\\"'\\\\"));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_utf8),	    cmocka_unit_test(test_escapes),
		cmocka_unit_test(test_fitting),	    cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_hostile_svg), cmocka_unit_test(test_hostile_dot),
	};

	if (argc > 1) {
		FL_AUTOSTRBUF struct fl_strbuf b = { 0 };

		draw(!strcmp(argv[1], "svg"), &b);
		fputs(b.s, stdout);
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
