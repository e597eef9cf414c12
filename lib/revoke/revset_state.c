#include "lib/revoke/revset_int.h"

#include <stdlib.h>
#include <string.h>

/*
 * A set as octets and back, and one set in another's place. The octets are
 * a machine's own (its byte order and sizes): a file that does not fit is
 * refused, and its owner starts from a snapshot.
 */
#define MAGIC UINT64_C(0x3154455356455246) /* "FREVSET1" */

struct head {
	uint64_t magic, pos, floor, pruned, tenant_val, tenant;
	uint64_t devices, groups, callers, limits, nodes, tokens, keys;
};

static enum err
put_numbers(const struct numtab *t, struct buf *out)
{
	enum err e = ERR_OK;
	size_t i;

	for (i = 0; e == ERR_OK && i < t->cap; i++)
		if (t->slot[i].key != 0)
			e = buf_add(out, &t->slot[i], sizeof(t->slot[i]));
	return e;
}

static enum err
put_words(const struct wordtab *t, struct buf *out)
{
	enum err e = ERR_OK;
	size_t i;

	for (i = 0; e == ERR_OK && i < t->cap; i++)
		if (t->slot[i].id[0] != '\0')
			e = buf_add(out, &t->slot[i], sizeof(t->slot[i]));
	return e;
}

enum err
revset_save(struct revset *s, struct buf *out)
{
	struct head h;
	enum err e;

	/* Only writers change the tables, and there is one at a time. */
	(void)pthread_mutex_lock(&s->writer);
	h = (struct head){
		.magic = MAGIC,
		.pos = revset_position(s),
		.floor = revset_floor(s),
		.pruned = s->pruned,
		.tenant_val = s->tenant_val,
		.tenant = s->tenant,
		.devices = s->devices.n,
		.groups = s->groups.n,
		.callers = s->callers.n,
		.limits = s->limits.head.n,
		.nodes = s->limits.n,
		.tokens = s->tokens.n,
		.keys = s->keys.n,
	};
	e = buf_add(out, &h, sizeof(h));
	if (e == ERR_OK)
		e = put_numbers(&s->devices, out);
	if (e == ERR_OK)
		e = put_numbers(&s->groups, out);
	if (e == ERR_OK)
		e = put_numbers(&s->callers, out);
	if (e == ERR_OK)
		e = put_numbers(&s->limits.head, out);
	if (e == ERR_OK && s->limits.n > 0)
		e = buf_add(out, s->limits.node,
		    s->limits.n * sizeof(*s->limits.node));
	if (e == ERR_OK)
		e = put_words(&s->tokens, out);
	if (e == ERR_OK)
		e = put_words(&s->keys, out);
	(void)pthread_mutex_unlock(&s->writer);
	return e;
}

/* What is left to read; sticks at its end. */
struct octets {
	const unsigned char *p;
	size_t len;
};

static enum err
take(struct octets *in, void *out, size_t len)
{
	if (len > in->len)
		return ERR_REQUEST;
	if (len > 0)
		memcpy(out, in->p, len);
	in->p += len;
	in->len -= len;
	return ERR_OK;
}

static enum err
take_numbers(struct octets *in, uint64_t n, struct numtab *t)
{
	struct numtab grown;
	struct numslot v;
	enum err e;

	if (n == 0)
		return ERR_OK;
	if (n > in->len / sizeof(v))
		return ERR_REQUEST;
	e = numtab_copy(t, (size_t)n, NULL, NULL, &grown);
	if (e != ERR_OK)
		return e;
	*t = grown;
	while (e == ERR_OK && n-- > 0) {
		e = take(in, &v, sizeof(v));
		if (e == ERR_OK && (v.key == 0 || v.key > NUMBER_MAX))
			e = ERR_REQUEST;
		if (e == ERR_OK)
			*numtab_put(t, v.key) = v.val;
	}
	return e;
}

static enum err
take_words(struct octets *in, uint64_t n, struct wordtab *t)
{
	struct wordtab grown;
	struct word w, *at;
	enum err e;

	if (n == 0)
		return ERR_OK;
	if (n > in->len / sizeof(w))
		return ERR_REQUEST;
	e = wordtab_copy(t, (size_t)n, 0, 0, &grown);
	if (e != ERR_OK)
		return e;
	*t = grown;
	while (e == ERR_OK && n-- > 0) {
		e = take(in, &w, sizeof(w));
		if (e == ERR_OK && (w.id[0] == '\0' ||
		    memchr(w.id, '\0', sizeof(w.id)) == NULL))
			e = ERR_REQUEST;
		if (e != ERR_OK)
			break;
		at = wordtab_put(t, w.id);
		wordtab_set(t, at, w.pos, w.exp);
	}
	return e;
}

/* Every chain ends: a node's next is another of the same table. */
static int
limits_ok(const struct limits *l)
{
	size_t i, steps = 0;
	uint32_t at;

	for (i = 0; i < l->head.cap; i++) {
		if (l->head.slot[i].key == 0)
			continue;
		if (l->head.slot[i].val == 0 || l->head.slot[i].val >= l->n)
			return 0;
		at = (uint32_t)l->head.slot[i].val;
		for (; at != 0; at = l->node[at].next)
			if (at >= l->n || ++steps > l->n)
				return 0;
	}
	return 1;
}

static enum err
take_limits(struct octets *in, const struct head *h, struct limits *l)
{
	enum err e;

	e = take_numbers(in, h->limits, &l->head);
	if (e != ERR_OK || h->nodes == 0)
		return e;
	if (h->nodes > in->len / sizeof(*l->node))
		return ERR_REQUEST;
	l->cap = (size_t)h->nodes + 8;
	l->node = calloc(l->cap, sizeof(*l->node));
	if (l->node == NULL)
		return ERR_NOMEM;
	l->n = (size_t)h->nodes;
	e = take(in, l->node, l->n * sizeof(*l->node));
	return e == ERR_OK && !limits_ok(l) ? ERR_REQUEST : e;
}

static enum err
take_tables(struct octets *in, const struct head *h, struct revset *s)
{
	enum err e;

	e = take_numbers(in, h->devices, &s->devices);
	if (e == ERR_OK)
		e = take_numbers(in, h->groups, &s->groups);
	if (e == ERR_OK)
		e = take_numbers(in, h->callers, &s->callers);
	if (e == ERR_OK)
		e = take_limits(in, h, &s->limits);
	if (e == ERR_OK)
		e = take_words(in, h->tokens, &s->tokens);
	if (e == ERR_OK)
		e = take_words(in, h->keys, &s->keys);
	return e == ERR_OK && in->len != 0 ? ERR_REQUEST : e;
}

enum err
revset_load(const void *p, size_t len, uint32_t *tenant, struct revset **out)
{
	struct octets in = {.p = p, .len = len};
	struct revset *s = NULL;
	struct head h;
	enum err e;

	e = take(&in, &h, sizeof(h));
	if (e != ERR_OK)
		return e;
	if (h.magic != MAGIC || h.tenant > UINT32_MAX ||
	    h.pos > NUMBER_MAX || h.floor > NUMBER_MAX)
		return ERR_REQUEST;
	e = revset_new((uint32_t)h.tenant, &s);
	if (e == ERR_OK)
		e = take_tables(&in, &h, s);
	if (e != ERR_OK) {
		revset_free(&s);
		return e;
	}
	s->pruned = h.pruned;
	s->tenant_val = h.tenant_val;
	revset_ahead(s);
	revset_advance(s, h.pos, h.floor);
	*tenant = (uint32_t)h.tenant;
	*out = s;
	return ERR_OK;
}

#define EXCHANGE(type, a, b)                                                  \
	do {                                                                  \
		type was_ = (a);                                              \
		(a) = (b);                                                    \
		(b) = was_;                                                   \
	} while (0)

enum err
revset_replace(struct revset *s, struct revset **with)
{
	struct revset *w = *with;

	(void)pthread_mutex_lock(&s->writer);
	if (w->tenant != s->tenant ||
	    revset_position(w) < revset_position(s) ||
	    revset_floor(w) < revset_floor(s)) {
		(void)pthread_mutex_unlock(&s->writer);
		return ERR_BACKWARDS;
	}
	(void)pthread_rwlock_wrlock(&s->lock);
	EXCHANGE(struct numtab, s->devices, w->devices);
	EXCHANGE(struct numtab, s->groups, w->groups);
	EXCHANGE(struct numtab, s->callers, w->callers);
	EXCHANGE(struct limits, s->limits, w->limits);
	EXCHANGE(struct wordtab, s->tokens, w->tokens);
	EXCHANGE(struct wordtab, s->keys, w->keys);
	s->tenant_val = w->tenant_val;
	/* The floor before anybody can look: what it stands for is gone. */
	atomic_store_explicit(&s->floor, revset_floor(w),
	    memory_order_release);
	(void)pthread_rwlock_unlock(&s->lock);
	s->pruned = w->pruned;
	revset_ahead(s);
	atomic_store_explicit(&s->pos, revset_position(w),
	    memory_order_release);
	(void)pthread_mutex_unlock(&s->writer);
	revset_free(with);
	return ERR_OK;
}
