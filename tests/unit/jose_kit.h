#ifndef TESTS_JOSE_KIT_H
#define TESTS_JOSE_KIT_H

#include "tests/unit/unit.h"

#include "lib/jose/token.h"

/* Good and systematically bad tokens and assertions for the tests of jose. */
#define NOW 1800000000
#define ISS "https://id.example/t/acme"
#define SEP "."
#define LONG50 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define LONG300 LONG50 LONG50 LONG50 LONG50 LONG50 LONG50
#define K "\"kid\":\"%s\"" /* in the format of a header */

struct member {
	const char *name, *value; /* JSON */
};
#define GOOD_CLAIMS 13
#define GOOD_ASSERTION 6
#define WRONG_VALUES 15
extern const struct member good_claims[GOOD_CLAIMS];
extern const struct member good_assertion[GOOD_ASSERTION];
extern const char *const wrong_values[WRONG_VALUES];

extern struct signer *signer;
extern struct jwks *keys;
extern struct key32 hs_key;
extern char identity[PSKID_LEN + 1];

/*
 * The members as an object; that of index at has value instead (NULL:
 * absent), or is doubled when twice.
 */
void make_object(const struct member *m, size_t n, size_t at,
    const char *value, int twice, struct buf *out);
void add_part(struct buf *out, const void *p, size_t len);
/* Signed by our key (or the MAC), whatever header and claims say. */
void make_jws(const char *header, const char *claims, int hs,
    struct buf *out);
void token_header(char *out, size_t size);
void assertion_header(char *out, size_t size);
/* Our key as PEM, for libraries that want it so. Its length. */
size_t pem(int private, char *out, size_t size);
int jose_setup(void **state);
int jose_teardown(void **state);

#endif
