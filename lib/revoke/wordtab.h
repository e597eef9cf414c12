#ifndef REVOKE_WORDTAB_H
#define REVOKE_WORDTAB_H

#include <stddef.h>
#include <stdint.h>
#include "lib/base/err.h"
#include "lib/model/names.h"

/* Like numtab, for names: token ids and key ids. A free slot has id "". */
struct word {
	name_t id;
	uint64_t pos;
	int64_t exp; /* seconds; 0: none */
};
struct wordtab {
	struct word *slot;
	size_t cap;
	size_t n;
	int64_t first; /* expiry of all that have one, at the earliest; or 0 */
	uint64_t seed;
};

/* Seconds behind its expiry for which a name is kept; above any leeway. */
#define WORD_GRACE 300

struct word *wordtab_find(const struct wordtab *t, const char *id);
int wordtab_fits(const struct wordtab *t, size_t more);
/* A copy with room for more, without entries that drop_at and floor end. */
enum err wordtab_copy(const struct wordtab *t, size_t more, int64_t drop_at,
    uint64_t floor, struct wordtab *out) MUST_CHECK;
/* Room for one more beside all that have a pos; ERR_NOMEM changes nothing. */
enum err wordtab_grow(struct wordtab *t) MUST_CHECK;
/* The place of id (1 to NAME_MAX_LEN characters), made if need be. */
struct word *wordtab_put(struct wordtab *t, const char *id);
/* What w, of t, says from now on. */
void wordtab_set(struct wordtab *t, struct word *w, uint64_t pos,
    int64_t exp);
/* 1 if a copy may leave some out for their expiry. */
int wordtab_due(const struct wordtab *t, int64_t drop_at);
void wordtab_free(struct wordtab *t);

#endif
