#include <string.h>

#include "authd/http/request.h"
#include "lib/wire/burn.h"
#include "lib/wire/record.h"

enum err api_rotate(struct req *);
enum err api_rotate_challenge(struct req *);
enum err api_rotate_prove(struct req *);

/* The answer is the record itself: a device needs no parser but its own. */
static enum err
answer(struct req *r, const struct record *rec)
{
	struct secret octets = {0};
	enum err e;

	e = record_encode(rec, &octets);
	if (e == ERR_OK)
		e = buf_add(&r->reply.body, octets.p, octets.len);
	if (e == ERR_OK)
		r->reply.type = "application/cbor";
	secret_free(&octets);
	return e;
}

enum err
api_rotate(struct req *r)
{
	unsigned char request[ROTATE_REQUEST_LEN] = {0};
	struct record rec;
	enum err e;

	memset(&rec, 0, sizeof(rec));
	e = wire_rotate_request_decode(r->body.p, r->body.len, request,
	    sizeof(request), &r->call.detail);
	if (e == ERR_OK)
		e = core_rotate(&r->call, r->conn->identity, request, &rec);
	if (e == ERR_OK)
		e = answer(r, &rec);
	wipe(request, sizeof(request));
	record_wipe(&rec);
	return e;
}

enum err
api_rotate_challenge(struct req *r)
{
	unsigned char challenge[CHALLENGE_LEN];
	uint32_t epoch;
	enum err e;

	e = core_rotate_challenge(&r->call, r->conn->identity, &epoch,
	    challenge);
	if (e == ERR_OK)
		e = req_json(r, 200, wire_challenge_json(epoch, challenge));
	return e;
}

enum err
api_rotate_prove(struct req *r)
{
	struct confirm req;
	struct device dev;
	enum err e;

	memset(&req, 0, sizeof(req));
	e = wire_rotate_proof_decode(r->body.p, r->body.len, &req,
	    &r->call.detail);
	if (e == ERR_OK)
		e = core_rotate_prove(&r->call, r->conn->identity, &req,
		    &dev);
	if (e == ERR_OK)
		e = req_json(r, 200, json_pack("{s:s, s:I}", "device_id",
		    dev.device_id, "epoch", (json_int_t)dev.epoch));
	wipe(&req, sizeof(req));
	return e;
}
