#include "authd/core/core_internal.h"

size_t
feed_run_length(const struct event *ev, size_t n)
{
	size_t i;

	for (i = 1; i < n && i < SET_EVENTS_MAX; i++)
		if (ev[i].pos != ev[i - 1].pos + 1)
			break;
	return i;
}

static enum err
sign_run(const struct core *c, struct core_tenant *t,
    const struct set_run *run, struct buf *out)
{
	enum err e;

	(void)pthread_rwlock_rdlock(&t->keys_lock);
	e = set_sign(t->keys->feed, t->issuer, clock_wall_s(c->clock), run,
	    out);
	(void)pthread_rwlock_unlock(&t->keys_lock);
	return e;
}

/*
 * The time comes first and is judged afterwards: whatever stops us in
 * between (the database, the machine), no heartbeat says a time at which
 * nothing was confirmed.
 */
static enum err
sign_beat(const struct core *c, struct core_tenant *t, uint64_t *head,
    struct buf *out)
{
	struct heartbeat h = {.time_ms = clock_wall_ms(c->clock)};
	enum err e;

	/* The floor first: it is never above a head read later. */
	h.floor = revset_floor(t->revset);
	h.head = revset_position(t->revset);
	e = tenant_ready(c, t);
	if (e != ERR_OK)
		return e;
	(void)pthread_rwlock_rdlock(&t->keys_lock);
	e = heartbeat_sign(t->keys->feed, t->issuer, &h, out);
	(void)pthread_rwlock_unlock(&t->keys_lock);
	*head = h.head;
	return e;
}

struct feed_message *
feed_sign_run(const struct core *c, struct core_tenant *t,
    const struct set_run *run)
{
	struct feed_message *m = NULL;
	struct buf b = {.max = SET_MAX};
	enum err e;

	e = sign_run(c, t, run, &b);
	if (e == ERR_OK)
		e = message_new(FEED_EVENTS, run->events[run->n - 1].pos,
		    b.p, b.len, &m);
	if (e == ERR_OK) {
		m->after = run->after;
		m->first = run->events[0].pos;
		m->last = run->events[run->n - 1].pos;
	}
	buf_free(&b);
	return e == ERR_OK ? m : NULL;
}

enum err
feed_sign_beat(const struct core *c, struct core_tenant *t,
    struct feed_message **out)
{
	struct buf b = {.max = SET_MAX};
	uint64_t head = 0;
	enum err e;

	e = sign_beat(c, t, &head, &b);
	if (e == ERR_OK)
		e = message_new(FEED_HEARTBEAT, head, b.p, b.len, out);
	buf_free(&b);
	return e;
}

#define STEP_MS (CORE_BEAT_MS / HUB_SLICES)

/* 0: it could not be made; it is still due. */
static int
beat_slice(struct core *c, struct core_tenant *t)
{
	struct feed_message *m;

	if (!feed_hub_has(t->hub, t->beat_slice))
		return 1;
	if (feed_sign_beat(c, t, &m) != ERR_OK)
		return 0;
	feed_hub_beat(t->hub, m, t->beat_slice);
	return 1;
}

/* In step, whatever the rounds take; after a long one, all of them once. */
static int64_t
beat(struct core *c, struct core_tenant *t, int64_t now)
{
	int i;

	if (feed_hub_listeners(t->hub) == 0)
		return CORE_BEAT_MS;
	for (i = 0; i < HUB_SLICES && t->next_beat <= now; i++) {
		if (!beat_slice(c, t))
			return STEP_MS;
		t->beat_slice = (t->beat_slice + 1) % HUB_SLICES;
		t->next_beat += STEP_MS;
	}
	if (t->next_beat <= now)
		t->next_beat = now + STEP_MS;
	return t->next_beat - now;
}

int64_t
feed_beat_all(struct core *c)
{
	int64_t now = clock_mono_ms(c->clock), next = CORE_BEAT_MS, ms;
	struct core_tenant *t;
	size_t i;

	for (i = 0; i < TENANT_BUCKETS; i++) {
		t = atomic_load(&c->tenants.by_number[i]);
		for (; t != NULL; t = t->next_number) {
			ms = beat(c, t, now);
			next = ms < next ? ms : next;
		}
	}
	return next;
}

struct before {
	uint64_t upto, pos;
};

static enum err
before_txn(struct txn *tx)
{
	struct before *b = tx->arg;

	return store_event_last(tx->st, b->upto, &b->pos);
}

/* What it may hold for fresh is signed only while it is. */
enum err
core_feed_sign(struct core_call *call, uint64_t after,
    const struct event *rows, size_t n, uint64_t head,
    struct feed_page_text *out)
{
	struct core_tenant *t = tenant_writable(call->tenant);
	struct before b = {.upto = after};
	struct txn tx = {.call = call, .mode = STORE_READ, .arg = &b};
	struct set_run run = {.head = head};
	uint64_t beat_head;
	enum err e = tenant_ready(call->core, t);

	if (e == ERR_OK && n > 0 && after > 0)
		e = txn_run(&tx, before_txn);
	run.after = b.pos;
	run.events = (struct event *)(uintptr_t)rows;
	run.n = n;
	if (e == ERR_OK && n > 0)
		e = sign_run(call->core, t, &run, &out->set);
	return e == ERR_OK ? sign_beat(call->core, t, &beat_head,
	    &out->heartbeat) : e;
}
