#include "authd/core/core_internal.h"

#include <stdio.h>
#include <string.h>

/* Who wants which token dead. */
struct revoking {
	struct seen_token seen;
	const struct pskid *device; /* NULL: a caller */
	int cut; /* the whole device at once */
};

/* Where the device's places begin; which devices share them nobody can tell. */
static size_t
places_of(const struct core *c, const struct pskid *id)
{
	uint64_t h = id->dn ^ ((uint64_t)id->tenant << 32) ^ c->ration_seed;

	h = (h ^ (h >> 33)) * UINT64_C(0xff51afd7ed558ccd);
	h = (h ^ (h >> 33)) * UINT64_C(0xc4ceb9fe1a85ec53);
	h ^= h >> 33;
	return (size_t)(h % (RATION_SLOTS / RATION_WAYS)) * RATION_WAYS;
}

struct ration_slot *
ration_slot(struct core *c, const struct pskid *id)
{
	struct ration_slot *first = &c->ration[places_of(c, id)];
	struct ration_slot *s, *mine = NULL, *free_one = NULL;
	int64_t now = clock_mono_ms(c->clock);

	for (s = first; s < first + RATION_WAYS; s++) {
		if (s->tenant == id->tenant && s->dn == id->dn)
			mine = s;
		else if (s->tenant == 0 ||
		    now - s->window > RATION_WINDOW_MS)
			free_one = s;
	}
	if (mine != NULL && now - mine->window <= RATION_WINDOW_MS)
		return mine;
	s = mine != NULL ? mine : free_one;
	if (s == NULL)
		return NULL;
	*s = (struct ration_slot){.tenant = id->tenant, .dn = id->dn,
	    .window = now};
	return s;
}

/*
 * A device may revoke a few tokens a minute one by one; what comes then
 * collapses into one cut, which kills all it has, and after that it has to
 * wait.
 */
static enum err
ration(struct core *c, const struct pskid *id, int *cut)
{
	struct ration_slot *s;
	enum err e = ERR_OK;

	pthread_mutex_lock(&c->ration_lock);
	s = ration_slot(c, id);
	*cut = s != NULL && s->tokens >= RATION_TOKENS;
	if (s == NULL)
		e = ERR_RATE;
	else if (!*cut)
		s->tokens++;
	else if (s->cuts == 0)
		s->cuts = 1;
	else
		e = ERR_RATE;
	pthread_mutex_unlock(&c->ration_lock);
	return e;
}

static enum err
revoke_txn(struct txn *tx)
{
	const struct revoking *r = tx->arg;
	struct event ev = {.kind = EV_TOKEN, .effect = EFFECT_CUT,
	    .exp = r->seen.claims.exp};

	if (r->cut)
		return txn_device_event(tx, r->seen.claims.dn, EFFECT_CUT);
	(void)snprintf(ev.id, sizeof(ev.id), "%s", r->seen.claims.jti);
	return txn_event(tx, &ev);
}

static enum err
revoke_by_device(struct txn *tx, struct revoking *r)
{
	struct core_call *call = tx->call;
	enum err e;

	/* A key that rotation replaced has no say over what came after. */
	if (r->seen.claims.dn != r->device->dn ||
	    r->seen.claims.ep != r->device->epoch)
		return ERR_UNAUTHORIZED_CLIENT;
	e = ration(call->core, r->device, &r->cut);
	if (e == ERR_OK)
		e = txn_run_device(tx, revoke_txn);
	return e;
}

static enum err
gateway_may(const struct caller *caller, const struct token_claims *c)
{
	uint32_t i;

	if (caller->role != ROLE_GATEWAY)
		return ERR_OK;
	for (i = 0; i < c->naud; i++)
		if (caller_has_audience(caller, c->aud[i]))
			return ERR_OK;
	return ERR_SCOPE;
}

/* Dead of itself or already: nothing to write (RFC 7009: that is fine). */
static int
is_dead(struct core_call *call, const struct seen_token *seen)
{
	const struct token_rules rules = {.iss = call->tenant->issuer,
	    .now = clock_wall_s(call->core->clock)};
	enum err e;

	if (token_check_time(&seen->claims, &rules) == ERR_TOKEN_EXPIRED)
		return 1;
	e = token_alive(call->tenant, seen, NULL);
	return e == ERR_TOKEN_CUT || e == ERR_TOKEN_REVOKED ||
	    e == ERR_TOKEN_KEY || e == ERR_TOKEN_FLOOR;
}

static enum err
revoke_known(struct core_call *call, struct revoking *r)
{
	struct txn tx = {.call = call, .mode = STORE_WRITE,
	    .action = "token.revoke", .object_kind = "device", .arg = r};
	enum err e;

	txn_about_device(&tx, r->seen.claims.dn);
	(void)snprintf(tx.note, sizeof(tx.note), "jti %s",
	    r->seen.claims.jti);
	if (r->device != NULL)
		return revoke_by_device(&tx, r);
	e = gateway_may(call->caller, &r->seen.claims);
	return e == ERR_OK ? txn_run(&tx, revoke_txn) : e;
}

enum err
core_token_revoke(struct core_call *call, const char *identity,
    const char *token, size_t len)
{
	struct revoking r = {.device = NULL};
	struct pskid id;
	int cached;
	enum err e;

	if (identity != NULL) {
		e = identity_open_own(call->core, identity, strlen(identity),
		    &id);
		if (e != ERR_OK || id.tenant != call->tenant->number)
			return ERR_CLIENT;
		r.device = &id;
	} else if (call_check(call) != ERR_OK) {
		return ERR_CREDENTIAL;
	}
	/* Only what is signed by us can fill the feed. */
	e = token_read(call->core, call->tenant, token, len, &r.seen,
	    &cached, &call->detail);
	if (e != ERR_OK)
		return err_status(e) < 500 ? ERR_OK : e;
	if (is_dead(call, &r.seen))
		return ERR_OK;
	return call->may_block ? revoke_known(call, &r) : ERR_WOULD_BLOCK;
}
