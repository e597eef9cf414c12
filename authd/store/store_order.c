/* Production orders. */
#include "authd/store/pg.h"

#include <string.h>

#include "authd/store/pg_device.h"

void
row_order(struct store *st, struct pg_row *r, void *out)
{
	struct order *o = out;

	(void)st;
	memset(o, 0, sizeof(*o));
	row_text(r, o->name, sizeof(o->name));
	row_text(r, o->model, sizeof(o->model));
	o->group = row_u32(r);
	o->model_group = row_u32(r);
	o->quantity = row_u32(r);
	o->issued = row_u32(r);
	o->expires_at = row_int(r);
	o->created_at = row_int(r);
	o->closed = row_int(r) != 0;
	o->derived = row_int(r) != 0;
	o->reburn = (enum reburn)row_int(r);
	o->min_proof = (enum proof)row_int(r);
	row_text(r, o->serial_pattern, sizeof(o->serial_pattern));
	row_text(r, o->id_template, sizeof(o->id_template));
	row_text(r, o->scope, sizeof(o->scope));
	o->nstations = row_names(r, o->stations, ORDER_STATIONS_MAX);
	o->npeers = row_names(r, o->peers, ORDER_PEERS_MAX);
	o->rotate_first = row_int(r) != 0;
	o->on_clone = (enum on_clone)row_int(r);
}

static void
row_inserted(struct store *st, struct pg_row *r, void *out)
{
	struct order *o = out;

	(void)st;
	o->created_at = row_int(r);
	o->model_group = row_u32(r);
}

enum err
store_order_insert(struct store *st, struct order *o)
{
	static const struct stmt s = {"order_insert",
	    "INSERT INTO production_order (tenant, name, model, "
	    "device_group, quantity, expires_at, derived, reburn, min_proof, "
	    "serial_pattern, id_template, scope, stations, peers, "
	    "rotate_first, on_clone) "
	    "VALUES (current_tenant(), $1, $2, $3, $4, $5, $6, $7, $8, $9, "
	    "$10, $11, $12, $13, $14, $15) RETURNING created_at, "
	    "(SELECT m.device_group FROM model m WHERE m.name = $2)"};
	struct pg_args a = {0};
	struct order done;
	enum err e;

	if (o->nstations > ORDER_STATIONS_MAX || o->npeers > ORDER_PEERS_MAX)
		return pg_fail(st, ERR_INTERNAL);
	arg_text(&a, o->name);
	arg_text(&a, o->model);
	arg_int(&a, o->group);
	arg_int(&a, o->quantity);
	arg_int(&a, o->expires_at);
	arg_bool(&a, o->derived);
	arg_int(&a, o->reburn);
	arg_int(&a, o->min_proof);
	arg_text(&a, o->serial_pattern);
	arg_text(&a, o->id_template);
	arg_text(&a, o->scope);
	arg_names(&a, o->stations, o->nstations);
	arg_names(&a, o->peers, o->npeers);
	arg_bool(&a, o->rotate_first);
	arg_int(&a, o->on_clone);
	e = pg_one(st, &s, &a, row_inserted, &done);
	if (e != ERR_OK)
		return e;
	o->created_at = done.created_at;
	o->model_group = done.model_group;
	o->issued = 0;
	o->closed = 0;
	return ERR_OK;
}

enum err
store_order_get(struct store *st, const char *name, struct order *out)
{
	static const struct stmt s = {"order_get",
	    "SELECT " PG_ORDER_COLUMNS PG_ORDER_FROM "WHERE o.name = $1"};
	struct pg_args a = {0};
	struct order o;
	enum err e;

	arg_text(&a, name);
	e = pg_one(st, &s, &a, row_order, &o);
	if (e == ERR_OK)
		*out = o;
	return e;
}

enum err
store_order_list(struct store *st, const char *station, struct order *rows,
    size_t max, size_t *n)
{
	static const struct stmt s = {"order_list",
	    "SELECT " PG_ORDER_COLUMNS PG_ORDER_FROM
	    "WHERE $1 IS NULL OR $1 = ANY (o.stations) "
	    "ORDER BY o.name COLLATE \"C\" LIMIT $2"};
	const struct pg_list l = {row_order, rows, sizeof(*rows), max};
	struct pg_args a = {0};

	arg_text(&a, station);
	arg_int(&a, (int64_t)max);
	return pg_list(st, &s, &a, &l, n);
}

enum err
store_order_close(struct store *st, const char *name)
{
	static const struct stmt s = {"order_close",
	    "UPDATE production_order SET closed = true WHERE name = $1 "
	    "RETURNING 1"};
	struct pg_args a = {0};

	arg_text(&a, name);
	return pg_one(st, &s, &a, NULL, NULL);
}

struct fullness {
	int closed, expired, full;
};

static void
row_fullness(struct store *st, struct pg_row *r, void *out)
{
	struct fullness *f = out;

	(void)st;
	f->closed = row_int(r) != 0;
	f->expired = row_int(r) != 0;
	f->full = row_int(r) != 0;
}

/* No place was given: the reason. */
static enum err
why_not(struct store *st, const char *name)
{
	static const struct stmt s = {"order_why_not",
	    "SELECT closed, "
	    "expires_at <= " PG_NOW ", "
	    "issued >= quantity FROM production_order WHERE name = $1"};
	struct pg_args a = {0};
	struct fullness f;
	enum err e;

	arg_text(&a, name);
	e = pg_one(st, &s, &a, row_fullness, &f);
	if (e != ERR_OK)
		return e;
	if (f.closed)
		return pg_fail(st, ERR_ORDER_CLOSED);
	if (f.expired)
		return pg_fail(st, ERR_ORDER_EXPIRED);
	/* Neither now: it was full a moment ago, and may not be any more. */
	return pg_fail(st, f.full ? ERR_ORDER_FULL : ERR_CONFLICT);
}

const struct stmt pg_order_take = {"order_take",
    "UPDATE production_order SET issued = issued + 1, "
    "next_place = next_place + 1 WHERE name = $1 AND NOT closed "
    "AND issued < quantity "
    "AND expires_at > " PG_NOW " RETURNING next_place - 1"};

enum err
pg_order_taken(struct store *st, const PGresult *res, const char *name,
    uint32_t *place)
{
	uint64_t v = 0;
	enum err e;

	e = pg_first(st, res, row_one_int, &v);
	if (e == ERR_NOT_FOUND)
		return why_not(st, name);
	if (e != ERR_OK)
		return e;
	if (v > UINT32_MAX)
		return pg_fail(st, ERR_ORDER_FULL);
	*place = (uint32_t)v;
	return ERR_OK;
}

enum err
store_order_take(struct store *st, const char *name, uint32_t *place)
{
	struct pg_args a = {0};
	PGresult *res = NULL;
	enum err e;

	arg_text(&a, name);
	e = pg_run(st, &pg_order_take, &a, &res);
	if (e == ERR_OK)
		e = pg_order_taken(st, res, name, place);
	PQclear(res);
	return e;
}

enum err
store_order_give_back(struct store *st, const char *name)
{
	static const struct stmt s = {"order_give_back",
	    "UPDATE production_order SET issued = issued - 1 "
	    "WHERE name = $1 AND issued > 0 RETURNING 1"};
	struct pg_args a = {0};
	struct order o;
	enum err e;

	arg_text(&a, name);
	e = pg_one(st, &s, &a, NULL, NULL);
	if (e != ERR_NOT_FOUND)
		return e;
	e = store_order_get(st, name, &o);
	return e == ERR_OK ? pg_fail(st, ERR_WRONG_STATE) : e;
}
