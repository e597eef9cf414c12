#include "authd/core/core_internal.h"

#include <stdlib.h>

struct feeding {
	uint64_t after;
	uint32_t limit;
	struct event *rows;
	size_t n;
	uint64_t head, floor;
};

static enum err
feed_txn(struct txn *tx)
{
	struct feeding *f = tx->arg;
	enum err e;

	e = store_position(tx->st, &f->head, &f->floor);
	if (e == ERR_OK && f->after > f->head)
		return ERR_BACKWARDS;
	if (e == ERR_OK)
		e = store_event_list(tx->st, f->after, f->limit, f->rows,
		    &f->n);
	/* What one signed message can carry; the reader asks again. */
	if (e == ERR_OK && f->n > 0)
		f->n = feed_run_length(f->rows, f->n);
	return e;
}

enum err
core_feed(struct core_call *call, uint64_t after, uint32_t limit,
    struct event *rows, size_t *n, uint64_t *head, uint64_t *floor)
{
	const struct revset *set = call->tenant->revset;
	struct feeding f = {.after = after, .limit = limit, .rows = rows};
	struct txn tx = {.call = call, .mode = STORE_READ, .arg = &f};
	enum err e;

	if (limit < 1 || limit > CORE_LIST_MAX)
		return ERR_REQUEST;
	e = call_check(call);
	if (e == ERR_OK) /* who is answered takes it for fresh */
		e = tenant_ready(call->core, call->tenant);
	if (e != ERR_OK)
		return e;
	/* Nothing new for most who ask: memory knows that. */
	if (after == revset_position(set)) {
		*n = 0;
		*head = after;
		*floor = revset_floor(set);
		return ERR_OK;
	}
	e = txn_run(&tx, feed_txn);
	if (e == ERR_OK) {
		*n = f.n;
		*head = f.head;
		*floor = f.floor;
	}
	return e;
}

/* ---- the snapshot ---- */

struct snapping {
	enum err (*part)(void *, const struct buf *);
	void *arg;
	uint64_t head, floor, count;
	struct event *rows;
};

static enum err
sign_part(struct txn *tx, struct snapping *s, const struct snapshot_part *p)
{
	struct core_tenant *t = tenant_writable(tx->call->tenant);
	struct buf b = {.max = SET_MAX};
	enum err e;

	(void)pthread_rwlock_rdlock(&t->keys_lock);
	e = snapshot_sign(t->keys->feed, t->issuer,
	    clock_wall_s(tx->call->core->clock), p, &b);
	(void)pthread_rwlock_unlock(&t->keys_lock);
	if (e == ERR_OK)
		e = s->part(s->arg, &b);
	buf_free(&b);
	return e;
}

/* Counts first: a part says how many there are. */
static enum err
walk(struct txn *tx, struct snapping *s, uint32_t parts)
{
	struct snapshot_part p = {.head = s->head, .floor = s->floor,
	    .parts = parts, .events = s->rows, .n = SET_EVENTS_MAX};
	uint64_t after = 0;
	enum err e = ERR_OK;

	s->count = 0;
	do {
		e = store_event_snapshot(tx->st, after, s->floor,
		    SET_EVENTS_MAX, s->rows, &p.n);
		if (e != ERR_OK || (p.n == 0 && s->count > 0))
			break;
		s->count++;
		p.part = (uint32_t)s->count;
		if (p.n > 0)
			after = s->rows[p.n - 1].pos;
		if (parts != 0)
			e = sign_part(tx, s, &p);
	} while (e == ERR_OK && p.n == SET_EVENTS_MAX);
	return e;
}

static enum err
snapshot_txn(struct txn *tx)
{
	struct snapping *s = tx->arg;
	enum err e;

	e = store_position(tx->st, &s->head, &s->floor);
	if (e == ERR_OK)
		e = walk(tx, s, 0);
	if (e == ERR_OK && s->count > UINT32_MAX)
		e = ERR_TOO_LARGE;
	return e == ERR_OK ? walk(tx, s, (uint32_t)s->count) : e;
}

/* One database snapshot, so it is run once: part is not called twice. */
enum err
core_snapshot(struct core_call *call,
    enum err (*part)(void *arg, const struct buf *jws), void *arg,
    uint64_t *head, uint64_t *floor)
{
	struct snapping s = {.part = part, .arg = arg};
	struct txn tx = {.call = call, .mode = STORE_READ, .arg = &s};
	enum err e;

	e = call_check(call);
	if (e == ERR_OK)
		e = tenant_ready(call->core, call->tenant);
	if (e != ERR_OK)
		return e;
	s.rows = calloc(SET_EVENTS_MAX, sizeof(*s.rows));
	if (s.rows == NULL)
		return ERR_NOMEM;
	e = txn_run(&tx, snapshot_txn);
	free(s.rows);
	if (e == ERR_OK) {
		*head = s.head;
		*floor = s.floor;
	}
	return e;
}
