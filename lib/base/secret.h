#ifndef BASE_SECRET_H
#define BASE_SECRET_H

#include <stddef.h>
#include "lib/base/err.h"

/*
 * Bytes that must not outlive their use. No function prints them, and none
 * may be added. Not thread safe; a secret has one owner.
 */

/* A 32-octet key, by value. Wipe with key32_wipe at every exit. */
#define KEY32_LEN 32
struct key32 {
	unsigned char b[KEY32_LEN];
};
void key32_wipe(struct key32 *k);

/* Overwrite so that no compiler takes it away. */
void wipe(void *p, size_t len);
/* Constant-time equality of len octets: 1 equal, 0 not. */
int ct_equal(const void *a, const void *b, size_t len);

/* Octets of any length up to a megabyte, on the heap. {0} is empty. */
struct secret {
	unsigned char *p;
	size_t len;
	size_t cap;
};
/* Replace the content by a copy of len octets; the old content is wiped. */
enum err secret_set(struct secret *s, const void *p, size_t len) MUST_CHECK;
/* Make room for len octets, zeroed, len set; the old content is wiped. */
enum err secret_resize(struct secret *s, size_t len) MUST_CHECK;
/* Wipe and free the content; s is empty and usable again. NULL is fine. */
void secret_free(struct secret *s);

/*
 * Memory functions for libraries that copy secrets about: what they free was
 * wiped, by the size that malloc gave, so that a plain free() of it is sound
 * too. Thread safe, as malloc is.
 */
void wiping_free(void *p);
void *wiping_realloc(void *p, size_t n);

/*
 * Keep the process's memory out of core files and away from ptrace. Not out
 * of swap: that is the machine's to encrypt or to do without. Call first in
 * every main that touches keys.
 */
void secret_harden_process(void);

#endif
