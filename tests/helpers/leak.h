#ifndef TESTS_LEAK_H
#define TESTS_LEAK_H

#include <stddef.h>

/*
 * Looks for keys in what programs leave behind: each raw, in hexadecimal of
 * either case, in base64 and base64url wherever it stands in a longer text.
 * Two sets: the keys that may be nowhere, and what was planted to show that
 * it is found. Failures of the looking itself fail the test.
 */
enum leak_set { LEAK_REAL, LEAK_PLANTED, LEAK_SETS };

/* A key to look for; what names it. */
void leak_key(enum leak_set set, const unsigned char key[32],
    const char *what);
/* All keys of a record: its root key and whatever is derived from it. */
void leak_record(const void *octets, size_t len);

/* What of the set stands in text, such as "proof as hex"; NULL: nothing. */
const char *leak_find(enum leak_set set, const char *text, size_t len);
/* The same in a file, which may be one of /proc. */
const char *leak_in_file(enum leak_set set, const char *path);
/*
 * In all files below dir (or of that name) but those of which passes_by says 1
 * (NULL: none). How many were read; the first that has something fails the
 * test, unless it is planted: then found is what, else NULL.
 */
size_t leak_below(enum leak_set set, const char *dir,
    int (*passes_by)(const char *path), const char **found);

/*
 * What anyone on the machine may see of the processes that the test started,
 * and those they start: command lines and environments, kept from now on by a
 * thread of its own.
 */
void leak_watch(void);
/* Waits until that has been seen: 1, or 0 when it is not within a minute. */
int leak_seen(const char *text);
/* No more; what was seen, and how many different ones. Once. */
size_t leak_watched(const char **text, size_t *len);

#endif
