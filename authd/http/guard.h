#ifndef HTTP_GUARD_H
#define HTTP_GUARD_H

#include <stdint.h>
#include "lib/base/clock.h"
#include "lib/base/err.h"

/*
 * Against clients that hold a connection for nothing: each phase of a
 * connection has a limit, whatever trickles in meanwhile (the time-out of
 * libmicrohttpd begins anew with each octet). One thread looks four times a
 * second and shuts down what is over its limit.
 */
struct guard;
struct conn;

#define GUARD_FRESH_MS 10000   /* connected: TLS and the first request line */
#define GUARD_IDLE_MS 75000    /* between requests */
#define GUARD_READING_MS 10000 /* request line to the end of the body */
#define GUARD_WRITING_MS 30000 /* the answer */

/* tick is called by the thread each time, with arg. */
enum err guard_new(const struct clock *clock, void (*tick)(void *arg),
    void *arg, struct guard **out) MUST_CHECK;
void guard_free(struct guard **g); /* no connection left */

void guard_add(struct guard *g, struct conn *c);
void guard_remove(struct guard *g, struct conn *c);
/* The connection enters a phase now. phase is of enum conn_phase. */
void guard_phase(const struct guard *g, struct conn *c, int phase);

#endif
