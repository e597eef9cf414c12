#ifndef TESTS_TOKEN_H
#define TESTS_TOKEN_H

#include "tests/helpers/process.h"

/*
 * SoftHSM tokens of one test, in a folder of its own that is gone at its end.
 * Programs that are started find them by the environment.
 */
#define TOKEN_PIN "7391524680"
#define TOKEN_CUT 77 /* exit status at a cut of tests/helpers/p11_faulty.c */
#define SOFTHSM "/usr/lib/softhsm/libsofthsm2.so"
struct tokens {
	char dir[64];
};
void tokens_open(struct tokens *t);
void tokens_close(struct tokens *t);
/* A new, empty token. */
void token_make(const struct tokens *t, const char *label);
/* "pkcs11:token=LABEL" and more; query replaces the right one if not NULL. */
#define TOKEN_URI 400
const char *token_uri(const struct tokens *t, const char *label,
    const char *query, char out[TOKEN_URI]);
/* The right pin-source and the module at path. */
const char *token_query(const struct tokens *t, const char *module,
    char out[TOKEN_URI]);

#endif
