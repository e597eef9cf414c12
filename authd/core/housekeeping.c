#include "authd/core/tickets.h"

#include <time.h>

#include "lib/base/log.h"

/*
 * Marks of assertions that have expired go in batches, each its own short
 * transaction, until none is left: faster than they can be made. A thread
 * and a session of its own, so that neither the follower nor a request ever
 * waits for it. The floors of the feeds move here too,
 * and tickets expire.
 */
#define EVERY_MS 5000
#define BATCH_ROWS 5000
#define BATCH_TICKETS 20
#define BATCH_PAUSE_MS 5 /* the database has others to serve */
#define MARGIN 300 /* seconds; clocks of several authds differ */
#define FLOOR_AGE (TOKEN_LIFE_MAX + 60) /* seconds */

/* Sleeps, but wakes at once to stop; 1 to stop. */
static int
pause_ms(struct housekeeper *h, int64_t ms)
{
	struct timespec ts;
	int stop;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	ts.tv_sec += ms / 1000;
	ts.tv_nsec += (ms % 1000) * 1000000;
	if (ts.tv_nsec >= 1000000000) {
		ts.tv_sec++;
		ts.tv_nsec -= 1000000000;
	}
	pthread_mutex_lock(&h->lock);
	while (!h->stop && pthread_cond_timedwait(&h->wake, &h->lock, &ts) ==
	    0)
		continue;
	stop = h->stop;
	pthread_mutex_unlock(&h->lock);
	return stop;
}

/* All that has expired of one tenant; 1 to stop. */
static int
expire_tenant(struct core *c, struct store *st, uint32_t tenant, enum err *e)
{
	uint32_t n = BATCH_ROWS;
	int stop = 0;

	*e = ERR_OK;
	while (*e == ERR_OK && n >= BATCH_ROWS && !stop) {
		*e = store_mark_expire(st, tenant,
		    clock_wall_s(c->clock) - MARGIN, BATCH_ROWS, &n);
		if (*e == ERR_OK && n >= BATCH_ROWS)
			stop = pause_ms(&c->housekeeper, BATCH_PAUSE_MS);
	}
	return stop;
}

/* The floor follows what is older than any token that could still live. */
static enum err
advance_floor(struct store *st, uint32_t tenant)
{
	enum err e;

	e = store_begin(st, tenant, STORE_WRITE);
	if (e != ERR_OK)
		return e;
	e = store_floor_advance(st, FLOOR_AGE);
	if (e == ERR_OK)
		e = store_commit(st);
	if (e != ERR_OK)
		store_rollback(st);
	return e;
}

static enum err
expire_all(struct core *c, struct store *st)
{
	struct core_tenant *t;
	enum err e = ERR_OK;
	int stop = 0;
	size_t i;

	for (i = 0; e == ERR_OK && i < TENANT_BUCKETS; i++) {
		t = atomic_load(&c->tenants.by_number[i]);
		for (; e == ERR_OK && !stop && t != NULL; t = t->next_number) {
			stop = expire_tenant(c, st, t->number, &e);
			if (e == ERR_OK && !stop)
				e = advance_floor(st, t->number);
			if (e == ERR_OK && !stop)
				e = tickets_sweep(c, st, t->number,
				    BATCH_TICKETS);
		}
	}
	return e;
}

static void *
housekeeper_main(void *arg)
{
	struct core *c = arg;
	struct store *st = NULL;
	int failing = 0;
	enum err e;

	while (!pause_ms(&c->housekeeper, EVERY_MS)) {
		e = store_acquire(c->pool, CORE_ACQUIRE_MS, &st);
		if (e == ERR_OK)
			e = expire_all(c, st);
		store_release(&st);
		if (e == ERR_CONFLICT)
			e = ERR_OK; /* another authd is at the same rows */
		if (e != ERR_OK && !failing)
			log_line(LOG_WARN_, "housekeeping fails",
			    F_STR("code", err_code(e)));
		failing = e != ERR_OK;
	}
	return NULL;
}

enum err
housekeeper_start(struct core *c)
{
	struct housekeeper *h = &c->housekeeper;

	if (pthread_create(&h->thread, NULL, housekeeper_main, c) != 0)
		return ERR_NOMEM;
	h->started = 1;
	return ERR_OK;
}

void
housekeeper_stop(struct core *c)
{
	struct housekeeper *h = &c->housekeeper;

	pthread_mutex_lock(&h->lock);
	h->stop = 1;
	pthread_cond_broadcast(&h->wake);
	pthread_mutex_unlock(&h->lock);
	if (h->started)
		(void)pthread_join(h->thread, NULL);
	h->started = 0;
}
