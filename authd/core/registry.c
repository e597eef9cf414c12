#include "authd/core/core_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- tenants ---- */

static enum err
next_number(struct core *c, uint32_t *number)
{
	struct store *st = NULL;
	enum err e;

	e = store_acquire(c->pool, CORE_ACQUIRE_MS, &st);
	if (e != ERR_OK)
		return e;
	e = store_tenant_next(st, number);
	store_release(&st);
	return e;
}

/* Into memory at once; the follower would find it too, a little later. */
static enum err
load_made(struct core *c, uint32_t number)
{
	struct tenant_head *heads = NULL;
	struct store *st = NULL;
	size_t i, n = 0;
	enum err e;

	e = store_acquire(c->pool, CORE_ACQUIRE_MS, &st);
	if (e == ERR_OK)
		e = store_heads(st, &heads, &n);
	for (i = 0; e == ERR_OK && i < n; i++)
		if (heads[i].tenant == number)
			e = tenant_load(c, st, &heads[i]);
	store_release(&st);
	free(heads);
	if (e == ERR_OK && tenant_by_number(c, number) == NULL)
		e = ERR_INTERNAL;
	return e;
}

static enum err
note_txn(struct txn *tx)
{
	return ERR_OK; /* the audit row is all there is */
}

/* In the log of the tenant whose admin did it, too. */
static enum err
note_creation(struct core_call *call, const char *name)
{
	struct txn tx = {.call = call, .mode = STORE_WRITE,
	    .action = "tenant.create", .object_kind = "tenant"};

	(void)snprintf(tx.object, sizeof(tx.object), "%s", name);
	return txn_run(&tx, note_txn);
}

enum err
core_tenant_create(struct core_call *call, const char *name,
    uint32_t *number, char issuer[ISSUER_MAX + 1],
    struct secret *admin_credential)
{
	struct core *c = call->core;
	struct secret text = {0};
	unsigned char hash[32];
	uint32_t made = 0;
	enum err e;

	e = call_check(call);
	if (e == ERR_OK && (call->caller->role != ROLE_ADMIN ||
	    strcmp(call->tenant->name, TENANT_DEFAULT) != 0))
		e = ERR_ROLE;
	if (e == ERR_OK && !name_is_tenant(name))
		e = ERR_NAME;
	if (e == ERR_OK && core_tenant_find(c, name) != NULL)
		e = ERR_EXISTS;
	if (e == ERR_OK && !call->may_block)
		e = ERR_WOULD_BLOCK;
	if (e == ERR_OK)
		e = credential_make(&text, hash);
	if (e == ERR_OK)
		e = next_number(c, &made);
	if (e == ERR_OK)
		e = note_creation(call, name);
	if (e == ERR_OK)
		e = tenant_make(c, made, name, hash, call);
	if (e == ERR_OK)
		e = load_made(c, made);
	if (e == ERR_OK)
		e = secret_set(admin_credential, text.p, text.len);
	if (e == ERR_OK) {
		*number = made;
		(void)snprintf(issuer, ISSUER_MAX + 1, "%s",
		    tenant_by_number(c, made)->issuer);
	}
	secret_free(&text);
	return e;
}

/* ---- audiences ---- */

struct list {
	void *rows;
	size_t max, n;
};

static enum err
audience_put_txn(struct txn *tx)
{
	return store_audience_put(tx->st, tx->arg);
}

enum err
core_audience_put(struct core_call *call, const struct audience *a)
{
	struct audience copy = *a;
	struct txn tx = {.call = call, .mode = STORE_WRITE,
	    .action = "audience.put", .object_kind = "audience",
	    .arg = &copy};

	if (!name_is_audience(a->name) ||
	    strcmp(a->name, AUDIENCE_AUTHORITY) == 0)
		return ERR_NAME;
	if (!name_is_host(a->host) || a->port == 0) {
		detail_set(&call->detail, "host, port: where it is reached");
		return ERR_REQUEST;
	}
	memcpy(tx.object, a->name, sizeof(tx.object));
	(void)snprintf(tx.note, sizeof(tx.note), "%.150s:%u%s", a->host,
	    a->port, a->retired ? " retired" : "");
	return txn_run(&tx, audience_put_txn);
}

static enum err
audience_list_txn(struct txn *tx)
{
	struct list *l = tx->arg;

	return store_audience_list(tx->st, l->rows, l->max, &l->n);
}

enum err
core_audience_list(struct core_call *call, struct audience *rows, size_t max,
    size_t *n)
{
	struct list l = {rows, max, 0};
	struct txn tx = {.call = call, .mode = STORE_READ, .arg = &l};
	enum err e;

	e = txn_run(&tx, audience_list_txn);
	if (e == ERR_OK)
		*n = l.n;
	return e;
}

/* ---- callers ---- */

static enum err
caller_validate(const struct caller *c, struct detail *d)
{
	uint32_t i;

	if (!name_is_order(c->name))
		return ERR_NAME;
	if (strcmp(role_name(c->role), "unknown") == 0 ||
	    c->naudiences > CALLER_AUDIENCES_MAX)
		return ERR_REQUEST;
	if ((c->role == ROLE_GATEWAY) != (c->naudiences > 0)) {
		detail_set(d, "audiences: of a gateway, and of no other");
		return ERR_REQUEST;
	}
	for (i = 0; i < c->naudiences; i++) {
		if (name_is_audience(c->audiences[i]) &&
		    strcmp(c->audiences[i], AUDIENCE_AUTHORITY) != 0)
			continue;
		detail_set(d, "audiences[%u]: not one a caller can hold", i);
		return ERR_REQUEST;
	}
	return ERR_OK;
}

struct making {
	struct caller caller;
	unsigned char hash[32];
};

static enum err
caller_create_txn(struct txn *tx)
{
	struct making *m = tx->arg;
	struct caller present;
	enum err e;

	e = store_caller_by_name(tx->st, m->caller.name, &present);
	if (e == ERR_OK)
		return ERR_EXISTS;
	if (e != ERR_NOT_FOUND)
		return e;
	e = store_caller_insert(tx->st, &m->caller, m->hash);
	return e == ERR_EXISTS ? ERR_CONFLICT : e;
}

enum err
core_caller_create(struct core_call *call, struct caller *c,
    struct secret *credential)
{
	struct making m = {.caller = *c};
	struct txn tx = {.call = call, .mode = STORE_WRITE,
	    .action = "caller.create", .object_kind = "caller", .arg = &m};
	struct secret text = {0};
	enum err e;

	e = caller_validate(c, &call->detail);
	if (e == ERR_OK && !call->may_block)
		e = ERR_WOULD_BLOCK;
	if (e != ERR_OK)
		return e;
	m.caller.tenant = call->tenant->number;
	memcpy(m.caller.tenant_name, call->tenant->name, sizeof(name_t));
	m.caller.disabled = 0;
	memcpy(tx.object, c->name, sizeof(tx.object));
	(void)snprintf(tx.note, sizeof(tx.note), "role %s",
	    role_name(c->role));
	e = credential_make(&text, m.hash);
	if (e == ERR_OK)
		e = txn_run(&tx, caller_create_txn);
	if (e == ERR_OK)
		e = secret_set(credential, text.p, text.len);
	if (e == ERR_OK)
		*c = m.caller;
	secret_free(&text);
	return e;
}

static enum err
caller_list_txn(struct txn *tx)
{
	struct list *l = tx->arg;

	return store_caller_list(tx->st, l->rows, l->max, &l->n);
}

enum err
core_caller_list(struct core_call *call, struct caller *rows, size_t max,
    size_t *n)
{
	struct list l = {rows, max, 0};
	struct txn tx = {.call = call, .mode = STORE_READ, .arg = &l};
	enum err e;

	e = txn_run(&tx, caller_list_txn);
	if (e == ERR_OK)
		*n = l.n;
	return e;
}

static enum err
caller_disable_txn(struct txn *tx)
{
	struct event ev = {.kind = EV_CALLER, .effect = EFFECT_BLOCK};
	struct caller *c = tx->arg;
	enum err e;

	e = store_caller_by_name(tx->st, tx->object, c);
	if (e != ERR_OK || c->disabled)
		return e; /* done already: nothing more to say */
	e = store_caller_disable(tx->st, c->number);
	if (e != ERR_OK)
		return e;
	c->disabled = 1;
	(void)snprintf(ev.id, sizeof(ev.id), "%llu",
	    (unsigned long long)c->number);
	return txn_event(tx, &ev);
}

enum err
caller_disable(struct core_call *call, const char *name, const char *why,
    struct caller *out, uint64_t *pos)
{
	struct caller c = {.number = 0};
	struct txn tx = {.call = call, .mode = STORE_WRITE,
	    .action = "caller.disable", .object_kind = "caller", .arg = &c};
	enum err e;

	if (!name_is_order(name))
		return not_found(call, ERR_NOT_FOUND, "caller", NULL);
	(void)snprintf(tx.object, sizeof(tx.object), "%s", name);
	(void)snprintf(tx.note, sizeof(tx.note), "%s", why);
	e = not_found(call, txn_run(&tx, caller_disable_txn), "caller",
	    name);
	if (e != ERR_OK)
		return e;
	*pos = tx.pos;
	c.tenant = call->tenant->number;
	memcpy(c.tenant_name, call->tenant->name, sizeof(name_t));
	*out = c;
	return ERR_OK;
}

enum err
core_caller_disable(struct core_call *call, const char *name,
    struct caller *out)
{
	uint64_t pos;

	return caller_disable(call, name, "", out, &pos);
}

/* ---- audit ---- */

struct auditing {
	uint64_t after;
	uint32_t limit;
	struct audit *rows;
	size_t n;
};

static enum err
audit_txn(struct txn *tx)
{
	struct auditing *a = tx->arg;

	return store_audit_list(tx->st, a->after, a->limit, a->rows, &a->n);
}

enum err
core_audit_list(struct core_call *call, uint64_t after, uint32_t limit,
    struct audit *rows, size_t *n)
{
	struct auditing a = {after, limit, rows, 0};
	struct txn tx = {.call = call, .mode = STORE_READ, .arg = &a};
	enum err e;

	if (limit < 1 || limit > CORE_LIST_MAX)
		return ERR_REQUEST;
	e = txn_run(&tx, audit_txn);
	if (e == ERR_OK)
		*n = a.n;
	return e;
}
