#include <stdlib.h>
#include <string.h>

#include "authd/http/request.h"
#include "lib/wire/registry.h"
#include "lib/wire/summary.h"

enum err api_tenant_create(struct req *);
enum err api_audience_put(struct req *);
enum err api_audience_list(struct req *);
enum err api_order_create(struct req *);
enum err api_order_list(struct req *);
enum err api_order_get(struct req *);
enum err api_order_summary(struct req *);
enum err api_order_close(struct req *);

enum err
api_tenant_create(struct req *r)
{
	char issuer[ISSUER_MAX + 1];
	struct secret credential = {0};
	uint32_t number;
	name_t name;
	json_t *o;
	enum err e;

	e = wire_tenant_request_decode(r->body.p, r->body.len, name,
	    &r->call.detail);
	if (e == ERR_OK)
		e = core_tenant_create(&r->call, name, &number, issuer,
		    &credential);
	if (e == ERR_OK) {
		o = json_pack("{s:s, s:I, s:s, s:s%}", "name", name,
		    "number", (json_int_t)number, "issuer", issuer,
		    "admin_credential", (const char *)credential.p,
		    credential.len);
		e = req_json(r, 201, o);
	}
	secret_free(&credential);
	return e;
}

enum err
api_audience_put(struct req *r)
{
	struct audience a;
	enum err e;

	memset(&a, 0, sizeof(a));
	e = wire_audience_request_decode(r->body.p, r->body.len, &a,
	    &r->call.detail);
	if (e == ERR_OK) {
		memcpy(a.name, req_param(r, 0), strlen(req_param(r, 0)) + 1);
		e = core_audience_put(&r->call, &a);
	}
	if (e == ERR_OK)
		e = req_json(r, 200, wire_audience_json(&a));
	return e;
}

enum err
api_audience_list(struct req *r)
{
	struct audience *rows = calloc(CORE_LIST_MAX, sizeof(*rows));
	json_t *a = json_array();
	size_t n = 0, i;
	enum err e = ERR_NOMEM;

	if (rows != NULL && a != NULL)
		e = core_audience_list(&r->call, rows, CORE_LIST_MAX, &n);
	for (i = 0; i < n && e == ERR_OK; i++)
		if (json_array_append_new(a, wire_audience_json(&rows[i])))
			e = ERR_NOMEM;
	free(rows);
	if (e == ERR_OK)
		return req_json(r, 200,
		    wire_list("audiences", a, UINT64_MAX));
	json_decref(a);
	return e;
}

enum err
api_order_create(struct req *r)
{
	struct order o;
	enum err e;

	memset(&o, 0, sizeof(o));
	e = wire_order_request_decode(r->body.p, r->body.len, &o,
	    &r->call.detail);
	if (e == ERR_OK)
		e = order_validate(&o, &r->call.detail);
	if (e == ERR_OK)
		e = core_order_create(&r->call, &o);
	if (e == ERR_OK)
		e = req_json(r, 201, wire_order_json(&o));
	return e;
}

enum err
api_order_list(struct req *r)
{
	struct order *rows = calloc(CORE_LIST_MAX, sizeof(*rows));
	json_t *a = json_array();
	size_t n = 0, i;
	enum err e = ERR_NOMEM;

	if (rows != NULL && a != NULL)
		e = core_order_list(&r->call, rows, CORE_LIST_MAX, &n);
	for (i = 0; i < n && e == ERR_OK; i++)
		if (json_array_append_new(a, wire_order_json(&rows[i])))
			e = ERR_NOMEM;
	free(rows);
	if (e == ERR_OK)
		return req_json(r, 200, wire_list("orders", a, UINT64_MAX));
	json_decref(a);
	return e;
}

enum err
api_order_get(struct req *r)
{
	struct order o;
	enum err e;

	e = core_order_get(&r->call, req_param(r, 0), &o);
	if (e == ERR_OK)
		e = req_json(r, 200, wire_order_json(&o));
	return e;
}

enum err
api_order_summary(struct req *r)
{
	struct order_summary s;
	enum err e;

	e = core_order_summary(&r->call, req_param(r, 0), &s);
	if (e == ERR_OK)
		e = req_json(r, 200, wire_summary_json(&s));
	return e;
}

enum err
api_order_close(struct req *r)
{
	struct order o;
	enum err e;

	e = wire_reason_decode(r->body.p, r->body.len, NULL,
	    &r->call.detail);
	if (e == ERR_OK)
		e = core_order_close(&r->call, req_param(r, 0), &o);
	if (e == ERR_OK)
		e = req_json(r, 200, wire_order_json(&o));
	return e;
}
