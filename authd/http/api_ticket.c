#include <stdlib.h>
#include <string.h>

#include "authd/http/request.h"
#include "lib/wire/ticket.h"

enum err api_ticket_pull(struct req *);
enum err api_ticket_push(struct req *);

enum err
api_ticket_pull(struct req *r)
{
	struct ticket_request req;
	struct ticket t = {.n = 0};
	enum err e;

	memset(&req, 0, sizeof(req));
	e = wire_ticket_request_decode(r->body.p, r->body.len, &req,
	    &r->call.detail);
	if (e == ERR_OK)
		e = core_ticket_pull(&r->call, req_param(r, 0), &req, &t);
	if (e == ERR_OK)
		e = wire_ticket_encode(&t, &r->reply.body);
	if (e == ERR_OK)
		r->reply.status = 201;
	ticket_free(&t);
	return e;
}

enum err
api_ticket_push(struct req *r)
{
	struct ticket_burn *burns = calloc(TICKET_PUSH_MAX, sizeof(*burns));
	struct ticket_result *out = calloc(TICKET_PUSH_MAX, sizeof(*out));
	size_t n = 0;
	enum err e = ERR_NOMEM;

	if (burns != NULL && out != NULL)
		e = wire_ticket_push_decode(r->body.p, r->body.len, burns, &n,
		    &r->call.detail);
	if (e == ERR_OK)
		e = core_ticket_push(&r->call, req_param(r, 0), burns, n, out);
	if (e == ERR_OK)
		e = wire_ticket_results_encode(out, n, &r->reply.body);
	free(burns);
	free(out);
	return e;
}
