#ifndef CORE_RECEIPTS_H
#define CORE_RECEIPTS_H

#include "authd/core/core_internal.h"

/*
 * What is known of one event's receipts: who has to enforce it, and who says
 * to do so. Not locked; while it waits, receipts.c's lock is its own.
 */
#define HEARD_US INT64_C(60000000) /* an instance silent so long is gone */

struct watch_instance {
	name_t name;
	int64_t heard_us; /* by the database's clock */
	int said;
	struct receipt r; /* said only: the rest too */
	double ms;
	int64_t at_us;
};
struct watch_gateway {
	uint64_t number;
	name_t name;
	struct watch_instance *instance;
	size_t n, room;
	int enforced;
};
struct receipt_watch {
	uint32_t tenant;
	uint64_t pos;
	struct event_time ev;
	int64_t read_us;      /* monotonic: when ev.now_us was */
	int64_t committed_us; /* monotonic; 0: not committed here */
	int64_t token_life;
	struct watch_gateway *gateway; /* by number */
	size_t n, enforced;
	/* in the list of those that wait */
	struct receipt_watch *next;
	int64_t begun_us, deadline_us, poll_us; /* monotonic */
	core_wake *wake;
	void *arg;
};

int64_t receipt_now_us(void); /* monotonic */
/* Reads all there is, in a read transaction of the tenant. */
enum err watch_load(struct receipt_watch *w, struct store *st) MUST_CHECK;
/* Reads what has become known since; rows to be given to watch_merge. */
struct watch_news {
	struct instance_row *instances;
	struct receipt_kept *kept;
	size_t ninstances, nkept;
};
enum err watch_read(struct store *st, uint64_t pos, struct watch_news *out)
    MUST_CHECK;
void watch_news_free(struct watch_news *news);
enum err watch_merge(struct receipt_watch *w, const struct watch_news *news)
    MUST_CHECK;
/* A receipt that has arrived here, at a monotonic time. Without memory it is
 * found in the store later. */
void watch_hear(struct receipt_watch *w, uint64_t caller,
    const struct receipt *r, int64_t arrived_us);

/* A receipt until it is kept. */
struct post {
	struct post *next;
	uint32_t tenant;
	name_t gateway;
	char request_id[33];
	struct receipt_add add;
	int64_t arrived_us;
	core_done *done;
	void *arg;
};
/* When an event was committed here. */
#define COMMITS 256
struct committed {
	uint32_t tenant;
	uint64_t pos;
	int64_t us;
};
struct receipts {
	pthread_t thread;
	int started;
	pthread_mutex_t lock; /* of all below but st */
	pthread_cond_t wake;
	int stop;
	struct post *first, *last;
	unsigned nposts;
	struct receipt_watch *watches;
	unsigned nwatches;
	struct committed commit[COMMITS];
	unsigned turn;
	struct store *st; /* the thread's */
};
/* The database session of the thread; it is receipts.c's alone. */
enum err receipts_session(struct core *c) MUST_CHECK;
/*
 * When the queue is to be written: as soon as none has come for a moment, at
 * once when it makes a batch, and never long after the oldest came. There is
 * one. Lock held.
 */
int64_t receipts_due_us(const struct receipts *rs);
/* Tells one that begins to wait what is in the queue: it is neither in the
 * store yet nor still to come. Lock held. */
void receipts_catch_up(const struct receipts *rs, struct receipt_watch *w);
/* The oldest and others of its tenant, each instance once: at most
 * RECEIPT_BATCH_MAX. Lock held. */
size_t receipts_batch(struct receipts *rs, struct post **batch);
/* Writes a batch and tells those who sent it. No lock held. */
void receipts_keep(struct core *c, struct post **batch, size_t n);

#endif
