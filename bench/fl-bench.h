/* The benchmark's helper: what must be done without an interpreter in the timed path, or in bulk. */
#ifndef BENCH_FL_BENCH_H
#define BENCH_FL_BENCH_H

/* Each is one verb: argv[0] is the verb's name; returns the exit status. */
int bench_run(int argc, char **argv);
int bench_netns_add(int argc, char **argv);
int bench_netns_lo(int argc, char **argv);
int bench_netns_del(int argc, char **argv);
int bench_ct_fill(int argc, char **argv);
int bench_ct_flush(int argc, char **argv);
int bench_nft_set(int argc, char **argv);

#endif
