/* The store in memory: what the signed feed needs beside the events. */
#include "tests/helpers/fake_impl.h"

#include <string.h>

enum err
store_lost_set(struct store *st, uint64_t head)
{
	enum err e = fake_enter(st, 1);
	struct f_tenant *t = e == ERR_OK ? fake_tenant(st) : NULL;

	if (e != ERR_OK)
		return e;
	if (t == NULL || t->pos >= head)
		return ERR_NOT_FOUND;
	t->lost = t->lost > head ? t->lost : head;
	fake_will_notify(st);
	return ERR_OK;
}

enum err
store_position_raise(struct store *st, uint64_t pos)
{
	enum err e = fake_enter(st, 1);
	struct f_tenant *t = e == ERR_OK ? fake_tenant(st) : NULL;

	if (e != ERR_OK)
		return e;
	if (t == NULL || t->pos >= pos)
		return fake_fail(st, ERR_CONFLICT);
	t->pos = pos;
	t->lost = 0;
	return ERR_OK;
}

enum err
store_floor_advance(struct store *st, uint32_t age)
{
	enum err e = fake_enter(st, 1);
	struct f_tenant *t = e == ERR_OK ? fake_tenant(st) : NULL;
	struct f_event *r;
	uint64_t floor;
	size_t i = 0;

	if (t == NULL)
		return e;
	floor = t->floor;
	while ((r = fake_next(st, T_EVENT, &i)) != NULL) {
		if (r->v.at > fake_now() - (int64_t)age)
			break;
		floor = r->v.pos > floor ? r->v.pos : floor;
	}
	t->floor = floor;
	return ERR_OK;
}

enum err
store_keys_version(struct store *st, uint64_t *version)
{
	enum err e = fake_enter(st, 0);
	struct f_tenant *t = e == ERR_OK ? fake_tenant(st) : NULL;

	if (t == NULL)
		return e == ERR_OK ? ERR_NOT_FOUND : e;
	*version = t->keys_version;
	return ERR_OK;
}

enum err
store_keys_version_next(struct store *st)
{
	enum err e = fake_enter(st, 1);
	struct f_tenant *t = e == ERR_OK ? fake_tenant(st) : NULL;

	if (t == NULL)
		return e == ERR_OK ? ERR_NOT_FOUND : e;
	t->keys_version++;
	return ERR_OK;
}

enum err
store_keys_version_raise(struct store *st, uint64_t version)
{
	enum err e = fake_enter(st, 1);
	struct f_tenant *t = e == ERR_OK ? fake_tenant(st) : NULL;

	if (t == NULL)
		return e == ERR_OK ? ERR_NOT_FOUND : e;
	if (t->keys_version < version)
		t->keys_version = version;
	return ERR_OK;
}

enum err
store_event_last(struct store *st, uint64_t upto, uint64_t *pos)
{
	enum err e = fake_enter(st, 0);
	struct f_event *r;
	uint64_t last = 0;
	size_t i = 0;

	if (e != ERR_OK)
		return e;
	while ((r = fake_next(st, T_EVENT, &i)) != NULL)
		if (r->v.pos <= upto && r->v.pos > last)
			last = r->v.pos;
	*pos = last;
	return ERR_OK;
}

static int
lifted(struct store *st, const struct event *e)
{
	struct f_event *l;
	size_t i = 0;

	while ((l = fake_next(st, T_EVENT, &i)) != NULL)
		if (l->v.pos > e->pos && l->v.kind == e->kind &&
		    l->v.effect == EFFECT_LIFT &&
		    strcmp(l->v.id, e->id) == 0 && (l->v.ep_max == 0 ||
		    (e->ep_max > 0 && l->v.ep_max >= e->ep_max)))
			return 1;
	return 0;
}

static int
holds(struct store *st, const struct event *e, uint64_t floor)
{
	if (e->pos > floor || e->kind == EV_CALLER ||
	    e->kind == EV_SIGNING_KEY)
		return 1;
	return e->effect == EFFECT_BLOCK && e->kind != EV_TOKEN &&
	    !lifted(st, e);
}

enum err
store_event_snapshot(struct store *st, uint64_t after, uint64_t floor,
    uint32_t limit, struct event *rows, size_t *n)
{
	enum err e = fake_enter(st, 0);
	struct f_event *r;
	size_t i = 0, got = 0;

	if (e != ERR_OK)
		return e;
	while (got < limit && (r = fake_next(st, T_EVENT, &i)) != NULL)
		if (r->v.pos > after && holds(st, &r->v, floor))
			rows[got++] = r->v;
	*n = got;
	return ERR_OK;
}

enum err
store_event_import(struct store *st, const struct event *ev)
{
	enum err e = fake_enter(st, 1);
	struct f_event *r;
	size_t i = 0;

	if (e != ERR_OK)
		return e;
	while ((r = fake_next(st, T_EVENT, &i)) != NULL)
		if (r->v.pos == ev->pos)
			return fake_fail(st, ERR_EXISTS);
	r = fake_add(st, T_EVENT);
	r->v = *ev;
	return ERR_OK;
}

enum err
store_secret_key_state(struct store *st, uint64_t number, const char *state)
{
	enum err e = fake_enter(st, 1);
	struct f_secret_key *r;
	size_t i = 0;

	if (e != ERR_OK)
		return e;
	while ((r = fake_next(st, T_SECRET_KEY, &i)) != NULL)
		if (r->v.number == number) {
			(void)strncpy(r->v.state, state,
			    sizeof(r->v.state) - 1);
			return ERR_OK;
		}
	return ERR_NOT_FOUND;
}
