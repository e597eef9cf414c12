#ifndef PROVISION_SPEC_H
#define PROVISION_SPEC_H

#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"

/*
 * How all targets write their options: FIRST[,NAME=VALUE]... A comma that is
 * part of a text is written "\,".
 */
struct spec_opt {
	const char *name;
	const char *value; /* NULL when not given */
};
/*
 * Cuts s, which it changes, into FIRST (left in s) and the values of opts,
 * which point into s. ERR_REQUEST with d for an unknown or repeated name.
 */
enum err spec_split(char *s, struct spec_opt *opts, size_t n,
		    struct detail *d) MUST_CHECK;
/* What is written behind FIRST, from its comma on; "" for nothing. */
const char *spec_options(const char *rest);
/* yes or no; without the option *out stays. ERR_REQUEST with d. */
enum err spec_yes(const struct spec_opt *o, int *out,
		  struct detail *d) MUST_CHECK;
/* ERR_REQUEST with d, which says what. */
enum err spec_wrong(struct detail *d, const char *what) MUST_CHECK;
/* "0x1000" or decimal, at most max. ERR_REQUEST. */
enum err spec_number(const char *s, uint64_t max, uint64_t *out) MUST_CHECK;
/* len hexadecimal digits of either case, two an octet. ERR_REQUEST. */
enum err spec_hex(const char *s, size_t len, void *out,
		  size_t outlen) MUST_CHECK;
/* The pattern with each place replaced by value; ERR_NAME: does not fit. */
enum err spec_fill(const char *pattern, const char *place, const char *value,
		   char *out, size_t size) MUST_CHECK;
/*
 * The path with each "{device_id}" replaced; ERR_NAME with d when it does
 * not fit, or the device_id is none.
 */
enum err spec_path(const char *pattern, const char *device_id, char *out,
		   size_t size, struct detail *d) MUST_CHECK;

#endif
