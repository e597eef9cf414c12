#include "lib/revoke/token_cache.h"

#include <sys/random.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/pages.h"
#include "lib/base/secret.h"
#include "lib/revoke/numtab.h"

/*
 * Set-associative: octets of the token's signature choose a set of WAYS
 * entries, a line of the processor's cache, the oldest of which gives way.
 * Tokens and their values lie one behind the other in a ring, whose oldest
 * give way: close together, for what a hit costs is memory. What a token has
 * in common with the first one (header, issuer) lies there once. All memory is
 * taken at the start (pages are touched as they fill), so no load makes it
 * grow. Sets and ring are in SHARDS parts, each with a lock of its own.
 *
 * Why octets that an attacker chooses may be the index: nothing is concluded
 * from them. Whatever is found is compared whole with the token at hand, and
 * one that is equal octet for octet has the same header, claims and
 * signature, so it verifies now as it did then, under the same keys (when one
 * goes the owner clears the cache). One that differs anywhere is a miss and
 * is verified. To choose octets that meet in one set pays nothing either: the
 * seed is secret, a set is of WAYS entries, and only tokens that were good
 * are put.
 */
#define WAYS 7
#define SHARDS 16 /* each touches large pages of its own */
#define TEXT_MAX 1280 /* longer tokens are verified each time */
#define TEXT_USUAL 704
#define LINE 64
#define TAIL 9 /* the last character holds 4 bits: left out */
#define ENTRIES_MAX ((size_t)1 << 28)
#define SIZE_LARGEST ((size_t)1 << 16)

/*
 * Changed under the shard's lock; atomic, as reading ahead looks without. An
 * entry, 0 when free: from the top the owner's hint, the lines of its record
 * (LINES_MAX: or more), and one more than the first of them in the ring.
 */
#define LINES_MAX 255
#define RING_MAX (((size_t)1 << 24) - 2)
#define ENTRY(hint, lines, at) \
	((uint64_t)(hint) << 32 | (uint64_t)(lines) << 24 | ((at) + 1))
#define ENTRY_HINT(e) ((uint32_t)((e) >> 32))
#define ENTRY_LINES(e) ((size_t)((e) >> 24 & LINES_MAX))
#define ENTRY_AT(e) ((uint32_t)((e) & (RING_MAX + 1)) - 1)
struct set {
	_Alignas(LINE) _Atomic uint64_t entry[WAYS];
	_Atomic uint8_t tag[WAYS]; /* of the index what the set leaves open */
	uint8_t next;		   /* oldest */
};
_Static_assert(sizeof(struct set) == LINE, "a set is one line");
/* In the ring, at the start of a line. */
struct record {
	uint32_t set; /* its number */
	uint32_t used;	 /* octets of the value */
	uint16_t len;	 /* of the token; 0: forgotten */
	uint16_t shared; /* of these lie in the shard's first */
	uint16_t lines;
	unsigned char octets[]; /* the token's others, then the value */
};
/* Records lie from tail to head or, wrapped, from tail to end and 0 to head. */
struct shard {
	_Alignas(LINE) pthread_mutex_t lock;
	unsigned char *ring;
	unsigned char *first; /* token since it was emptied */
	uint32_t first_len;   /* 0: none yet, and so no record */
	uint32_t head, tail, end; /* lines */
	int wrapped;
};
struct token_cache {
	struct shard shard[SHARDS];
	struct set *set;
	unsigned char *ring;  /* of all shards, then the first tokens */
	size_t nsets, nshards, size;
	size_t lines; /* of one shard's ring */
	size_t set_octets, ring_octets;
	uint64_t seed;
};

void
token_cache_large_pages(struct token_cache *c)
{
	pages_large(c->set, c->set_octets);
	pages_large(c->ring, c->ring_octets);
}

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

	for (i = 0; i < SHARDS; i++)
		if (pthread_mutex_init(&c->shard[i].lock, NULL) != 0)
			break;
	if (i == SHARDS)
		return ERR_OK;
	destroy_locks(c, i);
	return ERR_NOMEM;
}

static void
release(struct token_cache *c)
{
	pages_free(c->set, c->set_octets);
	pages_free(c->ring, c->ring_octets);
	free(c);
}

static size_t
lines_of(size_t len, size_t used)
{
	return (offsetof(struct record, octets) + len + used + LINE - 1) /
	    LINE;
}

/* Room for all entries with tokens of usual length, for one at least. */
static void
plan(struct token_cache *c, size_t entries, size_t size)
{
	size_t sets;

	c->size = size;
	c->nsets = entries / WAYS;
	if (c->nsets == 0)
		c->nsets = 1;
	/* a power of two: no look-up divides */
	for (c->nshards = SHARDS; c->nshards > c->nsets;)
		c->nshards /= 2;
	sets = (c->nsets + c->nshards - 1) / c->nshards;
	c->lines = sets * WAYS * lines_of(TEXT_USUAL, size);
	if (c->lines < lines_of(TEXT_MAX, size))
		c->lines = lines_of(TEXT_MAX, size);
	c->set_octets = c->nsets * sizeof(struct set);
	c->ring_octets = c->nshards * (c->lines * LINE + TEXT_MAX);
}

enum err
token_cache_new(size_t entries, size_t size, struct token_cache **out)
{
	struct token_cache *c;
	enum err e = ERR_NOMEM;
	size_t i;

	if (size == 0 || size > SIZE_LARGEST || entries > ENTRIES_MAX)
		return ERR_REQUEST;
	c = aligned_alloc(_Alignof(struct token_cache), sizeof(*c));
	if (c == NULL)
		return ERR_NOMEM;
	memset(c, 0, sizeof(*c));
	plan(c, entries, size);
	if (c->lines > RING_MAX) {
		free(c);
		return ERR_REQUEST;
	}
	c->set = pages_new(c->set_octets);
	c->ring = pages_new(c->ring_octets);
	for (i = 0; c->ring != NULL && i < c->nshards; i++) {
		c->shard[i].ring = c->ring + i * c->lines * LINE;
		c->shard[i].first = c->ring + c->nshards * c->lines * LINE +
		    i * TEXT_MAX;
	}
	if (getrandom(&c->seed, sizeof(c->seed), 0) != sizeof(c->seed))
		e = ERR_CRYPTO;
	else if (c->set != NULL && c->ring != NULL)
		e = make_locks(c);
	if (e != ERR_OK) {
		release(c);
		return e;
	}
	*out = c;
	return ERR_OK;
}

#define PEEK(a) atomic_load_explicit(&(a), memory_order_relaxed)
#define POKE(a, v) atomic_store_explicit(&(a), (v), memory_order_relaxed)

static struct record *
record_at(const struct shard *h, size_t line)
{
	return (struct record *)(void *)(h->ring + line * LINE);
}

/* The rest is under the shard's lock, but for reading ahead. */

/* What a way stands for is forgotten; its lines come free in their turn. */
static void
forget(struct shard *h, struct set *s, size_t way)
{
	struct record *r;

	if (PEEK(s->entry[way]) == 0)
		return;
	r = record_at(h, ENTRY_AT(PEEK(s->entry[way])));
	wipe(r->octets, (size_t)(r->len - r->shared) + r->used);
	r->len = 0;
	r->used = 0;
	POKE(s->entry[way], 0);
}

/* Frees the lines of the oldest record. There is one. */
static void
drop_oldest(struct token_cache *c, struct shard *h)
{
	struct record *r = record_at(h, h->tail);
	struct set *s = &c->set[r->set];
	uint64_t e;
	size_t i;

	for (i = 0; r->len != 0 && i < WAYS; i++) {
		e = PEEK(s->entry[i]);
		if (e != 0 && ENTRY_AT(e) == h->tail)
			forget(h, s, i);
	}
	h->tail += r->lines;
	if (h->wrapped && h->tail == h->end) {
		h->tail = 0;
		h->wrapped = 0;
	}
}

/* The first of n lines in one piece, which the oldest make room for. */
static uint32_t
take_lines(struct token_cache *c, struct shard *h, uint32_t n)
{
	uint32_t at;

	for (;;) {
		if (!h->wrapped && h->tail == h->head)
			h->tail = h->head = 0;
		if (n <= (h->wrapped ? h->tail : c->lines) - h->head)
			break;
		if (h->wrapped) {
			drop_oldest(c, h);
			continue;
		}
		h->end = h->head;
		h->head = 0;
		h->wrapped = 1;
	}
	at = h->head;
	h->head += n;
	return at;
}

static void
empty(struct token_cache *c, struct shard *h)
{
	while (h->wrapped || h->tail != h->head)
		drop_oldest(c, h);
	wipe(h->first, h->first_len);
	h->first_len = 0;
}

void
token_cache_free(struct token_cache **pc)
{
	struct token_cache *c = *pc;
	size_t i;

	if (c == NULL)
		return;
	for (i = 0; i < c->nshards; i++)
		empty(c, &c->shard[i]);
	destroy_locks(c, SHARDS);
	release(c);
	*pc = NULL;
}

/* Where a token is kept, if at all. */
struct place {
	struct set *set;
	struct shard *shard;
	uint32_t number;
	uint8_t tag;
};

static int
find_place(struct token_cache *c, const char *token, size_t len,
    struct place *p)
{
	__extension__ typedef unsigned __int128 u128;
	uint64_t tail, h;

	if (len < TAIL || len > TEXT_MAX)
		return 0;
	memcpy(&tail, token + len - TAIL, sizeof(tail));
	h = num_mix(tail, c->seed);
	p->number = (uint32_t)(((u128)h * c->nsets) >> 64);
	p->set = &c->set[p->number];
	p->shard = &c->shard[p->number & (c->nshards - 1)];
	p->tag = (uint8_t)h;
	return 1;
}

void
token_cache_expect(struct token_cache *c, const char *token, size_t len)
{
	struct place p;

	if (find_place(c, token, len, &p))
		__builtin_prefetch(p.set);
}

/* The ways in question, a bit each; no branch, for nobody foretells it. */
static unsigned
tagged(const struct place *p)
{
	unsigned i, ways = 0;

	for (i = 0; i < WAYS; i++)
		ways |= ((unsigned)(PEEK(p->set->tag[i]) == p->tag) &
		    (unsigned)(PEEK(p->set->entry[i]) != 0)) << i;
	return ways;
}

uint32_t
token_cache_fetch(struct token_cache *c, const char *token, size_t len)
{
	const unsigned char *at;
	struct place p;
	unsigned ways;
	uint64_t e;
	size_t n;

	if (!find_place(c, token, len, &p) || (ways = tagged(&p)) == 0)
		return 0;
	/* without the lock it may be another or none by now: no matter */
	e = PEEK(p.set->entry[__builtin_ctz(ways)]);
	if (e == 0)
		return 0;
	at = p.shard->ring + (size_t)ENTRY_AT(e) * LINE;
	for (n = ENTRY_LINES(e); n > 0; n--, at += LINE)
		__builtin_prefetch(at);
	return ENTRY_HINT(e);
}

/*
 * Whole, and in the same time whatever differs: how long a comparison took
 * must not help to guess a token octet by octet.
 */
static int
same(const unsigned char *a, const char *b, size_t len)
{
	typedef uint64_t two __attribute__((vector_size(16)));
	two diff = {0, 0}, x, y;
	uint64_t rest = 0;
	size_t i;

	for (i = 0; i + sizeof(x) <= len; i += sizeof(x)) {
		memcpy(&x, a + i, sizeof(x));
		memcpy(&y, b + i, sizeof(y));
		diff |= x ^ y;
	}
	/* what is left, and some of it again */
	if (i < len && i > 0) {
		memcpy(&x, a + len - sizeof(x), sizeof(x));
		memcpy(&y, b + len - sizeof(y), sizeof(y));
		diff |= x ^ y;
	} else
		for (; i < len; i++)
			rest |= (uint64_t)(a[i] ^ (unsigned char)b[i]);
	return (diff[0] | diff[1] | rest) == 0;
}

/* The way that holds the token, or -1. */
static int
find_way(const struct place *p, const char *token, size_t len)
{
	const struct record *r;
	unsigned ways;
	int i;

	for (ways = tagged(p); ways != 0; ways &= ways - 1) {
		i = __builtin_ctz(ways);
		r = record_at(p->shard, ENTRY_AT(PEEK(p->set->entry[i])));
		if (r->len == len && same(p->shard->first, token, r->shared) &&
		    same(r->octets, token + r->shared, len - r->shared))
			return i;
	}
	return -1;
}

int
token_cache_get(struct token_cache *c, const char *token, size_t len,
    void *out)
{
	const struct record *r;
	struct place p;
	int way;

	if (!find_place(c, token, len, &p))
		return 0;
	(void)pthread_mutex_lock(&p.shard->lock);
	way = find_way(&p, token, len);
	if (way >= 0) {
		r = record_at(p.shard, ENTRY_AT(PEEK(p.set->entry[way])));
		memcpy(out, r->octets + len - r->shared, r->used);
	}
	(void)pthread_mutex_unlock(&p.shard->lock);
	return way >= 0;
}

void
token_cache_put(struct token_cache *c, const char *token, size_t len,
    const void *value)
{
	token_cache_put_part(c, token, len, value, c->size, 0);
}

/* How much of a token need not be stored. */
static size_t
share(struct shard *h, const char *token, size_t len)
{
	size_t n = 0;

	if (h->first_len == 0) {
		memcpy(h->first, token, len);
		h->first_len = (uint32_t)len;
	}
	while (n < len && n < h->first_len &&
	    h->first[n] == (unsigned char)token[n])
		n++;
	return n;
}

/* The way for it: its own, a free one, or the oldest. */
static int
choose_way(const struct place *p, const char *token, size_t len)
{
	int i, way = find_way(p, token, len);

	if (way >= 0)
		return way;
	for (i = 0; i < WAYS; i++)
		if (PEEK(p->set->entry[i]) == 0)
			return i;
	way = p->set->next;
	p->set->next = (uint8_t)((way + 1) % WAYS);
	return way;
}

void
token_cache_put_part(struct token_cache *c, const char *token, size_t len,
    const void *value, size_t used, uint32_t hint)
{
	size_t shared, stored;
	uint32_t line, lines;
	struct record *r;
	struct place p;
	int way;

	if (used == 0 || used > c->size || !find_place(c, token, len, &p))
		return;
	(void)pthread_mutex_lock(&p.shard->lock);
	shared = share(p.shard, token, len);
	stored = len - shared;
	lines = (uint32_t)lines_of(stored, used);
	line = take_lines(c, p.shard, lines);
	way = choose_way(&p, token, len);
	forget(p.shard, p.set, (size_t)way);
	r = record_at(p.shard, line);
	r->set = p.number;
	r->used = (uint32_t)used;
	r->len = (uint16_t)len;
	r->shared = (uint16_t)shared;
	r->lines = (uint16_t)lines;
	memcpy(r->octets, token + shared, stored);
	memcpy(r->octets + stored, value, used);
	POKE(p.set->tag[way], p.tag);
	POKE(p.set->entry[way], ENTRY(hint, lines < LINES_MAX ? lines :
	    LINES_MAX, line));
	(void)pthread_mutex_unlock(&p.shard->lock);
}

void
token_cache_clear(struct token_cache *c)
{
	struct shard *h;
	size_t i;

	for (i = 0; i < c->nshards; i++) {
		h = &c->shard[i];
		(void)pthread_mutex_lock(&h->lock);
		empty(c, h);
		(void)pthread_mutex_unlock(&h->lock);
	}
}
