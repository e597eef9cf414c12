#include <stdio.h>
#include <string.h>
#include "gateway/gw_int.h"

/* Tokens, judged without asking anybody. */
#define WAIT_MAX 500

/* Octets of s that mean something. */
static size_t
see(const struct token_claims *c, struct gw_seen *s)
{
	const char *text[SEEN_TEXTS] = {c->sub, c->jti, c->kid, c->scope};
	size_t n = c->ngrp * sizeof(c->grp[0]);

	s->exp = c->exp;
	s->iat = c->iat;
	s->dn = c->dn;
	s->pos = c->pos;
	s->tid = c->tid;
	s->ep = c->ep;
	s->ngrp = (uint16_t)c->ngrp;
	memcpy(s->rest, c->grp, n);
	for (int i = 0; i < SEEN_TEXTS; i++) {
		s->len[i] = (uint16_t)strlen(text[i]);
		memcpy(s->rest + n, text[i], s->len[i]);
		n += s->len[i];
	}
	return (offsetof(struct gw_seen, rest) + n);
}
/* each fits where it comes from, is kept, and goes to */
_Static_assert(FEALTY_GROUPS == DEVICE_GROUPS_MAX, "groups");
_Static_assert(FEALTY_NAME == sizeof(name_t) && KID_LEN < FEALTY_NAME &&
    sizeof(((struct token_claims *)0)->jti) == FEALTY_NAME &&
    sizeof(((struct token_claims *)0)->scope) == FEALTY_SCOPE, "texts");

/* The time alone: who it is for and from does not change. */
static enum err
seen_check(const struct gw_seen *s, const struct token_rules *r)
{
	struct token_rules when = {.now = r->now, .leeway = r->leeway};
	struct token_claims c;

	c.exp = s->exp;
	c.iat = s->iat;
	return (token_check_time(&c, &when));
}

/* Form and signature; from the cache if it was good before. */
static enum err
verified(struct fealty_gateway *g, const char *token, size_t len,
    int64_t now_s, struct gw_seen *s, struct detail *d)
{
	struct token_rules r = {
		.iss = g->issuer,
		.aud = g->audience,
		.now = now_s,
		.leeway = GW_LEEWAY,
	};
	struct token_claims c;
	enum err e;

	/*
	 * Without the keys' lock: who takes a key away clears the cache
	 * before he lets go of it, so what is found was good under the keys
	 * that are in force until then.
	 */
	if (token_cache_get(g->tokens, token, len, s))
		return (seen_check(s, &r));
	/* held over the put: keys and what was verified by them go together */
	pthread_rwlock_rdlock(&g->keys_lock);
	e = g->jwks == NULL ? ERR_NOT_READY :
	    token_verify(g->jwks, &r, token, len, &c, d);
	if (e == ERR_OK)
		token_cache_put_part(g->tokens, token, len, s, see(&c, s),
		    (uint32_t)c.dn);
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

/* Into a decision that is all zero. */
static void
fill(const struct gw_seen *s, struct fealty_decision *d)
{
	struct fealty_device *p = &d->device;
	char *to[SEEN_TEXTS] = {p->device_id, p->token_id, p->key_id,
	    d->scope};
	size_t n = s->ngrp * sizeof(p->groups[0]);

	memcpy(p->groups, s->rest, n);
	for (int i = 0; i < SEEN_TEXTS; i++) {
		memcpy(to[i], s->rest + n, s->len[i]);
		n += s->len[i];
	}
	p->device_number = s->dn;
	p->epoch = s->ep;
	p->ngroups = s->ngrp;
	p->position = s->pos;
	d->expires = s->exp;
}

static enum err
check(struct fealty_gateway *g, const char *token, size_t len,
    const struct fealty_device *peer, struct fealty_decision *d,
    struct detail *why)
{
	struct revset *set = atomic_load(&g->set);
	struct freshness fresh;
	struct gw_seen s;
	struct claim cl;
	uint32_t hint;
	name_t name;
	enum err e;

	/* memory is what takes time: while it comes, the rest is done */
	token_cache_expect(g->tokens, token, len);
	gw_look(g, &fresh);
	hint = token_cache_fetch(g->tokens, token, len);
	if (hint != 0 && set != NULL)
		revset_expect(set, hint);
	memset(d, 0, sizeof(*d));
	d->staleness_ms = fresh.age;
	if (fresh.err != ERR_OK)
		return (fresh.err);
	if (set == NULL)
		return (ERR_NOT_READY); /* it came between two looks */
	if (len > TOKEN_MAX)
		return (ERR_TOKEN);
	e = verified(g, token, len, fresh.wall_s, &s, why);
	if (e != ERR_OK)
		return (e);
	if (s.tid != atomic_load(&g->tenant))
		return (ERR_TOKEN_ISSUER);
	fill(&s, d);
	if (peer != NULL && (peer->device_number != s.dn ||
	    strcmp(peer->device_id, d->device.device_id) != 0))
		return (ERR_TOKEN_DEVICE);
	gw_claim(&d->device, &cl);
	e = revset_check(set, &cl, &d->event);
	/* out of touch and open: what is newer than all we know is taken */
	if (e == ERR_AHEAD && fresh.stale)
		e = ERR_OK;
	d->stale = e == ERR_OK && fresh.stale;
	if (e != ERR_OK)
		e = gw_why_get(g->why, s.dn, d->event, e, name);
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
	static const char ok_code[] = "ok", ok_reason[] = "success";
	struct detail why;
	int64_t start = 0, deadline = 0;
	uint64_t rounds;
	enum err e;

	for (;;) {
		rounds = atomic_load(&g->rounds);
		why.text[0] = '\0';
		e = check(g, token, len, peer, d, &why);
		if (e == ERR_OK)
			break;
		if (start == 0) {
			/* no look at a clock for what is good */
			start = gw_tick();
			deadline = start + (wait_ms < WAIT_MAX ?
			    wait_ms : WAIT_MAX);
		}
		if (!hope(g, e, token, len) || wait_ms == 0 ||
		    !feed_wait(g, rounds, deadline))
			break;
	}
	if (e == ERR_OK) {
		/* as gw_refuse does, without formatting: the hot path */
		d->accepted = 1;
		memcpy(d->code, ok_code, sizeof(ok_code));
		memcpy(d->reason, ok_reason, sizeof(ok_reason));
		return (1);
	}
	gw_refuse(d, e, why.text);
	/* keys that were fetched before it came say nothing for good */
	if (e == ERR_TOKEN_KEY && atomic_load(&g->jwks_tried) < start &&
	    key_missing(g, token, len))
		d->retry = 1;
	return (d->accepted);
}
