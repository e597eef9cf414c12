#ifndef HTTP_METRICS_H
#define HTTP_METRICS_H

#include <stdint.h>
#include "lib/base/buf.h"
#include "lib/base/err.h"

/* Request counts and latencies, by route; Prometheus text format 0.0.4. */
struct metrics;
struct route;
struct core;

enum err metrics_new(struct metrics **out) MUST_CHECK;
void metrics_free(struct metrics **m);
/* route NULL: none was found. */
void metrics_count(struct metrics *m, const struct route *route, int status,
    int64_t us);
enum err metrics_format(const struct metrics *m, const struct core *core,
    uint32_t queued, struct buf *out) MUST_CHECK;

#endif
