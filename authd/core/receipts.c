#include "authd/core/receipts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/base/log.h"

/*
 * Receipts, as they come in. No thread of a request waits here: a receipt is
 * told to who waits for its event at once, from memory, and queued. One
 * thread writes the queue, all there is of a tenant in one round trip and
 * one commit, and looks for receipts that other processes got.
 */
#define POSTS_MAX 8192
#define WATCHES_MAX 64
#define COMMITS 256	    /* remembered */
#define TRIES 4
#define SILENT_S 3600	    /* an instance may then give up its place */
#define POLL_US INT64_C(25000)	    /* for the first second, then */
#define POLL_LATER_US INT64_C(200000)
#define RETRY_US INT64_C(200000)    /* after the database did not answer */

struct post {
	struct post *next;
	uint32_t tenant;
	name_t gateway;
	char request_id[33];
	struct receipt_add add;
	int64_t arrived_us;
	enum err e;
	core_done *done;
	void *arg;
};
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

/* ---- taking ---- */

static enum err
beyond_txn(struct txn *tx)
{
	detail_set(&tx->call->detail, "member position: beyond the head");
	return ERR_BACKWARDS;
}

enum err
core_receipt_check(struct core_call *call, const struct receipt *r)
{
	struct txn tx = {.call = call, .mode = STORE_READ,
	    .action = "receipt", .object_kind = "caller"};
	const struct core_tenant *t = call->tenant;
	enum err e;

	e = call_check(call);
	if (e == ERR_OK && call->caller->role != ROLE_GATEWAY)
		e = ERR_ROLE;
	if (e == ERR_OK && !name_is_device_id(r->instance))
		e = ERR_NAME;
	if (e != ERR_OK || r->position <= revset_position(t->revset))
		return e;
	if (!call->may_block)
		return ERR_WOULD_BLOCK;
	/* It may have heard of it through another, faster authd. */
	follower_wait(call->core, t, r->position, CORE_AHEAD_MS);
	if (r->position <= revset_position(t->revset))
		return ERR_OK;
	(void)snprintf(tx.object, sizeof(tx.object), "%s",
	    call->caller->name);
	(void)snprintf(tx.note, sizeof(tx.note), "position %llu",
	    (unsigned long long)r->position);
	return txn_run(&tx, beyond_txn);
}

static enum err
enqueue(struct receipts *rs, struct post *p)
{
	struct receipt_watch *w;
	enum err e = ERR_OK;

	(void)pthread_mutex_lock(&rs->lock);
	if (rs->stop)
		e = ERR_NOT_READY;
	else if (rs->nposts >= POSTS_MAX)
		e = ERR_BUSY;
	if (e == ERR_OK) {
		for (w = rs->watches; w != NULL; w = w->next)
			if (w->tenant == p->tenant)
				watch_hear(w, p->add.caller, &p->add.r,
				    p->arrived_us);
		if (rs->last != NULL)
			rs->last->next = p;
		else
			rs->first = p;
		rs->last = p;
		rs->nposts++;
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

/* The oldest and others of its tenant, each instance once. Lock held. */
static size_t
take_batch(struct receipts *rs, struct post **batch)
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
	return store_audit_append(st, &a);
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

static enum err
session(struct core *c)
{
	struct receipts *rs = c->receipts;

	return rs->st != NULL ? ERR_OK :
	    store_acquire(c->pool, CORE_ACQUIRE_MS, &rs->st);
}

static void
keep(struct core *c, struct post **batch, size_t n)
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
		e = session(c);
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

/* ---- waiting ---- */

enum err
core_watch_wait(struct core *c, struct receipt_watch *w, uint32_t ms,
    core_wake *wake, void *arg)
{
	struct receipts *rs = c->receipts;
	enum err e = ERR_OK;

	w->wake = wake;
	w->arg = arg;
	w->begun_us = receipt_now_us();
	w->deadline_us = w->begun_us + (int64_t)ms * 1000;
	w->poll_us = w->begun_us; /* what came since it was read */
	(void)pthread_mutex_lock(&rs->lock);
	if (rs->stop)
		e = ERR_NOT_READY;
	else if (rs->nwatches >= WATCHES_MAX)
		e = ERR_BUSY;
	if (e == ERR_OK) {
		w->next = rs->watches;
		rs->watches = w;
		rs->nwatches++;
		(void)pthread_cond_signal(&rs->wake);
	}
	(void)pthread_mutex_unlock(&rs->lock);
	return e;
}

/* Takes one whose wait is over; NULL: none. Lock held. */
static struct receipt_watch *
take_over(struct receipts *rs, int64_t now_us)
{
	struct receipt_watch **at, *w;

	for (at = &rs->watches; (w = *at) != NULL; at = &w->next) {
		if (!rs->stop && !core_watch_complete(w) &&
		    now_us < w->deadline_us)
			continue;
		*at = w->next;
		w->next = NULL;
		rs->nwatches--;
		return w;
	}
	return NULL;
}

static struct receipt_watch *
due_poll(struct receipts *rs, int64_t now_us)
{
	struct receipt_watch *w;

	for (w = rs->watches; w != NULL; w = w->next)
		if (now_us >= w->poll_us)
			return w;
	return NULL;
}

static enum err
read_news(struct core *c, uint32_t tenant, uint64_t pos,
    struct watch_news *news)
{
	struct store *st;
	enum err e;

	e = session(c);
	if (e != ERR_OK)
		return e;
	st = c->receipts->st;
	e = store_begin(st, tenant, STORE_READ);
	if (e == ERR_OK)
		e = watch_read(st, pos, news);
	if (e == ERR_OK && (e = store_commit(st)) != ERR_OK)
		watch_news_free(news);
	if (e != ERR_OK)
		store_release(&c->receipts->st);
	return e;
}

/* Only this thread removes from the list: w stays while it reads. */
static void
poll_one(struct core *c, struct receipt_watch *w)
{
	struct receipts *rs = c->receipts;
	struct watch_news news = {NULL, NULL, 0, 0};
	int64_t now_us;
	enum err e;

	e = read_news(c, w->tenant, w->pos, &news);
	now_us = receipt_now_us();
	(void)pthread_mutex_lock(&rs->lock);
	if (e == ERR_OK)
		e = watch_merge(w, &news);
	if (e != ERR_OK)
		w->poll_us = now_us + RETRY_US;
	else
		w->poll_us = now_us + (now_us - w->begun_us < 1000000 ?
		    POLL_US : POLL_LATER_US);
	(void)pthread_mutex_unlock(&rs->lock);
	watch_news_free(&news);
}

/* ---- the thread ---- */

/* Until something is due; lock held. */
static void
rest(struct receipts *rs, int64_t now_us)
{
	int64_t until = now_us + 1000000;
	struct receipt_watch *w;
	struct timespec ts;

	for (w = rs->watches; w != NULL; w = w->next) {
		if (w->poll_us < until)
			until = w->poll_us;
		if (w->deadline_us < until)
			until = w->deadline_us;
	}
	ts.tv_sec = until / 1000000;
	ts.tv_nsec = until % 1000000 * 1000;
	(void)pthread_cond_timedwait(&rs->wake, &rs->lock, &ts);
}

/* One step; 0: stopped, and nothing is left. Lock held, but given up. */
static int
step(struct core *c, struct post **batch)
{
	struct receipts *rs = c->receipts;
	int64_t now_us = receipt_now_us();
	struct receipt_watch *over, *poll = NULL;
	size_t n = 0;

	over = take_over(rs, now_us);
	if (over == NULL)
		n = take_batch(rs, batch);
	if (over == NULL && n == 0)
		poll = due_poll(rs, now_us);
	if (over == NULL && n == 0 && poll == NULL) {
		if (rs->stop)
			return 0;
		rest(rs, now_us);
		return 1;
	}
	(void)pthread_mutex_unlock(&rs->lock);
	if (over != NULL)
		over->wake(over->arg);
	else if (n > 0)
		keep(c, batch, n);
	else
		poll_one(c, poll);
	(void)pthread_mutex_lock(&rs->lock);
	return 1;
}

static void *
receipts_main(void *arg)
{
	struct post *batch[RECEIPT_BATCH_MAX];
	struct core *c = arg;

	(void)pthread_mutex_lock(&c->receipts->lock);
	while (step(c, batch))
		continue;
	(void)pthread_mutex_unlock(&c->receipts->lock);
	store_release(&c->receipts->st);
	return NULL;
}

enum err
receipts_start(struct core *c)
{
	struct receipts *rs = calloc(1, sizeof(*rs));
	pthread_condattr_t attr;

	if (rs == NULL || pthread_condattr_init(&attr) != 0) {
		free(rs);
		return ERR_NOMEM;
	}
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&rs->wake, &attr);
	(void)pthread_mutex_init(&rs->lock, NULL);
	(void)pthread_condattr_destroy(&attr);
	c->receipts = rs;
	if (pthread_create(&rs->thread, NULL, receipts_main, c) != 0)
		return ERR_NOMEM;
	rs->started = 1;
	return ERR_OK;
}

void
core_receipts_stop(struct core *c)
{
	struct receipts *rs = c->receipts;
	int join;

	if (rs == NULL)
		return;
	(void)pthread_mutex_lock(&rs->lock);
	rs->stop = 1;
	join = rs->started;
	rs->started = 0;
	(void)pthread_cond_signal(&rs->wake);
	(void)pthread_mutex_unlock(&rs->lock);
	if (join)
		(void)pthread_join(rs->thread, NULL);
}

void
receipts_free(struct core *c)
{
	struct receipts *rs = c->receipts;

	if (rs == NULL)
		return;
	core_receipts_stop(c);
	(void)pthread_cond_destroy(&rs->wake);
	(void)pthread_mutex_destroy(&rs->lock);
	free(rs);
	c->receipts = NULL;
}

/* ---- an event and who has to enforce it ---- */

void
receipts_committed(struct core *c, uint32_t tenant, uint64_t pos)
{
	struct receipts *rs = c->receipts;

	if (rs == NULL) /* still opening */
		return;
	(void)pthread_mutex_lock(&rs->lock);
	rs->commit[rs->turn++ % COMMITS] = (struct committed){tenant, pos,
	    receipt_now_us()};
	(void)pthread_mutex_unlock(&rs->lock);
}

static int64_t
committed_here(struct receipts *rs, uint32_t tenant, uint64_t pos)
{
	int64_t us = 0;
	unsigned i;

	(void)pthread_mutex_lock(&rs->lock);
	for (i = 0; i < COMMITS; i++)
		if (rs->commit[i].tenant == tenant &&
		    rs->commit[i].pos == pos)
			us = rs->commit[i].us;
	(void)pthread_mutex_unlock(&rs->lock);
	return us;
}

static enum err
load_txn(struct txn *tx)
{
	return watch_load(tx->arg, tx->st);
}

enum err
core_receipts(struct core_call *call, uint64_t pos,
    struct receipt_watch **out)
{
	struct receipt_watch *w = calloc(1, sizeof(*w));
	struct txn tx = {.call = call, .mode = STORE_READ, .arg = w};
	enum err e;

	if (w == NULL)
		return ERR_NOMEM;
	w->tenant = call->tenant->number;
	w->pos = pos;
	w->token_life = (int64_t)call->core->token_life;
	w->committed_us = committed_here(call->core->receipts, w->tenant,
	    pos);
	e = txn_run(&tx, load_txn);
	if (e == ERR_NOT_FOUND)
		detail_set(&call->detail, "no event has this position");
	if (e == ERR_OK)
		*out = w;
	else
		core_watch_free(&w);
	return e;
}
