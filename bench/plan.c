#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "bench/plan.h"
#include "lib/base/file.h"

#define PLAN_MAX ((size_t)1 << 30)

static int
take(const char **p, const char *end, const char **out, size_t *len)
{
	const unsigned char *u = (const unsigned char *)*p;

	if (end - *p < 4)
		return -1;
	*len =
	    (size_t)u[0] << 24 | (size_t)u[1] << 16 | (size_t)u[2] << 8 | u[3];
	if ((size_t)(end - *p) - 4 < *len)
		return -1;
	*out = *p + 4;
	*p += 4 + *len;
	return 0;
}

/* Counts the entries, or fills them when there is room. */
static int
walk(const char *p, const char *end, struct plan_entry *entries, size_t *n)
{
	struct plan_entry e;

	for (*n = 0; p < end; (*n)++) {
		if (take(&p, end, &e.request, &e.request_len) != 0 ||
		    take(&p, end, &e.expect, &e.expect_len) != 0)
			return -1;
		if (entries != NULL)
			entries[*n] = e;
	}
	return *n > 0 ? 0 : -1;
}

int
plan_read(const char *path, struct plan *out)
{
	struct buf b = {.max = PLAN_MAX};
	struct plan_entry *entries = NULL;
	size_t n = 0;
	int rc = -1;

	if (file_read(path, PLAN_MAX, &b) != ERR_OK || b.p == NULL ||
	    walk(b.p, b.p + b.len, NULL, &n) != 0)
		goto out;
	entries = calloc(n, sizeof(*entries));
	if (entries == NULL || walk(b.p, b.p + b.len, entries, &n) != 0)
		goto out;
	*out = (struct plan){b.p, entries, n};
	memset(&b, 0, sizeof(b));
	entries = NULL;
	rc = 0;
out:
	if (rc != 0)
		fprintf(stderr, "%s: no plan\n", path);
	free(entries);
	buf_free(&b);
	return rc;
}

void
plan_free(struct plan *p)
{
	free(p->octets);
	free(p->entries);
	memset(p, 0, sizeof(*p));
}
