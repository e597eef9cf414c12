#ifndef BASE_PARSE_H
#define BASE_PARSE_H

#include <stdint.h>
#include <stddef.h>
#include "lib/base/err.h"

/*
 * Strict decimal: digits only, no sign, no leading zero but "0" itself, the
 * whole string, at most max. ERR_REQUEST otherwise.
 */
enum err parse_u64(const char *s, uint64_t max, uint64_t *out) MUST_CHECK;
/* "500ms", "5s", "10m", "2h" or a bare number of seconds, in milliseconds. */
enum err parse_duration_ms(const char *s, uint64_t max, uint64_t *out)
    MUST_CHECK;
/* RFC 3339 "2026-11-22T17:34:37Z" (UTC, seconds) both ways. */
enum err parse_time(const char *s, int64_t *unix_s) MUST_CHECK;
#define TIME_TEXT 21
void format_time(int64_t unix_s, char out[TIME_TEXT]);
/* Copies s with its NUL when it fits, else ERR_TOO_LARGE. */
enum err copy_str(char *out, size_t size, const char *s) MUST_CHECK;

#endif
