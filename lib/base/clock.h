#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

/*
 * Time comes in through here, so that tests can turn it. The functions must
 * be thread safe. clock_system is the machine's.
 */
struct clock {
	int64_t (*wall_ms)(const struct clock *);      /* since 1970, UTC */
	int64_t (*monotonic_ms)(const struct clock *); /* never goes back */
};
extern const struct clock clock_system;
/* Likewise, its wall clock up to 10 ms behind: for those who ask very often. */
extern const struct clock clock_coarse;

static inline int64_t
clock_wall_ms(const struct clock *c)
{
	return c->wall_ms(c);
}

static inline int64_t
clock_wall_s(const struct clock *c)
{
	return c->wall_ms(c) / 1000;
}

static inline int64_t
clock_mono_ms(const struct clock *c)
{
	return c->monotonic_ms(c);
}

#endif
