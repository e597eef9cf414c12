#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "gateway/gw_held.h"
#include "lib/base/parse.h"
#include "lib/base/rwlock.h"

/* Opening, closing, and what every module asks of the gateway. */

void
gw_log(struct fealty_gateway *g, const struct fealty_log *entry)
{
	fealty_log_fn *log = atomic_load(&g->log);

	if (log != NULL)
		log(g->log_arg, entry);
}

const char *
gw_text(enum err e)
{
	/* an event tells a block, not its kind; see gw_why.c */
	if (e == ERR_DEVICE_SUSPENDED)
		return ("the device is blocked: suspended, or revoked");
	return (err_text(e));
}

void
gw_note(struct fealty_gateway *g, enum fealty_level level, const char *event,
    enum err e, const char *reason)
{
	struct fealty_log l = {
		.level = level,
		.event = event,
		.device_id = "",
		.source = "",
		.code = err_code(e),
		.reason = reason != NULL && reason[0] != '\0' ? reason :
		    gw_text(e),
		.position = atomic_load(&g->enforced),
	};

	gw_log(g, &l);
}

enum err
gw_judge(const struct fealty_gateway *g, const struct claim *c, uint64_t *by)
{
	struct revset *set = atomic_load(&g->set);
	enum err e;

	if (set == NULL)
		return (ERR_NOT_READY);
	e = revset_check(set, c, by);
	/* events not seen yet are older than what the claim rests on */
	return (e == ERR_AHEAD ? ERR_OK : e);
}

void
gw_claim(const struct fealty_device *p, struct claim *out)
{
	*out = (struct claim){
		.dn = p->device_number,
		.epoch = p->epoch,
		.groups = p->groups,
		.ngroups = p->ngroups,
		.jti = p->token_id[0] != '\0' ? p->token_id : NULL,
		.kid = p->key_id[0] != '\0' ? p->key_id : NULL,
		.pos = p->position,
	};
}

void
gw_refuse(struct fealty_decision *d, enum err e, const char *reason)
{
	if (reason == NULL || reason[0] == '\0')
		reason = gw_text(e);
	d->accepted = e == ERR_OK;
	d->retry = err_retryable(e);
	snprintf(d->code, sizeof(d->code), "%s", err_code(e));
	snprintf(d->reason, sizeof(d->reason), "%s", reason);
}

uint64_t
fealty_gateway_position(const struct fealty_gateway *g)
{
	return (atomic_load(&g->enforced));
}

uint64_t
fealty_gateway_head(const struct fealty_gateway *g)
{
	uint64_t head = atomic_load(&g->head), pos = atomic_load(&g->enforced);

	return (head > pos ? head : pos);
}

int
fealty_gateway_ready(const struct fealty_gateway *gateway)
{
	/* the lock is no part of the gateway's visible state */
	struct fealty_gateway *g =
	    (struct fealty_gateway *)(uintptr_t)gateway;
	int keys;

	pthread_rwlock_rdlock(&g->keys_lock);
	keys = g->jwks != NULL;
	pthread_rwlock_unlock(&g->keys_lock);
	return (keys && gw_fresh(g) == ERR_OK);
}

static uint32_t
or_default(uint32_t given, uint32_t otherwise)
{
	return (given != 0 ? given : otherwise);
}

/* The issuer: as given, or the first URL; without a slash at the end. */
static enum err
set_issuer(struct fealty_gateway *g, const struct fealty_options *o)
{
	const char *s = o->issuer != NULL ? o->issuer : o->urls[0];
	enum err e = copy_str(g->issuer, sizeof(g->issuer), s);
	size_t n;

	if (e != ERR_OK)
		return (e);
	n = strlen(g->issuer);
	if (n > 0 && o->issuer == NULL && g->issuer[n - 1] == '/')
		g->issuer[n - 1] = '\0';
	return (ERR_OK);
}

static enum err
make_parts(struct fealty_gateway *g, const struct fealty_options *o)
{
	enum err e;

	if ((e = conn_init_once()) != ERR_OK ||
	    (e = gw_ident_new(&g->ident)) != ERR_OK ||
	    (e = gw_why_new(&g->why)) != ERR_OK ||
	    (e = fetches_new(&g->fetches)) != ERR_OK ||
	    (e = gw_cache_new(or_default(o->max_keys, 65536),
	    &g->cache)) != ERR_OK ||
	    (e = token_cache_new(or_default(o->max_tokens, 4096),
	    sizeof(struct gw_seen), &g->tokens)) != ERR_OK ||
	    (e = gw_used_new(g, &g->used)) != ERR_OK ||
	    (e = gw_sessions_new(or_default(o->max_sessions, 65536),
	    &g->sessions)) != ERR_OK)
		return (e);
	token_cache_large_pages(g->tokens);
	return (gw_rate_new(or_default(o->failures_burst, 20),
	    or_default(o->failures_per_minute, 60), &g->rate));
}

/* What an enrolled gateway has besides; before its follower runs. */
static enum err
make_enrolled(struct fealty_gateway *g, const struct gw_options *go,
    const struct link_conf *lc)
{
	const struct fealty_options *o = &go->o;
	enum err e;

	if ((e = follow_new(g, lc, &g->follow)) != ERR_OK ||
	    (e = held_new(&g->held)) != ERR_OK ||
	    (e = chores_new(g, &g->chores)) != ERR_OK)
		return (e);
	if (o->state_file == NULL)
		return (ERR_OK);
	e = state_new(o->state_file, o->state_key_file, &go->credential,
	    &g->state);
	if (e == ERR_OK)
		state_load(g);
	return (e);
}

static enum err
start_threads(struct fealty_gateway *g, const struct gw_options *go)
{
	const struct fealty_options *o = &go->o;
	struct link_conf lc = {
		.urls = o->urls,
		.nurls = (uint32_t)o->nurls,
		.ca_file = o->ca_file,
		.credential = &go->credential,
		.timeout_ms = or_default(o->request_ms, 2000),
	};
	enum err e;

	if ((e = link_open(&g->link, &lc)) != ERR_OK ||
	    (e = pool_new(g, &lc, or_default(o->threads, 4),
	    or_default(o->queue, 256), &g->pool)) != ERR_OK ||
	    (e = loop_new(g, or_default(o->max_handshakes, 1024),
	    &g->loop)) != ERR_OK ||
	    (e = receipts_new(g, &lc, o->instance, &g->receipts)) != ERR_OK)
		return (e);
	if (g->root != NULL && (e = make_enrolled(g, go, &lc)) != ERR_OK)
		return (e);
	if (pthread_create(&g->follower, NULL, g->root != NULL ?
	    follow_thread : feed_thread, g) != 0)
		return (ERR_NOMEM);
	g->following = true;
	return (ERR_OK);
}

static int64_t
host_wall(const struct clock *c)
{
	const struct gw_clock *h = (const struct gw_clock *)(const void *)c;

	return (h->host.wall_ms(h->host.arg));
}

static int64_t
host_monotonic(const struct clock *c)
{
	const struct gw_clock *h = (const struct gw_clock *)(const void *)c;

	return (h->host.monotonic_ms(h->host.arg));
}

static void
set_policy(struct fealty_gateway *g, const struct fealty_options *o)
{
	g->poll_ms = or_default(o->poll_ms, 200);
	g->max_stale_ms = or_default(o->max_stale_ms, 30000);
	g->stale_limit_ms = or_default(o->stale_limit_ms, 600000);
	g->stale_open = o->when_stale == FEALTY_STALE_OPEN;
	g->end_stale_sessions = o->end_stale_sessions != 0;
	g->clock = &clock_coarse;
	if (o->clock == NULL)
		return;
	g->host_clock.host = *o->clock;
	g->host_clock.clock.wall_ms = host_wall;
	g->host_clock.clock.monotonic_ms = host_monotonic;
	g->clock = &g->host_clock.clock;
}

static struct fealty_gateway *
gateway_make(const struct fealty_options *o)
{
	struct fealty_gateway *g;
	pthread_condattr_t ca;

	if ((g = calloc(1, sizeof(*g))) == NULL)
		return (NULL);
	if (rwlock_init(&g->keys_lock) != ERR_OK) {
		free(g);
		return (NULL);
	}
	set_policy(g, o);
	g->keys_text.max = 65536;
	atomic_store(&g->log, o->log);
	g->log_arg = o->log_arg;
	memcpy(g->audience, o->audience, strlen(o->audience) + 1);
	atomic_store(&g->heard, -1);
	atomic_store(&g->refs, 1);
	pthread_mutex_init(&g->work_lock, NULL);
	pthread_mutex_init(&g->feed_lock, NULL);
	pthread_condattr_init(&ca);
	pthread_condattr_setclock(&ca, CLOCK_MONOTONIC);
	pthread_cond_init(&g->feed_cond, &ca);
	pthread_condattr_destroy(&ca);
	return (g);
}

/* JSON with keys in it is wiped, unless the host has its own allocator. */
static void
wipe_json(void)
{
	json_malloc_t m;
	json_free_t f;

	json_get_alloc_funcs(&m, &f);
	if (m == malloc && f == free)
		wire_init();
}

static void
prepare_json(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, wipe_json);
}

struct fealty_gateway *
fealty_gateway_open(const struct fealty_options *given, char *reason,
    size_t size)
{
	struct fealty_gateway *g = NULL;
	struct detail d = {""};
	struct gw_options o;
	enum err e;

	prepare_json();
	if ((e = gw_options_take(given, &o, &d)) != ERR_OK)
		goto out;
	e = ERR_NOMEM;
	if ((g = gateway_make(&o.o)) == NULL)
		goto out;
	/* the gateway's from now on */
	g->root = o.enrolment.root;
	o.enrolment.root = NULL;
	if ((e = set_issuer(g, &o.o)) != ERR_OK ||
	    (e = make_parts(g, &o.o)) != ERR_OK)
		goto out;
	e = start_threads(g, &o);
out:
	gw_options_free(&o);
	if (e != ERR_OK) {
		if (reason != NULL && size > 0)
			snprintf(reason, size, "%s%s%s", err_text(e),
			    d.text[0] != '\0' ? ": " : "", d.text);
		fealty_gateway_close(&g);
	}
	return (g);
}

static void
stop_follower(struct fealty_gateway *g)
{
	pthread_mutex_lock(&g->feed_lock);
	g->stopping = true;
	pthread_cond_broadcast(&g->feed_cond);
	pthread_mutex_unlock(&g->feed_lock);
	if (g->follow != NULL)
		follow_wake(g->follow);
	if (g->following)
		pthread_join(g->follower, NULL);
}

void
gateway_ref(struct fealty_gateway *g)
{
	atomic_fetch_add(&g->refs, 1);
}

void
gateway_unref(struct fealty_gateway *g)
{
	struct revset *set;

	if (atomic_fetch_sub(&g->refs, 1) != 1)
		return;
	loop_free(&g->loop);
	pool_free(&g->pool);
	gw_sessions_free(&g->sessions);
	gw_used_free(&g->used);
	gw_cache_free(&g->cache);
	token_cache_free(&g->tokens);
	jwks_free(&g->jwks);
	jwks_free(&g->feed_keys);
	buf_free(&g->keys_text);
	verifier_free(&g->root);
	follow_free(&g->follow);
	chores_free(&g->chores);
	held_free(&g->held);
	state_free(&g->state);
	receipts_free(&g->receipts);
	fetches_free(&g->fetches);
	gw_why_free(&g->why);
	gw_rate_free(&g->rate);
	gw_ident_free(&g->ident);
	set = atomic_load(&g->set);
	revset_free(&set);
	pthread_cond_destroy(&g->feed_cond);
	pthread_mutex_destroy(&g->feed_lock);
	pthread_rwlock_destroy(&g->keys_lock);
	pthread_mutex_destroy(&g->work_lock);
	free(g);
}

void
fealty_gateway_close(struct fealty_gateway **gateway)
{
	static const struct identity_keys none;
	struct fealty_gateway *g = *gateway;

	if (g == NULL)
		return;
	*gateway = NULL;
	stop_follower(g);
	if (g->state != NULL && atomic_load(&g->enforced) != 0)
		state_save(g);
	/* from here on whoever asks is told "not ready" */
	atomic_store(&g->heard, -1);
	/* the pool first: its jobs may hold what the loop has to give back */
	if (g->pool != NULL)
		pool_stop(g->pool);
	if (g->loop != NULL)
		loop_stop(g->loop);
	if (g->receipts != NULL)
		receipts_stop(g->receipts);
	link_close(&g->link);
	if (g->cache != NULL)
		gw_cache_clear(g->cache);
	if (g->ident != NULL)
		gw_ident_set(g->ident, &none);
	/* what lives on is silent: log_arg may go now */
	atomic_store(&g->log, NULL);
	gateway_unref(g);
}
