/* The store in memory: receipts. Its clock counts whole seconds only. */
#include "tests/helpers/fake_impl.h"

#include <stdlib.h>
#include <string.h>

#define US INT64_C(1000000)

static struct f_gateway_instance *
find_instance(struct store *st, uint64_t caller, const char *name,
    size_t *count)
{
	struct f_gateway_instance *g, *found = NULL;
	size_t i = 0;

	*count = 0;
	while ((g = fake_next(st, T_GATEWAY_INSTANCE, &i)) != NULL) {
		*count += g->v.caller == caller;
		if (g->v.caller == caller && strcmp(g->v.name, name) == 0)
			found = g;
	}
	return found;
}

static enum err
add_one(struct store *st, struct receipt_add *a)
{
	struct f_gateway_instance *g;
	struct f_receipt *r;
	uint64_t prev;
	size_t count;

	g = find_instance(st, a->caller, a->r.instance, &count);
	a->refused = g == NULL && count >= GATEWAY_INSTANCES_MAX;
	a->first = g == NULL && !a->refused;
	if (a->refused)
		return ERR_OK;
	if (g == NULL && (g = fake_add(st, T_GATEWAY_INSTANCE)) == NULL)
		return ERR_INTERNAL;
	prev = g->v.pos;
	g->v.caller = a->caller;
	memcpy(g->v.name, a->r.instance, sizeof(name_t));
	g->v.pos = prev > a->r.position ? prev : a->r.position;
	g->v.heard_us = fake_now() * US - a->age_us;
	if (prev >= a->r.position)
		return ERR_OK;
	r = fake_add(st, T_RECEIPT);
	if (r == NULL)
		return ERR_INTERNAL;
	r->v.caller = a->caller;
	r->v.r = a->r;
	r->v.at_us = fake_now() * US - a->age_us;
	return ERR_OK;
}

enum err
store_receipts_add(struct store *st, struct receipt_add *rows, size_t n)
{
	enum err e = fake_enter(st, 1);
	size_t i;

	if (e == ERR_OK && n > RECEIPT_BATCH_MAX)
		return fake_fail(st, ERR_INTERNAL);
	for (i = 0; i < n && e == ERR_OK; i++)
		e = add_one(st, &rows[i]);
	return e;
}

enum err
store_instances_forget(struct store *st, uint64_t caller, uint32_t age)
{
	enum err e = fake_enter(st, 1);
	struct f_gateway_instance *g;
	size_t i = 0;

	if (e != ERR_OK)
		return e;
	while ((g = fake_next(st, T_GATEWAY_INSTANCE, &i)) != NULL)
		if (g->v.caller == caller &&
		    g->v.heard_us < (fake_now() - (int64_t)age) * US)
			fake_drop(st, T_GATEWAY_INSTANCE, &i);
	return ERR_OK;
}

static enum err
event_one(struct store *st, uint64_t pos, int next, struct event_time *out)
{
	enum err e = fake_enter(st, 0);
	struct f_event *r, *found = NULL;
	size_t i = 0;

	if (e != ERR_OK)
		return e;
	while ((r = fake_next(st, T_EVENT, &i)) != NULL)
		if (next ? r->v.pos > pos && (found == NULL ||
		    r->v.pos < found->v.pos) : r->v.pos == pos)
			found = r;
	if (found == NULL)
		return ERR_NOT_FOUND;
	out->event = found->v;
	out->at_us = found->v.at * US;
	out->now_us = fake_now() * US;
	return ERR_OK;
}

enum err
store_event_get(struct store *st, uint64_t pos, struct event_time *out)
{
	return event_one(st, pos, 0, out);
}

enum err
store_event_next(struct store *st, uint64_t pos, struct event_time *out)
{
	return event_one(st, pos, 1, out);
}

static int
is_member(struct store *st, uint64_t dn, uint32_t group)
{
	struct f_member *m;
	size_t i = 0;

	while ((m = fake_next(st, T_MEMBER, &i)) != NULL)
		if (m->dn == dn && m->group == group)
			return 1;
	return 0;
}

static int
names_device(struct store *st, const struct event *ev,
    const struct device *dev)
{
	uint64_t n = event_number(ev);

	if (ev->kind == EV_DEVICE)
		return dev->dn == n;
	if (dev->state == DEV_VOID)
		return 0;
	return ev->kind == EV_TENANT || is_member(st, dev->dn, (uint32_t)n);
}

static int
share_audience(const struct caller *c, const struct order *o)
{
	uint32_t i;

	for (i = 0; i < o->npeers; i++)
		if (caller_has_audience(c, o->peers[i]))
			return 1;
	return 0;
}

static int
has_to_enforce(struct store *st, const struct event *ev,
    const struct caller *c)
{
	struct f_device *d;
	struct f_order *o;
	size_t i = 0;

	if (ev->kind != EV_DEVICE && ev->kind != EV_GROUP &&
	    ev->kind != EV_TENANT)
		return 1;
	while ((d = fake_next(st, T_DEVICE, &i)) != NULL) {
		if (!names_device(st, ev, &d->v))
			continue;
		o = fake_order(st, d->v.order);
		if (o != NULL && share_audience(c, &o->v))
			return 1;
	}
	return 0;
}

static int
by_number(const void *a, const void *b)
{
	const struct gateway_row *x = a, *y = b;

	return x->number < y->number ? -1 : x->number > y->number;
}

enum err
store_event_gateways(struct store *st, const struct event_time *ev,
    struct gateway_row *rows, size_t max, size_t *n)
{
	enum err e = fake_enter(st, 0);
	struct f_caller *c;
	size_t i = 0, got = 0;

	if (e != ERR_OK)
		return e;
	while (got < max && (c = fake_next(st, T_CALLER, &i)) != NULL) {
		if (c->v.role != ROLE_GATEWAY || c->v.disabled ||
		    (ev->at_us != 0 && c->v.created_at > ev->event.at) ||
		    !has_to_enforce(st, &ev->event, &c->v))
			continue;
		rows[got].number = c->v.number;
		memcpy(rows[got++].name, c->v.name, sizeof(name_t));
	}
	qsort(rows, got, sizeof(*rows), by_number);
	*n = got;
	return ERR_OK;
}

static int
is_disabled(struct store *st, uint64_t caller)
{
	struct f_caller *c;
	size_t i = 0;

	while ((c = fake_next(st, T_CALLER, &i)) != NULL)
		if (c->v.number == caller)
			return c->v.disabled;
	return 1;
}

static int
by_instance(const void *a, const void *b)
{
	const struct instance_row *x = a, *y = b;

	if (x->caller != y->caller)
		return x->caller < y->caller ? -1 : 1;
	return strcmp(x->name, y->name);
}

enum err
store_instances(struct store *st, struct instance_row *rows, size_t max,
    size_t *n)
{
	enum err e = fake_enter(st, 0);
	struct f_gateway_instance *g;
	size_t i = 0, got = 0;

	if (e != ERR_OK)
		return e;
	while (got < max &&
	    (g = fake_next(st, T_GATEWAY_INSTANCE, &i)) != NULL)
		if (!is_disabled(st, g->v.caller))
			rows[got++] = g->v;
	qsort(rows, got, sizeof(*rows), by_instance);
	*n = got;
	return ERR_OK;
}

/* The one of the same instance that is there, or NULL. */
static struct receipt_kept *
same(struct receipt_kept *rows, size_t n, const struct receipt_kept *k)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (rows[i].caller == k->caller &&
		    strcmp(rows[i].r.instance, k->r.instance) == 0)
			return &rows[i];
	return NULL;
}

static int
by_kept(const void *a, const void *b)
{
	const struct receipt_kept *x = a, *y = b;

	if (x->caller != y->caller)
		return x->caller < y->caller ? -1 : 1;
	return strcmp(x->r.instance, y->r.instance);
}

enum err
store_receipts_list(struct store *st, uint64_t pos,
    struct receipt_kept *rows, size_t max, size_t *n)
{
	enum err e = fake_enter(st, 0);
	struct receipt_kept *there;
	struct f_receipt *r;
	size_t i = 0, got = 0;

	if (e != ERR_OK)
		return e;
	while ((r = fake_next(st, T_RECEIPT, &i)) != NULL) {
		if (r->v.r.position < pos)
			continue;
		there = same(rows, got, &r->v);
		if (there == NULL && got < max)
			rows[got++] = r->v;
		else if (there != NULL &&
		    r->v.r.position < there->r.position)
			*there = r->v;
	}
	qsort(rows, got, sizeof(*rows), by_kept);
	*n = got;
	return ERR_OK;
}
