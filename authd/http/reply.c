#include "authd/http/reply.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "authd/http/authn.h"
#include "authd/http/server.h"
#include "lib/base/log.h"
#include "lib/wire/problem.h"

static int
is_oauth(const struct req *r)
{
	return r->route != NULL && (r->route->flags & ROUTE_OAUTH) != 0;
}

/* RFC 6749 section 5.2: at the token endpoint 400, or 401 for the client. */
static int
status_of(const struct req *r, enum err e)
{
	int status = err_status(e);

	if (is_oauth(r) && (r->route->flags & ROUTE_TOKEN) != 0 &&
	    (status == 403 || status == 404))
		return strcmp(oauth_error(e), "invalid_client") == 0 ? 401 :
		    400;
	return status;
}

static enum err
encode_error(struct req *r, enum err e)
{
	struct core_call *call = &r->call;
	struct buf *out = &r->reply.body;

	if (is_oauth(r))
		return wire_oauth_error_encode(e, &call->detail,
		    call->server_time, out);
	if (e == ERR_EXPECT)
		return wire_problem_devices_encode(e, &call->detail,
		    call->request_id, call->devices, out);
	return wire_problem_encode(e, &call->detail, call->request_id, out);
}

void
reply_error(struct req *r, enum err e)
{
	/* A name that was looked up may be a credential in the wrong place. */
	if (may_be_credential(r->call.detail.text))
		r->call.detail.text[0] = '\0';
	buf_reset(&r->reply.body);
	r->reply.body.max = REPLY_MAX;
	r->reply.err = e;
	r->reply.status = status_of(r, e);
	r->reply.cacheable = 0;
	r->reply.type = is_oauth(r) ? "application/json" :
	    "application/problem+json";
	if (encode_error(r, e) != ERR_OK)
		buf_reset(&r->reply.body);
	if (r->reply.status == 401)
		r->reply.challenge = authn_challenge(r);
}

static void
add_headers(struct req *r, struct MHD_Response *resp)
{
	static const char *const seconds[] = {"1", "2"};
	const struct reply *p = &r->reply;
	int away = p->err == ERR_NOT_READY || p->err == ERR_STORE;

	(void)MHD_add_response_header(resp, "X-Request-Id",
	    r->call.request_id);
	if (p->body.len > 0 || r->stream != NULL) {
		(void)MHD_add_response_header(resp, "Content-Type",
		    p->type != NULL ? p->type : "application/json");
		(void)MHD_add_response_header(resp, "X-Content-Type-Options",
		    "nosniff");
	}
	(void)MHD_add_response_header(resp, "Cache-Control",
	    p->cacheable ? "public, max-age=60" : "no-store");
	if (p->challenge != NULL)
		(void)MHD_add_response_header(resp, "WWW-Authenticate",
		    p->challenge);
	if (p->err == ERR_METHOD)
		(void)MHD_add_response_header(resp, "Allow", p->allow);
	if (p->status == 429 || p->status == 503)
		(void)MHD_add_response_header(resp, "Retry-After",
		    seconds[away]);
	if (atomic_load(&r->conn->listener->http->draining))
		(void)MHD_add_response_header(resp, "Connection", "close");
}

static int64_t
now_us(void)
{
	struct timespec ts = {0};

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* The path without names, tenant and query; never a credential. */
static void
log_request(struct req *r, int64_t us)
{
	const struct reply *p = &r->reply;
	enum log_level level = p->status >= 500 && !err_retryable(p->err) ?
	    LOG_ERROR_ : LOG_INFO_;

	log_line(level, "request", F_STR("id", r->call.request_id),
	    F_STR("listener", r->conn->listener->kind == ON_API ? "api" :
		"device"),
	    F_STR("peer", r->conn->peer),
	    F_STR("tenant", core_tenant_name(r->call.tenant)),
	    F_STR("method", r->method),
	    F_STR("route", r->route == NULL ? "" : r->route->path),
	    F_INT("status", p->status), F_STR("code", err_code(p->err)),
	    F_STR("detail", p->err == ERR_OK ? "" : r->call.detail.text),
	    F_INT("us", us),
	    F_INT("caller", r->call.caller == NULL ? 0 :
		r->caller.number));
}

enum MHD_Result
reply_send(struct req *r)
{
	struct http *h = r->conn->listener->http;
	struct MHD_Response *resp;
	enum MHD_Result ok;
	int64_t us;

	if (r->reply.status == 0)
		r->reply.status = err_status(r->reply.err);
	/* The body stays in the request until the connection is done. */
	resp = r->stream != NULL ? stream_response(r) :
	    MHD_create_response_from_buffer(r->reply.body.len,
	    r->reply.body.p, MHD_RESPMEM_PERSISTENT);
	if (resp == NULL)
		return MHD_NO;
	add_headers(r, resp);
	/* A stream has no end; who does not read it is cut by the feed. */
	guard_phase(h->guard, r->conn, r->stream != NULL ? CONN_WORKING :
	    CONN_WRITING);
	ok = MHD_queue_response(r->mc, (unsigned)r->reply.status, resp);
	MHD_destroy_response(resp);
	us = r->begun_us == 0 ? 0 : now_us() - r->begun_us;
	metrics_count(h->metrics, r->route, r->reply.status, us);
	log_request(r, us);
	return ok;
}
