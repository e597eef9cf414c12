/* The store in memory: tenants, events, keys, callers, audit. */
#include "tests/helpers/fake_impl.h"

#include <stdlib.h>
#include <string.h>

struct f_tenant *
fake_tenant(struct store *st)
{
	size_t i = 0;

	return fake_next(st, T_TENANT, &i);
}

static int
by_tenant(const void *a, const void *b)
{
	const struct tenant_head *x = a, *y = b;

	return x->tenant < y->tenant ? -1 : x->tenant > y->tenant;
}

enum err
store_heads(struct store *st, struct tenant_head **out, size_t *n)
{
	enum err e = fake_enter_anywhere(st);
	struct tenant_head *rows;
	struct f_tenant *t;
	size_t i = 0, got = 0;

	if (e != ERR_OK)
		return e;
	while (fake_next_any(st, T_TENANT, &i) != NULL)
		got++;
	rows = calloc(got + 1, sizeof(*rows));
	if (rows == NULL)
		abort();
	for (i = got = 0; (t = fake_next_any(st, T_TENANT, &i)) != NULL;
	    got++) {
		rows[got].tenant = t->tenant;
		memcpy(rows[got].name, t->name, sizeof(t->name));
		rows[got].pos = t->pos;
		rows[got].floor = t->floor;
		rows[got].lost = t->lost;
	}
	fake_leave(st);
	qsort(rows, got, sizeof(*rows), by_tenant);
	*out = rows;
	*n = got;
	return ERR_OK;
}

enum err
store_tenant_insert(struct store *st, const char *name)
{
	enum err e = fake_enter(st, 1);
	struct f_tenant *t;
	size_t i = 0;

	if (e != ERR_OK)
		return e;
	if (!name_is_tenant(name))
		return fake_fail(st, ERR_REQUEST);
	while ((t = fake_next_any(st, T_TENANT, &i)) != NULL)
		if (strcmp(t->name, name) == 0 ||
		    t->tenant == fake_tenant_number(st))
			return fake_fail(st, ERR_EXISTS);
	t = fake_add(st, T_TENANT);
	memcpy(t->name, name, strlen(name) + 1);
	t->pos = UINT64_C(1) << POS_GENERATION_SHIFT;
	t->next_device = t->next_caller = t->next_model = 1;
	t->next_group = 1;
	t->keys_version = 1;
	return ERR_OK;
}

enum err
store_tenant_next(struct store *st, uint32_t *number)
{
	enum err e = fake_enter_anywhere(st);
	struct f_tenant *t;
	uint32_t max = 0;
	size_t i = 0;

	if (e != ERR_OK)
		return e;
	while ((t = fake_next_any(st, T_TENANT, &i)) != NULL)
		max = t->tenant > max ? t->tenant : max;
	fake_leave(st);
	*number = max + 1;
	return ERR_OK;
}

enum err
store_position(struct store *st, uint64_t *pos, uint64_t *floor)
{
	enum err e = fake_enter(st, 0);
	struct f_tenant *t = e == ERR_OK ? fake_tenant(st) : NULL;

	if (t == NULL)
		return e == ERR_OK ? ERR_NOT_FOUND : e;
	*pos = t->pos;
	*floor = t->floor;
	return ERR_OK;
}

enum err
store_tenant_block(struct store *st, int blocked)
{
	enum err e = fake_enter(st, 1);
	struct f_tenant *t = e == ERR_OK ? fake_tenant(st) : NULL;

	if (t == NULL)
		return e == ERR_OK ? ERR_NOT_FOUND : e;
	t->blocked = blocked != 0;
	return ERR_OK;
}

enum err
store_tenant_blocked(struct store *st, int *blocked)
{
	enum err e = fake_enter(st, 0);
	struct f_tenant *t = e == ERR_OK ? fake_tenant(st) : NULL;

	if (t == NULL)
		return e == ERR_OK ? ERR_NOT_FOUND : e;
	*blocked = t->blocked;
	return ERR_OK;
}

enum err
store_tenant_count(struct store *st, uint64_t *devices)
{
	enum err e = fake_enter(st, 0);
	struct f_device *d;
	uint64_t n = 0;
	size_t i = 0;

	if (e != ERR_OK)
		return e;
	while ((d = fake_next(st, T_DEVICE, &i)) != NULL)
		n += d->v.state == DEV_ACTIVE || d->v.state == DEV_SUSPENDED;
	*devices = n;
	return ERR_OK;
}

enum err
store_instance_confirm(struct store *st, const char *instance)
{
	enum err e = fake_enter(st, 1);
	struct f_instance *r;
	size_t i = 0;

	if (e != ERR_OK)
		return e;
	while ((r = fake_next(st, T_INSTANCE, &i)) != NULL)
		if (strcmp(r->name, instance) == 0)
			return ERR_OK;
	r = fake_add(st, T_INSTANCE);
	(void)strncpy(r->name, instance, NAME_MAX_LEN);
	return ERR_OK;
}

enum err
store_event_append(struct store *st, struct event *ev)
{
	enum err e = fake_enter(st, 1);
	struct f_tenant *t = e == ERR_OK ? fake_tenant(st) : NULL;
	struct f_event *r;

	if (t == NULL)
		return e == ERR_OK ? ERR_NOT_FOUND : e;
	ev->pos = ++t->pos;
	ev->at = fake_now();
	r = fake_add(st, T_EVENT);
	r->v = *ev;
	fake_will_notify(st);
	return ERR_OK;
}

/* Rows are in the order of their positions. */
enum err
store_event_list(struct store *st, uint64_t after, uint32_t limit,
    struct event *rows, size_t *n)
{
	enum err e = fake_enter(st, 0);
	struct f_event *r;
	size_t i = 0, got = 0;

	if (e != ERR_OK)
		return e;
	while (got < limit && (r = fake_next(st, T_EVENT, &i)) != NULL)
		if (r->v.pos > after)
			rows[got++] = r->v;
	*n = got;
	return ERR_OK;
}

enum err
store_event_naming(struct store *st, enum event_kind kind, const char *id,
    uint32_t limit, struct event *rows, size_t *n)
{
	enum err e = fake_enter(st, 0);
	struct f_event *r;
	size_t i = 0, got = 0;

	if (e != ERR_OK || limit == 0)
		return e;
	while ((r = fake_next(st, T_EVENT, &i)) != NULL) {
		if (r->v.kind != kind || strcmp(r->v.id, id) != 0)
			continue;
		/* The newest comes first: the oldest falls out. */
		if (got == limit)
			got--;
		memmove(rows + 1, rows, got * sizeof(*rows));
		rows[0] = r->v;
		got++;
	}
	*n = got;
	return ERR_OK;
}

static struct f_data_key *
data_key(struct store *st, uint64_t number)
{
	struct f_data_key *r;
	size_t i = 0;

	while ((r = fake_next(st, T_DATA_KEY, &i)) != NULL)
		if (r->v.number == number)
			return r;
	return NULL;
}

int
fake_has_data_key(struct store *st, uint64_t number)
{
	return data_key(st, number) != NULL;
}

enum err
store_data_key_insert(struct store *st, const struct data_key_row *row)
{
	enum err e = fake_enter(st, 1);
	struct f_data_key *r;

	if (e != ERR_OK)
		return e;
	if (data_key(st, row->number) != NULL)
		return fake_fail(st, ERR_EXISTS);
	r = fake_add(st, T_DATA_KEY);
	r->v = *row;
	return ERR_OK;
}

enum err
store_data_key_get(struct store *st, uint64_t number,
    struct data_key_row *row)
{
	enum err e = fake_enter(st, 0);
	struct f_data_key *r = e == ERR_OK ? data_key(st, number) : NULL;

	if (r == NULL)
		return e == ERR_OK ? ERR_NOT_FOUND : e;
	*row = r->v;
	return ERR_OK;
}

enum err
store_data_key_newest(struct store *st, struct data_key_row *row)
{
	enum err e = fake_enter(st, 0);
	struct f_data_key *r, *best = NULL;
	size_t i = 0;

	if (e != ERR_OK)
		return e;
	while ((r = fake_next(st, T_DATA_KEY, &i)) != NULL)
		if (best == NULL || r->v.number > best->v.number)
			best = r;
	if (best == NULL)
		return ERR_NOT_FOUND;
	*row = best->v;
	return ERR_OK;
}

enum err
store_data_key_use(struct store *st, uint64_t number, uint64_t n,
    uint64_t *uses)
{
	enum err e = fake_enter(st, 1);
	struct f_data_key *r = e == ERR_OK ? data_key(st, number) : NULL;

	if (r == NULL)
		return e == ERR_OK ? ERR_NOT_FOUND : e;
	r->v.uses += n;
	*uses = r->v.uses;
	return ERR_OK;
}

enum err
store_secret_key_next(struct store *st, uint64_t *number)
{
	enum err e = fake_enter(st, 0);
	struct f_secret_key *r;
	uint64_t max = 0;
	size_t i = 0;

	if (e != ERR_OK)
		return e;
	while ((r = fake_next(st, T_SECRET_KEY, &i)) != NULL)
		max = r->v.number > max ? r->v.number : max;
	*number = max + 1;
	return ERR_OK;
}

enum err
store_secret_key_insert(struct store *st, const struct secret_key_row *row)
{
	enum err e = fake_enter(st, 1);
	struct f_secret_key *r;
	size_t i = 0;

	if (e != ERR_OK)
		return e;
	while ((r = fake_next(st, T_SECRET_KEY, &i)) != NULL)
		if (r->v.number == row->number ||
		    (strcmp(r->v.purpose, row->purpose) == 0 &&
		    strcmp(r->v.kid, row->kid) == 0))
			return fake_fail(st, ERR_EXISTS);
	if (data_key(st, row->data_key) == NULL)
		return fake_fail(st, ERR_NOT_FOUND);
	r = fake_add(st, T_SECRET_KEY);
	r->v = *row;
	return ERR_OK;
}

static int
by_key_number(const void *a, const void *b)
{
	const struct secret_key_row *x = a, *y = b;

	return x->number < y->number ? -1 : x->number > y->number;
}

enum err
store_secret_key_list(struct store *st, struct secret_key_row *rows,
    size_t max, size_t *n)
{
	enum err e = fake_enter(st, 0);
	struct f_secret_key *r;
	size_t i = 0, got = 0;

	if (e != ERR_OK)
		return e;
	while (got < max && (r = fake_next(st, T_SECRET_KEY, &i)) != NULL)
		if (strcmp(r->v.state, "revoked") != 0)
			rows[got++] = r->v;
	qsort(rows, got, sizeof(*rows), by_key_number);
	*n = got;
	return ERR_OK;
}

enum err
store_audit_append(struct store *st, const struct audit *a)
{
	static uint64_t number; /* a sequence; writers take turns */
	enum err e = fake_enter(st, 1);
	struct f_audit *r;

	if (e != ERR_OK)
		return e;
	if (fake_tenant(st) == NULL)
		return fake_fail(st, ERR_NOT_FOUND);
	r = fake_add(st, T_AUDIT);
	r->v = *a;
	r->v.number = __atomic_add_fetch(&number, 1, __ATOMIC_RELAXED);
	r->v.at = fake_now();
	return ERR_OK;
}

enum err
store_audit_list(struct store *st, uint64_t after, uint32_t limit,
    struct audit *rows, size_t *n)
{
	enum err e = fake_enter(st, 0);
	struct f_audit *r;
	size_t i = 0, got = 0;

	if (e != ERR_OK)
		return e;
	while (got < limit && (r = fake_next(st, T_AUDIT, &i)) != NULL)
		if (r->v.number > after)
			rows[got++] = r->v;
	*n = got;
	return ERR_OK;
}
