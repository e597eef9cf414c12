#include "authd/core/core_internal.h"

#include <stdio.h>

/*
 * A unit is scrapped before it is finished. Its place is another's then, but
 * for an order that gives a serial number a key once (policy never): what may
 * hold one counts.
 */
struct voiding {
	const char *device_id, *reason;
	struct burn_look look;
};

/* An admin may always; a station what is its own. */
static enum err
may_void(struct txn *tx, const struct burn_look *l)
{
	const struct caller *who = tx->call->caller;

	if (who->role == ROLE_ADMIN)
		return ERR_OK;
	if (l->station != 0 && l->station != who->number)
		return ERR_STATION;
	return order_admits(tx->call, &l->order);
}

static enum err
find_device(struct txn *tx, struct voiding *v)
{
	uint32_t epoch = 0;
	enum err e;

	e = device_look(tx, v->device_id, 0, 0, &v->look);
	if (e == ERR_NOT_FOUND && store_device_void_epoch(tx->st,
	    v->device_id, &epoch) == ERR_OK && epoch > 0) {
		detail_set(&tx->call->detail, "device %s is void",
		    v->device_id);
		return ERR_NOT_FOUND;
	}
	return e;
}

static enum err
void_txn(struct txn *tx)
{
	struct voiding *v = tx->arg;
	const struct order *o = &v->look.order;
	struct device *dev = &v->look.device;
	int counts;
	enum err e;

	e = find_device(tx, v);
	if (e == ERR_OK)
		e = may_void(tx, &v->look);
	if (e == ERR_OK && dev->state != DEV_RESERVED &&
	    dev->state != DEV_BURNING) {
		detail_set(&tx->call->detail, "device %s is %s: what is "
		    "finished is revoked", dev->device_id,
		    device_state_name(dev->state));
		e = ERR_WRONG_STATE;
	}
	if (e != ERR_OK)
		return e;
	counts = dev->state == DEV_BURNING && o->reburn == REBURN_NEVER;
	e = store_device_void(tx->st, dev->dn, v->reason);
	if (e == ERR_OK && !counts)
		e = store_order_give_back(tx->st, o->name);
	return e == ERR_OK ? store_device_get(tx->st, dev->dn, dev) : e;
}

enum err
core_void(struct core_call *call, const char *device_id, const char *reason,
    struct device *out)
{
	struct voiding v = {.device_id = device_id,
	    .reason = reason == NULL ? "" :
	    may_be_credential(reason) ? "-" : reason};
	struct txn tx = {.call = call, .mode = STORE_WRITE,
	    .action = "device.void", .object_kind = "device", .arg = &v};
	enum err e;

	if (!name_is_device_id(device_id))
		return not_found(call, ERR_NOT_FOUND, "device", NULL);
	(void)snprintf(tx.object, sizeof(tx.object), "%s", device_id);
	(void)snprintf(tx.note, sizeof(tx.note), "%s", v.reason);
	e = not_found(call, txn_run(&tx, void_txn), "device",
	    device_id);
	if (e == ERR_OK)
		*out = v.look.device;
	return e;
}
