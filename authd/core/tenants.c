#include "authd/core/core_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/parse.h"
#include "lib/base/rwlock.h"
#include "lib/crypt/digest.h"

#define USES_AT_BIRTH 64

static size_t
name_bucket(const char *name)
{
	uint32_t h = 2166136261u;

	for (; *name != '\0'; name++)
		h = (h ^ (unsigned char)*name) * 16777619u;
	return h % TENANT_BUCKETS;
}

struct core_tenant *
tenant_by_number(struct core *c, uint32_t number)
{
	struct core_tenant *t;

	t = atomic_load_explicit(
	    &c->tenants.by_number[number % TENANT_BUCKETS],
	    memory_order_acquire);
	while (t != NULL && t->number != number)
		t = t->next_number;
	return t;
}

const struct core_tenant *
core_tenant_find(struct core *c, const char *name)
{
	struct core_tenant *t;

	t = atomic_load_explicit(&c->tenants.by_name[name_bucket(name)],
	    memory_order_acquire);
	while (t != NULL && strcmp(t->name, name) != 0)
		t = t->next_name;
	return t;
}

const char *
core_tenant_name(const struct core_tenant *t)
{
	return t->name;
}

const char *
core_tenant_issuer(const struct core_tenant *t)
{
	return t->issuer;
}

uint64_t
core_tenant_position(const struct core_tenant *t)
{
	return revset_position(t->revset);
}

enum err
core_jwks(const struct core_tenant *t, struct buf *out)
{
	struct core_tenant *w = tenant_writable(t);
	enum err e;

	(void)pthread_rwlock_rdlock(&w->keys_lock);
	e = buf_add(out, t->keys->jwks_text.p, t->keys->jwks_text.len);
	(void)pthread_rwlock_unlock(&w->keys_lock);
	return e;
}

enum err
core_keyset(const struct core_tenant *t, struct buf *out)
{
	struct core_tenant *w = tenant_writable(t);
	enum err e;

	(void)pthread_rwlock_rdlock(&w->keys_lock);
	e = buf_add(out, t->keys->keyset.p, t->keys->keyset.len);
	(void)pthread_rwlock_unlock(&w->keys_lock);
	return e;
}

enum err
tenant_ready(const struct core *c, const struct core_tenant *t)
{
	return atomic_load(&t->lost) != 0 ? ERR_NOT_READY : core_ready(c);
}

enum err
core_tenant_ready(const struct core *c, const struct core_tenant *t,
    struct detail *d)
{
	int64_t ms = clock_mono_ms(c->clock) -
	    atomic_load(&c->follower.fresh);

	if (atomic_load(&t->lost) != 0)
		detail_set(d, "the database has lost events that gateways "
		    "have seen: nothing is issued until authctl recover");
	else if (core_ready(c) != ERR_OK)
		detail_set(d, "no write has been confirmed by the database "
		    "and its replicas for %lld ms", (long long)ms);
	return tenant_ready(c, t);
}

static void
tenant_free(struct core_tenant **pt)
{
	struct core_tenant *t = *pt;

	if (t == NULL)
		return;
	tenant_keys_free(&t->keys);
	feed_hub_free(&t->hub);
	revset_free(&t->revset);
	pthread_rwlock_destroy(&t->keys_lock);
	pthread_mutex_destroy(&t->follow);
	free(t);
	*pt = NULL;
}

void
tenants_free(struct core *c)
{
	struct core_tenant *t, *next;
	size_t i;

	for (i = 0; i < TENANT_BUCKETS; i++) {
		t = atomic_load(&c->tenants.by_number[i]);
		for (; t != NULL; t = next) {
			next = t->next_number;
			tenant_free(&t);
		}
	}
	pthread_mutex_destroy(&c->tenants.load);
}

/* Tenant default has the base URL, any other BASE/t/NAME (RFC 8414). */
static enum err
tenant_names(const struct core *c, const struct tenant_head *head,
    struct core_tenant *t)
{
	int n;

	t->number = head->tenant;
	memcpy(t->name, head->name, sizeof(t->name));
	if (strcmp(t->name, TENANT_DEFAULT) == 0)
		n = snprintf(t->issuer, sizeof(t->issuer), "%s", c->issuer);
	else
		n = snprintf(t->issuer, sizeof(t->issuer), "%s/t/%s",
		    c->issuer, t->name);
	if (n < 0 || (size_t)n >= sizeof(t->issuer))
		return ERR_CONFIG;
	n = snprintf(t->endpoint, sizeof(t->endpoint), "%s/oauth2/token",
	    t->issuer);
	return n > 0 && (size_t)n < sizeof(t->endpoint) ? ERR_OK : ERR_CONFIG;
}

static void
publish(struct core *c, struct core_tenant *t)
{
	size_t bn = name_bucket(t->name), bi = t->number % TENANT_BUCKETS;

	t->next_name = atomic_load(&c->tenants.by_name[bn]);
	t->next_number = atomic_load(&c->tenants.by_number[bi]);
	atomic_store_explicit(&c->tenants.by_name[bn], t,
	    memory_order_release);
	atomic_store_explicit(&c->tenants.by_number[bi], t,
	    memory_order_release);
}

static enum err
tenant_new(struct core_tenant **out)
{
	struct core_tenant *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return ERR_NOMEM;
	if (rwlock_init(&t->keys_lock) != ERR_OK) {
		free(t);
		return ERR_NOMEM;
	}
	if (pthread_mutex_init(&t->follow, NULL) != 0) {
		pthread_rwlock_destroy(&t->keys_lock);
		free(t);
		return ERR_NOMEM;
	}
	*out = t;
	return ERR_OK;
}

/* Nobody sees a tenant before it is whole and at its head. */
static enum err
load_locked(struct core *c, struct store *st, const struct tenant_head *head)
{
	struct tenant_keys *keys = NULL;
	struct core_tenant *t;
	enum err e;

	if (tenant_by_number(c, head->tenant) != NULL)
		return ERR_OK;
	e = tenant_new(&t);
	if (e != ERR_OK)
		return e;
	atomic_store(&t->lost, head->lost);
	e = tenant_names(c, head, t);
	if (e == ERR_OK)
		e = feed_hub_new(&t->hub);
	if (e == ERR_OK)
		e = revset_new(t->number, &t->revset);
	if (e == ERR_OK)
		e = tenant_keys_load(c, st, t, &keys);
	if (e == ERR_OK)
		tenant_keys_install(t, keys);
	if (e == ERR_OK && t->keys == NULL)
		e = ERR_NOMEM;
	if (e == ERR_OK)
		e = tenant_follow(c, st, t, head->pos, head->floor);
	if (e == ERR_OK)
		publish(c, t);
	else
		tenant_free(&t);
	return e;
}

enum err
tenant_load(struct core *c, struct store *st, const struct tenant_head *head)
{
	enum err e;

	pthread_mutex_lock(&c->tenants.load);
	e = load_locked(c, st, head);
	pthread_mutex_unlock(&c->tenants.load);
	return e;
}

struct making {
	struct core *c;
	uint32_t number;
	const char *name;
	const unsigned char *hash;
	const struct core_call *call;
};

static enum err
make_admin(struct store *st, const struct making *m)
{
	struct caller admin = {.tenant = m->number, .role = ROLE_ADMIN};
	enum err e;

	e = copy_str(admin.name, sizeof(admin.name), "admin");
	return e == ERR_OK ? store_caller_insert(st, &admin, m->hash) : e;
}

static enum err
audit_birth(struct store *st, const struct making *m)
{
	struct audit a = {.action = "tenant.create", .object_kind = "tenant",
	    .outcome = "ok"};

	(void)snprintf(a.object, sizeof(a.object), "%s", m->name);
	if (m->call != NULL)
		(void)snprintf(a.request_id, sizeof(a.request_id), "%s",
		    m->call->request_id);
	return audit_write(st, &a);
}

static enum err
make_txn(struct store *st, void *arg)
{
	static const struct new_secret keys[] = {
	    {"token", NULL, 1}, {"feed", NULL, 1}, {"root", NULL, 1}};
	const struct making *m = arg;
	struct key32 dk;
	enum err e;
	size_t i;

	e = store_tenant_insert(st, m->name);
	if (e == ERR_OK)
		e = keyring_make(m->c, st, m->number, 1, USES_AT_BIRTH, &dk);
	for (i = 0; e == ERR_OK && i < 3; i++)
		e = secret_key_make(st, m->number, &keys[i], 1, &dk);
	key32_wipe(&dk);
	if (e == ERR_OK && m->hash != NULL)
		e = make_admin(st, m);
	if (e == ERR_OK)
		e = audit_birth(st, m);
	return e;
}

enum err
tenant_make(struct core *c, uint32_t number, const char *name,
    const unsigned char hash[32], const struct core_call *call)
{
	struct making m = {c, number, name, hash, call};

	return store_run(c, number, STORE_WRITE, make_txn, &m);
}
