#ifndef JOSE_TOKEN_H
#define JOSE_TOKEN_H

#include <stdint.h>
#include "lib/base/buf.h"
#include "lib/crypt/signer.h"
#include "lib/model/names.h"
#include "lib/model/device.h"

/*
 * Access tokens: RFC 9068 profile, compact JWS (RFC 7515), ES256, typ
 * at+jwt (docs/tokens.md). ES256 runs on a key parsed once (lib/crypt).
 */
#define TOKEN_MAX 4096	  /* octets of a compact token */
#define TOKEN_LIFE_MAX 3600 /* seconds; verifiers refuse more */
#define TOKEN_LIFE 600
#define TOKEN_AUD_MAX 8

struct token_claims {
	char iss[ISSUER_MAX + 1];
	name_t sub; /* device_id; client_id is the same */
	name_t aud[TOKEN_AUD_MAX];
	uint32_t naud;
	int64_t exp, iat;
	char jti[65];
	char scope[256];
	uint32_t tid;
	uint64_t dn;
	uint32_t ep;
	uint32_t grp[DEVICE_GROUPS_MAX];
	uint32_t ngrp;
	uint64_t pos;
	char kid[KID_LEN + 1]; /* of the key; by token_verify, else unused */
};

/* Signs c under s; out (of max at least TOKEN_MAX) gets the compact form. */
enum err token_sign(const struct signer *s, const struct token_claims *c,
    struct buf *out) MUST_CHECK;

/* A set of public keys by kid. Immutable once shared; thread safe then. */
struct jwks;
enum err jwks_new(struct jwks **out) MUST_CHECK;
enum err jwks_add(struct jwks *set, const struct es256_public *pub)
    MUST_CHECK;
/* RFC 7517 text both ways; other than P-256 signature keys are passed over. */
enum err jwks_parse(const char *json, size_t len, struct jwks **out)
    MUST_CHECK;
enum err jwks_format(const struct jwks *set, struct buf *out) MUST_CHECK;
/* NULL when unknown. Lives as long as the set. */
const struct verifier *jwks_find(const struct jwks *set, const char *kid,
    size_t len);
/* The kid of its key i; NULL beyond the last. */
const char *jwks_kid(const struct jwks *set, size_t i);
/* Forgets its key i; not while the set is shared. */
void jwks_drop(struct jwks *set, size_t i);
void jwks_free(struct jwks **set);

struct token_rules {
	const char *iss;	/* demanded issuer */
	const char *aud;	/* demanded audience, or NULL for any */
	int64_t now;		/* seconds */
	int64_t leeway;		/* seconds, on exp and iat */
};
/*
 * Everything but the position rule: form, typ, alg, kid, signature, iss, aud,
 * exp, iat, life, names. The algorithm is pinned before a key is chosen.
 * Errors: ERR_TOKEN_*. d says which.
 */
enum err token_verify(const struct jwks *keys, const struct token_rules *r,
    const char *token, size_t len, struct token_claims *out,
    struct detail *d) MUST_CHECK;
/* The time and audience part alone, for claims verified before (a cache). */
enum err token_check_time(const struct token_claims *c,
    const struct token_rules *r) MUST_CHECK;
/* The kid in the (unverified) header; ERR_TOKEN. */
enum err token_kid(const char *token, size_t len, char out[KID_LEN + 1])
    MUST_CHECK;
/*
 * The RFC 7662 answer for an active token, as JSON text. Deterministic.
 */
enum err token_introspection(const struct token_claims *c, struct buf *out)
    MUST_CHECK;

#endif
