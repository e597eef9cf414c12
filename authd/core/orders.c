#include "authd/core/core_internal.h"

#include <stdio.h>
#include <string.h>

#include "lib/crypt/digest.h"

int
order_has_station(const struct order *o, const char *name)
{
	uint32_t i;

	for (i = 0; i < o->nstations && i < ORDER_STATIONS_MAX; i++)
		if (strcmp(o->stations[i], name) == 0)
			return 1;
	return 0;
}

enum err
order_admits(const struct core_call *call, const struct order *o)
{
	const struct caller *who = call->caller;

	return who->role == ROLE_STATION && order_has_station(o, who->name) ?
	    ERR_OK : ERR_STATION;
}

enum err
order_for_station(struct txn *tx, const char *name, struct order *out)
{
	enum err e = store_order_get(tx->st, name, out);

	return e == ERR_OK ? order_admits(tx->call, out) : e;
}

static enum err
check_peers(struct txn *tx, const struct order *o)
{
	struct audience a;
	uint32_t i;
	enum err e;

	for (i = 0; i < o->npeers; i++) {
		e = store_audience_get(tx->st, o->peers[i], &a);
		if (e == ERR_NOT_FOUND || (e == ERR_OK && a.retired)) {
			detail_set(&tx->call->detail,
			    "peers: no audience %s in service", o->peers[i]);
			return ERR_REQUEST;
		}
		if (e != ERR_OK)
			return e;
	}
	return ERR_OK;
}

static enum err
check_stations(struct txn *tx, const struct order *o)
{
	struct caller c;
	uint32_t i;
	enum err e;

	for (i = 0; i < o->nstations; i++) {
		e = store_caller_by_name(tx->st, o->stations[i], &c);
		if (e == ERR_NOT_FOUND || (e == ERR_OK &&
		    (c.role != ROLE_STATION || c.disabled))) {
			detail_set(&tx->call->detail, "stations: no caller "
			    "%s with role station", o->stations[i]);
			return ERR_REQUEST;
		}
		if (e != ERR_OK)
			return e;
	}
	return ERR_OK;
}

/* A racer may make the same: start again and find it. */
static enum err
raced(enum err e)
{
	return e == ERR_EXISTS ? ERR_CONFLICT : e;
}

static enum err
make_model(struct txn *tx, const char *name, struct model_row *m)
{
	struct group g = {.kind = GROUP_MODEL};
	enum err e;

	memset(m, 0, sizeof(*m));
	(void)snprintf(g.name, sizeof(g.name), "%s", name);
	(void)snprintf(m->name, sizeof(m->name), "%s", name);
	e = store_group_insert(tx->st, &g);
	m->group = g.number;
	return raced(e == ERR_OK ? store_model_insert(tx->st, m) : e);
}

/* A master key for a model whose devices' keys are derived. */
static enum err
make_master(struct txn *tx, struct model_row *m)
{
	struct seal_row where = {"model", tx->call->tenant->number, m->number,
	    0};
	struct key32 master;
	enum err e;

	e = random_key32(&master);
	if (e == ERR_OK)
		e = keyring_seal(tx->call->core, &where, &master, m->master,
		    &m->master_len, &m->data_key);
	key32_wipe(&master);
	return e == ERR_OK ? store_model_master(tx->st, m) : e;
}

static enum err
create_txn(struct txn *tx)
{
	struct order *o = tx->arg, present;
	struct group g = {.kind = GROUP_ORDER};
	struct model_row m;
	enum err e;

	e = store_order_get(tx->st, o->name, &present);
	if (e == ERR_OK)
		return ERR_EXISTS;
	if (e == ERR_NOT_FOUND)
		e = check_peers(tx, o);
	if (e == ERR_OK)
		e = check_stations(tx, o);
	if (e == ERR_OK) {
		e = store_model_get(tx->st, o->model, &m);
		if (e == ERR_NOT_FOUND)
			e = make_model(tx, o->model, &m);
	}
	if (e == ERR_OK && o->derived && m.data_key == 0)
		e = make_master(tx, &m);
	if (e != ERR_OK)
		return e;
	memcpy(g.name, o->name, sizeof(g.name));
	e = raced(store_group_insert(tx->st, &g));
	o->group = g.number;
	o->model_group = m.group;
	return e == ERR_OK ? raced(store_order_insert(tx->st, o)) : e;
}

enum err
core_order_create(struct core_call *call, struct order *o)
{
	struct order made = *o;
	struct txn tx = {.call = call, .mode = STORE_WRITE,
	    .action = "order.create", .object_kind = "order", .arg = &made};
	enum err e;

	e = order_validate(o, &call->detail);
	if (e == ERR_OK && o->expires_at <= clock_wall_s(call->core->clock)) {
		detail_set(&call->detail, "expires_at: a time to come");
		e = ERR_REQUEST;
	}
	if (e != ERR_OK)
		return e;
	if (!call->may_block)
		return ERR_WOULD_BLOCK;
	made.issued = 0;
	made.closed = 0;
	memcpy(tx.object, o->name, sizeof(tx.object));
	(void)snprintf(tx.note, sizeof(tx.note), "model %s quantity %u",
	    o->model, o->quantity);
	if (o->derived)
		e = keyring_prepare(call->core, call->tenant->number);
	if (e == ERR_OK)
		e = txn_run(&tx, create_txn);
	if (e == ERR_OK)
		*o = made;
	return e;
}

struct order_arg {
	const char *name;
	struct order order;
	struct order *rows;
	size_t max, n;
};

/* A station sees its own orders; of others it does not learn. */
static enum err
get_txn(struct txn *tx)
{
	struct order_arg *a = tx->arg;
	const struct caller *who = tx->call->caller;
	enum err e;

	e = store_order_get(tx->st, a->name, &a->order);
	if (e == ERR_OK && who->role == ROLE_STATION &&
	    !order_has_station(&a->order, who->name))
		return ERR_NOT_FOUND;
	return e;
}

enum err
core_order_get(struct core_call *call, const char *name, struct order *out)
{
	struct order_arg a = {.name = name};
	struct txn tx = {.call = call, .mode = STORE_READ, .arg = &a};
	enum err e;

	if (!name_is_order(name))
		return not_found(call, ERR_NOT_FOUND, "order", NULL);
	e = not_found(call, txn_run(&tx, get_txn), "order", name);
	if (e == ERR_OK)
		*out = a.order;
	return e;
}

struct summing {
	struct order_arg of; /* first */
	struct order_summary sum;
};

static enum err
summary_txn(struct txn *tx)
{
	struct summing *s = tx->arg;
	enum err e = get_txn(tx);

	return e == ERR_OK ? store_order_summary(tx->st, s->of.name,
	    &s->sum) : e;
}

enum err
core_order_summary(struct core_call *call, const char *name,
    struct order_summary *out)
{
	struct summing s = {.of = {.name = name}};
	struct txn tx = {.call = call, .mode = STORE_READ, .arg = &s};
	enum err e;

	if (!name_is_order(name))
		return not_found(call, ERR_NOT_FOUND, "order", NULL);
	e = not_found(call, txn_run(&tx, summary_txn), "order", name);
	if (e == ERR_OK)
		*out = s.sum;
	return e;
}

static enum err
list_txn(struct txn *tx)
{
	struct order_arg *a = tx->arg;
	const struct caller *who = tx->call->caller;

	return store_order_list(tx->st, who->role == ROLE_STATION ?
	    who->name : NULL, a->rows, a->max, &a->n);
}

enum err
core_order_list(struct core_call *call, struct order *rows, size_t max,
    size_t *n)
{
	struct order_arg a = {.rows = rows, .max = max};
	struct txn tx = {.call = call, .mode = STORE_READ, .arg = &a};
	enum err e;

	e = txn_run(&tx, list_txn);
	if (e == ERR_OK)
		*n = a.n;
	return e;
}

static enum err
close_txn(struct txn *tx)
{
	struct order_arg *a = tx->arg;
	enum err e;

	e = store_order_close(tx->st, a->name);
	return e == ERR_OK ? store_order_get(tx->st, a->name, &a->order) : e;
}

enum err
core_order_close(struct core_call *call, const char *name, struct order *out)
{
	struct order_arg a = {.name = name};
	struct txn tx = {.call = call, .mode = STORE_WRITE,
	    .action = "order.close", .object_kind = "order", .arg = &a};
	enum err e;

	if (!name_is_order(name))
		return not_found(call, ERR_NOT_FOUND, "order", NULL);
	(void)snprintf(tx.object, sizeof(tx.object), "%s", name);
	e = not_found(call, txn_run(&tx, close_txn), "order", name);
	if (e == ERR_OK)
		*out = a.order;
	return e;
}
