#include "authd/core/core_internal.h"

#include <stdlib.h>
#include <string.h>

#define SHARDS 16
#define AGE_MS 60000 /* what no event names (a retired peer) is read again */

/* Least recently used at the tail. Chained by hash of tenant and number. */
struct node {
	struct node *chain, *newer, *older;
	size_t bucket;
	int64_t read_at;
	struct device_entry e;
};
struct shard {
	pthread_mutex_t lock;
	struct node **buckets;
	size_t nbuckets, n, max;
	struct node *newest, *oldest;
};
struct device_cache {
	struct shard shard[SHARDS];
};

/* Numbers are the authority's own, so no attacker picks a bucket. */
static uint64_t
mix(uint32_t tenant, uint64_t dn)
{
	uint64_t h = dn ^ ((uint64_t)tenant << 53) ^ ((uint64_t)tenant >> 11);

	h = (h ^ (h >> 33)) * UINT64_C(0xff51afd7ed558ccd);
	h = (h ^ (h >> 33)) * UINT64_C(0xc4ceb9fe1a85ec53);
	return h ^ (h >> 33);
}

static struct shard *
shard_of(struct device_cache *dc, uint64_t hash)
{
	return &dc->shard[hash % SHARDS];
}

static size_t
bucket_of(const struct shard *s, uint64_t hash)
{
	return (size_t)(hash / SHARDS) % s->nbuckets;
}

enum err
device_cache_new(size_t entries, struct device_cache **out)
{
	struct device_cache *dc = calloc(1, sizeof(*dc));
	enum err e = ERR_OK;
	struct shard *s;
	size_t i;

	if (dc == NULL)
		return ERR_NOMEM;
	for (i = 0; i < SHARDS; i++) {
		s = &dc->shard[i];
		s->max = entries / SHARDS + 1;
		s->nbuckets = s->max;
		s->buckets = calloc(s->nbuckets, sizeof(*s->buckets));
		if (s->buckets == NULL)
			e = ERR_NOMEM;
		(void)pthread_mutex_init(&s->lock, NULL);
	}
	if (e == ERR_OK)
		*out = dc;
	else
		device_cache_free(&dc);
	return e;
}

static void
lru_out(struct shard *s, struct node *n)
{
	if (n->newer != NULL)
		n->newer->older = n->older;
	else
		s->newest = n->older;
	if (n->older != NULL)
		n->older->newer = n->newer;
	else
		s->oldest = n->newer;
	n->newer = n->older = NULL;
}

static void
lru_front(struct shard *s, struct node *n)
{
	n->older = s->newest;
	n->newer = NULL;
	if (s->newest != NULL)
		s->newest->newer = n;
	s->newest = n;
	if (s->oldest == NULL)
		s->oldest = n;
}

/* Takes the node out and wipes it. */
static void
drop(struct shard *s, struct node *n)
{
	struct node **p = &s->buckets[n->bucket];

	while (*p != n)
		p = &(*p)->chain;
	*p = n->chain;
	lru_out(s, n);
	s->n--;
	wipe(n, sizeof(*n));
	free(n);
}

void
device_cache_free(struct device_cache **pdc)
{
	struct device_cache *dc = *pdc;
	struct shard *s;
	size_t i;

	if (dc == NULL)
		return;
	for (i = 0; i < SHARDS; i++) {
		s = &dc->shard[i];
		while (s->newest != NULL)
			drop(s, s->newest);
		free(s->buckets);
		pthread_mutex_destroy(&s->lock);
	}
	free(dc);
	*pdc = NULL;
}

static struct node *
find(struct shard *s, uint64_t hash, uint32_t tenant, uint64_t dn,
    uint32_t epoch)
{
	struct node *n;

	for (n = s->buckets[bucket_of(s, hash)]; n != NULL; n = n->chain)
		if (n->e.device.dn == dn && n->e.tenant == tenant &&
		    n->e.epoch == epoch)
			return n;
	return NULL;
}

int
device_cache_get(struct device_cache *dc, int64_t now_ms, uint32_t tenant,
    uint64_t dn, uint32_t epoch, struct device_entry *out)
{
	uint64_t hash = mix(tenant, dn);
	struct shard *s = shard_of(dc, hash);
	struct node *n;
	int hit = 0;

	pthread_mutex_lock(&s->lock);
	n = find(s, hash, tenant, dn, epoch);
	if (n != NULL && now_ms - n->read_at > AGE_MS) {
		drop(s, n);
		n = NULL;
	}
	if (n != NULL) {
		*out = n->e;
		hit = 1;
		if (n != s->newest) {
			lru_out(s, n);
			lru_front(s, n);
		}
	}
	pthread_mutex_unlock(&s->lock);
	return hit;
}

/*
 * May an entry read at its position still be kept? Called with the shard
 * locked: the follower raises `applying` before it empties the shard, so
 * either it finds the entry there, or this finds `applying` raised.
 */
static int
may_keep(const struct core_tenant *t, const struct device_entry *e)
{
	const struct claim claim = {.dn = e->device.dn, .epoch = e->epoch,
	    .groups = e->device.groups, .ngroups = e->device.ngroups,
	    .pos = e->pos};
	uint64_t applying = atomic_load(&t->applying);
	enum err alive;

	if (e->pos >= applying)
		return 1;
	/* Events are on their way into the set, or might lift what is here. */
	if (revset_position(t->revset) < applying ||
	    e->device.state != DEV_ACTIVE || e->group_blocked ||
	    e->tenant_blocked)
		return 0;
	alive = revset_check(t->revset, &claim, NULL);
	return alive == ERR_OK || alive == ERR_AHEAD;
}

static int
worth_keeping(const struct device_entry *e)
{
	/* Other states change without an event. */
	return e->device.state == DEV_ACTIVE ||
	    e->device.state == DEV_SUSPENDED ||
	    e->device.state == DEV_REVOKED;
}

void
device_cache_put(struct device_cache *dc, int64_t now_ms,
    const struct core_tenant *t, const struct device_entry *e)
{
	uint64_t hash = mix(e->tenant, e->device.dn);
	struct shard *s = shard_of(dc, hash);
	struct node *n, *old;

	if (!worth_keeping(e))
		return;
	n = calloc(1, sizeof(*n));
	if (n == NULL)
		return;
	pthread_mutex_lock(&s->lock);
	old = find(s, hash, e->tenant, e->device.dn, e->epoch);
	if ((old != NULL && old->e.pos > e->pos) || !may_keep(t, e)) {
		pthread_mutex_unlock(&s->lock);
		free(n);
		return;
	}
	if (old != NULL)
		drop(s, old);
	else if (s->n >= s->max)
		drop(s, s->oldest);
	n->e = *e;
	n->read_at = now_ms;
	n->bucket = bucket_of(s, hash);
	n->chain = s->buckets[n->bucket];
	s->buckets[n->bucket] = n;
	lru_front(s, n);
	s->n++;
	pthread_mutex_unlock(&s->lock);
}

static int
in_group(const struct device *d, uint64_t group)
{
	uint32_t i;

	for (i = 0; i < d->ngroups; i++)
		if (d->groups[i] == group)
			return 1;
	return 0;
}

void
device_cache_forget(struct device_cache *dc, uint32_t tenant, uint64_t dn)
{
	uint64_t hash = mix(tenant, dn);
	struct shard *s = shard_of(dc, hash);
	struct node *n, *next;

	pthread_mutex_lock(&s->lock);
	for (n = s->buckets[bucket_of(s, hash)]; n != NULL; n = next) {
		next = n->chain;
		if (n->e.tenant == tenant && n->e.device.dn == dn)
			drop(s, n);
	}
	pthread_mutex_unlock(&s->lock);
}

/* group 0: the whole tenant. */
static void
drop_many(struct device_cache *dc, uint32_t tenant, uint64_t group)
{
	struct node *n, *older;
	struct shard *s;
	size_t i;

	for (i = 0; i < SHARDS; i++) {
		s = &dc->shard[i];
		pthread_mutex_lock(&s->lock);
		for (n = s->newest; n != NULL; n = older) {
			older = n->older;
			if (n->e.tenant == tenant && (group == 0 ||
			    in_group(&n->e.device, group)))
				drop(s, n);
		}
		pthread_mutex_unlock(&s->lock);
	}
}

void
device_cache_apply(struct device_cache *dc, uint32_t tenant,
    const struct event *ev, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (ev[i].kind == EV_DEVICE)
			device_cache_forget(dc, tenant, event_number(&ev[i]));
		else if (ev[i].kind == EV_GROUP)
			drop_many(dc, tenant, event_number(&ev[i]));
		else if (ev[i].kind == EV_TENANT)
			drop_many(dc, tenant, 0);
	}
}

uint64_t
device_cache_count(struct device_cache *dc)
{
	uint64_t n = 0;
	size_t i;

	for (i = 0; i < SHARDS; i++) {
		pthread_mutex_lock(&dc->shard[i].lock);
		n += dc->shard[i].n;
		pthread_mutex_unlock(&dc->shard[i].lock);
	}
	return n;
}
