#include <stdlib.h>
#include <string.h>

#include "authd/http/request.h"
#include "lib/wire/registry.h"

enum err api_caller_create(struct req *);
enum err api_caller_list(struct req *);
enum err api_caller_disable(struct req *);

/* What a gateway has to pin goes with its credential (docs/feed.md). */
static json_t *
add_trust(struct req *r, const struct caller *c, json_t *o)
{
	struct buf text = {.max = 1024};
	json_t *root = NULL;

	if (c->role != ROLE_GATEWAY || o == NULL)
		return o;
	if (core_root_jwk(r->call.tenant, &text) == ERR_OK)
		root = json_loadb(text.p, text.len, 0, NULL);
	buf_free(&text);
	if (root == NULL || json_object_set_new(o, "root", root) != 0 ||
	    json_object_set_new(o, "issuer", json_string(
	    core_tenant_issuer(r->call.tenant))) != 0) {
		json_decref(o);
		return NULL;
	}
	return o;
}

enum err
api_caller_create(struct req *r)
{
	char text[CREDENTIAL_LEN + 1] = "";
	struct secret credential = {0};
	struct caller c;
	enum err e;

	memset(&c, 0, sizeof(c));
	e = wire_caller_request_decode(r->body.p, r->body.len, &c,
	    &r->call.detail);
	if (e == ERR_OK)
		e = core_caller_create(&r->call, &c, &credential);
	if (e == ERR_OK && credential.len < CREDENTIAL_LEN)
		e = ERR_INTERNAL;
	if (e == ERR_OK) {
		memcpy(text, credential.p, CREDENTIAL_LEN);
		e = req_json(r, 201, add_trust(r, &c,
		    wire_caller_json(&c, text)));
	}
	wipe(text, sizeof(text));
	secret_free(&credential);
	return e;
}

enum err
api_caller_list(struct req *r)
{
	struct caller *rows = calloc(CORE_LIST_MAX, sizeof(*rows));
	json_t *a = json_array();
	size_t n = 0, i;
	enum err e = ERR_NOMEM;

	if (rows != NULL && a != NULL)
		e = core_caller_list(&r->call, rows, CORE_LIST_MAX, &n);
	for (i = 0; i < n && e == ERR_OK; i++)
		if (json_array_append_new(a,
			wire_caller_json(&rows[i], NULL)))
			e = ERR_NOMEM;
	free(rows);
	if (e == ERR_OK)
		return req_json(r, 200, wire_list("callers", a, UINT64_MAX));
	json_decref(a);
	return e;
}

enum err
api_caller_disable(struct req *r)
{
	struct caller c;
	enum err e;

	e = wire_reason_decode(r->body.p, r->body.len, NULL,
	    &r->call.detail);
	if (e == ERR_OK)
		e = core_caller_disable(&r->call, req_param(r, 0), &c);
	if (e == ERR_OK)
		e = req_json(r, 200, wire_caller_json(&c, NULL));
	return e;
}
