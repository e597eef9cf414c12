#ifndef MODEL_RECEIPT_H
#define MODEL_RECEIPT_H

#include <stddef.h>
#include "lib/model/event.h"

/*
 * What a gateway's instance says after it has applied all events up to a
 * position: its statement, not a proof (docs/feed.md, Receipts).
 */
#define RECEIPT_WAIT_MAX 30 /* seconds that one question may wait */

struct receipt {
	name_t instance;   /* as a device_id is formed */
	uint64_t position;
	int sessions;	   /* closed those named; else requests refused */
	uint64_t closed;   /* sessions */
	uint64_t took_us;  /* from hearing to done */
};

/* One receipt as the authority kept it. */
struct receipt_row {
	name_t gateway;
	struct receipt r;
	double ms;  /* from the event's commit to its arrival */
	int64_t at; /* of the arrival, unix seconds */
};

struct laggard {
	name_t gateway;
	int64_t heard_ms; /* how long ago; -1: never */
};

/* What is known of one event; rows and lagging are malloc'ed. */
struct receipt_report {
	struct event event;
	uint64_t expected, enforced; /* gateways */
	double slowest_ms;
	int64_t token_life; /* seconds: what tokens live on unheard */
	struct receipt_row *rows;
	size_t nrows;
	struct laggard *lagging;
	size_t nlagging;
};

#endif
