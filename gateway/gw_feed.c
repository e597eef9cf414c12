#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "gateway/gw_int.h"
#include "lib/crypt/digest.h"

/* The follower: one thread that keeps keys and revocations up to date. */
#define PAGES_MAX 64	 /* in one round */
#define POKE_MS 20	 /* between rounds that were asked for */

void
feed_poke(struct fealty_gateway *g, bool jwks)
{
	pthread_mutex_lock(&g->feed_lock);
	g->poked = true;
	g->want_jwks |= jwks;
	pthread_cond_broadcast(&g->feed_cond);
	pthread_mutex_unlock(&g->feed_lock);
	if (g->follow != NULL)
		follow_wake(g->follow);
}

void
feed_want_identity_keys(struct fealty_gateway *g)
{
	pthread_mutex_lock(&g->feed_lock);
	g->want_identity_keys = true;
	pthread_mutex_unlock(&g->feed_lock);
}

static struct timespec
at(int64_t monotonic_ms)
{
	return ((struct timespec){
		.tv_sec = monotonic_ms / 1000,
		.tv_nsec = monotonic_ms % 1000 * 1000000,
	});
}

int
feed_wait(struct fealty_gateway *g, uint64_t rounds, int64_t deadline)
{
	struct timespec until = at(deadline);
	int more;

	pthread_mutex_lock(&g->feed_lock);
	while (g->rounds == rounds && !g->stopping &&
	    pthread_cond_timedwait(&g->feed_cond, &g->feed_lock, &until) == 0)
		;
	more = g->rounds != rounds && !g->stopping;
	pthread_mutex_unlock(&g->feed_lock);
	return (more);
}

void
gw_round_over(struct fealty_gateway *g)
{
	pthread_mutex_lock(&g->feed_lock);
	g->rounds++;
	pthread_cond_broadcast(&g->feed_cond);
	pthread_mutex_unlock(&g->feed_lock);
}

bool
gw_pause(struct fealty_gateway *g, int64_t until_ms)
{
	struct timespec until = at(until_ms);
	bool poked;

	pthread_mutex_lock(&g->feed_lock);
	while (!g->poked && !g->stopping &&
	    pthread_cond_timedwait(&g->feed_cond, &g->feed_lock, &until) == 0)
		;
	poked = g->poked;
	g->poked = false;
	pthread_mutex_unlock(&g->feed_lock);
	return (poked);
}

bool
gw_stopping(struct fealty_gateway *g)
{
	bool stop;

	pthread_mutex_lock(&g->feed_lock);
	stop = g->stopping;
	pthread_mutex_unlock(&g->feed_lock);
	return (stop);
}

static enum err
get(struct fealty_gateway *g, const char *path, struct buf *answer)
{
	struct problem why = {.err = ERR_OK};

	return (link_call(&g->link, "GET", path, NULL, answer, &why));
}

static enum err
jwks_fetch(struct fealty_gateway *g)
{
	struct buf answer = {.max = 1 << 20};
	struct jwks *fresh = NULL, *old;
	unsigned char digest[32];
	enum err e;

	e = get(g, "/.well-known/jwks.json", &answer);
	if (e == ERR_OK)
		e = jwks_parse(answer.p, answer.len, &fresh);
	if (e == ERR_OK)
		e = sha256(answer.p, answer.len, digest);
	if (e == ERR_OK) {
		pthread_rwlock_wrlock(&g->keys_lock);
		old = g->jwks;
		g->jwks = fresh;
		/* a key that is gone takes what it signed along */
		if (memcmp(digest, g->jwks_digest, sizeof(digest)) != 0)
			token_cache_clear(g->tokens);
		memcpy(g->jwks_digest, digest, sizeof(digest));
		fresh = old;
		pthread_rwlock_unlock(&g->keys_lock);
	}
	jwks_free(&fresh);
	buf_free(&answer);
	return (e);
}

/* One page. *more: the feed has another. */
static enum err
page(struct fealty_gateway *g, bool *more)
{
	struct revset *set = atomic_load(&g->set);
	uint64_t after = revset_position(set);
	struct buf answer = {.max = 1 << 20};
	struct feed_page p = {.n = 0};
	struct detail d = {""};
	char path[96];
	int64_t heard_us;
	enum err e;

	snprintf(path, sizeof(path), "/v1/revocations?after=%llu&limit=%d",
	    (unsigned long long)after, FEED_PAGE_MAX);
	e = get(g, path, &answer);
	if (e == ERR_OK)
		e = wire_feed_decode(answer.p, answer.len, &p, &d);
	buf_free(&answer);
	heard_us = gw_tick_us();
	if (e != ERR_OK)
		return (e);
	/* another authd may know better; a floor above all is a bad joke */
	if (p.head < after || p.floor > p.head) {
		link_next(&g->link);
		e = ERR_BACKWARDS;
	}
	if (e == ERR_OK && p.head > atomic_load(&g->head))
		atomic_store(&g->head, p.head);
	if (e == ERR_OK && after != 0 && p.floor > after)
		gw_below_floor(g, p.floor);
	if (e == ERR_OK)
		e = gw_apply(g, p.events, p.n);
	/* a short page is no end: only the head is, or nothing before it */
	*more = p.n > 0 && p.events[p.n - 1].pos < p.head;
	if (e == ERR_OK && !*more)
		revset_advance(set, p.head, p.floor);
	if (e == ERR_OK)
		gw_publish(g, heard_us);
	feed_page_free(&p);
	return (e);
}

static enum err
catch_up(struct fealty_gateway *g)
{
	bool more = true;
	int64_t asked;
	enum err e;

	for (int i = 0; more && i < PAGES_MAX; i++) {
		asked = gw_now(g);
		if ((e = page(g, &more)) != ERR_OK)
			return (e);
		/* known to be whole when it was asked for, not later */
		if (!more)
			atomic_store(&g->heard, asked);
	}
	revset_expire(atomic_load(&g->set), gw_wall_s(g));
	return (ERR_OK);
}

bool
gw_keys_due(bool wanted, int64_t tried, int64_t now, int64_t least)
{
	return (tried == 0 || now - tried >= KEYS_MAX_MS ||
	    (wanted && now - tried >= least));
}

void
gw_tell_touch(struct fealty_gateway *g, enum err e)
{
	if (e != ERR_OK && g->in_touch)
		gw_note(g, FEALTY_WARNING, "out of touch", e, NULL);
	if (e == ERR_OK && !g->in_touch)
		gw_note(g, FEALTY_INFO, "in touch", e, NULL);
	g->in_touch = e == ERR_OK;
}

static void
round_once(struct fealty_gateway *g)
{
	enum err e = ERR_OK, keys = ERR_OK, ids = ERR_OK;
	int64_t now = gw_tick();
	bool jwks, identity_keys;

	pthread_mutex_lock(&g->feed_lock);
	jwks = gw_keys_due(g->want_jwks, atomic_load(&g->jwks_tried), now,
	    KEYS_MIN_MS);
	identity_keys = gw_keys_due(g->want_identity_keys,
	    g->identity_keys_tried, now, IDENTITY_KEYS_MIN_MS);
	if (jwks)
		g->want_jwks = false;
	if (identity_keys)
		g->want_identity_keys = false;
	pthread_mutex_unlock(&g->feed_lock);
	if (identity_keys) {
		g->identity_keys_tried = now;
		ids = gw_fetch_identity_keys(g, &g->link);
	}
	if (atomic_load(&g->set) != NULL)
		e = catch_up(g);
	if (jwks) {
		keys = jwks_fetch(g);
		atomic_store(&g->jwks_tried, now);
	}
	if (e == ERR_OK)
		e = ids != ERR_OK ? ids : keys;
	gw_tell_touch(g, e);
}

/* What failed at the start is tried again each round, not in minutes. */
static void
retry_what_is_missing(struct fealty_gateway *g)
{
	if (atomic_load(&g->set) == NULL)
		g->identity_keys_tried = 0;
	if (g->jwks == NULL) /* written by this thread only */
		atomic_store(&g->jwks_tried, 0);
}

static void
pause_until(struct fealty_gateway *g, int64_t started)
{
	struct timespec soon = at(started + POKE_MS);
	struct timespec next = at(started + g->poll_ms);

	pthread_mutex_lock(&g->feed_lock);
	g->rounds++;
	pthread_cond_broadcast(&g->feed_cond);
	while (!g->poked && !g->stopping &&
	    pthread_cond_timedwait(&g->feed_cond, &g->feed_lock, &next) == 0)
		;
	while (!g->stopping &&
	    pthread_cond_timedwait(&g->feed_cond, &g->feed_lock, &soon) == 0)
		;
	g->poked = false;
	pthread_mutex_unlock(&g->feed_lock);
}

void *
feed_thread(void *gateway)
{
	struct fealty_gateway *g = gateway;
	int64_t started;

	g->in_touch = true; /* so that a failure at the start is told */
	while (!gw_stopping(g)) {
		started = gw_tick();
		round_once(g);
		retry_what_is_missing(g);
		gw_used_kick(g);
		pause_until(g, started);
		gw_end_stale(g);
	}
	return (NULL);
}
