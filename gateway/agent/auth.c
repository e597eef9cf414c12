#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "gateway/agent/agent.h"

/*
 * GET /auth: whether a token is good here and now, in the words that proxies
 * understand: 204 (200 for Envoy) or 401 or 403, and headers. Anything else
 * would be taken for an error, which some of them can be told to ignore.
 */

static int
has_word(const char *list, const char *word, size_t len)
{
	size_t n;

	while (*(list += strspn(list, " ")) != '\0') {
		n = strcspn(list, " ");
		if (n == len && memcmp(list, word, n) == 0)
			return (1);
		list += n;
	}
	return (0);
}

/* Whether each word of required is one of scope's. */
static int
covers(const char *scope, const char *required)
{
	size_t n;

	/* a text that fills its room may have been cut, within a word */
	if (*required != '\0' && strlen(scope) >= FEALTY_SCOPE - 1)
		return (0);
	while (*(required += strspn(required, " ")) != '\0') {
		n = strcspn(required, " ");
		if (!has_word(scope, required, n))
			return (0);
		required += n;
	}
	return (1);
}

static void
refuse(struct req *r, enum err e, const char *reason)
{
	struct fealty_decision *d = &r->decision;

	r->err = e;
	r->status = err_status(e) == 401 ? 401 : 403;
	d->accepted = 0;
	(void)snprintf(d->code, sizeof(d->code), "%s", err_code(e));
	(void)snprintf(d->reason, sizeof(d->reason), "%s", reason);
}

enum err
auth_run(struct req *r, uint32_t wait_ms)
{
	struct fealty_gateway *g = r->door->agent->gateway;
	struct fealty_decision *d = &r->decision;

	if (r->refusal != ERR_OK) {
		refuse(r, r->refusal, err_text(r->refusal));
		return (ERR_OK);
	}
	if (!fealty_token_check(g, r->token, strlen(r->token), NULL, wait_ms,
	    d)) {
		if (request_may_wait(r, wait_ms))
			return (ERR_WOULD_BLOCK);
		r->err = err_from_code(d->code);
		r->status = err_status(r->err) == 401 ? 401 : 403;
		return (ERR_OK);
	}
	if (!covers(d->scope, r->required)) {
		refuse(r, ERR_SCOPE, "the token lacks a scope that this "
		    "place requires");
		return (ERR_OK);
	}
	r->err = ERR_OK;
	r->status = r->route == ROUTE_EXT_AUTHZ ? 200 : 204;
	return (ERR_OK);
}

/* What came out of a token is no header yet. */
static void
add(struct MHD_Response *out, const char *name, const char *value)
{
	char clean[FEALTY_SCOPE + FEALTY_REASON];
	size_t i;

	for (i = 0; value[i] != '\0' && i + 1 < sizeof(clean); i++)
		clean[i] = value[i] >= ' ' && value[i] <= '~' ? value[i] :
		    '?';
	clean[i] = '\0';
	/* always there, or a client's header of that name might stay */
	(void)MHD_add_response_header(out, name, i == 0 ? "-" : clean);
}

static void
groups_text(const struct fealty_device *p, char *out, size_t size)
{
	size_t at = 0;
	int n;

	out[0] = '\0';
	for (uint32_t i = 0; i < p->ngroups && i < FEALTY_GROUPS; i++) {
		n = snprintf(out + at, size - at, "%s%u", i > 0 ? "," : "",
		    (unsigned)p->groups[i]);
		if (n < 0 || (size_t)n >= size - at)
			return;
		at += (size_t)n;
	}
}

/* RFC 6750 section 3; quotes and backslashes do not come through. */
static void
challenge(const struct req *r, struct MHD_Response *out)
{
	const struct fealty_decision *d = &r->decision;
	char text[FEALTY_REASON + SCOPE_ROOM + 100];

	if (r->token == NULL)
		(void)snprintf(text, sizeof(text),
		    "Bearer realm=\"fealty\"");
	else if (r->err == ERR_SCOPE)
		(void)snprintf(text, sizeof(text), "Bearer realm=\"fealty\", "
		    "error=\"insufficient_scope\", scope=\"%s\"",
		    r->required);
	else
		(void)snprintf(text, sizeof(text), "Bearer realm=\"fealty\", "
		    "error=\"invalid_token\", error_description=\"%s\"",
		    d->code);
	add(out, "WWW-Authenticate", text);
}

void
auth_headers(const struct req *r, struct MHD_Response *out)
{
	const struct fealty_decision *d = &r->decision;
	int ok = r->err == ERR_OK;
	char text[128];

	add(out, "Fealty-Device", ok ? d->device.device_id : "");
	groups_text(&d->device, text, sizeof(text));
	add(out, "Fealty-Groups", ok ? text : "");
	add(out, "Fealty-Scope", ok ? d->scope : "");
	(void)snprintf(text, sizeof(text), "%llu",
	    (unsigned long long)d->staleness_ms);
	add(out, "Fealty-Staleness", d->staleness_ms == UINT64_MAX ? "" :
	    text);
	add(out, "Fealty-Code", d->code);
	add(out, "Fealty-Reason", ok ? "" : d->reason);
	if (r->status == 401 || r->err == ERR_SCOPE)
		challenge(r, out);
	if (d->retry)
		add(out, "Retry-After", "1");
}
