/* The store in memory: callers, audiences, groups, models, orders. */
#include "tests/helpers/fake_impl.h"

#include <stdlib.h>
#include <string.h>

enum err
store_caller_by_hash(struct store *st, const unsigned char hash[32],
    uint32_t *tenant, name_t tenant_name, uint64_t *number)
{
	enum err e = fake_enter_anywhere(st);
	struct f_caller *r;
	struct f_tenant *t;
	size_t i = 0, k = 0;

	if (e != ERR_OK)
		return e;
	while ((r = fake_next_any(st, T_CALLER, &i)) != NULL)
		if (memcmp(r->hash, hash, 32) == 0)
			break;
	while (r != NULL && (t = fake_next_any(st, T_TENANT, &k)) != NULL)
		if (t->tenant == r->tenant)
			memcpy(tenant_name, t->name, sizeof(t->name));
	if (r != NULL) {
		*tenant = r->tenant;
		*number = r->v.number;
	}
	fake_leave(st);
	return r != NULL ? ERR_OK : ERR_NOT_FOUND;
}

static struct f_caller *
caller(struct store *st, uint64_t number, const char *name)
{
	struct f_caller *r;
	size_t i = 0;

	while ((r = fake_next(st, T_CALLER, &i)) != NULL)
		if (name == NULL ? r->v.number == number :
		    strcmp(r->v.name, name) == 0)
			return r;
	return NULL;
}

enum err
store_caller_insert(struct store *st, struct caller *c,
    const unsigned char hash[32])
{
	enum err e = fake_enter(st, 1);
	struct f_tenant *t = e == ERR_OK ? fake_tenant(st) : NULL;
	struct f_caller *r;
	size_t i = 0;

	if (t == NULL)
		return e == ERR_OK ? ERR_NOT_FOUND : e;
	while ((r = fake_next_any(st, T_CALLER, &i)) != NULL)
		if (memcmp(r->hash, hash, 32) == 0)
			return fake_fail(st, ERR_EXISTS);
	if (caller(st, 0, c->name) != NULL)
		return fake_fail(st, ERR_EXISTS);
	c->tenant = t->tenant;
	c->number = t->next_caller++;
	c->created_at = fake_now();
	r = fake_add(st, T_CALLER);
	r->v = *c;
	memcpy(r->hash, hash, 32);
	return ERR_OK;
}

static enum err
caller_get(struct store *st, uint64_t number, const char *name,
    struct caller *out)
{
	enum err e = fake_enter(st, 0);
	struct f_caller *r;
	name_t keep;

	r = e == ERR_OK ? caller(st, number, name) : NULL;
	if (r == NULL)
		return e == ERR_OK ? ERR_NOT_FOUND : e;
	memcpy(keep, out->tenant_name, sizeof(keep));
	*out = r->v;
	memcpy(out->tenant_name, keep, sizeof(keep));
	return ERR_OK;
}

enum err
store_caller_get(struct store *st, uint64_t number, struct caller *out)
{
	return caller_get(st, number, NULL, out);
}

enum err
store_caller_by_name(struct store *st, const char *name, struct caller *out)
{
	return caller_get(st, 0, name, out);
}

enum err
store_caller_list(struct store *st, struct caller *rows, size_t max,
    size_t *n)
{
	enum err e = fake_enter(st, 0);
	struct f_caller *r;
	size_t i = 0, got = 0;

	if (e != ERR_OK)
		return e;
	while (got < max && (r = fake_next(st, T_CALLER, &i)) != NULL)
		rows[got++] = r->v;
	*n = got;
	return ERR_OK;
}

enum err
store_caller_disable(struct store *st, uint64_t number)
{
	enum err e = fake_enter(st, 1);
	struct f_caller *r = e == ERR_OK ? caller(st, number, NULL) : NULL;

	if (r == NULL)
		return e == ERR_OK ? ERR_NOT_FOUND : e;
	r->v.disabled = 1;
	return ERR_OK;
}

static struct f_audience *
audience(struct store *st, const char *name)
{
	struct f_audience *r;
	size_t i = 0;

	while ((r = fake_next(st, T_AUDIENCE, &i)) != NULL)
		if (strcmp(r->v.name, name) == 0)
			return r;
	return NULL;
}

enum err
store_audience_put(struct store *st, const struct audience *a)
{
	enum err e = fake_enter(st, 1);
	struct f_audience *r;

	if (e != ERR_OK)
		return e;
	if (fake_tenant(st) == NULL)
		return fake_fail(st, ERR_NOT_FOUND);
	if (!name_is_audience(a->name) || a->port == 0 ||
	    strcmp(a->name, AUDIENCE_AUTHORITY) == 0)
		return fake_fail(st, ERR_REQUEST);
	r = audience(st, a->name);
	if (r == NULL)
		r = fake_add(st, T_AUDIENCE);
	r->v = *a;
	return ERR_OK;
}

enum err
store_audience_get(struct store *st, const char *name, struct audience *out)
{
	enum err e = fake_enter(st, 0);
	struct f_audience *r = e == ERR_OK ? audience(st, name) : NULL;

	if (r == NULL)
		return e == ERR_OK ? ERR_NOT_FOUND : e;
	*out = r->v;
	return ERR_OK;
}

static int
by_audience(const void *a, const void *b)
{
	const struct audience *x = a, *y = b;

	return strcmp(x->name, y->name);
}

enum err
store_audience_list(struct store *st, struct audience *rows, size_t max,
    size_t *n)
{
	enum err e = fake_enter(st, 0);
	struct f_audience *r;
	size_t i = 0, got = 0;

	if (e != ERR_OK)
		return e;
	while (got < max && (r = fake_next(st, T_AUDIENCE, &i)) != NULL)
		rows[got++] = r->v;
	qsort(rows, got, sizeof(*rows), by_audience);
	*n = got;
	return ERR_OK;
}

struct f_group *
fake_group(struct store *st, uint32_t number)
{
	struct f_group *r;
	size_t i = 0;

	while ((r = fake_next(st, T_GROUP, &i)) != NULL)
		if (r->v.number == number)
			return r;
	return NULL;
}

static struct f_group *
group_named(struct store *st, enum group_kind kind, const char *name)
{
	struct f_group *r;
	size_t i = 0;

	while ((r = fake_next(st, T_GROUP, &i)) != NULL)
		if (r->v.kind == kind && strcmp(r->v.name, name) == 0)
			return r;
	return NULL;
}

enum err
store_group_insert(struct store *st, struct group *g)
{
	enum err e = fake_enter(st, 1);
	struct f_tenant *t = e == ERR_OK ? fake_tenant(st) : NULL;
	struct f_group *r;

	if (t == NULL)
		return e == ERR_OK ? ERR_NOT_FOUND : e;
	if (group_named(st, g->kind, g->name) != NULL)
		return fake_fail(st, ERR_EXISTS);
	g->number = t->next_group++;
	r = fake_add(st, T_GROUP);
	r->v = *g;
	r->v.devices = 0;
	return ERR_OK;
}

enum err
store_group_get(struct store *st, uint32_t number, struct group *out)
{
	enum err e = fake_enter(st, 0);
	struct f_group *r = e == ERR_OK ? fake_group(st, number) : NULL;

	if (r == NULL)
		return e == ERR_OK ? ERR_NOT_FOUND : e;
	*out = r->v;
	return ERR_OK;
}

enum err
store_group_by_name(struct store *st, enum group_kind kind, const char *name,
    struct group *out)
{
	enum err e = fake_enter(st, 0);
	struct f_group *r = e == ERR_OK ? group_named(st, kind, name) : NULL;

	if (r == NULL)
		return e == ERR_OK ? ERR_NOT_FOUND : e;
	*out = r->v;
	return ERR_OK;
}

enum err
store_group_list(struct store *st, struct group *rows, size_t max, size_t *n)
{
	enum err e = fake_enter(st, 0);
	struct f_group *r;
	size_t i = 0, got = 0;

	if (e != ERR_OK)
		return e;
	for (; got < max && (r = fake_next(st, T_GROUP, &i)) != NULL; got++) {
		rows[got] = r->v;
		rows[got].devices = fake_group_devices(st, r->v.number);
	}
	*n = got;
	return ERR_OK;
}

enum err
store_group_block(struct store *st, uint32_t number, int blocked)
{
	enum err e = fake_enter(st, 1);
	struct f_group *r = e == ERR_OK ? fake_group(st, number) : NULL;

	if (r == NULL)
		return e == ERR_OK ? ERR_NOT_FOUND : e;
	r->v.blocked = blocked != 0;
	return ERR_OK;
}

enum err
store_group_count(struct store *st, uint32_t number, uint64_t *devices)
{
	enum err e = fake_enter(st, 0);

	if (e == ERR_OK)
		*devices = fake_group_devices(st, number);
	return e;
}

struct f_model *
fake_model(struct store *st, const char *name)
{
	struct f_model *r;
	size_t i = 0;

	while ((r = fake_next(st, T_MODEL, &i)) != NULL)
		if (strcmp(r->v.name, name) == 0)
			return r;
	return NULL;
}

enum err
store_model_insert(struct store *st, struct model_row *m)
{
	enum err e = fake_enter(st, 1);
	struct f_tenant *t = e == ERR_OK ? fake_tenant(st) : NULL;
	struct f_model *r;

	if (t == NULL)
		return e == ERR_OK ? ERR_NOT_FOUND : e;
	if (fake_model(st, m->name) != NULL)
		return fake_fail(st, ERR_EXISTS);
	if (fake_group(st, m->group) == NULL ||
	    (m->data_key != 0 && !fake_has_data_key(st, m->data_key)))
		return fake_fail(st, ERR_NOT_FOUND);
	m->number = t->next_model++;
	r = fake_add(st, T_MODEL);
	r->v = *m;
	return ERR_OK;
}

enum err
store_model_get(struct store *st, const char *name, struct model_row *out)
{
	enum err e = fake_enter(st, 0);
	struct f_model *r = e == ERR_OK ? fake_model(st, name) : NULL;

	if (r == NULL)
		return e == ERR_OK ? ERR_NOT_FOUND : e;
	*out = r->v;
	return ERR_OK;
}

enum err
store_model_master(struct store *st, const struct model_row *m)
{
	enum err e = fake_enter(st, 1);
	struct f_model *r = e == ERR_OK ? fake_model(st, m->name) : NULL;

	if (r == NULL)
		return e == ERR_OK ? ERR_NOT_FOUND : e;
	if (m->data_key == 0 || m->master_len == 0)
		return fake_fail(st, ERR_INTERNAL);
	if (r->v.data_key != 0)
		return fake_fail(st, ERR_EXISTS);
	if (!fake_has_data_key(st, m->data_key))
		return fake_fail(st, ERR_NOT_FOUND);
	r->v.data_key = m->data_key;
	memcpy(r->v.master, m->master, m->master_len);
	r->v.master_len = m->master_len;
	return ERR_OK;
}

struct f_order *
fake_order(struct store *st, const char *name)
{
	struct f_order *r;
	size_t i = 0;

	while ((r = fake_next(st, T_ORDER, &i)) != NULL)
		if (strcmp(r->v.name, name) == 0)
			return r;
	return NULL;
}

enum err
store_order_insert(struct store *st, struct order *o)
{
	enum err e = fake_enter(st, 1);
	struct f_model *m;
	struct f_order *r;

	if (e != ERR_OK)
		return e;
	if (fake_order(st, o->name) != NULL)
		return fake_fail(st, ERR_EXISTS);
	m = fake_model(st, o->model);
	if (m == NULL || fake_group(st, o->group) == NULL)
		return fake_fail(st, ERR_NOT_FOUND);
	o->created_at = fake_now();
	o->model_group = m->v.group;
	o->issued = 0;
	o->closed = 0;
	r = fake_add(st, T_ORDER);
	r->v = *o;
	r->next_place = 1;
	return ERR_OK;
}

enum err
store_order_get(struct store *st, const char *name, struct order *out)
{
	enum err e = fake_enter(st, 0);
	struct f_order *r = e == ERR_OK ? fake_order(st, name) : NULL;

	if (r == NULL)
		return e == ERR_OK ? ERR_NOT_FOUND : e;
	*out = r->v;
	return ERR_OK;
}

static int
names_station(const struct order *o, const char *station)
{
	uint32_t i;

	for (i = 0; station != NULL && i < o->nstations; i++)
		if (strcmp(o->stations[i], station) == 0)
			return 1;
	return station == NULL;
}

static int
by_order(const void *a, const void *b)
{
	const struct order *x = a, *y = b;

	return strcmp(x->name, y->name);
}

enum err
store_order_list(struct store *st, const char *station, struct order *rows,
    size_t max, size_t *n)
{
	enum err e = fake_enter(st, 0);
	struct f_order *r;
	size_t i = 0, got = 0;

	if (e != ERR_OK)
		return e;
	while (got < max && (r = fake_next(st, T_ORDER, &i)) != NULL)
		if (names_station(&r->v, station))
			rows[got++] = r->v;
	qsort(rows, got, sizeof(*rows), by_order);
	*n = got;
	return ERR_OK;
}

enum err
store_order_close(struct store *st, const char *name)
{
	enum err e = fake_enter(st, 1);
	struct f_order *r = e == ERR_OK ? fake_order(st, name) : NULL;

	if (r == NULL)
		return e == ERR_OK ? ERR_NOT_FOUND : e;
	r->v.closed = 1;
	return ERR_OK;
}

enum err
store_order_take(struct store *st, const char *name, uint32_t *place)
{
	enum err e = fake_enter(st, 1);
	struct f_order *r = e == ERR_OK ? fake_order(st, name) : NULL;

	if (r == NULL)
		return e == ERR_OK ? ERR_NOT_FOUND : e;
	if (r->v.closed)
		return fake_fail(st, ERR_ORDER_CLOSED);
	if (r->v.expires_at <= fake_now())
		return fake_fail(st, ERR_ORDER_EXPIRED);
	if (r->v.issued >= r->v.quantity)
		return fake_fail(st, ERR_ORDER_FULL);
	r->v.issued++;
	*place = r->next_place++;
	return ERR_OK;
}

enum err
store_order_give_back(struct store *st, const char *name)
{
	enum err e = fake_enter(st, 1);
	struct f_order *r = e == ERR_OK ? fake_order(st, name) : NULL;

	if (r == NULL)
		return e == ERR_OK ? ERR_NOT_FOUND : e;
	if (r->v.issued == 0)
		return fake_fail(st, ERR_WRONG_STATE);
	r->v.issued--;
	return ERR_OK;
}
