#ifndef HTTP_RATE_H
#define HTTP_RATE_H

#include <stdint.h>
#include "lib/base/clock.h"
#include "lib/base/err.h"

/*
 * Token buckets by key, in a table of fixed size: when it is full, the bucket
 * that has been left alone longest makes room. Thread safe.
 */
struct rate;
/* burst at once, then per_s a second. */
enum err rate_new(const struct clock *clock, uint32_t burst, uint32_t per_s,
    struct rate **out) MUST_CHECK;
void rate_free(struct rate **r);
/* 1 if one could be taken now. */
int rate_left(struct rate *r, uint64_t key);
/* Takes one; 0 when there was none. */
int rate_take(struct rate *r, uint64_t key);

#endif
