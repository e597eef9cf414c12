#include "lib/base/clock.h"

#include <time.h>

static int64_t
read_ms(clockid_t id)
{
	struct timespec ts;

	if (clock_gettime(id, &ts) != 0)
		return 0;
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int64_t
system_wall(const struct clock *c)
{
	return read_ms(CLOCK_REALTIME);
}

/* Some ms behind, for a tenth of the cost. */
static int64_t
coarse_wall(const struct clock *c)
{
	return read_ms(CLOCK_REALTIME_COARSE);
}

/*
 * BOOTTIME counts a suspended machine's sleep too: a gateway that slept must
 * find itself stale when it wakes, which MONOTONIC would hide.
 */
static int64_t
system_monotonic(const struct clock *c)
{
	return read_ms(CLOCK_BOOTTIME);
}

const struct clock clock_system = {
    .wall_ms = system_wall,
    .monotonic_ms = system_monotonic,
};

const struct clock clock_coarse = {
    .wall_ms = coarse_wall,
    .monotonic_ms = system_monotonic,
};
