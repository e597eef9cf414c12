#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "authd/http/request.h"
#include "lib/base/parse.h"

#define ASSERTION_TYPE \
	"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

enum err api_token(struct req *);
enum err api_token_psk(struct req *);
enum err api_nonce(struct req *);

static enum err
decode_audiences(struct req *r, struct token_request *t)
{
	const char *rows[TOKEN_AUD_MAX];
	size_t n, i;
	enum err e;

	e = form_all(&r->form, "audience", rows, TOKEN_AUD_MAX, &n,
	    &r->call.detail);
	for (i = 0; i < n && e == ERR_OK; i++) {
		if (rows[i][0] == '\0')
			continue; /* RFC 6749 section 3.1: as if omitted */
		if (!name_is_audience(rows[i]))
			e = ERR_TARGET;
		else
			e = copy_str(t->audience[t->naudience++],
			    sizeof(name_t), rows[i]);
	}
	return e;
}

/* What both ways of asking for a token have in common. */
static enum err
decode(struct req *r, struct token_request *t)
{
	struct detail *d = &r->call.detail;
	const char *grant, *scope, *client;
	enum err e;

	memset(t, 0, sizeof(*t));
	e = form_one(&r->form, "grant_type", &grant, d);
	if (e == ERR_OK && grant == NULL) {
		detail_set(d, "parameter grant_type: missing");
		e = ERR_REQUEST;
	}
	if (e == ERR_OK && strcmp(grant, "client_credentials") != 0)
		e = ERR_GRANT_TYPE;
	if (e == ERR_OK)
		e = form_one(&r->form, "client_id", &client, d);
	if (e == ERR_OK && client != NULL &&
	    copy_str(t->client_id, sizeof(t->client_id), client) != ERR_OK)
		e = ERR_CLIENT;
	if (e == ERR_OK)
		e = form_one(&r->form, "scope", &scope, d);
	if (e == ERR_OK && scope != NULL) {
		if (!name_is_scope(scope) ||
		    copy_str(t->scope, sizeof(t->scope), scope) != ERR_OK)
			e = ERR_OAUTH_SCOPE;
	}
	if (e == ERR_OK)
		e = decode_audiences(r, t);
	return e;
}

/* RFC 7521 section 4.2. *out NULL: no assertion. */
static enum err
decode_assertion(struct req *r, const char **out)
{
	struct detail *d = &r->call.detail;
	const char *type, *jwt;
	enum err e;

	e = form_one(&r->form, "client_assertion_type", &type, d);
	if (e == ERR_OK)
		e = form_one(&r->form, "client_assertion", &jwt, d);
	if (e != ERR_OK)
		return e;
	if ((type == NULL) != (jwt == NULL) ||
	    (type != NULL && strcmp(type, ASSERTION_TYPE) != 0)) {
		detail_set(d, "parameter client_assertion_type: %s goes with "
		    "client_assertion", ASSERTION_TYPE);
		return ERR_REQUEST;
	}
	*out = jwt;
	return ERR_OK;
}

/* No character in these needs escaping in JSON (RFC 7515, RFC 6749). */
static enum err
answer(struct req *r, const struct token_answer *a)
{
	return buf_fmt(&r->reply.body,
	    "{\"access_token\":\"%s\",\"token_type\":\"Bearer\","
	    "\"expires_in\":%" PRId64 ",\"scope\":\"%s\"}",
	    a->token.p, a->expires_in, a->scope);
}

/* A request for a token by assertion. */
static enum err
decode_all(struct req *r, struct token_request *t, const char **out)
{
	const char *jwt = NULL, *secret = NULL;
	enum err e;

	e = decode(r, t);
	if (e == ERR_OK)
		e = decode_assertion(r, &jwt);
	if (e == ERR_OK)
		e = form_one(&r->form, "client_secret", &secret,
		    &r->call.detail);
	if (e == ERR_OK && (secret != NULL ||
	    req_header(r, "Authorization") != NULL || jwt == NULL)) {
		detail_set(&r->call.detail, "devices authenticate by "
		    "client_assertion alone");
		e = ERR_CLIENT;
	}
	if (e == ERR_OK)
		*out = jwt;
	return e;
}

enum err
api_token(struct req *r)
{
	struct token_answer a;
	struct token_request t;
	const char *jwt = NULL;
	enum err e;

	memset(&a, 0, sizeof(a));
	a.token.max = TOKEN_MAX;
	e = decode_all(r, &t, &jwt);
	if (e == ERR_OK)
		e = core_token_assertion(&r->call, jwt, strlen(jwt), &t, &a);
	if (e == ERR_OK)
		e = answer(r, &a);
	buf_free(&a.token);
	return e;
}

/* What a run needs beside its requests. */
struct run {
	struct token_request t[TOKEN_RUN_MAX];
	struct token_answer a[TOKEN_RUN_MAX];
	struct token_asked asked[TOKEN_RUN_MAX];
	struct req *of[TOKEN_RUN_MAX];
	size_t n;
};

/* The next of the run, unless it is refused already. */
static void
run_add(struct run *run, struct req *r)
{
	size_t k = run->n;
	const char *jwt = NULL;

	if (r->outcome == ERR_OK)
		r->outcome = decode_all(r, &run->t[k], &jwt);
	if (r->outcome != ERR_OK)
		return;
	memset(&run->a[k], 0, sizeof(run->a[k]));
	run->a[k].token.max = TOKEN_MAX;
	run->asked[k] = (struct token_asked){.call = &r->call, .jwt = jwt,
	    .len = strlen(jwt), .req = &run->t[k], .out = &run->a[k],
	    .e = ERR_INTERNAL};
	run->of[run->n++] = r;
}

void
api_token_run(struct req **r, size_t n)
{
	struct run *run = n <= TOKEN_RUN_MAX ? malloc(sizeof(*run)) : NULL;
	size_t i;

	if (run == NULL) {
		for (i = 0; i < n; i++)
			r[i]->outcome = ERR_NOMEM;
		return;
	}
	run->n = 0;
	for (i = 0; i < n; i++)
		run_add(run, r[i]);
	if (run->n > 0)
		core_token_run(run->of[0]->call.core, run->asked, run->n);
	for (i = 0; i < run->n; i++) {
		run->of[i]->outcome = run->asked[i].e;
		if (run->asked[i].e == ERR_OK)
			run->of[i]->outcome = answer(run->of[i], &run->a[i]);
		buf_free(&run->a[i].token);
	}
	free(run);
}

enum err
api_token_psk(struct req *r)
{
	struct token_answer a;
	struct token_request t;
	const char *jwt = NULL;
	enum err e;

	memset(&a, 0, sizeof(a));
	a.token.max = TOKEN_MAX;
	e = decode(r, &t);
	if (e == ERR_OK)
		e = decode_assertion(r, &jwt);
	if (e == ERR_OK && jwt != NULL) {
		detail_set(&r->call.detail, "the connection has authenticated "
		    "the device: no client_assertion here");
		e = ERR_REQUEST;
	}
	if (e == ERR_OK)
		e = core_token_psk(&r->call, r->conn->identity, &t, &a);
	if (e == ERR_OK)
		e = answer(r, &a);
	buf_free(&a.token);
	return e;
}

enum err
api_nonce(struct req *r)
{
	char nonce[NONCE_TEXT];
	enum err e;

	e = core_nonce(&r->call, nonce);
	if (e == ERR_OK)
		e = buf_fmt(&r->reply.body,
		    "{\"nonce\":\"%s\",\"expires_in\":300}", nonce);
	return e;
}
