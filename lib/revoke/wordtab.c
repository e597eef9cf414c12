#include "lib/revoke/wordtab.h"

#include <stdlib.h>
#include <string.h>

#include "lib/revoke/numtab.h"

static size_t
home(const struct wordtab *t, const char *id)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325) ^ t->seed;

	for (; *id != '\0'; id++)
		h = (h ^ (unsigned char)*id) * UINT64_C(0x100000001b3);
	return (size_t)(num_mix(h, t->seed) % t->cap);
}

/* The slot of id, or the free one where it belongs. */
static struct word *
probe(const struct wordtab *t, const char *id)
{
	size_t i = home(t, id);

	while (t->slot[i].id[0] != '\0' && strcmp(t->slot[i].id, id) != 0)
		if (++i == t->cap)
			i = 0;
	return &t->slot[i];
}

struct word *
wordtab_find(const struct wordtab *t, const char *id)
{
	struct word *w;

	if (t->n == 0 || *id == '\0')
		return NULL;
	w = probe(t, id);
	return w->id[0] == '\0' ? NULL : w;
}

int
wordtab_fits(const struct wordtab *t, size_t more)
{
	return more == 0 || t->n + more <= t->cap / 4 * 3;
}

struct word *
wordtab_put(struct wordtab *t, const char *id)
{
	struct word *w = probe(t, id);
	size_t len;

	if (w->id[0] == '\0') {
		len = strnlen(id, NAME_MAX_LEN);
		memcpy(w->id, id, len);
		w->id[len] = '\0';
		t->n++;
	}
	return w;
}

static int
expired(int64_t exp, int64_t drop_at)
{
	return drop_at > WORD_GRACE && exp < drop_at - WORD_GRACE;
}

/*
 * Without an expiry the floor ends it: no token lives that long. With one it
 * stays for a while yet: verifiers give tokens some leeway, and a revoked one
 * must not come back to life for that time.
 */
static int
ended(const struct word *w, int64_t drop_at, uint64_t floor)
{
	if (w->exp > 0)
		return expired(w->exp, drop_at);
	return w->pos <= floor;
}

void
wordtab_set(struct wordtab *t, struct word *w, uint64_t pos, int64_t exp)
{
	w->pos = pos;
	w->exp = exp;
	if (exp > 0 && (t->first == 0 || exp < t->first))
		t->first = exp;
}

int
wordtab_due(const struct wordtab *t, int64_t drop_at)
{
	return t->first != 0 && expired(t->first, drop_at);
}

enum err
wordtab_copy(const struct wordtab *t, size_t more, int64_t drop_at,
    uint64_t floor, struct wordtab *out)
{
	struct wordtab n = {.seed = t->seed};
	size_t i, live = 0;
	struct word *w;

	for (i = 0; i < t->cap; i++)
		if (t->slot[i].id[0] != '\0' &&
		    !ended(&t->slot[i], drop_at, floor))
			live++;
	if (more > SIZE_MAX / 512 || live > SIZE_MAX / 512)
		return ERR_NOMEM;
	n.cap = (live + more) * 2 + 16;
	n.slot = calloc(n.cap, sizeof(*n.slot));
	if (n.slot == NULL)
		return ERR_NOMEM;
	for (i = 0; i < t->cap; i++) {
		if (t->slot[i].id[0] == '\0' ||
		    ended(&t->slot[i], drop_at, floor))
			continue;
		w = wordtab_put(&n, t->slot[i].id);
		wordtab_set(&n, w, t->slot[i].pos, t->slot[i].exp);
	}
	*out = n;
	return ERR_OK;
}

enum err
wordtab_grow(struct wordtab *t)
{
	struct wordtab n;
	enum err e;

	if (wordtab_fits(t, 1))
		return ERR_OK;
	e = wordtab_copy(t, t->n + 1, 0, 0, &n);
	if (e != ERR_OK)
		return e;
	wordtab_free(t);
	*t = n;
	return ERR_OK;
}

void
wordtab_free(struct wordtab *t)
{
	free(t->slot);
	t->slot = NULL;
	t->cap = t->n = 0;
	t->first = 0;
}
