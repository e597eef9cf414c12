/*
 * A burn's three requests: what each has to know comes in one round trip,
 * what it changes goes in another.
 */
#include "authd/store/pg_device.h"

#include <stdlib.h>
#include <string.h>

enum err
store_reserve_look(struct store *st, const char *order, const char *serial,
    struct reserve_look *out)
{
	static const struct stmt get = {"reserve_order",
	    "SELECT " PG_ORDER_COLUMNS PG_ORDER_FROM "WHERE o.name = $1"};
	static const struct stmt find = {"reserve_device",
	    "SELECT " PG_DEVICE_COLUMNS ", " PG_DEVICE_GROUPS
	    " FROM device d WHERE " PG_DEVICE_BY_SERIAL PG_DEVICE_LOCK};
	struct pg_args by_name = {0}, by_serial = {0};
	const struct pg_call calls[2] = {{&get, &by_name},
	    {&find, &by_serial}};
	PGresult *res[2] = {NULL, NULL};
	struct reserve_look l = {0};
	enum err e;

	arg_text(&by_name, order);
	arg_text(&by_serial, order);
	arg_text(&by_serial, serial);
	e = pg_run_all(st, calls, 2, res);
	if (e != ERR_OK)
		return e;
	e = pg_first(st, res[0], row_order, &l.order);
	if (e == ERR_OK) {
		e = pg_first(st, res[1], row_device, &l.device);
		l.there = e == ERR_OK;
		if (e == ERR_NOT_FOUND)
			e = ERR_OK;
	}
	PQclear(res[0]);
	PQclear(res[1]);
	if (e == ERR_OK)
		*out = l;
	return e;
}

static void
row_look(struct store *st, struct pg_row *r, void *out)
{
	struct burn_look *l = out;

	row_device(st, r, &l->device);
	l->station = row_u64(r);
	row_public(st, r, &l->pub);
	row_device_key(st, r, &l->key);
	l->has_key = l->key.epoch != 0;
	row_order(st, r, &l->order);
	row_model(st, r, &l->model);
}

static enum err
take_look(struct store *st, PGresult **res, struct burn_look *l)
{
	const struct pg_list peers = {row_audience, l->peers,
	    sizeof(l->peers[0]), ORDER_PEERS_MAX};
	uint64_t locked = 0;
	size_t n = 0;
	enum err e;

	e = pg_first(st, res[0], row_one_int, &locked);
	if (e == ERR_OK)
		e = pg_first(st, res[1], row_look, l);
	if (e == ERR_OK && res[2] != NULL)
		e = pg_all(st, res[2], &peers, &n);
	l->npeers = (uint32_t)n;
	/* The name went to another while we waited: that one is not locked. */
	if (e == ERR_OK && locked != l->device.dn)
		e = pg_fail(st, ERR_CONFLICT);
	return e;
}

/*
 * The lock comes first: what is read in the statements behind it is what the
 * device's last writer has left, keys and all. OFFSET 0 keeps the planner
 * from joining a whole table of keys where it has no statistics yet.
 */
enum err
store_burn_look(struct store *st, const char *device_id, uint32_t epoch,
    int with_peers, struct burn_look *out)
{
	static const struct stmt find = {"burn_find",
	    "SELECT d.number FROM device d WHERE " PG_DEVICE_BY_ID};
	static const struct stmt lock = {"burn_lock",
	    "SELECT d.number FROM device d WHERE " PG_DEVICE_BY_ID
	    PG_DEVICE_LOCK};
	static const struct stmt look = {"burn_look",
	    "SELECT " PG_DEVICE_COLUMNS ", " PG_DEVICE_GROUPS ", d.station, "
	    "d.public_key, " PG_DEVICE_KEY_COLUMNS ", " PG_ORDER_COLUMNS ", "
	    PG_MODEL_COLUMNS PG_ORDER_FROM "JOIN device d "
	    "ON d.tenant = o.tenant AND d.order_name = o.name "
	    "LEFT JOIN LATERAL (SELECT * FROM device_key x "
	    "WHERE x.tenant = d.tenant AND x.device = d.number "
	    "AND x.epoch = $2 OFFSET 0) k ON true "
	    "WHERE " PG_DEVICE_BY_ID};
	static const struct stmt peers = {"burn_peers",
	    "SELECT " PG_AUDIENCE_COLUMNS " FROM device d "
	    "JOIN production_order o ON o.tenant = d.tenant "
	    "AND o.name = d.order_name "
	    "CROSS JOIN LATERAL unnest(o.peers) "
	    "WITH ORDINALITY AS u (name, place) "
	    "JOIN audience a ON a.tenant = o.tenant AND a.name = u.name "
	    "WHERE " PG_DEVICE_BY_ID " AND NOT a.retired ORDER BY u.place"};
	struct pg_args a[3] = {{0}, {0}, {0}};
	const struct pg_call calls[3] = {
	    {st->mode == STORE_WRITE ? &lock : &find, &a[0]},
	    {&look, &a[1]}, {&peers, &a[2]}};
	PGresult *res[3] = {NULL, NULL, NULL};
	int i, n = with_peers ? 3 : 2;
	struct burn_look *l;
	enum err e;

	l = calloc(1, sizeof(*l));
	if (l == NULL)
		return pg_fail(st, ERR_NOMEM);
	for (i = 0; i < n; i++)
		arg_text(&a[i], device_id);
	arg_int(&a[1], epoch);
	e = pg_run_all(st, calls, n, res);
	if (e == ERR_OK)
		e = take_look(st, res, l);
	for (i = 0; i < n; i++)
		PQclear(res[i]);
	if (e == ERR_OK)
		*out = *l;
	free(l);
	return e;
}

enum err
store_burn_released(struct store *st, struct burn_look *l, int renewed)
{
	static const struct stmt s = {"burn_released",
	    "WITH k AS (UPDATE device_key SET released = released + 1, "
	    "data_key = COALESCE($6, data_key), "
	    "sealed = COALESCE($7, sealed) "
	    "WHERE device = $1 AND epoch = $2 RETURNING 1) "
	    "UPDATE device SET station = $4, public_key = $5, state = $3, "
	    "changed_at = CASE state WHEN $3 THEN changed_at "
	    "ELSE " PG_NOW " END "
	    "WHERE number = $1 AND EXISTS (SELECT FROM k) RETURNING changed_at"};
	struct pg_args a = {0};
	uint64_t at = 0;
	enum err e;

	if (renewed && (l->key.data_key == 0 ||
	    l->key.sealed_len > SEALED_MAX))
		return pg_fail(st, ERR_INTERNAL);
	arg_int(&a, (int64_t)l->device.dn);
	arg_int(&a, l->key.epoch);
	arg_int(&a, l->device.state);
	arg_int(&a, (int64_t)l->station);
	arg_bytes(&a, l->pub.there ? l->pub.xy : NULL, sizeof(l->pub.xy));
	arg_int_or_null(&a, (int64_t)l->key.data_key, !renewed);
	arg_bytes(&a, renewed ? l->key.sealed : NULL, l->key.sealed_len);
	e = pg_number(st, &s, &a, &at);
	if (e != ERR_OK)
		return e;
	l->device.changed_at = (int64_t)at;
	l->key.released++;
	return ERR_OK;
}
