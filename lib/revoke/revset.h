#ifndef REVOKE_REVSET_H
#define REVOKE_REVSET_H

#include <stddef.h>
#include <stdint.h>
#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/model/event.h"

/*
 * The revocation set of one tenant, and the rule (docs/revocation.md):
 * what was obtained at position p is dead if an event that names it has
 * pos > p; a block holds until it is lifted; the strictest wins. One
 * implementation for the authority and the gateways.
 *
 * Thread safe: many readers at the same time beside one writer. Readers never
 * wait for a writer that waits (a rwlock held for a few look-ups at most).
 * The writer applies an event before the position that covers it is visible.
 */
struct revset;

/* What a token, PSK answer or session claims of itself. */
struct claim {
	uint64_t dn;
	uint32_t epoch;
	const uint32_t *groups;
	uint32_t ngroups;
	const char *jti; /* NULL: none */
	const char *kid; /* signing key; NULL: none */
	uint64_t pos;
};

/* tenant is the number that "tenant" events carry. */
enum err revset_new(uint32_t tenant, struct revset **out) MUST_CHECK;
void revset_free(struct revset **s);

/*
 * Events in order; pos must be above revset_position (else ERR_REQUEST,
 * nothing applied). The position is published after the last one.
 */
enum err revset_apply(struct revset *s, const struct event *ev, size_t n)
    MUST_CHECK;
/* Everything up to pos has been applied though no event is at pos. */
void revset_advance(struct revset *s, uint64_t pos, uint64_t floor);
uint64_t revset_position(const struct revset *s);
uint64_t revset_floor(const struct revset *s);

/*
 * ERR_OK: alive. ERR_TOKEN_CUT, ERR_DEVICE_BLOCKED,
 * ERR_GROUP_BLOCKED, ERR_TENANT_BLOCKED, ERR_TOKEN_REVOKED (jti),
 * ERR_TOKEN_KEY (signing key), ERR_TOKEN_FLOOR, ERR_AHEAD (claim->pos is
 * above the set's position: the caller has to catch up first; what is dead
 * in any case is told first). *by gets the position of the event that kills,
 * 0 without one; NULL is fine.
 */
enum err revset_check(const struct revset *s, const struct claim *c,
    uint64_t *by) MUST_CHECK;
/* A claim of that device will be checked soon: read ahead. No effect. */
void revset_expect(const struct revset *s, uint64_t dn);
/* 1 if caller number is dead. */
int revset_caller_dead(const struct revset *s, uint64_t caller);
/*
 * Drop token entries that expired 300 s before now (seconds), above every
 * verifier's leeway: a revoked token stays dead for as long as it is taken.
 */
void revset_expire(struct revset *s, int64_t now);
/*
 * The set as octets, for this machine only, and back. The octets are not
 * secret but have to come back as they were (seal them). ERR_REQUEST: they
 * are no set. A save holds up the writer, but no reader.
 */
enum err revset_save(struct revset *s, struct buf *out) MUST_CHECK;
enum err revset_load(const void *p, size_t len, uint32_t *tenant,
    struct revset **out) MUST_CHECK;
/*
 * Puts the content of *with, of the same tenant, in the place of s's for
 * readers at once, and frees it. ERR_BACKWARDS, and nothing done, when its
 * position or floor is lower.
 */
enum err revset_replace(struct revset *s, struct revset **with) MUST_CHECK;
/* Entries held, and octets they take. */
void revset_size(const struct revset *s, uint64_t *entries, uint64_t *octets);

#endif
