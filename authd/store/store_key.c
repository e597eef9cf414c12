/* Sealed keys: data keys, and the keys of the authority and its tenants. */
#include "authd/store/pg.h"

#include <string.h>

#define DATA_KEY "number, kek_id, wrapped, uses"
#define SECRET_KEY "number, purpose, kid, data_key, sealed, public, state"

static void
row_data_key(struct store *st, struct pg_row *r, void *out)
{
	struct data_key_row *k = out;

	(void)st;
	k->number = row_u64(r);
	row_text(r, k->kek_id, sizeof(k->kek_id));
	k->wrapped_len = row_bytes(r, k->wrapped, sizeof(k->wrapped));
	k->uses = row_u64(r);
}

enum err
store_data_key_insert(struct store *st, const struct data_key_row *row)
{
	static const struct stmt s = {"data_key_insert",
	    "INSERT INTO data_key (tenant, " DATA_KEY ") "
	    "VALUES (current_tenant(), $1, $2, $3, $4) RETURNING 1"};
	struct pg_args a = {0};

	if (row->wrapped_len > SEALED_MAX)
		return pg_fail(st, ERR_INTERNAL);
	arg_int(&a, (int64_t)row->number);
	arg_text(&a, row->kek_id);
	arg_bytes(&a, row->wrapped, row->wrapped_len);
	arg_int(&a, (int64_t)row->uses);
	return pg_one(st, &s, &a, NULL, NULL);
}

enum err
store_data_key_get(struct store *st, uint64_t number,
    struct data_key_row *row)
{
	static const struct stmt s = {"data_key_get",
	    "SELECT " DATA_KEY " FROM data_key WHERE number = $1"};
	struct data_key_row k = {0};
	struct pg_args a = {0};
	enum err e;

	arg_int(&a, (int64_t)number);
	e = pg_one(st, &s, &a, row_data_key, &k);
	if (e == ERR_OK)
		*row = k;
	return e;
}

enum err
store_data_key_newest(struct store *st, struct data_key_row *row)
{
	static const struct stmt s = {"data_key_newest",
	    "SELECT " DATA_KEY " FROM data_key ORDER BY number DESC LIMIT 1"};
	struct data_key_row k = {0};
	enum err e;

	e = pg_one(st, &s, NULL, row_data_key, &k);
	if (e == ERR_OK)
		*row = k;
	return e;
}

enum err
store_data_key_use(struct store *st, uint64_t number, uint64_t n,
    uint64_t *uses)
{
	static const struct stmt s = {"data_key_use",
	    "UPDATE data_key SET uses = uses + $2 WHERE number = $1 "
	    "RETURNING uses"};
	struct pg_args a = {0};

	if (n > NUMBER_MAX)
		return pg_fail(st, ERR_INTERNAL);
	arg_int(&a, (int64_t)number);
	arg_int(&a, (int64_t)n);
	return pg_number(st, &s, &a, uses);
}

static void
row_secret_key(struct store *st, struct pg_row *r, void *out)
{
	struct secret_key_row *k = out;
	size_t n;

	(void)st;
	memset(k, 0, sizeof(*k));
	k->number = row_u64(r);
	row_text(r, k->purpose, sizeof(k->purpose));
	row_text(r, k->kid, sizeof(k->kid));
	k->data_key = row_u64(r);
	k->sealed_len = row_bytes(r, k->sealed, sizeof(k->sealed));
	n = row_bytes(r, k->public, sizeof(k->public));
	k->has_public = n == sizeof(k->public);
	if (n != 0 && !k->has_public)
		r->e = ERR_INTERNAL;
	row_text(r, k->state, sizeof(k->state));
}

enum err
store_secret_key_next(struct store *st, uint64_t *number)
{
	static const struct stmt s = {"secret_key_next",
	    "SELECT coalesce(max(number), 0) + 1 FROM secret_key"};

	return pg_number(st, &s, NULL, number);
}

enum err
store_secret_key_insert(struct store *st, const struct secret_key_row *row)
{
	static const struct stmt s = {"secret_key_insert",
	    "INSERT INTO secret_key (tenant, " SECRET_KEY ") "
	    "VALUES (current_tenant(), $1, $2, $3, $4, $5, $6, $7) "
	    "RETURNING 1"};
	struct pg_args a = {0};

	if (row->sealed_len > SEALED_MAX || row->number == 0)
		return pg_fail(st, ERR_INTERNAL);
	arg_int(&a, (int64_t)row->number);
	arg_text(&a, row->purpose);
	arg_text(&a, row->kid);
	arg_int(&a, (int64_t)row->data_key);
	arg_bytes(&a, row->sealed, row->sealed_len);
	arg_bytes(&a, row->has_public ? row->public : NULL,
	    sizeof(row->public));
	arg_text(&a, row->state);
	return pg_one(st, &s, &a, NULL, NULL);
}

enum err
store_secret_key_list(struct store *st, struct secret_key_row *rows,
    size_t max, size_t *n)
{
	static const struct stmt s = {"secret_key_list",
	    "SELECT " SECRET_KEY " FROM secret_key "
	    "WHERE state <> 'revoked' ORDER BY number LIMIT $1"};
	const struct pg_list l = {row_secret_key, rows, sizeof(*rows), max};
	struct pg_args a = {0};

	arg_int(&a, (int64_t)max);
	return pg_list(st, &s, &a, &l, n);
}

enum err
store_secret_key_state(struct store *st, uint64_t number, const char *state)
{
	static const struct stmt s = {"secret_key_state",
	    "UPDATE secret_key SET state = $2 WHERE number = $1 "
	    "RETURNING 1"};
	struct pg_args a = {0};

	arg_int(&a, (int64_t)number);
	arg_text(&a, state);
	return pg_one(st, &s, &a, NULL, NULL);
}
