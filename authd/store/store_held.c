/* Events that gateways hold and this database has lost: docs/feed.md. */
#include "authd/store/pg.h"

#include <stdlib.h>
#include <string.h>

#define COUNTS "WHERE pos > $1 AND keys >= $2 "

struct columns {
	int64_t pos[STORE_HELD_MAX], kind[STORE_HELD_MAX];
	int64_t effect[STORE_HELD_MAX], ep_max[STORE_HELD_MAX];
	int64_t exp[STORE_HELD_MAX], at[STORE_HELD_MAX];
	name_t id[STORE_HELD_MAX];
};

static void
to_columns(struct columns *c, const struct event *rows, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		c->pos[i] = (int64_t)rows[i].pos;
		c->kind[i] = rows[i].kind;
		c->effect[i] = rows[i].effect;
		memcpy(c->id[i], rows[i].id, sizeof(name_t));
		c->ep_max[i] = rows[i].ep_max;
		c->exp[i] = rows[i].exp;
		c->at[i] = rows[i].at;
	}
}

/* In the order of positions: two that add the same cannot deadlock. */
static const struct stmt add_stmt = {"held_add",
    "WITH n AS (SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7) "
    "AS u (" EVENT_COLUMNS ")), "
    "up AS (INSERT INTO held_event AS h (tenant, " EVENT_COLUMNS ", keys) "
    "SELECT current_tenant(), " EVENT_COLUMNS ", $8 FROM n ORDER BY pos "
    "ON CONFLICT (tenant, pos) DO UPDATE SET kind = EXCLUDED.kind, "
    "effect = EXCLUDED.effect, id = EXCLUDED.id, ep_max = EXCLUDED.ep_max, "
    "exp = EXCLUDED.exp, at = EXCLUDED.at, "
    "keys = greatest(h.keys, EXCLUDED.keys) "
    "WHERE h.keys < $9 OR (h.kind, h.effect, h.id, h.ep_max) = "
    "(EXCLUDED.kind, EXCLUDED.effect, EXCLUDED.id, EXCLUDED.ep_max) "
    "RETURNING h.pos) "
    "SELECT coalesce(min(n.pos), 0) FROM n "
    "WHERE NOT EXISTS (SELECT 1 FROM up WHERE up.pos = n.pos)"};

enum err
store_held_add(struct store *st, const struct event *rows, size_t n,
    const struct held_keys *keys, uint64_t *conflict)
{
	struct columns *c = calloc(1, sizeof(*c));
	struct pg_args a = {0};
	uint64_t v = 0;
	enum err e;

	if (c == NULL || n > STORE_HELD_MAX) {
		e = pg_fail(st, c == NULL ? ERR_NOMEM : ERR_INTERNAL);
		free(c);
		return e;
	}
	to_columns(c, rows, n);
	arg_ints(&a, c->pos, n);
	arg_ints(&a, c->kind, n);
	arg_ints(&a, c->effect, n);
	arg_names(&a, c->id, (uint32_t)n);
	arg_ints(&a, c->ep_max, n);
	arg_ints(&a, c->exp, n);
	arg_ints(&a, c->at, n);
	arg_int(&a, (int64_t)keys->keys);
	arg_int(&a, (int64_t)keys->now);
	e = pg_number(st, &add_stmt, &a, &v);
	free(c);
	if (e == ERR_OK)
		*conflict = v;
	return e;
}

enum err
store_held_said(struct store *st, const struct held_said *s)
{
	static const struct stmt stmt = {"held_said",
	    "INSERT INTO held_by AS h "
	    "(tenant, caller, keys, first, last, conflict, heard_us) "
	    "SELECT current_tenant(), $1, $2, $3, $4, $5, "
	    "floor(extract(epoch FROM clock_timestamp()) * 1000000)::bigint "
	    "ON CONFLICT (tenant, caller) DO UPDATE SET "
	    "keys = greatest(h.keys, EXCLUDED.keys), "
	    "first = CASE WHEN h.keys < EXCLUDED.keys THEN EXCLUDED.first "
	    "ELSE least(h.first, EXCLUDED.first) END, "
	    "last = CASE WHEN h.keys < EXCLUDED.keys THEN EXCLUDED.last "
	    "ELSE greatest(h.last, EXCLUDED.last) END, "
	    "conflict = greatest(h.conflict, EXCLUDED.conflict), "
	    "heard_us = EXCLUDED.heard_us RETURNING 1"};
	struct pg_args a = {0};

	arg_int(&a, (int64_t)s->caller);
	arg_int(&a, (int64_t)s->keys);
	arg_int(&a, (int64_t)s->first);
	arg_int(&a, (int64_t)s->last);
	arg_int(&a, (int64_t)s->conflict);
	return pg_one(st, &stmt, &a, NULL, NULL);
}

static void
row_said(struct store *st, struct pg_row *r, void *out)
{
	struct held_said *s = out;

	(void)st;
	s->caller = row_u64(r);
	s->keys = row_u64(r);
	s->first = row_u64(r);
	s->last = row_u64(r);
	s->conflict = row_u64(r);
}

enum err
store_held_saw(struct store *st, uint64_t caller, uint64_t keys,
    struct held_said *out)
{
	static const struct stmt s = {"held_saw",
	    "SELECT caller, keys, first, last, conflict FROM held_by "
	    "WHERE caller = $1 AND keys >= $2"};
	struct held_said got = {0};
	struct pg_args a = {0};
	enum err e;

	arg_int(&a, (int64_t)caller);
	arg_int(&a, (int64_t)keys);
	e = pg_one(st, &s, &a, row_said, &got);
	if (e == ERR_OK)
		*out = got;
	return e;
}

static void
filter(struct pg_args *a, const struct held_filter *f)
{
	arg_int(a, (int64_t)f->after);
	arg_int(a, (int64_t)f->keys);
}

enum err
store_held_list(struct store *st, const struct held_filter *f,
    uint32_t limit, struct event *rows, size_t *n)
{
	static const struct stmt s = {"held_list",
	    "SELECT " EVENT_COLUMNS " FROM held_event " COUNTS
	    "ORDER BY pos LIMIT $3"};
	const struct pg_list l = {row_event, rows, sizeof(*rows), limit};
	struct pg_args a = {0};

	filter(&a, f);
	arg_int(&a, limit);
	return pg_list(st, &s, &a, &l, n);
}

static void
row_pair(struct store *st, struct pg_row *r, void *out)
{
	struct held_run *run = out;

	(void)st;
	run->first = row_u64(r);
	run->last = row_u64(r);
}

enum err
store_held_count(struct store *st, const struct held_filter *f, uint64_t *n,
    uint64_t *keys)
{
	static const struct stmt s = {"held_count",
	    "SELECT count(*), coalesce(max(keys), 0) FROM held_event "
	    COUNTS};
	struct held_run pair = {0};
	struct pg_args a = {0};
	enum err e;

	filter(&a, f);
	e = pg_one(st, &s, &a, row_pair, &pair);
	if (e == ERR_OK) {
		*n = pair.first;
		*keys = pair.last;
	}
	return e;
}

enum err
store_held_runs(struct store *st, const struct held_filter *f,
    struct held_run *rows, size_t max, size_t *n)
{
	static const struct stmt s = {"held_runs",
	    "SELECT min(pos), max(pos) FROM (SELECT pos, "
	    "pos - row_number() OVER (ORDER BY pos) AS run "
	    "FROM held_event " COUNTS ") AS r GROUP BY run "
	    "ORDER BY min(pos) LIMIT $3"};
	const struct pg_list l = {row_pair, rows, sizeof(*rows), max};
	struct pg_args a = {0};

	filter(&a, f);
	arg_int(&a, (int64_t)max);
	return pg_list(st, &s, &a, &l, n);
}

static void
row_by(struct store *st, struct pg_row *r, void *out)
{
	struct held_by *b = out;

	(void)st;
	row_text(r, b->gateway, sizeof(b->gateway));
	b->first = row_u64(r);
	b->last = row_u64(r);
	b->conflict = row_u64(r);
	b->at = row_int(r);
}

enum err
store_held_by(struct store *st, const struct held_filter *f,
    struct held_by *rows, size_t max, size_t *n)
{
	static const struct stmt s = {"held_by",
	    "SELECT c.name, h.first, h.last, h.conflict, "
	    "h.heard_us / 1000000 FROM held_by h JOIN caller c "
	    "ON c.tenant = h.tenant AND c.number = h.caller "
	    "WHERE h.last > $1 AND h.keys >= $2 "
	    "ORDER BY h.caller LIMIT $3"};
	const struct pg_list l = {row_by, rows, sizeof(*rows), max};
	struct pg_args a = {0};

	filter(&a, f);
	arg_int(&a, (int64_t)max);
	return pg_list(st, &s, &a, &l, n);
}

enum err
store_held_clear(struct store *st)
{
	static const struct stmt s = {"held_clear",
	    "WITH e AS (DELETE FROM held_event RETURNING 1), "
	    "b AS (DELETE FROM held_by RETURNING 1) "
	    "SELECT (SELECT count(*) FROM e) + (SELECT count(*) FROM b)"};

	return pg_one(st, &s, NULL, NULL, NULL);
}
