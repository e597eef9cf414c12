/* Root keys of devices, and all that authenticating one needs. */
#include "authd/store/pg_device.h"

#include <stdlib.h>
#include <string.h>

void
row_device_key(struct store *st, struct pg_row *r, void *out)
{
	struct device_key_row *k = out;

	(void)st;
	memset(k, 0, sizeof(*k));
	k->dn = row_u64(r);
	k->epoch = row_u32(r);
	k->data_key = row_u64(r);
	k->sealed_len = row_bytes(r, k->sealed, sizeof(k->sealed));
	k->released = row_u64(r);
	k->has_asked = row_bytes(r, k->asked, sizeof(k->asked)) ==
	    sizeof(k->asked);
}

static const struct stmt insert = {"device_key_insert",
    "INSERT INTO device_key (tenant, device, epoch, data_key, sealed, "
    "released, asked) VALUES (current_tenant(), $1, $2, $3, $4, $5, $6) "
    "RETURNING 1"};

static void
key_args(const struct device_key_row *row, struct pg_args *a)
{
	int derived = row->data_key == 0;

	if (row->sealed_len > SEALED_MAX)
		a->e = ERR_INTERNAL;
	arg_int(a, (int64_t)row->dn);
	arg_int(a, row->epoch);
	arg_int_or_null(a, (int64_t)row->data_key, derived);
	arg_bytes(a, derived ? NULL : row->sealed, row->sealed_len);
	arg_int(a, (int64_t)row->released);
	arg_bytes(a, row->has_asked ? row->asked : NULL, sizeof(row->asked));
}

enum err
store_device_key_insert(struct store *st, const struct device_key_row *row)
{
	struct pg_args a = {0};

	key_args(row, &a);
	return pg_one(st, &insert, &a, NULL, NULL);
}

enum err
store_burn_key(struct store *st, const struct device_key_row *row)
{
	struct pg_args a = {0};

	key_args(row, &a);
	return pg_later(st, &insert, &a);
}

enum err
store_device_key_get(struct store *st, uint64_t dn, uint32_t epoch,
    struct device_key_row *out)
{
	static const struct stmt s = {"device_key_get",
	    "SELECT " PG_DEVICE_KEY_COLUMNS " FROM device_key k "
	    "WHERE k.device = $1 AND k.epoch = $2"};
	struct pg_args a = {0};
	struct device_key_row k;
	enum err e;

	arg_int(&a, (int64_t)dn);
	arg_int(&a, epoch);
	e = pg_one(st, &s, &a, row_device_key, &k);
	if (e == ERR_OK)
		*out = k;
	return e;
}

enum err
store_device_key_prune(struct store *st, uint64_t dn, uint32_t below)
{
	static const struct stmt s = {"device_key_prune",
	    "SELECT prune_dead_keys($1, $2)"};
	struct pg_args a = {0};

	arg_int(&a, (int64_t)dn);
	arg_int(&a, below);
	return pg_one(st, &s, &a, NULL, NULL);
}

void
row_public(struct store *st, struct pg_row *r, void *out)
{
	struct device_public *p = out;

	(void)st;
	memset(p, 0, sizeof(*p));
	p->there = row_bytes(r, p->xy, sizeof(p->xy)) == sizeof(p->xy);
}

static void
row_auth(struct store *st, struct pg_row *r, void *out)
{
	struct device_auth *d = out;

	row_device(st, r, &d->device);
	row_public(st, r, &d->pub);
	row_device_key(st, r, &d->key);
	row_model(st, r, &d->model);
	row_text(r, d->scope, sizeof(d->scope));
	d->rotate_first = row_int(r) != 0;
	d->npeers = row_names(r, d->peers, ORDER_PEERS_MAX);
	d->pos = row_u64(r);
	d->tenant_blocked = row_int(r) != 0;
	d->group_blocked = row_int(r) != 0;
}

/*
 * Hot. One statement, so that the counter is read in the snapshot of every
 * row that justifies the answer; groups and their blocks in one aggregate.
 */
enum err
store_device_auth(struct store *st, uint64_t dn, uint32_t epoch,
    struct device_auth *out)
{
	static const struct stmt s = {"device_auth",
	    "SELECT " PG_DEVICE_COLUMNS ", coalesce(g.numbers, '{}'), "
	    "d.public_key, "
	    PG_DEVICE_KEY_COLUMNS ", "
	    PG_MODEL_COLUMNS ", "
	    "o.scope, o.rotate_first, ARRAY(SELECT u.name FROM unnest(o.peers) "
	    "WITH ORDINALITY AS u (name, place) JOIN audience a "
	    "ON a.tenant = o.tenant AND a.name = u.name "
	    "WHERE NOT a.retired ORDER BY u.place), "
	    "c.pos, c.blocked, coalesce(g.blocked, false) "
	    "FROM device d "
	    "JOIN device_key k ON k.tenant = d.tenant "
	    "AND k.device = d.number AND k.epoch = $2 "
	    "JOIN production_order o ON o.tenant = d.tenant "
	    "AND o.name = d.order_name "
	    "JOIN model m ON m.tenant = o.tenant AND m.name = o.model "
	    "JOIN counter c ON c.tenant = d.tenant "
	    "CROSS JOIN LATERAL (SELECT "
	    "array_agg(y.number ORDER BY y.number) AS numbers, "
	    "bool_or(y.blocked) AS blocked FROM device_member x "
	    "JOIN device_group y ON y.tenant = x.tenant "
	    "AND y.number = x.device_group "
	    "WHERE x.tenant = d.tenant AND x.device = d.number) g "
	    "WHERE d.number = $1"};
	struct device_auth *d = NULL;
	struct pg_args a = {0};
	enum err e;

	d = calloc(1, sizeof(*d));
	if (d == NULL)
		return pg_fail(st, ERR_NOMEM);
	arg_int(&a, (int64_t)dn);
	arg_int(&a, epoch);
	e = pg_one(st, &s, &a, row_auth, d);
	if (e == ERR_OK)
		*out = *d;
	free(d);
	return e;
}
