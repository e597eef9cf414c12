#include "tests/scenario/race.h"

int
model_add(struct model *m, const struct told *e)
{
	struct told *more;

	if (m->n > 0 && m->events[m->n - 1].pos >= e->pos)
		return -1; /* positions only grow */
	if (m->n == m->max) {
		more = realloc(m->events,
		    (m->max + 1024) * sizeof(*m->events));
		if (more == NULL)
			return -1;
		m->events = more;
		m->max += 1024;
	}
	m->events[m->n++] = *e;
	if (e->kind == T_KEY) {
		if (m->nkeys == COUNT(m->keys))
			return -1;
		m->keys[m->nkeys++] = *e;
	}
	return 0;
}

static int
in_group(const struct minted *t, uint64_t group)
{
	unsigned i;

	for (i = 0; i < t->ngroups; i++)
		if (t->groups[i] == group)
			return 1;
	return 0;
}

int
model_names(const struct told *e, const struct minted *t)
{
	switch (e->kind) {
	case T_DEVICE:
		return e->number == t->dn;
	case T_GROUP:
		return in_group(t, e->number);
	case T_TENANT:
		return 1;
	case T_TOKEN:
		return strcmp(e->id, t->jti) == 0;
	case T_KEY:
		return strcmp(e->id, t->kid) == 0;
	default:
		return 0;
	}
}

static int
key_dead(const struct model *m, const struct minted *t, uint64_t at)
{
	size_t i;

	for (i = 0; i < m->nkeys; i++)
		if (m->keys[i].pos <= at && model_names(&m->keys[i], t))
			return 1;
	return 0;
}

/* A round ends without a block, so only its own can hold for its tokens. */
static int
over(const struct told *e, const struct minted *t)
{
	return e->pos <= t->pos && e->round < t->round;
}

/* A round has one block and one lift, of the same name. */
static int
blocked(const struct model *m, const struct minted *t, uint64_t at)
{
	size_t i;

	for (i = m->n; i-- > 0 && !over(&m->events[i], t);) {
		const struct told *e = &m->events[i];

		if (e->pos <= at && e->effect != T_CUT && model_names(e, t))
			return e->effect == T_BLOCK;
	}
	return 0;
}

/* By what the token says, or by the clock: whoever had it in hands before the
 * event was asked for cannot have one that is newer. */
static int
is_older(const struct minted *t, const struct told *e)
{
	return t->pos < e->pos || t->got < e->sent;
}

int
model_dead(const struct model *m, const struct minted *t, uint64_t at)
{
	size_t i;

	if (key_dead(m, t, at) || blocked(m, t, at))
		return 1;
	for (i = m->n; i-- > 0 && is_older(t, &m->events[i]);)
		if (m->events[i].pos <= at && m->events[i].effect != T_LIFT &&
		    model_names(&m->events[i], t))
			return 1;
	return 0;
}

int
model_unissuable(const struct model *m, const struct minted *t)
{
	return blocked(m, t, t->pos);
}
