#ifndef CORE_FEED_HUB_H
#define CORE_FEED_HUB_H

#include <pthread.h>
#include <stdatomic.h>
#include "authd/core/core.h"

/*
 * The signed messages of one tenant's feed, kept in a bounded ring for those
 * who listen. A message is made and signed once, whoever reads it. Each
 * listener has a cursor: what it has been given covers all events up to it,
 * so a gap can always be seen, and is filled from the store. Nobody waits
 * for a listener: one that falls off the ring is cut.
 */
#define HUB_MESSAGES 1000
#define HUB_OCTETS ((size_t)1 << 20)
#define HUB_LISTENERS 4096 /* of one tenant */
/*
 * Heartbeats go to one listener in so many at a time, each slice at a time of
 * its own: an event never has to wait until all of them have theirs.
 */
#define HUB_SLICES 10

struct feed_message {
	_Atomic unsigned refs;
	enum feed_kind kind;
	uint64_t after, first, last; /* FEED_EVENTS: of its run */
	uint64_t id;		     /* told with it: a position */
	unsigned slice;		     /* FEED_HEARTBEAT: whose it is */
	size_t len;
	char text[]; /* NUL-terminated */
};
enum err message_new(enum feed_kind kind, uint64_t id, const char *text,
    size_t len, struct feed_message **out) MUST_CHECK;
struct feed_message *message_hold(struct feed_message *m);

struct feed_sub {
	struct feed_hub *hub;
	struct feed_sub *next, *prev;
	feed_wake *wake;
	void *arg;
	uint64_t cursor;  /* all events up to it have been given */
	uint64_t seq;	  /* next of the ring, once joined */
	uint64_t version; /* of the key set it has */
	unsigned slice;	  /* the heartbeats it is given */
	int joined, waiting, cut, only_events;
	const struct core_tenant *tenant;
	uint64_t caller;
	/* Given before anything of the ring; its own, no lock. */
	struct feed_message *beat, *filled;
};

enum err feed_hub_new(struct feed_hub **out) MUST_CHECK;
void feed_hub_free(struct feed_hub **h); /* no listener left */
unsigned feed_hub_listeners(const struct feed_hub *h);

/*
 * Takes m (NULL: it could not be made, or nobody listens): all events up to
 * last have been published. Wakes who waits.
 */
void feed_hub_events(struct feed_hub *h, struct feed_message *m,
    uint64_t last);
/* To one slice of the listeners, below HUB_SLICES. */
void feed_hub_beat(struct feed_hub *h, struct feed_message *m,
    unsigned slice);
/* Whether anybody is in it. */
int feed_hub_has(struct feed_hub *h, unsigned slice);
/* The key set from now on; version grows. Told before any later message. */
void feed_hub_keys(struct feed_hub *h, struct feed_message *m,
    uint64_t version);
/* The last event published; 0: none. */
uint64_t feed_hub_last(struct feed_hub *h);

enum err feed_hub_join(struct feed_hub *h, struct feed_sub *s) MUST_CHECK;
void feed_hub_leave(struct feed_sub *s);
enum feed_next feed_hub_next(struct feed_sub *s, struct feed_message **out);
/* Calls s's wake at once if there is something, else when there is. */
void feed_hub_arm(struct feed_sub *s);

#endif
