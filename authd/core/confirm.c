#include "authd/core/core_internal.h"

#include <stdio.h>
#include <string.h>

#include "lib/crypt/proof.h"

struct confirming {
	const char *device_id;
	const struct confirm *req;
	struct burn_look look;
};

/* The order's least; and a device that has made its key proves by that. */
static enum err
proof_fits(struct txn *tx, const struct burn_look *l, enum proof proof)
{
	if (!proof_suffices(proof, l->order.min_proof)) {
		detail_set(&tx->call->detail, "proof: this order demands "
		    "\"%s\"", proof_name(l->order.min_proof));
		return ERR_PROOF;
	}
	if (l->pub.there == (proof == PROOF_DEVICE_MADE))
		return ERR_OK;
	detail_set(&tx->call->detail, "proof: the key was released to %s",
	    l->pub.there ? "the device's own key: \"device-made\"" :
	    "the station, not to a key of the device");
	return ERR_PROOF;
}

/* The signature of the key pair that K was encrypted to. */
static enum err
check_signature(const struct device *dev, const struct confirm *req,
    const struct device_public *pub)
{
	struct proof_message m;
	struct es256_public point;
	enum err e;

	public_point(pub, &point);
	e = proof_message("burn", dev->device_id, req->epoch, req->challenge,
	    CHALLENGE_LEN, &m);
	return e == ERR_OK ? proof_check(&point, &m, req->answer) : e;
}

enum err
answer_check(struct txn *tx, const struct burn_look *l,
    const struct confirm *req)
{
	enum err e = proof_fits(tx, l, req->proof);

	if (e != ERR_OK)
		return e;
	if (l->pub.there)
		return check_signature(&l->device, req, &l->pub);
	return device_proof_by(tx, &l->device, &l->key, &l->model, "burn",
	    req);
}

/* 1: it is of a unit that came back and has been burned again. */
static int
is_again(const struct confirming *c)
{
	return c->look.device.pending != 0 &&
	    c->req->epoch == c->look.device.pending;
}

static enum err
state_fits(const struct confirming *c)
{
	const struct device *dev = &c->look.device;

	if (is_again(c))
		return reburn_is(dev, &c->look.key) ? ERR_OK :
		    ERR_WRONG_STATE;
	if (dev->state != DEV_BURNING && dev->state != DEV_ACTIVE)
		return dev->state == DEV_RESERVED ? ERR_WRONG_STATE :
		    device_state_refusal(dev->state);
	/* Repeated, it may be of a key that the device has left since. */
	if (c->req->epoch != dev->epoch && (dev->state != DEV_ACTIVE ||
	    c->req->epoch > dev->epoch))
		return ERR_WRONG_STATE;
	return ERR_OK;
}

/*
 * Whose turn it is: the station that holds the key, of this epoch, by its
 * newest release; what an earlier one was written into must not pass for
 * the device too.
 */
static enum err
may_confirm(struct txn *tx, const struct confirming *c)
{
	const struct burn_look *l = &c->look;
	const struct challenge_of about = {tx->call->tenant->number,
	    l->device.dn, c->req->epoch, tx->call->caller->number,
	    l->key.released};
	enum err e;

	e = state_fits(c);
	if (e != ERR_OK)
		return e;
	if (l->station != tx->call->caller->number)
		return ERR_STATION;
	if (!l->has_key || l->key.released == 0)
		return ERR_WRONG_STATE;
	return challenge_check(tx->call->core, &about, c->req->challenge);
}

static enum err
confirm_txn(struct txn *tx)
{
	struct confirming *c = tx->arg;
	struct device *dev = &c->look.device;
	enum err e;

	tx->action = "device.confirm";
	e = device_look(tx, c->device_id, c->req->epoch, 0, &c->look);
	if (e == ERR_OK)
		e = order_admits(tx->call, &c->look.order);
	if (e == ERR_OK)
		e = may_confirm(tx, c);
	if (e == ERR_OK)
		e = answer_check(tx, &c->look, c->req);
	if (e == ERR_OK && is_again(c)) {
		e = reburn_done(tx, dev, c->req->proof);
		return e == ERR_OK ? store_device_get(tx->st, dev->dn, dev) :
		    e;
	}
	if (e != ERR_OK || dev->state == DEV_ACTIVE)
		return e; /* a repeated confirmation changes nothing */
	dev->state = DEV_ACTIVE;
	dev->proof = c->req->proof;
	dev->unproven = dev->proof == PROOF_MEDIUM;
	return store_device_update(tx->st, dev);
}

enum err
core_confirm(struct core_call *call, const char *device_id,
    const struct confirm *req, struct device *out)
{
	struct confirming c = {.device_id = device_id, .req = req};
	struct txn tx = {.call = call, .mode = STORE_WRITE,
	    .action = "device.confirm", .object_kind = "device", .arg = &c};
	enum err e;

	if (!name_is_device_id(device_id))
		return not_found(call, ERR_NOT_FOUND, "device", NULL);
	(void)snprintf(tx.object, sizeof(tx.object), "%s", device_id);
	(void)snprintf(tx.note, sizeof(tx.note), "epoch %u proof %s",
	    req->epoch, proof_name(req->proof));
	e = not_found(call, txn_run(&tx, confirm_txn), "device", device_id);
	if (e == ERR_OK)
		*out = c.look.device;
	return e;
}
