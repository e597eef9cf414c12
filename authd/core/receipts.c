#include "authd/core/receipts.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/*
 * Receipts, as they come in. No thread of a request waits here: a receipt is
 * told to who waits for its event at once, from memory, and queued. One
 * thread writes the queue, all there is of a tenant in one round trip and
 * one commit, and looks for receipts that other processes got.
 */
#define WATCHES_MAX 64
#define WATCHES_OF_ONE 48 /* of one tenant: the others wait as well */
#define POLL_US INT64_C(25000)	    /* for the first second, then */
#define POLL_LATER_US INT64_C(200000)
#define POLL_SHARE 10 /* so many times what the last look took, at least */
#define RETRY_US INT64_C(200000)    /* after the database did not answer */

/* ---- waiting ---- */

enum err
receipts_session(struct core *c)
{
	struct receipts *rs = c->receipts;

	return rs->st != NULL ? ERR_OK :
	    store_acquire(c->pool, CORE_ACQUIRE_MS, &rs->st);
}

static int
is_room(const struct receipts *rs, uint32_t tenant)
{
	const struct receipt_watch *w;
	unsigned n = 0;

	for (w = rs->watches; w != NULL; w = w->next)
		n += w->tenant == tenant;
	return n < WATCHES_OF_ONE && rs->nwatches < WATCHES_MAX;
}

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
	w->poll_us = w->begun_us; /* what was kept since it was read */
	(void)pthread_mutex_lock(&rs->lock);
	if (rs->stop)
		e = ERR_NOT_READY;
	else if (!is_room(rs, w->tenant))
		e = ERR_BUSY;
	if (e == ERR_OK) {
		receipts_catch_up(rs, w);
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

	e = receipts_session(c);
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
	int64_t begun_us = receipt_now_us(), now_us, pause_us;
	enum err e;

	e = read_news(c, w->tenant, w->pos, &news);
	now_us = receipt_now_us();
	(void)pthread_mutex_lock(&rs->lock);
	if (e == ERR_OK)
		e = watch_merge(w, &news);
	pause_us = e != ERR_OK ? RETRY_US :
	    now_us - w->begun_us < 1000000 ? POLL_US : POLL_LATER_US;
	/* Many gateways make a long look; it must not slow them down. */
	if (pause_us < POLL_SHARE * (now_us - begun_us))
		pause_us = POLL_SHARE * (now_us - begun_us);
	w->poll_us = now_us + pause_us;
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
	if (rs->first != NULL && receipts_due_us(rs) < until)
		until = receipts_due_us(rs);
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
	if (over == NULL && rs->first != NULL &&
	    now_us >= receipts_due_us(rs))
		n = receipts_batch(rs, batch);
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
		receipts_keep(c, batch, n);
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
