/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "netctl/shares.h"
#include "netctl/svg.h"

#include "netctl/text.h"

#include <string.h>

enum { BOX_MIN = 150, BOX_MAX = 262, TITLE_MAX = 190, WIDTH_MIN = 720, COLUMNS_MAX = 48 };
/* Not libm's, which would have to be loaded. */
static double larger(double a, double b)
{
	return a > b ? a : b;
}

static double smaller(double a, double b)
{
	return a < b ? a : b;
}

#define PROPORTION 1.5 /* width to height */

void svg_layout_clear(struct svg_layout *l)
{
	free(l->boxes);
	free(l->bands);
	free(l->rows);
	free(l->buses);
	free(l->net_of);
	*l = (struct svg_layout){ 0 };
}

double svg_lane_x(const struct svg_layout *l, const struct svg_band *band)
{
	return l->bar_x - 12 - band->lane * LANE;
}

size_t svg_net_of(const struct svg_layout *l, const struct svg_box *box, size_t k)
{
	return box->node ? box->home : l->net_of[(size_t)(box->box->members - l->t->by_box) + k];
}

double svg_drop_x(const struct svg_layout *l, const struct svg_box *box, size_t k)
{
	return box->x + l->box_w * (double)(k + 1) / (double)(svg_attachments(box) + 1);
}

static size_t at_most(size_t n, size_t max)
{
	return n < max ? n : max;
}

static size_t at_least(size_t n, size_t least)
{
	return n > least ? n : least;
}

/* ---- how large boxes are ---- */

struct measured {
	struct svg_box *box;
	double *width;
};

static void measure_port(void *arg, const struct fl_port *p)
{
	struct measured *m = arg;
	char label[160];
	double w;

	port_words(p, ARROW, label, sizeof(label));
	w = text_width(FONT_MONO, SMALL_SIZE, label) + 30;
	*m->width = larger(*m->width, w);
	m->box->ports++;
}

static void measure_box(struct svg_box *box, double *width)
{
	struct measured m = { box, width };
	const char *label = CONTAINER_LABEL(box->box->members[0]->main);

	/* Names beyond it are shortened: one long one would widen all boxes. */
	*width = larger(*width,
			smaller(text_width(FONT_SANS_BOLD, TITLE_SIZE, label) + 24, TITLE_MAX));
	for (size_t k = 0; k < box->box->n; k++) {
		const struct fl_endpoint *ep = box->box->members[k]->main;
		const char *interface = SHARES_INTERFACE(box->box->members[k]);
		double name = text_width(FONT_MONO, SMALL_SIZE, interface) + 10;

		box->lines += ep->n_addrs ? ep->n_addrs : 1;
		for (uint32_t i = 0; i < ep->n_addrs; i++) {
			const char *a = fl_prefix_str(&ep->addrs[i], FL_PREFIX_BUF);

			*width = larger(*width, 34 + name + text_width(FONT_MONO, SMALL_SIZE, a));
		}
		ports_each(box->box->members[k], measure_port, &m);
	}
}

static void measure_node(struct svg_box *box, double *width)
{
	const struct topo_node *node = box->node;
	double title = text_width(FONT_SANS_BOLD, TITLE_SIZE, node->name) + 64;

	*width = larger(*width, smaller(title, TITLE_MAX));
	/* The first line counts them. */
	box->lines = 1 + at_most(node->n, LINES_MAX);
}

static int compare_svg_boxes(const void *x, const void *y)
{
	const struct svg_box *a = x, *b = y;

	if (a->home != b->home)
		return a->home < b->home ? -1 : 1;
	/* What is here goes before what is elsewhere. */
	if (a->node || b->node)
		return !a->node ? -1 : !b->node ? 1 : a->node < b->node ? -1 : a->node > b->node;
	/* Those with lines to other bands first: they share the buses of few rows. */
	if ((a->box->n > 1) != (b->box->n > 1))
		return a->box->n > 1 ? -1 : 1;
	return a->box < b->box ? -1 : a->box > b->box;
}

static void gather_nodes(struct svg_layout *l, double *width)
{
	const struct topology *t = l->t;
	struct svg_box *box = l->boxes + t->n_boxes;

	for (size_t i = 0; i < t->n_nets; i++)
		for (size_t k = 0; k < t->nets[i].n_nodes; k++, box++) {
			*box = (struct svg_box){ .node = &t->nets[i].nodes[k], .home = i };
			measure_node(box, width);
			l->bands[i].n_boxes++;
		}
}

static void gather_boxes(struct svg_layout *l)
{
	const struct topology *t = l->t;
	double width = BOX_MIN;

	for (size_t i = 0; i < t->n; i++)
		l->net_of[i] = (size_t)(topology_net(t, t->by_box[i]) - t->nets);
	for (size_t i = 0; i < t->n_boxes; i++) {
		l->boxes[i].box = &t->boxes[i];
		l->boxes[i].home = svg_net_of(l, &l->boxes[i], 0);
		measure_box(&l->boxes[i], &width);
		l->ports |= l->boxes[i].ports > 0;
		l->bands[l->boxes[i].home].n_boxes++;
	}
	gather_nodes(l, &width);
	l->box_w = (int)smaller(width + 1, BOX_MAX);
	if (t->n_boxes + t->n_nodes)
		qsort(l->boxes, t->n_boxes + t->n_nodes, sizeof(*l->boxes), compare_svg_boxes);
	for (size_t i = 1; i < t->n_nets; i++)
		l->bands[i].first_box = l->bands[i - 1].first_box + l->bands[i - 1].n_boxes;
}

/* ---- rows ---- */

static struct svg_bus *bus_of(struct svg_layout *l, struct svg_row *row, size_t net)
{
	for (size_t i = row->first_bus; i < l->n_buses; i++)
		if (l->buses[i].net == net)
			return &l->buses[i];
	l->buses[l->n_buses++] = (struct svg_bus){ .net = net };
	row->n_buses++;
	return &l->buses[l->n_buses - 1];
}

static void place_box(struct svg_layout *l, struct svg_row *row, bool straight, size_t i)
{
	struct svg_box *box = &l->boxes[row->first + i];

	box->x = l->bar_x + PAD + (double)i * (l->box_w + GAP);
	for (size_t k = 0; k < svg_attachments(box); k++) {
		size_t net = svg_net_of(l, box, k);
		struct svg_bus *bus;

		if (straight && net == box->home)
			continue;
		bus = bus_of(l, row, net);
		bus->right = larger(bus->right, svg_drop_x(l, box, k));
	}
}

/* From `y` on; returns where the next row begins. */
static double place_row(struct svg_layout *l, struct svg_row *row, bool straight, double y)
{
	size_t lines = 0, ports = 0;

	row->top = y;
	row->first_bus = l->n_buses;
	for (size_t i = 0; i < row->n; i++) {
		place_box(l, row, straight, i);
		lines = at_least(lines, at_most(l->boxes[row->first + i].lines, LINES_MAX));
		ports = at_least(ports, at_most(l->boxes[row->first + i].ports, PORTS_MAX));
	}
	for (size_t i = 0; i < row->n_buses; i++)
		l->buses[row->first_bus + i].y = y + 10 + (double)i * LANE;
	row->box_y = y + 20 + (double)row->n_buses * LANE;
	row->box_h = TITLE_H + (double)lines * LINE_H + 8;
	y = row->box_y + row->box_h;
	if (!ports)
		return y + 6;
	row->port_bus = y + 14 + (double)ports * PORT_H;
	return row->port_bus + 8;
}

static double place_band(struct svg_layout *l, size_t i, double y)
{
	struct svg_band *band = &l->bands[i];

	band->top = y;
	band->bar_y = y;
	band->first_row = l->n_rows;
	y += BAR_H;
	for (size_t done = 0; done < band->n_boxes; done += l->columns) {
		struct svg_row *row = &l->rows[l->n_rows++];

		*row = (struct svg_row){ .first = band->first_box + done,
					 .n = at_most(band->n_boxes - done, l->columns) };
		y = place_row(l, row, !done, y);
	}
	band->n_rows = l->n_rows - band->first_row;
	band->bottom = y + (band->n_boxes ? 8 : 0);
	return band->bottom + 18;
}

static void place(struct svg_layout *l, size_t columns)
{
	double y = MARGIN + OUTSIDE_H + 34;

	l->n_rows = l->n_buses = 0;
	l->columns = columns;
	l->frame_x = MARGIN;
	l->frame_y = y;
	l->bar_x = l->frame_x + PAD + (l->n_lanes ? 8 + l->n_lanes * LANE : 0);
	y += UPLINK_H + 22;
	for (size_t i = 0; i < l->t->n_nets; i++)
		y = place_band(l, i, y);
	l->bar_w = 2 * PAD + (double)columns * (l->box_w + GAP) - GAP;
	l->bar_w = larger(l->bar_w, WIDTH_MIN - 2 * MARGIN - 2 * PAD);
	l->frame_w = l->bar_x + l->bar_w + PAD - l->frame_x;
	l->width = l->frame_x + l->frame_w + MARGIN + (l->ports ? RAIL : 0);
	l->height = y + MARGIN + 4;
}

/* As many columns as make the best proportion, once the least width is filled. */
static void choose_columns(struct svg_layout *l)
{
	double best = 1e9;
	size_t least = (size_t)((WIDTH_MIN - 2 * MARGIN - 4 * PAD + GAP) / (l->box_w + GAP));
	size_t most = 1, found = 1;

	for (size_t i = 0; i < l->t->n_nets; i++)
		most = l->bands[i].n_boxes > most ? l->bands[i].n_boxes : most;
	for (size_t columns = at_least(at_most(most, least), 1);
	     columns <= at_most(most, COLUMNS_MAX); columns++) {
		double off;

		place(l, columns);
		off = l->width / l->height / PROPORTION;
		off = off < 1 ? 1 / off : off;
		if (off < best) {
			best = off;
			found = columns;
		}
	}
	place(l, found);
}

/* ---- lanes ---- */

static int compare_lanes(const void *x, const void *y)
{
	const struct svg_band *const *a = x, *const *b = y;

	return (*a)->lane_top < (*b)->lane_top ? -1 : (*a)->lane_top > (*b)->lane_top;
}

static void reach(struct svg_layout *l)
{
	for (size_t i = 0; i < l->t->n_nets; i++) {
		struct svg_band *band = &l->bands[i];

		band->lane_top = band->lane_bottom = band->bar_y + BAR_H / 2.0;
		band->lane = -1;
	}
	for (size_t i = 0; i < l->n_buses; i++) {
		struct svg_band *band = &l->bands[l->buses[i].net];

		band->lane_top = smaller(band->lane_top, l->buses[i].y);
		band->lane_bottom = larger(band->lane_bottom, l->buses[i].y);
	}
}

/* A lane serves another network below where it is no longer needed. */
static int assign_lanes(struct svg_layout *l, struct fl_error *err)
{
	size_t n = l->t->n_nets;
	FL_AUTOFREE struct svg_band **order = calloc(n + 1, sizeof(struct svg_band *));
	FL_AUTOFREE double *until = calloc(n + 1, sizeof(*until));

	if (!order || !until)
		return fl_error_oom(err);
	reach(l);
	for (size_t i = 0; i < n; i++)
		order[i] = &l->bands[i];
	qsort(order, n, sizeof(struct svg_band *), compare_lanes);
	for (size_t i = 0; i < n; i++) {
		if (order[i]->lane_top == order[i]->lane_bottom)
			continue;
		order[i]->lane = 0;
		while (order[i]->lane < l->n_lanes &&
		       until[order[i]->lane] > order[i]->lane_top - 6)
			order[i]->lane++;
		until[order[i]->lane] = order[i]->lane_bottom;
		if (order[i]->lane == l->n_lanes)
			l->n_lanes++;
	}
	return 0;
}

int svg_layout(const struct topology *t, struct svg_layout *ret, struct fl_error *err)
{
	AUTOLAYOUT struct svg_layout l = { .t = t };
	int r;

	l.boxes = calloc(t->n_boxes + t->n_nodes + 1, sizeof(*l.boxes));
	l.bands = calloc(t->n_nets + 1, sizeof(*l.bands));
	l.rows = calloc(t->n_boxes + t->n_nodes + 1, sizeof(*l.rows));
	/* At most one for each attachment and each node. */
	l.buses = calloc(t->n + t->n_nodes + 1, sizeof(*l.buses));
	l.net_of = calloc(t->n + 1, sizeof(*l.net_of));
	if (!l.boxes || !l.bands || !l.rows || !l.buses || !l.net_of)
		return fl_error_oom(err);
	gather_boxes(&l);
	choose_columns(&l);
	r = assign_lanes(&l, err);
	if (r)
		return r;
	/* Lanes need room on the left. */
	place(&l, l.columns);
	*ret = l;
	l = (struct svg_layout){ 0 };
	return 0;
}
