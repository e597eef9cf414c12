#include <string.h>

#include "authd/http/request.h"

enum err api_revoke(struct req *);
enum err api_revoke_psk(struct req *);

/*
 * RFC 7009 section 2.2: a token that is not valid any more, or never was,
 * needs no revocation. One that the caller may not revoke is refused.
 */
static int
is_no_token(enum err e)
{
	switch (e) {
	case ERR_TOKEN:
	case ERR_TOKEN_KEY:
	case ERR_TOKEN_SIGNATURE:
	case ERR_TOKEN_EXPIRED:
	case ERR_TOKEN_FUTURE:
	case ERR_TOKEN_LIFE:
	case ERR_TOKEN_ISSUER:
	case ERR_TOKEN_REVOKED:
	case ERR_TOKEN_CUT:
	case ERR_TOKEN_FLOOR:
		return 1;
	default:
		return 0;
	}
}

static enum err
revoke_token(struct req *r, const char *identity)
{
	const char *token;
	enum err e;

	e = form_one(&r->form, "token", &token, &r->call.detail);
	if (e == ERR_OK && token == NULL) {
		detail_set(&r->call.detail, "parameter token: missing");
		e = ERR_REQUEST;
	}
	if (e == ERR_OK)
		e = core_token_revoke(&r->call, identity, token,
		    strlen(token));
	return is_no_token(e) ? ERR_OK : e;
}

enum err
api_revoke(struct req *r)
{
	return revoke_token(r, NULL);
}

enum err
api_revoke_psk(struct req *r)
{
	return revoke_token(r, r->conn->identity);
}
