#include "authd/core/receipts.h"

#include <stdlib.h>
#include <string.h>

/* For /metrics: how far behind the feed each gateway is. */
#define LOOKUPS_MAX 64 /* positions whose next event is looked up */

struct lagging {
	struct gateway_lag *rows;
	size_t max, n;
	/* the last look-up */
	uint64_t after;
	int64_t since_us, now_us;
	unsigned lookups;
};

/* When the first event behind pos was committed; 0: there is none. */
static enum err
since(struct store *st, struct lagging *l, uint64_t pos, int64_t *us)
{
	struct event_time t;
	enum err e;

	if (l->lookups > 0 && (pos == l->after || l->lookups >= LOOKUPS_MAX)) {
		*us = l->since_us;
		return ERR_OK;
	}
	e = store_event_next(st, pos, &t);
	if (e != ERR_OK && e != ERR_NOT_FOUND)
		return e;
	l->lookups++;
	l->after = pos;
	l->since_us = 0;
	if (e == ERR_OK) {
		l->since_us = t.at_us != 0 ? t.at_us : t.event.at * 1000000;
		l->now_us = t.now_us;
	}
	*us = l->since_us;
	return ERR_OK;
}

/* The least that instances heard of lately enforce, else the most of all. */
static uint64_t
enforced_by(const struct instance_row *rows, size_t n, int64_t now_us)
{
	uint64_t least = UINT64_MAX, most = 0;
	size_t i;

	for (i = 0; i < n; i++) {
		if (rows[i].pos > most)
			most = rows[i].pos;
		if (now_us - rows[i].heard_us < HEARD_US &&
		    rows[i].pos < least)
			least = rows[i].pos;
	}
	return least == UINT64_MAX ? most : least;
}

static enum err
one_gateway(struct store *st, struct lagging *l, const struct gateway_row *g,
    const struct instance_row *rows, size_t n)
{
	struct gateway_lag *out = &l->rows[l->n++];
	int64_t heard = 0, us = 0;
	size_t i;
	enum err e;

	memset(out, 0, sizeof(*out));
	memcpy(out->gateway, g->name, sizeof(name_t));
	if (n == 0)
		return ERR_OK;
	for (i = 0; i < n; i++)
		if (rows[i].heard_us > heard)
			heard = rows[i].heard_us;
	e = since(st, l, enforced_by(rows, n, l->now_us), &us);
	out->heard = 1;
	out->heard_s = l->now_us < heard ? 0 :
	    (double)(l->now_us - heard) / 1e6;
	out->lag_s = us == 0 || l->now_us < us ? 0 :
	    (double)(l->now_us - us) / 1e6;
	return e;
}

#define ROWS_MAX 16384
struct lag_rows {
	struct gateway_row gateways[CORE_LIST_MAX];
	struct instance_row instances[ROWS_MAX];
	size_t ngateways, ninstances;
};

/* The database's clock is told with events only; else ours will do. */
static void
set_now(struct core *c, struct lagging *l, const struct lag_rows *r)
{
	size_t i;

	l->now_us = clock_wall_ms(c->clock) * 1000;
	for (i = 0; i < r->ninstances; i++)
		if (r->instances[i].heard_us > l->now_us)
			l->now_us = r->instances[i].heard_us;
}

static enum err
lag_txn(struct txn *tx)
{
	const struct event_time any = {.event = {.kind = EV_CALLER}};
	struct lagging *l = tx->arg;
	struct lag_rows *r = calloc(1, sizeof(*r));
	size_t i, at = 0, end;
	enum err e = ERR_NOMEM;

	l->n = 0;
	l->lookups = 0;
	if (r == NULL)
		return e;
	e = store_event_gateways(tx->st, &any, r->gateways,
	    l->max < CORE_LIST_MAX ? l->max : CORE_LIST_MAX, &r->ngateways);
	if (e == ERR_OK)
		e = store_instances(tx->st, r->instances, ROWS_MAX,
		    &r->ninstances);
	set_now(tx->call->core, l, r);
	/* Both by number of the gateway. */
	for (i = 0; e == ERR_OK && i < r->ngateways; i++, at = end) {
		while (at < r->ninstances &&
		    r->instances[at].caller < r->gateways[i].number)
			at++;
		end = at;
		while (end < r->ninstances &&
		    r->instances[end].caller == r->gateways[i].number)
			end++;
		e = one_gateway(tx->st, l, &r->gateways[i],
		    &r->instances[at], end - at);
	}
	free(r);
	return e;
}

enum err
core_gateway_lags(struct core_call *call, struct gateway_lag *rows,
    size_t max, size_t *n)
{
	struct lagging l = {.rows = rows, .max = max};
	struct txn tx = {.call = call, .mode = STORE_READ, .arg = &l};
	enum err e;

	e = txn_run(&tx, lag_txn);
	if (e == ERR_OK)
		*n = l.n;
	return e;
}
