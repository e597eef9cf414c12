#ifndef BENCH_STATS_H
#define BENCH_STATS_H

#include <stddef.h>
#include <stdint.h>

/* Counts and latencies of a run; percentiles from a histogram. */
struct stats {
	uint64_t right, wrong;
	int64_t begun_us, ended_us;
	uint32_t *histogram; /* of 10 µs steps */
};
int64_t now_us(void); /* monotonic */
int stats_init(struct stats *s);
void stats_add(struct stats *s, int64_t us, int good);
/* One line of JSON on standard output. */
void stats_print(const struct stats *s);
void stats_free(struct stats *s);

#endif
