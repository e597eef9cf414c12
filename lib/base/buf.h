#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stddef.h>
#include "lib/base/err.h"

/*
 * A growing buffer with a hard maximum. Always NUL-terminated behind len.
 * {.max = N} is an empty one; max 0 refuses everything. Freed and outgrown
 * memory is wiped, so it may hold secrets. Not thread safe.
 */
struct buf {
	char *p;
	size_t len;
	size_t cap;
	size_t max;
};
/* ERR_TOO_LARGE beyond max, ERR_NOMEM; the content is then as before. */
enum err buf_add(struct buf *b, const void *p, size_t len) MUST_CHECK;
enum err buf_str(struct buf *b, const char *s) MUST_CHECK;
enum err buf_fmt(struct buf *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3))) MUST_CHECK;
void buf_reset(struct buf *b); /* len 0, memory kept (wiped) */
void buf_free(struct buf *b);  /* NULL is fine */

#endif
