#include "authd/core/receipts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A receipt on its way: judged, told to who waits, queued, kept. */
#define POSTS_MAX 8192
#define POSTS_OF_ONE 512 /* of one gateway: it has half as many instances */
#define TRIES 4
#define SILENT_S 3600 /* an instance may then give up its place */
/*
 * Gateways that hear of an event together answer together. Each batch costs
 * a commit and rewrites the event's row, while the last of them still wait to
 * hear of it: so they are gathered, until there is a pause.
 */
#define PAUSE_US INT64_C(1000)
#define GATHER_US INT64_C(20000) /* none waits longer */

/* ---- taking ---- */

static enum err
beyond_txn(struct txn *tx)
{
	const uint64_t *pos = tx->arg;
	uint64_t head = 0, floor = 0;
	enum err e;

	e = store_position(tx->st, &head, &floor);
	if (e != ERR_OK || *pos <= head)
		return e == ERR_OK ? ERR_AHEAD : e;
	detail_set(&tx->call->detail, "member position: beyond the head");
	return ERR_BACKWARDS;
}

/*
 * It may have heard of it through another, faster authd: that is worth the
 * wait, but only for a position that the database has. Who makes one up
 * must not hold a worker for it.
 */
static enum err
judge_ahead(struct core_call *call, const struct receipt *r)
{
	uint64_t pos = r->position;
	struct txn tx = {.call = call, .mode = STORE_READ,
	    .action = "receipt", .object_kind = "caller", .arg = &pos};
	enum err e;

	(void)snprintf(tx.object, sizeof(tx.object), "%s",
	    call->caller->name);
	(void)snprintf(tx.note, sizeof(tx.note), "position %llu",
	    (unsigned long long)pos);
	e = txn_run(&tx, beyond_txn);
	if (e != ERR_AHEAD)
		return e;
	follower_wait(call->core, call->tenant, pos, CORE_AHEAD_MS);
	return revset_position(call->tenant->revset) >= pos ? ERR_OK : e;
}

enum err
core_receipt_check(struct core_call *call, const struct receipt *r)
{
	const struct core_tenant *t = call->tenant;
	enum err e;

	e = call_check(call);
	if (e == ERR_OK && call->caller->role != ROLE_GATEWAY)
		e = ERR_ROLE;
	if (e == ERR_OK && !name_is_device_id(r->instance))
		e = ERR_NAME;
	if (e != ERR_OK || r->position <= revset_position(t->revset))
		return e;
	return call->may_block ? judge_ahead(call, r) : ERR_WOULD_BLOCK;
}

/* One gateway that says much must not keep the others from speaking. */
static int
is_room(const struct receipts *rs, const struct post *p)
{
	const struct post *q;
	unsigned n = 0;

	if (rs->nposts >= POSTS_MAX)
		return 0;
	if (rs->nposts < POSTS_OF_ONE)
		return 1;
	for (q = rs->first; q != NULL; q = q->next)
		n += q->tenant == p->tenant &&
		    q->add.caller == p->add.caller;
	return n < POSTS_OF_ONE;
}

int64_t
receipts_due_us(const struct receipts *rs)
{
	int64_t pause = rs->last->arrived_us + PAUSE_US;
	int64_t gathered = rs->first->arrived_us + GATHER_US;

	if (rs->stop || rs->nposts >= RECEIPT_BATCH_MAX)
		return 0;
	return pause < gathered ? pause : gathered;
}

/* Tells those who wait for it; 1: one of them has waited long enough. */
static int
tell_watches(struct receipts *rs, const struct post *p)
{
	struct receipt_watch *w;
	int over = 0;

	for (w = rs->watches; w != NULL; w = w->next) {
		if (w->tenant != p->tenant)
			continue;
		watch_hear(w, p->add.caller, &p->add.r, p->arrived_us);
		over |= core_watch_complete(w);
	}
	return over;
}

void
receipts_catch_up(const struct receipts *rs, struct receipt_watch *w)
{
	const struct post *p;

	for (p = rs->first; p != NULL; p = p->next)
		if (p->tenant == w->tenant)
			watch_hear(w, p->add.caller, &p->add.r,
			    p->arrived_us);
}

static enum err
enqueue(struct receipts *rs, struct post *p)
{
	enum err e = ERR_OK;
	int over;

	(void)pthread_mutex_lock(&rs->lock);
	if (rs->stop)
		e = ERR_NOT_READY;
	else if (!is_room(rs, p))
		e = ERR_BUSY;
	if (e == ERR_OK) {
		over = tell_watches(rs, p);
		if (rs->last != NULL)
			rs->last->next = p;
		else
			rs->first = p;
		rs->last = p;
		rs->nposts++;
		/* The thread looks by itself for what is gathered. */
		if (over || rs->nposts == 1 ||
		    rs->nposts == RECEIPT_BATCH_MAX)
			(void)pthread_cond_signal(&rs->wake);
	}
	(void)pthread_mutex_unlock(&rs->lock);
	return e;
}

enum err
core_receipt_take(struct core_call *call, const struct receipt *r,
    core_done *done, void *arg)
{
	struct post *p = calloc(1, sizeof(*p));
	enum err e;

	if (p == NULL)
		return ERR_NOMEM;
	p->tenant = call->tenant->number;
	memcpy(p->gateway, call->caller->name, sizeof(name_t));
	memcpy(p->request_id, call->request_id, sizeof(p->request_id));
	p->add.caller = call->caller->number;
	p->add.r = *r;
	p->arrived_us = receipt_now_us();
	p->done = done;
	p->arg = arg;
	e = enqueue(call->core->receipts, p);
	if (e != ERR_OK)
		free(p);
	return e;
}

/* ---- keeping ---- */

static int
is_in(struct post *const *batch, size_t n, const struct post *p)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (batch[i]->add.caller == p->add.caller &&
		    strcmp(batch[i]->add.r.instance,
			p->add.r.instance) == 0)
			return 1;
	return 0;
}

size_t
receipts_batch(struct receipts *rs, struct post **batch)
{
	struct post **at = &rs->first, *p, *kept = NULL;
	size_t n = 0;

	while ((p = *at) != NULL && n < RECEIPT_BATCH_MAX) {
		if ((n > 0 && p->tenant != batch[0]->tenant) ||
		    is_in(batch, n, p)) {
			kept = p;
			at = &p->next;
			continue;
		}
		*at = p->next;
		if (rs->last == p)
			rs->last = kept;
		p->next = NULL;
		rs->nposts--;
		batch[n++] = p;
	}
	return n;
}

/* What this gateway calls its instances is on record from the first on. */
static enum err
audit_first(struct store *st, const struct post *p)
{
	struct audit a = {.caller = p->add.caller,
	    .action = "gateway.instance", .object_kind = "caller",
	    .outcome = "ok"};

	if (!p->add.first)
		return ERR_OK;
	(void)snprintf(a.object, sizeof(a.object), "%s", p->gateway);
	(void)snprintf(a.request_id, sizeof(a.request_id), "%s",
	    p->request_id);
	(void)snprintf(a.detail, sizeof(a.detail), "instance %s",
	    p->add.r.instance);
	return audit_write(st, &a);
}

struct writing {
	struct post **batch;
	size_t n;
	struct receipt_add *rows;
};

static enum err
write_batch(struct store *st, const struct writing *w)
{
	int64_t now = receipt_now_us();
	enum err e;
	size_t i;

	for (i = 0; i < w->n; i++) {
		w->rows[i] = w->batch[i]->add;
		w->rows[i].age_us = now - w->batch[i]->arrived_us;
	}
	e = store_begin(st, w->batch[0]->tenant, STORE_WRITE);
	if (e != ERR_OK)
		return e;
	e = store_receipts_add(st, w->rows, w->n);
	for (i = 0; i < w->n && e == ERR_OK; i++) {
		w->batch[i]->add.first = w->rows[i].first;
		w->batch[i]->add.refused = w->rows[i].refused;
		e = audit_first(st, w->batch[i]);
	}
	/* Whoever was refused may find room when he comes again. */
	for (i = 0; i < w->n && e == ERR_OK; i++)
		if (w->rows[i].refused)
			e = store_instances_forget(st,
			    w->rows[i].caller, SILENT_S);
	if (e == ERR_OK)
		e = store_commit(st);
	if (e != ERR_OK)
		store_rollback(st);
	return e;
}

void
receipts_keep(struct core *c, struct post **batch, size_t n)
{
	struct receipts *rs = c->receipts;
	struct writing w = {.batch = batch, .n = n};
	enum err e = ERR_CONFLICT;
	size_t i;
	int t;

	w.rows = calloc(n, sizeof(*w.rows));
	if (w.rows == NULL)
		e = ERR_NOMEM;
	for (t = 0; t < TRIES && e == ERR_CONFLICT; t++) {
		e = receipts_session(c);
		if (e == ERR_OK)
			e = write_batch(rs->st, &w);
	}
	if (e != ERR_OK)
		store_release(&rs->st);
	for (i = 0; i < n; i++) {
		batch[i]->done(batch[i]->arg, e != ERR_OK ? e :
		    batch[i]->add.refused ? ERR_RATE : ERR_OK);
		free(batch[i]);
	}
	free(w.rows);
}
