#include "authd/core/core_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/parse.h"
#include "lib/crypt/digest.h"

/*
 * A device asks for the next epoch. The new key goes to one request only: who
 * asks with another, be it the device after a crash or somebody else with its
 * present key, gets another key, and the one before is dead. So of two that
 * hold the present key one alone can come to hold the next (docs/rotation.md).
 */
struct rotating {
	const struct pskid *id;
	unsigned char asked[32];
	struct device device;
	struct record record;
	struct device_key_row row;
	struct confirm confirm;
	unsigned char challenge[CHALLENGE_LEN];
	uint32_t superseded; /* epoch that was pending; 0 none */
};

static void
rotating_free(struct rotating **r)
{
	if (*r == NULL)
		return;
	wipe(*r, sizeof(**r));
	free(*r);
	*r = NULL;
}

/* Whose connection this is, fit; a pending epoch is in use after that. */
static enum err
admit(struct core_call *call, const char *identity, struct pskid *id)
{
	struct device_entry d;
	uint64_t pos = 0;
	enum err e;

	e = identity_open_own(call->core, identity, strlen(identity), id);
	if (e == ERR_OK)
		e = tenant_ready(call->core, call->tenant);
	if (e == ERR_OK)
		e = device_admit(call, id, &d, &pos);
	wipe(&d, sizeof(d));
	if (e == ERR_OK && !call->may_block)
		e = ERR_WOULD_BLOCK;
	return e == ERR_IDENTITY ? ERR_CLIENT : e;
}

/* Locked, and as admit found it. */
static enum err
lock(struct txn *tx, const struct pskid *id, struct device *dev)
{
	enum err e;

	e = store_device_get(tx->st, id->dn, dev);
	if (e != ERR_OK)
		return e == ERR_NOT_FOUND ? ERR_CLIENT : e;
	dev->tenant = tx->call->tenant->number;
	e = device_state_refusal(dev->state);
	if (e == ERR_OK && id->epoch != dev->epoch)
		e = ERR_EPOCH_DEAD;
	return e;
}

static enum err
ration(struct core *c, const struct pskid *id)
{
	struct ration_slot *s;
	enum err e = ERR_OK;

	(void)pthread_mutex_lock(&c->ration_lock);
	s = ration_slot(c, id);
	if (s == NULL || s->rotations >= RATION_ROTATIONS)
		e = ERR_RATE;
	else
		s->rotations++;
	(void)pthread_mutex_unlock(&c->ration_lock);
	return e;
}

static enum err
same_again(struct txn *tx, struct rotating *r)
{
	(void)snprintf(tx->note, sizeof(tx->note), "epoch %u again",
	    r->row.epoch);
	return device_root(tx->call->core, tx->st, tx->call->tenant->name,
	    &r->device, &r->row, NULL, &r->record.key);
}

static enum err
next_epoch(struct txn *tx, struct rotating *r)
{
	enum err e;

	memset(&r->row, 0, sizeof(r->row));
	r->row.has_asked = 1;
	memcpy(r->row.asked, r->asked, sizeof(r->asked));
	e = epoch_next(tx, &r->device, &r->row, &r->record.key,
	    &r->superseded);
	if (e == ERR_OK && r->superseded != 0)
		(void)snprintf(tx->note, sizeof(tx->note), "epoch %u "
		    "pending; %u, never used, is dead", r->row.epoch,
		    r->superseded);
	else
		(void)snprintf(tx->note, sizeof(tx->note),
		    "epoch %u pending", r->row.epoch);
	return e;
}

static enum err
fill_record(struct txn *tx, struct rotating *r, const struct order *o)
{
	const struct device *dev = &r->device;
	struct record *out = &r->record;

	memcpy(out->issuer, tx->call->tenant->issuer, sizeof(out->issuer));
	memcpy(out->device_id, dev->device_id, sizeof(out->device_id));
	out->epoch = r->row.epoch;
	return device_peers(tx->call->core, tx->st, dev->tenant, dev->dn,
	    out->epoch, o->peers, o->npeers, out->peers, &out->npeers);
}

static enum err
rotate_txn(struct txn *tx)
{
	struct rotating *r = tx->arg;
	struct device *dev = &r->device;
	struct order o;
	int same = 0;
	enum err e;

	e = lock(tx, r->id, dev);
	if (e == ERR_OK && dev->pending != 0) {
		e = store_device_key_get(tx->st, dev->dn, dev->pending,
		    &r->row);
		same = e == ERR_OK && r->row.has_asked && ct_equal(
		    r->row.asked, r->asked, sizeof(r->asked));
	}
	if (e != ERR_OK)
		return e == ERR_NOT_FOUND ? ERR_INTERNAL : e;
	r->superseded = 0;
	e = same ? same_again(tx, r) : next_epoch(tx, r);
	if (e == ERR_OK)
		e = store_order_get(tx->st, dev->order, &o);
	if (e == ERR_OK)
		e = fill_record(tx, r, &o);
	/* Sessions under what was pending cannot be told from the device's. */
	return e == ERR_OK && r->superseded != 0 ?
	    epoch_cut(tx, dev->dn, r->superseded) : e;
}

enum err
core_rotate(struct core_call *call, const char *identity,
    const unsigned char request[ROTATE_REQUEST_LEN], struct record *out)
{
	struct rotating *r = NULL;
	struct txn tx = {.call = call, .mode = STORE_WRITE,
	    .action = "device.rotate", .object_kind = "device"};
	struct pskid id;
	enum err e;

	e = admit(call, identity, &id);
	if (e == ERR_OK)
		e = ration(call->core, &id);
	if (e == ERR_OK)
		e = keyring_prepare(call->core, call->tenant->number);
	if (e != ERR_OK)
		return e;
	r = calloc(1, sizeof(*r));
	if (r == NULL)
		return ERR_NOMEM;
	r->id = &id;
	txn_about_device(&tx, id.dn);
	tx.arg = r;
	e = sha256(request, ROTATE_REQUEST_LEN, r->asked);
	if (e == ERR_OK)
		e = txn_run_device(&tx, rotate_txn);
	if (e == ERR_OK) {
		/* No event says so: what is in memory knows of no pending. */
		device_cache_forget(call->core->devices, id.tenant, id.dn);
		*out = r->record;
	}
	rotating_free(&r);
	return e;
}

static struct challenge_of
about(const struct core_call *call, const struct device *dev, uint32_t epoch)
{
	/* No station: it cannot be taken for that of a burn. */
	return (struct challenge_of){call->tenant->number, dev->dn, epoch, 0,
	    0};
}

static enum err
challenge_txn(struct txn *tx)
{
	struct rotating *r = tx->arg;
	struct challenge_of what;
	enum err e;

	e = lock(tx, r->id, &r->device);
	if (e == ERR_OK && r->device.pending == 0) {
		detail_set(&tx->call->detail, "no epoch is pending: ask for "
		    "one first");
		e = ERR_WRONG_STATE;
	}
	if (e != ERR_OK)
		return e;
	what = about(tx->call, &r->device, r->device.pending);
	return challenge_make(tx->call->core, &what, r->challenge);
}

enum err
core_rotate_challenge(struct core_call *call, const char *identity,
    uint32_t *epoch, unsigned char challenge[CHALLENGE_LEN])
{
	struct rotating r = {.id = NULL};
	struct txn tx = {.call = call, .mode = STORE_READ, .arg = &r};
	struct pskid id;
	enum err e;

	e = admit(call, identity, &id);
	if (e != ERR_OK)
		return e;
	r.id = &id;
	e = txn_run_device(&tx, challenge_txn);
	if (e == ERR_OK) {
		*epoch = r.device.pending;
		memcpy(challenge, r.challenge, CHALLENGE_LEN);
	}
	return e;
}

static enum err
prove_txn(struct txn *tx)
{
	struct rotating *r = tx->arg;
	struct device *dev = &r->device;
	const struct challenge_of what = about(tx->call, dev,
	    r->confirm.epoch);
	enum err e;

	e = challenge_check(tx->call->core, &what, r->confirm.challenge);
	if (e == ERR_OK)
		e = device_proof(tx, dev, "rotate", &r->confirm);
	if (e != ERR_OK || r->confirm.epoch == dev->epoch)
		return e; /* a repeated proof changes nothing */
	dev->unproven = 0;
	return epoch_switch(tx, dev, "a proof at the authority");
}

static enum err
prove_locked(struct txn *tx)
{
	struct rotating *r = tx->arg;
	enum err e;

	tx->action = "device.prove";
	e = lock(tx, r->id, &r->device);
	if (e == ERR_OK && !device_epoch_valid(&r->device, r->confirm.epoch))
		e = ERR_WRONG_STATE;
	return e == ERR_OK ? prove_txn(tx) : e;
}

enum err
core_rotate_prove(struct core_call *call, const char *identity,
    const struct confirm *req, struct device *out)
{
	struct rotating r = {.confirm = *req};
	struct txn tx = {.call = call, .mode = STORE_WRITE,
	    .action = "device.prove", .object_kind = "device", .arg = &r};
	struct pskid id;
	enum err e;

	e = admit(call, identity, &id);
	if (e == ERR_OK)
		e = ration(call->core, &id);
	if (e == ERR_OK) {
		r.id = &id;
		txn_about_device(&tx, id.dn);
		e = txn_run_device(&tx, prove_locked);
	}
	if (e == ERR_OK)
		*out = r.device;
	wipe(&r, sizeof(r));
	return e;
}
