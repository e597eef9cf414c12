#include <string.h>

#include "authd/http/request.h"
#include "lib/wire/burn.h"
#include "lib/wire/registry.h"

enum err api_reserve(struct req *);
enum err api_release(struct req *);
enum err api_confirm(struct req *);
enum err api_verify_challenge(struct req *);
enum err api_verify(struct req *);

enum err
api_reserve(struct req *r)
{
	struct device dev;
	name_t serial;
	int created;
	enum err e;

	e = wire_serial_decode(r->body.p, r->body.len, serial,
	    &r->call.detail);
	if (e == ERR_OK && !name_is_serial(serial)) {
		detail_set(&r->call.detail, "member serial: malformed");
		e = ERR_NAME;
	}
	if (e == ERR_OK)
		e = core_reserve(&r->call, req_param(r, 0), serial, &dev,
		    &created);
	if (e == ERR_OK)
		e = req_json(r, created ? 201 : 200, wire_device_json(&dev));
	return e;
}

enum err
api_release(struct req *r)
{
	struct release_request req;
	struct release rel;
	enum err e;

	memset(&req, 0, sizeof(req));
	memset(&rel, 0, sizeof(rel));
	e = wire_release_request_decode(r->body.p, r->body.len, &req,
	    &r->call.detail);
	if (e == ERR_OK)
		e = core_release(&r->call, req_param(r, 0), &req, &rel);
	if (e == ERR_OK)
		e = wire_release_encode(&rel, &r->reply.body);
	return e;
}

typedef enum err proves(struct core_call *call, const char *device_id,
    const struct confirm *req, struct device *out);

/* An answer to a challenge, and what the device has come to by it. */
static enum err
proven(struct req *r, proves *what)
{
	struct confirm req;
	struct device dev;
	enum err e;

	memset(&req, 0, sizeof(req));
	e = wire_confirm_decode(r->body.p, r->body.len, &req,
	    &r->call.detail);
	if (e == ERR_OK)
		e = what(&r->call, req_param(r, 0), &req, &dev);
	if (e == ERR_OK)
		e = req_json(r, 200, wire_device_json(&dev));
	wipe(&req, sizeof(req));
	return e;
}

enum err
api_confirm(struct req *r)
{
	return proven(r, core_confirm);
}

enum err
api_verify_challenge(struct req *r)
{
	unsigned char challenge[CHALLENGE_LEN];
	uint32_t epoch;
	enum err e;

	e = core_verify_challenge(&r->call, req_param(r, 0), &epoch,
	    challenge);
	if (e == ERR_OK)
		e = req_json(r, 200, wire_challenge_json(epoch, challenge));
	return e;
}

enum err
api_verify(struct req *r)
{
	return proven(r, core_verify);
}
