#ifndef PROVISION_PROGRESS_H
#define PROVISION_PROGRESS_H

#include <stddef.h>
#include <stdint.h>

/* How far a line has come. Times in ms by a monotonic clock. */
struct progress {
	uint64_t total; /* 0: nobody knows */
	uint64_t done, before, failed, hand; /* before: done by an earlier run;
						part of done */
};
#define PROGRESS_SAMPLES 11 /* a rate is that of the last ten seconds */
struct meter {
	struct {
		int64_t ms;
		uint64_t finished;
	} at[PROGRESS_SAMPLES];
	unsigned n; /* samples taken */
};

/* To be called often; keeps a sample a second. */
void meter_sample(struct meter *m, const struct progress *p, int64_t now_ms);
/* Units a second; 0 while nobody knows. */
double meter_rate(const struct meter *m, const struct progress *p,
		  int64_t now_ms);
/* "12 done, 1 failed, 8 in hand, 512/s, 0:03 left" */
#define PROGRESS_TEXT 160
void progress_text(const struct progress *p, double rate,
		   char out[PROGRESS_TEXT]);

#endif
