#include "authd/core/core_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/b64url.h"
#include "lib/base/parse.h"
#include "lib/crypt/digest.h"

#define CONNECT_MS 2000
#define STATEMENT_MS 5000
#define SESSIONS_MAX 256
#define OWN_SESSIONS 3 /* of follower, housekeeper and receipts */

static enum err
check_conf(const struct core_conf *conf, struct detail *d)
{
	size_t n = strlen(conf->issuer);

	if (n == 0 || n > ISSUER_MAX - NAME_MAX_LEN - 3 ||
	    conf->issuer[n - 1] == '/') {
		detail_set(d, "issuer: a base URL without trailing slash");
		return ERR_CONFIG;
	}
	if (conf->token_life < 1 || conf->token_life > TOKEN_LIFE_MAX) {
		detail_set(d, "token life: 1 to %d seconds", TOKEN_LIFE_MAX);
		return ERR_CONFIG;
	}
	if (conf->sessions < 1 ||
	    conf->sessions > SESSIONS_MAX - OWN_SESSIONS) {
		detail_set(d, "sessions: 1 to %d",
		    SESSIONS_MAX - OWN_SESSIONS);
		return ERR_CONFIG;
	}
	return ERR_OK;
}

static enum err
locks_init(struct core *c)
{
	pthread_condattr_t attr;
	int bad;

	if (pthread_condattr_init(&attr) != 0)
		return ERR_NOMEM;
	bad = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) != 0 ||
	    pthread_cond_init(&c->follower.moved, &attr) != 0 ||
	    pthread_mutex_init(&c->follower.lock, NULL) != 0 ||
	    pthread_cond_init(&c->housekeeper.wake, &attr) != 0 ||
	    pthread_mutex_init(&c->housekeeper.lock, NULL) != 0 ||
	    pthread_mutex_init(&c->tenants.load, NULL) != 0 ||
	    pthread_mutex_init(&c->endpoint_lock, NULL) != 0 ||
	    pthread_mutex_init(&c->ration_lock, NULL) != 0;
	(void)pthread_condattr_destroy(&attr);
	return bad ? ERR_NOMEM : ERR_OK;
}

static enum err
take_conf(struct core *c, const struct core_conf *conf)
{
	unsigned char raw[16];
	enum err e;

	c->clock = conf->clock != NULL ? conf->clock : &clock_system;
	c->token_life = conf->token_life;
	c->suppress_notify = conf->suppress_notify;
	c->poll_ms = conf->poll_ms != 0 ? conf->poll_ms : 200;
	c->lookups_max = conf->sessions > 1 ? conf->sessions / 2 : 1;
	e = random_bytes(raw, sizeof(raw));
	if (e != ERR_OK)
		return e;
	hex_encode(raw, sizeof(raw), c->instance);
	core_set_device_endpoint(c, conf->device_host == NULL ? "" :
	    conf->device_host, conf->device_port);
	return copy_str(c->issuer, sizeof(c->issuer), conf->issuer);
}

static enum err
open_memory(struct core *c, const struct core_conf *conf)
{
	enum err e;

	e = device_cache_new(conf->device_cache, &c->devices);
	if (e == ERR_OK)
		e = token_cache_new(conf->token_cache > 0 ?
		    conf->token_cache : 1, sizeof(struct seen_token),
		    &c->tokens);
	return e == ERR_OK ? callers_new(&c->callers) : e;
}

static enum err
open_store(struct core *c, const struct core_conf *conf, struct detail *d)
{
	const struct store_conf sc = {conf->conninfo,
	    conf->sessions + OWN_SESSIONS, CONNECT_MS, STATEMENT_MS};
	enum err e;

	e = store_pool_open(&sc, &c->pool);
	if (e == ERR_OK)
		e = authority_load(c, d);
	if (e != ERR_OK)
		return e;
	e = tenant_make(c, 1, TENANT_DEFAULT, NULL, NULL);
	return e == ERR_EXISTS ? ERR_OK : e;
}

enum err
core_open(const struct core_conf *conf, struct core **out, struct detail *d)
{
	struct core *c = NULL;
	enum err e;

	e = check_conf(conf, d);
	if (e != ERR_OK)
		return e;
	c = calloc(1, sizeof(*c));
	if (c == NULL || locks_init(c) != ERR_OK) {
		free(c);
		return ERR_NOMEM;
	}
	e = take_conf(c, conf);
	if (e == ERR_OK)
		e = random_bytes(&c->ration_seed, sizeof(c->ration_seed));
	if (e == ERR_OK)
		e = keyring_open(conf->kek_file, &c->keys, d);
	if (e == ERR_OK)
		e = open_memory(c, conf);
	if (e == ERR_OK)
		e = open_store(c, conf, d);
	if (e == ERR_OK)
		e = follower_start(c, d);
	if (e == ERR_OK)
		e = housekeeper_start(c);
	if (e == ERR_OK)
		e = receipts_start(c);
	if (e == ERR_OK)
		*out = c;
	else
		core_close(&c);
	return e;
}

void
core_close(struct core **pc)
{
	struct core *c = *pc;

	if (c == NULL)
		return;
	receipts_free(c);
	housekeeper_stop(c);
	follower_stop(c);
	if (c->pool != NULL)
		store_pool_close(&c->pool);
	tenants_free(c);
	device_cache_free(&c->devices);
	callers_free(&c->callers);
	token_cache_free(&c->tokens);
	keyring_close(&c->keys);
	pthread_cond_destroy(&c->follower.moved);
	pthread_mutex_destroy(&c->follower.lock);
	pthread_cond_destroy(&c->housekeeper.wake);
	pthread_mutex_destroy(&c->housekeeper.lock);
	pthread_mutex_destroy(&c->endpoint_lock);
	pthread_mutex_destroy(&c->ration_lock);
	wipe(c, sizeof(*c));
	free(c);
	*pc = NULL;
}

void
core_set_device_endpoint(struct core *c, const char *host, uint16_t port)
{
	pthread_mutex_lock(&c->endpoint_lock);
	(void)snprintf(c->device_host, sizeof(c->device_host), "%s", host);
	c->device_port = port;
	pthread_mutex_unlock(&c->endpoint_lock);
}

static int
has_admin(const struct caller *rows, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (rows[i].role == ROLE_ADMIN)
			return 1;
	return 0;
}

struct first {
	struct caller *rows;
	struct secret credential;
	unsigned char hash[32];
	core_keep_fn *keep;
	void *arg;
	int made;
};

/* A disabled admin counts: nobody comes back in by a restart. */
static enum err
first_txn(struct store *st, void *arg)
{
	struct audit a = {.action = "caller.create", .object_kind = "caller",
	    .object = "admin", .outcome = "ok", .detail = "first admin"};
	struct caller admin = {.tenant = 1, .name = "admin",
	    .role = ROLE_ADMIN};
	struct first *f = arg;
	size_t n = 0;
	enum err e;

	f->made = 0;
	e = store_caller_list(st, f->rows, CORE_LIST_MAX, &n);
	if (e != ERR_OK || n == CORE_LIST_MAX || has_admin(f->rows, n))
		return e;
	e = store_caller_insert(st, &admin, f->hash);
	if (e == ERR_OK)
		e = audit_write(st, &a);
	if (e == ERR_OK)
		e = f->keep(f->arg, &f->credential);
	f->made = e == ERR_OK;
	return e;
}

enum err
core_first_admin(struct core *c, core_keep_fn *keep, void *arg, int *made)
{
	struct first f = {.keep = keep, .arg = arg};
	enum err e;

	f.rows = calloc(CORE_LIST_MAX, sizeof(*f.rows));
	if (f.rows == NULL)
		return ERR_NOMEM;
	e = credential_make(&f.credential, f.hash);
	if (e == ERR_OK)
		e = store_run(c, 1, STORE_WRITE, first_txn, &f);
	if (e == ERR_EXISTS) { /* another authd was first */
		e = ERR_OK;
		f.made = 0;
	}
	if (e == ERR_OK)
		*made = f.made;
	secret_free(&f.credential);
	free(f.rows);
	return e;
}

void
core_figures(const struct core *c, struct core_figures *out)
{
	const struct core_tenant *t;
	uint64_t entries, octets;
	size_t i;

	memset(out, 0, sizeof(*out));
	out->tokens_issued = atomic_load(&c->tokens_issued);
	out->assertions_refused = atomic_load(&c->assertions_refused);
	out->introspections = atomic_load(&c->introspections);
	out->introspections_from_cache =
	    atomic_load(&c->introspections_cached);
	out->psk_resolved = atomic_load(&c->psk_resolved);
	out->rotations = atomic_load(&c->rotations);
	out->possible_clones = atomic_load(&c->possible_clones);
	out->devices_cached = device_cache_count(c->devices);
	out->events_applied = atomic_load(&c->follower.events);
	for (i = 0; i < TENANT_BUCKETS; i++) {
		t = atomic_load(&c->tenants.by_number[i]);
		for (; t != NULL; t = t->next_number) {
			revset_size(t->revset, &entries, &octets);
			out->revoked_entries += entries;
			if (t->number == 1)
				out->position = revset_position(t->revset);
		}
	}
}
