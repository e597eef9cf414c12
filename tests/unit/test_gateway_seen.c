/*
 * A token that was seen before is judged as one that never was: a gateway
 * beside one whose cache is emptied before each question, under random
 * events, keys, floors and times; and many threads beside one that revokes.
 */
#include "tests/unit/unit.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "gateway/gw_int.h"

#define ISSUER "https://authority.example"
#define AUDIENCE "hub"
#define TENANT 3
#define TOKENS 80
#define DEVICES 12
#define STEPS 8000

static _Atomic int64_t now_ms = 1700000000000;

static int64_t
told_time(const struct clock *c)
{
	(void)c;
	return (atomic_load(&now_ms));
}

static const struct clock told = {
	.wall_ms = told_time,
	.monotonic_ms = told_time,
};

struct token {
	struct buf text;
	unsigned key;
};
struct world {
	struct fealty_gateway side[2]; /* 0: with a cache that is used */
	struct signer *signer[2];
	struct token token[TOKENS];
	uint64_t rng, pos, jti;
	int key_gone;
	unsigned accepted, refused, hits;
};

static uint64_t
rnd(struct world *w, uint64_t n)
{
	w->rng ^= w->rng << 13;
	w->rng ^= w->rng >> 7;
	w->rng ^= w->rng << 17;
	return (w->rng % n);
}

/* The keys in force: both, or the first alone. */
static struct jwks *
make_keys(struct world *w, unsigned n)
{
	struct es256_public pub;
	struct jwks *keys = NULL;

	assert_int_equal(jwks_new(&keys), ERR_OK);
	for (unsigned i = 0; i < n; i++) {
		signer_public(w->signer[i], &pub);
		assert_int_equal(jwks_add(keys, &pub), ERR_OK);
	}
	return (keys);
}

/* As the follower does. */
static void
change_keys(struct fealty_gateway *g, struct jwks *keys)
{
	struct jwks *old;

	pthread_rwlock_wrlock(&g->keys_lock);
	old = g->jwks;
	g->jwks = keys;
	token_cache_clear(g->tokens);
	pthread_rwlock_unlock(&g->keys_lock);
	jwks_free(&old);
}

static void
make_side(struct world *w, struct fealty_gateway *g)
{
	struct revset *set = NULL;

	memcpy(g->audience, AUDIENCE, sizeof(AUDIENCE));
	memcpy(g->issuer, ISSUER, sizeof(ISSUER));
	g->max_stale_ms = UINT32_MAX;
	g->clock = &told;
	atomic_store(&g->heard, gw_now(g));
	atomic_store(&g->tenant, TENANT);
	pthread_rwlock_init(&g->keys_lock, NULL);
	pthread_mutex_init(&g->feed_lock, NULL);
	pthread_cond_init(&g->feed_cond, NULL);
	g->jwks = make_keys(w, 2);
	assert_int_equal(gw_why_new(&g->why), ERR_OK);
	assert_int_equal(gw_cache_new(16, &g->cache), ERR_OK);
	assert_int_equal(gw_sessions_new(16, &g->sessions), ERR_OK);
	assert_int_equal(token_cache_new(TOKENS * 4, sizeof(struct gw_seen),
	    &g->tokens), ERR_OK);
	token_cache_large_pages(g->tokens);
	assert_int_equal(revset_new(TENANT, &set), ERR_OK);
	atomic_store(&g->set, set);
}

static void
free_side(struct fealty_gateway *g)
{
	struct revset *set = atomic_load(&g->set);

	token_cache_free(&g->tokens);
	gw_sessions_free(&g->sessions);
	gw_cache_free(&g->cache);
	gw_why_free(&g->why);
	jwks_free(&g->jwks);
	revset_free(&set);
	pthread_rwlock_destroy(&g->keys_lock);
	pthread_mutex_destroy(&g->feed_lock);
	pthread_cond_destroy(&g->feed_cond);
}

static int
set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	w->rng = 88172645463325252u;
	for (int i = 0; i < 2; i++)
		assert_int_equal(signer_generate(&w->signer[i]), ERR_OK);
	for (int i = 0; i < 2; i++)
		make_side(w, &w->side[i]);
	*state = w;
	return (0);
}

static int
tear_down(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < 2; i++) {
		free_side(&w->side[i]);
		signer_free(&w->signer[i]);
	}
	for (int i = 0; i < TOKENS; i++)
		buf_free(&w->token[i].text);
	free(w);
	return (0);
}

static void
mint(struct world *w, size_t at, uint64_t dn, uint64_t pos, unsigned key)
{
	struct token_claims c = {.iss = ISSUER, .naud = 1, .scope = "device",
	    .tid = TENANT, .dn = dn, .pos = pos};
	struct token *t = &w->token[at];

	snprintf(c.aud[0], sizeof(c.aud[0]), "%s", rnd(w, 20) == 0 ? "other" :
	    AUDIENCE);
	snprintf(c.sub, sizeof(c.sub), "sensor-%llu", (unsigned long long)dn);
	snprintf(c.jti, sizeof(c.jti), "%022llu",
	    (unsigned long long)++w->jti);
	c.ep = 1 + (uint32_t)rnd(w, 3);
	c.ngrp = (uint32_t)rnd(w, 4);
	for (uint32_t i = 0; i < c.ngrp; i++)
		c.grp[i] = 1 + i + (uint32_t)rnd(w, 3);
	c.iat = atomic_load(&now_ms) / 1000;
	c.exp = c.iat + 20 + (int64_t)rnd(w, TOKEN_LIFE);
	buf_free(&t->text);
	t->text = (struct buf){.max = TOKEN_MAX};
	t->key = key;
	assert_int_equal(token_sign(w->signer[key], &c, &t->text), ERR_OK);
}

static void
mint_any(struct world *w)
{
	/* now and then one that is ahead of what is known here */
	uint64_t back = rnd(w, 4), pos = w->pos > back ? w->pos - back : 0;

	if (rnd(w, 20) == 0)
		pos = w->pos + 1 + rnd(w, 3);
	mint(w, rnd(w, TOKENS), 1 + rnd(w, DEVICES), pos,
	    (unsigned)rnd(w, 2));
}

static void
apply_both(struct world *w, const struct event *ev)
{
	for (int i = 0; i < 2; i++)
		assert_int_equal(gw_apply(&w->side[i], ev, 1), ERR_OK);
}

static void
random_event(struct world *w)
{
	struct event ev = {.pos = ++w->pos};
	uint64_t n = 1 + rnd(w, DEVICES);

	/* as many are let in again as are kept out */
	ev.effect = rnd(w, 2) == 0 ? EFFECT_LIFT :
	    rnd(w, 3) == 0 ? EFFECT_BLOCK : EFFECT_CUT;
	switch (rnd(w, 20)) {
	case 0:
		ev.kind = EV_TENANT;
		ev.effect = rnd(w, 2) == 0 ? EFFECT_CUT : EFFECT_LIFT;
		n = TENANT;
		break;
	case 1:
	case 2:
		ev.kind = EV_GROUP;
		n = 1 + rnd(w, 6);
		break;
	case 3:
	case 4:
		ev.kind = EV_TOKEN;
		ev.effect = EFFECT_CUT;
		ev.exp = atomic_load(&now_ms) / 1000 + TOKEN_LIFE;
		n = 1 + rnd(w, w->jti);
		break;
	default:
		ev.kind = EV_DEVICE;
		ev.ep_max = (uint32_t)rnd(w, 3);
	}
	snprintf(ev.id, sizeof(ev.id), ev.kind == EV_TOKEN ? "%022llu" :
	    "%llu", (unsigned long long)n);
	apply_both(w, &ev);
}

static void
change(struct world *w)
{
	uint64_t floor;

	switch (rnd(w, 60)) {
	case 0: /* a key goes, or comes back */
		w->key_gone = !w->key_gone && rnd(w, 2) == 0;
		for (int i = 0; i < 2; i++)
			change_keys(&w->side[i],
			    make_keys(w, w->key_gone ? 1 : 2));
		return;
	case 1:
		floor = w->pos > 10 ? w->pos - 10 : 0;
		for (int i = 0; i < 2; i++)
			gw_below_floor(&w->side[i], floor);
		return;
	case 2:
	case 3:
		for (int i = 0; i < 2; i++)
			revset_expire(atomic_load(&w->side[i].set),
			    atomic_load(&now_ms) / 1000);
		return;
	default:
		atomic_fetch_add(&now_ms, (int64_t)rnd(w, 9000));
	}
}

static void
ask_both(struct world *w)
{
	const struct token *t = &w->token[rnd(w, TOKENS)];
	struct fealty_device peer = {.device_number = 1 + rnd(w, DEVICES)};
	struct fealty_decision d[2];
	char text[TOKEN_MAX];
	struct gw_seen seen;
	int with_peer = rnd(w, 10) == 0, r[2];

	memcpy(text, t->text.p, t->text.len);
	w->hits += (unsigned)token_cache_get(w->side[0].tokens, text,
	    t->text.len, &seen);
	if (rnd(w, 8) == 0)
		text[rnd(w, t->text.len)] ^= 1;
	snprintf(peer.device_id, sizeof(peer.device_id), "sensor-%llu",
	    (unsigned long long)peer.device_number);
	token_cache_clear(w->side[1].tokens);
	for (int i = 0; i < 2; i++) {
		memset(&d[i], i == 0 ? 0x55 : 0xaa, sizeof(d[i]));
		r[i] = fealty_token_check(&w->side[i], text, t->text.len,
		    with_peer ? &peer : NULL, 0, &d[i]);
	}
	assert_int_equal(r[0], r[1]);
	assert_string_equal(d[0].code, d[1].code);
	assert_string_equal(d[0].reason, d[1].reason);
	assert_memory_equal(&d[0], &d[1], sizeof(d[0]));
	*(r[0] ? &w->accepted : &w->refused) += 1;
}

static void
seen_tokens_are_judged_as_those_never_seen(void **state)
{
	struct world *w = *state;

	for (size_t i = 0; i < TOKENS; i++)
		mint(w, i, 1 + i % DEVICES, 0, i % 2);
	for (unsigned step = 0; step < STEPS; step++) {
		switch (rnd(w, 48)) {
		case 0:
			random_event(w);
			break;
		case 1:
			change(w);
			break;
		case 2:
		case 3:
		case 4:
		case 5:
		case 6:
			mint_any(w);
			break;
		default:
			ask_both(w);
		}
	}
	print_message("%u accepted, %u refused, %u cached\n", w->accepted,
	    w->refused, w->hits);
	/* all of it happened, and often */
	assert_true(w->accepted > STEPS / 10);
	assert_true(w->refused > STEPS / 10);
	assert_true(w->hits > STEPS / 10);
}

#define ASKERS 3
#define DEADLINE_MS 30000

struct race {
	struct world *w;
	_Atomic int dead[TOKENS], stop, bad;
	_Atomic unsigned accepted;
};

static void *
ask(void *arg)
{
	struct race *r = arg;
	struct fealty_gateway *g = &r->w->side[0];
	struct fealty_decision d;

	while (!atomic_load(&r->stop))
		for (size_t i = 0; i < TOKENS; i++) {
			const struct buf *t = &r->w->token[i].text;
			int dead = atomic_load(&r->dead[i]);

			if (fealty_token_check(g, t->p, t->len, NULL, 0, &d)) {
				atomic_fetch_add(&r->accepted, 1);
				if (dead || d.device.device_number != i + 1)
					atomic_store(&r->bad, 1);
			}
		}
	return (NULL);
}

/* The askers have been round since. */
static void
wait_for_answers(struct race *r)
{
	unsigned seen = atomic_load(&r->accepted);
	int64_t until = gw_tick() + DEADLINE_MS;

	while (atomic_load(&r->accepted) < seen + TOKENS) {
		assert_true(gw_tick() < until);
		sched_yield();
	}
}

/* Some are cut, some lose the key they were signed by, while all are asked. */
static void
no_thread_takes_what_another_has_revoked(void **state)
{
	struct race *r = calloc(1, sizeof(*r));
	struct event ev = {.kind = EV_DEVICE, .effect = EFFECT_CUT};
	pthread_t t[ASKERS];

	assert_non_null(r);
	r->w = *state;

	for (size_t i = 0; i < TOKENS; i++)
		mint(r->w, i, i + 1, 0, i >= TOKENS / 2);
	for (int i = 0; i < ASKERS; i++)
		assert_int_equal(pthread_create(&t[i], NULL, ask, r), 0);
	for (unsigned i = 0; i < TOKENS / 2; i++) {
		wait_for_answers(r);
		ev.pos = i + 1;
		snprintf(ev.id, sizeof(ev.id), "%u", i + 1);
		assert_int_equal(gw_apply(&r->w->side[0], &ev, 1), ERR_OK);
		atomic_store(&r->dead[i], 1);
	}
	change_keys(&r->w->side[0], make_keys(r->w, 1));
	for (unsigned i = TOKENS / 2; i < TOKENS; i++)
		atomic_store(&r->dead[i], 1);
	for (int i = 0; i < 1000; i++)
		sched_yield();
	assert_true(atomic_load(&r->accepted) > TOKENS);
	atomic_store(&r->stop, 1);
	for (int i = 0; i < ASKERS; i++)
		pthread_join(t[i], NULL);
	assert_int_equal(atomic_load(&r->bad), 0);
	free(r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
		T(seen_tokens_are_judged_as_those_never_seen),
		T(no_thread_takes_what_another_has_revoked),
#undef T
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
