#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "gateway/agent/agent.h"
#include "lib/base/secret.h"
#include "lib/wire/problem.h"

/* What a request says, taken strictly: what is odd is refused, not guessed. */

static const char *const names[ROUTES] = {
	"/auth", "/ext_authz", "/psk", "/psk/used", "/status", "/metrics",
	"none"
};

const char *
route_name(enum route route)
{
	return (names[route]);
}

static enum route
find_route(const char *url)
{
	size_t n = strlen(names[ROUTE_EXT_AUTHZ]);

	/* Envoy puts the path of what was asked behind it */
	if (strncmp(url, names[ROUTE_EXT_AUTHZ], n) == 0 && url[n] == '/')
		return (ROUTE_EXT_AUTHZ);
	for (int i = 0; i < ROUTE_NONE; i++)
		if (strcmp(url, names[i]) == 0)
			return ((enum route)i);
	return (ROUTE_NONE);
}

static void
refuse(struct req *r, enum err e)
{
	if (r->refusal == ERR_OK)
		r->refusal = e;
}

/* RFC 6749 section 3.3, with the blanks between. */
static int
is_scope(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (s[i] < ' ' || s[i] > '~' || s[i] == '"' || s[i] == '\\')
			return (0);
	return (1);
}

/* Whoever asks for more adds to it; nothing takes away. */
static void
require_scope(struct req *r, const char *s, size_t len)
{
	size_t at = strlen(r->required);

	/* a blank one is a slip, too: it would require nothing */
	if (s == NULL || !is_scope(s, len) || strspn(s, " ") >= len ||
	    at + len + 2 > sizeof(r->required)) {
		refuse(r, ERR_REQUEST);
		return;
	}
	if (at > 0)
		r->required[at++] = ' ';
	memcpy(r->required + at, s, len);
	r->required[at + len] = '\0';
}

static enum MHD_Result
on_argument(void *cls, enum MHD_ValueKind kind, const char *name,
    size_t name_len, const char *value, size_t len)
{
	struct req *r = cls;

	/* a slip of the pen in a proxy's configuration opens nothing */
	if (name_len == 5 && memcmp(name, "scope", 5) == 0)
		require_scope(r, value, len);
	else
		refuse(r, ERR_REQUEST);
	return (MHD_YES);
}

static void
take_token(struct req *r, const char *value, size_t len)
{
	static const char scheme[] = "Bearer ";
	size_t n = sizeof(scheme) - 1;

	/* two of them: which one would the other side believe? */
	if (r->authorizations++ > 0) {
		refuse(r, ERR_REQUEST);
		return;
	}
	if (len <= n || strncasecmp(value, scheme, n) != 0)
		return;
	r->token = value + n + strspn(value + n, " ");
	if (strlen(value) != len || *r->token == '\0')
		refuse(r, ERR_TOKEN);
}

static enum MHD_Result
on_header(void *cls, enum MHD_ValueKind kind, const char *name,
    size_t name_len, const char *value, size_t len)
{
	struct req *r = cls;

	if (strcasecmp(name, "Authorization") == 0)
		take_token(r, value, len);
	else if (strcasecmp(name, "Fealty-Require-Scope") == 0)
		require_scope(r, value, len);
	return (MHD_YES);
}

static void
begin_auth(struct req *r)
{
	(void)MHD_get_connection_values_n(r->mc, MHD_HEADER_KIND, on_header,
	    r);
	/* behind /ext_authz the query is the client's: it says nothing */
	if (r->route == ROUTE_AUTH)
		(void)MHD_get_connection_values_n(r->mc,
		    MHD_GET_ARGUMENT_KIND, on_argument, r);
	if (r->token == NULL)
		refuse(r, ERR_CREDENTIAL);
}

static int
about_keys(enum route route)
{
	return (route == ROUTE_PSK || route == ROUTE_PSK_USED);
}

static int
takes(enum route route, const char *method)
{
	if (route == ROUTE_EXT_AUTHZ)
		return (1); /* the method is the client's */
	if (about_keys(route))
		return (strcmp(method, "POST") == 0);
	return (strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0);
}

struct req *
request_new(struct door *door, struct MHD_Connection *mc, const char *url,
    const char *method)
{
	struct req *r;

	if ((r = calloc(1, sizeof(*r))) == NULL)
		return (NULL);
	r->door = door;
	r->mc = mc;
	r->state = REQ_BODY;
	r->answer.max = 65536;
	r->begun_us = now_us();
	r->route = find_route(url);
	if (r->route == ROUTE_NONE)
		refuse(r, ERR_NOT_FOUND);
	else if (!takes(r->route, method))
		refuse(r, ERR_METHOD);
	if (r->route == ROUTE_AUTH || r->route == ROUTE_EXT_AUTHZ)
		begin_auth(r);
	if (about_keys(r->route) && r->refusal == ERR_OK)
		refuse(r, psk_admit(r));
	return (r);
}

int
request_body(struct req *r, const char *data, size_t len)
{
	r->seen += len;
	if (!about_keys(r->route))
		return (r->seen <= DISCARD_MAX); /* nobody reads it */
	if (r->seen > BODY_MAX)
		refuse(r, ERR_TOO_LARGE);
	else
		memcpy(r->body + r->seen - len, data, len);
	return (r->seen <= DISCARD_MAX);
}

int
request_may_wait(const struct req *r, uint32_t waited_ms)
{
	return (r->decision.retry && waited_ms == 0 && !r->last_try &&
	    err_from_code(r->decision.code) != ERR_STALE);
}

void
request_free(struct req *r)
{
	buf_free(&r->answer);
	wipe(r, sizeof(*r));
	free(r);
}

enum err
request_run(struct req *r, uint32_t wait_ms)
{
	switch (r->route) {
	case ROUTE_AUTH:
	case ROUTE_EXT_AUTHZ:
		return (auth_run(r, wait_ms));
	case ROUTE_PSK:
		return (psk_run(r, wait_ms));
	case ROUTE_PSK_USED:
		psk_used_run(r);
		return (ERR_OK);
	default:
		break;
	}
	if (r->refusal != ERR_OK)
		answer_error(r, r->refusal, "");
	else if (r->route == ROUTE_STATUS)
		status_run(r);
	else
		metrics_run(r);
	return (ERR_OK);
}

/* RFC 9457, as authd's. */
void
answer_error(struct req *r, enum err e, const char *reason)
{
	struct detail d = {""};

	detail_set(&d, "%s", reason);
	buf_reset(&r->answer);
	r->err = e;
	r->status = (unsigned)err_status(e);
	r->type = "application/problem+json";
	(void)snprintf(r->decision.code, sizeof(r->decision.code), "%s",
	    err_code(e));
	(void)snprintf(r->decision.reason, sizeof(r->decision.reason), "%s",
	    reason[0] != '\0' ? reason : err_text(e));
	if (wire_problem_encode(e, &d, "", &r->answer) != ERR_OK)
		buf_reset(&r->answer);
}
