/* The store in memory: tickets. */
#include "tests/helpers/fake_impl.h"

#include <string.h>

static struct f_ticket *
find(struct store *st, const char *id)
{
	struct f_ticket *t;
	size_t i = 0;

	while ((t = fake_next(st, T_TICKET, &i)) != NULL)
		if (strcmp(t->v.id, id) == 0)
			return t;
	return NULL;
}

enum err
store_ticket_insert(struct store *st, const struct ticket_row *t)
{
	enum err e = fake_enter(st, 1);
	struct f_ticket *r;

	if (e != ERR_OK)
		return e;
	if (!name_is_ticket(t->id) || t->count < 1 ||
	    t->count > TICKET_UNITS_MAX)
		return fake_fail(st, ERR_REQUEST);
	if (find(st, t->id) != NULL)
		return fake_fail(st, ERR_EXISTS);
	if (fake_order(st, t->order) == NULL)
		return fake_fail(st, ERR_NOT_FOUND);
	r = fake_add(st, T_TICKET);
	r->v = *t;
	r->v.key.there = 1;
	r->v.swept = 0;
	return ERR_OK;
}

enum err
store_ticket_get(struct store *st, const char *id, struct ticket_row *out)
{
	enum err e = fake_enter(st, 0);
	struct f_ticket *t = e == ERR_OK ? find(st, id) : NULL;

	if (t == NULL)
		return e == ERR_OK ? ERR_NOT_FOUND : e;
	*out = t->v;
	return ERR_OK;
}

enum err
store_ticket_sweep(struct store *st, const char *id)
{
	enum err e = fake_enter(st, 1);
	struct f_ticket *t = e == ERR_OK ? find(st, id) : NULL;

	if (t == NULL)
		return e == ERR_OK ? ERR_NOT_FOUND : e;
	t->v.swept = 1;
	return ERR_OK;
}

static int
sooner(const struct ticket_row *a, const struct ticket_row *b)
{
	if (a->expires_at != b->expires_at)
		return a->expires_at < b->expires_at;
	return strcmp(a->id, b->id) < 0;
}

enum err
store_ticket_expired(struct store *st, int64_t now, struct ticket_row *out)
{
	enum err e = fake_enter(st, 0);
	struct f_ticket *t, *first = NULL;
	size_t i = 0;

	while (e == ERR_OK && (t = fake_next(st, T_TICKET, &i)) != NULL)
		if (!t->v.swept && t->v.expires_at <= now &&
		    (first == NULL || sooner(&t->v, &first->v)))
			first = t;
	if (first == NULL)
		return e == ERR_OK ? ERR_NOT_FOUND : e;
	*out = first->v;
	return ERR_OK;
}

static struct f_ticket_unit *
find_unit(struct store *st, const char *ticket, uint64_t dn)
{
	struct f_ticket_unit *u;
	size_t i = 0;

	while ((u = fake_next(st, T_TICKET_UNIT, &i)) != NULL)
		if (u->v.dn == dn && strcmp(u->v.ticket, ticket) == 0)
			return u;
	return NULL;
}

enum err
store_ticket_unit_add(struct store *st, const char *ticket, uint64_t dn)
{
	enum err e = fake_enter(st, 1);
	struct f_ticket_unit *u;

	if (e != ERR_OK)
		return e;
	if (find_unit(st, ticket, dn) != NULL)
		return fake_fail(st, ERR_EXISTS);
	if (find(st, ticket) == NULL || fake_device(st, dn) == NULL)
		return fake_fail(st, ERR_NOT_FOUND);
	u = fake_add(st, T_TICKET_UNIT);
	memcpy(u->v.ticket, ticket, sizeof(u->v.ticket));
	u->v.dn = dn;
	return ERR_OK;
}

enum err
store_ticket_unit_get(struct store *st, const char *ticket, uint64_t dn,
    struct ticket_unit_row *out)
{
	enum err e = fake_enter(st, 0);
	struct f_ticket_unit *u;

	u = e == ERR_OK ? find_unit(st, ticket, dn) : NULL;
	if (u == NULL)
		return e == ERR_OK ? ERR_NOT_FOUND : e;
	*out = u->v;
	return ERR_OK;
}

/* Rows are in the order of their numbers: they were made so. */
enum err
store_ticket_unit_list(struct store *st, const char *ticket,
    struct ticket_unit_row *rows, size_t max, size_t *n)
{
	enum err e = fake_enter(st, 0);
	struct f_ticket_unit *u;
	size_t i = 0, got = 0;

	if (e != ERR_OK)
		return e;
	while (got < max && (u = fake_next(st, T_TICKET_UNIT, &i)) != NULL)
		if (strcmp(u->v.ticket, ticket) == 0)
			rows[got++] = u->v;
	*n = got;
	return ERR_OK;
}

enum err
store_ticket_unit_update(struct store *st, const struct ticket_unit_row *u)
{
	enum err e = fake_enter(st, 1);
	struct f_ticket_unit *r;

	r = e == ERR_OK ? find_unit(st, u->ticket, u->dn) : NULL;
	if (r == NULL)
		return e == ERR_OK ? ERR_NOT_FOUND : e;
	r->v = *u;
	return ERR_OK;
}

enum err
store_device_set_serial(struct store *st, uint64_t dn, const char *serial)
{
	enum err e = fake_enter(st, 1);
	struct f_device *r = e == ERR_OK ? fake_device(st, dn) : NULL, *o;
	size_t i = 0;

	if (r == NULL)
		return e == ERR_OK ? ERR_NOT_FOUND : e;
	while ((o = fake_next(st, T_DEVICE, &i)) != NULL)
		if (o->v.dn != dn && o->v.state != DEV_VOID &&
		    strcmp(o->v.order, r->v.order) == 0 &&
		    strcmp(o->v.serial, serial) == 0)
			return fake_fail(st, ERR_EXISTS);
	memset(r->v.serial, 0, sizeof(r->v.serial));
	memcpy(r->v.serial, serial, strlen(serial));
	return ERR_OK;
}

enum err
store_device_key_destroy(struct store *st, uint64_t dn)
{
	enum err e = fake_enter(st, 1);
	struct f_device *d = e == ERR_OK ? fake_device(st, dn) : NULL;
	struct f_device_key *r;
	size_t i = 0;

	if (e != ERR_OK)
		return e;
	if (d == NULL || d->v.state != DEV_VOID)
		return fake_fail(st, ERR_WRONG_STATE);
	while ((r = fake_next(st, T_DEVICE_KEY, &i)) != NULL)
		if (r->v.dn == dn)
			fake_drop(st, T_DEVICE_KEY, &i);
	return ERR_OK;
}
