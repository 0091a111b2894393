#include "fl-bench.h"

#include <stdio.h>
#include <string.h>

static const struct {
	const char *name, *help;
	int (*run)(int argc, char **argv);
} verbs[] = {
	{ "run", "[-c AT_ONCE] [-t SECONDS] JOBFILE   run and time the jobs, a JSON line each", bench_run },
	{ "netns-add", "DIR PREFIX COUNT   make DIR/PREFIX0 ...", bench_netns_add },
	{ "netns-lo", "DIR PREFIX COUNT   set lo up in each of them", bench_netns_lo },
	{ "netns-del", "DIR PREFIX COUNT   remove them, and wait for the kernel", bench_netns_del },
	{ "ct-fill", "COUNT   put conntrack entries, half of them UDP", bench_ct_fill },
	{ "ct-flush", "  remove all conntrack entries", bench_ct_flush },
	{ "nft-set", "TABLE PREFIX   print a set that begins so: NAME,KEYTYPE,KEYLEN", bench_nft_set },
};

int main(int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < sizeof(verbs) / sizeof(*verbs); i++)
		if (strcmp(argv[1], verbs[i].name) == 0)
			return verbs[i].run(argc - 1, argv + 1);
	for (size_t i = 0; i < sizeof(verbs) / sizeof(*verbs); i++)
		fprintf(stderr, "fl-bench %s %s\n", verbs[i].name, verbs[i].help);
	return 2;
}
