#include <string.h>

#include "authd/http/request.h"

#define BATCH_MAX 100

enum err api_introspect(struct req *);

/* RFC 7662 section 2.2: a token that is not good is an answer, no error. */
static int
is_verdict(enum err e)
{
	return e != ERR_OK && err_status(e) < 500 && err_status(e) != 429;
}

static enum err
introspect_one(struct req *r, const char *token, struct buf *out)
{
	enum err e;

	e = core_introspect(&r->call, token, strlen(token), out);
	if (!is_verdict(e))
		return e;
	/* To a gateway outside its audience nothing is said of why. */
	if (e == ERR_TOKEN_AUDIENCE)
		return buf_str(out, "{\"active\":false}");
	return buf_fmt(out, "{\"active\":false,\"code\":\"%s\"}",
	    err_code(e));
}

static enum err
introspect_batch(struct req *r, const char *const *tokens, size_t n)
{
	struct buf *out = &r->reply.body;
	enum err e;
	size_t i;

	e = buf_str(out, "{\"results\":[");
	for (i = 0; i < n && e == ERR_OK; i++) {
		if (i > 0)
			e = buf_str(out, ",");
		if (e == ERR_OK)
			e = introspect_one(r, tokens[i], out);
	}
	if (e == ERR_OK)
		e = buf_str(out, "]}");
	return e;
}

enum err
api_introspect(struct req *r)
{
	const char *tokens[BATCH_MAX];
	size_t n;
	enum err e;

	e = form_all(&r->form, "token", tokens, BATCH_MAX, &n,
	    &r->call.detail);
	if (e == ERR_OK && (n == 0 || tokens[0][0] == '\0')) {
		detail_set(&r->call.detail, "parameter token: missing");
		e = ERR_REQUEST;
	}
	if (e != ERR_OK)
		return e;
	e = n == 1 ? introspect_one(r, tokens[0], &r->reply.body) :
	    introspect_batch(r, tokens, n);
	if (e != ERR_OK)
		buf_reset(&r->reply.body); /* it may be asked again */
	return e;
}
