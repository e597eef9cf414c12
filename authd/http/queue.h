#ifndef HTTP_QUEUE_H
#define HTTP_QUEUE_H

#include <stdint.h>
#include "lib/base/clock.h"
#include "lib/base/err.h"

/*
 * The bounded queue between the event loops and the workers. A request in it
 * belongs to the queue until done has been called for it, once.
 */
struct queue;
struct req;

struct queue_conf {
	uint32_t workers;
	uint32_t max;
	const struct clock *clock;
	/* Runs the request; with why other than ERR_OK it only refuses it.
	 * Then gives it back to its event loop. On any thread. */
	void (*done)(struct req *r, enum err why);
};
enum err queue_new(const struct queue_conf *conf, struct queue **out)
    MUST_CHECK;
/* Takes a place for one push to come: ERR_BUSY when there is none. */
enum err queue_reserve(struct queue *q) MUST_CHECK;
void queue_push(struct queue *q, struct req *r); /* after queue_reserve */
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
