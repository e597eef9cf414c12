/* Tenants, their clocks, and who of authd is alive. */
#include "authd/store/pg.h"

#include <stdlib.h>

static void
row_head(struct pg_row *r, struct tenant_head *h)
{
	h->tenant = row_u32(r);
	row_text(r, h->name, sizeof(h->name));
	h->pos = row_u64(r);
	h->floor = row_u64(r);
	h->lost = row_u64(r);
}

enum err
store_heads(struct store *st, struct tenant_head **out, size_t *n)
{
	static const struct stmt s = {"heads",
	    "SELECT tenant, name, pos, floor, lost FROM fealty.heads() "
	    "ORDER BY tenant"};
	struct tenant_head *rows = NULL;
	struct pg_row row = {0};
	PGresult *res = NULL;
	size_t got;
	enum err e;

	e = pg_run_anywhere(st, &s, NULL, &res);
	if (e != ERR_OK)
		return e;
	got = (size_t)PQntuples(res);
	rows = calloc(got + 1, sizeof(*rows));
	row.res = res;
	for (; rows != NULL && (size_t)row.row < got; row.row++) {
		row.col = 0;
		row_head(&row, &rows[row.row]);
	}
	PQclear(res);
	e = rows == NULL ? ERR_NOMEM : row.e;
	if (e != ERR_OK) {
		free(rows);
		return pg_fail(st, e);
	}
	*out = rows;
	*n = got;
	return ERR_OK;
}

enum err
store_tenant_insert(struct store *st, const char *name)
{
	static const struct stmt s = {"tenant_insert",
	    "WITH t AS (INSERT INTO tenant (tenant, name) "
	    "VALUES (current_tenant(), $1) RETURNING tenant) "
	    "INSERT INTO counter (tenant) SELECT tenant FROM t "
	    "RETURNING 1"};
	struct pg_args a = {0};

	arg_text(&a, name);
	return pg_one(st, &s, &a, NULL, NULL);
}

enum err
store_tenant_next(struct store *st, uint32_t *number)
{
	static const struct stmt s = {"tenant_next",
	    "SELECT fealty.next_tenant()"};
	struct pg_row row = {0};
	PGresult *res = NULL;
	uint32_t v;
	enum err e;

	e = pg_run_anywhere(st, &s, NULL, &res);
	if (e != ERR_OK)
		return e;
	row.res = res;
	v = row_u32(&row);
	PQclear(res);
	if (row.e != ERR_OK)
		return pg_fail(st, row.e);
	*number = v;
	return ERR_OK;
}

static void
row_position(struct store *st, struct pg_row *r, void *out)
{
	struct tenant_head *h = out;

	(void)st;
	h->pos = row_u64(r);
	h->floor = row_u64(r);
}

enum err
store_position(struct store *st, uint64_t *pos, uint64_t *floor)
{
	static const struct stmt s = {"position",
	    "SELECT pos, floor FROM counter"};
	struct tenant_head h = {0};
	enum err e;

	e = pg_one(st, &s, NULL, row_position, &h);
	if (e != ERR_OK)
		return e;
	*pos = h.pos;
	*floor = h.floor;
	return ERR_OK;
}

enum err
store_lost_set(struct store *st, uint64_t head)
{
	static const struct stmt s = {"lost_set",
	    "UPDATE counter SET lost = greatest(lost, $1) WHERE pos < $1 "
	    "RETURNING pg_notify('fealty_feed', '')"};
	struct pg_args a = {0};

	arg_int(&a, (int64_t)head);
	return pg_one(st, &s, &a, NULL, NULL);
}

enum err
store_position_raise(struct store *st, uint64_t pos)
{
	static const struct stmt s = {"position_raise",
	    "UPDATE counter SET pos = $1, lost = 0 WHERE pos < $1 "
	    "RETURNING 1"};
	struct pg_args a = {0};
	enum err e;

	arg_int(&a, (int64_t)pos);
	e = pg_one(st, &s, &a, NULL, NULL);
	return e == ERR_NOT_FOUND ? pg_fail(st, ERR_CONFLICT) : e;
}

/*
 * From the floor on, events older than that, up to the first one that is
 * not: so each is looked at once, and a clock that went back holds it up.
 */
enum err
store_floor_advance(struct store *st, uint32_t age)
{
	static const struct stmt s = {"floor_advance",
	    "WITH young AS (SELECT e.pos FROM event e, counter c "
	    "WHERE e.pos > c.floor AND e.at > "
	    "floor(extract(epoch FROM clock_timestamp()))::bigint - $1 "
	    "ORDER BY e.pos LIMIT 1), "
	    "old AS (SELECT max(e.pos) AS pos FROM event e WHERE e.pos < "
	    "coalesce((SELECT pos FROM young), 9007199254740991)) "
	    "UPDATE counter SET floor = old.pos FROM old "
	    "WHERE old.pos > counter.floor RETURNING 1"};
	struct pg_args a = {0};
	enum err e;

	arg_int(&a, age);
	e = pg_one(st, &s, &a, NULL, NULL);
	return e == ERR_NOT_FOUND ? ERR_OK : e;
}

enum err
store_keys_version(struct store *st, uint64_t *version)
{
	static const struct stmt s = {"keys_version",
	    "SELECT keys_version FROM counter"};

	return pg_number(st, &s, NULL, version);
}

enum err
store_keys_version_next(struct store *st)
{
	static const struct stmt s = {"keys_version_next",
	    "UPDATE counter SET keys_version = keys_version + 1 "
	    "RETURNING 1"};

	return pg_one(st, &s, NULL, NULL, NULL);
}

enum err
store_keys_version_raise(struct store *st, uint64_t version)
{
	static const struct stmt s = {"keys_version_raise",
	    "UPDATE counter SET keys_version = greatest(keys_version, $1) "
	    "RETURNING 1"};
	struct pg_args a = {0};

	arg_int(&a, (int64_t)version);
	return pg_one(st, &s, &a, NULL, NULL);
}

enum err
store_tenant_block(struct store *st, int blocked)
{
	static const struct stmt s = {"tenant_block",
	    "UPDATE counter SET blocked = $1 RETURNING 1"};
	struct pg_args a = {0};

	arg_bool(&a, blocked);
	return pg_one(st, &s, &a, NULL, NULL);
}

enum err
store_tenant_blocked(struct store *st, int *blocked)
{
	static const struct stmt s = {"tenant_blocked",
	    "SELECT blocked FROM counter"};
	uint64_t v = 0;
	enum err e;

	e = pg_number(st, &s, NULL, &v);
	if (e == ERR_OK)
		*blocked = v != 0;
	return e;
}

enum err
store_tenant_count(struct store *st, uint64_t *devices)
{
	static const struct stmt s = {"tenant_count",
	    "SELECT count(*) FROM device WHERE state IN (2, 3)"};

	return pg_number(st, &s, NULL, devices);
}

enum err
store_instance_confirm(struct store *st, const char *instance)
{
	static const struct stmt s = {"instance_confirm",
	    "INSERT INTO instance (tenant, name) "
	    "VALUES (current_tenant(), $1) ON CONFLICT (tenant, name) "
	    "DO UPDATE SET confirmed_at = clock_timestamp() RETURNING 1"};
	struct pg_args a = {0};

	arg_text(&a, instance);
	return pg_one(st, &s, &a, NULL, NULL);
}
