#ifndef CORE_STAMP_H
#define CORE_STAMP_H

#include "authd/core/core.h"

/*
 * What this authority has said, to whom and when, without a row: nonces and
 * challenges. Lives in seconds.
 */
#define NONCE_LIFE 300
#define CHALLENGE_LIFE 3600
#define VERIFY_LIFE 600

enum err nonce_check(const struct core_call *call, const char *nonce,
    int64_t *exp) MUST_CHECK;
/* To a unit under way, from its release on. */
struct challenge_of {
	uint32_t tenant;
	uint64_t dn;
	uint32_t epoch;
	uint64_t station;
	uint64_t release; /* which one of this key: only the newest counts */
};
enum err challenge_make(const struct core *c, const struct challenge_of *o,
    unsigned char out[CHALLENGE_LEN]) MUST_CHECK;
enum err challenge_check(const struct core *c, const struct challenge_of *o,
    const unsigned char challenge[CHALLENGE_LEN]) MUST_CHECK;
/*
 * Likewise, of a unit that is finished, and for no confirmation. It can be
 * used once, right or wrong: ERR_CHALLENGE after that. Outside a transaction.
 */
enum err verify_make(const struct core *c, const struct challenge_of *o,
    unsigned char out[CHALLENGE_LEN]) MUST_CHECK;
enum err verify_use(const struct core *c, const struct challenge_of *o,
    const unsigned char challenge[CHALLENGE_LEN]) MUST_CHECK;
/*
 * time(8) | random(8) | MAC(16): what this authority said, to whom (about),
 * and when, without a row. label keeps the purposes apart.
 */
enum err stamp_make(const struct key32 *key, const char *label,
    const void *about, size_t len, int64_t now, unsigned char out[32])
    MUST_CHECK;
/* 1 and *at if the stamp is ours. */
int stamp_check(const struct key32 *key, const char *label, const void *about,
    size_t len, const unsigned char stamp[32], int64_t *at);

#endif
