/* The store in memory: what gateways hold and the database has lost. */
#include "tests/helpers/fake_impl.h"

#include <stdlib.h>
#include <string.h>

static struct f_held_event *
find(struct store *st, uint64_t pos)
{
	struct f_held_event *h;
	size_t i = 0;

	while ((h = fake_next(st, T_HELD_EVENT, &i)) != NULL)
		if (h->v.pos == pos)
			return h;
	return NULL;
}

static int
same(const struct event *a, const struct event *b)
{
	return a->kind == b->kind && a->effect == b->effect &&
	    a->ep_max == b->ep_max && strcmp(a->id, b->id) == 0;
}

enum err
store_held_add(struct store *st, const struct event *rows, size_t n,
    const struct held_keys *keys, uint64_t *conflict)
{
	enum err e = fake_enter(st, 1);
	struct f_held_event *h;
	uint64_t first = 0, newest;
	size_t i;

	if (e != ERR_OK)
		return e;
	if (n > STORE_HELD_MAX)
		return fake_fail(st, ERR_INTERNAL);
	for (i = 0; i < n; i++) {
		h = find(st, rows[i].pos);
		if (h != NULL && h->keys >= keys->now &&
		    !same(&h->v, &rows[i])) {
			if (first == 0 || rows[i].pos < first)
				first = rows[i].pos;
			continue;
		}
		newest = h != NULL && h->keys > keys->keys ? h->keys :
		    keys->keys;
		if (h == NULL && (h = fake_add(st, T_HELD_EVENT)) == NULL)
			return ERR_NOMEM;
		h->v = rows[i];
		h->keys = newest;
	}
	*conflict = first;
	return ERR_OK;
}

static struct f_held_by *
find_by(struct store *st, uint64_t caller)
{
	struct f_held_by *b;
	size_t i = 0;

	while ((b = fake_next(st, T_HELD_BY, &i)) != NULL)
		if (b->v.caller == caller)
			return b;
	return NULL;
}

enum err
store_held_said(struct store *st, const struct held_said *s)
{
	enum err e = fake_enter(st, 1);
	struct f_held_by *b = e == ERR_OK ? find_by(st, s->caller) : NULL;
	uint64_t conflict = s->conflict;

	if (e != ERR_OK)
		return e;
	if (b == NULL && (b = fake_add(st, T_HELD_BY)) == NULL)
		return ERR_NOMEM;
	if (b->v.conflict > conflict)
		conflict = b->v.conflict;
	if (b->v.keys < s->keys || b->v.caller == 0) {
		b->v = *s;
	} else {
		b->v.first = s->first < b->v.first ? s->first : b->v.first;
		b->v.last = s->last > b->v.last ? s->last : b->v.last;
	}
	b->v.conflict = conflict;
	b->at = fake_now();
	return ERR_OK;
}

enum err
store_held_saw(struct store *st, uint64_t caller, uint64_t keys,
    struct held_said *out)
{
	enum err e = fake_enter(st, 0);
	const struct f_held_by *b = e == ERR_OK ? find_by(st, caller) : NULL;

	if (e != ERR_OK)
		return e;
	if (b == NULL || b->v.keys < keys)
		return ERR_NOT_FOUND;
	*out = b->v;
	return ERR_OK;
}

/* The next one in order that counts, or NULL. */
static const struct f_held_event *
next(struct store *st, const struct held_filter *f, uint64_t after)
{
	const struct f_held_event *h, *best = NULL;
	size_t i = 0;

	while ((h = fake_next(st, T_HELD_EVENT, &i)) != NULL)
		if (h->v.pos > after && h->v.pos > f->after &&
		    h->keys >= f->keys &&
		    (best == NULL || h->v.pos < best->v.pos))
			best = h;
	return best;
}

enum err
store_held_list(struct store *st, const struct held_filter *f,
    uint32_t limit, struct event *rows, size_t *n)
{
	enum err e = fake_enter(st, 0);
	const struct f_held_event *h = NULL;
	size_t got = 0;

	if (e != ERR_OK)
		return e;
	while (got < limit && (h = next(st, f, h == NULL ? 0 : h->v.pos)) !=
	    NULL)
		rows[got++] = h->v;
	*n = got;
	return ERR_OK;
}

enum err
store_held_count(struct store *st, const struct held_filter *f, uint64_t *n,
    uint64_t *keys)
{
	enum err e = fake_enter(st, 0);
	const struct f_held_event *h = NULL;
	uint64_t got = 0, newest = 0;

	if (e != ERR_OK)
		return e;
	while ((h = next(st, f, h == NULL ? 0 : h->v.pos)) != NULL) {
		newest = h->keys > newest ? h->keys : newest;
		got++;
	}
	*n = got;
	*keys = newest;
	return ERR_OK;
}

enum err
store_held_runs(struct store *st, const struct held_filter *f,
    struct held_run *rows, size_t max, size_t *n)
{
	enum err e = fake_enter(st, 0);
	const struct f_held_event *h = NULL;
	size_t got = 0;

	if (e != ERR_OK)
		return e;
	while ((h = next(st, f, h == NULL ? 0 : h->v.pos)) != NULL) {
		if (got > 0 && rows[got - 1].last + 1 == h->v.pos) {
			rows[got - 1].last = h->v.pos;
			continue;
		}
		if (got == max)
			break;
		rows[got++] = (struct held_run){h->v.pos, h->v.pos};
	}
	*n = got;
	return ERR_OK;
}

static void
name_of(struct store *st, uint64_t caller, name_t out)
{
	const struct f_caller *c;
	size_t i = 0;

	while ((c = fake_next(st, T_CALLER, &i)) != NULL)
		if (c->v.number == caller)
			memcpy(out, c->v.name, sizeof(name_t));
}

enum err
store_held_by(struct store *st, const struct held_filter *f,
    struct held_by *rows, size_t max, size_t *n)
{
	enum err e = fake_enter(st, 0);
	const struct f_held_by *b;
	size_t i = 0, got = 0;

	if (e != ERR_OK)
		return e;
	while (got < max && (b = fake_next(st, T_HELD_BY, &i)) != NULL) {
		if (b->v.last <= f->after || b->v.keys < f->keys)
			continue;
		rows[got] = (struct held_by){.first = b->v.first,
		    .last = b->v.last, .conflict = b->v.conflict,
		    .at = b->at};
		name_of(st, b->v.caller, rows[got++].gateway);
	}
	*n = got;
	return ERR_OK;
}

enum err
store_held_clear(struct store *st)
{
	enum err e = fake_enter(st, 1);
	size_t i = 0;

	if (e != ERR_OK)
		return e;
	while (fake_next(st, T_HELD_EVENT, &i) != NULL)
		fake_drop(st, T_HELD_EVENT, &i);
	i = 0;
	while (fake_next(st, T_HELD_BY, &i) != NULL)
		fake_drop(st, T_HELD_BY, &i);
	return ERR_OK;
}
