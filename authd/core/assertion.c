#include "authd/core/core_internal.h"

#include <stdlib.h>
#include <string.h>

#include "lib/crypt/digest.h"
#include "lib/jose/assertion.h"

/*
 * The order is the security: a kid that this authority did not make costs no
 * query; a wrong signature writes nothing and counts against nobody; only a
 * whole, timely assertion of a device in good standing leaves its mark; and
 * the mark is durable before anything signed leaves.
 */
static enum err
open_kid(struct core_call *call, const struct assertion_form *f,
    struct pskid *id)
{
	const char *kid = f->header.kid;
	enum err e;

	e = identity_open_own(call->core, kid, strlen(kid), id);
	if (e == ERR_OK && id->tenant != call->tenant->number)
		e = ERR_IDENTITY;
	return e == ERR_IDENTITY ? ERR_ASSERTION_KID : e;
}

static enum err
check(struct core_call *call, const struct assertion_form *f,
    const struct device_entry *d, struct assertion *a)
{
	const char *const aud[] = {call->tenant->issuer,
	    call->tenant->endpoint};
	int64_t now = clock_wall_s(call->core->clock);
	struct assertion_keys keys = {&d->assertion, NULL};
	struct es256_public own;
	enum err e;

	call->server_time = now;
	if (d->pub.there) {
		public_point(&d->pub, &own);
		keys.own = &own;
	}
	e = assertion_verify(f, &keys, aud, 2, now, a, &call->detail);
	if (e != ERR_OK)
		return e;
	/* The keys are this device's alone, so this is form, not proof. */
	if (strcmp(a->device_id, d->device.device_id) != 0)
		return ERR_ASSERTION;
	return a->nonce[0] == '\0' ? ERR_OK :
	    nonce_check(call, a->nonce, &a->exp);
}

static enum err
mark_of(const struct core_call *call, const struct device_entry *d,
    const struct assertion *a, struct mark *out)
{
	struct mark m = {.tenant = call->tenant->number, .dn = d->device.dn,
	    .exp = a->exp};
	unsigned char hash[32];
	enum err e;

	e = sha256(a->jti, strlen(a->jti), hash);
	if (e != ERR_OK)
		return e;
	memcpy(m.mark, hash, MARK_LEN);
	*out = m;
	return ERR_OK;
}

/*
 * Signed under a key that is dead: that is told, and stays refused. But one
 * that has been used says nothing new: whoever has read it can say it again.
 */
static enum err
dead_epoch(struct core_call *call, const struct pskid *id,
    const struct device_entry *d, const struct assertion *a)
{
	struct mark m;
	enum err e;

	if (!call->may_block)
		return ERR_WOULD_BLOCK;
	e = mark_of(call, d, a, &m);
	if (e == ERR_OK)
		e = store_mark_use(call->core->pool, &m);
	if (e == ERR_OK)
		e = epoch_used(call, id, "an assertion", NULL);
	return e == ERR_OK || e == ERR_IDENTITY ? ERR_EPOCH_DEAD : e;
}

/* Of one that has proven itself: may it have a token, as things are now? */
static enum err
fit_now(struct core_call *call, const struct pskid *id,
    const struct assertion *a, struct device_entry *d, uint64_t *pos)
{
	enum err e = device_fit(call->tenant, d, *pos);

	if (e == ERR_EPOCH_DEAD && !a->by_own)
		return dead_epoch(call, id, d, a);
	/* The set is newer than the row: look again. */
	if (e == ERR_TOKEN_CUT || e == ERR_DEVICE_BLOCKED ||
	    (e == ERR_OK && !a->by_own &&
	    epoch_is_news(&d->device, d->epoch)))
		e = a->by_own ? device_authenticate(call->core, call->tenant,
		    id, call->may_block, d, pos) :
		    device_admit(call, id, d, pos);
	if (e != ERR_OK || !a->by_own || d->epoch == d->device.epoch)
		return e;
	/* The key pair is no proof of the new K, and puts it to no use. */
	detail_set(&call->detail, "kid: of an epoch that is pending, which "
	    "ES256 does not prove");
	return ERR_ASSERTION_KID;
}

/* All but the one use: whose it is, and that it may have what it asks. */
static enum err
examine(struct core_call *call, const char *jwt, size_t len,
    const struct token_request *req, struct device_entry *d, uint64_t *pos,
    struct mark *m)
{
	struct token_claims grant;
	struct assertion_form f;
	struct assertion a = {0};
	struct pskid id;
	enum err e;

	e = assertion_open(jwt, len, &f, &call->detail);
	if (e == ERR_OK)
		e = open_kid(call, &f, &id);
	if (e == ERR_OK)
		e = device_lookup(call->core, call->tenant, &id,
		    call->may_block, d, pos);
	if (e == ERR_IDENTITY)
		return ERR_ASSERTION_KID;
	if (e == ERR_OK)
		e = check(call, &f, d, &a);
	if (e != ERR_OK)
		return e;
	/* From here on refusals are explained. */
	e = fit_now(call, &id, &a, d, pos);
	if (e == ERR_OK)
		e = token_grant(d, req, &grant);
	if (e == ERR_OK)
		e = tenant_ready(call->core, call->tenant);
	return e == ERR_OK ? mark_of(call, d, &a, m) : e;
}

static void
count_refusal(struct core *c, enum err e)
{
	if (e != ERR_OK && e != ERR_WOULD_BLOCK && !err_retryable(e))
		core_count(c->assertions_refused);
}

enum err
core_token_assertion(struct core_call *call, const char *jwt, size_t len,
    const struct token_request *req, struct token_answer *out)
{
	struct device_entry d;
	uint64_t pos = 0;
	struct mark m;
	enum err e;

	e = examine(call, jwt, len, req, &d, &pos, &m);
	if (e == ERR_OK && !call->may_block)
		e = ERR_WOULD_BLOCK; /* the mark has to be written */
	if (e == ERR_OK)
		e = store_mark_use(call->core->pool, &m);
	if (e == ERR_OK)
		e = token_issue(call, &d, pos, req, out);
	if (e == ERR_OK)
		core_count(call->core->tokens_issued);
	wipe(&d, sizeof(d));
	count_refusal(call->core, e);
	return e;
}

/* What a run keeps of each that has passed, until its mark is durable. */
struct passed {
	struct token_asked *asked;
	struct device_entry d;
	uint64_t pos;
	enum err issued;
};
struct run {
	struct passed *p;
	size_t n;
};

/* Those that pass, with their marks; the others have their answer. */
static size_t
examine_run(struct token_asked *a, size_t n, struct passed *p,
    struct mark *marks)
{
	size_t i, k = 0;

	for (i = 0; i < n; i++) {
		a[i].e = examine(a[i].call, a[i].jwt, a[i].len, a[i].req,
		    &p[k].d, &p[k].pos, &marks[k]);
		if (a[i].e == ERR_OK)
			p[k++].asked = &a[i];
	}
	return k;
}

/* Signs while the marks travel; nothing of it leaves before they are kept. */
static void
issue_run(void *arg)
{
	struct run *r = arg;
	struct passed *p;

	for (p = r->p; p < r->p + r->n; p++)
		p->issued = token_issue(p->asked->call, &p->d, p->pos,
		    p->asked->req, p->asked->out);
}

/* The outcome of one whose mark is decided. */
static enum err
release_token(struct core *c, const struct passed *p, enum err marked)
{
	enum err e = marked;

	if (e == ERR_OK)
		e = p->issued;
	/* The commit may have taken long. */
	if (e == ERR_OK)
		e = tenant_ready(c, p->asked->call->tenant);
	if (e == ERR_OK)
		core_count(c->tokens_issued);
	else
		buf_reset(&p->asked->out->token);
	return e;
}

void
core_token_run(struct core *c, struct token_asked *a, size_t n)
{
	struct mark marks[TOKEN_RUN_MAX];
	enum err outcome[TOKEN_RUN_MAX];
	struct run r = {0};
	size_t i;

	n = n < TOKEN_RUN_MAX ? n : TOKEN_RUN_MAX;
	r.p = malloc(n * sizeof(*r.p));
	for (i = 0; i < n && r.p == NULL; i++)
		a[i].e = ERR_NOMEM;
	if (r.p == NULL)
		return;
	r.n = examine_run(a, n, r.p, marks);
	for (i = 0; i < r.n; i++)
		r.p[i].issued = ERR_INTERNAL;
	if (r.n > 0)
		store_mark_use_many(c->pool, marks, r.n, outcome, issue_run,
		    &r);
	for (i = 0; i < r.n; i++)
		r.p[i].asked->e = release_token(c, &r.p[i], outcome[i]);
	for (i = 0; i < n; i++)
		count_refusal(c, a[i].e);
	wipe(r.p, n * sizeof(*r.p));
	free(r.p);
}
