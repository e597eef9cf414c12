#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "gateway/gw_int.h"
#include "lib/base/b64url.h"
#include "lib/crypt/digest.h"
#include "lib/wire/receipt.h"

/*
 * Receipts, on a thread of their own: the follower never waits for one. Only
 * the newest position matters, so what cannot be sent is not queued but
 * becomes part of the next.
 */
#define AGAIN_MS 50
#define AGAIN_MAX_MS 5000
#define STILL_HERE_MS 20000 /* an instance not heard of is forgotten in 60 s */
#define REFUSED_MS 30000

struct due {
	uint64_t pos;
	uint64_t closed;
	int64_t took_us;
};
struct receipts {
	struct fealty_gateway *g;
	struct link link;
	pthread_t thread;
	bool started;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	struct due due;
	uint64_t sent; /* position of the last one that arrived */
	uint64_t ahead; /* one that the authority did not know; 0: none */
	bool sessions, stopping;
	name_t instance;
	unsigned seed;
};

static void
wait_until(struct receipts *r, int64_t until_ms)
{
	struct timespec at = {
		.tv_sec = until_ms / 1000,
		.tv_nsec = until_ms % 1000 * 1000000,
	};

	(void)pthread_cond_timedwait(&r->cond, &r->lock, &at);
}

/* Waits for something to say; false: stop. */
static bool
take(struct receipts *r, int64_t not_before, int64_t latest,
    struct due *out, bool *sessions)
{
	int64_t now;
	bool more;

	pthread_mutex_lock(&r->lock);
	while (!r->stopping) {
		now = gw_tick();
		if (r->ahead != 0 && r->due.pos > r->ahead)
			break; /* what it has said since, it knows */
		if (now >= not_before && r->due.pos != 0 &&
		    (r->due.pos > r->sent || now >= latest))
			break;
		wait_until(r, now < not_before ? not_before :
		    now < latest ? latest : now + STILL_HERE_MS);
	}
	*out = r->due;
	*sessions = r->sessions;
	r->due.closed = 0;
	r->due.took_us = 0;
	more = !r->stopping;
	pthread_mutex_unlock(&r->lock);
	return (more);
}

static void
merge(struct due *into, const struct due *from)
{
	if (from->pos > into->pos)
		into->pos = from->pos;
	into->closed += from->closed;
	if (from->took_us > into->took_us)
		into->took_us = from->took_us;
}

static enum err
post(struct receipts *r, const struct due *what, bool sessions)
{
	struct buf body = {.max = 512}, answer = {.max = 1024};
	struct receipt told = {.position = what->pos, .sessions = sessions,
	    .closed = what->closed, .took_us = (uint64_t)what->took_us};
	struct problem why = {.err = ERR_OK};
	enum err e;

	memcpy(told.instance, r->instance, sizeof(told.instance));
	e = wire_receipt_encode(&told, &body);
	if (e == ERR_OK)
		e = link_call(&r->link, "POST", "/v1/receipts", &body,
		    &answer, &why);
	buf_free(&body);
	buf_free(&answer);
	return (e);
}

static int64_t
pause_after(struct receipts *r, enum err e, unsigned failures)
{
	int64_t step = AGAIN_MS << (failures < 7 ? failures : 7);

	/* it has lost events, and may have them back at any moment */
	if (!err_retryable(e) && e != ERR_BACKWARDS)
		return (REFUSED_MS);
	if (step > AGAIN_MAX_MS)
		step = AGAIN_MAX_MS;
	return (step / 2 + rand_r(&r->seed) % step);
}

static void *
run(void *arg)
{
	int64_t not_before = 0, latest = 0;
	struct receipts *r = arg;
	struct due what;
	unsigned failures = 0;
	bool sessions;
	enum err e;

	while (take(r, not_before, latest, &what, &sessions)) {
		e = post(r, &what, sessions);
		pthread_mutex_lock(&r->lock);
		r->ahead = e == ERR_BACKWARDS ? what.pos : 0;
		if (e == ERR_OK)
			r->sent = what.pos;
		else
			merge(&r->due, &what);
		pthread_mutex_unlock(&r->lock);
		latest = gw_tick() + STILL_HERE_MS;
		if (e == ERR_OK) {
			failures = 0;
			not_before = 0;
			continue;
		}
		if (failures == 0)
			gw_note(r->g, FEALTY_WARNING, "receipt not sent", e,
			    NULL);
		not_before = gw_tick() + pause_after(r, e, failures++);
	}
	return (NULL);
}

static enum err
name_instance(struct receipts *r, const char *instance)
{
	unsigned char octets[12];
	enum err e;

	if (instance != NULL) {
		if (!name_is_order(instance))
			return (ERR_NAME);
		memcpy(r->instance, instance, strlen(instance) + 1);
		return (ERR_OK);
	}
	if ((e = random_bytes(octets, sizeof(octets))) == ERR_OK)
		hex_encode(octets, sizeof(octets), r->instance);
	return (e);
}

enum err
receipts_new(struct fealty_gateway *g, const struct link_conf *conf,
    const char *instance, struct receipts **out)
{
	pthread_condattr_t ca;
	struct receipts *r;
	enum err e;

	if ((r = calloc(1, sizeof(*r))) == NULL)
		return (ERR_NOMEM);
	r->g = g;
	r->seed = (unsigned)gw_tick_us() ^ (unsigned)(uintptr_t)r;
	pthread_mutex_init(&r->lock, NULL);
	pthread_condattr_init(&ca);
	pthread_condattr_setclock(&ca, CLOCK_MONOTONIC);
	pthread_cond_init(&r->cond, &ca);
	pthread_condattr_destroy(&ca);
	e = name_instance(r, instance);
	if (e == ERR_OK)
		e = link_open(&r->link, conf);
	if (e == ERR_OK && pthread_create(&r->thread, NULL, run, r) != 0)
		e = ERR_NOMEM;
	r->started = e == ERR_OK;
	*out = r;
	if (e != ERR_OK)
		receipts_free(out);
	return (e);
}

void
receipts_stop(struct receipts *r)
{
	pthread_mutex_lock(&r->lock);
	r->stopping = true;
	pthread_cond_broadcast(&r->cond);
	pthread_mutex_unlock(&r->lock);
	if (r->started)
		pthread_join(r->thread, NULL);
	r->started = false;
	link_close(&r->link);
}

void
receipts_free(struct receipts **rp)
{
	struct receipts *r = *rp;

	if (r == NULL)
		return;
	receipts_stop(r);
	pthread_cond_destroy(&r->cond);
	pthread_mutex_destroy(&r->lock);
	free(r);
	*rp = NULL;
}

void
receipts_note(struct receipts *r, uint64_t pos, uint32_t closed,
    int64_t took_us)
{
	const struct due more = {pos, closed, took_us};

	pthread_mutex_lock(&r->lock);
	merge(&r->due, &more);
	pthread_cond_signal(&r->cond);
	pthread_mutex_unlock(&r->lock);
}

void
receipts_have_sessions(struct receipts *r)
{
	pthread_mutex_lock(&r->lock);
	r->sessions = true;
	pthread_mutex_unlock(&r->lock);
}
