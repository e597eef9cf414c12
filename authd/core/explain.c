#include "authd/core/core_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct explaining {
	struct explanation *x;
	const char *device_id; /* or by number */
	uint64_t dn;
	struct event *page;
};

/* Keeps the list newest first and bounded. */
static void
merge(struct explanation *x, const struct event *ev, size_t n)
{
	size_t i, at;

	for (i = 0; i < n; i++) {
		at = x->nevents;
		while (at > 0 && x->events[at - 1].pos < ev[i].pos)
			at--;
		if (at >= EXPLAIN_EVENTS)
			continue;
		if (x->nevents < EXPLAIN_EVENTS)
			x->nevents++;
		memmove(&x->events[at + 1], &x->events[at],
		    (x->nevents - at - 1) * sizeof(x->events[0]));
		x->events[at] = ev[i];
	}
}

static enum err
naming(struct txn *tx, enum event_kind kind, const char *id)
{
	struct explaining *a = tx->arg;
	size_t n = 0;
	enum err e;

	e = store_event_naming(tx->st, kind, id, EXPLAIN_EVENTS, a->page, &n);
	if (e == ERR_OK)
		merge(a->x, a->page, n);
	return e;
}

static enum err
naming_number(struct txn *tx, enum event_kind kind, uint64_t number)
{
	char id[24];

	(void)snprintf(id, sizeof(id), "%llu", (unsigned long long)number);
	return naming(tx, kind, id);
}

/* Blocks of the device's groups and tenant, from the rows. */
static enum err
blocked_by_rows(struct txn *tx, const struct device *d)
{
	struct group g;
	int blocked = 0;
	uint32_t i;
	enum err e;

	e = store_tenant_blocked(tx->st, &blocked);
	if (e == ERR_OK && blocked)
		return ERR_TENANT_BLOCKED;
	for (i = 0; e == ERR_OK && i < d->ngroups; i++) {
		e = store_group_get(tx->st, d->groups[i], &g);
		if (e == ERR_OK && g.blocked)
			return ERR_GROUP_BLOCKED;
	}
	return e;
}

static void
verdict(struct explanation *x, enum err e)
{
	if (x->verdict == ERR_OK)
		x->verdict = e;
}

static enum err
read_events(struct txn *tx, const struct device *d)
{
	struct explanation *x = ((struct explaining *)tx->arg)->x;
	uint32_t i;
	enum err e;

	e = naming_number(tx, EV_TENANT, tx->call->tenant->number);
	if (e == ERR_OK)
		e = naming_number(tx, EV_DEVICE, d->dn);
	for (i = 0; e == ERR_OK && i < d->ngroups; i++)
		e = naming_number(tx, EV_GROUP, d->groups[i]);
	if (e == ERR_OK && x->has_claims)
		e = naming(tx, EV_TOKEN, x->claims.jti);
	return e;
}

/* At the device listener it may rotate all the same. */
static enum err
has_to_rotate(struct txn *tx, const struct device *d, struct explanation *x)
{
	struct device_key_row row;
	struct order o;
	enum err e;

	if (strcmp(x->audience, AUDIENCE_AUTHORITY) == 0)
		return ERR_OK;
	e = store_order_get(tx->st, d->order, &o);
	if (e != ERR_OK || !o.rotate_first)
		return e;
	e = store_device_key_get(tx->st, d->dn,
	    x->epoch != 0 ? x->epoch : d->epoch, &row);
	if (e == ERR_OK && row.released > 0)
		verdict(x, ERR_ROTATION);
	return e == ERR_NOT_FOUND ? ERR_OK : e;
}

static enum err
device_txn(struct txn *tx)
{
	struct explaining *a = tx->arg;
	struct explanation *x = a->x;
	struct device *d = &x->device;
	uint64_t floor;
	enum err e, why;

	x->nevents = 0;
	e = store_position(tx->st, &x->pos, &floor);
	if (e == ERR_OK)
		e = a->device_id != NULL ?
		    store_device_by_id(tx->st, a->device_id, d) :
		    store_device_get(tx->st, a->dn, d);
	if (e != ERR_OK)
		return e;
	x->has_device = 1;
	why = device_state_refusal(d->state);
	/* The events only say blocked; the row knows for how long. */
	if (x->verdict == ERR_DEVICE_BLOCKED && why != ERR_OK)
		x->verdict = why;
	verdict(x, why);
	why = blocked_by_rows(tx, d);
	if (why != ERR_OK && why != ERR_TENANT_BLOCKED &&
	    why != ERR_GROUP_BLOCKED)
		return why;
	verdict(x, why);
	if (x->epoch != 0 && !device_epoch_valid(d, x->epoch))
		verdict(x, ERR_EPOCH_DEAD);
	e = has_to_rotate(tx, d, x);
	return e == ERR_OK ? read_events(tx, d) : e;
}

static enum err
read_device(struct core_call *call, struct explaining *a)
{
	struct txn tx = {.call = call, .mode = STORE_READ, .arg = a};
	enum err e;

	a->page = calloc(EXPLAIN_EVENTS, sizeof(*a->page));
	if (a->page == NULL)
		return ERR_NOMEM;
	e = txn_run(&tx, device_txn);
	free(a->page);
	return e;
}

static enum err
explain_token(struct core_call *call, const char *token, size_t len,
    struct explanation *x)
{
	const struct token_rules rules = {.iss = call->tenant->issuer,
	    .now = clock_wall_s(call->core->clock)};
	struct explaining a = {.x = x};
	struct seen_token seen;
	int cached;
	enum err e;

	e = token_read(call->core, call->tenant, token, len, &seen, &cached,
	    NULL);
	if (e != ERR_OK && err_status(e) < 500) {
		x->verdict = e; /* not ours, or not what it says */
		return ERR_OK;
	}
	if (e != ERR_OK)
		return e;
	x->claims = seen.claims;
	x->has_claims = 1;
	a.dn = seen.claims.dn;
	x->verdict = token_check_time(&seen.claims, &rules);
	verdict(x, token_alive(call->tenant, &seen, NULL));
	return read_device(call, &a);
}

struct audiences {
	struct audience *rows;
	size_t n;
};

static enum err
audiences_txn(struct txn *tx)
{
	struct audiences *l = tx->arg;

	return store_audience_list(tx->st, l->rows, CORE_LIST_MAX, &l->n);
}

/* Opens it under the key of each audience: an identity does not say whose. */
static enum err
find_audience(struct core_call *call, const char *identity, size_t len,
    struct pskid *id, name_t audience)
{
	struct audiences l = {NULL, 0};
	struct txn tx = {.call = call, .mode = STORE_READ, .arg = &l};
	size_t i;
	enum err e;

	if (identity_open_own(call->core, identity, len, id) == ERR_OK &&
	    id->tenant == call->tenant->number) {
		memcpy(audience, AUDIENCE_AUTHORITY,
		    sizeof(AUDIENCE_AUTHORITY));
		return ERR_OK;
	}
	l.rows = calloc(CORE_LIST_MAX, sizeof(*l.rows));
	if (l.rows == NULL)
		return ERR_NOMEM;
	e = txn_run(&tx, audiences_txn);
	if (e == ERR_OK)
		e = ERR_IDENTITY;
	for (i = 0; e == ERR_IDENTITY && i < l.n; i++) {
		e = identity_open(call->core, call->tenant->number,
		    l.rows[i].name, identity, len, id);
		if (e == ERR_OK)
			memcpy(audience, l.rows[i].name, sizeof(name_t));
	}
	free(l.rows);
	return e;
}

static enum err
explain_identity(struct core_call *call, const char *identity, size_t len,
    struct explanation *x)
{
	struct explaining a = {.x = x};
	struct pskid id;
	enum err e;

	e = find_audience(call, identity, len, &id, x->audience);
	if (e == ERR_IDENTITY) {
		x->verdict = e;
		return ERR_OK;
	}
	if (e != ERR_OK)
		return e;
	x->epoch = id.epoch;
	a.dn = id.dn;
	return read_device(call, &a);
}

static enum err
explain_device(struct core_call *call, const char *name, size_t len,
    struct explanation *x)
{
	struct explaining a = {.x = x};
	name_t id = "";

	if (len == 0 || len >= sizeof(id))
		return not_found(call, ERR_NOT_FOUND, "device", NULL);
	memcpy(id, name, len);
	id[len] = '\0';
	if (!name_is_device_id(id))
		return not_found(call, ERR_NOT_FOUND, "device", NULL);
	a.device_id = id;
	return not_found(call, read_device(call, &a), "device", id);
}

enum err
core_explain(struct core_call *call, enum explain_kind kind,
    const char *subject, size_t len, struct explanation *out)
{
	struct explanation *x;
	enum err e;

	e = call_check(call);
	if (e == ERR_OK && !call->may_block)
		e = ERR_WOULD_BLOCK;
	if (e != ERR_OK)
		return e;
	x = calloc(1, sizeof(*x));
	if (x == NULL)
		return ERR_NOMEM;
	x->verdict = ERR_OK;
	x->pos = core_tenant_position(call->tenant);
	(void)snprintf(x->what, sizeof(x->what), "%s",
	    kind == EXPLAIN_TOKEN ? "token" : kind == EXPLAIN_IDENTITY ?
	    "psk-identity" : "device");
	if (kind == EXPLAIN_TOKEN)
		e = explain_token(call, subject, len, x);
	else if (kind == EXPLAIN_IDENTITY)
		e = explain_identity(call, subject, len, x);
	else
		e = explain_device(call, subject, len, x);
	if (e == ERR_OK)
		*out = *x;
	free(x);
	return e;
}
