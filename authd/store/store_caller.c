/* Callers and whose credential one is. */
#include "authd/store/pg.h"

#include <string.h>

#define COLUMNS \
	"number, name, role, disabled, " \
	"floor(extract(epoch FROM created_at))::bigint, audiences"

/* Leaves tenant_name alone. */
static void
row_caller(struct store *st, struct pg_row *r, void *out)
{
	struct caller *c = out;

	c->tenant = st->tenant;
	c->number = row_u64(r);
	row_text(r, c->name, sizeof(c->name));
	c->role = (enum role)row_int(r);
	c->disabled = row_int(r) != 0;
	c->created_at = row_int(r);
	c->naudiences = row_names(r, c->audiences, CALLER_AUDIENCES_MAX);
}

struct owner {
	uint32_t tenant;
	name_t name;
	uint64_t number;
};

enum err
store_caller_by_hash(struct store *st, const unsigned char hash[32],
    uint32_t *tenant, name_t tenant_name, uint64_t *number)
{
	static const struct stmt s = {"caller_by_hash",
	    "SELECT tenant, tenant_name, number "
	    "FROM fealty.caller_by_credential($1)"};
	struct pg_args a = {0};
	struct pg_row row = {0};
	struct owner o = {0};
	PGresult *res = NULL;
	enum err e;

	arg_bytes(&a, hash, 32);
	e = pg_run_anywhere(st, &s, &a, &res);
	if (e != ERR_OK)
		return e;
	if (PQntuples(res) == 1) {
		row.res = res;
		o.tenant = row_u32(&row);
		row_text(&row, o.name, sizeof(o.name));
		o.number = row_u64(&row);
	} else {
		row.e = ERR_NOT_FOUND;
	}
	PQclear(res);
	if (row.e != ERR_OK)
		return row.e == ERR_NOT_FOUND ? row.e : pg_fail(st, row.e);
	*tenant = o.tenant;
	memcpy(tenant_name, o.name, sizeof(o.name));
	*number = o.number;
	return ERR_OK;
}

enum err
store_caller_insert(struct store *st, struct caller *c,
    const unsigned char hash[32])
{
	static const struct stmt s = {"caller_insert",
	    "WITH c AS (UPDATE counter SET next_caller = next_caller + 1 "
	    "RETURNING next_caller - 1 AS n) "
	    "INSERT INTO caller (tenant, number, name, role, disabled, "
	    "audiences, credential_hash) "
	    "SELECT current_tenant(), c.n, $1, $2, $3, $4, $5 FROM c "
	    "RETURNING " COLUMNS};
	struct pg_args a = {0};
	struct caller done;
	enum err e;

	if (c->naudiences > CALLER_AUDIENCES_MAX)
		return pg_fail(st, ERR_INTERNAL);
	arg_text(&a, c->name);
	arg_int(&a, c->role);
	arg_bool(&a, c->disabled);
	arg_names(&a, c->audiences, c->naudiences);
	arg_bytes(&a, hash, 32);
	e = pg_one(st, &s, &a, row_caller, &done);
	if (e != ERR_OK)
		return e;
	c->tenant = done.tenant;
	c->number = done.number;
	c->created_at = done.created_at;
	return ERR_OK;
}

static enum err
get(struct store *st, const struct stmt *s, struct pg_args *a,
    struct caller *out)
{
	struct caller c = *out;
	enum err e;

	e = pg_one(st, s, a, row_caller, &c);
	if (e == ERR_OK)
		*out = c;
	return e;
}

enum err
store_caller_get(struct store *st, uint64_t number, struct caller *out)
{
	static const struct stmt s = {"caller_get",
	    "SELECT " COLUMNS " FROM caller WHERE number = $1"};
	struct pg_args a = {0};

	arg_int(&a, (int64_t)number);
	return get(st, &s, &a, out);
}

enum err
store_caller_by_name(struct store *st, const char *name, struct caller *out)
{
	static const struct stmt s = {"caller_by_name",
	    "SELECT " COLUMNS " FROM caller WHERE name = $1"};
	struct pg_args a = {0};

	arg_text(&a, name);
	return get(st, &s, &a, out);
}

enum err
store_caller_list(struct store *st, struct caller *rows, size_t max,
    size_t *n)
{
	static const struct stmt s = {"caller_list",
	    "SELECT " COLUMNS " FROM caller ORDER BY number LIMIT $1"};
	const struct pg_list l = {row_caller, rows, sizeof(*rows), max};
	struct pg_args a = {0};

	arg_int(&a, (int64_t)max);
	return pg_list(st, &s, &a, &l, n);
}

enum err
store_caller_disable(struct store *st, uint64_t number)
{
	static const struct stmt s = {"caller_disable",
	    "UPDATE caller SET disabled = true WHERE number = $1 RETURNING 1"};
	struct pg_args a = {0};

	arg_int(&a, (int64_t)number);
	return pg_one(st, &s, &a, NULL, NULL);
}
