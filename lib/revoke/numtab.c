#include "lib/revoke/numtab.h"

#include <stdlib.h>

#define CAP_MIN 16

/* The finaliser of splitmix64: every bit of the input moves every other. */
uint64_t
num_mix(uint64_t x, uint64_t seed)
{
	x += seed;
	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

/* Maps onto [0, cap) without a division, for any cap. */
static size_t
place(size_t cap, uint64_t seed, uint64_t key)
{
	__extension__ typedef unsigned __int128 u128;

	return (size_t)(((u128)num_mix(key, seed) * cap) >> 64);
}

static size_t
home(const struct numtab *t, uint64_t key)
{
	return place(t->cap, t->seed, key);
}

uint64_t *
numtab_find(const struct numtab *t, uint64_t key)
{
	size_t i;

	if (t->n == 0 || key == 0)
		return NULL;
	for (i = home(t, key); t->slot[i].key != 0;) {
		if (t->slot[i].key == key)
			return &t->slot[i].val;
		if (++i == t->cap)
			i = 0;
	}
	return NULL;
}

void
numtab_expect(uintptr_t slot, size_t cap, uint64_t seed, uint64_t key)
{
	/* a number, not a pointer: the table may be gone */
	slot += place(cap, seed, key) * sizeof(struct numslot);
	__builtin_prefetch((const void *)slot);
}

int
numtab_fits(const struct numtab *t, size_t more)
{
	return more == 0 || (t->n + more) <= t->cap / 4 * 3;
}

uint64_t *
numtab_put(struct numtab *t, uint64_t key)
{
	size_t i;

	for (i = home(t, key); t->slot[i].key != 0;) {
		if (t->slot[i].key == key)
			return &t->slot[i].val;
		if (++i == t->cap)
			i = 0;
	}
	t->slot[i].key = key;
	t->slot[i].val = 0;
	t->n++;
	return &t->slot[i].val;
}

enum err
numtab_copy(const struct numtab *t, size_t more,
    int (*keep)(uint64_t key, uint64_t val, const void *arg),
    const void *arg, struct numtab *out)
{
	struct numtab n = {.seed = t->seed};
	size_t i, live = 0, need;

	for (i = 0; i < t->cap; i++)
		if (t->slot[i].key != 0 && (keep == NULL ||
		    keep(t->slot[i].key, t->slot[i].val, arg)))
			live++;
	if (more > SIZE_MAX / 64 || live > SIZE_MAX / 64)
		return ERR_NOMEM;
	/* By a quarter at least, or each batch would copy everything. */
	if (more > 0 && more < live / 4)
		more = live / 4;
	need = live + more;
	n.cap = need + need / 2 + CAP_MIN;
	n.slot = calloc(n.cap, sizeof(*n.slot));
	if (n.slot == NULL)
		return ERR_NOMEM;
	for (i = 0; i < t->cap; i++)
		if (t->slot[i].key != 0 && (keep == NULL ||
		    keep(t->slot[i].key, t->slot[i].val, arg)))
			*numtab_put(&n, t->slot[i].key) = t->slot[i].val;
	*out = n;
	return ERR_OK;
}

void
numtab_free(struct numtab *t)
{
	free(t->slot);
	t->slot = NULL;
	t->cap = t->n = 0;
}
