/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The topology as a picture. */
#include "netctl/svg.h"
#include "netctl/shares.h"

#include "netctl/text.h"

#include <string.h>

static const char head[] =
	"<style>\n"
	"text{font-family:ui-sans-serif,system-ui,sans-serif;fill:#1e293b}\n"
	".m{font-family:ui-monospace,monospace;font-size:11px;fill:#334155}\n"
	".t{font-size:13px;font-weight:bold}\n"
	".b{font-size:14px;font-weight:bold;fill:#ffffff}\n"
	".s{font-size:11px;fill:#ffffff}\n"
	".h{font-size:13px;fill:#475569}\n"
	".p{font-family:ui-monospace,monospace;font-size:11px;fill:#9a3412}\n"
	".line{fill:none;stroke-width:1.6}\n"
	".port{fill:none;stroke:#c2410c;stroke-width:1.3}\n"
	"</style>\n"
	"<defs><marker id=\"in\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" "
	"markerHeight=\"7\" orient=\"auto\"><path d=\"M0 0L8 4L0 8z\" "
	"fill=\"#c2410c\"/></marker>\n"
	"<marker id=\"way\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" "
	"markerHeight=\"7\" orient=\"auto-start-reverse\"><path d=\"M0 0L8 4L0 8z\" "
	"fill=\"#475569\"/></marker></defs>\n";

/* Of bars and their lines, by turns. */
static const char *const palette[] = { "#3b6ea5", "#2f7f79", "#6d5b97", "#5f7a3a",
				       "#8a5a72", "#4a6274", "#93703a", "#41708f" };

static const char *colour_of(size_t net)
{
	return palette[net % FL_ARRAY_SIZE(palette)];
}

/* ---- pieces ---- */

/* Whole pixels: sharper, and printing a double takes ten times as long. */
static int px(double v)
{
	return (int)(v + 0.5);
}

static const struct {
	const char *class;
	enum font font;
	double size;
} styles[] = { { "m", FONT_MONO, 11 }, { "t", FONT_SANS_BOLD, 13 }, { "b", FONT_SANS_BOLD, 14 },
	       { "s", FONT_SANS, 11 }, { "h", FONT_SANS, 13 },	    { "p", FONT_MONO, 11 } };
enum { MONO, TITLE, BAR, SMALL, HOST, PORT };

/* At most `width` of it, with the whole as a tooltip when it was cut. Returns what it takes. */
static double put_text(struct fl_strbuf *b, int style, double x, double y, double width,
		       const char *s)
{
	FL_AUTOSTRBUF struct fl_strbuf shown = { 0 };
	enum font font = styles[style].font;
	double size = styles[style].size;
	bool cut = add_fitting(&shown, font, size, width, s);

	fl_strbuf_addf(b, "<text class=\"%s\" x=\"%d\" y=\"%d\">", styles[style].class, px(x),
		       px(y));
	if (cut) {
		fl_strbuf_add(b, "<title>");
		add_xml(b, s);
		fl_strbuf_add(b, "</title>");
	}
	add_xml(b, shown.s ? shown.s : "");
	fl_strbuf_add(b, "</text>\n");
	b->failed |= shown.failed;
	return text_width(font, size, shown.s ? shown.s : "");
}

static void put_rect(struct fl_strbuf *b, double x, double y, double w, double h, double radius,
		     const char *look)
{
	fl_strbuf_addf(b,
		       "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"%d\" "
		       "%s/>\n",
		       px(x), px(y), px(w), px(h), px(radius), look);
}

static void put_line(struct fl_strbuf *b, const char *colour, double x1, double y1, double x2,
		     double y2)
{
	fl_strbuf_addf(b, "<path class=\"line\" stroke=\"%s\" d=\"M%d %dL%d %d\"/>\n", colour,
		       px(x1), px(y1), px(x2), px(y2));
}

static void put_dot(struct fl_strbuf *b, const char *colour, double x, double y)
{
	fl_strbuf_addf(b, "<circle cx=\"%d\" cy=\"%d\" r=\"3\" fill=\"%s\"/>\n", px(x), px(y),
		       colour);
}

static void add_prefixes(struct fl_strbuf *s, const struct fl_prefix *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		fl_strbuf_addf(s, "%s%s", i ? ", " : "", fl_prefix_str(&p[i], FL_PREFIX_BUF));
}

/* ---- the host ---- */

static double rail_x(const struct svg_layout *l)
{
	return l->frame_x + l->frame_w + RAIL / 2.0;
}

static void draw_outside(const struct svg_layout *l, struct fl_strbuf *b)
{
	const struct topology *t = l->t;
	FL_AUTOSTRBUF struct fl_strbuf words = { 0 };
	double w = l->width - 2 * MARGIN, x, uplink_w;

	put_rect(b, MARGIN, MARGIN, w, OUTSIDE_H, 10, "fill=\"#e2e8f0\" stroke=\"#cbd5e1\"");
	put_text(b, HOST, MARGIN + 18, MARGIN + 23, w - 36, "outside");
	put_rect(b, l->frame_x, l->frame_y, l->frame_w, l->height - l->frame_y - MARGIN, 14,
		 "fill=\"#eef2f7\" stroke=\"#94a3b8\" stroke-width=\"1.4\"");
	fl_strbuf_addf(&words, "host %s", t->host);
	put_text(b, HOST, l->frame_x + PAD, l->frame_y + 30, l->frame_w / 2 - 100, words.s);
	if (!*t->uplink)
		return;
	fl_strbuf_clear(&words);
	fl_strbuf_addf(&words, "%s  ", t->uplink);
	add_prefixes(&words, t->uplink_addrs, t->n_uplink);
	uplink_w = text_width(FONT_MONO, 11, words.s ? words.s : "") + 28;
	if (uplink_w > l->frame_w / 2)
		uplink_w = l->frame_w / 2;
	x = l->frame_x + l->frame_w / 2;
	fl_strbuf_addf(b,
		       "<path class=\"line\" stroke=\"#475569\" d=\"M%d %dL%d %d\" "
		       "marker-start=\"url(#way)\" marker-end=\"url(#way)\"/>\n",
		       px(x), MARGIN + OUTSIDE_H + 1, px(x), px(l->frame_y - UPLINK_H / 2.0 + 14));
	put_rect(b, x - uplink_w / 2, l->frame_y - UPLINK_H / 2.0 + 15, uplink_w, UPLINK_H, 6,
		 "fill=\"#ffffff\" stroke=\"#475569\" stroke-width=\"1.4\"");
	put_text(b, MONO, x - uplink_w / 2 + 14, l->frame_y + 19, uplink_w - 24, words.s);
}

/* ---- networks ---- */

/* "bridge net0 · 10.1.0.0/24 · gateway 10.1.0.1 · masquerade" */
static void add_net_words(const struct topo_net *net, struct fl_strbuf *s)
{
	FL_AUTOJSON json_t *flags = network_flags(net->record);
	const json_t *one;
	size_t i;

	fl_strbuf_addf(s, "%s%s%s", net->driver, *net->link ? " " : "", net->link);
	if (net->record && net->record->n_subnets) {
		fl_strbuf_add(s, "  \xC2\xB7  ");
		add_prefixes(s, net->record->subnets, net->record->n_subnets);
	}
	if (net->record && *net->record->link && !*net->record->parent && net->n_gateways) {
		fl_strbuf_add(s, "  \xC2\xB7  gateway ");
		for (i = 0; i < net->n_gateways; i++)
			fl_strbuf_addf(s, "%s%s", i ? ", " : "",
				       fl_addr_str(&net->gateways[i].addr, FL_ADDR_BUF));
	}
	json_array_foreach(flags, i, one)
		fl_strbuf_addf(s, "%s%s", i ? ", " : "  \xC2\xB7  ", json_string_value(one));
}

static void draw_bar(const struct svg_layout *l, size_t i, struct fl_strbuf *b)
{
	const struct topo_net *net = &l->t->nets[i];
	const struct svg_band *band = &l->bands[i];
	FL_AUTOSTRBUF struct fl_strbuf words = { 0 };
	char look[64];
	double used;

	snprintf(look, sizeof(look), "fill=\"%s\"", colour_of(i));
	fl_strbuf_add(b, "<g class=\"network\" data-network=\"");
	add_xml(b, net->name);
	fl_strbuf_add(b, "\">\n");
	put_rect(b, l->bar_x, band->bar_y, l->bar_w, BAR_H, 7, look);
	used = put_text(b, BAR, l->bar_x + 14, band->bar_y + 23, l->bar_w * 0.45, net->name);
	add_net_words(net, &words);
	put_text(b, SMALL, l->bar_x + 14 + used + 16, band->bar_y + 23, l->bar_w - used - 16 - 28,
		 words.s ? words.s : "");
	fl_strbuf_add(b, "</g>\n");
	b->failed |= words.failed;
}

static void draw_lane(const struct svg_layout *l, size_t i, struct fl_strbuf *b)
{
	const struct svg_band *band = &l->bands[i];
	double x, y = band->bar_y + BAR_H / 2.0;

	if (band->lane < 0)
		return;
	x = svg_lane_x(l, band);
	put_line(b, colour_of(i), l->bar_x, y, x, y);
	put_line(b, colour_of(i), x, band->lane_top, x, band->lane_bottom);
}

static void draw_band(const struct svg_layout *l, size_t i, struct fl_strbuf *b)
{
	const struct svg_band *band = &l->bands[i];

	if (band->n_boxes)
		put_rect(b, l->bar_x, band->top, l->bar_w, band->bottom - band->top, 7,
			 "fill=\"#ffffff\" stroke=\"#d5dde8\"");
}

/* ---- lines of a row ---- */

static const struct svg_bus *find_bus(const struct svg_layout *l, const struct svg_row *row,
				      size_t net)
{
	for (size_t i = 0; i < row->n_buses; i++)
		if (l->buses[row->first_bus + i].net == net)
			return &l->buses[row->first_bus + i];
	return NULL;
}

static void draw_drops(const struct svg_layout *l, const struct svg_row *row,
		       const struct svg_box *box, struct fl_strbuf *b)
{
	for (size_t k = 0; k < svg_attachments(box); k++) {
		size_t net = svg_net_of(l, box, k);
		const struct svg_bus *bus = find_bus(l, row, net);
		double x = svg_drop_x(l, box, k), bar = l->bands[net].bar_y + BAR_H;

		put_line(b, colour_of(net), x, bus ? bus->y : bar, x, row->box_y);
		if (bus)
			put_dot(b, colour_of(net), x, bus->y);
	}
}

static void draw_row_lines(const struct svg_layout *l, const struct svg_row *row,
			   struct fl_strbuf *b)
{
	for (size_t i = 0; i < row->n_buses; i++) {
		const struct svg_bus *bus = &l->buses[row->first_bus + i];
		double x = svg_lane_x(l, &l->bands[bus->net]);

		put_line(b, colour_of(bus->net), x, bus->y, bus->right, bus->y);
		put_dot(b, colour_of(bus->net), x, bus->y);
	}
	for (size_t i = 0; i < row->n; i++)
		draw_drops(l, row, &l->boxes[row->first + i], b);
}

/* ---- boxes ---- */

/* Lines of one attachment; the first has the interface's name. */
static size_t draw_attachment(const struct svg_layout *l, const struct svg_box *box, size_t k,
			      size_t line, double y, struct fl_strbuf *b)
{
	const struct fl_endpoint *ep = box->box->members[k]->main;
	size_t net = svg_net_of(l, box, k);
	const char *interface = SHARES_INTERFACE(box->box->members[k]);
	double x = box->x + 24, name = text_width(FONT_MONO, 11, interface) + 10;

	if (line < LINES_MAX - 1 || box->lines <= LINES_MAX) {
		put_dot(b, colour_of(net), box->x + 14, y + (double)line * LINE_H - 4);
		put_text(b, MONO, x, y + (double)line * LINE_H, l->box_w - 34, interface);
	}
	for (uint32_t i = 0; i < ep->n_addrs; i++) {
		size_t at = line + i;

		if (at >= LINES_MAX - 1 && box->lines > LINES_MAX)
			break;
		put_text(b, MONO, x + name, y + (double)at * LINE_H, l->box_w - 34 - name,
			 fl_prefix_str(&ep->addrs[i], FL_PREFIX_BUF));
	}
	return line + (ep->n_addrs ? ep->n_addrs : 1);
}

struct port_labels {
	const struct svg_layout *l;
	const struct svg_box *box;
	struct fl_strbuf *b, rest;
	double y;
	size_t n;
};

static void draw_port(void *arg, const struct fl_port *p)
{
	struct port_labels *all = arg;
	char label[160];

	port_words(p, ARROW, label, sizeof(label));
	if (all->n < PORTS_MAX - 1 || all->box->ports <= PORTS_MAX)
		put_text(all->b, PORT, all->box->x + 24, all->y + (double)all->n * PORT_H,
			 all->l->box_w - 28, label);
	else
		fl_strbuf_addf(&all->rest, "%s\n", label);
	all->n++;
}

static void draw_ports(const struct svg_layout *l, const struct svg_row *row,
		       const struct svg_box *box, struct fl_strbuf *b)
{
	double x = box->x + 14, bottom = row->box_y + row->box_h;
	struct port_labels all = { l, box, b, { 0 }, bottom + 16, 0 };

	if (!box->ports)
		return;
	fl_strbuf_addf(b,
		       "<path class=\"port\" d=\"M%d %dL%d %d\" "
		       "marker-end=\"url(#in)\"/>\n",
		       px(x), px(row->port_bus), px(x), px(bottom + 1));
	for (size_t k = 0; k < box->box->n; k++)
		ports_each(box->box->members[k], draw_port, &all);
	if (all.rest.len) {
		fl_strbuf_addf(b, "<text class=\"p\" x=\"%d\" y=\"%d\"><title>", px(box->x + 24),
			       px(all.y + (PORTS_MAX - 1) * PORT_H));
		/* A tooltip may have lines. */
		fl_strbuf_addn(b, all.rest.s, all.rest.len - 1);
		fl_strbuf_addf(b, "</title>+ %zu more</text>\n", all.n - PORTS_MAX + 1);
	}
	b->failed |= all.rest.failed;
	fl_strbuf_clear(&all.rest);
}

static void draw_box(const struct svg_layout *l, const struct svg_row *row,
		     const struct svg_box *box, struct fl_strbuf *b)
{
	const struct fl_endpoint *ep = box->box->members[0]->main;
	double y = row->box_y + TITLE_H + 11;
	char look[96], more[32];
	size_t line = 0;

	snprintf(look, sizeof(look), "fill=\"#f8fafc\" stroke=\"%s\" stroke-width=\"1.4\"",
		 colour_of(box->home));
	fl_strbuf_add(b, "<g class=\"sandbox\" data-container=\"");
	add_xml(b, box->box->id);
	fl_strbuf_add(b, "\">\n");
	put_rect(b, box->x, row->box_y, l->box_w, row->box_h, 9, look);
	put_text(b, TITLE, box->x + 12, row->box_y + 20, l->box_w - 22, CONTAINER_LABEL(ep));
	for (size_t k = 0; k < box->box->n; k++)
		line = draw_attachment(l, box, k, line, y, b);
	if (box->lines > LINES_MAX) {
		snprintf(more, sizeof(more), "+ %zu more", box->lines - LINES_MAX + 1);
		put_text(b, MONO, box->x + 24, y + (LINES_MAX - 1) * LINE_H, l->box_w - 34, more);
	}
	draw_ports(l, row, box, b);
	fl_strbuf_add(b, "</g>\n");
}

/* Behind the tunnel: the names of its containers, as many as there is room for. */
static void draw_node(const struct svg_layout *l, const struct svg_row *row,
		      const struct svg_box *box, struct fl_strbuf *b)
{
	const struct topo_node *node = box->node;
	size_t room = node->n < LINES_MAX ? node->n : LINES_MAX - 2;
	double x = box->x + 12, y = row->box_y + TITLE_H + 11;
	FL_AUTOSTRBUF struct fl_strbuf title = { 0 };
	char look[96], more[32];

	snprintf(look, sizeof(look),
		 "fill=\"#f1f5f9\" stroke=\"%s\" stroke-width=\"1.4\" stroke-dasharray=\"5 4\"",
		 colour_of(box->home));
	fl_strbuf_addf(&title, "node %s", node->name);
	fl_strbuf_add(b, "<g class=\"node\" data-node=\"");
	add_xml(b, node->name);
	fl_strbuf_add(b, "\">\n");
	put_rect(b, box->x, row->box_y, l->box_w, row->box_h, 9, look);
	put_text(b, TITLE, x, row->box_y + 20, l->box_w - 22, title.s ? title.s : "");
	put_text(b, MONO, x, y, l->box_w - 22, NODE_WORDS(node));
	for (size_t i = 0; i < room; i++)
		put_text(b, MONO, x, y + (double)(i + 1) * LINE_H, l->box_w - 22,
			 PEER_LABEL(&node->v[i]));
	if (room < node->n) {
		snprintf(more, sizeof(more), "+ %zu more", node->n - room);
		put_text(b, MONO, x, y + (double)(room + 1) * LINE_H, l->box_w - 22, more);
	}
	fl_strbuf_add(b, "</g>\n");
	b->failed |= title.failed;
}

static void draw_row(const struct svg_layout *l, const struct svg_row *row, struct fl_strbuf *b)
{
	double rail = rail_x(l), left = l->width;

	for (size_t i = 0; i < row->n; i++) {
		const struct svg_box *box = &l->boxes[row->first + i];

		if (box->ports && box->x + 14 < left)
			left = box->x + 14;
	}
	if (row->port_bus)
		fl_strbuf_addf(b, "<path class=\"port\" d=\"M%d %dL%d %d\"/>\n", px(rail),
			       px(row->port_bus), px(left), px(row->port_bus));
	for (size_t i = 0; i < row->n; i++) {
		const struct svg_box *box = &l->boxes[row->first + i];

		(box->node ? draw_node : draw_box)(l, row, box, b);
	}
}

/* From the outside down to the last row that has ports. */
static void draw_rail(const struct svg_layout *l, struct fl_strbuf *b)
{
	double x = rail_x(l), bottom = 0;

	for (size_t i = 0; i < l->n_rows; i++)
		if (l->rows[i].port_bus)
			bottom = l->rows[i].port_bus;
	if (bottom > 0)
		fl_strbuf_addf(b, "<path class=\"port\" d=\"M%d %dL%d %d\"/>\n", px(x),
			       MARGIN + OUTSIDE_H, px(x), px(bottom));
}

int draw_svg(const struct topology *t, struct fl_strbuf *b, struct fl_error *err)
{
	AUTOLAYOUT struct svg_layout l = { 0 };
	int r = svg_layout(t, &l, err);

	if (r)
		return r;
	fl_strbuf_addf(b,
		       "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		       "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" width=\"%d\" "
		       "height=\"%d\" viewBox=\"0 0 %d %d\">\n<title>Container networks of ",
		       px(l.width), px(l.height), px(l.width), px(l.height));
	add_xml(b, *t->host ? t->host : "this host");
	fl_strbuf_addf(b, "</title>\n%s", head);
	put_rect(b, 0, 0, l.width, l.height, 0, "fill=\"#f8fafc\"");
	draw_outside(&l, b);
	draw_rail(&l, b);
	for (size_t i = 0; i < t->n_nets; i++)
		draw_band(&l, i, b);
	for (size_t i = 0; i < t->n_nets; i++)
		draw_lane(&l, i, b);
	for (size_t i = 0; i < l.n_rows; i++)
		draw_row_lines(&l, &l.rows[i], b);
	for (size_t i = 0; i < t->n_nets; i++)
		draw_bar(&l, i, b);
	for (size_t i = 0; i < l.n_rows; i++)
		draw_row(&l, &l.rows[i], b);
	fl_strbuf_add(b, "</svg>\n");
	return b->failed ? fl_error_oom(err) : 0;
}
