/* Parameters, bound in binary with their types. */
#include "authd/store/pg.h"

#include <arpa/inet.h>
#include <string.h>

/* From the server's catalogue/pg_type_d.h; they never change. */
#define T_BOOL 16
#define T_BYTEA 17
#define T_INT8 20
#define T_TEXT 25
#define T_BYTEA_ARRAY 1001
#define T_TEXT_ARRAY 1009
#define T_INT8_ARRAY 1016

#define ARRAY_MAX (1u << 20)

static void
put64(char out[8], int64_t v)
{
	uint64_t u = (uint64_t)v;
	int i;

	for (i = 0; i < 8; i++)
		out[i] = (char)(u >> (56 - 8 * i) & 0xff);
}

static void
add(struct pg_args *a, Oid type, const char *value, size_t len)
{
	if (a->n >= PG_ARGS_MAX || len > ARRAY_MAX) {
		a->e = ERR_INTERNAL;
		return;
	}
	a->type[a->n] = type;
	a->value[a->n] = value;
	a->len[a->n] = (int)len;
	a->n++;
}

void
arg_int(struct pg_args *a, int64_t v)
{
	arg_int_or_null(a, v, 0);
}

void
arg_int_or_null(struct pg_args *a, int64_t v, int is_null)
{
	if (a->n >= PG_ARGS_MAX) {
		a->e = ERR_INTERNAL;
		return;
	}
	put64(a->num[a->n], v);
	add(a, T_INT8, is_null ? NULL : a->num[a->n], 8);
}

void
arg_bool(struct pg_args *a, int v)
{
	if (a->n >= PG_ARGS_MAX) {
		a->e = ERR_INTERNAL;
		return;
	}
	a->num[a->n][0] = v != 0;
	add(a, T_BOOL, a->num[a->n], 1);
}

void
arg_text(struct pg_args *a, const char *s)
{
	add(a, T_TEXT, s, s == NULL ? 0 : strlen(s));
}

void
arg_bytes(struct pg_args *a, const void *p, size_t len)
{
	add(a, T_BYTEA, p, len);
}

static enum err
put32(struct buf *b, uint32_t v)
{
	v = htonl(v);
	return buf_add(b, &v, sizeof(v));
}

/* Header of a one-dimensional array; one of zero dimensions when empty. */
static struct buf *
array_begin(struct pg_args *a, Oid element, size_t n)
{
	struct buf *b;

	if (a->narrays >= PG_ARRAYS_MAX || n > ARRAY_MAX) {
		a->e = ERR_INTERNAL;
		return NULL;
	}
	b = &a->array[a->narrays++];
	b->max = ARRAY_MAX;
	if (put32(b, n > 0) != ERR_OK || put32(b, 0) != ERR_OK ||
	    put32(b, element) != ERR_OK)
		goto fail;
	if (n > 0 && (put32(b, (uint32_t)n) != ERR_OK ||
	    put32(b, 1) != ERR_OK))
		goto fail;
	return b;
fail:
	a->e = ERR_NOMEM;
	return NULL;
}

static void
element(struct pg_args *a, struct buf *b, const void *p, size_t len)
{
	if (put32(b, (uint32_t)len) != ERR_OK || buf_add(b, p, len) != ERR_OK)
		a->e = ERR_NOMEM;
}

void
arg_names(struct pg_args *a, name_t *names, uint32_t n)
{
	struct buf *b = array_begin(a, T_TEXT, n);
	uint32_t i;

	if (b == NULL)
		return;
	for (i = 0; i < n; i++)
		element(a, b, names[i], strlen(names[i]));
	add(a, T_TEXT_ARRAY, b->p, b->len);
}

void
arg_ints(struct pg_args *a, const int64_t *v, size_t n)
{
	struct buf *b = array_begin(a, T_INT8, n);
	char num[8];
	size_t i;

	if (b == NULL)
		return;
	for (i = 0; i < n; i++) {
		put64(num, v[i]);
		element(a, b, num, sizeof(num));
	}
	add(a, T_INT8_ARRAY, b->p, b->len);
}

void
arg_octets(struct pg_args *a, const unsigned char *p, size_t len, size_t n)
{
	struct buf *b = array_begin(a, T_BYTEA, n);
	size_t i;

	if (b == NULL)
		return;
	for (i = 0; i < n; i++)
		element(a, b, p + i * len, len);
	add(a, T_BYTEA_ARRAY, b->p, b->len);
}

void
args_free(struct pg_args *a)
{
	int i;

	for (i = 0; i < a->narrays; i++)
		buf_free(&a->array[i]);
	memset(a, 0, sizeof(*a));
}
