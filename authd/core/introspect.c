#include "authd/core/core_internal.h"

#include <string.h>

#define LEEWAY 0
/* Lets token_verify judge all but the time, which is judged at each use. */
#define ANY_TIME ((int64_t)1 << 40)

static enum err
verify(const struct core_tenant *t, const struct token_rules *rules,
    const char *token, size_t len, struct token_claims *out, struct detail *d)
{
	struct core_tenant *w = tenant_writable(t);
	enum err e;

	(void)pthread_rwlock_rdlock(&w->keys_lock);
	e = token_verify(t->keys->jwks, rules, token, len, out, d);
	(void)pthread_rwlock_unlock(&w->keys_lock);
	return e;
}

enum err
token_read(struct core *c, const struct core_tenant *t, const char *token,
    size_t len, struct seen_token *out, int *cached, struct detail *d)
{
	const struct token_rules rules = {.iss = t->issuer, .aud = NULL,
	    .now = clock_wall_s(c->clock), .leeway = ANY_TIME};
	struct seen_token seen;
	enum err e;

	if (len > TOKEN_MAX)
		return ERR_TOKEN;
	*cached = token_cache_get(c->tokens, token, len, out);
	/*
	 * The cache is one for all tenants. To another tenant than its own a
	 * token is what it would be without the cache: of an unknown key.
	 */
	if (*cached)
		return strcmp(out->claims.iss, t->issuer) == 0 ? ERR_OK :
		    ERR_TOKEN_KEY;
	memset(&seen, 0, sizeof(seen));
	e = token_kid(token, len, seen.kid);
	if (e == ERR_OK)
		e = verify(t, &rules, token, len, &seen.claims, d);
	if (e == ERR_OK && seen.claims.tid != t->number)
		e = ERR_TOKEN_ISSUER;
	if (e != ERR_OK)
		return e;
	token_cache_put(c->tokens, token, len, &seen);
	*out = seen;
	return ERR_OK;
}

enum err
token_alive(const struct core_tenant *t, const struct seen_token *seen,
    uint64_t *by)
{
	const struct claim claim = {.dn = seen->claims.dn,
	    .epoch = seen->claims.ep, .groups = seen->claims.grp,
	    .ngroups = seen->claims.ngrp, .jti = seen->claims.jti,
	    .kid = seen->kid, .pos = seen->claims.pos};

	return revset_check(t->revset, &claim, by);
}

/* A gateway may ask of its own audiences; others may ask of all. */
static int
may_ask(const struct caller *caller, const struct token_claims *c)
{
	uint32_t i;

	if (caller->role != ROLE_GATEWAY)
		return 1;
	for (i = 0; i < c->naud; i++)
		if (caller_has_audience(caller, c->aud[i]))
			return 1;
	return 0;
}

static enum err
judge(struct core_call *call, const struct seen_token *seen)
{
	const struct token_rules rules = {.iss = call->tenant->issuer,
	    .now = clock_wall_s(call->core->clock), .leeway = LEEWAY};
	enum err e;

	if (!may_ask(call->caller, &seen->claims))
		return ERR_TOKEN_AUDIENCE;
	e = token_check_time(&seen->claims, &rules);
	if (e == ERR_OK)
		e = token_alive(call->tenant, seen, NULL);
	if (e != ERR_AHEAD)
		return e;
	/* Another authd has seen more: let the follower catch up. */
	if (!call->may_block)
		return ERR_WOULD_BLOCK;
	follower_wait(call->core, call->tenant, seen->claims.pos,
	    CORE_AHEAD_MS);
	return token_alive(call->tenant, seen, NULL);
}

/*
 * Whether the outcome holds however old what is known here may be: nothing
 * raises the dead. That a token lives needs a head; so does that its key is
 * unknown, and what is said of one from a position not seen here.
 */
static int
is_certain(const struct core_call *call, const struct seen_token *read,
    enum err e)
{
	if (e == ERR_OK || e == ERR_TOKEN_KEY)
		return 0;
	return read == NULL || e == ERR_TOKEN_EXPIRED ||
	    read->claims.pos <= revset_position(call->tenant->revset);
}

enum err
core_introspect(struct core_call *call, const char *token, size_t len,
    struct buf *json)
{
	const struct seen_token *read = NULL;
	struct core *c = call->core;
	struct seen_token seen;
	int cached = 0;
	enum err e, ready;

	e = call_check(call);
	if (e == ERR_OK)
		e = token_read(c, call->tenant, token, len, &seen, &cached,
		    &call->detail);
	if (e == ERR_OK) {
		read = &seen;
		e = judge(call, read);
	}
	if (e == ERR_WOULD_BLOCK)
		return e; /* it comes again */
	if (!is_certain(call, read, e)) {
		ready = call->remembered ? ERR_NOT_READY :
		    tenant_ready(c, call->tenant);
		e = ready == ERR_OK ? e : ready;
	}
	core_count(c->introspections);
	if (cached)
		core_count(c->introspections_cached);
	return e == ERR_OK ? token_introspection(&seen.claims, json) : e;
}
