#ifndef REVOKE_NUMTAB_H
#define REVOKE_NUMTAB_H

#include <stddef.h>
#include <stdint.h>
#include "lib/base/err.h"

/*
 * Numbers (1 to 2^53 - 1) to 64-bit values: open addressing, linear probing,
 * at most three quarters full, grown by quarters: at most 32 octets an entry.
 * One writer; growing builds a second table beside the first, so that the
 * owner can swap it in under a lock held for a moment. {0} with a seed is an
 * empty one.
 */
struct numslot {
	uint64_t key; /* 0: free */
	uint64_t val;
};
struct numtab {
	struct numslot *slot;
	size_t cap;
	size_t n;
	uint64_t seed; /* so that nobody can choose numbers that collide */
};

/* The value of key, or NULL. */
uint64_t *numtab_find(const struct numtab *t, uint64_t key);
/* Have the processor read what finding key in such a table will need. */
void numtab_expect(uintptr_t slot, size_t cap, uint64_t seed, uint64_t key);
/* 1 if more further entries fit without growing. */
int numtab_fits(const struct numtab *t, size_t more);
/*
 * A copy of t with room for more entries, without those that keep (NULL:
 * all stay) says 0 for. t is not touched. ERR_NOMEM.
 */
enum err numtab_copy(const struct numtab *t, size_t more,
    int (*keep)(uint64_t key, uint64_t val, const void *arg),
    const void *arg, struct numtab *out) MUST_CHECK;
/* The place of key, made (value 0) if need be; room was made before. */
uint64_t *numtab_put(struct numtab *t, uint64_t key);
void numtab_free(struct numtab *t);
/* A 64-bit mix of x under seed. */
uint64_t num_mix(uint64_t x, uint64_t seed);

#endif
