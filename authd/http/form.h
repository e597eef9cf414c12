#ifndef HTTP_FORM_H
#define HTTP_FORM_H

#include <stddef.h>
#include "lib/base/err.h"

/*
 * application/x-www-form-urlencoded, in bodies and queries: strict percent
 * decoding, no NUL, bounded. Fields point into the text they came from.
 */
#define FORM_FIELDS_MAX 128
struct form {
	size_t n;
	struct {
		const char *name;
		const char *value;
	} field[FORM_FIELDS_MAX];
};
/* Decodes text[0..len) in place; text[len] must be writable. ERR_REQUEST. */
enum err form_parse(char *text, size_t len, struct form *out,
    struct detail *d) MUST_CHECK;
/*
 * The one value of name; *out NULL when absent or empty (RFC 6749 section
 * 3.1). ERR_REQUEST when it is there twice (section 3.2).
 */
enum err form_one(const struct form *f, const char *name, const char **out,
    struct detail *d) MUST_CHECK;
/* All values of name; ERR_REQUEST beyond max. */
enum err form_all(const struct form *f, const char *name, const char **out,
    size_t max, size_t *n, struct detail *d) MUST_CHECK;
/* ERR_REQUEST for a field that is none of names (NULL-terminated). */
enum err form_only(const struct form *f, const char *const *names,
    struct detail *d) MUST_CHECK;
/*
 * Strict percent decoding of src into out (size octets with NUL); plus 1:
 * '+' is a space. ERR_REQUEST for a bad escape, NUL, or too long a text.
 */
enum err percent_decode(const char *src, size_t len, int plus, char *out,
    size_t size) MUST_CHECK;

#endif
