#include "lib/revoke/revset_int.h"

#include <stdlib.h>
#include <string.h>

/*
 * The writer's half. Memory for a whole run of events is made first, beside
 * what readers see; after that nothing can fail, so a run is applied whole
 * or not at all, and readers are held up for a few stores only.
 */

struct need {
	size_t devices, groups, callers, limits, tokens, keys;
};

static int
number_ok(const struct event *e, uint64_t max)
{
	uint64_t n = event_number(e);

	return n > 0 && n <= max;
}

/* Is e one that the set can hold? Counts what it may add. */
static int
event_ok(const struct event *e, struct need *n)
{
	if (e->effect < EFFECT_CUT || e->effect > EFFECT_LIFT ||
	    e->exp < 0 || memchr(e->id, '\0', sizeof(e->id)) == NULL)
		return 0;
	switch (e->kind) {
	case EV_DEVICE:
		*(e->ep_max == 0 ? &n->devices : &n->limits) += 1;
		return number_ok(e, NUMBER_MAX);
	case EV_GROUP:
		n->groups++;
		return number_ok(e, UINT32_MAX);
	case EV_TENANT:
		return number_ok(e, UINT32_MAX);
	case EV_CALLER:
		n->callers++;
		return number_ok(e, NUMBER_MAX);
	case EV_TOKEN:
		n->tokens++;
		return e->id[0] != '\0';
	case EV_SIGNING_KEY:
		n->keys++;
		return e->id[0] != '\0';
	}
	return 0;
}

/* A cut at or below the floor kills nothing that the floor would not. */
static int
keep_above(uint64_t key, uint64_t val, const void *arg)
{
	const uint64_t *floor = arg;

	(void)key;
	return (val & VAL_BLOCK) != 0 || VAL_POS(val) > *floor;
}

static int
chain_ended(const struct limits *l, uint32_t i, uint64_t floor)
{
	if (l->node[i].block != 0)
		return 0;
	for (; i != 0; i = l->node[i].next)
		if (l->node[i].pos > floor)
			return 0;
	return 1;
}

struct chain_arg {
	const struct limits *l;
	uint64_t floor;
};

static int
keep_chain(uint64_t key, uint64_t val, const void *arg)
{
	const struct chain_arg *a = arg;

	(void)key;
	return !chain_ended(a->l, (uint32_t)val, a->floor);
}

/* The chain from i of l, copied to the end of n. Returns its head. */
static uint32_t
chain_copy(const struct limits *l, uint32_t i, struct limits *n)
{
	uint32_t first = (uint32_t)n->n;

	for (; i != 0; i = l->node[i].next) {
		n->node[n->n] = l->node[i];
		n->node[n->n].next =
		    l->node[i].next == 0 ? 0 : (uint32_t)n->n + 1;
		n->n++;
	}
	return first;
}

static enum err
limits_copy(const struct limits *l, size_t more, uint64_t floor,
    struct limits *out)
{
	struct chain_arg arg = {.l = l, .floor = floor};
	struct limits n = {0};
	enum err e;
	size_t i;

	/* At most one new head and one new node an event. */
	e = numtab_copy(&l->head, more, keep_chain, &arg, &n.head);
	if (e != ERR_OK)
		return e;
	n.cap = (l->n + more) / 2 * 3 + 8;
	if (n.cap < UINT32_MAX)
		n.node = calloc(n.cap, sizeof(*n.node));
	if (n.node == NULL) {
		numtab_free(&n.head);
		return ERR_NOMEM;
	}
	n.n = 1;
	for (i = 0; i < n.head.cap; i++)
		if (n.head.slot[i].key != 0)
			n.head.slot[i].val = chain_copy(l,
			    (uint32_t)n.head.slot[i].val, &n);
	*out = n;
	return ERR_OK;
}

/* Puts *new in the place of *t for readers; *new gets the old one. */
#define SWAP(s, type, t, new)                                                 \
	do {                                                                  \
		type old_ = *(t);                                             \
		(void)pthread_rwlock_wrlock(&(s)->lock);                      \
		*(t) = *(new);                                                \
		(void)pthread_rwlock_unlock(&(s)->lock);                      \
		*(new) = old_;                                                \
	} while (0)

static enum err
renew_numbers(struct revset *s, struct numtab *t, size_t more)
{
	uint64_t floor = revset_floor(s);
	struct numtab n;
	enum err e;

	e = numtab_copy(t, more, keep_above, &floor, &n);
	if (e != ERR_OK)
		return e;
	SWAP(s, struct numtab, t, &n);
	revset_ahead(s);
	numtab_free(&n);
	return ERR_OK;
}

static enum err
renew_words(struct revset *s, struct wordtab *t, size_t more, int64_t now,
    uint64_t floor)
{
	struct wordtab n;
	enum err e;

	e = wordtab_copy(t, more, now, floor, &n);
	if (e != ERR_OK)
		return e;
	SWAP(s, struct wordtab, t, &n);
	wordtab_free(&n);
	return ERR_OK;
}

static enum err
renew_limits(struct revset *s, size_t more)
{
	struct limits n;
	enum err e;

	e = limits_copy(&s->limits, more, revset_floor(s), &n);
	if (e != ERR_OK)
		return e;
	SWAP(s, struct limits, &s->limits, &n);
	numtab_free(&n.head);
	free(n.node);
	return ERR_OK;
}

static enum err
make_room(struct revset *s, const struct need *n)
{
	enum err e = ERR_OK;

	if (!numtab_fits(&s->devices, n->devices))
		e = renew_numbers(s, &s->devices, n->devices);
	if (e == ERR_OK && !numtab_fits(&s->groups, n->groups))
		e = renew_numbers(s, &s->groups, n->groups);
	/* All of them blocked, and so kept, but those lifted since. */
	if (e == ERR_OK && !numtab_fits(&s->callers, n->callers))
		e = renew_numbers(s, &s->callers, n->callers);
	if (e == ERR_OK && n->limits > 0 &&
	    (!numtab_fits(&s->limits.head, n->limits) ||
	    s->limits.n + n->limits > s->limits.cap))
		e = renew_limits(s, n->limits);
	if (e == ERR_OK && !wordtab_fits(&s->tokens, n->tokens))
		e = renew_words(s, &s->tokens, n->tokens, 0, 0);
	if (e == ERR_OK && !wordtab_fits(&s->keys, n->keys))
		e = renew_words(s, &s->keys, n->keys, 0, 0);
	return e;
}

static void
apply_value(uint64_t *val, const struct event *e)
{
	uint64_t blocked = *val & VAL_BLOCK;

	if (e->effect == EFFECT_LIFT)
		*val = VAL_POS(*val);
	else if (e->effect == EFFECT_BLOCK)
		*val = e->pos | VAL_BLOCK;
	else
		*val = e->pos | blocked;
}

/* A lift limited to epochs lifts only what reaches no further. */
static void
lift_limited(struct limits *l, uint64_t dn, uint32_t ep_max)
{
	const uint64_t *head = numtab_find(&l->head, dn);

	if (head == NULL)
		return;
	if (ep_max == 0 || l->node[*head].block <= ep_max)
		l->node[*head].block = 0;
}

static void
apply_limited(struct limits *l, const struct event *e)
{
	struct limited *n;
	uint64_t *head;
	uint32_t i;

	if (e->effect == EFFECT_LIFT) {
		lift_limited(l, event_number(e), e->ep_max);
		return;
	}
	head = numtab_put(&l->head, event_number(e));
	/* An older cut of no more epochs is part of this one. */
	for (i = (uint32_t)*head; i != 0; i = l->node[i].next)
		if (l->node[i].ep_max <= e->ep_max)
			break;
	if (i == 0) {
		i = (uint32_t)l->n++;
		n = &l->node[i];
		n->next = (uint32_t)*head;
		n->block = *head != 0 ? l->node[*head].block : 0;
		*head = i;
	}
	l->node[i].pos = e->pos;
	l->node[i].ep_max = e->ep_max;
	n = &l->node[*head];
	if (e->effect == EFFECT_BLOCK && n->block < e->ep_max)
		n->block = e->ep_max;
}

static void
apply_device(struct revset *s, const struct event *e)
{
	uint64_t *val;

	if (e->ep_max != 0) {
		apply_limited(&s->limits, e);
		return;
	}
	if (e->effect == EFFECT_LIFT) {
		lift_limited(&s->limits, event_number(e), 0);
		val = numtab_find(&s->devices, event_number(e));
		if (val != NULL)
			*val = VAL_POS(*val);
		return;
	}
	apply_value(numtab_put(&s->devices, event_number(e)), e);
}

static void
apply_word(struct wordtab *t, const struct event *e)
{
	struct word *w;
	int64_t exp;

	/* A dead token or key stays dead: there is nothing to lift. */
	if (e->effect == EFFECT_LIFT)
		return;
	w = wordtab_put(t, e->id);
	/* The later expiry of two; none (0) is the latest. */
	exp = w->exp;
	if (w->pos == 0 || e->exp == 0 || (exp != 0 && exp < e->exp))
		exp = e->exp;
	wordtab_set(t, w, e->pos, exp);
}

static void
apply_caller(struct revset *s, const struct event *e)
{
	uint64_t *val = numtab_put(&s->callers, event_number(e));

	/* A credential is older than any event that names its caller. */
	*val = e->effect == EFFECT_LIFT ? e->pos : e->pos | VAL_BLOCK;
}

static void
apply_one(struct revset *s, const struct event *e)
{
	switch (e->kind) {
	case EV_DEVICE:
		apply_device(s, e);
		return;
	case EV_GROUP:
		apply_value(numtab_put(&s->groups, event_number(e)), e);
		return;
	case EV_TENANT:
		/* Of another tenant: not ours to obey. */
		if (event_number(e) == s->tenant)
			apply_value(&s->tenant_val, e);
		return;
	case EV_CALLER:
		apply_caller(s, e);
		return;
	case EV_TOKEN:
		apply_word(&s->tokens, e);
		return;
	case EV_SIGNING_KEY:
		apply_word(&s->keys, e);
		return;
	}
}

static enum err
check_run(const struct revset *s, const struct event *ev, size_t n,
    struct need *need)
{
	uint64_t last = revset_position(s);
	size_t i;

	for (i = 0; i < n; i++) {
		if (ev[i].pos <= last || ev[i].pos > NUMBER_MAX ||
		    !event_ok(&ev[i], need))
			return ERR_REQUEST;
		last = ev[i].pos;
	}
	return ERR_OK;
}

enum err
revset_apply(struct revset *s, const struct event *ev, size_t n)
{
	struct need need = {0};
	enum err e;
	size_t i;

	(void)pthread_mutex_lock(&s->writer);
	e = check_run(s, ev, n, &need);
	if (e == ERR_OK)
		e = make_room(s, &need);
	for (i = 0; e == ERR_OK && i < n; i++) {
		(void)pthread_rwlock_wrlock(&s->lock);
		apply_one(s, &ev[i]);
		(void)pthread_rwlock_unlock(&s->lock);
	}
	/* Published last: who reads it finds all that it covers. */
	if (e == ERR_OK && n > 0)
		atomic_store_explicit(&s->pos, ev[n - 1].pos,
		    memory_order_release);
	(void)pthread_mutex_unlock(&s->writer);
	return e;
}

void
revset_advance(struct revset *s, uint64_t pos, uint64_t floor)
{
	(void)pthread_mutex_lock(&s->writer);
	if (pos > revset_position(s) && pos <= NUMBER_MAX)
		atomic_store_explicit(&s->pos, pos, memory_order_release);
	if (floor > revset_floor(s) && floor <= NUMBER_MAX)
		atomic_store_explicit(&s->floor, floor, memory_order_release);
	(void)pthread_mutex_unlock(&s->writer);
}

void
revset_expire(struct revset *s, int64_t now)
{
	uint64_t floor;
	enum err e = ERR_OK;

	(void)pthread_mutex_lock(&s->writer);
	floor = revset_floor(s);
	/* asked for several times a second: nothing is copied for nothing */
	if (s->tokens.n > 0 &&
	    (wordtab_due(&s->tokens, now) || floor > s->pruned))
		e = renew_words(s, &s->tokens, 0, now, floor);
	if (e == ERR_OK && floor > s->pruned) {
		if (s->devices.n > 0)
			e = renew_numbers(s, &s->devices, 0);
		if (e == ERR_OK && s->groups.n > 0)
			e = renew_numbers(s, &s->groups, 0);
		if (e == ERR_OK && s->limits.head.n > 0)
			e = renew_limits(s, 0);
		/* Out of memory: what should go stays until the next time. */
		if (e == ERR_OK)
			s->pruned = floor;
	}
	(void)pthread_mutex_unlock(&s->writer);
}
