#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "gateway/gw_int.h"
#include "lib/crypt/digest.h"

/* The follower: one thread that keeps keys and revocations up to date. */
#define PAGES_MAX 64	 /* in one round */
#define SINGLES_MAX 64	 /* device events swept one by one */
#define POKE_MS 20	 /* between rounds that were asked for */

void
feed_poke(struct fealty_gateway *g, bool jwks)
{
	pthread_mutex_lock(&g->feed_lock);
	g->poked = true;
	g->want_jwks |= jwks;
	pthread_cond_broadcast(&g->feed_cond);
	pthread_mutex_unlock(&g->feed_lock);
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

static enum err
get(struct fealty_gateway *g, const char *path, struct buf *answer)
{
	struct problem why = {.err = ERR_OK};

	return (link_call(&g->link, "GET", path, NULL, answer, &why));
}

static enum err
adopt_tenant(struct fealty_gateway *g, uint32_t tenant)
{
	struct revset *set;
	enum err e;

	if (atomic_load(&g->set) != NULL)
		return (atomic_load(&g->tenant) == tenant ? ERR_OK :
		    ERR_CONFIG);
	if ((e = revset_new(tenant, &set)) != ERR_OK)
		return (e);
	atomic_store(&g->tenant, tenant);
	atomic_store(&g->set, set);
	return (ERR_OK);
}

static enum err
identity_keys_fetch(struct fealty_gateway *g)
{
	struct identity_keys keys;
	struct buf answer = {.max = 65536};
	struct detail d = {""};
	char path[128];
	enum err e;

	snprintf(path, sizeof(path), "/v1/audiences/%s/identity-keys",
	    g->audience);
	e = get(g, path, &answer);
	if (e == ERR_OK)
		e = wire_identity_keys_decode(answer.p, answer.len, &keys,
		    &d);
	if (e == ERR_OK && strcmp(keys.audience, g->audience) != 0)
		e = ERR_CONFIG;
	if (e == ERR_OK && (e = adopt_tenant(g, keys.tenant)) == ERR_OK)
		gw_ident_set(g->ident, &keys);
	wipe(&keys, sizeof(keys));
	buf_free(&answer);
	return (e);
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

/*
 * A block names a number; what the authority calls it, and whether it is a
 * suspension or a revocation, is asked for the log's sake and afterwards.
 */
static void
remember(struct fealty_gateway *g, const struct event *ev)
{
	struct gw_psk known;

	if (ev->kind != EV_DEVICE ||
	    !gw_cache_known(g->cache, event_number(ev), &known))
		return;
	gw_why_put(g->why, known.answer.dn, ev->pos, known.answer.device_id,
	    ERR_OK);
	if (ev->effect == EFFECT_BLOCK)
		fetch_reason(g, &known, ev->pos);
	gw_psk_wipe(&known);
}

/* Set first, then what was built on it, then the position is public. */
static enum err
apply(struct fealty_gateway *g, const struct event *ev, size_t n)
{
	struct revset *set = atomic_load(&g->set);
	bool single = n <= SINGLES_MAX;
	enum err e;

	if (n == 0)
		return (ERR_OK);
	if ((e = revset_apply(set, ev, n)) != ERR_OK)
		return (e);
	for (size_t i = 0; i < n; i++) {
		remember(g, &ev[i]);
		single = single && ev[i].kind == EV_DEVICE;
	}
	for (size_t i = 0; single && i < n; i++) {
		gw_cache_purge(g->cache, set, event_number(&ev[i]));
		gw_sessions_cut(g, event_number(&ev[i]), false);
	}
	if (!single) {
		gw_cache_purge(g->cache, set, 0);
		gw_sessions_cut(g, 0, false);
	}
	return (ERR_OK);
}

/* What lies below the floor was pruned: nothing older can be trusted. */
static void
below_floor(struct fealty_gateway *g, uint64_t floor)
{
	struct revset *set = atomic_load(&g->set);

	revset_advance(set, revset_position(set), floor);
	gw_cache_clear(g->cache);
	gw_sessions_cut(g, 0, true);
	token_cache_clear(g->tokens);
	gw_note(g, FEALTY_WARNING, "fell below the floor", ERR_TOKEN_FLOOR,
	    "every key and session from before was dropped");
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
	enum err e;

	snprintf(path, sizeof(path), "/v1/revocations?after=%llu&limit=%d",
	    (unsigned long long)after, FEED_PAGE_MAX);
	e = get(g, path, &answer);
	if (e == ERR_OK)
		e = wire_feed_decode(answer.p, answer.len, &p, &d);
	buf_free(&answer);
	if (e != ERR_OK)
		return (e);
	/* another authd may know better; a floor above all is a bad joke */
	if (p.head < after || p.floor > p.head) {
		link_next(&g->link);
		e = ERR_BACKWARDS;
	}
	if (e == ERR_OK && after != 0 && p.floor > after)
		below_floor(g, p.floor);
	if (e == ERR_OK)
		e = apply(g, p.events, p.n);
	/* a short page is no end: only the head is, or nothing before it */
	*more = p.n > 0 && p.events[p.n - 1].pos < p.head;
	if (e == ERR_OK && !*more)
		revset_advance(set, p.head, p.floor);
	if (e == ERR_OK)
		atomic_store(&g->enforced, revset_position(set));
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
	revset_expire(atomic_load(&g->set), clock_wall_s(g->clock));
	return (ERR_OK);
}

static bool
due(bool wanted, int64_t tried, int64_t now, int64_t least)
{
	return (tried == 0 || now - tried >= KEYS_MAX_MS ||
	    (wanted && now - tried >= least));
}

static void
tell(struct fealty_gateway *g, enum err e)
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
	int64_t now = gw_now(g);
	bool jwks, identity_keys;

	pthread_mutex_lock(&g->feed_lock);
	jwks = due(g->want_jwks, atomic_load(&g->jwks_tried), now,
	    KEYS_MIN_MS);
	identity_keys = due(g->want_identity_keys, g->identity_keys_tried,
	    now, IDENTITY_KEYS_MIN_MS);
	if (jwks)
		g->want_jwks = false;
	if (identity_keys)
		g->want_identity_keys = false;
	pthread_mutex_unlock(&g->feed_lock);
	if (identity_keys) {
		g->identity_keys_tried = now;
		ids = identity_keys_fetch(g);
	}
	if (atomic_load(&g->set) != NULL)
		e = catch_up(g);
	if (jwks) {
		keys = jwks_fetch(g);
		atomic_store(&g->jwks_tried, now);
	}
	if (e == ERR_OK)
		e = ids != ERR_OK ? ids : keys;
	tell(g, e);
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
	bool stop = false;

	g->in_touch = true; /* so that a failure at the start is told */
	while (!stop) {
		started = gw_now(g);
		round_once(g);
		retry_what_is_missing(g);
		pause_until(g, started);
		pthread_mutex_lock(&g->feed_lock);
		stop = g->stopping;
		pthread_mutex_unlock(&g->feed_lock);
	}
	return (NULL);
}
