#include "authd/core/core_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/parse.h"
#include "lib/crypt/digest.h"
#include "lib/crypt/kdf.h"

#define USES_AT_BIRTH 64

/* A fresh key for what: its scalar, and for ES256 kid and public half. */
static enum err
fresh_key(const struct new_secret *what, struct secret_key_row *row,
    struct key32 *out)
{
	struct signer *s = NULL;
	struct es256_public pub;
	enum err e;

	if (!what->es256) {
		e = copy_str(row->kid, sizeof(row->kid),
		    what->kid == NULL ? "1" : what->kid);
		return e == ERR_OK ? random_key32(out) : e;
	}
	e = signer_generate(&s);
	if (e == ERR_OK)
		e = copy_str(row->kid, sizeof(row->kid), signer_kid(s));
	if (e == ERR_OK)
		e = signer_export(s, out);
	if (e == ERR_OK) {
		signer_public(s, &pub);
		memcpy(row->public, pub.x, 32);
		memcpy(row->public + 32, pub.y, 32);
		row->has_public = 1;
	}
	signer_free(&s);
	return e;
}

/*
 * Purpose and kid are bound as well as the number: who can write rows cannot
 * turn one key of a tenant into another of its keys.
 */
#define WHERE_MAX 96 /* seal() refuses what is over its own limit */
static void
secret_key_where(const struct secret_key_row *row, uint32_t tenant,
    char table[WHERE_MAX], struct seal_row *out)
{
	(void)snprintf(table, WHERE_MAX, "secret_key/%s/%s", row->purpose,
	    row->kid);
	*out = (struct seal_row){table, tenant, row->number, 0};
}

enum err
secret_key_add(struct core *c, struct store *st, uint32_t tenant,
    const struct new_secret *what)
{
	struct secret_key_row row = {.state = "active"};
	struct key32 key = {{0}};
	char table[WHERE_MAX];
	struct seal_row where;
	enum err e;

	e = store_secret_key_next(st, &row.number);
	if (e == ERR_OK)
		e = copy_str(row.purpose, sizeof(row.purpose), what->purpose);
	if (e == ERR_OK)
		e = fresh_key(what, &row, &key);
	secret_key_where(&row, tenant, table, &where);
	if (e == ERR_OK)
		e = keyring_seal(c, &where, &key, row.sealed,
		    &row.sealed_len, &row.data_key);
	key32_wipe(&key);
	if (e == ERR_OK)
		e = store_secret_key_insert(st, &row);
	return e == ERR_EXISTS ? ERR_CONFLICT : e; /* a racer's number */
}

enum err
secret_key_make(struct store *st, uint32_t tenant,
    const struct new_secret *what, uint64_t dk_number, const struct key32 *dk)
{
	struct secret_key_row row = {.data_key = dk_number,
	    .state = "active"};
	char table[WHERE_MAX];
	struct seal_row where;
	struct key32 key = {{0}};
	enum err e;

	e = store_secret_key_next(st, &row.number);
	if (e == ERR_OK)
		e = copy_str(row.purpose, sizeof(row.purpose), what->purpose);
	if (e == ERR_OK)
		e = fresh_key(what, &row, &key);
	secret_key_where(&row, tenant, table, &where);
	if (e == ERR_OK)
		e = seal(dk, &where, key.b, KEY32_LEN, row.sealed,
		    sizeof(row.sealed), &row.sealed_len);
	key32_wipe(&key);
	return e == ERR_OK ? store_secret_key_insert(st, &row) : e;
}

enum err
secret_key_open(struct core *c, struct store *st, uint32_t tenant,
    const struct secret_key_row *row, struct key32 *out)
{
	char table[WHERE_MAX];
	struct seal_row where;

	secret_key_where(row, tenant, table, &where);
	return keyring_unseal(c, st, &where, row->data_key, row->sealed,
	    row->sealed_len, out);
}

/* Tenant 0 of a database: makes what is missing, then loads. */
struct loading {
	struct core *c;
	struct authority *a;
	struct secret_key_row *rows;
	size_t n;
};

static int
has_purpose(const struct loading *l, const char *purpose)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		if (strcmp(l->rows[i].purpose, purpose) == 0)
			return 1;
	return 0;
}

/* Another authd may be doing the same: whoever is second starts again. */
static enum err
make_missing(struct store *st, struct loading *l)
{
	static const struct new_secret wanted[] = {
	    {"psk-id", "1", 0}, {"nonce", NULL, 0}, {"challenge", NULL, 0}};
	struct data_key_row newest;
	struct key32 dk;
	enum err e;
	size_t i;

	if (has_purpose(l, "psk-id") && has_purpose(l, "nonce") &&
	    has_purpose(l, "challenge"))
		return ERR_OK;
	e = store_data_key_newest(st, &newest);
	if (e != ERR_OK && e != ERR_NOT_FOUND)
		return e;
	newest.number = e == ERR_OK ? newest.number + 1 : 1;
	e = keyring_make(l->c, st, 0, newest.number, USES_AT_BIRTH, &dk);
	for (i = 0; e == ERR_OK && i < 3; i++)
		if (!has_purpose(l, wanted[i].purpose))
			e = secret_key_make(st, 0, &wanted[i], newest.number,
			    &dk);
	key32_wipe(&dk);
	return e == ERR_EXISTS ? ERR_CONFLICT : e;
}

static enum err
make_txn(struct store *st, void *arg)
{
	struct loading *l = arg;
	enum err e;

	e = store_secret_key_list(st, l->rows, CORE_KEYS_MAX, &l->n);
	return e == ERR_OK ? make_missing(st, l) : e;
}

static enum err
take_identity_key(struct authority *a, const char *kid, struct key32 *key)
{
	uint64_t number;
	enum err e;

	if (a->n >= IDENTITY_KEYS_MAX)
		return ERR_CONFIG;
	e = parse_u64(kid, 255, &number);
	if (e == ERR_OK)
		e = kdf_audience_key(key, 0, AUDIENCE_AUTHORITY,
		    &a->own[a->n]);
	if (e != ERR_OK)
		return e;
	a->kid[a->n] = (uint8_t)number;
	a->id_key[a->n++] = *key;
	return ERR_OK;
}

static enum err
load_txn(struct store *st, void *arg)
{
	struct loading *l = arg;
	struct key32 key;
	enum err e;
	size_t i;

	authority_wipe(l->a);
	e = store_secret_key_list(st, l->rows, CORE_KEYS_MAX, &l->n);
	for (i = 0; e == ERR_OK && i < l->n; i++) {
		if (strcmp(l->rows[i].state, "revoked") == 0)
			continue;
		e = secret_key_open(l->c, st, 0, &l->rows[i], &key);
		if (e != ERR_OK)
			break;
		if (strcmp(l->rows[i].purpose, "nonce") == 0)
			l->a->nonce = key;
		else if (strcmp(l->rows[i].purpose, "challenge") == 0)
			l->a->challenge = key;
		else if (strcmp(l->rows[i].purpose, "psk-id") == 0)
			e = take_identity_key(l->a, l->rows[i].kid, &key);
		key32_wipe(&key);
	}
	return e;
}

enum err
authority_load(struct core *c, struct detail *d)
{
	struct loading l = {.c = c, .a = &c->authority};
	enum err e;

	l.rows = calloc(CORE_KEYS_MAX, sizeof(*l.rows));
	if (l.rows == NULL)
		return ERR_NOMEM;
	e = store_run(c, 0, STORE_WRITE, make_txn, &l);
	if (e == ERR_OK) /* only what has been committed is kept in memory */
		e = store_run(c, 0, STORE_READ, load_txn, &l);
	free(l.rows);
	if (e == ERR_CRYPTO)
		detail_set(d, "the key-encryption key is not the one that "
		    "this database's keys are sealed under");
	return e;
}

void
authority_wipe(struct authority *a)
{
	wipe(a, sizeof(*a));
}

enum err
identity_make(const struct core *c, uint32_t tenant, uint64_t dn,
    uint32_t epoch, const char *audience, char out[PSKID_LEN + 1])
{
	const struct authority *a = &c->authority;
	struct pskid id = {.tenant = tenant, .dn = dn, .epoch = epoch};
	uint32_t scope = strcmp(audience, AUDIENCE_AUTHORITY) == 0 ? 0 : tenant;
	struct key32 key;
	enum err e;

	if (a->n == 0)
		return ERR_CRYPTO;
	id.kid = a->kid[a->n - 1]; /* the newest */
	e = kdf_audience_key(&a->id_key[a->n - 1], scope, audience, &key);
	if (e == ERR_OK)
		e = pskid_make(&key, audience, &id, out);
	key32_wipe(&key);
	return e;
}

static int
find_kid(const struct authority *a, uint8_t kid)
{
	uint32_t i;

	for (i = 0; i < a->n; i++)
		if (a->kid[i] == kid)
			return (int)i;
	return -1;
}

enum err
identity_open(const struct core *c, uint32_t tenant, const char *audience,
    const char *identity, size_t len, struct pskid *out)
{
	struct key32 key;
	uint8_t kid;
	enum err e;
	int i;

	if (pskid_kid(identity, len, &kid) != ERR_OK ||
	    (i = find_kid(&c->authority, kid)) < 0)
		return ERR_IDENTITY;
	e = kdf_audience_key(&c->authority.id_key[i], tenant, audience, &key);
	if (e == ERR_OK)
		e = pskid_open(&key, audience, identity, len, out);
	key32_wipe(&key);
	/* An identity of one tenant says nothing under another's key. */
	if (e == ERR_OK && out->tenant != tenant)
		return ERR_IDENTITY;
	return e;
}

enum err
identity_open_own(const struct core *c, const char *identity, size_t len,
    struct pskid *out)
{
	uint8_t kid;
	int i;

	if (pskid_kid(identity, len, &kid) != ERR_OK ||
	    (i = find_kid(&c->authority, kid)) < 0)
		return ERR_IDENTITY;
	return pskid_open(&c->authority.own[i], AUDIENCE_AUTHORITY, identity,
	    len, out);
}
