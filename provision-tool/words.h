#ifndef PROVISION_WORDS_H
#define PROVISION_WORDS_H

#include "lib/base/err.h"

/*
 * A command as its words: blanks part them, '…' and "…" hold together, a
 * backslash takes the next character as it is (not within '…'). Nothing
 * else has a meaning; no shell ever sees it. *out is NULL-terminated, to be
 * freed by words_free. ERR_REQUEST with d for none, or an open quote.
 */
enum err words_split(const char *s, char ***out, struct detail *d) MUST_CHECK;
/* The same words with {device_id} replaced. */
enum err words_fill(char *const *words, const char *device_id, char ***out,
		    struct detail *d) MUST_CHECK;
void words_free(char ***words);

#endif
