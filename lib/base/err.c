#include "lib/base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct row {
	const char *name;
	int status;
	const char *code;
	const char *text;
	int retry;
} rows[ERR_COUNT] = {
#define X(name, status, code, text, retry) {#name, status, code, text, retry},
    ERR_TABLE(X)
#undef X
};

static const struct row *
row_of(enum err e)
{
	if ((unsigned)e >= ERR_COUNT)
		e = ERR_INTERNAL;
	return &rows[e];
}

const char *
err_name(enum err e)
{
	return row_of(e)->name;
}

int
err_status(enum err e)
{
	return row_of(e)->status;
}

const char *
err_code(enum err e)
{
	return row_of(e)->code;
}

const char *
err_text(enum err e)
{
	return row_of(e)->text;
}

int
err_retryable(enum err e)
{
	return row_of(e)->retry;
}

enum err
err_from_code(const char *code)
{
	int i;

	/* From the end: of those that share "internal", INTERNAL is last. */
	for (i = ERR_COUNT - 1; code != NULL && i >= 0; i--)
		if (strcmp(rows[i].code, code) == 0)
			return (enum err)i;
	return ERR_INTERNAL;
}

void
detail_set(struct detail *d, const char *fmt, ...)
{
	va_list ap;

	if (d == NULL || d->text[0] != '\0')
		return;
	va_start(ap, fmt);
	(void)vsnprintf(d->text, sizeof(d->text), fmt, ap);
	va_end(ap);
}
