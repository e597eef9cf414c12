#include "authd/core/core_internal.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/b64url.h"
#include "lib/base/file.h"
#include "lib/crypt/digest.h"

#define RUN 4096 /* uses of a data key reserved at a time */
#define BUCKETS 256

/* A data key unwrapped. Never dropped: a tenant has few in its life. */
struct data_key {
	struct data_key *next;
	uint32_t tenant;
	uint64_t number;
	struct key32 key;
};
/* The data key a tenant seals with, and what is left of the reserved uses. */
struct allot {
	struct allot *next;
	uint32_t tenant;
	uint64_t number, left;
	struct key32 key;
};
struct keyring {
	struct key32 kek;
	name_t kek_id;
	pthread_mutex_t lock;
	struct data_key *keys[BUCKETS];
	struct allot *allots[BUCKETS];
};

/* Names the key-encryption key without telling of it. */
static enum err
kek_name(const struct key32 *kek, name_t out)
{
	static const char label[] = "fealty kek id";
	unsigned char mac[32];
	enum err e;

	e = hmac_sha256(kek->b, KEY32_LEN, label, sizeof(label) - 1, mac);
	if (e == ERR_OK)
		hex_encode(mac, 8, out);
	return e;
}

static enum err
kek_read(const char *path, struct key32 *kek, struct detail *d)
{
	struct secret text = {0};
	enum err e;

	e = file_read_secret(path, 256, &text);
	if (e != ERR_OK) {
		detail_set(d, "key-encryption key %s: not there, or not "
		    "readable by its owner alone (0600)", path);
		secret_free(&text);
		return ERR_CONFIG;
	}
	while (text.len > 0 && (text.p[text.len - 1] == '\n' ||
	    text.p[text.len - 1] == '\r'))
		text.len--;
	e = hex_decode_exact((const char *)text.p, text.len, kek->b,
	    KEY32_LEN);
	secret_free(&text);
	if (e == ERR_OK)
		return ERR_OK;
	detail_set(d, "key-encryption key %s: 64 hexadecimal digits", path);
	return ERR_CONFIG;
}

enum err
keyring_open(const char *kek_file, struct keyring **out, struct detail *d)
{
	struct keyring *k = calloc(1, sizeof(*k));
	enum err e;

	if (k == NULL)
		return ERR_NOMEM;
	if (pthread_mutex_init(&k->lock, NULL) != 0) {
		free(k);
		return ERR_NOMEM;
	}
	e = kek_read(kek_file, &k->kek, d);
	if (e == ERR_OK)
		e = kek_name(&k->kek, k->kek_id);
	if (e != ERR_OK) {
		keyring_close(&k);
		return e;
	}
	*out = k;
	return ERR_OK;
}

void
keyring_close(struct keyring **pk)
{
	struct keyring *k = *pk;
	struct data_key *dk;
	struct allot *a;
	size_t i;

	if (k == NULL)
		return;
	for (i = 0; i < BUCKETS; i++) {
		while ((dk = k->keys[i]) != NULL) {
			k->keys[i] = dk->next;
			wipe(dk, sizeof(*dk));
			free(dk);
		}
		while ((a = k->allots[i]) != NULL) {
			k->allots[i] = a->next;
			wipe(a, sizeof(*a));
			free(a);
		}
	}
	pthread_mutex_destroy(&k->lock);
	wipe(k, sizeof(*k));
	free(k);
	*pk = NULL;
}

/* With the lock held. */
static struct data_key *
find_key(struct keyring *k, uint32_t tenant, uint64_t number)
{
	struct data_key *dk;

	for (dk = k->keys[tenant % BUCKETS]; dk != NULL; dk = dk->next)
		if (dk->tenant == tenant && dk->number == number)
			return dk;
	return NULL;
}

static struct allot *
find_allot(struct keyring *k, uint32_t tenant)
{
	struct allot *a;

	for (a = k->allots[tenant % BUCKETS]; a != NULL; a = a->next)
		if (a->tenant == tenant)
			return a;
	return NULL;
}

static void
remember(struct keyring *k, uint32_t tenant, uint64_t number,
    const struct key32 *key)
{
	struct data_key *dk = calloc(1, sizeof(*dk));

	if (dk == NULL)
		return; /* it will be read again */
	dk->tenant = tenant;
	dk->number = number;
	dk->key = *key;
	pthread_mutex_lock(&k->lock);
	if (find_key(k, tenant, number) == NULL) {
		dk->next = k->keys[tenant % BUCKETS];
		k->keys[tenant % BUCKETS] = dk;
		dk = NULL;
	}
	pthread_mutex_unlock(&k->lock);
	if (dk != NULL)
		wipe(dk, sizeof(*dk));
	free(dk);
}

static enum err
unwrap(struct keyring *k, uint32_t tenant, const struct data_key_row *row,
    struct key32 *out)
{
	const struct seal_row where = {"data_key", tenant, row->number, 0};

	if (strcmp(row->kek_id, k->kek_id) != 0)
		return ERR_CRYPTO;
	return unseal_key32(&k->kek, &where, row->wrapped, row->wrapped_len,
	    out);
}

static enum err
data_key(struct core *c, struct store *st, uint32_t tenant, uint64_t number,
    struct key32 *out)
{
	struct keyring *k = c->keys;
	struct data_key_row row;
	struct data_key *dk;
	enum err e;

	pthread_mutex_lock(&k->lock);
	dk = find_key(k, tenant, number);
	if (dk != NULL)
		*out = dk->key;
	pthread_mutex_unlock(&k->lock);
	if (dk != NULL)
		return ERR_OK;
	e = store_data_key_get(st, number, &row);
	if (e == ERR_NOT_FOUND)
		return ERR_CRYPTO;
	if (e == ERR_OK)
		e = unwrap(k, tenant, &row, out);
	if (e == ERR_OK)
		remember(k, tenant, number, out);
	return e;
}

enum err
keyring_unseal(struct core *c, struct store *st, const struct seal_row *row,
    uint64_t number, const unsigned char *sealed, size_t len,
    struct key32 *out)
{
	struct key32 dk;
	enum err e;

	e = data_key(c, st, row->tenant, number, &dk);
	if (e == ERR_OK)
		e = unseal_key32(&dk, row, sealed, len, out);
	key32_wipe(&dk);
	return e;
}

enum err
keyring_make(struct core *c, struct store *st, uint32_t tenant,
    uint64_t number, uint64_t uses, struct key32 *key)
{
	const struct seal_row where = {"data_key", tenant, number, 0};
	struct data_key_row row = {.number = number, .uses = uses};
	struct key32 fresh;
	enum err e;

	memcpy(row.kek_id, c->keys->kek_id, sizeof(row.kek_id));
	e = random_key32(&fresh);
	if (e == ERR_OK)
		e = seal(&c->keys->kek, &where, fresh.b, KEY32_LEN,
		    row.wrapped, sizeof(row.wrapped), &row.wrapped_len);
	if (e == ERR_OK)
		e = store_data_key_insert(st, &row);
	if (e == ERR_OK)
		*key = fresh;
	key32_wipe(&fresh);
	return e;
}

/* One run of uses, from the newest key or from a new one. */
struct refill {
	struct core *c;
	uint32_t tenant;
	uint64_t number;
	struct key32 key;
};

static enum err
refill_txn(struct store *st, void *arg)
{
	struct refill *r = arg;
	struct data_key_row row;
	uint64_t uses, newest = 0;
	enum err e;

	e = store_data_key_newest(st, &row);
	if (e == ERR_OK) {
		newest = row.number;
		e = row.uses > SEAL_MAX_USES - RUN ? ERR_NOT_FOUND :
		    store_data_key_use(st, newest, RUN, &uses);
		if (e == ERR_OK && uses > SEAL_MAX_USES)
			return ERR_CONFLICT; /* others were faster */
	}
	if (e == ERR_NOT_FOUND) {
		r->number = newest + 1;
		e = keyring_make(r->c, st, r->tenant, r->number, RUN,
		    &r->key);
		return e == ERR_EXISTS ? ERR_CONFLICT : e;
	}
	if (e != ERR_OK)
		return e;
	r->number = newest;
	return data_key(r->c, st, r->tenant, newest, &r->key);
}

static enum err
allot_add(struct keyring *k, const struct refill *r)
{
	struct allot *fresh = calloc(1, sizeof(*fresh)), *a;

	if (fresh == NULL)
		return ERR_NOMEM;
	pthread_mutex_lock(&k->lock);
	a = find_allot(k, r->tenant);
	if (a == NULL) {
		a = fresh;
		fresh = NULL;
		a->tenant = r->tenant;
		a->next = k->allots[r->tenant % BUCKETS];
		k->allots[r->tenant % BUCKETS] = a;
	}
	if (r->number > a->number) {
		a->number = r->number;
		a->key = r->key;
		a->left = 0;
	}
	if (r->number == a->number)
		a->left += RUN;
	pthread_mutex_unlock(&k->lock);
	free(fresh);
	return ERR_OK;
}

enum err
keyring_prepare(struct core *c, uint32_t tenant)
{
	struct refill r = {.c = c, .tenant = tenant};
	struct allot *a;
	int enough;
	enum err e;

	pthread_mutex_lock(&c->keys->lock);
	a = find_allot(c->keys, tenant);
	/* Spare ones for the transactions under way. */
	enough = a != NULL && a->left >= RUN / 4;
	pthread_mutex_unlock(&c->keys->lock);
	if (enough)
		return ERR_OK;
	e = store_run(c, tenant, STORE_WRITE, refill_txn, &r);
	if (e == ERR_OK) {
		remember(c->keys, tenant, r.number, &r.key);
		e = allot_add(c->keys, &r);
	}
	key32_wipe(&r.key);
	return e;
}

enum err
keyring_seal(struct core *c, const struct seal_row *row,
    const struct key32 *plain, unsigned char out[SEALED_MAX], size_t *outlen,
    uint64_t *number)
{
	struct key32 key;
	uint64_t n = 0;
	struct allot *a;
	enum err e;

	pthread_mutex_lock(&c->keys->lock);
	a = find_allot(c->keys, row->tenant);
	if (a != NULL && a->left > 0) {
		a->left--;
		n = a->number;
		key = a->key;
	}
	pthread_mutex_unlock(&c->keys->lock);
	if (n == 0)
		return ERR_CONFLICT;
	e = seal(&key, row, plain->b, KEY32_LEN, out, SEALED_MAX, outlen);
	key32_wipe(&key);
	if (e == ERR_OK)
		*number = n;
	return e;
}
