#ifndef BENCH_GWVERIFY_H
#define BENCH_GWVERIFY_H

#include <stdint.h>

/*
 * What a revocation set with that many device entries takes, as resident
 * memory of a process of its own that has nothing else to do: with all
 * entries in, and at most while it grew. 0, or -1.
 */
struct set_memory {
	double steady_mib, growing_mib;
};
int set_memory(uint64_t devices, struct set_memory *out);

#endif
