#include "authd/core/tickets.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/jose/jwe.h"

/*
 * A ticket is pulled: many places of an order at once, their keys encrypted
 * to the long-lived key pair of the station, which is to be without network.
 */
#define PREPARES 3 /* the data key may run out on the way */

struct pulling {
	const char *order;
	const struct ticket_request *req;
	struct device_public key;
	struct ticket *out;
	struct burn_look look; /* of the identity under way */
	struct buf jwe;
};

/* Nothing of these orders can be given without the unit at hand. */
static enum err
order_fits(struct core_call *call, const struct order *o)
{
	if (strstr(o->id_template, "{serial}") != NULL) {
		detail_set(&call->detail, "order %s makes device_ids of serial "
		    "numbers, which a ticket does not know: give it an "
		    "id_template of {n}", o->name);
		return ERR_REQUEST;
	}
	if (o->reburn == REBURN_NEVER) {
		detail_set(&call->detail, "order %s never releases a key "
		    "twice, which a lost ticket has to: make one of policy "
		    "until-confirmed", o->name);
		return ERR_REQUEST;
	}
	if (o->min_proof == PROOF_DEVICE_MADE) {
		detail_set(&call->detail, "order %s wants keys that devices "
		    "make, which are not there yet", o->name);
		return ERR_PROOF;
	}
	if (o->closed)
		return ERR_ORDER_CLOSED;
	return o->expires_at <= clock_wall_s(call->core->clock) ?
	    ERR_ORDER_EXPIRED : ERR_OK;
}

/* One identity as the ticket has it; another release of its key. */
static enum err
fill_unit(struct txn *tx, struct pulling *p, const struct device *dev,
    struct ticket_unit *u)
{
	struct core *c = tx->call->core;
	const struct pskid of = {.tenant = tx->call->tenant->number,
	    .dn = dev->dn, .epoch = dev->epoch};
	const struct challenge_of about = {of.tenant, of.dn, of.epoch,
	    tx->call->caller->number, 0};
	char note[64];
	enum err e;

	e = store_burn_look(tx->st, dev->device_id, dev->epoch, 1, &p->look);
	if (e != ERR_OK)
		return e == ERR_NOT_FOUND ? ERR_INTERNAL : e;
	p->look.device.tenant = of.tenant;
	p->look.station = tx->call->caller->number;
	e = key_release(tx, &p->look, p->req->station_key, 0, &p->jwe);
	if (e != ERR_OK)
		return e;
	if (p->jwe.len >= sizeof(u->key))
		return ERR_INTERNAL;
	memset(u, 0, sizeof(*u));
	memcpy(u->key, p->jwe.p, p->jwe.len + 1);
	memcpy(u->device_id, dev->device_id, sizeof(u->device_id));
	u->dn = dev->dn;
	u->epoch = dev->epoch;
	e = ticket_challenge_make(c, &about, u->challenge);
	if (e == ERR_OK)
		e = audience_peers(c, &of, p->look.peers, p->look.npeers,
		    u->peers, &u->npeers);
	(void)snprintf(note, sizeof(note), "epoch %u in ticket %s",
	    dev->epoch, p->req->id);
	return e == ERR_OK ? txn_audit_device(tx, "device.release", dev->dn,
	    note) : e;
}

static enum err
new_unit(struct txn *tx, struct pulling *p, const struct order *o,
    struct ticket_unit *u)
{
	struct device dev;
	enum err e;

	e = order_enrol(tx, o, NULL, 1, &dev);
	if (e == ERR_OK)
		e = store_ticket_unit_add(tx->st, p->req->id, dev.dn);
	return e == ERR_OK ? fill_unit(tx, p, &dev, u) : e;
}

static enum err
new_ticket(struct txn *tx, struct pulling *p, const struct order *o)
{
	int64_t now = clock_wall_s(tx->call->core->clock);
	struct ticket *t = p->out;
	struct ticket_row row = {.station = tx->call->caller->number,
	    .key = p->key, .count = p->req->count};
	uint32_t left = o->quantity > o->issued ? o->quantity - o->issued : 0;
	int full = left < p->req->count;
	enum err e;

	row.expires_at = now + p->req->life;
	if (row.expires_at > o->expires_at)
		row.expires_at = o->expires_at;
	memcpy(row.id, p->req->id, sizeof(row.id));
	memcpy(row.order, o->name, sizeof(row.order));
	/* A whole ticket is much work; order_take has the last word. */
	e = full ? ERR_ORDER_FULL : store_ticket_insert(tx->st, &row);
	while (e == ERR_OK && t->n < p->req->count) {
		e = new_unit(tx, p, o, &t->units[t->n]);
		if (e == ERR_OK)
			t->n++;
	}
	t->expires_at = row.expires_at;
	if (e == ERR_ORDER_FULL)
		detail_set(&tx->call->detail, "%u of %u places are left",
		    full ? left : t->n, p->req->count);
	return e == ERR_EXISTS && t->n == 0 ? ERR_CONFLICT : e;
}

/* The answer was lost: the same ticket, without what has been burned of it. */
static enum err
same_ticket(struct txn *tx, struct pulling *p, const struct order *o,
    const struct ticket_row *row)
{
	struct ticket_unit_row *rows;
	struct ticket *t = p->out;
	struct device dev;
	size_t i, n = 0;
	enum err e;

	if (row->station != tx->call->caller->number ||
	    strcmp(row->order, o->name) != 0 ||
	    row->count != p->req->count ||
	    !ct_equal(row->key.xy, p->key.xy, sizeof(p->key.xy)))
		return ERR_EXISTS;
	if (row->swept || row->expires_at <=
	    clock_wall_s(tx->call->core->clock))
		return ERR_TICKET_EXPIRED;
	rows = calloc(TICKET_UNITS_MAX, sizeof(*rows));
	e = rows == NULL ? ERR_NOMEM : store_ticket_unit_list(tx->st, row->id,
	    rows, TICKET_UNITS_MAX, &n);
	for (i = 0; e == ERR_OK && i < n && t->n < p->req->count; i++) {
		e = store_device_get(tx->st, rows[i].dn, &dev);
		if (e != ERR_OK || dev.state != DEV_BURNING ||
		    rows[i].burned)
			continue;
		e = fill_unit(tx, p, &dev, &t->units[t->n]);
		t->n += e == ERR_OK;
	}
	t->expires_at = row->expires_at;
	free(rows);
	return e;
}

static enum err
pull_txn(struct txn *tx)
{
	struct pulling *p = tx->arg;
	struct ticket *t = p->out;
	struct ticket_row row;
	struct order o;
	enum err e;

	t->n = 0;
	e = not_found(tx->call, order_for_station(tx, p->order, &o),
	    "order", p->order);
	if (e == ERR_OK)
		e = order_fits(tx->call, &o);
	if (e != ERR_OK)
		return e;
	memcpy(t->id, p->req->id, sizeof(t->id));
	memcpy(t->issuer, tx->call->tenant->issuer, sizeof(t->issuer));
	memcpy(t->order, o.name, sizeof(t->order));
	memcpy(t->model, o.model, sizeof(t->model));
	memcpy(t->serial_pattern, o.serial_pattern,
	    sizeof(t->serial_pattern));
	t->min_proof = o.min_proof;
	e = store_ticket_get(tx->st, p->req->id, &row);
	if (e == ERR_OK)
		e = same_ticket(tx, p, &o, &row);
	else if (e == ERR_NOT_FOUND)
		e = new_ticket(tx, p, &o);
	if (e == ERR_OK)
		(void)snprintf(tx->note, sizeof(tx->note),
		    "ticket %s: %u identities", t->id, t->n);
	return e;
}

static enum err
read_key(struct core_call *call, const char *jwk, struct device_public *out)
{
	struct es256_public point;

	if (public_jwk_read(jwk, &point) != ERR_OK) {
		detail_set(&call->detail, "station_key: a public P-256 key "
		    "as JWK");
		return ERR_REQUEST;
	}
	memset(out, 0, sizeof(*out));
	out->there = 1;
	memcpy(out->xy, point.x, sizeof(point.x));
	memcpy(out->xy + sizeof(point.x), point.y, sizeof(point.y));
	return ERR_OK;
}

static enum err
pull(struct txn *tx)
{
	const struct core_call *call = tx->call;
	enum err e = ERR_CONFLICT;
	unsigned i;

	for (i = 0; e == ERR_CONFLICT && i < PREPARES; i++) {
		e = keyring_prepare(call->core, call->tenant->number);
		if (e == ERR_OK)
			e = txn_run(tx, pull_txn);
	}
	return e;
}

enum err
core_ticket_pull(struct core_call *call, const char *order,
    const struct ticket_request *req, struct ticket *out)
{
	struct ticket t = {.n = 0};
	struct pulling p = {.order = order, .req = req, .out = &t,
	    .jwe = {.max = 1024}};
	struct txn tx = {.call = call, .mode = STORE_WRITE,
	    .action = "ticket.pull", .object_kind = "order", .arg = &p};
	enum err e;

	if (!name_is_order(order))
		return not_found(call, ERR_NOT_FOUND, "order", NULL);
	if (!name_is_ticket(req->id) || req->count < 1 ||
	    req->count > TICKET_UNITS_MAX || req->life < 1 ||
	    req->life > TICKET_LIFE_MAX)
		return ERR_REQUEST;
	if (!call->may_block)
		return ERR_WOULD_BLOCK;
	(void)snprintf(tx.object, sizeof(tx.object), "%s", order);
	(void)snprintf(tx.note, sizeof(tx.note), "ticket %s of %u", req->id,
	    req->count);
	e = call_check(call);
	if (e == ERR_OK)
		e = read_key(call, req->station_key, &p.key);
	if (e == ERR_OK) {
		t.units = calloc(req->count, sizeof(*t.units));
		e = t.units == NULL ? ERR_NOMEM : pull(&tx);
	}
	if (e == ERR_OK)
		*out = t;
	else
		ticket_free(&t);
	buf_free(&p.jwe);
	return e;
}
