#include "authd/core/core_internal.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/b64url.h"
#include "lib/base/rwlock.h"
#include "lib/crypt/digest.h"

/*
 * Callers by the SHA-256 of their credential. Only known ones are kept. A
 * caller once disabled stays so, and the revocation set is asked at every
 * use: an entry here can be out of date only in what never changes.
 */
#define BUCKETS 1024
#define WAYS 4

struct slot {
	int used;
	unsigned char hash[32];
	struct caller caller;
};
struct callers {
	pthread_rwlock_t lock;
	unsigned turn; /* which way is replaced next */
	struct slot *slots; /* BUCKETS * WAYS */
};

enum err
callers_new(struct callers **out)
{
	struct callers *cs = calloc(1, sizeof(*cs));

	if (cs == NULL)
		return ERR_NOMEM;
	cs->slots = calloc(BUCKETS * WAYS, sizeof(*cs->slots));
	if (cs->slots == NULL || rwlock_init(&cs->lock) != ERR_OK) {
		free(cs->slots);
		free(cs);
		return ERR_NOMEM;
	}
	*out = cs;
	return ERR_OK;
}

void
callers_free(struct callers **pcs)
{
	struct callers *cs = *pcs;

	if (cs == NULL)
		return;
	pthread_rwlock_destroy(&cs->lock);
	wipe(cs->slots, BUCKETS * WAYS * sizeof(*cs->slots));
	free(cs->slots);
	free(cs);
	*pcs = NULL;
}

static struct slot *
bucket(struct callers *cs, const unsigned char hash[32])
{
	size_t i = ((size_t)hash[0] << 8 | hash[1]) % BUCKETS;

	return &cs->slots[i * WAYS];
}

static int
callers_get(struct callers *cs, const unsigned char hash[32],
    struct caller *out)
{
	struct slot *s = bucket(cs, hash);
	int i, hit = 0;

	pthread_rwlock_rdlock(&cs->lock);
	for (i = 0; i < WAYS && !hit; i++) {
		hit = s[i].used && ct_equal(s[i].hash, hash, 32);
		if (hit)
			*out = s[i].caller;
	}
	pthread_rwlock_unlock(&cs->lock);
	return hit;
}

static void
callers_put(struct callers *cs, const unsigned char hash[32],
    const struct caller *c)
{
	struct slot *s = bucket(cs, hash), *to = NULL;
	int i;

	pthread_rwlock_wrlock(&cs->lock);
	for (i = 0; i < WAYS; i++)
		if (s[i].used && ct_equal(s[i].hash, hash, 32))
			to = &s[i];
	for (i = 0; i < WAYS && to == NULL; i++)
		if (!s[i].used)
			to = &s[i];
	if (to == NULL)
		to = &s[cs->turn++ % WAYS];
	to->used = 1;
	memcpy(to->hash, hash, 32);
	to->caller = *c;
	pthread_rwlock_unlock(&cs->lock);
}

void
callers_apply(struct callers *cs, uint32_t tenant, const struct event *ev,
    size_t n)
{
	uint64_t number;
	size_t i, j;

	for (i = 0; i < n; i++) {
		if (ev[i].kind != EV_CALLER)
			continue;
		number = event_number(&ev[i]);
		pthread_rwlock_wrlock(&cs->lock);
		for (j = 0; j < BUCKETS * WAYS; j++)
			if (cs->slots[j].used &&
			    cs->slots[j].caller.tenant == tenant &&
			    cs->slots[j].caller.number == number)
				wipe(&cs->slots[j], sizeof(cs->slots[j]));
		pthread_rwlock_unlock(&cs->lock);
	}
}

enum err
credential_make(struct secret *out, unsigned char hash[32])
{
	char text[CREDENTIAL_LEN + 1] = CREDENTIAL_PREFIX;
	unsigned char raw[32];
	enum err e;

	e = random_bytes(raw, sizeof(raw));
	if (e == ERR_OK) {
		b64url_encode(raw, sizeof(raw),
		    text + strlen(CREDENTIAL_PREFIX));
		e = sha256(text, CREDENTIAL_LEN, hash);
	}
	if (e == ERR_OK)
		e = secret_set(out, text, CREDENTIAL_LEN);
	wipe(raw, sizeof(raw));
	wipe(text, sizeof(text));
	return e;
}

/* What cannot be a credential costs nothing. */
static int
well_formed(const char *s, size_t len)
{
	unsigned char raw[32];
	size_t n = strlen(CREDENTIAL_PREFIX);
	enum err e;

	if (len != CREDENTIAL_LEN || memcmp(s, CREDENTIAL_PREFIX, n) != 0)
		return 0;
	e = b64url_decode_exact(s + n, len - n, raw, sizeof(raw));
	wipe(raw, sizeof(raw));
	return e == ERR_OK;
}

struct reading {
	uint64_t number;
	struct caller *out;
};

static enum err
read_txn(struct store *st, void *arg)
{
	struct reading *r = arg;

	return store_caller_get(st, r->number, r->out);
}

static enum err
find_tenant(struct core *c, const unsigned char hash[32], uint32_t *tenant,
    name_t name, uint64_t *number)
{
	struct store *st = NULL;
	enum err e;

	e = store_acquire(c->pool, CORE_ACQUIRE_MS, &st);
	if (e != ERR_OK)
		return e;
	e = store_caller_by_hash(st, hash, tenant, name, number);
	store_release(&st);
	return e;
}

static enum err
read_caller(struct core_call *call, const unsigned char hash[32],
    struct caller *out)
{
	struct core *c = call->core;
	struct reading r = {.out = out};
	uint32_t tenant = 0;
	enum err e;

	memset(out, 0, sizeof(*out));
	e = find_tenant(c, hash, &tenant, out->tenant_name, &r.number);
	if (e == ERR_OK && tenant != call->tenant->number)
		e = ERR_NOT_FOUND; /* of another tenant, unknown here */
	if (e == ERR_OK)
		e = store_run(c, tenant, STORE_READ, read_txn, &r);
	if (e == ERR_NOT_FOUND || (e == ERR_OK && out->disabled))
		return ERR_CREDENTIAL;
	if (e != ERR_OK)
		return e;
	out->tenant = tenant;
	memcpy(out->tenant_name, call->tenant->name, sizeof(name_t));
	callers_put(c->callers, hash, out);
	return ERR_OK;
}

/* Guessing may fill only a part of the sessions. */
static enum err
read_bounded(struct core_call *call, const unsigned char hash[32],
    struct caller *out)
{
	struct core *c = call->core;
	enum err e = ERR_BUSY;

	if (atomic_fetch_add(&c->lookups, 1) < c->lookups_max)
		e = read_caller(call, hash, out);
	atomic_fetch_sub(&c->lookups, 1);
	return e;
}

enum err
core_authn(struct core_call *call, const char *credential, size_t len,
    struct caller *out)
{
	struct core *c = call->core;
	unsigned char hash[32];
	struct caller found;
	int ready = core_ready(c) == ERR_OK, hit;
	enum err e;

	if (call->tenant == NULL || !well_formed(credential, len))
		return ERR_CREDENTIAL;
	e = sha256(credential, len, hash);
	if (e != ERR_OK)
		return e;
	/* A cache that no follower keeps true lets nobody do anything. */
	hit = (ready || call->asks_for_dead) &&
	    callers_get(c->callers, hash, &found);
	call->remembered = hit && !ready;
	if (!hit)
		e = call->may_block ? read_bounded(call, hash, &found) :
		    ERR_WOULD_BLOCK;
	wipe(hash, sizeof(hash));
	if (e != ERR_OK)
		return e;
	if (found.tenant != call->tenant->number ||
	    revset_caller_dead(call->tenant->revset, found.number))
		return ERR_CREDENTIAL;
	*out = found;
	return ERR_OK;
}
