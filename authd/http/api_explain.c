#include <string.h>

#include "authd/http/request.h"
#include "lib/wire/feed.h"
#include "lib/wire/registry.h"

enum err api_explain(struct req *);

struct subject {
	enum explain_kind kind;
	char text[TOKEN_MAX + 1];
};

/* Exactly one of the three members. */
static enum err
decode(struct req *r, struct subject *s)
{
	char token[TOKEN_MAX + 1] = "";
	name_t identity = "", device_id = "";
	struct jin in;
	enum err e;
	int n;

	jin_open(&in, r->body.p, r->body.len, &r->call.detail);
	jin_opt_str(&in, "token", token, sizeof(token));
	jin_opt_str(&in, "identity", identity, sizeof(identity));
	jin_opt_str(&in, "device_id", device_id, sizeof(device_id));
	e = jin_done(&in);
	if (e != ERR_OK)
		return e;
	n = (token[0] != '\0') + (identity[0] != '\0') +
	    (device_id[0] != '\0');
	if (n != 1) {
		detail_set(&r->call.detail,
		    "one of token, identity, device_id");
		return ERR_JSON;
	}
	s->kind = token[0] != '\0' ? EXPLAIN_TOKEN :
	    identity[0] != '\0' ? EXPLAIN_IDENTITY : EXPLAIN_DEVICE;
	memcpy(s->text, token, sizeof(token));
	if (s->kind == EXPLAIN_IDENTITY)
		memcpy(s->text, identity, sizeof(identity));
	if (s->kind == EXPLAIN_DEVICE)
		memcpy(s->text, device_id, sizeof(device_id));
	return ERR_OK;
}

static json_t *
claims_json(const struct token_claims *c)
{
	json_t *aud = json_array(), *grp = json_array();
	uint32_t i;

	for (i = 0; i < c->naud; i++)
		(void)json_array_append_new(aud, json_string(c->aud[i]));
	for (i = 0; i < c->ngrp; i++)
		(void)json_array_append_new(grp,
		    json_integer((json_int_t)c->grp[i]));
	return json_pack("{s:s, s:s, s:o, s:I, s:I, s:s, s:s, s:s, s:I, s:I,"
	    " s:I, s:o, s:I}", "iss", c->iss, "sub", c->sub, "aud", aud,
	    "exp", (json_int_t)c->exp, "iat", (json_int_t)c->iat, "jti",
	    c->jti, "client_id", c->sub, "scope", c->scope, "tid",
	    (json_int_t)c->tid, "dn", (json_int_t)c->dn, "ep",
	    (json_int_t)c->ep, "grp", grp, "pos", (json_int_t)c->pos);
}

static json_t *
explanation_json(const struct explanation *x)
{
	json_t *events = json_array();
	size_t i;

	for (i = 0; i < x->nevents; i++)
		(void)json_array_append_new(events,
		    wire_event_json(&x->events[i]));
	return json_pack("{s:s, s:o, s:o, s:s, s:b, s:s, s:s, s:I, s:o}",
	    "what", x->what, "device",
	    x->has_device ? wire_device_json(&x->device) : json_null(),
	    "claims", x->has_claims ? claims_json(&x->claims) : json_null(),
	    "audience", x->audience, "accepted", x->verdict == ERR_OK,
	    "code", err_code(x->verdict), "reason", err_text(x->verdict),
	    "position", (json_int_t)x->pos, "events", events);
}

enum err
api_explain(struct req *r)
{
	struct explanation x;
	struct subject s;
	enum err e;

	memset(&x, 0, sizeof(x));
	e = decode(r, &s);
	if (e == ERR_OK)
		e = core_explain(&r->call, s.kind, s.text, strlen(s.text),
		    &x);
	if (e == ERR_OK)
		e = req_json(r, 200, explanation_json(&x));
	return e;
}
