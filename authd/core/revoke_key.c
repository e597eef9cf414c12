#include "authd/core/core_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Revocation of what is no device's: a caller's credential, a key of ours. */

static enum err
no_lift(struct core_call *call, const struct revocation_request *r)
{
	if (r->effect != EFFECT_LIFT)
		return ERR_OK;
	detail_set(&call->detail, "effect: a %s stays dead",
	    event_kind_name(r->kind));
	return ERR_REQUEST;
}

struct counting {
	const char *name;
	struct caller caller;
	uint64_t devices;
};

static enum err
probe_caller_txn(struct txn *tx)
{
	struct counting *n = tx->arg;

	return store_caller_by_name(tx->st, n->name, &n->caller);
}

enum err
revoke_caller(struct core_call *call, const struct revocation_request *r,
    struct event *out, uint64_t *devices)
{
	struct counting n = {.name = r->id};
	struct txn probe = {.call = call, .mode = STORE_READ, .arg = &n};
	struct event ev = {.kind = EV_CALLER, .effect = EFFECT_BLOCK};
	struct caller c;
	enum err e;

	e = no_lift(call, r);
	if (e == ERR_OK && r->has_expect && r->expect != 0 && !r->dry_run) {
		call->devices = 0;
		e = ERR_EXPECT;
	}
	if (e != ERR_OK)
		return e;
	if (r->dry_run) {
		e = not_found(call, txn_run(&probe, probe_caller_txn),
		    "caller", r->id);
		if (e == ERR_OK)
			*devices = 0;
		return e;
	}
	e = caller_disable(call, r->id, r->reason, &c, &ev.pos);
	if (e != ERR_OK)
		return e;
	(void)snprintf(ev.id, sizeof(ev.id), "%llu",
	    (unsigned long long)c.number);
	ev.at = clock_wall_s(call->core->clock);
	*out = ev;
	*devices = 0;
	return ERR_OK;
}

struct key_revoking {
	const struct revocation_request *r;
	struct secret_key_row *rows;
	struct event ev;
	uint64_t devices;
};

static enum err
find_key(struct txn *tx, struct key_revoking *k,
    const struct secret_key_row **out)
{
	size_t i, n = 0;
	enum err e;

	e = store_secret_key_list(tx->st, k->rows, CORE_KEYS_MAX, &n);
	if (e != ERR_OK)
		return e;
	for (i = 0; i < n; i++)
		if (k->rows[i].has_public &&
		    strcmp(k->rows[i].kid, k->r->id) == 0) {
			*out = &k->rows[i];
			return ERR_OK;
		}
	return not_found(tx->call, ERR_NOT_FOUND, "signing key", k->r->id);
}

/* Tokens of all devices may be under a token key, none under a feed key. */
static enum err
count_hit(struct txn *tx, struct key_revoking *k,
    const struct secret_key_row *row)
{
	const struct revocation_request *r = k->r;
	enum err e = ERR_OK;

	if (strcmp(row->purpose, "root") == 0) {
		detail_set(&tx->call->detail, "id: the root key is pinned by "
		    "every gateway; it cannot be revoked here");
		return ERR_REQUEST;
	}
	k->devices = 0;
	if (strcmp(row->purpose, "token") == 0)
		e = store_tenant_count(tx->st, &k->devices);
	if (e != ERR_OK || r->dry_run)
		return e;
	if (r->has_expect ? r->expect == k->devices : k->devices == 0)
		return ERR_OK;
	tx->call->devices = k->devices;
	return ERR_EXPECT;
}

enum err
key_replace(struct txn *tx, const struct secret_key_row *row)
{
	const struct new_secret fresh = {.purpose = row->purpose, .es256 = 1};
	enum err e;

	e = store_secret_key_state(tx->st, row->number, "revoked");
	if (e == ERR_OK && strcmp(row->state, "active") == 0)
		e = secret_key_add(tx->call->core, tx->st,
		    tx->call->tenant->number, &fresh);
	return e;
}

/*
 * The key goes, another takes its place, the key set gets a new version, and
 * the event says so: in one transaction, the event last.
 */
static enum err
key_txn(struct txn *tx)
{
	struct key_revoking *k = tx->arg;
	const struct secret_key_row *row = NULL;
	enum err e;

	e = find_key(tx, k, &row);
	if (e == ERR_OK)
		e = count_hit(tx, k, row);
	if (e != ERR_OK || k->r->dry_run)
		return e;
	e = key_replace(tx, row);
	if (e == ERR_OK)
		e = store_keys_version_next(tx->st);
	return e == ERR_OK ? txn_event(tx, &k->ev) : e;
}

enum err
revoke_key(struct core_call *call, const struct revocation_request *r,
    struct event *out, uint64_t *devices)
{
	struct key_revoking k = {.r = r, .ev = {.kind = EV_SIGNING_KEY,
	    .effect = EFFECT_CUT}};
	struct txn tx = {.call = call, .mode = r->dry_run ? STORE_READ :
	    STORE_WRITE, .action = r->dry_run ? NULL : "key.revoke",
	    .object_kind = "signing-key", .arg = &k};
	enum err e;

	e = no_lift(call, r);
	if (e == ERR_OK && !call->may_block)
		e = ERR_WOULD_BLOCK;
	if (e == ERR_OK)
		e = keyring_prepare(call->core, call->tenant->number);
	if (e != ERR_OK)
		return e;
	k.rows = calloc(CORE_KEYS_MAX, sizeof(*k.rows));
	if (k.rows == NULL)
		return ERR_NOMEM;
	memcpy(k.ev.id, r->id, sizeof(k.ev.id));
	memcpy(tx.object, r->id, sizeof(tx.object));
	(void)snprintf(tx.note, sizeof(tx.note), "%s", r->reason);
	e = txn_run(&tx, key_txn);
	free(k.rows);
	if (e != ERR_OK)
		return e;
	*devices = k.devices;
	if (!r->dry_run)
		*out = k.ev;
	return ERR_OK;
}
