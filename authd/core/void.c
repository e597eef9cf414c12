#include "authd/core/core_internal.h"

#include <stdio.h>

/*
 * A unit is scrapped before it is finished. Its place is another's then, but
 * for an order that gives a serial number a key once (policy never): what may
 * hold one counts.
 */
struct voiding {
	const char *device_id, *reason;
	struct device device;
};

/* An admin may always; a station what is its own. */
static enum err
may_void(struct txn *tx, const struct order *o, const struct device *dev)
{
	const struct caller *who = tx->call->caller;
	uint64_t station = 0;
	enum err e;

	if (who->role == ROLE_ADMIN)
		return ERR_OK;
	if (who->role != ROLE_STATION || !order_has_station(o, who->name))
		return ERR_STATION;
	e = store_device_station(tx->st, dev->dn, &station);
	if (e == ERR_OK && station != 0 && station != who->number)
		e = ERR_STATION;
	return e;
}

static enum err
find_device(struct txn *tx, struct voiding *v)
{
	struct device *dev = &v->device;
	uint32_t epoch = 0;
	enum err e;

	e = store_device_by_id(tx->st, v->device_id, dev);
	if (e == ERR_NOT_FOUND && store_device_void_epoch(tx->st,
	    v->device_id, &epoch) == ERR_OK && epoch > 0) {
		detail_set(&tx->call->detail, "device %s is void",
		    v->device_id);
		return ERR_NOT_FOUND;
	}
	if (e == ERR_OK)
		e = store_device_get(tx->st, dev->dn, dev); /* locked */
	if (e != ERR_OK)
		return e;
	(void)snprintf(tx->object, sizeof(tx->object), "%llu",
	    (unsigned long long)dev->dn);
	return ERR_OK;
}

static enum err
void_txn(struct txn *tx)
{
	struct voiding *v = tx->arg;
	struct device *dev = &v->device;
	struct order o;
	int counts;
	enum err e;

	e = find_device(tx, v);
	if (e == ERR_OK)
		e = store_order_get(tx->st, dev->order, &o);
	if (e == ERR_OK)
		e = may_void(tx, &o, dev);
	if (e == ERR_OK && dev->state != DEV_RESERVED &&
	    dev->state != DEV_BURNING) {
		detail_set(&tx->call->detail, "device %s is %s: what is "
		    "finished is revoked", dev->device_id,
		    device_state_name(dev->state));
		e = ERR_WRONG_STATE;
	}
	if (e != ERR_OK)
		return e;
	counts = dev->state == DEV_BURNING && o.reburn == REBURN_NEVER;
	e = store_device_void(tx->st, dev->dn, v->reason);
	if (e == ERR_OK && !counts)
		e = store_order_give_back(tx->st, o.name);
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
		*out = v.device;
	return e;
}
