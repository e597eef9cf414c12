#include "authd/core/core_internal.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/b64url.h"

struct loading {
	struct core *c;
	struct core_tenant *t;
	struct secret_key_row *rows;
	struct tenant_keys *k;
	struct signer *root;
};

void
tenant_keys_free(struct tenant_keys **pk)
{
	struct tenant_keys *k = *pk;

	if (k == NULL)
		return;
	signer_free(&k->token);
	signer_free(&k->feed);
	jwks_free(&k->jwks);
	jwks_free(&k->feed_jwks);
	buf_free(&k->jwks_text);
	buf_free(&k->keyset);
	free(k);
	*pk = NULL;
}

static enum err
keys_new(struct tenant_keys **out)
{
	struct tenant_keys *k = calloc(1, sizeof(*k));
	enum err e;

	if (k == NULL)
		return ERR_NOMEM;
	k->jwks_text.max = 65536;
	k->keyset.max = SET_MAX;
	e = jwks_new(&k->jwks);
	if (e == ERR_OK)
		e = jwks_new(&k->feed_jwks);
	if (e == ERR_OK)
		*out = k;
	else
		tenant_keys_free(&k);
	return e;
}

/* The newest active key of a purpose signs; each one is published. */
static enum err
take_key(struct loading *l, struct store *st,
    const struct secret_key_row *row, struct jwks *set, struct signer **to)
{
	struct es256_public pub;
	struct signer *s = NULL;
	struct key32 key;
	enum err e = ERR_OK;

	memcpy(pub.x, row->public, 32);
	memcpy(pub.y, row->public + 32, 32);
	if (set != NULL)
		e = jwks_add(set, &pub);
	if (e != ERR_OK || strcmp(row->state, "active") != 0)
		return e;
	e = secret_key_open(l->c, st, l->t->number, row, &key);
	if (e == ERR_OK)
		e = signer_import(&key, &s);
	key32_wipe(&key);
	if (e != ERR_OK)
		return e;
	signer_free(to);
	*to = s;
	return ERR_OK;
}

static enum err
take_row(struct loading *l, struct store *st,
    const struct secret_key_row *row)
{
	if (!row->has_public)
		return ERR_OK;
	if (strcmp(row->purpose, "token") == 0)
		return take_key(l, st, row, l->k->jwks, &l->k->token);
	if (strcmp(row->purpose, "feed") == 0)
		return take_key(l, st, row, l->k->feed_jwks, &l->k->feed);
	if (strcmp(row->purpose, "root") == 0)
		return take_key(l, st, row, NULL, &l->root);
	return ERR_OK;
}

static enum err
load_txn(struct store *st, void *arg)
{
	struct loading *l = arg;
	size_t i, n = 0;
	enum err e;

	e = store_keys_version(st, &l->k->version);
	if (e == ERR_OK)
		e = store_secret_key_list(st, l->rows, CORE_KEYS_MAX, &n);
	for (i = 0; e == ERR_OK && i < n; i++)
		e = take_row(l, st, &l->rows[i]);
	if (e == ERR_OK && (l->k->token == NULL || l->k->feed == NULL ||
	    l->root == NULL))
		e = ERR_CRYPTO;
	return e;
}

static enum err
sign_keyset(struct loading *l)
{
	const struct keyset ks = {.version = l->k->version,
	    .iat = clock_wall_s(l->c->clock), .feed = l->k->feed_jwks,
	    .token = l->k->jwks};
	enum err e;

	signer_public(l->root, &l->k->root);
	e = jwks_format(l->k->jwks, &l->k->jwks_text);
	return e == ERR_OK ? keyset_sign(l->root, l->t->issuer, &ks,
	    &l->k->keyset) : e;
}

enum err
tenant_keys_load(struct core *c, struct store *st, struct core_tenant *t,
    struct tenant_keys **out)
{
	struct loading l = {.c = c, .t = t};
	enum err e;

	l.rows = calloc(CORE_KEYS_MAX, sizeof(*l.rows));
	e = l.rows == NULL ? ERR_NOMEM : keys_new(&l.k);
	if (e == ERR_OK)
		e = store_begin(st, t->number, STORE_READ);
	if (e == ERR_OK) {
		e = load_txn(st, &l);
		if (e == ERR_OK)
			e = store_commit(st);
		if (e != ERR_OK)
			store_rollback(st);
	}
	if (e == ERR_OK)
		e = sign_keyset(&l);
	if (e == ERR_OK)
		*out = l.k;
	else
		tenant_keys_free(&l.k);
	signer_free(&l.root);
	free(l.rows);
	return e;
}

void
tenant_keys_install(struct core_tenant *t, struct tenant_keys *k)
{
	struct feed_message *m = NULL;
	struct tenant_keys *old = k;
	uint64_t version = k->version;

	if (message_new(FEED_KEYS, version, k->keyset.p, k->keyset.len, &m) !=
	    ERR_OK)
		m = NULL;
	(void)pthread_rwlock_wrlock(&t->keys_lock);
	if (m != NULL && (t->keys == NULL || t->keys->version < k->version)) {
		old = t->keys;
		t->keys = k;
	}
	(void)pthread_rwlock_unlock(&t->keys_lock);
	if (m != NULL)
		feed_hub_keys(t->hub, m, version);
	tenant_keys_free(&old);
}

static int
is_ours(struct core_tenant *t, const struct event *ev)
{
	size_t len = strlen(ev->id);
	int ours;

	if (ev->kind != EV_SIGNING_KEY)
		return 0;
	(void)pthread_rwlock_rdlock(&t->keys_lock);
	ours = jwks_find(t->keys->jwks, ev->id, len) != NULL ||
	    jwks_find(t->keys->feed_jwks, ev->id, len) != NULL;
	(void)pthread_rwlock_unlock(&t->keys_lock);
	return ours;
}

enum err
tenant_keys_follow(struct core *c, struct store *st, struct core_tenant *t,
    const struct event *ev, size_t n)
{
	uint64_t now = revset_position(t->revset) >> POS_GENERATION_SHIFT;
	struct tenant_keys *k = NULL;
	int changed = 0;
	enum err e;
	size_t i;

	/* A new generation has a key set of a new version: core_recover. */
	for (i = 0; i < n; i++)
		changed |= is_ours(t, &ev[i]) ||
		    ev[i].pos >> POS_GENERATION_SHIFT != now;
	if (!changed)
		return ERR_OK;
	e = tenant_keys_load(c, st, t, &k);
	if (e == ERR_OK)
		tenant_keys_install(t, k);
	/* Not in place (no memory): not followed either. */
	for (i = 0; e == ERR_OK && i < n; i++)
		if (is_ours(t, &ev[i]))
			e = ERR_NOMEM;
	return e;
}

enum err
core_root_jwk(const struct core_tenant *t, struct buf *out)
{
	char x[B64URL_LEN(32) + 1], y[B64URL_LEN(32) + 1];
	struct core_tenant *w = tenant_writable(t);
	char kid[KID_LEN + 1];
	struct es256_public pub;
	enum err e;

	(void)pthread_rwlock_rdlock(&w->keys_lock);
	pub = t->keys->root;
	(void)pthread_rwlock_unlock(&w->keys_lock);
	e = es256_thumbprint(&pub, kid);
	if (e != ERR_OK)
		return e;
	b64url_encode(pub.x, sizeof(pub.x), x);
	b64url_encode(pub.y, sizeof(pub.y), y);
	return buf_fmt(out, "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":"
	    "\"%s\",\"y\":\"%s\",\"use\":\"sig\",\"alg\":\"ES256\","
	    "\"kid\":\"%s\"}", x, y, kid);
}
