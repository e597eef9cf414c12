/* Devices, their groups and their keys. */
#include "authd/store/pg.h"

#include <string.h>

#include "authd/store/pg_device.h"

#define COLUMNS PG_DEVICE_COLUMNS ", " PG_DEVICE_GROUPS

void
row_device(struct store *st, struct pg_row *r, void *out)
{
	struct device *d = out;

	memset(d, 0, sizeof(*d));
	d->tenant = st->tenant;
	d->dn = row_u64(r);
	row_text(r, d->device_id, sizeof(d->device_id));
	row_text(r, d->serial, sizeof(d->serial));
	row_text(r, d->order, sizeof(d->order));
	row_text(r, d->model, sizeof(d->model));
	d->state = (enum device_state)row_int(r);
	d->proof = (enum proof)row_int(r);
	d->epoch = row_u32(r);
	d->pending = row_u32(r);
	d->clones = row_u32(r);
	d->clone_at = row_int(r);
	d->clone_epoch = row_u32(r);
	d->unproven = row_int(r) != 0;
	d->created_at = row_int(r);
	d->changed_at = row_int(r);
	d->ngroups = row_u32s(r, d->groups, DEVICE_GROUPS_MAX);
}

static void
row_inserted(struct store *st, struct pg_row *r, void *out)
{
	struct device *d = out;

	d->tenant = st->tenant;
	d->dn = row_u64(r);
	d->epoch = row_u32(r);
	d->created_at = row_int(r);
	d->changed_at = row_int(r);
	d->ngroups = row_u32s(r, d->groups, DEVICE_GROUPS_MAX);
}

/*
 * Its groups are counted in the statement that makes it: nobody else can
 * have given it any. A call may go before it, in the same round.
 */
static enum err
insert(struct store *st, const struct pg_call *before, PGresult **res,
    struct device *dev)
{
	static const struct stmt s = {"device_insert",
	    "WITH c AS (UPDATE counter SET next_device = next_device + 1 "
	    "RETURNING next_device - 1 AS n), "
	    "d AS (INSERT INTO device (tenant, number, device_id, serial, "
	    "order_name, model, state, proof, epoch) "
	    "SELECT current_tenant(), c.n, $1, $2, $3, $4, $5, $6, "
	    "1 + (SELECT COALESCE(max(v.epoch), 0) FROM device v "
	    "WHERE v.device_id = $1 AND v.state = 6) FROM c "
	    "RETURNING number, epoch, created_at, changed_at), "
	    "g AS (INSERT INTO device_member (tenant, device, device_group) "
	    "SELECT current_tenant(), d.number, u.n "
	    "FROM d, unnest($7::bigint[]) AS u (n) RETURNING device_group) "
	    "SELECT d.number, d.epoch, d.created_at, d.changed_at, "
	    "ARRAY(SELECT g.device_group FROM g ORDER BY 1) FROM d"};
	int64_t groups[DEVICE_GROUPS_MAX];
	struct pg_args a = {0};
	struct pg_call calls[2] = {{NULL, NULL}, {&s, &a}};
	uint32_t i;

	if (dev->ngroups > DEVICE_GROUPS_MAX)
		return pg_fail(st, ERR_GROUPS_FULL);
	for (i = 0; i < dev->ngroups; i++)
		groups[i] = dev->groups[i];
	arg_text(&a, dev->device_id);
	arg_text(&a, dev->serial);
	arg_text(&a, dev->order);
	arg_text(&a, dev->model);
	arg_int(&a, dev->state);
	arg_int(&a, dev->proof);
	arg_ints(&a, groups, dev->ngroups);
	if (before != NULL)
		calls[0] = *before;
	return before != NULL ? pg_run_all(st, calls, 2, res) :
	    pg_run_all(st, calls + 1, 1, res + 1);
}

static enum err
take_inserted(struct store *st, const PGresult *res, struct device *dev)
{
	struct device done = {0};
	enum err e = pg_first(st, res, row_inserted, &done);

	if (e != ERR_OK)
		return e;
	dev->tenant = done.tenant;
	dev->dn = done.dn;
	dev->epoch = done.epoch;
	dev->created_at = done.created_at;
	dev->changed_at = done.changed_at;
	dev->ngroups = done.ngroups;
	memcpy(dev->groups, done.groups, sizeof(dev->groups));
	return ERR_OK;
}

enum err
store_device_insert(struct store *st, struct device *dev)
{
	PGresult *res[2] = {NULL, NULL};
	enum err e = insert(st, NULL, res, dev);

	if (e == ERR_OK)
		e = take_inserted(st, res[1], dev);
	PQclear(res[1]);
	return e;
}

enum err
store_order_enrol(struct store *st, struct device *dev)
{
	struct pg_args a = {0};
	const struct pg_call take = {&pg_order_take, &a};
	PGresult *res[2] = {NULL, NULL};
	uint32_t place;
	enum err e;

	arg_text(&a, dev->order);
	e = insert(st, &take, res, dev);
	if (e == ERR_OK)
		e = pg_order_taken(st, res[0], dev->order, &place);
	if (e == ERR_OK)
		e = take_inserted(st, res[1], dev);
	PQclear(res[0]);
	PQclear(res[1]);
	return e == ERR_OK ? e : pg_fail(st, e);
}

/* look in a read transaction, lock in one that writes. */
static enum err
get(struct store *st, const struct stmt *look, const struct stmt *lock,
    struct pg_args *a, struct device *out)
{
	struct device d;
	enum err e;

	e = pg_one(st, st->mode == STORE_WRITE ? lock : look, a, row_device,
	    &d);
	if (e == ERR_OK)
		*out = d;
	return e;
}

#define LOCK PG_DEVICE_LOCK
#define BY_NUMBER "SELECT " COLUMNS " FROM device d WHERE d.number = $1"
#define BY_ID "SELECT " COLUMNS " FROM device d WHERE " PG_DEVICE_BY_ID
#define BY_SERIAL \
	"SELECT " COLUMNS " FROM device d WHERE " PG_DEVICE_BY_SERIAL

enum err
store_device_get(struct store *st, uint64_t dn, struct device *out)
{
	static const struct stmt look = {"device_get", BY_NUMBER};
	static const struct stmt lock = {"device_lock", BY_NUMBER LOCK};
	struct pg_args a = {0};

	arg_int(&a, (int64_t)dn);
	return get(st, &look, &lock, &a, out);
}

enum err
store_device_by_id(struct store *st, const char *device_id,
    struct device *out)
{
	static const struct stmt look = {"device_by_id", BY_ID};
	static const struct stmt lock = {"device_by_id_lock", BY_ID LOCK};
	struct pg_args a = {0};

	arg_text(&a, device_id);
	return get(st, &look, &lock, &a, out);
}

enum err
store_device_by_serial(struct store *st, const char *order,
    const char *serial, struct device *out)
{
	static const struct stmt look = {"device_by_serial", BY_SERIAL};
	static const struct stmt lock = {
	    "device_by_serial_lock", BY_SERIAL LOCK};
	struct pg_args a = {0};

	arg_text(&a, order);
	arg_text(&a, serial);
	return get(st, &look, &lock, &a, out);
}

static const char *
or_null(const char *s)
{
	return s[0] == '\0' ? NULL : s;
}

enum err
store_device_list(struct store *st, const struct device_filter *f,
    struct device *rows, size_t *n)
{
	static const struct stmt s = {"device_list",
	    "SELECT " COLUMNS " FROM device d WHERE d.number > $1 "
	    "AND ($2 IS NULL OR d.state = $2) "
	    "AND ($3 IS NULL OR d.order_name = $3) "
	    "AND ($4 IS NULL OR d.model = $4) "
	    "AND ($5 IS NULL OR starts_with(d.device_id, $5)) "
	    "AND ($6 IS NULL OR EXISTS (SELECT FROM device_member x "
	    "WHERE x.tenant = d.tenant AND x.device = d.number "
	    "AND x.device_group = $6)) "
	    "ORDER BY d.number LIMIT $7"};
	const struct pg_list l = {row_device, rows, sizeof(*rows), f->limit};
	struct pg_args a = {0};

	arg_int(&a, (int64_t)f->after);
	arg_int_or_null(&a, f->state, !f->has_state);
	arg_text(&a, or_null(f->order));
	arg_text(&a, or_null(f->model));
	arg_text(&a, or_null(f->prefix));
	arg_int_or_null(&a, f->group, f->group == 0);
	arg_int(&a, f->limit);
	return pg_list(st, &s, &a, &l, n);
}

enum err
store_device_update(struct store *st, struct device *dev)
{
	static const struct stmt s = {"device_update",
	    "UPDATE device d SET state = $2, proof = $3, epoch = $4, "
	    "pending = $5, clones = $6, clone_at = $7, clone_epoch = $8, "
	    "unproven = $9, changed_at = " PG_NOW " WHERE number = $1 "
	    "RETURNING " COLUMNS};
	struct pg_args a = {0};
	struct device done;
	enum err e;

	arg_int(&a, (int64_t)dev->dn);
	arg_int(&a, dev->state);
	arg_int(&a, dev->proof);
	arg_int(&a, dev->epoch);
	arg_int(&a, dev->pending);
	arg_int(&a, dev->clones);
	arg_int(&a, dev->clone_at);
	arg_int(&a, dev->clone_epoch);
	arg_bool(&a, dev->unproven);
	e = pg_one(st, &s, &a, row_device, &done);
	if (e == ERR_OK)
		*dev = done;
	return e;
}

enum err
store_device_void_epoch(struct store *st, const char *device_id,
    uint32_t *epoch)
{
	static const struct stmt s = {"device_void_epoch",
	    "SELECT COALESCE(max(epoch), 0) FROM device "
	    "WHERE device_id = $1 AND state = 6"};
	struct pg_args a = {0};
	uint64_t v = 0;
	enum err e;

	arg_text(&a, device_id);
	e = pg_number(st, &s, &a, &v);
	if (e == ERR_OK)
		*epoch = (uint32_t)v;
	return e;
}

struct membership {
	int group_there, member;
};

static void
row_membership(struct store *st, struct pg_row *r, void *out)
{
	struct membership *m = out;

	(void)st;
	m->group_there = row_int(r) != 0;
	m->member = row_int(r) != 0;
}

/* The device is there and locked; why it did not become a member. */
static enum err
why_no_member(struct store *st, uint64_t dn, uint32_t group)
{
	static const struct stmt s = {"member_why_not",
	    "SELECT EXISTS (SELECT FROM device_group WHERE number = $2), "
	    "EXISTS (SELECT FROM device_member WHERE device = $1 "
	    "AND device_group = $2)"};
	struct pg_args a = {0};
	struct membership m;
	enum err e;

	arg_int(&a, (int64_t)dn);
	arg_int(&a, group);
	e = pg_one(st, &s, &a, row_membership, &m);
	if (e != ERR_OK)
		return e;
	if (!m.group_there)
		return ERR_NOT_FOUND;
	return pg_fail(st, m.member ? ERR_EXISTS : ERR_GROUPS_FULL);
}

/* The device's row lock makes the count of its groups hold. */
enum err
store_member_add(struct store *st, uint64_t dn, uint32_t group)
{
	static const struct stmt lock = {"member_lock",
	    "SELECT 1 FROM device WHERE number = $1 FOR NO KEY UPDATE"};
	static const struct stmt s = {"member_add",
	    "INSERT INTO device_member (tenant, device, device_group) "
	    "SELECT current_tenant(), $1, g.number FROM device_group g "
	    "WHERE g.number = $2 AND (SELECT count(*) FROM device_member x "
	    "WHERE x.device = $1) < $3 ON CONFLICT DO NOTHING RETURNING 1"};
	struct pg_args a = {0};
	enum err e;

	arg_int(&a, (int64_t)dn);
	e = pg_one(st, &lock, &a, NULL, NULL);
	if (e != ERR_OK)
		return e;
	arg_int(&a, (int64_t)dn);
	arg_int(&a, group);
	arg_int(&a, DEVICE_GROUPS_MAX);
	e = pg_one(st, &s, &a, NULL, NULL);
	return e == ERR_NOT_FOUND ? why_no_member(st, dn, group) : e;
}

enum err
store_member_remove(struct store *st, uint64_t dn, uint32_t group)
{
	static const struct stmt s = {"member_remove",
	    "DELETE FROM device_member WHERE device = $1 "
	    "AND device_group = $2 RETURNING 1"};
	struct pg_args a = {0};

	arg_int(&a, (int64_t)dn);
	arg_int(&a, group);
	return pg_one(st, &s, &a, NULL, NULL);
}
