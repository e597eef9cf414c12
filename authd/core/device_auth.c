#include "authd/core/core_internal.h"

#include <stdlib.h>
#include <string.h>

#include "lib/crypt/digest.h"
#include "lib/crypt/kdf.h"

#define FETCHES 3

static enum err
model_root(struct core *c, struct store *st, const char *tenant_name,
    const struct device *dev, uint32_t epoch, const struct model_row *model,
    struct key32 *out)
{
	const struct seal_row where = {"model", dev->tenant, model->number, 0};
	struct key32 master;
	enum err e;

	if (model->data_key == 0)
		return ERR_CRYPTO;
	e = keyring_unseal(c, st, &where, model->data_key, model->master,
	    model->master_len, &master);
	if (e == ERR_OK)
		e = kdf_model_root(&master, tenant_name, dev->device_id,
		    epoch, out);
	key32_wipe(&master);
	return e;
}

enum err
device_root(struct core *c, struct store *st, const char *tenant_name,
    const struct device *dev, const struct device_key_row *key,
    const struct model_row *model, struct key32 *out)
{
	const struct seal_row where = {"device_key", dev->tenant, dev->dn,
	    key->epoch};

	if (key->data_key == 0)
		return model_root(c, st, tenant_name, dev, key->epoch, model,
		    out);
	return keyring_unseal(c, st, &where, key->data_key, key->sealed,
	    key->sealed_len, out);
}

void
public_point(const struct device_public *pub, struct es256_public *out)
{
	memcpy(out->x, pub->xy, sizeof(out->x));
	memcpy(out->y, pub->xy + sizeof(out->x), sizeof(out->y));
}

enum err
device_key_fill(struct core *c, uint32_t tenant, struct device_key_row *row,
    struct key32 *out)
{
	const struct seal_row where = {"device_key", tenant, row->dn,
	    row->epoch};
	enum err e;

	e = random_key32(out);
	if (e == ERR_OK)
		e = keyring_seal(c, &where, out, row->sealed,
		    &row->sealed_len, &row->data_key);
	return e;
}

enum err
device_key_make(struct core *c, struct store *st, uint32_t tenant,
    struct device_key_row *row, struct key32 *out)
{
	enum err e = device_key_fill(c, tenant, row, out);

	return e == ERR_OK ? store_device_key_insert(st, row) : e;
}

enum err
device_proof_by(struct txn *tx, const struct device *dev,
    const struct device_key_row *row, const struct model_row *model,
    const char *what, const struct confirm *req)
{
	unsigned char want[32] = {0};
	struct key32 k = {{0}};
	enum err e;

	e = row->epoch != req->epoch ? ERR_INTERNAL :
	    device_root(tx->call->core, tx->st, tx->call->tenant->name, dev,
		row, model, &k);
	if (e == ERR_OK)
		e = kdf_proof(&k, dev->device_id, req->epoch, what,
		    req->challenge, CHALLENGE_LEN, want);
	if (e == ERR_OK && !ct_equal(want, req->answer, sizeof(want)))
		e = ERR_PROOF;
	key32_wipe(&k);
	wipe(want, sizeof(want));
	return e;
}

enum err
device_proof(struct txn *tx, const struct device *dev, const char *what,
    const struct confirm *req)
{
	struct device_key_row *row = calloc(1, sizeof(*row));
	struct model_row *model = calloc(1, sizeof(*model));
	enum err e;

	e = row == NULL || model == NULL ? ERR_NOMEM :
	    store_device_key_get(tx->st, dev->dn, req->epoch, row);
	if (e == ERR_OK && row->data_key == 0)
		e = store_model_get(tx->st, dev->model, model);
	if (e == ERR_NOT_FOUND)
		e = ERR_INTERNAL;
	if (e == ERR_OK)
		e = device_proof_by(tx, dev, row, model, what, req);
	free(row);
	free(model);
	return e;
}

static enum err
derive_own(const struct key32 *root, struct device_entry *e)
{
	static const char own[] = AUDIENCE_AUTHORITY;
	const char *id = e->device.device_id;
	enum err err;

	err = kdf_derive(root, PURPOSE_TLS13, id, e->epoch, own, &e->tls13);
	if (err == ERR_OK)
		err = kdf_derive(root, PURPOSE_TLS12, id, e->epoch, own,
		    &e->tls12);
	if (err == ERR_OK)
		err = kdf_derive(root, PURPOSE_ASSERTION, id, e->epoch, "",
		    &e->assertion);
	return err;
}

struct fetch {
	struct core *c;
	const struct core_tenant *t;
	const struct pskid *id;
	struct device_auth *auth;
	struct device_entry *out;
};

static void
take_auth(const struct device_auth *a, struct device_entry *e)
{
	e->device = a->device;
	e->device.tenant = e->tenant;
	e->pub = a->pub;
	memcpy(e->scope, a->scope, sizeof(e->scope));
	e->npeers = a->npeers <= ORDER_PEERS_MAX ? a->npeers :
	    ORDER_PEERS_MAX;
	memcpy(e->peers, a->peers, sizeof(e->peers));
	e->pos = a->pos;
	e->must_rotate = a->rotate_first && a->key.released > 0;
	e->group_blocked = a->group_blocked;
	e->tenant_blocked = a->tenant_blocked;
}

static enum err
fetch_txn(struct store *st, void *arg)
{
	struct fetch *f = arg;
	struct device_entry *e = f->out;
	struct key32 root;
	enum err err;

	err = store_device_auth(st, f->id->dn, f->id->epoch, f->auth);
	if (err != ERR_OK)
		return err == ERR_NOT_FOUND ? ERR_IDENTITY : err;
	wipe(e, sizeof(*e));
	e->tenant = f->t->number;
	e->epoch = f->id->epoch;
	take_auth(f->auth, e);
	err = device_root(f->c, st, f->t->name, &e->device, &f->auth->key,
	    &f->auth->model, &root);
	if (err == ERR_OK)
		err = derive_own(&root, e);
	key32_wipe(&root);
	return err;
}

static enum err
fetch(struct core *c, const struct core_tenant *t, const struct pskid *id,
    struct device_entry *out)
{
	struct fetch f = {c, t, id, NULL, out};
	enum err e;

	f.auth = calloc(1, sizeof(*f.auth));
	if (f.auth == NULL)
		return ERR_NOMEM;
	e = store_run(c, t->number, STORE_READ, fetch_txn, &f);
	free(f.auth);
	return e;
}

enum err
device_lookup(struct core *c, const struct core_tenant *t,
    const struct pskid *id, int may_block, struct device_entry *out,
    uint64_t *pos)
{
	/* Before the look: what is found is then at least as new. */
	uint64_t published = revset_position(t->revset);
	int64_t now = clock_mono_ms(c->clock);
	enum err e;

	/* A cache that no follower keeps true answers nothing. */
	if (core_ready(c) == ERR_OK && device_cache_get(c->devices, now,
	    id->tenant, id->dn, id->epoch, out)) {
		*pos = published;
		return ERR_OK;
	}
	if (!may_block)
		return ERR_WOULD_BLOCK;
	e = fetch(c, t, id, out);
	if (e != ERR_OK)
		return e;
	device_cache_put(c->devices, now, t, out);
	*pos = out->pos;
	return ERR_OK;
}

enum err
device_fit(const struct core_tenant *t, const struct device_entry *d,
    uint64_t pos)
{
	const struct claim claim = {.dn = d->device.dn, .epoch = d->epoch,
	    .groups = d->device.groups, .ngroups = d->device.ngroups,
	    .pos = pos};
	enum err e;

	e = device_state_refusal(d->device.state);
	if (e != ERR_OK)
		return e;
	if (!device_epoch_valid(&d->device, d->epoch))
		return ERR_EPOCH_DEAD;
	if (d->tenant_blocked)
		return ERR_TENANT_BLOCKED;
	if (d->group_blocked)
		return ERR_GROUP_BLOCKED;
	/* A set that is behind the rows could only hold what they outdate. */
	if (revset_position(t->revset) < pos)
		return ERR_OK;
	e = revset_check(t->revset, &claim, NULL);
	return e == ERR_AHEAD ? ERR_OK : e;
}

enum err
device_authenticate(struct core *c, const struct core_tenant *t,
    const struct pskid *id, int may_block, struct device_entry *out,
    uint64_t *pos)
{
	enum err e = ERR_IDENTITY;
	unsigned i;

	if (id->tenant != t->number)
		return ERR_IDENTITY;
	for (i = 0; i < FETCHES; i++) {
		e = device_lookup(c, t, id, may_block, out, pos);
		if (e == ERR_OK)
			e = device_fit(t, out, *pos);
		/* The set is newer than the row: look again for the reason. */
		if (e != ERR_TOKEN_CUT && e != ERR_DEVICE_BLOCKED)
			return e;
		if (!may_block)
			return ERR_WOULD_BLOCK;
	}
	return e == ERR_TOKEN_CUT ? ERR_CONFLICT : e;
}
