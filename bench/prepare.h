#ifndef BENCH_PREPARE_H
#define BENCH_PREPARE_H

#include <stdint.h>
#include <stdio.h>

struct options {
	const char *credential_file, *tokens, *records, *answer, *jwks;
	const char *issuer, *plan, *out;
	uint64_t count;
};

/* One request with its expectation, appended to a plan. 0 or -1. */
int plan_add(FILE *f, const char *path, const char *headers, const char *body,
    size_t body_len, const char *expect, size_t expect_len);
/*
 * Every token of a file: signature, issuer, time, and that no two are the
 * same one. 0, or -1 after a line on standard error.
 */
int verify_tokens(const struct options *o);

#endif
