#include <time.h>
#include "gateway/gw_int.h"

/*
 * How far what is known here can be believed. The silence is counted by the
 * monotonic clock, the age of the last heartbeat by the wall clock; neither
 * makes up for the other. A clock that is turned back makes nothing fresh:
 * the silence goes on, and the time is never before what the authority said.
 */
int64_t
gw_tick_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ((int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000);
}

int64_t
gw_now(const struct fealty_gateway *g)
{
	return (clock_mono_ms(g->clock));
}

int64_t
gw_wall_s(const struct fealty_gateway *g)
{
	int64_t heard = atomic_load(&g->heard), now = gw_now(g);
	int64_t beat = atomic_load(&g->beat_ms), said = 0;
	int64_t wall = clock_wall_ms(g->clock);

	if (beat != 0 && heard >= 0 && now >= heard)
		said = beat + (now - heard);
	return ((wall > said ? wall : said) / 1000);
}

uint64_t
fealty_gateway_age(const struct fealty_gateway *g)
{
	int64_t heard = atomic_load(&g->heard), now = gw_now(g);
	int64_t beat = atomic_load(&g->beat_ms), silence, age = 0;

	if (heard < 0)
		return (UINT64_MAX);
	silence = now > heard ? now - heard : 0;
	if (beat != 0)
		age = clock_wall_ms(g->clock) - beat;
	return ((uint64_t)(age > silence ? age : silence));
}

enum err
gw_freshness(const struct fealty_gateway *g, bool *stale)
{
	uint64_t age = fealty_gateway_age(g);

	*stale = false;
	if (age == UINT64_MAX || atomic_load(&g->set) == NULL)
		return (ERR_NOT_READY);
	if (age <= g->max_stale_ms)
		return (ERR_OK);
	*stale = g->stale_open && age <= g->stale_limit_ms;
	return (*stale ? ERR_OK : ERR_STALE);
}

enum err
gw_fresh(const struct fealty_gateway *g)
{
	bool stale;

	return (gw_freshness(g, &stale));
}
