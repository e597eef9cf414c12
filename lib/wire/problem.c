#include "lib/wire/problem.h"

#include <string.h>

static json_t *
problem_json(enum err e, const struct detail *d, const char *request_id)
{
	const char *detail = d != NULL && d->text[0] != '\0' ?
	    d->text : err_text(e);

	return json_pack("{ss ss si ss ss ss}", "type", "about:blank",
	    "title", err_text(e), "status", err_status(e),
	    "code", err_code(e), "detail", detail,
	    "request_id", request_id != NULL ? request_id : "");
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

	if (o != NULL && json_object_set_new(o, "devices",
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
	case ERR_CLIENT:
	case ERR_CREDENTIAL:
	case ERR_ASSERTION:
	case ERR_ASSERTION_KID:
	case ERR_ASSERTION_SIGNATURE:
	case ERR_ASSERTION_TIME:
	case ERR_ASSERTION_AUDIENCE:
	case ERR_ASSERTION_USED:
	case ERR_NONCE:
	case ERR_EPOCH_DEAD:
	case ERR_IDENTITY:
		return "invalid_client";
	case ERR_GRANT_TYPE:
		return "unsupported_grant_type";
	case ERR_GRANT:
		return "invalid_grant";
	case ERR_OAUTH_SCOPE:
		return "invalid_scope";
	case ERR_TARGET:
		return "invalid_target";
	case ERR_UNAUTHORIZED_CLIENT:
	case ERR_ROLE:
	case ERR_SCOPE:
	case ERR_DEVICE_BLOCKED:
	case ERR_DEVICE_SUSPENDED:
	case ERR_DEVICE_REVOKED:
	case ERR_DEVICE_INACTIVE:
	case ERR_GROUP_BLOCKED:
	case ERR_TENANT_BLOCKED:
	case ERR_ROTATION:
		return "unauthorized_client";
	default:
		break;
	}
	if (err_retryable(e))
		return "temporarily_unavailable";
	return err_status(e) >= 500 ? "server_error" : "invalid_request";
}

/*
 * RFC 6749 allows neither quote nor backslash nor anything beyond ASCII in
 * error_description.
 */
static void
description(enum err e, const struct detail *d, char out[256])
{
	const char *s = d != NULL && d->text[0] != '\0' ?
	    d->text : err_text(e);
	size_t i;

	for (i = 0; s[i] != '\0' && i < 255; i++) {
		out[i] = s[i];
		if (s[i] == '"' || s[i] == '\\')
			out[i] = '\'';
		else if (s[i] < 0x20 || s[i] > 0x7e)
			out[i] = '?';
	}
	out[i] = '\0';
}

enum err
wire_oauth_error_encode(enum err e, const struct detail *d,
    int64_t server_time, struct buf *out)
{
	char text[256];
	json_t *o;

	description(e, d, text);
	o = json_pack("{ss ss ss}", "error", oauth_error(e),
	    "error_description", text, "code", err_code(e));
	if (o != NULL && server_time != 0 && json_object_set_new(o,
	    "server_time", json_integer(server_time)) != 0) {
		json_decref(o);
		o = NULL;
	}
	return jout(o, out);
}

static enum err
by_status(int status)
{
	switch (status) {
	case 400:
		return ERR_REQUEST;
	case 401:
		return ERR_CREDENTIAL;
	case 403:
		return ERR_ROLE;
	case 404:
		return ERR_NOT_FOUND;
	case 405:
		return ERR_METHOD;
	case 409:
		return ERR_WRONG_STATE;
	case 413:
		return ERR_TOO_LARGE;
	case 415:
		return ERR_MEDIA_TYPE;
	case 422:
		return ERR_REQUEST;
	case 429:
		return ERR_RATE;
	case 502:
	case 503:
	case 504:
		return ERR_NOT_READY;
	default:
		return ERR_INTERNAL;
	}
}

/* Of a peer's text only what a terminal takes as text. */
static void
copy_plain(char *out, size_t size, const json_t *v)
{
	const char *s = json_string_value(v);
	size_t i;

	if (s == NULL)
		return;
	for (i = 0; s[i] != '\0' && i < size - 1; i++)
		out[i] = s[i] >= 0x20 && s[i] < 0x7f ? s[i] : '?';
	out[i] = '\0';
}

void
wire_problem_decode(int status, const char *s, size_t len,
    struct problem *out)
{
	const json_t *n;
	const char *code;
	enum err e;
	json_t *o;

	memset(out, 0, sizeof(*out));
	out->err = by_status(status);
	o = json_loadb(s != NULL ? s : "", len, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(o)) {
		json_decref(o);
		return;
	}
	/* Unknown codes give INTERNAL: the status then says more. "ok" lies. */
	code = json_string_value(json_object_get(o, "code"));
	e = code == NULL ? ERR_INTERNAL : err_from_code(code);
	if (e != ERR_INTERNAL && e != ERR_OK)
		out->err = e;
	copy_plain(out->detail, sizeof(out->detail),
	    json_object_get(o, "error_description"));
	copy_plain(out->detail, sizeof(out->detail),
	    json_object_get(o, "detail"));
	if (strcmp(out->detail, err_text(out->err)) == 0)
		out->detail[0] = '\0';
	copy_plain(out->request_id, sizeof(out->request_id),
	    json_object_get(o, "request_id"));
	n = json_object_get(o, "devices");
	if (json_is_integer(n) && json_integer_value(n) > 0)
		out->devices = (uint64_t)json_integer_value(n);
	json_decref(o);
}
