#include "authd/core/core_internal.h"

#include <stdio.h>
#include <string.h>

/*
 * A unit that came back gets the same identity in a new epoch, once an admin
 * has approved it (order policy new-epoch-with-approval). The new epoch is
 * pending like that of a rotation, and its key is one that no device has
 * asked for: so a station of the order may be given it. What the unit held
 * before goes on until the new key is proven.
 */
struct approving {
	const char *device_id;
	struct device device;
	uint32_t superseded;
};

enum err
key_was_released(struct txn *tx, const struct device *dev)
{
	detail_set(&tx->call->detail, "the key of device %s was released "
	    "once, which the order's policy never does again",
	    dev->device_id);
	return ERR_SERIAL_USED;
}

int
reburn_is(const struct device *dev, const struct device_key_row *row)
{
	return dev->pending != 0 && device_had_proof(dev) &&
	    row->epoch == dev->pending && !row->has_asked;
}

enum err
reburn_approved(struct txn *tx, const struct device *dev)
{
	struct device_key_row row;
	enum err e;

	if (dev->pending == 0)
		return ERR_NOT_FOUND;
	e = store_device_key_get(tx->st, dev->dn, dev->pending, &row);
	return e == ERR_OK && !reburn_is(dev, &row) ? ERR_NOT_FOUND : e;
}

enum err
reburn_done(struct txn *tx, struct device *dev, enum proof proof)
{
	enum err e = ERR_OK;

	/* Its blocks named the unit; what they were for dies with its key. */
	if (dev->state != DEV_ACTIVE)
		e = txn_device_event(tx, dev->dn, EFFECT_LIFT);
	dev->state = DEV_ACTIVE;
	dev->proof = proof;
	dev->unproven = proof == PROOF_MEDIUM;
	if (e == ERR_OK)
		e = epoch_switch(tx, dev, "burned again");
	tx->action = "device.reburn";
	return e;
}

static enum err
may_approve(struct txn *tx, const struct device *dev)
{
	struct detail *d = &tx->call->detail;
	struct order o;
	enum err e;

	e = store_order_get(tx->st, dev->order, &o);
	if (e != ERR_OK)
		return e;
	if (o.reburn != REBURN_APPROVAL) {
		detail_set(d, "the policy of order %s is %s", o.name,
		    reburn_name(o.reburn));
		return ERR_WRONG_STATE;
	}
	if (!device_had_proof(dev)) {
		detail_set(d, "device %s is %s", dev->device_id,
		    device_state_name(dev->state));
		return ERR_WRONG_STATE;
	}
	if (dev->proof == PROOF_DEVICE_MADE) {
		detail_set(d, "the identity is bound to a key pair of the "
		    "device's own: give the unit another serial number");
		return ERR_WRONG_STATE;
	}
	return ERR_OK;
}

static enum err
next_key(struct txn *tx, struct approving *a)
{
	struct device_key_row row = {.dn = 0};
	struct key32 k = {{0}};
	enum err e;

	a->superseded = 0;
	e = epoch_next(tx, &a->device, &row, &k, &a->superseded);
	key32_wipe(&k);
	return e;
}

static enum err
approve_txn(struct txn *tx)
{
	struct approving *a = tx->arg;
	struct device *dev = &a->device;
	enum err e;

	e = device_lock(tx, a->device_id, dev);
	if (e == ERR_OK)
		e = may_approve(tx, dev);
	if (e == ERR_OK)
		e = next_key(tx, a);
	/* What was pending is dead, whoever may have come to hold it. */
	return e == ERR_OK && a->superseded != 0 ?
	    epoch_cut(tx, dev->dn, a->superseded) : e;
}

enum err
core_device_approve(struct core_call *call, const char *device_id,
    const char *reason, struct device *out)
{
	struct approving a = {.device_id = device_id};
	struct txn tx = {.call = call, .mode = STORE_WRITE,
	    .action = "device.approve", .object_kind = "device", .arg = &a};
	enum err e;

	if (!name_is_device_id(device_id))
		return not_found(call, ERR_NOT_FOUND, "device", NULL);
	if (reason == NULL || reason[0] == '\0') {
		detail_set(&call->detail, "member reason: say why");
		return ERR_REQUEST;
	}
	if (!call->may_block)
		return ERR_WOULD_BLOCK;
	(void)snprintf(tx.object, sizeof(tx.object), "%s", device_id);
	(void)snprintf(tx.note, sizeof(tx.note), "%s", reason);
	e = call_check(call);
	if (e == ERR_OK)
		e = keyring_prepare(call->core, call->tenant->number);
	if (e == ERR_OK)
		e = not_found(call, txn_run(&tx, approve_txn), "device",
		    device_id);
	if (e != ERR_OK)
		return e;
	device_cache_forget(call->core->devices, call->tenant->number,
	    a.device.dn);
	*out = a.device;
	return ERR_OK;
}
