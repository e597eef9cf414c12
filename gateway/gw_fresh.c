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

/*
 * The authority's word may move between two of these loads; the result is
 * then between what it was and what it is.
 */
void
gw_look(const struct fealty_gateway *g, struct freshness *out)
{
	int64_t heard = atomic_load(&g->heard), now = gw_now(g);
	int64_t beat = atomic_load(&g->beat_ms), silence, age = 0;
	int64_t wall = clock_wall_ms(g->clock);

	out->age = UINT64_MAX;
	if (heard >= 0) {
		silence = now > heard ? now - heard : 0;
		if (beat != 0) {
			age = wall - beat;
			if (beat + silence > wall)
				wall = beat + silence;
		}
		out->age = (uint64_t)(age > silence ? age : silence);
	}
	out->wall_s = wall / 1000;
	out->stale = false;
	if (out->age == UINT64_MAX || atomic_load(&g->set) == NULL)
		out->err = ERR_NOT_READY;
	else if (out->age <= g->max_stale_ms)
		out->err = ERR_OK;
	else {
		out->stale = g->stale_open && out->age <= g->stale_limit_ms;
		out->err = out->stale ? ERR_OK : ERR_STALE;
	}
}

int64_t
gw_wall_s(const struct fealty_gateway *g)
{
	struct freshness f;

	gw_look(g, &f);
	return (f.wall_s);
}

uint64_t
fealty_gateway_age(const struct fealty_gateway *g)
{
	struct freshness f;

	gw_look(g, &f);
	return (f.age);
}

enum err
gw_fresh(const struct fealty_gateway *g)
{
	struct freshness f;

	gw_look(g, &f);
	return (f.err);
}
