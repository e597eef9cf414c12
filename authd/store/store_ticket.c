/* Tickets: identities that a station has taken along. */
#include "authd/store/pg.h"

#include <string.h>

#define COLUMNS \
	"id, order_name, station, station_key, units, expires_at, swept"

static void
row_ticket(struct store *st, struct pg_row *r, void *out)
{
	struct ticket_row *t = out;

	(void)st;
	memset(t, 0, sizeof(*t));
	row_text(r, t->id, sizeof(t->id));
	row_text(r, t->order, sizeof(t->order));
	t->station = row_u64(r);
	t->key.there = row_bytes(r, t->key.xy, sizeof(t->key.xy)) ==
	    sizeof(t->key.xy);
	t->count = row_u32(r);
	t->expires_at = row_int(r);
	t->swept = row_int(r) != 0;
}

enum err
store_ticket_insert(struct store *st, const struct ticket_row *t)
{
	static const struct stmt s = {"ticket_insert",
	    "INSERT INTO ticket (tenant, id, order_name, station, "
	    "station_key, units, expires_at) "
	    "VALUES (current_tenant(), $1, $2, $3, $4, $5, $6) RETURNING 1"};
	struct pg_args a = {0};

	arg_text(&a, t->id);
	arg_text(&a, t->order);
	arg_int(&a, (int64_t)t->station);
	arg_bytes(&a, t->key.xy, sizeof(t->key.xy));
	arg_int(&a, t->count);
	arg_int(&a, t->expires_at);
	return pg_one(st, &s, &a, NULL, NULL);
}

enum err
store_ticket_get(struct store *st, const char *id, struct ticket_row *out)
{
	static const struct stmt look = {"ticket_get",
	    "SELECT " COLUMNS " FROM ticket WHERE id = $1"};
	static const struct stmt lock = {"ticket_lock",
	    "SELECT " COLUMNS " FROM ticket WHERE id = $1 "
	    "FOR NO KEY UPDATE"};
	struct pg_args a = {0};
	struct ticket_row t;
	enum err e;

	arg_text(&a, id);
	e = pg_one(st, st->mode == STORE_WRITE ? &lock : &look, &a,
	    row_ticket, &t);
	if (e == ERR_OK)
		*out = t;
	return e;
}

enum err
store_ticket_sweep(struct store *st, const char *id)
{
	static const struct stmt s = {"ticket_sweep",
	    "UPDATE ticket SET swept = true WHERE id = $1 RETURNING 1"};
	struct pg_args a = {0};

	arg_text(&a, id);
	return pg_one(st, &s, &a, NULL, NULL);
}

enum err
store_ticket_expired(struct store *st, int64_t now, struct ticket_row *out)
{
	static const struct stmt s = {"ticket_expired",
	    "SELECT " COLUMNS " FROM ticket WHERE tenant = current_tenant() "
	    "AND NOT swept AND expires_at <= $1 "
	    "ORDER BY expires_at, id LIMIT 1"};
	struct pg_args a = {0};
	struct ticket_row t;
	enum err e;

	arg_int(&a, now);
	e = pg_one(st, &s, &a, row_ticket, &t);
	if (e == ERR_OK)
		*out = t;
	return e;
}

#define UNIT_COLUMNS "ticket, device, nonce, twice"

static void
row_unit(struct store *st, struct pg_row *r, void *out)
{
	struct ticket_unit_row *u = out;

	(void)st;
	memset(u, 0, sizeof(*u));
	row_text(r, u->ticket, sizeof(u->ticket));
	u->dn = row_u64(r);
	u->burned = row_bytes(r, u->nonce, sizeof(u->nonce)) ==
	    sizeof(u->nonce);
	u->twice = row_int(r) != 0;
}

enum err
store_ticket_unit_add(struct store *st, const char *ticket, uint64_t dn)
{
	static const struct stmt s = {"ticket_unit_add",
	    "INSERT INTO ticket_unit (tenant, ticket, device) "
	    "VALUES (current_tenant(), $1, $2) RETURNING 1"};
	struct pg_args a = {0};

	arg_text(&a, ticket);
	arg_int(&a, (int64_t)dn);
	return pg_one(st, &s, &a, NULL, NULL);
}

enum err
store_ticket_unit_get(struct store *st, const char *ticket, uint64_t dn,
    struct ticket_unit_row *out)
{
	static const struct stmt s = {"ticket_unit_get",
	    "SELECT " UNIT_COLUMNS " FROM ticket_unit "
	    "WHERE ticket = $1 AND device = $2"};
	struct ticket_unit_row u;
	struct pg_args a = {0};
	enum err e;

	arg_text(&a, ticket);
	arg_int(&a, (int64_t)dn);
	e = pg_one(st, &s, &a, row_unit, &u);
	if (e == ERR_OK)
		*out = u;
	return e;
}

enum err
store_ticket_unit_list(struct store *st, const char *ticket,
    struct ticket_unit_row *rows, size_t max, size_t *n)
{
	static const struct stmt s = {"ticket_unit_list",
	    "SELECT " UNIT_COLUMNS " FROM ticket_unit WHERE ticket = $1 "
	    "ORDER BY device LIMIT $2"};
	const struct pg_list l = {row_unit, rows, sizeof(*rows), max};
	struct pg_args a = {0};

	arg_text(&a, ticket);
	arg_int(&a, (int64_t)max);
	return pg_list(st, &s, &a, &l, n);
}

enum err
store_ticket_unit_update(struct store *st, const struct ticket_unit_row *u)
{
	static const struct stmt s = {"ticket_unit_update",
	    "UPDATE ticket_unit SET nonce = $3, twice = $4 "
	    "WHERE ticket = $1 AND device = $2 RETURNING 1"};
	struct pg_args a = {0};

	arg_text(&a, u->ticket);
	arg_int(&a, (int64_t)u->dn);
	arg_bytes(&a, u->burned ? u->nonce : NULL, sizeof(u->nonce));
	arg_bool(&a, u->twice);
	return pg_one(st, &s, &a, NULL, NULL);
}

enum err
store_device_set_serial(struct store *st, uint64_t dn, const char *serial)
{
	static const struct stmt s = {"device_set_serial",
	    "UPDATE device SET serial = $2 WHERE number = $1 RETURNING 1"};
	struct pg_args a = {0};

	arg_int(&a, (int64_t)dn);
	arg_text(&a, serial);
	return pg_one(st, &s, &a, NULL, NULL);
}

/* authd itself can delete no key: the function looks at the state. */
enum err
store_device_key_destroy(struct store *st, uint64_t dn)
{
	static const struct stmt s = {"device_key_destroy",
	    "SELECT destroy_void_keys($1)"};
	struct pg_args a = {0};
	uint64_t n = 0;
	enum err e;

	arg_int(&a, (int64_t)dn);
	e = pg_number(st, &s, &a, &n);
	return e == ERR_OK && n == 0 ? pg_fail(st, ERR_WRONG_STATE) : e;
}
