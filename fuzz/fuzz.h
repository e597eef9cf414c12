#ifndef FUZZ_FUZZ_H
#define FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/*
 * One function a target: any octets in; it aborts when a promise is broken.
 * fuzz/run.sh runs them under libFuzzer, fuzz/replay on what was found once.
 */
typedef void fuzz_fn(const uint8_t *p, size_t len);
fuzz_fn fuzz_record, fuzz_token, fuzz_jwks, fuzz_assertion, fuzz_pskid,
    fuzz_jwe, fuzz_wire, fuzz_base, fuzz_revoke, fuzz_serial;

#define PROMISE(cond)                                                         \
	do {                                                                  \
		if (!(cond)) {                                                \
			(void)fprintf(stderr, "%s:%d: broken: %s\n",          \
			    __FILE__, __LINE__, #cond);                       \
			abort();                                              \
		}                                                             \
	} while (0)

#endif
