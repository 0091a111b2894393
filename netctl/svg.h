/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where everything is in the picture. A network is a band: its bar at the top, below it rows of
 * boxes. A box stands in the band of its first network; another node has one in the
 * band of each network that it is on, with the names of its containers. What is not straight below
 * its bar is reached by a lane, left of the bars, and a bus above the row; published ports come
 * from the rail right of the host by a bus below the row.
 */
#pragma once

#include "netctl/topology.h"

enum {
	MARGIN = 24,
	OUTSIDE_H = 36,
	UPLINK_H = 30,
	PAD = 16, /* inside frames */
	BAR_H = 36,
	GAP = 22,     /* between boxes */
	LANE = 9,     /* between lanes, and between buses */
	TITLE_H = 26, /* of a box */
	LINE_H = 15,
	LINES_MAX = 8,
	PORTS_MAX = 4,
	PORT_H = 14,
	RAIL = 26, /* right of the host */
	TITLE_SIZE = 13,
	SMALL_SIZE = 11,
};

struct svg_bus {
	size_t net; /* index */
	double y, right;
};

struct svg_box {
	const struct topo_box *box;   /* of a container, else */
	const struct topo_node *node; /* another node */
	size_t home;		      /* index of the network in whose band it is */
	size_t lines, ports;	      /* all of them */
	double x;
};

struct svg_row {
	size_t first, n; /* boxes */
	size_t first_bus, n_buses;
	double top, box_y, box_h;
	double port_bus; /* 0: none */
};

struct svg_band {
	double top, bottom, bar_y;
	size_t first_box, n_boxes;
	size_t first_row, n_rows;
	double lane_top, lane_bottom; /* what its lane has to reach */
	int lane;		      /* -1: none */
};

struct svg_layout {
	const struct topology *t;
	struct svg_box *boxes;	/* by band */
	struct svg_band *bands; /* one for each network */
	struct svg_row *rows;
	size_t n_rows;
	struct svg_bus *buses;
	size_t n_buses;
	size_t *net_of; /* index of the network of each of t->by_box */
	int n_lanes;
	bool ports; /* there are any */
	size_t columns;
	double box_w, width, height;
	double frame_x, frame_y, frame_w, bar_x, bar_w;
};

int svg_layout(const struct topology *t, struct svg_layout *ret, struct fl_error *err);
void svg_layout_clear(struct svg_layout *l);
#define AUTOLAYOUT FL_CLEANUP(svg_layout_clear)

double svg_lane_x(const struct svg_layout *l, const struct svg_band *band);
/* How many lines lead to it. */
static inline size_t svg_attachments(const struct svg_box *box)
{
	return box->node ? 1 : box->box->n;
}
/* Index of the network of a box's k-th attachment. */
size_t svg_net_of(const struct svg_layout *l, const struct svg_box *box, size_t k);
/* Where the line of a box's k-th attachment meets its upper edge. */
double svg_drop_x(const struct svg_layout *l, const struct svg_box *box, size_t k);
#define ARROW "\xE2\x86\x92" /* of port_words() */
