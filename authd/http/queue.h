#ifndef HTTP_QUEUE_H
#define HTTP_QUEUE_H

#include <stddef.h>
#include <stdint.h>
#include "lib/base/clock.h"
#include "lib/base/err.h"

/*
 * The bounded queue between the event loops and the workers. A request in it
 * belongs to the queue until done or run has been called for it, once.
 *
 * Requests that join (what costs most is one commit, and they can share it)
 * wait in a line of their own: a worker takes all it finds there at once, as
 * many workers as runs says, and the others stay free for the rest.
 */
#define QUEUE_RUN_MAX 64
struct queue;
struct req;

struct queue_conf {
	uint32_t workers;
	uint32_t max;
	const struct clock *clock;
	/* Runs the request; with why other than ERR_OK it only refuses it.
	 * Then gives it back to its event loop. On any thread. */
	void (*done)(struct req *r, enum err why);
	uint32_t runs; /* workers that serve runs at a time, at least 1 */
	/* The same for n at once that join; with ERR_OK only. */
	void (*run)(struct req **r, size_t n);
};
enum err queue_new(const struct queue_conf *conf, struct queue **out)
    MUST_CHECK;
/* Takes a place for one push to come: ERR_BUSY when there is none. */
enum err queue_reserve(struct queue *q) MUST_CHECK;
void queue_push(struct queue *q, struct req *r); /* after queue_reserve */
/* One of a run that has to be done by itself, before what waits already. */
void queue_again(struct queue *q, struct req *r);
/* Refuses (ERR_TIMEOUT) those whose deadline has passed. */
void queue_expire(struct queue *q);
uint32_t queue_length(struct queue *q);
/*
 * Waits for what runs, refuses (ERR_NOT_READY) what waits and whatever is
 * pushed from now on.
 */
void queue_stop(struct queue *q);
void queue_free(struct queue **q); /* nobody pushes any more */

#endif
