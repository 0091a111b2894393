/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dns/channel.h"

int channel_send(int fd, const struct channel_msg *m, const int *fds, size_t n)
{
	return fl_packet_send(fd, m, sizeof(*m), fds, n);
}

int channel_receive(int fd, struct channel_msg *m, int fds[CHANNEL_FDS])
{
	return fl_packet_receive(fd, m, sizeof(*m), fds, CHANNEL_FDS);
}
