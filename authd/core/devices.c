#include "authd/core/core_internal.h"

#include <stdio.h>
#include <string.h>

enum err
device_lock(struct txn *tx, const char *device_id, struct device *out)
{
	enum err e = store_device_by_id(tx->st, device_id, out);

	if (e != ERR_OK)
		return e;
	out->tenant = tx->call->tenant->number;
	txn_about_device(tx, out->dn);
	return ERR_OK;
}

enum err
device_look(struct txn *tx, const char *device_id, uint32_t epoch, int peers,
    struct burn_look *out)
{
	enum err e = store_burn_look(tx->st, device_id, epoch, peers, out);

	if (e != ERR_OK)
		return e;
	out->device.tenant = tx->call->tenant->number;
	txn_about_device(tx, out->device.dn);
	return ERR_OK;
}

struct finding {
	const char *device_id;
	struct device device;
};

/* A station sees the devices of its orders; of others it does not learn. */
static enum err
get_txn(struct txn *tx)
{
	struct finding *f = tx->arg;
	struct order o;
	enum err e;

	e = store_device_by_id(tx->st, f->device_id, &f->device);
	if (e != ERR_OK || tx->call->caller->role != ROLE_STATION)
		return e;
	e = order_for_station(tx, f->device.order, &o);
	return e == ERR_STATION ? ERR_NOT_FOUND : e;
}

enum err
core_device_get(struct core_call *call, const char *device_id,
    struct device *out)
{
	struct finding f = {.device_id = device_id};
	struct txn tx = {.call = call, .mode = STORE_READ, .arg = &f};
	enum err e;

	if (!name_is_device_id(device_id))
		return not_found(call, ERR_NOT_FOUND, "device", NULL);
	e = not_found(call, txn_run(&tx, get_txn), "device",
	    device_id);
	if (e == ERR_OK)
		*out = f.device;
	return e;
}

struct listing {
	const struct device_filter *f;
	struct device *rows;
	size_t n;
};

static enum err
list_txn(struct txn *tx)
{
	struct listing *l = tx->arg;

	return store_device_list(tx->st, l->f, l->rows, &l->n);
}

enum err
core_device_list(struct core_call *call, const struct device_filter *f,
    struct device *rows, size_t *n)
{
	struct listing l = {f, rows, 0};
	struct txn tx = {.call = call, .mode = STORE_READ, .arg = &l};
	enum err e;

	if (f->limit < 1 || f->limit > CORE_LIST_MAX)
		return ERR_REQUEST;
	e = txn_run(&tx, list_txn);
	if (e == ERR_OK)
		*n = l.n;
	return e;
}

struct effecting {
	const char *device_id;
	enum event_effect effect;
	int revoke;
	struct device device;
	uint64_t pos;
};

/*
 * The state an effect leads to, or why not. *done: it holds already, and
 * neither state nor event is needed.
 */
static enum err
next_state(enum device_state s, enum event_effect effect, int revoke,
    enum device_state *to, int *done)
{
	int live = s == DEV_ACTIVE || s == DEV_SUSPENDED;

	*done = 0;
	*to = s;
	if (s == DEV_ERASED || s == DEV_VOID)
		return ERR_WRONG_STATE;
	if (revoke) {
		*to = DEV_REVOKED;
		*done = s == DEV_REVOKED;
		return ERR_OK;
	}
	if (s == DEV_REVOKED)
		return ERR_DEVICE_REVOKED;
	if (!live)
		return ERR_WRONG_STATE;
	if (effect == EFFECT_BLOCK)
		*to = DEV_SUSPENDED;
	else if (effect == EFFECT_LIFT)
		*to = DEV_ACTIVE;
	*done = effect != EFFECT_CUT && *to == s;
	return ERR_OK;
}

static enum err
effect_txn(struct txn *tx)
{
	struct effecting *f = tx->arg;
	struct device *dev = &f->device;
	enum device_state to;
	uint64_t floor;
	enum err e;
	int done;

	e = device_lock(tx, f->device_id, dev);
	if (e == ERR_OK)
		e = next_state(dev->state, f->effect, f->revoke, &to, &done);
	if (e == ERR_OK && done)
		return store_position(tx->st, &f->pos, &floor);
	if (e == ERR_OK && to != dev->state) {
		dev->state = to;
		e = store_device_update(tx->st, dev);
	}
	if (e == ERR_OK)
		e = txn_device_event(tx, dev->dn,
		    f->revoke ? EFFECT_BLOCK : f->effect);
	if (e == ERR_OK)
		f->pos = tx->pos;
	return e;
}

static const char *
action_of(enum event_effect effect, int revoke)
{
	if (revoke)
		return "device.revoke";
	if (effect == EFFECT_BLOCK)
		return "device.suspend";
	return effect == EFFECT_LIFT ? "device.reinstate" : "device.cut";
}

enum err
core_device_effect(struct core_call *call, const char *device_id,
    enum event_effect effect, int revoke, const char *reason,
    struct device *out, uint64_t *pos)
{
	struct effecting f = {.device_id = device_id, .effect = effect,
	    .revoke = revoke};
	struct txn tx = {.call = call, .mode = STORE_WRITE,
	    .action = action_of(effect, revoke), .object_kind = "device",
	    .arg = &f};
	enum err e;

	if (!name_is_device_id(device_id))
		return not_found(call, ERR_NOT_FOUND, "device", NULL);
	(void)snprintf(tx.object, sizeof(tx.object), "%s", device_id);
	(void)snprintf(tx.note, sizeof(tx.note), "%s",
	    reason == NULL ? "" : reason);
	e = not_found(call, txn_run(&tx, effect_txn), "device",
	    device_id);
	if (e == ERR_OK) {
		*out = f.device;
		*pos = f.pos;
	}
	return e;
}
