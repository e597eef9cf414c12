#include "authd/core/core_internal.h"

#include <string.h>

#include "lib/crypt/digest.h"
#include "lib/jose/assertion.h"

/*
 * The order is the security: a kid that this authority did not make costs no
 * query; a wrong signature writes nothing and counts against nobody; only a
 * whole, timely assertion of a device in good standing leaves its mark; and
 * the mark is durable before anything is signed.
 */
static enum err
open_kid(struct core_call *call, const char *jwt, size_t len,
    struct pskid *id)
{
	char identity[PSKID_LEN + 1];
	enum err e;

	e = assertion_identity(jwt, len, identity, &call->detail);
	if (e != ERR_OK)
		return e;
	e = identity_open_own(call->core, identity, strlen(identity), id);
	if (e == ERR_OK && id->tenant != call->tenant->number)
		e = ERR_IDENTITY;
	return e == ERR_IDENTITY ? ERR_ASSERTION_KID : e;
}

static enum err
check(struct core_call *call, const char *jwt, size_t len,
    const struct device_entry *d, struct assertion *a)
{
	const char *const aud[] = {call->tenant->issuer,
	    call->tenant->endpoint};
	int64_t now = clock_wall_s(call->core->clock);
	enum err e;

	call->server_time = now;
	e = assertion_verify(jwt, len, &d->assertion, aud, 2, now, a,
	    &call->detail);
	if (e != ERR_OK)
		return e;
	/* The key is this device's alone, so this is form, not proof. */
	if (strcmp(a->device_id, d->device.device_id) != 0)
		return ERR_ASSERTION;
	return a->nonce[0] == '\0' ? ERR_OK :
	    nonce_check(call, a->nonce, &a->exp);
}

static enum err
use_once(struct core_call *call, const struct device_entry *d,
    const struct assertion *a)
{
	struct mark m = {.tenant = call->tenant->number, .dn = d->device.dn,
	    .exp = a->exp};
	unsigned char hash[32];
	enum err e;

	e = sha256(a->jti, strlen(a->jti), hash);
	if (e != ERR_OK)
		return e;
	memcpy(m.mark, hash, MARK_LEN);
	return store_mark_use(call->core->pool, &m);
}

static enum err
redeem(struct core_call *call, const char *jwt, size_t len,
    const struct pskid *id, const struct token_request *req,
    struct token_answer *out, struct device_entry *d)
{
	struct token_claims grant;
	struct assertion a = {0};
	uint64_t pos = 0;
	enum err e, state;

	e = device_lookup(call->core, call->tenant, id, 1, d, &pos);
	if (e == ERR_IDENTITY)
		return ERR_ASSERTION_KID;
	if (e == ERR_OK)
		e = check(call, jwt, len, d, &a);
	if (e != ERR_OK)
		return e;
	/* It has proven itself: from here on refusals are explained. */
	state = device_fit(call->tenant, d, pos);
	/* The set is newer than the row: look again. */
	if (state == ERR_TOKEN_CUT || state == ERR_DEVICE_BLOCKED)
		state = device_authenticate(call->core, call->tenant, id, 1,
		    d, &pos);
	if (state != ERR_OK)
		return state;
	e = token_grant(d, req, &grant);
	if (e == ERR_OK)
		e = tenant_ready(call->core, call->tenant);
	if (e == ERR_OK)
		e = use_once(call, d, &a);
	return e == ERR_OK ? token_issue(call, d, pos, req, out) : e;
}

enum err
core_token_assertion(struct core_call *call, const char *jwt, size_t len,
    const struct token_request *req, struct token_answer *out)
{
	struct device_entry d;
	struct pskid id;
	enum err e;

	e = open_kid(call, jwt, len, &id);
	if (e == ERR_OK && !call->may_block)
		return ERR_WOULD_BLOCK; /* the mark has to be written */
	if (e == ERR_OK)
		e = redeem(call, jwt, len, &id, req, out, &d);
	wipe(&d, sizeof(d));
	if (e != ERR_OK && !err_retryable(e))
		core_count(call->core->assertions_refused);
	return e;
}
