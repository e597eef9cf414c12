#include "authd/core/tickets.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/jose/release_key.h"

struct releasing {
	const char *device_id;
	const struct release_request *req;
	struct release *out; /* a draft until committed */
	struct buf jwe;
	struct key_release key;
};

/* A unit that came back: the new epoch's key, too, to one station only. */
static enum err
may_again(struct txn *tx, const struct device *dev)
{
	struct device_key_row row;
	uint64_t station = 0;
	enum err e;

	e = reburn_approved(tx, dev, &row);
	if (e != ERR_OK)
		return e == ERR_NOT_FOUND ? ERR_WRONG_STATE : e;
	if (row.released == 0)
		return store_device_set_station(tx->st, dev->dn,
		    tx->call->caller->number);
	e = store_device_station(tx->st, dev->dn, &station);
	return e == ERR_OK && station != tx->call->caller->number ?
	    ERR_STATION : e;
}

/* Out of the authority only before the confirmation, to one station. */
static enum err
may_release(struct txn *tx, const struct order *o, const struct device *dev,
    uint32_t epoch)
{
	uint64_t station = 0;
	enum err e;

	if (dev->pending != 0 && epoch == dev->pending)
		return may_again(tx, dev);
	if (dev->state != DEV_RESERVED && dev->state != DEV_BURNING)
		return dev->state == DEV_REVOKED ? ERR_DEVICE_REVOKED :
		    ERR_WRONG_STATE;
	if (epoch != dev->epoch) {
		detail_set(&tx->call->detail, "epoch: %u is the one to burn",
		    dev->epoch);
		return ERR_WRONG_STATE;
	}
	if (dev->serial[0] == TICKET_SERIAL) {
		detail_set(&tx->call->detail, "device %s is in a ticket: burn "
		    "it with the ticket", dev->device_id);
		return ERR_WRONG_STATE;
	}
	if (dev->state == DEV_BURNING && o->reburn == REBURN_NEVER)
		return key_was_released(tx, dev);
	/* A unit under way may be finished; no new one is begun. */
	if (dev->state == DEV_RESERVED && o->closed)
		return ERR_ORDER_CLOSED;
	if (dev->state == DEV_RESERVED &&
	    o->expires_at <= clock_wall_s(tx->call->core->clock))
		return ERR_ORDER_EXPIRED;
	e = store_device_station(tx->st, dev->dn, &station);
	if (e == ERR_OK && station != 0 &&
	    station != tx->call->caller->number)
		return ERR_STATION;
	if (e == ERR_OK && station == 0)
		e = store_device_set_station(tx->st, dev->dn,
		    tx->call->caller->number);
	return e;
}

static enum err
wanted_key(struct txn *tx, const struct order *o, const struct device *dev,
    const struct release_request *req, struct device_public *out)
{
	struct device_public pub = {0};
	struct es256_public point;

	if (req->device_key[0] != '\0') {
		if (public_jwk_read(req->device_key, &point) != ERR_OK) {
			detail_set(&tx->call->detail, "device_key: a public "
			    "P-256 key as JWK");
			return ERR_REQUEST;
		}
		if (dev->pending == req->epoch) {
			detail_set(&tx->call->detail, "device_key: this "
			    "identity has been the station's to burn");
			return ERR_PROOF;
		}
		pub.there = 1;
		memcpy(pub.xy, point.x, sizeof(point.x));
		memcpy(pub.xy + sizeof(point.x), point.y, sizeof(point.y));
	} else if (o->min_proof == PROOF_DEVICE_MADE) {
		detail_set(&tx->call->detail, "station_key: this order's keys "
		    "go to keys that devices have made themselves");
		return ERR_PROOF;
	}
	*out = pub;
	return ERR_OK;
}

/*
 * Whom K is encrypted to. A device's own key is remembered as its proof and
 * assertions will have to be signed by it; a release to the station takes an
 * earlier one back. What was asked for last is what the confirmation is of:
 * the challenge is of this release.
 */
static enum err
register_key(struct txn *tx, const struct order *o, const struct device *dev,
    struct releasing *r)
{
	struct device_public pub, old;
	enum err e;

	e = wanted_key(tx, o, dev, r->req, &pub);
	if (e == ERR_OK)
		e = store_device_public_get(tx->st, dev->dn, &old);
	if (e != ERR_OK)
		return e == ERR_NOT_FOUND ? ERR_INTERNAL : e;
	r->key.moved = pub.there != old.there ||
	    memcmp(pub.xy, old.xy, sizeof(pub.xy)) != 0;
	e = store_device_public_set(tx->st, dev->dn, &pub);
	if (e == ERR_EXISTS)
		detail_set(&tx->call->detail, "device_key: it is another "
		    "device's");
	return e;
}

/*
 * K; another one when an earlier release was to somebody else: what a device
 * has alone must not have been a station's before.
 */
static enum err
key_for(struct txn *tx, const struct key_release *r,
    struct device_key_row *row, const struct model_row *model,
    struct key32 *k)
{
	struct core *c = tx->call->core;

	if (r->moved && row->released > 0)
		return device_key_renew(c, tx->st, r->dev->tenant, row, k);
	return device_root(c, tx->st, tx->call->tenant->name, r->dev, row,
	    model, k);
}

enum err
key_release(struct txn *tx, struct key_release *r, struct buf *jwe)
{
	struct device_key_row *row;
	struct model_row *model;
	struct key32 k = {{0}};
	enum err e;

	row = calloc(1, sizeof(*row));
	model = calloc(1, sizeof(*model));
	e = row == NULL || model == NULL ? ERR_NOMEM :
	    store_device_key_get(tx->st, r->dev->dn, r->epoch, row);
	if (e == ERR_OK)
		r->count = row->released + 1;
	if (e == ERR_OK && row->data_key == 0)
		e = store_model_get(tx->st, r->dev->model, model);
	if (e == ERR_NOT_FOUND)
		e = ERR_INTERNAL;
	if (e == ERR_OK)
		e = key_for(tx, r, row, model, &k);
	if (e == ERR_OK) {
		buf_reset(jwe);
		e = release_key_seal(r->jwk, r->dev->device_id, r->epoch, &k,
		    jwe);
	}
	key32_wipe(&k);
	if (e == ERR_REQUEST)
		detail_set(&tx->call->detail, "station_key: a public P-256 "
		    "key as JWK");
	free(row);
	free(model);
	return e == ERR_OK ? store_device_key_released(tx->st, r->dev->dn,
	    r->epoch) : e;
}

static enum err
fill_release(struct txn *tx, struct releasing *r, const struct order *o)
{
	struct release *out = r->out;
	struct device *dev = &out->device;
	const struct challenge_of about = {tx->call->tenant->number, dev->dn,
	    r->req->epoch, tx->call->caller->number, r->key.count};
	enum err e;

	if (r->jwe.len >= sizeof(out->key))
		return ERR_INTERNAL;
	memcpy(out->key, r->jwe.p, r->jwe.len + 1);
	memcpy(out->issuer, tx->call->tenant->issuer, sizeof(out->issuer));
	e = challenge_make(tx->call->core, &about, out->challenge);
	if (e == ERR_OK)
		e = device_peers(tx->call->core, tx->st, about.tenant,
		    dev->dn, about.epoch, o->peers, o->npeers, out->peers,
		    &out->npeers);
	return e;
}

static enum err
release_txn(struct txn *tx)
{
	struct releasing *r = tx->arg;
	struct device *dev = &r->out->device;
	struct order o;
	enum err e;

	e = store_device_by_id(tx->st, r->device_id, dev);
	if (e == ERR_OK) {
		(void)snprintf(tx->object, sizeof(tx->object), "%llu",
		    (unsigned long long)dev->dn);
		e = order_for_station(tx, dev->order, &o);
	}
	if (e == ERR_OK) /* locks the row */
		e = store_device_get(tx->st, dev->dn, dev);
	dev->tenant = tx->call->tenant->number;
	if (e == ERR_OK)
		e = may_release(tx, &o, dev, r->req->epoch);
	if (e == ERR_OK)
		e = register_key(tx, &o, dev, r);
	if (e == ERR_OK)
		e = key_release(tx, &r->key, &r->jwe);
	if (e == ERR_OK && dev->state == DEV_RESERVED) {
		dev->state = DEV_BURNING;
		e = store_device_update(tx->st, dev);
	}
	return e == ERR_OK ? fill_release(tx, r, &o) : e;
}

/* Which key of a device, so that one that was tried first is on record. */
static void
note_whom(struct txn *tx, const struct release_request *req)
{
	char kid[KID_LEN + 1] = "";
	struct es256_public pub;

	if (req->device_key[0] == '\0' ||
	    public_jwk_read(req->device_key, &pub) != ERR_OK ||
	    es256_thumbprint(&pub, kid) != ERR_OK)
		kid[0] = '\0';
	(void)snprintf(tx->note, sizeof(tx->note), "epoch %u to %s%s%s",
	    req->epoch, req->device_key[0] != '\0' ? "device" : "station",
	    kid[0] != '\0' ? " key " : "", kid);
}

enum err
core_release(struct core_call *call, const char *device_id,
    const struct release_request *req, struct release *out)
{
	struct releasing r = {.device_id = device_id, .req = req,
	    .jwe = {.max = 1024}, .key = {.epoch = req->epoch,
	    .jwk = req->device_key[0] != '\0' ? req->device_key :
	    req->station_key}};
	struct txn tx = {.call = call, .mode = STORE_WRITE,
	    .action = "device.release", .object_kind = "device", .arg = &r};
	enum err e;

	if (!name_is_device_id(device_id))
		return not_found(call, ERR_NOT_FOUND, "device", NULL);
	if (!call->may_block)
		return ERR_WOULD_BLOCK;
	(void)snprintf(tx.object, sizeof(tx.object), "%s", device_id);
	note_whom(&tx, req);
	/* Who may not is refused below, where that is put on record. */
	e = call_check(call) != ERR_OK ? ERR_OK :
	    keyring_prepare(call->core, call->tenant->number);
	if (e != ERR_OK)
		return e;
	r.out = calloc(1, sizeof(*r.out));
	if (r.out == NULL)
		return ERR_NOMEM;
	r.key.dev = &r.out->device;
	e = not_found(call, txn_run(&tx, release_txn), "device",
	    device_id);
	if (e == ERR_OK)
		*out = *r.out;
	wipe(r.out, sizeof(*r.out));
	free(r.out);
	buf_free(&r.jwe);
	return e;
}
