#include "authd/core/core_internal.h"

#include <stdlib.h>

/*
 * Order is all: first the caches are told to keep nothing older, then they
 * are emptied of what the events name, then the set learns of them and the
 * position appears. Whoever reads the position sees none of the old.
 */
static enum err
apply_locked(struct core *c, struct core_tenant *t, const struct event *ev,
    size_t n)
{
	enum err e;

	atomic_store(&t->applying, ev[n - 1].pos);
	device_cache_apply(c->devices, t->number, ev, n);
	callers_apply(c->callers, t->number, ev, n);
	e = revset_apply(t->revset, ev, n);
	if (e == ERR_OK)
		atomic_fetch_add(&c->follower.events, n);
	return e;
}

/* To the listeners, in runs of consecutive positions. */
static void
publish_locked(struct core *c, struct core_tenant *t, struct event *ev,
    size_t n)
{
	struct feed_message *m;
	struct set_run run;
	size_t len;

	for (; n > 0; ev += len, n -= len) {
		len = feed_run_length(ev, n);
		run = (struct set_run){.after = t->last_event,
		    .head = revset_position(t->revset), .events = ev,
		    .n = len};
		m = feed_hub_listeners(t->hub) > 0 ?
		    feed_sign_run(c, t, &run) : NULL;
		t->last_event = ev[len - 1].pos;
		feed_hub_events(t->hub, m, t->last_event);
	}
}

enum err
tenant_apply(struct core *c, struct core_tenant *t, const struct event *ev,
    size_t n)
{
	enum err e = ERR_OK;
	uint64_t pos;

	(void)pthread_mutex_lock(&t->follow);
	pos = revset_position(t->revset);
	for (; n > 0 && ev->pos <= pos; n--)
		ev++;
	if (n > 0)
		e = apply_locked(c, t, ev, n);
	if (e == ERR_OK && n > 0)
		publish_locked(c, t, (struct event *)(uintptr_t)ev, n);
	(void)pthread_mutex_unlock(&t->follow);
	if (e == ERR_OK && n > 0)
		follower_published(c);
	return e;
}

static enum err
read_page(struct store *st, uint32_t tenant, uint64_t after,
    struct event *rows, size_t *n)
{
	enum err e;

	e = store_begin(st, tenant, STORE_READ);
	if (e != ERR_OK)
		return e;
	e = store_event_list(st, after, CORE_PAGE, rows, n);
	if (e == ERR_OK)
		e = store_commit(st);
	if (e != ERR_OK)
		store_rollback(st);
	return e;
}

/*
 * All there is behind the published position. Several may do so at a time:
 * whoever is second finds his page applied, and passes over it.
 */
static enum err
read_all(struct core *c, struct store *st, struct core_tenant *t)
{
	struct event *rows = calloc(CORE_PAGE, sizeof(*rows));
	enum err e = ERR_OK;
	size_t n = CORE_PAGE;

	if (rows == NULL)
		return ERR_NOMEM;
	while (e == ERR_OK && n == CORE_PAGE) {
		n = 0;
		e = read_page(st, t->number, revset_position(t->revset),
		    rows, &n);
		/* Keys first: no key signs its own revocation. */
		if (e == ERR_OK && n > 0)
			e = tenant_keys_follow(c, st, t, rows, n);
		if (e == ERR_OK && n > 0)
			e = tenant_apply(c, t, rows, n);
	}
	free(rows);
	return e;
}

enum err
tenant_follow(struct core *c, struct store *st, struct core_tenant *t,
    uint64_t head, uint64_t floor)
{
	enum err e;

	if (head <= revset_position(t->revset) &&
	    floor <= revset_floor(t->revset))
		return ERR_OK;
	e = read_all(c, st, t);
	if (e != ERR_OK)
		return e;
	/* The events were read after the head: all up to it are in. */
	(void)pthread_mutex_lock(&t->follow);
	if (head < revset_position(t->revset))
		head = revset_position(t->revset);
	if (atomic_load(&t->applying) < head)
		atomic_store(&t->applying, head);
	revset_advance(t->revset, head, floor);
	(void)pthread_mutex_unlock(&t->follow);
	follower_published(c);
	return ERR_OK;
}

/* 1 when ev is what comes next, so that nothing has to be read. */
static int
follows(struct core_tenant *t, const struct event *ev, size_t n)
{
	size_t i;

	if (n == 0 || n > TXN_EVENTS ||
	    ev[0].pos != revset_position(t->revset) + 1)
		return 0;
	for (i = 0; i < n; i++)
		if (ev[i].kind == EV_SIGNING_KEY ||
		    ev[i].pos != ev[0].pos + i)
			return 0;
	return 1;
}

void
tenant_committed(struct core *c, struct core_tenant *t,
    const struct event *ev, size_t n)
{
	struct store *st = NULL;

	if (follows(t, ev, n)) {
		/* The follower finds what could not be done here. */
		if (tenant_apply(c, t, ev, n) != ERR_OK)
			return;
		return;
	}
	if (store_acquire(c->pool, CORE_ACQUIRE_MS, &st) != ERR_OK)
		return;
	if (read_all(c, st, t) != ERR_OK)
		store_rollback(st);
	store_release(&st);
}
