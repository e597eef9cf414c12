#ifndef BASE_ERR_H
#define BASE_ERR_H

/*
 * Every way in which a call can fail, once, as data: name, HTTP status, the
 * stable code clients see (RFC 9457 member "code"), a text that is safe to
 * show to anyone and says what to do, and whether trying again can help.
 *
 * Codes never change meaning once released; docs/errors.md is made from here
 * (scripts/gen-errors). A name must not be one of OpenSSL's (ERR_STATE is).
 */
/* clang-format off */
#define ERR_TABLE(X) \
X(OK, 200, "ok", "success", 0) \
/* the request as such */ \
X(REQUEST, 400, "invalid_request", "the request is malformed or lacks a parameter", 0) \
X(JSON, 400, "invalid_json", "the body is not the JSON object this route takes", 0) \
X(NAME, 400, "invalid_name", "a name has characters or a length that is not allowed", 0) \
X(TOO_LARGE, 413, "too_large", "the request is larger than this route takes", 0) \
X(MEDIA_TYPE, 415, "unsupported_media_type", "the content type is not one this route takes", 0) \
X(METHOD, 405, "method_not_allowed", "this resource does not take that method", 0) \
X(NOT_FOUND, 404, "not_found", "no such resource for this caller", 0) \
/* who asks */ \
X(CREDENTIAL, 401, "invalid_credential", "send a valid credential of this tenant", 0) \
X(ROLE, 403, "wrong_role", "this credential's role may not do this", 0) \
X(SCOPE, 403, "wrong_scope", "this credential's scope does not cover the order or audience", 0) \
/* registry */ \
X(EXISTS, 409, "already_exists", "that name is taken", 0) \
X(SERIAL_PATTERN, 422, "serial_refused", "the serial number does not match the order's pattern: scan again", 0) \
X(SERIAL_USED, 409, "serial_used", "this serial number already has an identity that the order's policy keeps", 0) \
X(ORDER_CLOSED, 409, "order_closed", "the order is closed", 0) \
X(ORDER_EXPIRED, 409, "order_expired", "the order has expired", 0) \
X(ORDER_FULL, 409, "order_full", "the order's quantity has been used up", 0) \
X(STATION, 403, "wrong_station", "this station is not one of the order's stations", 0) \
X(WRONG_STATE, 409, "wrong_state", "the device's state does not allow this", 0) \
X(PROOF, 422, "proof_wrong", "the answer to the challenge is wrong: the device does not hold the key", 0) \
X(CHALLENGE, 409, "challenge_expired", "the challenge is unknown, used or too old: get a new one", 0) \
X(EXPECT, 409, "expect_mismatch", "the number of devices hit is not the expected one: repeat with --expect", 0) \
X(TICKET_EXPIRED, 409, "ticket_expired", "the ticket has expired and its unused identities are void: burn the unit anew from another ticket", 0) \
X(TICKET_SIGNATURE, 422, "ticket_signature", "the burn is not signed by the station key that the ticket was made for", 0) \
X(TICKET_TWICE, 409, "ticket_burned_twice", "this identity was burned twice from copies of one ticket and is revoked: take both units out and burn them anew", 0) \
X(GROUPS_FULL, 409, "too_many_groups", "a device can be in at most 8 groups", 0) \
X(BACKWARDS, 409, "position_behind", "the position asked for is ahead of this authority", 0) \
/* OAuth (RFC 6749 section 5.2, RFC 8707) */ \
X(CLIENT, 401, "invalid_client", "client authentication failed", 0) \
X(GRANT_TYPE, 400, "unsupported_grant_type", "use grant_type=client_credentials", 0) \
X(GRANT, 400, "invalid_grant", "the grant is not valid", 0) \
X(OAUTH_SCOPE, 400, "invalid_scope", "the scope is not one this device has", 0) \
X(TARGET, 400, "invalid_target", "the audience is not one of this device's peers", 0) \
X(UNAUTHORIZED_CLIENT, 400, "unauthorized_client", "this client may not use this grant", 0) \
/* device assertions (RFC 7523): the OAuth code is invalid_client */ \
X(ASSERTION, 401, "assertion_malformed", "the client assertion is malformed", 0) \
X(ASSERTION_KID, 401, "assertion_unknown_identity", "kid is no identity of this authority", 0) \
X(ASSERTION_SIGNATURE, 401, "assertion_signature", "the client assertion's signature is wrong", 0) \
X(ASSERTION_TIME, 401, "assertion_time", "the client assertion is outside its time: set the clock or use a server nonce", 0) \
X(ASSERTION_AUDIENCE, 401, "assertion_audience", "aud must be the issuer or the token endpoint", 0) \
X(ASSERTION_USED, 401, "assertion_used", "the client assertion has been used: make a new one", 0) \
X(NONCE, 401, "assertion_nonce", "the server nonce is wrong or too old: fetch a new one", 0) \
/* a device's state */ \
X(DEVICE_SUSPENDED, 403, "device_suspended", "the device is suspended: reinstate it first", 0) \
X(DEVICE_REVOKED, 403, "device_revoked", "the device is revoked", 0) \
X(DEVICE_BLOCKED, 403, "device_blocked", "the device is suspended or revoked: an operator knows which", 0) \
X(DEVICE_INACTIVE, 403, "device_inactive", "the device is not active", 0) \
X(GROUP_BLOCKED, 403, "group_blocked", "a group of the device is blocked", 0) \
X(TENANT_BLOCKED, 403, "tenant_blocked", "the tenant is blocked", 0) \
X(EPOCH_DEAD, 403, "epoch_dead", "this generation of the device's key is no longer valid", 0) \
X(ROTATION, 403, "rotation_required", "the device has to rotate its key before anything else: POST /v1/device/rotate at the device listener", 0) \
/* PSK identities and records */ \
X(IDENTITY, 404, "identity_unknown", "this is no PSK identity of the audience", 0) \
X(RECORD, 422, "record_malformed", "the identity record is torn or not one", 0) \
/* tokens */ \
X(TOKEN, 401, "token_malformed", "the token is malformed", 0) \
X(TOKEN_KEY, 401, "token_unknown_key", "the token's key is not one of the issuer's", 0) \
X(TOKEN_SIGNATURE, 401, "token_signature", "the token's signature is wrong", 0) \
X(TOKEN_EXPIRED, 401, "token_expired", "the token has expired: get a new one", 0) \
X(TOKEN_FUTURE, 401, "token_not_yet_valid", "the token was issued in the future: check the clocks", 0) \
X(TOKEN_LIFE, 401, "token_life", "the token lives longer than verifiers allow", 0) \
X(TOKEN_ISSUER, 401, "token_issuer", "the token is of another issuer", 0) \
X(TOKEN_DEVICE, 403, "token_device", "the token is of another device than the connection", 0) \
X(TOKEN_AUDIENCE, 403, "token_audience", "the token is for another audience", 0) \
X(TOKEN_REVOKED, 401, "token_revoked", "the token has been revoked", 0) \
X(TOKEN_CUT, 401, "token_cut", "the device was cut off after this token was issued: get a new one", 0) \
X(TOKEN_FLOOR, 401, "token_below_floor", "the token is older than the feed's floor: get a new one", 0) \
/* transient */ \
X(AHEAD, 503, "position_ahead", "the answer needs an event not yet seen here: try again", 1) \
X(RATE, 429, "rate_limited", "too many requests: try again later", 1) \
X(BUSY, 503, "busy", "the queue is full: try again", 1) \
X(TIMEOUT, 503, "timeout", "the request took too long: try again", 1) \
X(NOT_READY, 503, "not_ready", "the authority is not ready: try again", 1) \
X(STORE, 503, "store_unavailable", "the database is away: try again", 1) \
X(CONFLICT, 503, "conflict", "a concurrent change won: try again", 1) \
X(NETWORK, 503, "network", "the peer cannot be reached: try again", 1) \
X(STALE, 503, "stale", "this gateway has been out of touch for too long", 1) \
/* ours */ \
X(WOULD_BLOCK, 500, "would_block", "internal: memory cannot answer", 0) \
X(NOMEM, 500, "internal", "out of memory", 0) \
X(IO, 500, "internal", "input or output failed", 0) \
X(CRYPTO, 500, "internal", "a cryptographic operation failed", 0) \
X(CONFIG, 500, "configuration", "the configuration is wrong", 0) \
X(INTERNAL, 500, "internal", "internal error", 0)
/* clang-format on */

enum err {
#define X(name, status, code, text, retry) ERR_##name,
	ERR_TABLE(X)
#undef X
	ERR_COUNT
};

#define MUST_CHECK __attribute__((warn_unused_result))

/* The columns of the table. Any value of enum err, else those of INTERNAL. */
const char *err_name(enum err e);   /* "ORDER_FULL" */
int err_status(enum err e);	    /* HTTP status */
const char *err_code(enum err e);   /* stable wire code */
const char *err_text(enum err e);   /* for people; safe to show to anyone */
int err_retryable(enum err e);	    /* 1: transient */
enum err err_from_code(const char *code); /* INTERNAL when unknown */

/*
 * What exactly was wrong, and where ("member quantity: 1 to 1000000").
 * Filled by whoever finds the fault, first writer wins, shown to the client:
 * so never a secret. All functions take NULL.
 */
struct detail {
	char text[200];
};
void detail_set(struct detail *d, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#endif
