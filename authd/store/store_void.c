/* Units that were scrapped, and what an order has come to. */
#include "authd/store/pg.h"

#include <string.h>

enum err
store_device_void(struct store *st, uint64_t dn, const char *reason)
{
	static const struct stmt s = {"device_void",
	    "UPDATE device SET state = 6, void_reason = $2, changed_at = "
	    "floor(extract(epoch FROM clock_timestamp()))::bigint "
	    "WHERE number = $1 RETURNING 1"};
	struct pg_args a = {0};

	arg_int(&a, (int64_t)dn);
	arg_text(&a, reason);
	return pg_one(st, &s, &a, NULL, NULL);
}

enum err
store_serial_released(struct store *st, const char *order, const char *serial,
    int *released)
{
	static const struct stmt s = {"serial_released",
	    "SELECT count(*) FROM device d JOIN device_key k "
	    "ON k.tenant = d.tenant AND k.device = d.number "
	    "WHERE d.order_name = $1 AND d.serial = $2 AND d.state = 6 "
	    "AND k.released > 0"};
	struct pg_args a = {0};
	uint64_t n = 0;
	enum err e;

	arg_text(&a, order);
	arg_text(&a, serial);
	e = pg_number(st, &s, &a, &n);
	if (e == ERR_OK)
		*released = n > 0;
	return e;
}

static void
row_states(struct store *st, struct pg_row *r, void *out)
{
	struct order_summary *o = out;
	unsigned i;

	(void)st;
	for (i = 0; i < DEVICE_STATES; i++)
		o->states[i] = row_u64(r);
	o->unproven = row_u64(r);
}

static void
row_void(struct store *st, struct pg_row *r, void *out)
{
	struct order_void *v = out;

	(void)st;
	memset(v, 0, sizeof(*v));
	row_text(r, v->reason, sizeof(v->reason));
	v->units = row_u64(r);
}

static enum err
count_states(struct store *st, const char *name, struct order_summary *o)
{
	static const struct stmt s = {"order_states",
	    "SELECT count(*) FILTER (WHERE state = 0), "
	    "count(*) FILTER (WHERE state = 1), "
	    "count(*) FILTER (WHERE state = 2), "
	    "count(*) FILTER (WHERE state = 3), "
	    "count(*) FILTER (WHERE state = 4), "
	    "count(*) FILTER (WHERE state = 5), "
	    "count(*) FILTER (WHERE state = 6), "
	    "count(*) FILTER (WHERE unproven AND state IN (2, 3)) "
	    "FROM device WHERE order_name = $1"};
	struct pg_args a = {0};

	arg_text(&a, name);
	return pg_one(st, &s, &a, row_states, o);
}

enum err
store_order_summary(struct store *st, const char *name,
    struct order_summary *out)
{
	static const struct stmt s = {"order_voids",
	    "SELECT void_reason, count(*) FROM device "
	    "WHERE order_name = $1 AND state = 6 "
	    "GROUP BY void_reason ORDER BY 2 DESC, "
	    "void_reason COLLATE \"C\" LIMIT $2"};
	struct order_summary o = {.nvoids = 0};
	const struct pg_list l = {row_void, o.voids, sizeof(o.voids[0]),
	    ORDER_VOIDS_MAX};
	struct pg_args a = {0};
	enum err e;

	e = count_states(st, name, &o);
	if (e != ERR_OK)
		return e;
	arg_text(&a, name);
	arg_int(&a, ORDER_VOIDS_MAX);
	e = pg_list(st, &s, &a, &l, &o.nvoids);
	if (e == ERR_OK)
		*out = o;
	return e;
}
