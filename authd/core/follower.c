#include "authd/core/core_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "lib/base/log.h"

#define BACK_OFF_MIN 50
#define BACK_OFF_MAX 2000
#define EXPIRE_MS 5000

void
follower_published(struct core *c)
{
	pthread_mutex_lock(&c->follower.lock);
	pthread_cond_broadcast(&c->follower.moved);
	pthread_mutex_unlock(&c->follower.lock);
}

static void
deadline_in(struct timespec *ts, int64_t ms)
{
	(void)clock_gettime(CLOCK_MONOTONIC, ts);
	ts->tv_sec += ms / 1000;
	ts->tv_nsec += (ms % 1000) * 1000000;
	if (ts->tv_nsec >= 1000000000) {
		ts->tv_sec++;
		ts->tv_nsec -= 1000000000;
	}
}

void
follower_wait(struct core *c, const struct core_tenant *t, uint64_t pos,
    int64_t ms)
{
	struct follower *f = &c->follower;
	struct timespec ts;

	if (revset_position(t->revset) >= pos)
		return;
	deadline_in(&ts, ms);
	pthread_mutex_lock(&f->lock);
	while (!f->stop && revset_position(t->revset) < pos)
		if (pthread_cond_timedwait(&f->moved, &f->lock, &ts) ==
		    ETIMEDOUT)
			break;
	pthread_mutex_unlock(&f->lock);
}

/* Sleeps, but wakes at once to stop; 1 to stop. */
static int
pause_ms(struct follower *f, int64_t ms)
{
	struct timespec ts;
	int stop;

	deadline_in(&ts, ms);
	pthread_mutex_lock(&f->lock);
	while (!f->stop)
		if (pthread_cond_timedwait(&f->moved, &f->lock, &ts) ==
		    ETIMEDOUT)
			break;
	stop = f->stop;
	pthread_mutex_unlock(&f->lock);
	return stop;
}

static int
stopping(struct follower *f)
{
	int stop;

	pthread_mutex_lock(&f->lock);
	stop = f->stop;
	pthread_mutex_unlock(&f->lock);
	return stop;
}

static enum err
set_lost(struct store *st, uint32_t tenant, uint64_t head)
{
	enum err e;

	e = store_begin(st, tenant, STORE_WRITE);
	if (e != ERR_OK)
		return e;
	e = store_lost_set(st, head);
	if (e == ERR_OK)
		e = store_commit(st);
	if (e != ERR_OK)
		store_rollback(st);
	return e == ERR_NOT_FOUND ? ERR_OK : e;
}

/*
 * A database that has gone back behind what was read of it before is not
 * the one it was: nothing is issued until it is recovered.
 */
static enum err
check_head(struct store *st, struct core_tenant *t,
    const struct tenant_head *h)
{
	if (h->pos >= t->known || h->lost != 0) {
		atomic_store(&t->lost, h->lost);
		return ERR_OK;
	}
	if (atomic_exchange(&t->lost, t->known) == 0)
		log_line(LOG_ERROR_, "the database has lost events: nothing "
		    "is issued until authctl recover",
		    F_STR("tenant", t->name), F_INT("head", h->pos),
		    F_INT("known", t->known));
	return set_lost(st, t->number, t->known);
}

/* Positions known before the heads are read: no head may be behind. */
static void
note_positions(struct core *c)
{
	struct core_tenant *t;
	size_t i;

	for (i = 0; i < TENANT_BUCKETS; i++) {
		t = atomic_load(&c->tenants.by_number[i]);
		for (; t != NULL; t = t->next_number)
			t->known = revset_position(t->revset);
	}
}

static enum err
follow_one(struct core *c, struct store *st, const struct tenant_head *h)
{
	struct core_tenant *t;
	enum err e;

	if (h->tenant == 0)
		return ERR_OK;
	t = tenant_by_number(c, h->tenant);
	if (t != NULL) {
		e = check_head(st, t, h);
		return e != ERR_OK ? e :
		    tenant_follow(c, st, t, h->pos, h->floor);
	}
	e = tenant_load(c, st, h);
	if (e == ERR_OK || err_retryable(e))
		return e;
	/* One tenant that cannot be loaded must not stop the others. */
	log_line(LOG_ERROR_, "tenant not loaded", F_STR("tenant", h->name),
	    F_STR("code", err_code(e)));
	return ERR_OK;
}

static enum err
follow_all(struct core *c, struct store *st)
{
	struct tenant_head *heads = NULL;
	size_t i, n = 0;
	enum err e;

	note_positions(c);
	e = store_heads(st, &heads, &n);
	for (i = 0; e == ERR_OK && i < n; i++)
		e = follow_one(c, st, &heads[i]);
	free(heads);
	return e;
}

static enum err
confirm(struct core *c, struct store *st)
{
	enum err e;

	e = store_begin(st, 0, STORE_WRITE);
	if (e != ERR_OK)
		return e;
	e = store_instance_confirm(st, c->instance);
	if (e == ERR_OK)
		e = store_commit(st);
	if (e != ERR_OK)
		store_rollback(st);
	return e;
}

/* Memory only; the marks are the housekeeper's. */
static void
expire(struct core *c)
{
	int64_t now = clock_wall_s(c->clock);
	struct core_tenant *t;
	size_t i;

	for (i = 0; i < TENANT_BUCKETS; i++) {
		t = atomic_load(&c->tenants.by_number[i]);
		for (; t != NULL; t = t->next_number)
			revset_expire(t->revset, now);
	}
}

/*
 * One round. Freshness counts from before the write: a head read after a
 * write that was acknowledged by its replicas is no older than that.
 */
static enum err
follow_once(struct core *c)
{
	struct follower *f = &c->follower;
	int64_t now = clock_mono_ms(c->clock);
	int confirmed = 0;
	enum err e = ERR_OK;

	if (f->st == NULL)
		e = store_acquire(c->pool, CORE_ACQUIRE_MS, &f->st);
	if (e == ERR_OK && now >= f->next_confirm) {
		e = confirm(c, f->st);
		confirmed = e == ERR_OK;
	}
	if (e == ERR_OK)
		e = follow_all(c, f->st);
	if (e == ERR_OK && confirmed) {
		atomic_store(&f->fresh, now);
		f->next_confirm = now + CORE_CONFIRM_MS;
	}
	if (e == ERR_OK && now >= f->next_expire) {
		f->next_expire = now + EXPIRE_MS;
		expire(c);
	}
	return e;
}

/* Until woken, or so long; 1: a round is due, or stop. */
static int
idle_for(struct core *c, int64_t ms)
{
	struct follower *f = &c->follower;
	enum err e;

	if (c->suppress_notify || f->st == NULL)
		return pause_ms(f, ms);
	e = store_listen(f->st, (uint32_t)ms);
	if (e != ERR_OK && e != ERR_TIMEOUT) {
		store_release(&f->st);
		(void)pause_ms(f, BACK_OFF_MIN);
	}
	return e != ERR_TIMEOUT || stopping(f);
}

/*
 * Until the next round is due, with the heartbeats before it; 1 to stop. The
 * machine's clock, as the waits are its own: sending takes its time as well.
 */
static int
idle(struct core *c)
{
	struct follower *f = &c->follower;
	int64_t left = f->next_confirm - clock_mono_ms(c->clock), ms, until;

	if (left > c->poll_ms)
		left = c->poll_ms;
	until = clock_mono_ms(&clock_system) + left;
	do {
		ms = feed_beat_all(c);
		left = until - clock_mono_ms(&clock_system);
		if (ms > left)
			ms = left;
		if (ms < 1)
			ms = 1;
	} while (!idle_for(c, ms) && clock_mono_ms(&clock_system) < until);
	return stopping(f);
}

static void *
follower_main(void *arg)
{
	struct core *c = arg;
	struct follower *f = &c->follower;
	int64_t back_off = 0;
	int stop = 0;
	enum err e;

	while (!stop) {
		e = follow_once(c);
		if (e == ERR_OK) {
			if (back_off != 0)
				log_line(LOG_INFO_, "following again",
				    F_STR("instance", c->instance));
			back_off = 0;
			stop = idle(c);
			continue;
		}
		if (back_off == 0)
			log_line(LOG_WARN_, "cannot follow",
			    F_STR("code", err_code(e)));
		store_release(&f->st);
		back_off = back_off == 0 ? BACK_OFF_MIN : back_off * 2;
		if (back_off > BACK_OFF_MAX)
			back_off = BACK_OFF_MAX;
		stop = pause_ms(f, back_off);
	}
	store_release(&f->st);
	return NULL;
}

enum err
follower_start(struct core *c, struct detail *d)
{
	struct follower *f = &c->follower;
	enum err e;

	f->next_confirm = f->next_expire = clock_mono_ms(c->clock);
	atomic_store(&f->fresh, f->next_confirm - CORE_READY_MS - 1);
	/* The first round here: what opens is ready to answer. */
	e = follow_once(c);
	if (e == ERR_OK && core_tenant_find(c, TENANT_DEFAULT) == NULL)
		e = ERR_NOT_READY;
	if (e != ERR_OK) {
		detail_set(d, "tenant %s cannot be loaded (%s)",
		    TENANT_DEFAULT, err_code(e));
		store_release(&f->st);
		return e;
	}
	if (pthread_create(&f->thread, NULL, follower_main, c) != 0) {
		store_release(&f->st);
		return ERR_NOMEM;
	}
	f->started = 1;
	return ERR_OK;
}

void
follower_stop(struct core *c)
{
	struct follower *f = &c->follower;

	pthread_mutex_lock(&f->lock);
	f->stop = 1;
	pthread_cond_broadcast(&f->moved);
	pthread_mutex_unlock(&f->lock);
	if (f->started)
		(void)pthread_join(f->thread, NULL);
	f->started = 0;
}

enum err
core_ready(const struct core *c)
{
	int64_t age = clock_mono_ms(c->clock) -
	    atomic_load(&c->follower.fresh);

	return age <= CORE_READY_MS ? ERR_OK : ERR_NOT_READY;
}
