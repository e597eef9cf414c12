#include "authd/core/core_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/crypt/kdf.h"

static enum err
may_serve(const struct core_call *call, const char *audience)
{
	if (call->caller->role != ROLE_GATEWAY ||
	    !name_is_audience(audience) ||
	    strcmp(audience, AUDIENCE_AUTHORITY) == 0 ||
	    !caller_has_audience(call->caller, audience))
		return ERR_SCOPE;
	return ERR_OK;
}

struct resolving {
	const struct psk_request *req;
	struct pskid id;
	struct device_auth *auth;
	struct psk_answer answer;
};

/* The reason why a device may not be served, by the rows of one snapshot. */
static enum err
fit_by_rows(const struct resolving *r, struct detail *d)
{
	const struct device_auth *a = r->auth;
	enum err e;
	uint32_t i;

	e = device_state_refusal(a->device.state);
	if (e != ERR_OK)
		return e;
	if (!device_epoch_valid(&a->device, r->id.epoch))
		return ERR_EPOCH_DEAD;
	if (a->rotate_first && a->key.released > 0)
		return ERR_ROTATION;
	if (a->tenant_blocked)
		return ERR_TENANT_BLOCKED;
	if (a->group_blocked)
		return ERR_GROUP_BLOCKED;
	for (i = 0; i < a->npeers && i < ORDER_PEERS_MAX; i++)
		if (strcmp(a->peers[i], r->req->audience) == 0)
			return ERR_OK;
	detail_set(d, "the device is not peered with this audience, or the "
	    "audience is retired");
	return ERR_IDENTITY;
}

static enum err
derive_answer(struct txn *tx, struct resolving *r)
{
	const struct device *dev = &r->auth->device;
	const char *purpose = r->req->tls == 13 ? PURPOSE_TLS13 :
	    PURPOSE_TLS12;
	struct psk_answer *a = &r->answer;
	struct key32 root;
	enum err e;

	e = device_root(tx->call->core, tx->st, tx->call->tenant->name, dev,
	    &r->auth->key, &r->auth->model, &root);
	if (e == ERR_OK)
		e = kdf_derive(&root, purpose, dev->device_id, r->id.epoch,
		    r->req->audience, &a->key);
	key32_wipe(&root);
	if (e != ERR_OK)
		return e;
	memcpy(a->device_id, dev->device_id, sizeof(a->device_id));
	a->dn = dev->dn;
	a->epoch = r->id.epoch;
	a->ngroups = dev->ngroups;
	memcpy(a->groups, dev->groups, sizeof(a->groups));
	a->pending = epoch_is_news(dev, r->id.epoch);
	a->pos = r->auth->pos;
	return ERR_OK;
}

static enum err
resolve_txn(struct txn *tx)
{
	struct resolving *r = tx->arg;
	enum err e;

	e = store_device_auth(tx->st, r->id.dn, r->id.epoch, r->auth);
	if (e == ERR_NOT_FOUND)
		return ERR_IDENTITY;
	if (e != ERR_OK)
		return e;
	r->auth->device.tenant = tx->call->tenant->number;
	e = fit_by_rows(r, &tx->call->detail);
	return e == ERR_OK ? derive_answer(tx, r) : e;
}

enum err
core_psk_resolve(struct core_call *call, const struct psk_request *req,
    struct psk_answer *out)
{
	struct resolving r = {.req = req};
	struct txn tx = {.call = call, .mode = STORE_READ, .arg = &r};
	enum err e;

	e = call_check(call);
	if (e == ERR_OK)
		e = may_serve(call, req->audience);
	if (e == ERR_OK && req->tls != 12 && req->tls != 13)
		e = ERR_REQUEST;
	if (e == ERR_OK) /* garbage costs no query */
		e = identity_open(call->core, call->tenant->number,
		    req->audience, req->identity, strlen(req->identity),
		    &r.id);
	/* Rows of a deposed primary would look fresh, restored ones too. */
	if (e == ERR_OK)
		e = tenant_ready(call->core, call->tenant);
	if (e == ERR_OK && !call->may_block)
		e = ERR_WOULD_BLOCK;
	if (e != ERR_OK)
		return e;
	r.auth = calloc(1, sizeof(*r.auth));
	if (r.auth == NULL)
		return ERR_NOMEM;
	e = txn_run(&tx, resolve_txn);
	if (e == ERR_OK) {
		*out = r.answer;
		core_count(call->core->psk_resolved);
	}
	wipe(&r.answer, sizeof(r.answer));
	free(r.auth);
	return e;
}

static enum err
note_used(struct core_call *call, const char *audience, const char *identity)
{
	char how[sizeof(((struct audit *)0)->detail) / 2];
	struct pskid id;
	enum err e;

	e = identity_open(call->core, call->tenant->number, audience,
	    identity, strlen(identity), &id);
	if (e != ERR_OK)
		return e;
	(void)snprintf(how, sizeof(how), "a handshake, says gateway %s",
	    call->caller->name);
	return epoch_used(call, &id, how, audience);
}

enum err
core_psk_used(struct core_call *call, const struct psk_used *used,
    uint32_t *known)
{
	uint32_t i, n = 0;
	enum err e;

	e = call_check(call);
	if (e == ERR_OK)
		e = may_serve(call, used->audience);
	if (e == ERR_OK)
		e = tenant_ready(call->core, call->tenant);
	if (e == ERR_OK && !call->may_block)
		e = ERR_WOULD_BLOCK;
	for (i = 0; e == ERR_OK && i < used->n; i++) {
		e = note_used(call, used->audience, used->identity[i]);
		n += e == ERR_OK;
		if (e == ERR_IDENTITY)
			e = ERR_OK;
	}
	if (e == ERR_OK)
		*known = n;
	return e;
}

static enum err
keys_txn(struct txn *tx)
{
	struct audience a;
	enum err e;

	e = store_audience_get(tx->st, tx->arg, &a);
	if (e == ERR_NOT_FOUND)
		return ERR_OK; /* a gateway may come before its address */
	if (e == ERR_OK && a.retired) {
		detail_set(&tx->call->detail, "audience %s is retired",
		    a.name);
		return ERR_NOT_FOUND;
	}
	return e;
}

static enum err
fill_keys(const struct core_call *call, const char *audience,
    struct identity_keys *k)
{
	const struct authority *a = &call->core->authority;
	enum err e = ERR_OK;
	uint32_t i;

	memcpy(k->audience, audience, strlen(audience) + 1);
	k->tenant = call->tenant->number;
	for (i = 0; e == ERR_OK && i < a->n; i++) {
		k->kid[i] = a->kid[i];
		e = kdf_audience_key(&a->id_key[i], k->tenant, audience,
		    &k->key[i]);
	}
	k->n = a->n;
	return e;
}

enum err
core_identity_keys(struct core_call *call, const char *audience,
    struct identity_keys *out)
{
	struct txn tx = {.call = call, .mode = STORE_WRITE,
	    .action = "audience.keys", .object_kind = "audience"};
	struct identity_keys k = {.n = 0};
	name_t name;
	enum err e;

	e = call_check(call);
	if (e == ERR_OK)
		e = may_serve(call, audience);
	if (e != ERR_OK)
		return e;
	memcpy(name, audience, strlen(audience) + 1);
	memcpy(tx.object, name, strlen(name) + 1);
	tx.arg = name;
	e = txn_run(&tx, keys_txn);
	if (e == ERR_OK)
		e = fill_keys(call, name, &k);
	if (e == ERR_OK)
		*out = k;
	wipe(&k, sizeof(k));
	return e;
}
