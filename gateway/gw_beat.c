#include <string.h>
#include "gateway/gw_held.h"

/*
 * The feed's signed messages, verified before anything else is made of them,
 * whoever brought them. On one thread, the follower's.
 */

static void
refused(struct fealty_gateway *g, const char *what, enum err e,
    const struct detail *d)
{
	gw_note(g, FEALTY_WARNING, what, e, d->text);
	/* a key that is new comes with a new set, and only so */
	if (e == ERR_TOKEN_KEY)
		feed_poke(g, true);
}

/* From the first event that is not known yet. */
static enum err
apply_rest(struct fealty_gateway *g, const struct set_run *r)
{
	uint64_t pos = revset_position(atomic_load(&g->set));
	size_t i = 0;

	while (i < r->n && r->events[i].pos <= pos)
		i++;
	return (gw_apply(g, r->events + i, r->n - i));
}

/*
 * Whether nothing lies between what is known and the run: it begins at or
 * before the next position, or names the newest event known as the one
 * before it (a new generation). A run that says there was none before it is
 * believed only where none was seen.
 */
static bool
continues(struct fealty_gateway *g, const struct set_run *r)
{
	const uint64_t seq = (UINT64_C(1) << POS_GENERATION_SHIFT) - 1;
	uint64_t pos = revset_position(atomic_load(&g->set));

	return (r->events[0].pos <= pos + 1 || r->after == pos ||
	    (r->after == 0 && (pos & seq) == 0));
}

enum err
follow_run_text(struct fealty_gateway *g, const char *text, size_t len,
    int64_t heard_us)
{
	struct set_run r = {.n = 0};
	struct detail d = {""};
	uint64_t last, before;
	enum err e;

	pthread_rwlock_rdlock(&g->keys_lock);
	e = g->feed_keys == NULL ? ERR_NOT_READY :
	    set_verify(g->feed_keys, g->issuer, text, len, &r, &d);
	pthread_rwlock_unlock(&g->keys_lock);
	if (e != ERR_OK) {
		refused(g, "events refused", e, &d);
		return (e);
	}
	before = revset_position(atomic_load(&g->set));
	last = r.events[r.n - 1].pos;
	if (!continues(g, &r))
		e = ERR_AHEAD; /* something is missing */
	else if ((e = apply_rest(g, &r)) == ERR_OK) {
		gw_publish(g, heard_us);
		follow_settle(g);
		if (last > before)
			held_note(g->held, text, len, last);
	}
	set_run_free(&r);
	return (e);
}

/* h counts: all events up to its head were enforced at tick then_ms. */
static void
count(struct fealty_gateway *g, const struct heartbeat *h, int64_t then_ms)
{
	int64_t since = gw_tick() - then_ms;

	revset_advance(atomic_load(&g->set), h->head, h->floor);
	atomic_store(&g->beat_ms, h->time_ms);
	atomic_store(&g->heard, gw_now(g) - (since > 0 ? since : 0));
	held_caught_up(g->held);
	g->follow->base = h->head;
	g->follow->behind = 0;
	g->follow->waiting.time_ms = 0;
}

void
follow_settle(struct fealty_gateway *g)
{
	struct follow *f = g->follow;

	if (f->waiting.time_ms != 0 &&
	    f->waiting.head <= revset_position(atomic_load(&g->set)))
		count(g, &f->waiting, f->waiting_at);
}

static enum err
take(struct fealty_gateway *g, const struct heartbeat *h)
{
	struct follow *f = g->follow;
	uint64_t pos = revset_position(atomic_load(&g->set));

	/* also when events have come since: others of then may be gone */
	if (h->floor > f->base) {
		atomic_store(&g->heard, -1);
		gw_below_floor(g, h->floor);
		f->snapshot = true;
		return (ERR_AHEAD);
	}
	if (h->head > atomic_load(&g->head))
		atomic_store(&g->head, h->head);
	/* of one that knows less than we do: says nothing about now */
	if (h->head < pos)
		return (ERR_OK);
	if (h->head == pos) {
		count(g, h, gw_tick());
		return (ERR_OK);
	}
	f->waiting = *h;
	f->waiting_at = gw_tick();
	if (f->behind == 0)
		f->behind = f->waiting_at;
	return (ERR_OK);
}

enum err
follow_beat_text(struct fealty_gateway *g, const char *text, size_t len)
{
	struct follow *f = g->follow;
	struct heartbeat h;
	struct detail d = {""};
	enum err e;

	pthread_rwlock_rdlock(&g->keys_lock);
	e = g->feed_keys == NULL ? ERR_NOT_READY :
	    heartbeat_verify(g->feed_keys, g->issuer, text, len, &h, &d);
	pthread_rwlock_unlock(&g->keys_lock);
	if (e != ERR_OK) {
		refused(g, "heartbeat refused", e, &d);
		return (e);
	}
	/* heard before, or older: nothing new */
	if (h.time_ms <= f->beat.time_ms)
		return (ERR_OK);
	/* the highest head is what a rewound authority has to be shown */
	if (len < sizeof(f->beat_text) && h.head >= f->beat.head) {
		pthread_mutex_lock(&f->beat_lock);
		memcpy(f->beat_text, text, len);
		f->beat_text[len] = '\0';
		pthread_mutex_unlock(&f->beat_lock);
	}
	f->beat.time_ms = h.time_ms;
	if (h.head > f->beat.head)
		f->beat.head = h.head;
	return (take(g, &h));
}
