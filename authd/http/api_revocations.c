#include <stdlib.h>
#include <string.h>

#include "authd/http/server.h"
#include "lib/wire/feed.h"

enum err api_feed(struct req *);
enum err api_revocation(struct req *);

enum err
api_feed(struct req *r)
{
	static const char *const names[] = {"after", "limit", NULL};
	uint64_t after = 0, limit = FEED_PAGE_MAX;
	struct feed_page page;
	enum err e;

	memset(&page, 0, sizeof(page));
	e = req_query_only(r, names);
	if (e == ERR_OK)
		e = req_query_u64(r, "after", NUMBER_MAX, &after);
	if (e == ERR_OK)
		e = req_query_u64(r, "limit", FEED_PAGE_MAX, &limit);
	if (e == ERR_OK && limit == 0) {
		detail_set(&r->call.detail, "parameter limit: 1 to 1000");
		e = ERR_REQUEST;
	}
	if (e != ERR_OK)
		return e;
	page.events = calloc(limit, sizeof(*page.events));
	if (page.events == NULL)
		return ERR_NOMEM;
	e = core_feed(&r->call, after, (uint32_t)limit, page.events, &page.n,
	    &page.head, &page.floor);
	page.time = clock_wall_s(r->conn->listener->http->conf.clock);
	if (e == ERR_OK)
		e = wire_feed_encode(&page, &r->reply.body);
	feed_page_free(&page);
	return e;
}

enum err
api_revocation(struct req *r)
{
	struct revocation_request req;
	struct event ev;
	uint64_t devices = 0;
	json_t *o;
	enum err e;

	memset(&req, 0, sizeof(req));
	memset(&ev, 0, sizeof(ev));
	e = wire_revocation_request_decode(r->body.p, r->body.len, &req,
	    &r->call.detail);
	if (e == ERR_OK)
		e = core_revoke(&r->call, &req, &ev, &devices);
	if (e != ERR_OK)
		return e;
	if (req.dry_run)
		o = json_pack("{s:I}", "devices", (json_int_t)devices);
	else
		o = json_pack("{s:o, s:I}", "event", wire_event_json(&ev),
		    "devices", (json_int_t)devices);
	return req_json(r, req.dry_run ? 200 : 201, o);
}
