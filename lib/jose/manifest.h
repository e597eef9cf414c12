#ifndef JOSE_MANIFEST_H
#define JOSE_MANIFEST_H

#include "lib/jose/set.h"
#include "lib/model/device.h"

/*
 * The manifest of a production order (docs/manifest.md): what has been made,
 * for whom it is made. It comes in pages, each a compact JWS under a token
 * key of the tenant that says: these, and no others, are the order's proven
 * units with numbers in (after, upto]. No key of a device is in it.
 */
#define MANIFEST_UNITS_MAX 500
#define MANIFEST_SPAN 3600 /* seconds from its first page to its last */

struct manifest_page {
	int64_t iat;
	name_t order, model;
	uint32_t quantity;
	int closed;
	uint64_t after, upto;
	int end; /* there are none above upto */
	/* n of them; of each, identity, proof, state and times count */
	struct device *units; /* owned after a verify */
	size_t n;
};
enum err manifest_sign(const struct signer *s, const char *iss,
    const struct manifest_page *p, struct buf *out) MUST_CHECK;
/* Errors as of set_verify. */
enum err manifest_verify(const struct jwks *keys, const char *iss,
    const char *text, size_t len, struct manifest_page *out,
    struct detail *d) MUST_CHECK;
void manifest_page_free(struct manifest_page *p);

/*
 * The file: lines "keys KEYSET" and "page PAGE", each ended by one newline.
 * A page is under the key set before it, and that under the root; the pages
 * go on from one another to the end. {0} with root and iss is one at its
 * begin; manifest_reader_free when done.
 */
struct manifest_reader {
	const struct verifier *root;
	const char *iss; /* demanded; NULL: whose the root is */
	/* of the pages so far */
	struct keyset keys;
	uint64_t pages, units, unproven;
	struct manifest_page last; /* its units are of the newest page */
	int64_t begun;
};
/* Without its newline. ERR_TOKEN… with d. */
enum err manifest_read(struct manifest_reader *r, const char *line,
    size_t len, struct detail *d) MUST_CHECK;
/* ERR_TOKEN when there is to be more. */
enum err manifest_read_end(const struct manifest_reader *r,
    struct detail *d) MUST_CHECK;
void manifest_reader_free(struct manifest_reader *r);

#endif
