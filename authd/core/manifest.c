#include "authd/core/core_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/jose/manifest.h"

struct listing {
	const char *name;
	struct manifest_page page;
};

/* What has no proof yet, or was made void, is not the customer's. */
static void
keep_proven(struct manifest_page *p, size_t n)
{
	size_t i;

	p->n = 0;
	for (i = 0; i < n; i++)
		if (device_had_proof(&p->units[i]))
			p->units[p->n++] = p->units[i];
}

static enum err
page_txn(struct txn *tx)
{
	struct listing *l = tx->arg;
	struct manifest_page *p = &l->page;
	struct device_filter f = {.after = p->after,
	    .limit = MANIFEST_UNITS_MAX};
	struct order o;
	size_t n = 0;
	enum err e;

	e = store_order_get(tx->st, l->name, &o);
	if (e != ERR_OK)
		return e;
	memcpy(p->order, o.name, sizeof(p->order));
	memcpy(p->model, o.model, sizeof(p->model));
	p->quantity = o.quantity;
	p->closed = o.closed;
	memcpy(f.order, o.name, sizeof(f.order));
	e = store_device_list(tx->st, &f, p->units, &n);
	if (e != ERR_OK)
		return e;
	p->end = n < f.limit;
	p->upto = n > 0 ? p->units[n - 1].dn : p->after;
	keep_proven(p, n);
	(void)snprintf(tx->note, sizeof(tx->note), "%zu units in (%llu, "
	    "%llu]", p->n, (unsigned long long)p->after,
	    (unsigned long long)p->upto);
	return ERR_OK;
}

/* Page and key set of one moment: who has both can check the one. */
static enum err
sign_page(struct core_call *call, const struct manifest_page *p,
    struct manifest_text *out)
{
	struct core_tenant *t = tenant_writable(call->tenant);
	enum err e;

	(void)pthread_rwlock_rdlock(&t->keys_lock);
	e = manifest_sign(t->keys->token, t->issuer, p, &out->page);
	if (e == ERR_OK)
		e = buf_add(&out->keys, t->keys->keyset.p,
		    t->keys->keyset.len);
	(void)pthread_rwlock_unlock(&t->keys_lock);
	return e;
}

enum err
core_order_manifest(struct core_call *call, const char *name, uint64_t after,
    struct manifest_text *out)
{
	struct listing l = {.name = name, .page = {.after = after,
	    .iat = clock_wall_s(call->core->clock)}};
	/* Each page that is handed over, and to whom, is on record. */
	struct txn tx = {.call = call, .mode = STORE_WRITE,
	    .action = "order.manifest", .object_kind = "order", .arg = &l};
	enum err e;

	if (!name_is_order(name))
		return not_found(call, ERR_NOT_FOUND, "order", NULL);
	if (!call->may_block)
		return ERR_WOULD_BLOCK;
	(void)snprintf(tx.object, sizeof(tx.object), "%s", name);
	e = tenant_ready(call->core, call->tenant);
	if (e != ERR_OK)
		return e;
	l.page.units = calloc(MANIFEST_UNITS_MAX, sizeof(*l.page.units));
	if (l.page.units == NULL)
		return ERR_NOMEM;
	e = not_found(call, txn_run(&tx, page_txn), "order", name);
	if (e == ERR_OK)
		e = sign_page(call, &l.page, out);
	if (e == ERR_OK) {
		out->upto = l.page.upto;
		out->end = l.page.end;
	}
	manifest_page_free(&l.page);
	return e;
}
