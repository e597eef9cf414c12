#include "lib/revoke/token_cache.h"

#include <sys/random.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/secret.h"
#include "lib/revoke/numtab.h"

/*
 * Set-associative: the signature's tail chooses a set of WAYS places, the
 * oldest of which gives way. Tags of a set lie side by side, so a miss
 * reads two lines and no token. All memory is taken at the start (pages
 * are touched as they fill), so no load makes it grow.
 */
#define WAYS 8
#define SHARDS 64
#define TEXT_MAX 1280 /* longer tokens are verified each time */
#define LINE 64
#define TAIL 9	      /* the last character holds 4 bits: left out */
#define ENTRIES_MAX ((size_t)1 << 28)
#define SIZE_LARGEST ((size_t)1 << 16)

struct set {
	uint64_t tag[WAYS];
	uint16_t len[WAYS]; /* 0: free */
	uint16_t used[WAYS]; /* octets of the value, less one */
	uint8_t next;	    /* oldest */
};
struct shard {
	pthread_mutex_t lock;
	/* Each in lines of its own: neighbours' locks do not disturb. */
	unsigned char pad[64];
};
struct token_cache {
	struct shard shard[SHARDS];
	struct set *set;
	unsigned char *data; /* value, then token, for each place */
	size_t nsets, size, stride;
	uint64_t seed;
};

static void
destroy_locks(struct token_cache *c, size_t n)
{
	while (n-- > 0)
		pthread_mutex_destroy(&c->shard[n].lock);
}

static enum err
make_locks(struct token_cache *c)
{
	size_t i;

	for (i = 0; i < SHARDS; i++) {
		if (pthread_mutex_init(&c->shard[i].lock, NULL) != 0) {
			destroy_locks(c, i);
			return ERR_NOMEM;
		}
	}
	return ERR_OK;
}

enum err
token_cache_new(size_t entries, size_t size, struct token_cache **out)
{
	struct token_cache *c;
	enum err e = ERR_NOMEM;

	if (size == 0 || size > SIZE_LARGEST || entries > ENTRIES_MAX)
		return ERR_REQUEST;
	c = calloc(1, sizeof(*c));
	if (c == NULL)
		return ERR_NOMEM;
	if (getrandom(&c->seed, sizeof(c->seed), 0) != sizeof(c->seed)) {
		free(c);
		return ERR_CRYPTO;
	}
	c->nsets = entries / WAYS;
	if (c->nsets == 0)
		c->nsets = 1;
	c->size = size;
	c->stride = (size + TEXT_MAX + 63) / 64 * 64;
	c->set = calloc(c->nsets, sizeof(*c->set));
	c->data = calloc(c->nsets * WAYS, c->stride);
	if (c->set != NULL && c->data != NULL)
		e = make_locks(c);
	if (e != ERR_OK) {
		free(c->set);
		free(c->data);
		free(c);
		return e;
	}
	*out = c;
	return ERR_OK;
}

/* Wipes what was stored, not the pages that never were touched. */
static void
forget(struct token_cache *c, size_t set)
{
	struct set *s = &c->set[set];
	size_t i;

	for (i = 0; i < WAYS; i++)
		if (s->len[i] != 0)
			wipe(c->data + (set * WAYS + i) * c->stride,
			    c->stride);
	memset(s, 0, sizeof(*s));
}

void
token_cache_free(struct token_cache **pc)
{
	struct token_cache *c = *pc;
	size_t i;

	if (c == NULL)
		return;
	for (i = 0; i < c->nsets; i++)
		forget(c, i);
	destroy_locks(c, SHARDS);
	free(c->set);
	free(c->data);
	free(c);
	*pc = NULL;
}

/* Where a token is kept, if at all. */
struct place {
	struct set *set;
	unsigned char *data; /* of way 0 */
	pthread_mutex_t *lock;
	uint64_t tag;
};

static int
find_place(struct token_cache *c, const char *token, size_t len,
    struct place *p)
{
	__extension__ typedef unsigned __int128 u128;
	uint64_t h;
	size_t i;

	if (len < TAIL || len > TEXT_MAX)
		return 0;
	memcpy(&p->tag, token + len - TAIL, sizeof(p->tag));
	h = num_mix(p->tag, c->seed);
	i = (size_t)(((u128)h * c->nsets) >> 64);
	p->set = &c->set[i];
	__builtin_prefetch(p->set);
	__builtin_prefetch((const char *)p->set + LINE);
	p->data = c->data + i * WAYS * c->stride;
	p->lock = &c->shard[i % SHARDS].lock;
	return 1;
}

/*
 * Value and token lie together, and mostly not in the processor's caches:
 * all their lines are asked for at once, rather than one after the other.
 */
static void
fetch(const unsigned char *at, size_t len)
{
	size_t i;

	for (i = 0; i < len; i += LINE)
		__builtin_prefetch(at + i);
}

/*
 * Whole, and in the same time whatever differs: how long a comparison took
 * must not help to guess a token octet by octet.
 */
static int
same(const unsigned char *a, const char *b, size_t len)
{
	uint64_t x[4], y[4], diff[4] = {0, 0, 0, 0};
	size_t i, k;

	for (i = 0; i + sizeof(x) <= len; i += sizeof(x)) {
		memcpy(x, a + i, sizeof(x));
		memcpy(y, b + i, sizeof(y));
		for (k = 0; k < 4; k++)
			diff[k] |= x[k] ^ y[k];
	}
	for (; i < len; i++)
		diff[0] |= (uint64_t)(a[i] ^ (unsigned char)b[i]);
	return (diff[0] | diff[1] | diff[2] | diff[3]) == 0;
}

/* The way that holds the token, or -1. */
static int
find_way(const struct token_cache *c, const struct place *p,
    const char *token, size_t len)
{
	const unsigned char *at;
	int i;

	for (i = 0; i < WAYS; i++) {
		if (p->set->tag[i] != p->tag || p->set->len[i] != len)
			continue;
		at = p->data + (size_t)i * c->stride;
		fetch(at, (size_t)p->set->used[i] + 1);
		fetch(at + c->size, len);
		if (same(at + c->size, token, len))
			return i;
	}
	return -1;
}

int
token_cache_get(struct token_cache *c, const char *token, size_t len,
    void *out)
{
	struct place p;
	int way;

	if (!find_place(c, token, len, &p))
		return 0;
	(void)pthread_mutex_lock(p.lock);
	way = find_way(c, &p, token, len);
	if (way >= 0)
		memcpy(out, p.data + (size_t)way * c->stride,
		    (size_t)p.set->used[way] + 1);
	(void)pthread_mutex_unlock(p.lock);
	return way >= 0;
}

void
token_cache_put(struct token_cache *c, const char *token, size_t len,
    const void *value)
{
	token_cache_put_part(c, token, len, value, c->size);
}

void
token_cache_put_part(struct token_cache *c, const char *token, size_t len,
    const void *value, size_t used)
{
	unsigned char *at;
	struct place p;
	int way;

	if (used == 0 || used > c->size || !find_place(c, token, len, &p))
		return;
	(void)pthread_mutex_lock(p.lock);
	way = find_way(c, &p, token, len);
	if (way < 0) {
		way = p.set->next;
		p.set->next = (uint8_t)((way + 1) % WAYS);
	}
	at = p.data + (size_t)way * c->stride;
	memcpy(at, value, used);
	memcpy(at + c->size, token, len);
	p.set->tag[way] = p.tag;
	p.set->len[way] = (uint16_t)len;
	p.set->used[way] = (uint16_t)(used - 1);
	(void)pthread_mutex_unlock(p.lock);
}

void
token_cache_clear(struct token_cache *c)
{
	size_t i;

	for (i = 0; i < c->nsets; i++) {
		(void)pthread_mutex_lock(&c->shard[i % SHARDS].lock);
		forget(c, i);
		(void)pthread_mutex_unlock(&c->shard[i % SHARDS].lock);
	}
}
