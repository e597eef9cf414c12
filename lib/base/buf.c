#include "lib/base/buf.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/secret.h"

/* Room for extra more octets and the NUL; memory left behind is wiped. */
static enum err
grow(struct buf *b, size_t extra)
{
	size_t need, cap;
	char *p;

	if (extra > b->max || b->len > b->max - extra || b->max == SIZE_MAX)
		return ERR_TOO_LARGE;
	need = b->len + extra + 1;
	if (need <= b->cap)
		return ERR_OK;
	cap = b->cap < 64 ? 64 : b->cap;
	while (cap < need)
		cap = cap > SIZE_MAX / 2 ? need : cap * 2;
	if (cap > b->max + 1)
		cap = b->max + 1;
	p = malloc(cap);
	if (p == NULL)
		return ERR_NOMEM;
	if (b->p != NULL) {
		memcpy(p, b->p, b->len);
		wipe(b->p, b->cap);
		free(b->p);
	}
	p[b->len] = '\0';
	b->p = p;
	b->cap = cap;
	return ERR_OK;
}

enum err
buf_add(struct buf *b, const void *p, size_t len)
{
	enum err e;

	e = grow(b, len);
	if (e != ERR_OK)
		return e;
	if (len > 0)
		memcpy(b->p + b->len, p, len);
	b->len += len;
	b->p[b->len] = '\0';
	return ERR_OK;
}

enum err
buf_str(struct buf *b, const char *s)
{
	return buf_add(b, s, strlen(s));
}

enum err
buf_fmt(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	enum err e;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		return ERR_INTERNAL;
	e = grow(b, (size_t)n);
	if (e != ERR_OK)
		return e;
	va_start(ap, fmt);
	(void)vsnprintf(b->p + b->len, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->len += (size_t)n;
	return ERR_OK;
}

void
buf_reset(struct buf *b)
{
	if (b->p != NULL)
		wipe(b->p, b->cap);
	b->len = 0;
}

void
buf_free(struct buf *b)
{
	if (b == NULL)
		return;
	buf_reset(b);
	free(b->p);
	b->p = NULL;
	b->cap = 0;
}
