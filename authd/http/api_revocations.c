#include <stdlib.h>
#include <string.h>

#include "authd/http/server.h"
#include "lib/base/parse.h"
#include "lib/wire/feed.h"

#define WAIT_MAX 30
#define SET_RUN_MAX 500 /* events of one signed message */

enum err api_feed(struct req *);
enum err api_revocation(struct req *);

/* What the query and the headers ask for. */
struct asked {
	uint64_t after, limit, wait;
	int has_after, events; /* events: server-sent */
};

static enum err
read_last_id(struct req *r, struct asked *a)
{
	const char *id = req_header(r, "Last-Event-ID");

	if (id == NULL || !a->events)
		return ERR_OK;
	if (parse_u64(id, NUMBER_MAX, &a->after) != ERR_OK) {
		detail_set(&r->call.detail, "Last-Event-ID: a position");
		return ERR_REQUEST;
	}
	a->has_after = 1;
	return ERR_OK;
}

static enum err
read_asked(struct req *r, struct asked *a)
{
	static const char *const names[] = {"after", "limit", "wait", NULL};
	const char *accept = req_header(r, "Accept");
	uint64_t none = UINT64_MAX;
	enum err e;

	*a = (struct asked){.limit = SET_RUN_MAX, .after = none};
	a->events = accept != NULL && strstr(accept, "text/event-stream") !=
	    NULL;
	e = req_query_only(r, names);
	if (e == ERR_OK)
		e = req_query_u64(r, "after", NUMBER_MAX, &a->after);
	if (e == ERR_OK)
		e = req_query_u64(r, "limit", FEED_PAGE_MAX, &a->limit);
	if (e == ERR_OK)
		e = req_query_u64(r, "wait", WAIT_MAX, &a->wait);
	if (e == ERR_OK && a->limit == 0) {
		detail_set(&r->call.detail, "parameter limit: 1 to 1000");
		e = ERR_REQUEST;
	}
	a->has_after = a->after != none;
	return e == ERR_OK ? read_last_id(r, a) : e;
}

static enum err
open_stream(struct req *r, const struct asked *a)
{
	enum err e = stream_open(r, a->has_after ? a->after : UINT64_MAX);

	if (e == ERR_OK) {
		r->reply.status = 200;
		r->reply.type = "text/event-stream";
	}
	return e;
}

static enum err
answer_page(struct req *r, uint64_t after, struct feed_page *page)
{
	struct feed_page_text text = {{.max = REPLY_MAX}, {.max = REPLY_MAX}};
	enum err e;

	e = core_feed_sign(&r->call, after, page->events, page->n,
	    page->head, &text);
	if (e == ERR_OK) {
		page->time =
		    clock_wall_s(r->conn->listener->http->conf.clock);
		page->set = text.set.p;
		page->heartbeat = text.heartbeat.p;
		e = wire_feed_encode(page, &r->reply.body);
	}
	page->set = page->heartbeat = NULL; /* they are text's */
	buf_free(&text.set);
	buf_free(&text.heartbeat);
	return e;
}

/* One page; none yet and time to wait: the request sleeps. */
static enum err
poll_page(struct req *r, const struct asked *a)
{
	uint64_t after = a->has_after ? a->after : 0;
	struct feed_page page;
	enum err e;

	memset(&page, 0, sizeof(page));
	page.events = calloc(a->limit, sizeof(*page.events));
	if (page.events == NULL)
		return ERR_NOMEM;
	e = core_feed(&r->call, after, (uint32_t)a->limit, page.events,
	    &page.n, &page.head, &page.floor);
	if (e == ERR_OK && page.n == 0 && a->wait > 0 && !r->polled)
		e = stream_poll(r, after, a->wait);
	else if (e == ERR_OK)
		e = answer_page(r, after, &page);
	feed_page_free(&page);
	return e;
}

enum err
api_feed(struct req *r)
{
	const char *seen = req_header(r, "Fealty-Seen");
	struct asked a;
	enum err e;

	stream_end(r); /* of a poll that is over */
	e = read_asked(r, &a);
	if (e == ERR_OK && seen != NULL)
		e = core_feed_seen(&r->call, seen, strlen(seen));
	if (e != ERR_OK)
		return e;
	return a.events ? open_stream(r, &a) : poll_page(r, &a);
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
