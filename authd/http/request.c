#include "authd/http/request.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "authd/http/authn.h"
#include "authd/http/device_tls.h"
#include "authd/http/server.h"
#include "lib/base/parse.h"
#include "lib/wire/wire.h"

#define DISCARD_MAX ((size_t)1 << 20)
#define KEEP_MAX ((size_t)64 << 10) /* buffers kept between requests */

void
req_begin(struct conn *c, struct MHD_Connection *mc, const char *uri)
{
	struct req *r = &c->req;
	size_t len = strlen(uri);

	guard_phase(c->listener->http->guard, c, CONN_READING);
	r->conn = c;
	r->mc = mc;
	r->state = REQ_HEAD;
	r->refusal = ERR_OK;
	r->route = NULL;
	r->form_parsed = 0;
	r->query.n = r->form.n = 0;
	r->received = 0;
	r->polled = 0;
	r->later = NULL;
	r->begun_us = 0;
	memset(&r->call, 0, sizeof(r->call));
	r->reply.err = ERR_OK;
	r->reply.status = 0;
	r->reply.type = r->reply.challenge = NULL;
	r->reply.allow[0] = '\0';
	r->reply.cacheable = 0;
	r->body.max = 0;
	r->reply.body.max = REPLY_MAX;
	c->requests++;
	if (len > URI_MAX) {
		r->refusal = ERR_TOO_LARGE;
		len = 0;
	}
	memcpy(r->uri, uri, len);
	r->uri[len] = '\0';
}

const char *
req_header(struct req *r, const char *name)
{
	return MHD_lookup_connection_value(r->mc, MHD_HEADER_KIND, name);
}

/* The client's, if it is harmless in a log; else one of our own. */
static void
take_request_id(struct req *r)
{
	static const char ok[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz0123456789._-";
	const char *id = req_header(r, "X-Request-Id");
	size_t len = id == NULL ? 0 : strlen(id);

	if (len >= 1 && len <= 32 && strspn(id, ok) == len)
		memcpy(r->call.request_id, id, len + 1);
	else
		(void)snprintf(r->call.request_id,
		    sizeof(r->call.request_id), "%016" PRIx64 "-%" PRIu32,
		    r->conn->id, r->conn->requests);
}

/* "/t/NAME/rest": the tenant, and path set to "/rest". */
static enum err
take_tenant(struct req *r, const char **path)
{
	struct http *h = r->conn->listener->http;
	const struct core_tenant *t = h->tenant;
	const char *p = *path, *end;
	name_t name;

	if (strncmp(p, "/t/", 3) == 0) {
		end = strchr(p + 3, '/');
		if (end == NULL || end - (p + 3) > NAME_MAX_LEN)
			return ERR_NOT_FOUND;
		memcpy(name, p + 3, (size_t)(end - (p + 3)));
		name[end - (p + 3)] = '\0';
		t = name_is_tenant(name) ? core_tenant_find(h->core, name) :
		    NULL;
		if (t == NULL)
			return ERR_NOT_FOUND;
		*path = end;
	}
	r->call.tenant = t;
	return ERR_OK;
}

/* On the device listener the tenant is the device's, whatever the path. */
static enum err
take_device_tenant(struct req *r, const char *path)
{
	enum err e;

	e = device_tls_identity(r->conn, r->mc);
	if (e != ERR_OK)
		return e;
	if (path != r->uri && r->call.tenant != r->conn->tenant)
		return ERR_NOT_FOUND;
	r->call.tenant = r->conn->tenant;
	return ERR_OK;
}

static enum err
find_route(struct req *r, const char *method)
{
	struct listener *l = r->conn->listener;
	const struct core_tenant *t;
	const struct route *rt;
	const char *path = r->uri;
	enum err e;

	e = take_tenant(r, &path);
	if (e == ERR_OK && l->kind == ON_DEVICE)
		e = take_device_tenant(r, path);
	if (e == ERR_OK)
		e = route_find(l->kind, method, path, &rt, r->param,
		    r->reply.allow);
	if (e != ERR_OK)
		return e;
	if ((rt->flags & ROUTE_DEFAULT) != 0 &&
	    r->call.tenant != l->http->tenant)
		return ERR_NOT_FOUND;
	if ((rt->flags & ROUTE_TENANT) != 0) {
		t = name_is_tenant(r->param[0]) ?
		    core_tenant_find(l->http->core, r->param[0]) : NULL;
		if (t == NULL)
			return ERR_NOT_FOUND;
		r->call.tenant = t; /* never NULL: refusals are logged */
	}
	r->route = rt;
	return ERR_OK;
}

/* Headers that two readers of one request could take differently. */
struct framing {
	const char *length, *encoding;
	unsigned lengths, encodings, authorizations;
};

static enum MHD_Result
count_header(void *arg, enum MHD_ValueKind kind, const char *name,
    const char *value)
{
	struct framing *f = arg;

	if (strcasecmp(name, MHD_HTTP_HEADER_CONTENT_LENGTH) == 0) {
		f->lengths++;
		f->length = value;
	} else if (strcasecmp(name, MHD_HTTP_HEADER_TRANSFER_ENCODING) == 0) {
		f->encodings++;
		f->encoding = value;
	} else if (strcasecmp(name, MHD_HTTP_HEADER_AUTHORIZATION) == 0) {
		f->authorizations++;
	}
	return MHD_YES;
}

/*
 * RFC 9112 section 6.3: a request that a proxy before us could have cut
 * elsewhere than we do is refused, and so is one of two callers.
 */
static enum err
check_framing(struct req *r, const struct framing *f)
{
	if (f->lengths + f->encodings > 1 || (f->encodings == 1 &&
		strcasecmp(f->encoding, "chunked") != 0)) {
		detail_set(&r->call.detail, "one Content-Length, or "
		    "Transfer-Encoding: chunked");
		return ERR_REQUEST;
	}
	if (f->authorizations > 1) {
		detail_set(&r->call.detail, "Authorization: given twice");
		return ERR_REQUEST;
	}
	return ERR_OK;
}

/* ERR_TOO_LARGE if the announced length is beyond what we would read. */
static enum err
check_announced(const struct req *r, const char *length)
{
	size_t max = r->route != NULL ? r->route->max_body : KEEP_MAX;
	uint64_t len;

	if (length == NULL)
		return ERR_OK;
	return parse_u64(length, UINT64_MAX, &len) != ERR_OK || len > max ?
	    ERR_TOO_LARGE : ERR_OK;
}

int
req_head(struct req *r, const char *method)
{
	struct http *h = r->conn->listener->http;
	char *query = strchr(r->uri, '?');
	struct framing f = {0};
	enum err e;

	r->state = REQ_BODY;
	(void)snprintf(r->method, sizeof(r->method), "%s", method);
	r->call.core = h->core;
	r->call.tenant = h->tenant;
	take_request_id(r);
	if (query != NULL)
		*query++ = '\0';
	if (r->refusal == ERR_OK) {
		r->refusal = find_route(r, method);
		/* The same words, whatever part of the path is not there. */
		if (r->refusal == ERR_NOT_FOUND)
			detail_set(&r->call.detail, "nothing is at this path");
	}
	if (r->route != NULL)
		r->body.max = r->route->max_body + 1;
	if (r->refusal == ERR_OK && query != NULL) {
		e = form_parse(query, strlen(query), &r->query,
		    &r->call.detail);
		r->refusal = e;
	}
	(void)MHD_get_connection_values(r->mc, MHD_HEADER_KIND, count_header,
	    &f);
	e = check_framing(r, &f);
	if (e != ERR_OK)
		r->refusal = e; /* whatever else is wrong with it */
	else
		e = check_announced(r, f.length);
	if (r->refusal == ERR_OK)
		r->refusal = e;
	return e != ERR_OK;
}

int
req_body(struct req *r, const char *data, size_t len)
{
	r->received += len;
	if (r->received > DISCARD_MAX)
		return 0;
	if (r->refusal != ERR_OK)
		return 1; /* read on, to be able to say so */
	if (r->received > r->route->max_body)
		r->refusal = ERR_TOO_LARGE;
	else
		r->refusal = buf_add(&r->body, data, len);
	return 1;
}

static void
reset_buf(struct buf *b)
{
	if (b->cap > KEEP_MAX)
		buf_free(b);
	else
		buf_reset(b);
}

void
req_end(struct req *r)
{
	reset_buf(&r->body);
	reset_buf(&r->reply.body);
	r->state = REQ_NONE;
}

void
req_free(struct req *r)
{
	buf_free(&r->body);
	buf_free(&r->reply.body);
}

static int
is_media_type(struct req *r, const char *want)
{
	const char *t = req_header(r, "Content-Type");
	size_t len = strlen(want);

	return t != NULL && strncasecmp(t, want, len) == 0 &&
	    (t[len] == '\0' || t[len] == ';' || t[len] == ' ');
}

enum err
req_form(struct req *r)
{
	enum err e;

	if (r->form_parsed || r->route->max_body == 0)
		return ERR_OK;
	if (!is_media_type(r, "application/x-www-form-urlencoded")) {
		detail_set(&r->call.detail,
		    "content type: application/x-www-form-urlencoded");
		return ERR_MEDIA_TYPE;
	}
	e = buf_add(&r->body, "", 0); /* an empty body: p not NULL */
	if (e == ERR_OK)
		e = form_parse(r->body.p, r->body.len, &r->form,
		    &r->call.detail);
	if (e == ERR_OK)
		r->form_parsed = 1;
	return e;
}

/* JSON routes: the content type, when there is a body. */
static enum err
check_body(struct req *r)
{
	if ((r->route->flags & ROUTE_OAUTH) != 0)
		return req_form(r);
	if (r->body.len > 0 && !is_media_type(r, "application/json")) {
		detail_set(&r->call.detail, "content type: application/json");
		return ERR_MEDIA_TYPE;
	}
	return buf_add(&r->body, "", 0);
}

enum err
req_admit(struct req *r)
{
	enum err e;

	e = authn_request(r);
	if (e == ERR_OK && r->call.caller != NULL &&
	    (r->route->roles & (int)r->caller.role) == 0)
		e = ERR_ROLE;
	return e;
}

enum err
req_ready(struct req *r)
{
	enum err e;

	e = req_admit(r);
	if (e == ERR_OK)
		e = route_check_params(r->route, r->param, &r->call.detail);
	if (e == ERR_OK)
		e = check_body(r);
	return e;
}

enum err
req_run(struct req *r)
{
	enum err e = req_ready(r);

	return e == ERR_OK ? r->route->handler(r) : e;
}

const char *
req_param(const struct req *r, unsigned i)
{
	return r->param[i];
}

enum err
req_query_u64(struct req *r, const char *name, uint64_t max, uint64_t *out)
{
	const char *text;
	enum err e;

	e = form_one(&r->query, name, &text, &r->call.detail);
	if (e != ERR_OK || text == NULL)
		return e;
	e = parse_u64(text, max, out);
	if (e != ERR_OK)
		detail_set(&r->call.detail, "parameter %s: a number of at "
		    "most %" PRIu64, name, max);
	return e;
}

enum err
req_query_only(struct req *r, const char *const *names)
{
	return form_only(&r->query, names, &r->call.detail);
}

enum err
req_json(struct req *r, int status, json_t *o)
{
	enum err e;

	e = jout(o, &r->reply.body);
	if (e == ERR_OK)
		r->reply.status = status;
	return e;
}
