#include "authd/core/shown.h"

#include <stdlib.h>
#include <string.h>

uint64_t
shown_version(const struct core_tenant *t)
{
	struct core_tenant *w = tenant_writable(t);
	uint64_t version;

	(void)pthread_rwlock_rdlock(&w->keys_lock);
	version = t->keys->version;
	(void)pthread_rwlock_unlock(&w->keys_lock);
	return version;
}

/*
 * What was revoked here since the loss: a set from before it has that key
 * still. The event is committed with the key set that lacks it.
 */
static enum err
drop_revoked(struct txn *tx)
{
	struct jwks *feed = tx->arg;
	struct event ev;
	const char *kid;
	enum err e;
	size_t i = 0, n;

	while ((kid = jwks_kid(feed, i)) != NULL) {
		n = 0;
		e = store_event_naming(tx->st, EV_SIGNING_KEY, kid, 1, &ev,
		    &n);
		if (e != ERR_OK)
			return e;
		if (n > 0)
			jwks_drop(feed, i);
		else
			i++;
	}
	return ERR_OK;
}

enum err
shown_keys(struct core_call *call, const char *text, struct keyset *out,
    struct detail *d)
{
	const struct core_tenant *t = call->tenant;
	struct core_tenant *w = tenant_writable(t);
	struct verifier *root = NULL;
	struct txn tx = {.call = call, .mode = STORE_READ};
	struct keyset k = {0};
	struct es256_public pub;
	uint64_t version;
	enum err e;

	(void)pthread_rwlock_rdlock(&w->keys_lock);
	pub = t->keys->root;
	version = t->keys->version;
	(void)pthread_rwlock_unlock(&w->keys_lock);
	e = verifier_new(&pub, &root);
	if (e != ERR_OK)
		return e;
	e = keyset_verify(root, t->issuer, text, strlen(text), &k, d);
	verifier_free(&root);
	if (e != ERR_OK && e != ERR_NOMEM)
		e = ERR_REQUEST;
	if (e == ERR_OK && k.version <= version)
		e = ERR_EXISTS;
	tx.arg = k.feed;
	if (e == ERR_OK)
		e = txn_run(&tx, drop_revoked);
	if (e == ERR_OK)
		*out = k;
	else
		keyset_free(&k);
	return e;
}

static enum err
beat_under_present(const struct core_tenant *t, const char *text,
    size_t len, struct heartbeat *out, struct detail *d)
{
	struct core_tenant *w = tenant_writable(t);
	enum err e;

	(void)pthread_rwlock_rdlock(&w->keys_lock);
	e = heartbeat_verify(t->keys->feed_jwks, t->issuer, text, len,
	    out, d);
	(void)pthread_rwlock_unlock(&w->keys_lock);
	return e;
}

enum err
shown_beat(const struct core_tenant *t, const struct keyset *lost,
    const char *text, size_t len, struct heartbeat *out, struct detail *d)
{
	enum err e = beat_under_present(t, text, len, out, d);

	if (e != ERR_OK && lost->feed != NULL)
		e = heartbeat_verify(lost->feed, t->issuer, text, len,
		    out, d);
	return e;
}

/* ERR_TOKEN: neither of both. */
static enum err
run_or_part(const struct jwks *feed, const char *iss, const char *text,
    struct set_run *out, struct detail *d)
{
	struct snapshot_part p = {0};
	enum err e = set_verify(feed, iss, text, strlen(text), out, d);

	if (e != ERR_TOKEN)
		return e;
	e = snapshot_verify(feed, iss, text, strlen(text), &p, d);
	if (e == ERR_OK)
		*out = (struct set_run){.head = p.head, .events = p.events,
		    .n = p.n};
	return e;
}

enum err
shown_set(const struct core_tenant *t, const struct keyset *lost,
    const char *text, struct set_run *out, struct detail *d)
{
	struct core_tenant *w = tenant_writable(t);
	enum err e;

	(void)pthread_rwlock_rdlock(&w->keys_lock);
	e = run_or_part(t->keys->feed_jwks, t->issuer, text, out, d);
	(void)pthread_rwlock_unlock(&w->keys_lock);
	if (e != ERR_OK && lost->feed != NULL)
		e = run_or_part(lost->feed, t->issuer, text, out, d);
	return e;
}

enum err
event_list_add(struct event_list *l, const struct event *rows, size_t n)
{
	struct event *p;
	size_t cap;

	if (l->n + n > SHOWN_MAX)
		return ERR_TOO_LARGE;
	if (l->n + n > l->cap) {
		cap = (l->n + n) * 2;
		p = realloc(l->rows, cap * sizeof(*p));
		if (p == NULL)
			return ERR_NOMEM;
		l->rows = p;
		l->cap = cap;
	}
	if (n > 0)
		memcpy(l->rows + l->n, rows, n * sizeof(*rows));
	l->n += n;
	return ERR_OK;
}

static int
by_pos(const void *a, const void *b)
{
	const struct event *x = a, *y = b;

	return x->pos < y->pos ? -1 : x->pos > y->pos;
}

void
event_list_sort(struct event_list *l)
{
	if (l->n > 0)
		qsort(l->rows, l->n, sizeof(*l->rows), by_pos);
}

int
event_same(const struct event *a, const struct event *b)
{
	return a->pos == b->pos && a->kind == b->kind &&
	    a->effect == b->effect && a->ep_max == b->ep_max &&
	    strcmp(a->id, b->id) == 0;
}

uint64_t
generation_of(uint64_t pos)
{
	return pos >> POS_GENERATION_SHIFT << POS_GENERATION_SHIFT;
}
