#ifndef REVOKE_TOKEN_CACHE_H
#define REVOKE_TOKEN_CACHE_H

#include <stddef.h>
#include <stdint.h>
#include "lib/base/err.h"

/*
 * Tokens verified before, bounded. Says only that the signature and form were
 * good: time, audience and revocation are checked at every use, so the cache
 * can never outvote the set. Indexed by octets of the token's signature,
 * compared whole: an attacker who picks the index gains nothing, as a token
 * that is not equal octet for octet is a miss. Thread safe (sharded).
 */
struct token_cache;
/* entries: at most that many; each keeps the token and size octets. */
enum err token_cache_new(size_t entries, size_t size,
    struct token_cache **out) MUST_CHECK;
/* Have it in large pages, for speed, and more of it resident early. Before
 * the first put. */
void token_cache_large_pages(struct token_cache *c);
void token_cache_free(struct token_cache **c);
/* 1 and the stored value copied to out, or 0. */
int token_cache_get(struct token_cache *c, const char *token, size_t len,
    void *out);
/* Remember; a full bucket forgets the oldest. Never fails visibly. */
void token_cache_put(struct token_cache *c, const char *token, size_t len,
    const void *value);
/* The same with a value of which only the first used octets (1 to size) mean
 * something: a get leaves the rest of out as it was. hint: see fetch. */
void token_cache_put_part(struct token_cache *c, const char *token,
    size_t len, const void *value, size_t used, uint32_t hint);
/*
 * For a caller with something else to do meanwhile: have the processor read
 * what a get of this token will need first (expect), and later the rest
 * (fetch). Without effect on what a get says. fetch returns the hint of a
 * token that may be this one, or 0: good for nothing but reading ahead.
 */
void token_cache_expect(struct token_cache *c, const char *token,
    size_t len);
uint32_t token_cache_fetch(struct token_cache *c, const char *token,
    size_t len);
void token_cache_clear(struct token_cache *c);

#endif
