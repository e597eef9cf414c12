#include <stdlib.h>
#include <string.h>
#include "gateway/gw_int.h"

/*
 * Keys fetched, by device number. Sharded; each shard is a hash table of
 * fixed size and a list from the most to the least recently used.
 */
#define SHARDS 16

struct entry {
	struct gw_psk psk;
	struct entry *chain;
	struct entry *newer, *older;
};
struct shard {
	pthread_mutex_t lock;
	struct entry **bucket;
	struct entry *newest, *oldest;
	uint32_t n;
};
struct gw_cache {
	uint32_t shard_max;
	uint32_t buckets;
	struct shard shard[SHARDS];
};

void
gw_psk_wipe(struct gw_psk *p)
{
	wipe(p, sizeof(*p));
}

enum err
gw_cache_new(uint32_t max, struct gw_cache **out)
{
	struct gw_cache *c;

	if ((c = calloc(1, sizeof(*c))) == NULL)
		return (ERR_NOMEM);
	c->shard_max = (max + SHARDS - 1) / SHARDS;
	c->buckets = c->shard_max < 64 ? 64 : c->shard_max;
	for (int i = 0; i < SHARDS; i++)
		pthread_mutex_init(&c->shard[i].lock, NULL);
	for (int i = 0; i < SHARDS; i++) {
		c->shard[i].bucket = calloc(c->buckets,
		    sizeof(struct entry *));
		if (c->shard[i].bucket == NULL) {
			gw_cache_free(&c);
			return (ERR_NOMEM);
		}
	}
	*out = c;
	return (ERR_OK);
}

static struct shard *
shard_of(struct gw_cache *c, uint64_t dn)
{
	return (&c->shard[dn % SHARDS]);
}

static struct entry **
bucket_of(struct gw_cache *c, uint64_t dn)
{
	return (&shard_of(c, dn)->bucket[dn / SHARDS % c->buckets]);
}

static void
lru_out(struct shard *s, struct entry *e)
{
	if (e->newer != NULL)
		e->newer->older = e->older;
	else
		s->newest = e->older;
	if (e->older != NULL)
		e->older->newer = e->newer;
	else
		s->oldest = e->newer;
	e->newer = e->older = NULL;
}

static void
lru_in(struct shard *s, struct entry *e)
{
	e->newer = NULL;
	e->older = s->newest;
	if (s->newest != NULL)
		s->newest->newer = e;
	else
		s->oldest = e;
	s->newest = e;
}

static void
drop(struct gw_cache *c, struct shard *s, struct entry *e)
{
	struct entry **p = bucket_of(c, e->psk.answer.dn);

	while (*p != NULL && *p != e)
		p = &(*p)->chain;
	if (*p == e)
		*p = e->chain;
	lru_out(s, e);
	s->n--;
	gw_psk_wipe(&e->psk);
	free(e);
}

static struct entry *
find(struct gw_cache *c, uint64_t dn, const char *identity, int tls)
{
	struct entry *e;

	for (e = *bucket_of(c, dn); e != NULL; e = e->chain)
		if (e->psk.answer.dn == dn && e->psk.tls == tls &&
		    strcmp(e->psk.identity, identity) == 0)
			return (e);
	return (NULL);
}

static enum err
judge(const struct revset *set, const struct gw_psk *p)
{
	struct claim cl = {
		.dn = p->answer.dn,
		.epoch = p->answer.epoch,
		.groups = p->answer.groups,
		.ngroups = p->answer.ngroups,
		.pos = p->answer.pos,
	};
	enum err e = revset_check(set, &cl, NULL);

	/* what it has yet to see is older than the answer: not its killer */
	return (e == ERR_AHEAD ? ERR_OK : e);
}

enum err
gw_cache_put(struct gw_cache *c, const struct revset *set,
    const struct gw_psk *p)
{
	struct shard *s = shard_of(c, p->answer.dn);
	struct entry *e, **b;
	enum err err = ERR_OK;

	pthread_mutex_lock(&s->lock);
	if (p->err == ERR_OK && (err = judge(set, p)) != ERR_OK)
		goto out;
	if ((e = find(c, p->answer.dn, p->identity, p->tls)) != NULL) {
		e->psk = *p;
		goto out;
	}
	if (s->n >= c->shard_max)
		drop(c, s, s->oldest);
	if ((e = calloc(1, sizeof(*e))) == NULL)
		goto out; /* not kept, no harm */
	e->psk = *p;
	b = bucket_of(c, p->answer.dn);
	e->chain = *b;
	*b = e;
	lru_in(s, e);
	s->n++;
out:
	pthread_mutex_unlock(&s->lock);
	return (err);
}

int
gw_cache_get(struct gw_cache *c, uint64_t dn, const char *identity, int tls,
    int64_t now, struct gw_psk *out)
{
	struct shard *s = shard_of(c, dn);
	struct entry *e;
	int hit = 0;

	pthread_mutex_lock(&s->lock);
	e = find(c, dn, identity, tls);
	if (e != NULL && e->psk.err != ERR_OK && e->psk.until <= now) {
		drop(c, s, e);
		e = NULL;
	}
	if (e != NULL) {
		lru_out(s, e);
		lru_in(s, e);
		*out = e->psk;
		hit = 1;
	}
	pthread_mutex_unlock(&s->lock);
	return (hit);
}

static void
purge_shard(struct gw_cache *c, struct shard *s, const struct revset *set,
    uint64_t dn)
{
	struct entry *e, *next;

	pthread_mutex_lock(&s->lock);
	e = dn != 0 ? *bucket_of(c, dn) : s->newest;
	for (; e != NULL; e = next) {
		next = dn != 0 ? e->chain : e->older;
		if (dn != 0 && e->psk.answer.dn != dn)
			continue;
		/* a refusal may be out of date after any event */
		if (e->psk.err != ERR_OK || judge(set, &e->psk) != ERR_OK)
			drop(c, s, e);
	}
	pthread_mutex_unlock(&s->lock);
}

void
gw_cache_purge(struct gw_cache *c, const struct revset *set, uint64_t dn)
{
	if (dn != 0) {
		purge_shard(c, shard_of(c, dn), set, dn);
		return;
	}
	for (int i = 0; i < SHARDS; i++)
		purge_shard(c, &c->shard[i], set, 0);
}

void
gw_cache_clear(struct gw_cache *c)
{
	for (int i = 0; i < SHARDS; i++) {
		struct shard *s = &c->shard[i];

		pthread_mutex_lock(&s->lock);
		while (s->newest != NULL)
			drop(c, s, s->newest);
		pthread_mutex_unlock(&s->lock);
	}
}

int
gw_cache_known(struct gw_cache *c, uint64_t dn, struct gw_psk *out)
{
	struct shard *s = shard_of(c, dn);
	struct entry *e;
	int hit = 0;

	pthread_mutex_lock(&s->lock);
	for (e = *bucket_of(c, dn); e != NULL; e = e->chain) {
		if (e->psk.answer.dn != dn || e->psk.err != ERR_OK)
			continue;
		*out = e->psk;
		key32_wipe(&out->answer.key);
		hit = 1;
		break;
	}
	pthread_mutex_unlock(&s->lock);
	return (hit);
}

int
gw_cache_has(struct gw_cache *c, uint64_t dn, const char *identity)
{
	struct shard *s = shard_of(c, dn);
	struct entry *e;
	int hit = 0;

	pthread_mutex_lock(&s->lock);
	for (int tls = 12; tls <= 13 && !hit; tls++) {
		e = find(c, dn, identity, tls);
		hit = e != NULL && e->psk.err == ERR_OK;
	}
	pthread_mutex_unlock(&s->lock);
	return (hit);
}

/* Entries of that device and epoch; under the lock. */
static struct entry *
of_epoch(struct entry *e, uint64_t dn, uint32_t epoch)
{
	while (e != NULL && (e->psk.answer.dn != dn ||
	    e->psk.answer.epoch != epoch || e->psk.err != ERR_OK))
		e = e->chain;
	return (e);
}

int
gw_cache_pending(struct gw_cache *c, uint64_t dn, uint32_t epoch,
    char identity[PSKID_LEN + 1])
{
	struct shard *s = shard_of(c, dn);
	struct entry *e;
	int hit;

	pthread_mutex_lock(&s->lock);
	e = of_epoch(*bucket_of(c, dn), dn, epoch);
	hit = e != NULL && e->psk.answer.pending;
	if (hit)
		memcpy(identity, e->psk.identity, sizeof(e->psk.identity));
	pthread_mutex_unlock(&s->lock);
	return (hit);
}

void
gw_cache_used(struct gw_cache *c, uint64_t dn, uint32_t epoch)
{
	struct shard *s = shard_of(c, dn);
	struct entry *e;

	pthread_mutex_lock(&s->lock);
	e = *bucket_of(c, dn);
	while ((e = of_epoch(e, dn, epoch)) != NULL) {
		e->psk.answer.pending = 0;
		e = e->chain;
	}
	pthread_mutex_unlock(&s->lock);
}

void
gw_cache_free(struct gw_cache **c)
{
	if (*c == NULL)
		return;
	for (int i = 0; i < SHARDS; i++) {
		struct shard *s = &(*c)->shard[i];

		while (s->newest != NULL)
			drop(*c, s, s->newest);
		free(s->bucket);
		pthread_mutex_destroy(&s->lock);
	}
	free(*c);
	*c = NULL;
}
