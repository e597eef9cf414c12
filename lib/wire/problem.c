#include "lib/wire/problem.h"

#include <string.h>

static json_t *
problem_json(enum err e, const struct detail *d, const char *request_id)
{
	const char *more = d != NULL && d->text[0] != '\0' ? d->text :
							     err_text(e);

	return json_pack("{s:s, s:s, s:i, s:s, s:s, s:s}", "type",
	    "about:blank", "title", err_text(e), "status", err_status(e),
	    "code", err_code(e), "detail", more, "request_id",
	    request_id != NULL ? request_id : "");
}

enum err
wire_problem_encode(enum err e, const struct detail *d,
    const char *request_id, struct buf *out)
{
	return jout(problem_json(e, d, request_id), out);
}

enum err
wire_problem_devices_encode(enum err e, const struct detail *d,
    const char *request_id, uint64_t devices, struct buf *out)
{
	json_t *o = problem_json(e, d, request_id);

	if (json_object_set_new(o, "devices",
		json_integer((json_int_t)devices)) != 0) {
		json_decref(o);
		o = NULL;
	}
	return jout(o, out);
}

const char *
oauth_error(enum err e)
{
	switch (e) {
	case ERR_GRANT_TYPE:
	case ERR_GRANT:
	case ERR_OAUTH_SCOPE:
	case ERR_TARGET:
	case ERR_UNAUTHORIZED_CLIENT:
	case ERR_CLIENT:
		return err_code(e);
	default:
		break;
	}
	if (err_retryable(e)) /* RFC 6749 section 4.1.2.1's name for it */
		return "temporarily_unavailable";
	if (err_status(e) == 401)
		return "invalid_client";
	if (err_status(e) == 403) /* who it is is known; it may not */
		return "unauthorized_client";
	if (err_status(e) >= 500)
		return "server_error";
	return "invalid_request";
}

enum err
wire_oauth_error_encode(enum err e, const struct detail *d,
    int64_t server_time, struct buf *out)
{
	const char *more = d != NULL && d->text[0] != '\0' ? d->text :
							     err_text(e);
	json_t *o = json_pack("{s:s, s:s, s:s}", "error", oauth_error(e),
	    "error_description", more, "code", err_code(e));

	if (server_time != 0 && json_object_set_new(o, "server_time",
		json_integer(server_time)) != 0) {
		json_decref(o);
		o = NULL;
	}
	return jout(o, out);
}

/* What a status alone tells. */
static enum err
err_from_status(int status)
{
	switch (status) {
	case 401:
		return ERR_CREDENTIAL;
	case 403:
		return ERR_ROLE;
	case 404:
		return ERR_NOT_FOUND;
	case 405:
		return ERR_METHOD;
	case 413:
		return ERR_TOO_LARGE;
	case 429:
		return ERR_RATE;
	case 503:
		return ERR_BUSY;
	default:
		return status >= 500 ? ERR_INTERNAL : ERR_REQUEST;
	}
}

/* Copies what fits: for people, so a cut text is better than none. */
static void
copy_cut(char *out, size_t size, const json_t *v)
{
	const char *s = json_string_value(v);
	size_t i;

	for (i = 0; s != NULL && s[i] != '\0' && i + 1 < size; i++)
		out[i] = (unsigned char)s[i] < ' ' ? ' ' : s[i];
	out[i] = '\0';
}

void
wire_problem_decode(int status, const char *s, size_t len,
    struct problem *out)
{
	json_t *o = json_loadb(s != NULL ? s : "", len, 0, NULL);
	const char *code = json_string_value(json_object_get(o, "code"));
	json_t *detail = json_object_get(o, "detail");
	json_int_t devices;

	memset(out, 0, sizeof(*out));
	out->err = err_from_status(status);
	if (code != NULL) {
		enum err e = err_from_code(code);

		/* A code of a newer authd: the status still tells. */
		if (e != ERR_OK && (e != ERR_INTERNAL || status >= 500))
			out->err = e;
	}
	if (detail == NULL)
		detail = json_object_get(o, "error_description");
	copy_cut(out->detail, sizeof(out->detail), detail);
	copy_cut(out->request_id, sizeof(out->request_id),
	    json_object_get(o, "request_id"));
	devices = json_integer_value(json_object_get(o, "devices"));
	out->devices = devices > 0 ? (uint64_t)devices : 0;
	json_decref(o);
}
