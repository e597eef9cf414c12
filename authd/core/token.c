#include "authd/core/core_internal.h"

#include <string.h>

#include "lib/base/b64url.h"
#include "lib/base/parse.h"
#include "lib/crypt/digest.h"

#define JTI_OCTETS 16

/* 1 if the space-separated list has the word. */
static int
has_word(const char *list, const char *word, size_t len)
{
	size_t n;

	for (; *list != '\0'; list += n) {
		list += strspn(list, " ");
		n = strcspn(list, " ");
		if (n == len && len > 0 && memcmp(list, word, len) == 0)
			return 1;
	}
	return 0;
}

static enum err
grant_scope(const struct device_entry *e, const char *asked,
    struct token_claims *c)
{
	const char *p = asked;
	size_t n;

	if (*asked == '\0')
		return copy_str(c->scope, sizeof(c->scope), e->scope);
	if (!name_is_scope(asked))
		return ERR_OAUTH_SCOPE;
	for (; *p != '\0'; p += n) {
		p += strspn(p, " ");
		n = strcspn(p, " ");
		if (n > 0 && !has_word(e->scope, p, n))
			return ERR_OAUTH_SCOPE;
	}
	return copy_str(c->scope, sizeof(c->scope), asked);
}

static int
is_peer(const struct device_entry *e, const char *audience)
{
	uint32_t i;

	for (i = 0; i < e->npeers; i++)
		if (strcmp(e->peers[i], audience) == 0)
			return 1;
	return 0;
}

static int
has_aud(const struct token_claims *c, const char *audience)
{
	uint32_t i;

	for (i = 0; i < c->naud; i++)
		if (strcmp(c->aud[i], audience) == 0)
			return 1;
	return 0;
}

static enum err
grant_audience(const struct device_entry *e, const struct token_request *req,
    struct token_claims *c)
{
	const name_t *want = req->naudience > 0 ? req->audience : e->peers;
	uint32_t n = req->naudience > 0 ? req->naudience : e->npeers;
	uint32_t i;

	if (n == 0 || n > TOKEN_AUD_MAX)
		return ERR_TARGET;
	for (i = 0; i < n; i++) {
		if (!is_peer(e, want[i]))
			return ERR_TARGET;
		if (!has_aud(c, want[i]))
			memcpy(c->aud[c->naud++], want[i], sizeof(name_t));
	}
	return ERR_OK;
}

enum err
token_grant(const struct device_entry *e, const struct token_request *req,
    struct token_claims *c)
{
	enum err err;

	/* RFC 7521 section 4.2: it has to name the same client. */
	if (req->client_id[0] != '\0' &&
	    strcmp(req->client_id, e->device.device_id) != 0)
		return ERR_CLIENT;
	if (e->must_rotate)
		return ERR_ROTATION;
	c->naud = 0;
	err = grant_audience(e, req, c);
	return err == ERR_OK ? grant_scope(e, req->scope, c) : err;
}

enum err
token_issue(struct core_call *call, const struct device_entry *e,
    uint64_t pos, const struct token_request *req, struct token_answer *out)
{
	const struct core_tenant *t = call->tenant;
	struct core_tenant *w = tenant_writable(t);
	struct core *c = call->core;
	unsigned char raw[JTI_OCTETS];
	struct token_claims claims = {0};
	enum err err;

	err = token_grant(e, req, &claims);
	if (err == ERR_OK)
		err = tenant_ready(c, t);
	if (err == ERR_OK)
		err = random_bytes(raw, sizeof(raw));
	if (err != ERR_OK)
		return err;
	b64url_encode(raw, sizeof(raw), claims.jti);
	memcpy(claims.iss, t->issuer, sizeof(claims.iss));
	memcpy(claims.sub, e->device.device_id, sizeof(claims.sub));
	claims.iat = clock_wall_s(c->clock);
	claims.exp = claims.iat + (int64_t)c->token_life;
	claims.tid = t->number;
	claims.dn = e->device.dn;
	claims.ep = e->epoch;
	claims.ngrp = e->device.ngroups;
	memcpy(claims.grp, e->device.groups, sizeof(claims.grp));
	claims.pos = pos;
	(void)pthread_rwlock_rdlock(&w->keys_lock);
	err = token_sign(t->keys->token, &claims, &out->token);
	(void)pthread_rwlock_unlock(&w->keys_lock);
	if (err != ERR_OK)
		return err;
	out->expires_in = (int64_t)c->token_life;
	memcpy(out->scope, claims.scope, sizeof(out->scope));
	return ERR_OK;
}

/* Of whom this authenticated connection is; no query. */
static enum err
own_identity(struct core_call *call, const char *identity, struct pskid *id)
{
	enum err e;

	e = identity_open_own(call->core, identity, strlen(identity), id);
	if (e == ERR_OK && id->tenant != call->tenant->number)
		return ERR_CLIENT;
	return e == ERR_IDENTITY ? ERR_CLIENT : e;
}

enum err
core_token_psk(struct core_call *call, const char *identity,
    const struct token_request *req, struct token_answer *out)
{
	struct device_entry d;
	struct pskid id;
	uint64_t pos = 0;
	enum err e;

	e = own_identity(call, identity, &id);
	if (e == ERR_OK)
		e = tenant_ready(call->core, call->tenant);
	if (e != ERR_OK)
		return e;
	e = device_admit(call, &id, &d, &pos);
	if (e == ERR_OK)
		e = token_issue(call, &d, pos, req, out);
	if (e == ERR_OK)
		core_count(call->core->tokens_issued);
	wipe(&d, sizeof(d));
	return e == ERR_IDENTITY ? ERR_CLIENT : e;
}
