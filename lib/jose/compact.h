#ifndef JOSE_COMPACT_H
#define JOSE_COMPACT_H

#include <jansson.h>
#include <stddef.h>
#include "lib/base/err.h"
#include "lib/model/names.h"

/*
 * The compact form of RFC 7515, strictly: three parts of canonical base64url,
 * a header of alg, typ and kid alone (so no crit, b64, jwk or jku), no member
 * twice. Nothing here knows a key.
 */
#define HEADER_MAX 512 /* octets of a decoded header */

struct compact {
	const char *header, *payload, *sig; /* in the text; not terminated */
	size_t header_len, payload_len, sig_len;
	size_t signed_len; /* header, dot, payload */
};
/* ERR_REQUEST; looks at dots and lengths only. */
enum err compact_split(const char *s, size_t len, struct compact *out,
    struct detail *d) MUST_CHECK;

struct jose_header {
	char alg[16];
	char typ[32];
	char kid[KID_LEN + PSKID_LEN]; /* room for either */
};
enum err compact_header(const struct compact *c, struct jose_header *out,
    struct detail *d) MUST_CHECK;

/* A part (or any text) of at most max octets as a JSON object; ERR_REQUEST. */
enum err compact_object(const char *part, size_t len, size_t max,
    const char *what, json_t **out, struct detail *d) MUST_CHECK;

/* Members of claims; absent or of another type or length: ERR_REQUEST. */
enum err claim_str(const json_t *o, const char *name, char *out, size_t size,
    struct detail *d) MUST_CHECK;
enum err claim_num(const json_t *o, const char *name, uint64_t max,
    uint64_t *out, struct detail *d) MUST_CHECK;

/* The strictest flags for what came from outside. */
#define JOSE_JSON_FLAGS JSON_REJECT_DUPLICATES

#endif
