#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "bench/stats.h"

#define STEP_US 10
#define STEPS 500000 /* up to 5 s */

int64_t
now_us(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int
stats_init(struct stats *s)
{
	s->histogram = calloc(STEPS + 1, sizeof(*s->histogram));
	return s->histogram == NULL ? -1 : 0;
}

void
stats_add(struct stats *s, int64_t us, int good)
{
	int64_t step = us / STEP_US;

	s->histogram[step < STEPS ? step : STEPS]++;
	if (good)
		s->right++;
	else
		s->wrong++;
}

static int64_t
percentile(const struct stats *s, double share)
{
	uint64_t all = s->right + s->wrong, seen = 0;
	int64_t i;

	for (i = 0; i < STEPS; i++) {
		seen += s->histogram[i];
		if ((double)seen >= share * (double)all)
			break;
	}
	return i * STEP_US;
}

void
stats_print(const struct stats *s)
{
	double seconds = (double)(s->ended_us - s->begun_us) / 1e6;

	printf("{\"right\":%llu,\"wrong\":%llu,\"seconds\":%.3f,"
	       "\"rate\":%.0f,\"p50_us\":%lld,\"p99_us\":%lld}\n",
	    (unsigned long long)s->right, (unsigned long long)s->wrong, seconds,
	    (double)s->right / seconds, (long long)percentile(s, 0.5),
	    (long long)percentile(s, 0.99));
}

void
stats_free(struct stats *s)
{
	free(s->histogram);
	s->histogram = NULL;
}
