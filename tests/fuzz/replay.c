/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Replays a corpus through a fuzz target without libFuzzer, so that every ordinary test run does.
 */
#include "base/cleanup.h"

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay(const char *path)
{
	FL_AUTOFCLOSE FILE *f = fopen(path, "rbe");
	static uint8_t data[1 << 20];

	if (!f)
		return -1;
	LLVMFuzzerTestOneInput(data, fread(data, 1, sizeof(data), f));
	return 0;
}

int main(int argc, char **argv)
{
	DIR *dir = argc == 2 ? opendir(argv[1]) : NULL;
	struct dirent *e;
	char path[4096];
	int n = 0;

	if (!dir) {
		fprintf(stderr, "usage: %s CORPUS-FOLDER\n", argv[0]);
		return 2;
	}
	while ((e = readdir(dir))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", argv[1], e->d_name);
		if (replay(path))
			return 1;
		n++;
	}
	closedir(dir);
	printf("%d inputs\n", n);
	return n ? 0 : 1;
}
