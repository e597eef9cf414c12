#ifndef MODEL_HELD_H
#define MODEL_HELD_H

#include <stddef.h>
#include "lib/model/event.h"

/*
 * Events that the authority's database has lost and gateways have shown,
 * signed; kept beside the events until a recovery (docs/feed.md, Recovery).
 */
#define HELD_RUNS_MAX 64
#define HELD_BY_MAX 1000

/* Positions without a gap. */
struct held_run {
	uint64_t first, last;
};

struct held_by {
	name_t gateway;
	uint64_t first, last; /* positions that it has shown */
	uint64_t conflict;    /* one that another has shown otherwise; 0 */
	int64_t at;	      /* when last, unix seconds */
};

#endif
