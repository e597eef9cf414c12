#ifndef BENCH_PLAN_H
#define BENCH_PLAN_H

#include <stddef.h>
#include <stdint.h>

/*
 * A load plan: complete HTTP requests, each with what its answer must hold.
 * File: for each entry u32be length, request, u32be length, expectation.
 */
struct plan_entry {
	const char *request;
	size_t request_len;
	const char *expect;
	size_t expect_len;
};
struct plan {
	char *octets; /* the whole file */
	struct plan_entry *entries;
	size_t n;
};
/* 0, or -1 after a line on standard error. */
int plan_read(const char *path, struct plan *out);
void plan_free(struct plan *p);

#endif
