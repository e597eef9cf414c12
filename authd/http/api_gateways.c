#include <string.h>

#include "authd/http/request.h"
#include "lib/wire/feed.h"

enum err api_psk(struct req *);
enum err api_psk_used(struct req *);
enum err api_identity_keys(struct req *);

enum err
api_psk(struct req *r)
{
	struct psk_request req;
	struct psk_answer a;
	enum err e;

	memset(&req, 0, sizeof(req));
	memset(&a, 0, sizeof(a));
	e = wire_psk_request_decode(r->body.p, r->body.len, &req,
	    &r->call.detail);
	if (e == ERR_OK)
		e = core_psk_resolve(&r->call, &req, &a);
	if (e == ERR_OK)
		e = wire_psk_answer_encode(&a, &r->reply.body);
	wipe(&a, sizeof(a));
	return e;
}

enum err
api_psk_used(struct req *r)
{
	struct psk_used used;
	uint32_t known = 0;
	enum err e;

	e = wire_psk_used_decode(r->body.p, r->body.len, &used,
	    &r->call.detail);
	if (e == ERR_OK)
		e = core_psk_used(&r->call, &used, &known);
	if (e == ERR_OK)
		e = req_json(r, 200, json_pack("{s:I}", "known",
		    (json_int_t)known));
	return e;
}

enum err
api_identity_keys(struct req *r)
{
	struct identity_keys k;
	enum err e;

	memset(&k, 0, sizeof(k));
	e = core_identity_keys(&r->call, req_param(r, 0), &k);
	if (e == ERR_OK)
		e = wire_identity_keys_encode(&k, &r->reply.body);
	wipe(&k, sizeof(k));
	return e;
}
