#ifndef HTTP_DOOR_H
#define HTTP_DOOR_H

#include <stdint.h>
#include <microhttpd.h>
#include "lib/base/clock.h"
#include "lib/base/err.h"

/*
 * Where connections come in: one thread accepts those of a listener and hands
 * each to the event loop that has fewest. Loops that accept for themselves
 * take what they can get, and often one of them gets everything.
 */
struct door;
struct sockaddr;

#define DOOR_LOOPS_MAX 256
struct door_conf {
	const struct clock *clock;
	uint32_t connections; /* at most; who comes then waits outside */
	uint32_t per_address; /* at most; more are closed. 0: no limit */
	uint32_t loops;	      /* 1 to DOOR_LOOPS_MAX */
};
enum err door_new(const struct door_conf *conf,
    struct door **out) MUST_CHECK;
/*
 * Begins to accept at fd, a bound socket that does not block; it is the
 * door's from here, also on an error (ERR_IO, ERR_INTERNAL). Each of the
 * daemons, as many as conf.loops, polls in a thread of its own, has no
 * listening socket, and its limit of connections is door_loop_limit or more.
 * They outlive door_close.
 */
enum err door_open(struct door *d, int fd,
    struct MHD_Daemon *const *daemons) MUST_CHECK;
unsigned door_loop_limit(const struct door_conf *conf);
/* Nobody can connect any more. Again without harm, by the same thread. */
void door_close(struct door *d);
void door_free(struct door **d); /* no daemon left; takes NULL */

/* The loop's side, from its thread: a connection begins, and is over. */
void door_begun(struct door *d, uint32_t loop);
void door_over(struct door *d, uint32_t loop, const struct sockaddr *sa);

/*
 * What an address is counted by. Of IPv6 it is a customer's network (/64),
 * not its 2^64 addresses. 0: neither IPv4 nor IPv6.
 */
uint64_t door_address(const struct sockaddr *sa);

#endif
