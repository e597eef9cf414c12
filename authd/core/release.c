#include "authd/core/tickets.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/jose/release_key.h"

struct releasing {
	const char *device_id;
	const struct release_request *req;
	struct burn_look look;
	struct release out; /* a draft until committed */
	struct buf jwe;
	int moved; /* to another device's key, or between device and station */
};

/* Out of the authority to one station. */
static enum err
may_station(struct txn *tx, struct burn_look *l)
{
	if (l->station != 0 && l->station != tx->call->caller->number)
		return ERR_STATION;
	l->station = tx->call->caller->number;
	return ERR_OK;
}

/* A unit that came back: the new epoch's key, too, to one station only. */
static enum err
may_again(struct txn *tx, struct burn_look *l)
{
	if (!reburn_is(&l->device, &l->key))
		return ERR_WRONG_STATE;
	if (l->key.released == 0)
		l->station = 0;
	return may_station(tx, l);
}

/* Only before the confirmation. */
static enum err
may_release(struct txn *tx, struct burn_look *l, uint32_t epoch)
{
	const struct device *dev = &l->device;
	const struct order *o = &l->order;

	if (dev->pending != 0 && epoch == dev->pending)
		return may_again(tx, l);
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
	return may_station(tx, l);
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
take_key(struct txn *tx, struct releasing *r)
{
	const struct device_public old = r->look.pub;
	struct device_public *pub = &r->look.pub;
	enum err e;

	e = wanted_key(tx, &r->look.order, &r->look.device, r->req, pub);
	r->moved = pub->there != old.there ||
	    memcmp(pub->xy, old.xy, sizeof(old.xy)) != 0;
	return e;
}

/*
 * K; another one when an earlier release was to somebody else: what a device
 * has alone must not have been a station's before.
 */
static enum err
key_for(struct txn *tx, struct burn_look *l, int renew, struct key32 *k)
{
	struct core *c = tx->call->core;

	if (!l->has_key)
		return ERR_INTERNAL;
	if (renew)
		return device_key_fill(c, l->device.tenant, &l->key, k);
	return device_root(c, tx->st, tx->call->tenant->name, &l->device,
	    &l->key, &l->model, k);
}

enum err
key_release(struct txn *tx, struct burn_look *l, const char *jwk, int moved,
    struct buf *jwe)
{
	const int renew = moved && l->key.released > 0;
	struct key32 k = {{0}};
	enum err e;

	e = key_for(tx, l, renew, &k);
	if (e == ERR_OK) {
		buf_reset(jwe);
		e = release_key_seal(jwk, l->device.device_id, l->key.epoch,
		    &k, jwe);
	}
	key32_wipe(&k);
	if (e == ERR_REQUEST)
		detail_set(&tx->call->detail, "station_key: a public P-256 "
		    "key as JWK");
	if (e != ERR_OK)
		return e;
	if (l->device.state == DEV_RESERVED)
		l->device.state = DEV_BURNING;
	e = store_burn_released(tx->st, l, renew);
	if (e == ERR_EXISTS)
		detail_set(&tx->call->detail, "device_key: it is another "
		    "device's");
	return e == ERR_NOT_FOUND ? ERR_INTERNAL : e;
}

static enum err
fill_release(struct txn *tx, struct releasing *r)
{
	const struct burn_look *l = &r->look;
	struct release *out = &r->out;
	const struct pskid of = {.tenant = tx->call->tenant->number,
	    .dn = l->device.dn, .epoch = r->req->epoch};
	const struct challenge_of about = {of.tenant, of.dn, of.epoch,
	    tx->call->caller->number, l->key.released};
	enum err e;

	if (r->jwe.len >= sizeof(out->key))
		return ERR_INTERNAL;
	memcpy(out->key, r->jwe.p, r->jwe.len + 1);
	out->device = l->device;
	memcpy(out->issuer, tx->call->tenant->issuer, sizeof(out->issuer));
	e = challenge_make(tx->call->core, &about, out->challenge);
	if (e == ERR_OK)
		e = audience_peers(tx->call->core, &of, l->peers, l->npeers,
		    out->peers, &out->npeers);
	return e;
}

static enum err
release_txn(struct txn *tx)
{
	struct releasing *r = tx->arg;
	enum err e;

	e = device_look(tx, r->device_id, r->req->epoch, 1, &r->look);
	if (e == ERR_OK)
		e = order_admits(tx->call, &r->look.order);
	if (e == ERR_OK)
		e = may_release(tx, &r->look, r->req->epoch);
	if (e == ERR_OK)
		e = take_key(tx, r);
	if (e == ERR_OK)
		e = key_release(tx, &r->look, r->req->device_key[0] != '\0' ?
		    r->req->device_key : r->req->station_key, r->moved,
		    &r->jwe);
	return e == ERR_OK ? fill_release(tx, r) : e;
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
	struct txn tx = {.call = call, .mode = STORE_WRITE,
	    .action = "device.release", .object_kind = "device"};
	struct releasing *r;
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
	r = calloc(1, sizeof(*r));
	if (r == NULL)
		return ERR_NOMEM;
	*r = (struct releasing){.device_id = device_id, .req = req,
	    .jwe = {.max = 1024}};
	tx.arg = r;
	e = not_found(call, txn_run(&tx, release_txn), "device",
	    device_id);
	if (e == ERR_OK)
		*out = r->out;
	buf_free(&r->jwe);
	wipe(r, sizeof(*r));
	free(r);
	return e;
}
