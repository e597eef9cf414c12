/* What gateways say they enforce: docs/feed.md, Receipts. */
#include "authd/store/pg.h"

#include <stdlib.h>
#include <string.h>

#define NOW_US "floor(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"

/* A batch as columns. */
struct columns {
	int64_t caller[RECEIPT_BATCH_MAX], pos[RECEIPT_BATCH_MAX];
	int64_t enforced[RECEIPT_BATCH_MAX], closed[RECEIPT_BATCH_MAX];
	int64_t took[RECEIPT_BATCH_MAX], age[RECEIPT_BATCH_MAX];
	name_t instance[RECEIPT_BATCH_MAX];
};

static void
to_columns(struct columns *c, const struct receipt_add *rows, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		c->caller[i] = (int64_t)rows[i].caller;
		memcpy(c->instance[i], rows[i].r.instance, sizeof(name_t));
		c->pos[i] = (int64_t)rows[i].r.position;
		c->enforced[i] = rows[i].r.sessions ? 2 : 1;
		c->closed[i] = (int64_t)rows[i].r.closed;
		c->took[i] = (int64_t)rows[i].r.took_us;
		c->age[i] = rows[i].age_us;
	}
}

/*
 * One statement for all of it. Rows are locked in order, so that batches of
 * several processes cannot deadlock. A position that does not move leaves no
 * receipt: repeating oneself costs no room.
 */
static const struct stmt add_stmt = {"receipts_add",
    "WITH t AS (SELECT " NOW_US " AS now), "
    "n AS (SELECT u.*, t.now - u.age AS at_us, "
    "row_number() OVER (PARTITION BY u.caller) AS k "
    "FROM t, unnest($1, $2, $3, $4, $5, $6, $7) "
    "AS u (caller, name, pos, enforced, closed, took_us, age)), "
    "ok AS (SELECT n.* FROM n WHERE EXISTS (SELECT 1 FROM "
    "gateway_instance g WHERE g.caller = n.caller AND g.name = n.name) "
    "OR n.k + (SELECT count(*) FROM gateway_instance g "
    "WHERE g.caller = n.caller) <= $8), "
    "up AS (INSERT INTO gateway_instance AS g "
    "(tenant, caller, name, pos, prev, enforced, heard_us) "
    "SELECT current_tenant(), caller, name, pos, 0, enforced, at_us "
    "FROM ok ORDER BY caller, name "
    "ON CONFLICT (tenant, caller, name) DO UPDATE SET prev = g.pos, "
    "pos = greatest(g.pos, EXCLUDED.pos), enforced = EXCLUDED.enforced, "
    "heard_us = greatest(g.heard_us, EXCLUDED.heard_us) "
    "RETURNING g.caller, g.name, g.prev), "
    "kept AS (INSERT INTO receipt AS r "
    "(tenant, pos, caller, instance, enforced, closed, took_us, at_us) "
    "SELECT current_tenant(), ok.pos, "
    "array_agg(ok.caller ORDER BY ok.at_us), "
    "array_agg(ok.name ORDER BY ok.at_us), "
    "array_agg(ok.enforced ORDER BY ok.at_us), "
    "array_agg(ok.closed ORDER BY ok.at_us), "
    "array_agg(ok.took_us ORDER BY ok.at_us), "
    "array_agg(ok.at_us ORDER BY ok.at_us) "
    "FROM ok JOIN up USING (caller, name) WHERE up.prev < ok.pos "
    "GROUP BY ok.pos ORDER BY ok.pos "
    "ON CONFLICT (tenant, pos) DO UPDATE SET "
    "caller = r.caller || EXCLUDED.caller, "
    "instance = r.instance || EXCLUDED.instance, "
    "enforced = r.enforced || EXCLUDED.enforced, "
    "closed = r.closed || EXCLUDED.closed, "
    "took_us = r.took_us || EXCLUDED.took_us, "
    "at_us = r.at_us || EXCLUDED.at_us RETURNING 1) "
    "SELECT caller, name, prev FROM up"};

struct noted {
	uint64_t caller;
	name_t name;
	uint64_t prev;
};

static void
row_noted(struct store *st, struct pg_row *r, void *out)
{
	struct noted *o = out;

	(void)st;
	o->caller = row_u64(r);
	row_text(r, o->name, sizeof(o->name));
	o->prev = row_u64(r);
}

static void
tell(struct receipt_add *rows, size_t n, const struct noted *noted,
    size_t nnoted)
{
	size_t i, j;

	for (i = 0; i < n; i++) {
		for (j = 0; j < nnoted; j++)
			if (noted[j].caller == rows[i].caller &&
			    strcmp(noted[j].name, rows[i].r.instance) == 0)
				break;
		rows[i].refused = j == nnoted;
		rows[i].first = j < nnoted && noted[j].prev == 0;
	}
}

enum err
store_receipts_add(struct store *st, struct receipt_add *rows, size_t n)
{
	struct columns *c = calloc(1, sizeof(*c));
	struct noted *noted = calloc(n == 0 ? 1 : n, sizeof(*noted));
	struct pg_args a = {0};
	size_t got = 0;
	enum err e = ERR_NOMEM;

	if (c == NULL || noted == NULL || n > RECEIPT_BATCH_MAX) {
		e = pg_fail(st, c == NULL || noted == NULL ? e : ERR_INTERNAL);
		goto out;
	}
	to_columns(c, rows, n);
	arg_ints(&a, c->caller, n);
	arg_names(&a, c->instance, (uint32_t)n);
	arg_ints(&a, c->pos, n);
	arg_ints(&a, c->enforced, n);
	arg_ints(&a, c->closed, n);
	arg_ints(&a, c->took, n);
	arg_ints(&a, c->age, n);
	arg_int(&a, GATEWAY_INSTANCES_MAX);
	e = pg_list(st, &add_stmt, &a, &(const struct pg_list){row_noted,
	    noted, sizeof(*noted), n}, &got);
	if (e == ERR_OK)
		tell(rows, n, noted, got);
out:
	free(c);
	free(noted);
	return e;
}

enum err
store_instances_forget(struct store *st, uint64_t caller, uint32_t age)
{
	static const struct stmt s = {"instances_forget",
	    "WITH gone AS (DELETE FROM gateway_instance WHERE caller = $1 "
	    "AND heard_us < " NOW_US " - $2 * 1000000 RETURNING 1) "
	    "SELECT count(*) FROM gone"};
	struct pg_args a = {0};

	arg_int(&a, (int64_t)caller);
	arg_int(&a, age);
	return pg_one(st, &s, &a, NULL, NULL);
}

#define EVENT "pos, kind, effect, id, ep_max, exp, at, at_us, " NOW_US

static void
row_event_time(struct store *st, struct pg_row *r, void *out)
{
	struct event_time *t = out;

	(void)st;
	t->event.pos = row_u64(r);
	t->event.kind = (enum event_kind)row_int(r);
	t->event.effect = (enum event_effect)row_int(r);
	row_text(r, t->event.id, sizeof(t->event.id));
	t->event.ep_max = row_u32(r);
	t->event.exp = row_int(r);
	t->event.at = row_int(r);
	t->at_us = row_int(r);
	t->now_us = row_int(r);
}

static enum err
event_one(struct store *st, const struct stmt *s, uint64_t pos,
    struct event_time *out)
{
	struct event_time t = {.at_us = 0};
	struct pg_args a = {0};
	enum err e;

	arg_int(&a, (int64_t)pos);
	e = pg_one(st, s, &a, row_event_time, &t);
	if (e == ERR_OK)
		*out = t;
	return e;
}

enum err
store_event_get(struct store *st, uint64_t pos, struct event_time *out)
{
	static const struct stmt s = {"event_get",
	    "SELECT " EVENT " FROM event WHERE pos = $1"};

	return event_one(st, &s, pos, out);
}

enum err
store_event_next(struct store *st, uint64_t pos, struct event_time *out)
{
	static const struct stmt s = {"event_next",
	    "SELECT " EVENT " FROM event WHERE pos > $1 "
	    "ORDER BY pos LIMIT 1"};

	return event_one(st, &s, pos, out);
}

static void
row_gateway(struct store *st, struct pg_row *r, void *out)
{
	struct gateway_row *g = out;

	(void)st;
	g->number = row_u64(r);
	row_text(r, g->name, sizeof(g->name));
}

/* $1 most rows, $2 the event's time, $3 the number that the event names. */
#define ENROLLED \
	"SELECT c.number, c.name FROM caller c WHERE c.role = 2 " \
	"AND NOT c.disabled AND ($2 = 0 OR " \
	"extract(epoch FROM c.created_at) * 1000000 <= $2) " \
	"AND $3 IS NOT NULL "
#define PEERED(orders) \
	ENROLLED "AND c.audiences && (SELECT array_agg(DISTINCT p) " \
	"FROM production_order o, unnest(o.peers) AS p WHERE " orders ") "
#define IN_ORDER "ORDER BY c.number LIMIT $1"

static const struct stmt *
gateways_of(enum event_kind kind)
{
	static const struct stmt device = {"gateways_device",
	    PEERED("o.name IN (SELECT d.order_name FROM device d "
		"WHERE d.number = $3)") IN_ORDER};
	static const struct stmt group = {"gateways_group",
	    PEERED("o.name IN (SELECT d.order_name FROM device_member m "
		"JOIN device d ON d.tenant = m.tenant AND "
		"d.number = m.device WHERE m.device_group = $3 "
		"AND d.state <> 6)") IN_ORDER};
	static const struct stmt tenant = {"gateways_tenant",
	    PEERED("EXISTS (SELECT 1 FROM device d WHERE "
		"d.tenant = o.tenant AND d.order_name = o.name "
		"AND d.state <> 6)") IN_ORDER};
	static const struct stmt all = {"gateways_all", ENROLLED IN_ORDER};

	switch (kind) {
	case EV_DEVICE:
		return &device;
	case EV_GROUP:
		return &group;
	case EV_TENANT:
		return &tenant;
	default:
		return &all;
	}
}

enum err
store_event_gateways(struct store *st, const struct event_time *ev,
    struct gateway_row *rows, size_t max, size_t *n)
{
	const struct pg_list l = {row_gateway, rows, sizeof(*rows), max};
	struct pg_args a = {0};

	arg_int(&a, (int64_t)max);
	arg_int(&a, ev->at_us);
	arg_int(&a, (int64_t)event_number(&ev->event));
	return pg_list(st, gateways_of(ev->event.kind), &a, &l, n);
}

static void
row_instance(struct store *st, struct pg_row *r, void *out)
{
	struct instance_row *i = out;

	(void)st;
	i->caller = row_u64(r);
	row_text(r, i->name, sizeof(i->name));
	i->pos = row_u64(r);
	i->heard_us = row_int(r);
}

enum err
store_instances(struct store *st, struct instance_row *rows, size_t max,
    size_t *n)
{
	static const struct stmt s = {"instances",
	    "SELECT g.caller, g.name, g.pos, g.heard_us "
	    "FROM gateway_instance g JOIN caller c ON c.tenant = g.tenant "
	    "AND c.number = g.caller WHERE NOT c.disabled "
	    "ORDER BY g.caller, g.name LIMIT $1"};
	const struct pg_list l = {row_instance, rows, sizeof(*rows), max};
	struct pg_args a = {0};

	arg_int(&a, (int64_t)max);
	return pg_list(st, &s, &a, &l, n);
}

static void
row_kept(struct store *st, struct pg_row *r, void *out)
{
	struct receipt_kept *k = out;

	(void)st;
	k->caller = row_u64(r);
	row_text(r, k->r.instance, sizeof(k->r.instance));
	k->r.position = row_u64(r);
	k->r.sessions = row_int(r) == 2;
	k->r.closed = row_u64(r);
	k->r.took_us = row_u64(r);
	k->at_us = row_int(r);
}

/* Who covered an event only with a later receipt did so soon after it. */
enum err
store_receipts_list(struct store *st, uint64_t pos, struct receipt_kept *rows,
    size_t max, size_t *n)
{
	static const struct stmt s = {"receipts_list",
	    "SELECT DISTINCT ON (u.caller, u.name) u.caller, u.name, r.pos, "
	    "u.enforced, u.closed, u.took_us, u.at_us "
	    "FROM (SELECT * FROM receipt WHERE pos >= $1 "
	    "ORDER BY pos LIMIT 500) AS r, "
	    "unnest(r.caller, r.instance, r.enforced, r.closed, r.took_us, "
	    "r.at_us) AS u (caller, name, enforced, closed, took_us, at_us) "
	    "ORDER BY u.caller, u.name, r.pos, u.at_us LIMIT $2"};
	const struct pg_list l = {row_kept, rows, sizeof(*rows), max};
	struct pg_args a = {0};

	arg_int(&a, (int64_t)pos);
	arg_int(&a, (int64_t)max);
	return pg_list(st, &s, &a, &l, n);
}
