#include "lib/revoke/revset_int.h"

#include <sys/random.h>
#include <stdlib.h>

#include "lib/base/rwlock.h"

#define RELAXED memory_order_relaxed

static enum err
locks_init(struct revset *s)
{
	if (pthread_mutex_init(&s->writer, NULL) != 0)
		return ERR_NOMEM;
	if (rwlock_init(&s->lock) == ERR_OK)
		return ERR_OK;
	pthread_mutex_destroy(&s->writer);
	return ERR_NOMEM;
}

enum err
revset_new(uint32_t tenant, struct revset **out)
{
	struct revset *s;
	uint64_t seed;
	enum err e;

	if (getrandom(&seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
		return ERR_CRYPTO;
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return ERR_NOMEM;
	s->tenant = tenant;
	s->devices.seed = s->groups.seed = s->callers.seed = seed;
	s->limits.head.seed = s->tokens.seed = s->keys.seed = seed;
	e = locks_init(s);
	if (e != ERR_OK) {
		free(s);
		return e;
	}
	*out = s;
	return ERR_OK;
}

void
revset_free(struct revset **ps)
{
	struct revset *s = *ps;

	if (s == NULL)
		return;
	numtab_free(&s->devices);
	numtab_free(&s->groups);
	numtab_free(&s->callers);
	numtab_free(&s->limits.head);
	free(s->limits.node);
	wordtab_free(&s->tokens);
	wordtab_free(&s->keys);
	pthread_rwlock_destroy(&s->lock);
	pthread_mutex_destroy(&s->writer);
	free(s);
	*ps = NULL;
}

uint64_t
revset_position(const struct revset *s)
{
	return atomic_load_explicit(&s->pos, memory_order_acquire);
}

uint64_t
revset_floor(const struct revset *s)
{
	return atomic_load_explicit(&s->floor, memory_order_acquire);
}

/* The lock is state of the reader's, not of the set. */
static void
read_lock(const struct revset *s)
{
	(void)pthread_rwlock_rdlock((pthread_rwlock_t *)(uintptr_t)&s->lock);
}

static void
read_unlock(const struct revset *s)
{
	(void)pthread_rwlock_unlock((pthread_rwlock_t *)(uintptr_t)&s->lock);
}

/* What the set says of a claim, gathered before it is ranked. */
struct verdict {
	uint64_t key, tenant, group, device; /* position, 0: not dead */
	uint64_t cut, jti;
};

static void
newer(uint64_t *a, uint64_t pos)
{
	if (pos > *a)
		*a = pos;
}

static void
judge_value(uint64_t val, uint64_t pos, uint64_t *block, uint64_t *cut)
{
	if (val & VAL_BLOCK)
		newer(block, VAL_POS(val));
	else if (VAL_POS(val) > pos)
		newer(cut, VAL_POS(val));
}

static void
judge_limits(const struct limits *l, const struct claim *c, struct verdict *v)
{
	const uint64_t *head = numtab_find(&l->head, c->dn);
	const struct limited *n;
	uint32_t i;

	if (head == NULL)
		return;
	i = (uint32_t)*head;
	if (c->epoch <= l->node[i].block)
		newer(&v->device, l->node[i].pos);
	for (; i != 0; i = n->next) {
		n = &l->node[i];
		if (c->epoch <= n->ep_max && n->pos > c->pos)
			newer(&v->cut, n->pos);
	}
}

static void
judge(const struct revset *s, const struct claim *c, struct verdict *v)
{
	const uint64_t *val;
	const struct word *w;
	uint32_t i;

	judge_value(s->tenant_val, c->pos, &v->tenant, &v->cut);
	for (i = 0; i < c->ngroups; i++) {
		val = numtab_find(&s->groups, c->groups[i]);
		if (val != NULL)
			judge_value(*val, c->pos, &v->group, &v->cut);
	}
	val = numtab_find(&s->devices, c->dn);
	if (val != NULL)
		judge_value(*val, c->pos, &v->device, &v->cut);
	if (s->limits.head.n > 0)
		judge_limits(&s->limits, c, v);
	if (c->jti != NULL && (w = wordtab_find(&s->tokens, c->jti)) != NULL)
		v->jti = w->pos;
	if (c->kid != NULL && (w = wordtab_find(&s->keys, c->kid)) != NULL)
		v->key = w->pos;
}

static enum err
because(enum err e, uint64_t pos, uint64_t *by)
{
	if (by != NULL)
		*by = pos;
	return e;
}

enum err
revset_check(const struct revset *s, const struct claim *c, uint64_t *by)
{
	struct verdict v = {0};
	uint64_t pos;

	/* Before the look: whatever it covers has been applied by then. */
	pos = revset_position(s);
	read_lock(s);
	judge(s, c, &v);
	read_unlock(s);
	/* The strictest first. */
	if (v.key != 0)
		return because(ERR_TOKEN_KEY, v.key, by);
	if (v.tenant != 0)
		return because(ERR_TENANT_BLOCKED, v.tenant, by);
	if (v.group != 0)
		return because(ERR_GROUP_BLOCKED, v.group, by);
	if (v.device != 0)
		return because(ERR_DEVICE_BLOCKED, v.device, by);
	if (v.cut != 0)
		return because(ERR_TOKEN_CUT, v.cut, by);
	if (v.jti != 0)
		return because(ERR_TOKEN_REVOKED, v.jti, by);
	if (c->pos < revset_floor(s))
		return because(ERR_TOKEN_FLOOR, 0, by);
	if (c->pos > pos)
		return because(ERR_AHEAD, 0, by);
	return because(ERR_OK, 0, by);
}

void
revset_expect(const struct revset *s, uint64_t dn)
{
	/*
	 * A mixture of two tables, or one that was freed since, is a place
	 * like any other: asking for a line of it neither fails nor tells.
	 */
	numtab_expect(atomic_load_explicit(&s->ahead.slot, RELAXED),
	    atomic_load_explicit(&s->ahead.cap, RELAXED),
	    atomic_load_explicit(&s->ahead.seed, RELAXED), dn);
}

void
revset_ahead(struct revset *s)
{
	atomic_store_explicit(&s->ahead.slot, (uintptr_t)s->devices.slot,
	    RELAXED);
	atomic_store_explicit(&s->ahead.cap, s->devices.cap, RELAXED);
	atomic_store_explicit(&s->ahead.seed, s->devices.seed, RELAXED);
}

int
revset_caller_dead(const struct revset *s, uint64_t caller)
{
	const uint64_t *val;
	int dead;

	read_lock(s);
	val = numtab_find(&s->callers, caller);
	dead = val != NULL && (*val & VAL_BLOCK) != 0;
	read_unlock(s);
	return dead;
}

void
revset_size(const struct revset *s, uint64_t *entries, uint64_t *octets)
{
	uint64_t n, o;

	read_lock(s);
	n = s->devices.n + s->groups.n + s->callers.n + s->limits.head.n +
	    s->tokens.n + s->keys.n + (s->tenant_val != 0);
	o = sizeof(*s) + sizeof(struct numslot) * (s->devices.cap +
	    s->groups.cap + s->callers.cap + s->limits.head.cap) +
	    sizeof(struct limited) * s->limits.cap +
	    sizeof(struct word) * (s->tokens.cap + s->keys.cap);
	read_unlock(s);
	*entries = n;
	*octets = o;
}
