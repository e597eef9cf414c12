/* Rows, read column by column from binary results. */
#include "authd/store/pg.h"

#include <string.h>

/* The next column's octets; NULL for SQL's null. */
static const unsigned char *
column(struct pg_row *r, size_t *len)
{
	int c = r->col++;

	*len = 0;
	if (c >= PQnfields(r->res)) {
		r->e = ERR_INTERNAL;
		return NULL;
	}
	if (PQgetisnull(r->res, r->row, c))
		return NULL;
	*len = (size_t)PQgetlength(r->res, r->row, c);
	return (const unsigned char *)PQgetvalue(r->res, r->row, c);
}

static uint64_t
big_endian(const unsigned char *p, size_t len)
{
	uint64_t v = 0;
	size_t i;

	for (i = 0; i < len; i++)
		v = v << 8 | p[i];
	return v;
}

int64_t
row_int(struct pg_row *r)
{
	const unsigned char *p;
	size_t len;

	p = column(r, &len);
	if (p == NULL)
		return 0;
	switch (len) {
	case 1:
		return p[0] != 0;
	case 2:
		return (int16_t)big_endian(p, len);
	case 4:
		return (int32_t)big_endian(p, len);
	case 8:
		return (int64_t)big_endian(p, len);
	default:
		r->e = ERR_INTERNAL;
		return 0;
	}
}

uint64_t
row_u64(struct pg_row *r)
{
	int64_t v = row_int(r);

	if (v < 0)
		r->e = ERR_INTERNAL;
	return v < 0 ? 0 : (uint64_t)v;
}

uint32_t
row_u32(struct pg_row *r)
{
	uint64_t v = row_u64(r);

	if (v > UINT32_MAX)
		r->e = ERR_INTERNAL;
	return v > UINT32_MAX ? 0 : (uint32_t)v;
}

/* NUL-terminated copy of len octets that has no NUL of its own. */
static int
put_text(char *out, size_t size, const unsigned char *p, size_t len)
{
	if (len >= size || memchr(p, 0, len) != NULL)
		return 0;
	memcpy(out, p, len);
	out[len] = '\0';
	return 1;
}

void
row_text(struct pg_row *r, char *out, size_t size)
{
	const unsigned char *p;
	size_t len;

	out[0] = '\0';
	p = column(r, &len);
	if (p != NULL && !put_text(out, size, p, len))
		r->e = ERR_INTERNAL;
}

size_t
row_bytes(struct pg_row *r, unsigned char *out, size_t size)
{
	const unsigned char *p;
	size_t len;

	p = column(r, &len);
	if (p == NULL)
		return 0;
	if (len > size) {
		r->e = ERR_INTERNAL;
		return 0;
	}
	memcpy(out, p, len);
	return len;
}

struct array {
	const unsigned char *p;
	size_t left;
	uint32_t n;
};

static uint32_t
array_u32(struct pg_row *r, struct array *a)
{
	uint32_t v;

	if (a->left < 4) {
		r->e = ERR_INTERNAL;
		return 0;
	}
	v = (uint32_t)big_endian(a->p, 4);
	a->p += 4;
	a->left -= 4;
	return v;
}

/* Opens the next column as an array of at most max elements. */
static void
array_open(struct pg_row *r, struct array *a, uint32_t max)
{
	uint32_t ndim;

	a->n = 0;
	a->p = column(r, &a->left);
	if (a->p == NULL)
		return;
	ndim = array_u32(r, a);
	(void)array_u32(r, a); /* has nulls */
	(void)array_u32(r, a); /* element type */
	if (ndim == 0 || r->e != ERR_OK)
		return;
	a->n = array_u32(r, a);
	(void)array_u32(r, a); /* lower bound */
	if (ndim != 1 || a->n > max || r->e != ERR_OK) {
		a->n = 0;
		r->e = ERR_INTERNAL;
	}
}

static const unsigned char *
array_next(struct pg_row *r, struct array *a, size_t *len)
{
	const unsigned char *p;
	uint32_t n = array_u32(r, a);

	if (r->e != ERR_OK || n > a->left) { /* null is 2^32 - 1 */
		r->e = ERR_INTERNAL;
		return NULL;
	}
	p = a->p;
	a->p += n;
	a->left -= n;
	*len = n;
	return p;
}

uint32_t
row_names(struct pg_row *r, name_t *out, uint32_t max)
{
	const unsigned char *p;
	struct array a;
	uint32_t i;
	size_t len;

	array_open(r, &a, max);
	for (i = 0; i < a.n; i++) {
		p = array_next(r, &a, &len);
		if (p == NULL || !put_text(out[i], sizeof(name_t), p, len)) {
			r->e = ERR_INTERNAL;
			return 0;
		}
	}
	return a.n;
}

uint32_t
row_u32s(struct pg_row *r, uint32_t *out, uint32_t max)
{
	const unsigned char *p;
	struct array a;
	uint32_t i;
	size_t len;

	array_open(r, &a, max);
	for (i = 0; i < a.n; i++) {
		p = array_next(r, &a, &len);
		if (p == NULL || len != 8 || big_endian(p, 8) > UINT32_MAX) {
			r->e = ERR_INTERNAL;
			return 0;
		}
		out[i] = (uint32_t)big_endian(p, 8);
	}
	return a.n;
}

void
row_event(struct store *st, struct pg_row *r, void *out)
{
	struct event *e = out;

	(void)st;
	e->pos = row_u64(r);
	e->kind = (enum event_kind)row_int(r);
	e->effect = (enum event_effect)row_int(r);
	row_text(r, e->id, sizeof(e->id));
	e->ep_max = row_u32(r);
	e->exp = row_int(r);
	e->at = row_int(r);
}
