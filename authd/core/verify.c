#include "authd/core/core_internal.h"

#include <stdio.h>
#include <string.h>

/*
 * A finished unit is proven again. The answer is that of the burn, since that
 * is what the device, or what reads its medium, can give; the challenge is of
 * another kind, so that neither passes for the other.
 */
struct verifying {
	const char *device_id;
	const struct confirm *req; /* NULL: a challenge is asked for */
	struct burn_look look;
	uint32_t epoch;
	enum err used; /* of the challenge's one use */
	unsigned char challenge[CHALLENGE_LEN];
};

static struct challenge_of
about(const struct core_call *call, const struct device *dev)
{
	return (struct challenge_of){call->tenant->number, dev->dn,
	    dev->epoch, call->caller->number, 0};
}

/* For a station of its order. */
static enum err
find_finished(struct txn *tx, struct verifying *v)
{
	struct device *dev = &v->look.device;
	enum err e;

	e = device_look(tx, v->device_id, v->req == NULL ? 0 : v->req->epoch,
	    0, &v->look);
	if (e == ERR_OK)
		e = order_admits(tx->call, &v->look.order);
	if (e != ERR_OK)
		return e;
	if (dev->state == DEV_RESERVED || dev->state == DEV_BURNING) {
		detail_set(&tx->call->detail, "device %s is %s: finish its "
		    "burn first", dev->device_id,
		    device_state_name(dev->state));
		return ERR_WRONG_STATE;
	}
	return device_state_refusal(dev->state);
}

static enum err
challenge_txn(struct txn *tx)
{
	struct verifying *v = tx->arg;
	struct challenge_of what;
	enum err e;

	e = find_finished(tx, v);
	if (e != ERR_OK)
		return e;
	what = about(tx->call, &v->look.device);
	v->epoch = v->look.device.epoch;
	return verify_make(tx->call->core, &what, v->challenge);
}

enum err
core_verify_challenge(struct core_call *call, const char *device_id,
    uint32_t *epoch, unsigned char challenge[CHALLENGE_LEN])
{
	struct verifying v = {.device_id = device_id};
	struct txn tx = {.call = call, .mode = STORE_READ, .arg = &v};
	enum err e;

	if (!name_is_device_id(device_id))
		return not_found(call, ERR_NOT_FOUND, "device", NULL);
	e = not_found(call, txn_run(&tx, challenge_txn), "device",
	    device_id);
	if (e != ERR_OK)
		return e;
	*epoch = v.epoch;
	memcpy(challenge, v.challenge, CHALLENGE_LEN);
	return ERR_OK;
}

static enum err
look_txn(struct txn *tx)
{
	struct verifying *v = tx->arg;

	return find_finished(tx, v);
}

/*
 * Before the answer is looked at, so that one challenge gets one answer
 * looked at, whoever races. Who may not answer uses up nothing: the audited
 * transaction says so.
 */
static enum err
use_challenge(struct core_call *call, struct verifying *v)
{
	struct core_call quiet = *call;
	struct txn tx = {.call = &quiet, .mode = STORE_READ, .arg = v};
	struct challenge_of what;
	enum err e;

	v->used = ERR_CHALLENGE;
	e = txn_run(&tx, look_txn);
	if (e != ERR_OK)
		return err_retryable(e) ? e : ERR_OK;
	what = about(call, &v->look.device);
	v->used = verify_use(call->core, &what, v->req->challenge);
	return v->used == ERR_CHALLENGE ? ERR_OK : v->used;
}

static enum err
verify_txn(struct txn *tx)
{
	struct verifying *v = tx->arg;
	const struct device *dev = &v->look.device;
	enum err e;

	e = find_finished(tx, v);
	if (e == ERR_OK && (v->used != ERR_OK ||
	    v->req->epoch != dev->epoch)) {
		detail_set(&tx->call->detail, "it is for one answer, of epoch "
		    "%u, within %d minutes", dev->epoch, VERIFY_LIFE / 60);
		return ERR_CHALLENGE;
	}
	if (e == ERR_OK)
		e = answer_check(tx, &v->look, v->req);
	if (e == ERR_PROOF && dev->pending != 0)
		detail_set(&tx->call->detail, "epoch %u is given to it and "
		    "not used yet", dev->pending);
	return e;
}

enum err
core_verify(struct core_call *call, const char *device_id,
    const struct confirm *req, struct device *out)
{
	struct verifying v = {.device_id = device_id, .req = req};
	struct txn tx = {.call = call, .mode = STORE_WRITE,
	    .action = "device.verify", .object_kind = "device", .arg = &v};
	enum err e;

	if (!name_is_device_id(device_id))
		return not_found(call, ERR_NOT_FOUND, "device", NULL);
	if (!call->may_block)
		return ERR_WOULD_BLOCK;
	(void)snprintf(tx.object, sizeof(tx.object), "%s", device_id);
	(void)snprintf(tx.note, sizeof(tx.note), "epoch %u proof %s",
	    req->epoch, proof_name(req->proof));
	e = use_challenge(call, &v);
	if (e == ERR_OK)
		e = not_found(call, txn_run(&tx, verify_txn), "device",
		    device_id);
	if (e == ERR_OK)
		*out = v.look.device;
	return e;
}
