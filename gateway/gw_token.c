#include <stdio.h>
#include <string.h>
#include "gateway/gw_int.h"

/* Tokens, judged without asking anybody. */
#define WAIT_MAX 500

/* Form and signature; from the cache if it was good before. */
static enum err
verified(struct fealty_gateway *g, int64_t now, const char *token,
    size_t len, struct token_claims *c, struct detail *d)
{
	struct token_rules r = {
		.iss = g->issuer,
		.aud = g->audience,
		.now = now,
		.leeway = GW_LEEWAY,
	};
	enum err e;

	/* held over the put: keys and what was verified by them go together */
	pthread_rwlock_rdlock(&g->keys_lock);
	if (g->jwks == NULL)
		e = ERR_NOT_READY;
	else if (token_cache_get(g->tokens, token, len, c))
		e = token_check_time(c, &r);
	else {
		e = token_verify(g->jwks, &r, token, len, c, d);
		if (e == ERR_OK)
			token_cache_put(g->tokens, token, len, c);
	}
	pthread_rwlock_unlock(&g->keys_lock);
	return (e);
}

/* Whether the error is a key that a refresh may bring. */
static int
key_missing(struct fealty_gateway *g, const char *token, size_t len)
{
	char kid[KID_LEN + 1];
	int missing;

	if (token_kid(token, len, kid) != ERR_OK)
		return (0);
	pthread_rwlock_rdlock(&g->keys_lock);
	missing = g->jwks == NULL ||
	    jwks_find(g->jwks, kid, strlen(kid)) == NULL;
	pthread_rwlock_unlock(&g->keys_lock);
	return (missing);
}

static void
copy_name(char *out, size_t size, const char *s)
{
	snprintf(out, size, "%s", s);
}

static enum err
fill(const struct token_claims *c, const char *token, size_t len,
    struct fealty_decision *d)
{
	struct fealty_device *p = &d->device;
	char kid[KID_LEN + 1];

	copy_name(p->device_id, sizeof(p->device_id), c->sub);
	copy_name(p->token_id, sizeof(p->token_id), c->jti);
	p->device_number = c->dn;
	p->epoch = c->ep;
	p->ngroups = c->ngrp;
	for (uint32_t i = 0; i < c->ngrp && i < FEALTY_GROUPS; i++)
		p->groups[i] = c->grp[i];
	p->position = c->pos;
	copy_name(d->scope, sizeof(d->scope), c->scope);
	d->expires = c->exp;
	if (token_kid(token, len, kid) != ERR_OK)
		return (ERR_TOKEN);
	copy_name(p->key_id, sizeof(p->key_id), kid);
	return (ERR_OK);
}

static enum err
check(struct fealty_gateway *g, const char *token, size_t len,
    const struct fealty_device *peer, struct fealty_decision *d,
    struct detail *why)
{
	struct revset *set = atomic_load(&g->set);
	struct token_claims c;
	struct claim cl;
	name_t name;
	struct freshness fresh;
	enum err e;

	gw_look(g, &fresh);
	d->staleness_ms = fresh.age;
	if (fresh.err != ERR_OK)
		return (fresh.err);
	if (len > TOKEN_MAX)
		return (ERR_TOKEN);
	if ((e = verified(g, fresh.wall_s, token, len, &c, why)) != ERR_OK)
		return (e);
	if (c.tid != atomic_load(&g->tenant))
		return (ERR_TOKEN_ISSUER);
	if ((e = fill(&c, token, len, d)) != ERR_OK)
		return (e);
	if (peer != NULL && (peer->device_number != c.dn ||
	    strcmp(peer->device_id, c.sub) != 0))
		return (ERR_TOKEN_DEVICE);
	gw_claim(&d->device, &cl);
	e = revset_check(set, &cl, &d->event);
	/* out of touch and open: what is newer than all we know is taken */
	if (e == ERR_AHEAD && fresh.stale)
		e = ERR_OK;
	d->stale = e == ERR_OK && fresh.stale;
	if (e != ERR_OK)
		e = gw_why_get(g->why, c.dn, d->event, e, name);
	return (e);
}

/* Asks the follower for what is missing. 1: it may help to try again. */
static int
hope(struct fealty_gateway *g, enum err e, const char *token, size_t len)
{
	switch (e) {
	case ERR_NOT_READY:
		return (1); /* it is at it; strangers do not hurry it */
	case ERR_AHEAD:
		feed_poke(g, false);
		return (1);
	case ERR_TOKEN_KEY:
		/* strangers make up keys: their tokens cost no requests */
		if (gw_tick() - atomic_load(&g->jwks_tried) < KEYS_MIN_MS ||
		    !key_missing(g, token, len))
			return (0);
		feed_poke(g, true);
		return (1);
	default:
		return (0);
	}
}

int
fealty_token_check(struct fealty_gateway *g, const char *token, size_t len,
    const struct fealty_device *peer, uint32_t wait_ms,
    struct fealty_decision *d)
{
	struct detail why;
	int64_t start = gw_tick(), deadline = start + (wait_ms < WAIT_MAX ?
	    wait_ms : WAIT_MAX);
	uint64_t rounds;
	enum err e;

	for (;;) {
		rounds = atomic_load(&g->rounds);
		memset(d, 0, sizeof(*d));
		why.text[0] = '\0';
		e = check(g, token, len, peer, d, &why);
		if (e == ERR_OK || !hope(g, e, token, len) || wait_ms == 0 ||
		    !feed_wait(g, rounds, deadline))
			break;
	}
	gw_refuse(d, e, why.text);
	/* keys that were fetched before it came say nothing for good */
	if (e == ERR_TOKEN_KEY && atomic_load(&g->jwks_tried) < start &&
	    key_missing(g, token, len))
		d->retry = 1;
	return (d->accepted);
}
