#include "provision-tool/progress.h"

#include <stdio.h>

#define SECOND 1000

/* What an earlier run did says nothing of how fast this one is. */
static uint64_t
finished(const struct progress *p)
{
	return p->done - p->before + p->failed;
}

void
meter_sample(struct meter *m, const struct progress *p, int64_t now_ms)
{
	unsigned last = (m->n - 1) % PROGRESS_SAMPLES;

	if (m->n > 0 && now_ms - m->at[last].ms < SECOND)
		return;
	m->at[m->n % PROGRESS_SAMPLES].ms = now_ms;
	m->at[m->n % PROGRESS_SAMPLES].finished = finished(p);
	m->n++;
}

double
meter_rate(const struct meter *m, const struct progress *p, int64_t now_ms)
{
	unsigned first = m->n < PROGRESS_SAMPLES ? 0 : m->n % PROGRESS_SAMPLES;
	int64_t ms = m->n == 0 ? 0 : now_ms - m->at[first].ms;

	if (ms <= 0)
		return 0;
	return (double)(finished(p) - m->at[first].finished) * SECOND /
	       (double)ms;
}

static int
remaining(uint64_t left, double rate, char *out, size_t size)
{
	double seconds = rate > 0 ? (double)left / rate : 0;
	uint64_t s;

	if (rate <= 0 || seconds > 1e6)
		return snprintf(out, size, ", %llu left",
				(unsigned long long)left);
	s = (uint64_t)(seconds + 0.5);
	if (s >= 3600)
		return snprintf(out, size, ", %llu:%02u:%02u left",
				(unsigned long long)(s / 3600),
				(unsigned)(s / 60 % 60), (unsigned)(s % 60));
	return snprintf(out, size, ", %u:%02u left", (unsigned)(s / 60),
			(unsigned)(s % 60));
}

void
progress_text(const struct progress *p, double rate, char out[PROGRESS_TEXT])
{
	uint64_t gone = p->done + p->failed;
	int n;

	n = snprintf(out, PROGRESS_TEXT,
		     "%llu done, %llu failed, %llu in hand, %.*f/s",
		     (unsigned long long)p->done, (unsigned long long)p->failed,
		     (unsigned long long)p->hand, rate < 10 ? 1 : 0, rate);
	if (n > 0 && n < PROGRESS_TEXT && p->total > gone)
		(void)remaining(p->total - gone, rate, out + n,
				PROGRESS_TEXT - (size_t)n);
}
