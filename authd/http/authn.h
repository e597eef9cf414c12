#ifndef HTTP_AUTHN_H
#define HTTP_AUTHN_H

#include "authd/http/request.h"

/*
 * Who asks: a caller by its credential (Bearer; at OAuth endpoints also
 * client_secret_basic and client_secret_post), or on the device listener
 * whom the handshake authenticated. Sets call.caller, or the connection's
 * identity and tenant. ERR_CREDENTIAL, ERR_RATE, ERR_WOULD_BLOCK.
 */
enum err authn_request(struct req *r) MUST_CHECK;
/* The challenge for a 401 of this request. */
const char *authn_challenge(struct req *r);

#endif
