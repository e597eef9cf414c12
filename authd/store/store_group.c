/* Audiences, groups and models. */
#include "authd/store/pg.h"

#include <string.h>

#include "authd/store/pg_device.h"

#define AUDIENCE "name, host, port, retired"
#define GROUP "number, kind, name, blocked"
#define MODEL "name, number, device_group, data_key, master"

void
row_audience(struct store *st, struct pg_row *r, void *out)
{
	struct audience *a = out;

	(void)st;
	row_text(r, a->name, sizeof(a->name));
	row_text(r, a->host, sizeof(a->host));
	a->port = (uint16_t)row_u32(r);
	a->retired = row_int(r) != 0;
}

enum err
store_audience_put(struct store *st, const struct audience *au)
{
	static const struct stmt s = {"audience_put",
	    "INSERT INTO audience (tenant, " AUDIENCE ") "
	    "VALUES (current_tenant(), $1, $2, $3, $4) "
	    "ON CONFLICT (tenant, name) DO UPDATE SET host = $2, port = $3, "
	    "retired = $4 RETURNING 1"};
	struct pg_args a = {0};

	arg_text(&a, au->name);
	arg_text(&a, au->host);
	arg_int(&a, au->port);
	arg_bool(&a, au->retired);
	return pg_one(st, &s, &a, NULL, NULL);
}

enum err
store_audience_get(struct store *st, const char *name, struct audience *out)
{
	static const struct stmt s = {"audience_get",
	    "SELECT " AUDIENCE " FROM audience WHERE name = $1"};
	struct pg_args a = {0};
	struct audience au;
	enum err e;

	arg_text(&a, name);
	e = pg_one(st, &s, &a, row_audience, &au);
	if (e == ERR_OK)
		*out = au;
	return e;
}

enum err
store_audience_list(struct store *st, struct audience *rows, size_t max,
    size_t *n)
{
	static const struct stmt s = {"audience_list",
	    "SELECT " AUDIENCE " FROM audience ORDER BY name COLLATE \"C\" "
	    "LIMIT $1"};
	const struct pg_list l = {row_audience, rows, sizeof(*rows), max};
	struct pg_args a = {0};

	arg_int(&a, (int64_t)max);
	return pg_list(st, &s, &a, &l, n);
}

static void
row_group(struct store *st, struct pg_row *r, void *out)
{
	struct group *g = out;

	(void)st;
	g->number = row_u32(r);
	g->kind = (enum group_kind)row_int(r);
	row_text(r, g->name, sizeof(g->name));
	g->blocked = row_int(r) != 0;
	g->devices = row_u64(r);
}

enum err
store_group_insert(struct store *st, struct group *g)
{
	static const struct stmt s = {"group_insert",
	    "WITH c AS (UPDATE counter SET next_group = next_group + 1 "
	    "RETURNING next_group - 1 AS n) "
	    "INSERT INTO device_group (tenant, number, kind, name, blocked) "
	    "SELECT current_tenant(), c.n, $1, $2, $3 FROM c "
	    "RETURNING number"};
	struct pg_args a = {0};
	uint64_t v = 0;
	enum err e;

	arg_int(&a, g->kind);
	arg_text(&a, g->name);
	arg_bool(&a, g->blocked);
	e = pg_number(st, &s, &a, &v);
	if (e == ERR_OK)
		g->number = (uint32_t)v;
	return e;
}

static enum err
group(struct store *st, const struct stmt *s, struct pg_args *a,
    struct group *out)
{
	struct group g;
	enum err e;

	e = pg_one(st, s, a, row_group, &g);
	if (e == ERR_OK)
		*out = g;
	return e;
}

enum err
store_group_get(struct store *st, uint32_t number, struct group *out)
{
	static const struct stmt s = {"group_get",
	    "SELECT " GROUP ", 0 FROM device_group WHERE number = $1"};
	struct pg_args a = {0};

	arg_int(&a, number);
	return group(st, &s, &a, out);
}

enum err
store_group_by_name(struct store *st, enum group_kind kind, const char *name,
    struct group *out)
{
	static const struct stmt s = {"group_by_name",
	    "SELECT " GROUP ", 0 FROM device_group "
	    "WHERE kind = $1 AND name = $2"};
	struct pg_args a = {0};

	arg_int(&a, kind);
	arg_text(&a, name);
	return group(st, &s, &a, out);
}

enum err
store_group_list(struct store *st, struct group *rows, size_t max, size_t *n)
{
	static const struct stmt s = {"group_list",
	    "SELECT " GROUP ", (SELECT count(*) FROM device_member m "
	    "JOIN device d ON d.tenant = m.tenant AND d.number = m.device "
	    "WHERE m.tenant = g.tenant AND m.device_group = g.number "
	    "AND d.state IN (2, 3)) FROM device_group g "
	    "ORDER BY number LIMIT $1"};
	const struct pg_list l = {row_group, rows, sizeof(*rows), max};
	struct pg_args a = {0};

	arg_int(&a, (int64_t)max);
	return pg_list(st, &s, &a, &l, n);
}

enum err
store_group_block(struct store *st, uint32_t number, int blocked)
{
	static const struct stmt s = {"group_block",
	    "UPDATE device_group SET blocked = $2 WHERE number = $1 "
	    "RETURNING 1"};
	struct pg_args a = {0};

	arg_int(&a, number);
	arg_bool(&a, blocked);
	return pg_one(st, &s, &a, NULL, NULL);
}

enum err
store_group_count(struct store *st, uint32_t number, uint64_t *devices)
{
	static const struct stmt s = {"group_count",
	    "SELECT count(*) FROM device_member m "
	    "JOIN device d ON d.tenant = m.tenant AND d.number = m.device "
	    "WHERE m.device_group = $1 AND d.state IN (2, 3)"};
	struct pg_args a = {0};

	arg_int(&a, number);
	return pg_number(st, &s, &a, devices);
}

void
row_model(struct store *st, struct pg_row *r, void *out)
{
	struct model_row *m = out;

	(void)st;
	memset(m, 0, sizeof(*m));
	row_text(r, m->name, sizeof(m->name));
	m->number = row_u64(r);
	m->group = row_u32(r);
	m->data_key = row_u64(r);
	m->master_len = row_bytes(r, m->master, sizeof(m->master));
}

enum err
store_model_insert(struct store *st, struct model_row *m)
{
	static const struct stmt s = {"model_insert",
	    "WITH c AS (UPDATE counter SET next_model = next_model + 1 "
	    "RETURNING next_model - 1 AS n) "
	    "INSERT INTO model (tenant, name, number, device_group, data_key, "
	    "master) SELECT current_tenant(), $1, c.n, $2, $3, $4 FROM c "
	    "RETURNING number"};
	struct pg_args a = {0};

	if (m->master_len > SEALED_MAX)
		return pg_fail(st, ERR_INTERNAL);
	arg_text(&a, m->name);
	arg_int(&a, m->group);
	arg_int_or_null(&a, (int64_t)m->data_key, m->data_key == 0);
	arg_bytes(&a, m->data_key == 0 ? NULL : m->master, m->master_len);
	return pg_number(st, &s, &a, &m->number);
}

enum err
store_model_get(struct store *st, const char *name, struct model_row *out)
{
	static const struct stmt look = {"model_get",
	    "SELECT " MODEL " FROM model WHERE name = $1"};
	static const struct stmt lock = {"model_lock",
	    "SELECT " MODEL " FROM model WHERE name = $1 FOR NO KEY UPDATE"};
	struct pg_args a = {0};
	struct model_row m;
	enum err e;

	arg_text(&a, name);
	e = pg_one(st, st->mode == STORE_WRITE ? &lock : &look, &a,
	    row_model, &m);
	if (e == ERR_OK)
		*out = m;
	return e;
}

enum err
store_model_master(struct store *st, const struct model_row *m)
{
	static const struct stmt s = {"model_master",
	    "UPDATE model SET data_key = $2, master = $3 "
	    "WHERE name = $1 AND data_key IS NULL RETURNING 1"};
	struct pg_args a = {0};
	struct model_row there;
	enum err e;

	if (m->data_key == 0 || m->master_len == 0 ||
	    m->master_len > SEALED_MAX)
		return pg_fail(st, ERR_INTERNAL);
	arg_text(&a, m->name);
	arg_int(&a, (int64_t)m->data_key);
	arg_bytes(&a, m->master, m->master_len);
	e = pg_one(st, &s, &a, NULL, NULL);
	if (e != ERR_NOT_FOUND)
		return e;
	e = store_model_get(st, m->name, &there);
	return e == ERR_OK ? pg_fail(st, ERR_EXISTS) : e;
}
