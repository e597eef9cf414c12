#include "authd/core/core_internal.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/parse.h"

#define TOKEN_SLACK 60 /* seconds; clocks of several authds differ */

struct revoking {
	const struct revocation_request *r;
	struct event ev;
	uint64_t devices;
	uint32_t group;
};

/* A mass revocation says beforehand how many it will hit. */
static enum err
expected(struct txn *tx, const struct revoking *v, int demanded)
{
	const struct revocation_request *r = v->r;

	if (r->dry_run || (!demanded && !r->has_expect))
		return ERR_OK;
	if (r->has_expect && r->expect == v->devices)
		return ERR_OK;
	tx->call->devices = v->devices;
	return ERR_EXPECT;
}

static enum err
group_txn(struct txn *tx)
{
	struct revoking *v = tx->arg;
	struct group g;
	enum err e;

	e = not_found(tx->call, store_group_get(tx->st, v->group, &g),
	    "group", v->r->id);
	if (e == ERR_OK)
		e = store_group_count(tx->st, v->group, &v->devices);
	if (e == ERR_OK)
		e = expected(tx, v, 1);
	if (e != ERR_OK || v->r->dry_run)
		return e;
	if (v->r->effect != EFFECT_CUT)
		e = store_group_block(tx->st, v->group,
		    v->r->effect == EFFECT_BLOCK);
	return e == ERR_OK ? txn_event(tx, &v->ev) : e;
}

static enum err
tenant_txn(struct txn *tx)
{
	struct revoking *v = tx->arg;
	enum err e;

	e = store_tenant_count(tx->st, &v->devices);
	if (e == ERR_OK)
		e = expected(tx, v, 1);
	if (e != ERR_OK || v->r->dry_run)
		return e;
	if (v->r->effect != EFFECT_CUT)
		e = store_tenant_block(tx->st,
		    v->r->effect == EFFECT_BLOCK);
	return e == ERR_OK ? txn_event(tx, &v->ev) : e;
}

static enum err
token_txn(struct txn *tx)
{
	struct revoking *v = tx->arg;
	enum err e;

	v->devices = 1; /* a token is one device's */
	e = expected(tx, v, 0);
	if (e != ERR_OK || v->r->dry_run)
		return e;
	return txn_event(tx, &v->ev);
}

static enum err
prepare_group(struct revoking *v, struct detail *d)
{
	uint64_t n;

	if (parse_u64(v->r->id, UINT32_MAX, &n) != ERR_OK || n == 0) {
		detail_set(d, "id: the group's number");
		return ERR_REQUEST;
	}
	v->group = (uint32_t)n;
	memcpy(v->ev.id, v->r->id, sizeof(v->ev.id));
	return ERR_OK;
}

static enum err
prepare_token(struct core_call *call, struct revoking *v)
{
	int64_t latest = clock_wall_s(call->core->clock) + TOKEN_LIFE_MAX +
	    TOKEN_SLACK;

	if (v->r->id[0] == '\0' ||
	    strspn(v->r->id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrst"
		"uvwxyz0123456789-_") != strlen(v->r->id)) {
		detail_set(&call->detail, "id: a token's jti");
		return ERR_REQUEST;
	}
	if (v->r->effect == EFFECT_LIFT) {
		detail_set(&call->detail, "effect: a token stays dead");
		return ERR_REQUEST;
	}
	memcpy(v->ev.id, v->r->id, sizeof(v->ev.id));
	v->ev.effect = EFFECT_CUT;
	/* No token lives longer; the set need not remember it longer. */
	v->ev.exp = v->r->exp <= 0 || v->r->exp > latest ? latest :
	    v->r->exp;
	return ERR_OK;
}

static enum err
run_mass(struct core_call *call, struct revoking *v,
    enum err (*fn)(struct txn *), const char *kind, struct event *out,
    uint64_t *devices)
{
	struct txn tx = {.call = call, .mode = v->r->dry_run ? STORE_READ :
	    STORE_WRITE, .object_kind = kind, .arg = v};
	char action[sizeof(((struct audit *)0)->action)];
	enum err e;

	(void)snprintf(action, sizeof(action), "%s.%s", kind,
	    event_effect_name(v->r->effect));
	if (!v->r->dry_run)
		tx.action = action;
	memcpy(tx.object, v->ev.id, sizeof(tx.object));
	(void)snprintf(tx.note, sizeof(tx.note), "%s", v->r->reason);
	e = txn_run(&tx, fn);
	if (e != ERR_OK)
		return e;
	*devices = v->devices;
	if (!v->r->dry_run)
		*out = v->ev;
	return ERR_OK;
}

struct probing {
	const char *device_id;
	struct device device;
};

static enum err
probe_txn(struct txn *tx)
{
	struct probing *p = tx->arg;

	return store_device_by_id(tx->st, p->device_id, &p->device);
}

static enum err
revoke_device(struct core_call *call, const struct revocation_request *r,
    struct event *out, uint64_t *devices)
{
	struct probing p = {.device_id = r->id};
	struct txn probe = {.call = call, .mode = STORE_READ, .arg = &p};
	struct event ev = {.kind = EV_DEVICE, .effect = r->effect};
	struct device dev;
	enum err e;

	if (!name_is_device_id(r->id)) {
		detail_set(&call->detail, "id: a device_id");
		return ERR_REQUEST;
	}
	if (r->has_expect && r->expect != 1 && !r->dry_run) {
		call->devices = 1;
		return ERR_EXPECT;
	}
	if (r->dry_run) {
		e = not_found(call, txn_run(&probe, probe_txn), "device",
		    r->id);
		if (e == ERR_OK)
			*devices = 1;
		return e;
	}
	e = core_device_effect(call, r->id, r->effect, 0, r->reason, &dev,
	    &ev.pos);
	if (e != ERR_OK)
		return e;
	(void)snprintf(ev.id, sizeof(ev.id), "%llu",
	    (unsigned long long)dev.dn);
	ev.at = clock_wall_s(call->core->clock);
	*out = ev;
	*devices = 1;
	return ERR_OK;
}

enum err
core_revoke(struct core_call *call, const struct revocation_request *r,
    struct event *out, uint64_t *devices)
{
	struct revoking v = {.r = r,
	    .ev = {.kind = r->kind, .effect = r->effect}};
	enum err e;

	if (r->effect < EFFECT_CUT || r->effect > EFFECT_LIFT)
		return ERR_REQUEST;
	switch (r->kind) {
	case EV_DEVICE:
		return revoke_device(call, r, out, devices);
	case EV_GROUP:
		e = prepare_group(&v, &call->detail);
		return e != ERR_OK ? e : run_mass(call, &v, group_txn,
		    "group", out, devices);
	case EV_TENANT:
		(void)snprintf(v.ev.id, sizeof(v.ev.id), "%u",
		    call->tenant->number);
		return run_mass(call, &v, tenant_txn, "tenant", out, devices);
	case EV_TOKEN:
		e = prepare_token(call, &v);
		return e != ERR_OK ? e : run_mass(call, &v, token_txn,
		    "token", out, devices);
	case EV_CALLER:
		return revoke_caller(call, r, out, devices);
	case EV_SIGNING_KEY:
		return revoke_key(call, r, out, devices);
	}
	return ERR_REQUEST;
}
