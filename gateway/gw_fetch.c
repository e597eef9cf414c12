#include <stdlib.h>
#include <string.h>
#include "gateway/gw_int.h"

/*
 * Keys on their way. All handshakes that want the same one share a fetch;
 * it lives until its job has run and the last of them has left.
 */
#define REFUSAL_MS 1000 /* how long an authority's refusal is believed */
#define SLOW_MS 100	/* a failure that took longer kept a thread waiting */
#define AWAY_MS 500	/* for so long only one thread tries again */

struct fetch {
	struct job job; /* first */
	struct fealty_gateway *g;
	struct fetch *next;
	struct pskid id;
	struct gw_psk psk;
	uint64_t event; /* != 0: only asks why, for this event */
	bool running;	/* the job has not returned */
	struct conn *waiters;
};
struct fetches {
	pthread_mutex_t lock;
	struct fetch *first; /* those that can be joined */
};

enum err
fetches_new(struct fetches **out)
{
	if ((*out = calloc(1, sizeof(**out))) == NULL)
		return (ERR_NOMEM);
	pthread_mutex_init(&(*out)->lock, NULL);
	return (ERR_OK);
}

void
fetches_free(struct fetches **f)
{
	if (*f == NULL)
		return;
	pthread_mutex_destroy(&(*f)->lock);
	free(*f);
	*f = NULL;
}

static enum err
ask(struct worker *w, struct gw_psk *p)
{
	struct psk_request r = {.tls = p->tls};
	struct buf body = {.max = 1024}, answer = {.max = 16384};
	struct problem why = {.err = ERR_OK};
	struct detail d = {""};
	enum err e;

	memcpy(r.identity, p->identity, sizeof(r.identity));
	memcpy(r.audience, w->g->audience, sizeof(r.audience));
	e = wire_psk_request_encode(&r, &body);
	if (e == ERR_OK)
		e = link_call(&w->link, "POST", "/v1/psk", &body, &answer,
		    &why);
	if (e == ERR_OK)
		e = wire_psk_answer_decode(answer.p, answer.len, &p->answer,
		    &d);
	buf_free(&body);
	buf_free(&answer);
	return (e);
}

/*
 * While the authority does not answer, threads that wait for it would keep
 * out devices whose keys are here: then only one of them at a time tries.
 */
static bool
may_ask(struct fealty_gateway *g)
{
	int64_t until = atomic_load(&g->away_until), now = gw_now(g);

	return (until == 0 || (until <= now && atomic_compare_exchange_strong(
	    &g->away_until, &until, now + AWAY_MS)));
}

static enum err
ask_if_there(struct worker *w, struct gw_psk *p)
{
	struct fealty_gateway *g = w->g;
	int64_t started = gw_now(g), now;
	enum err e;

	if (!may_ask(g))
		return (ERR_NETWORK);
	e = ask(w, p);
	now = gw_now(g);
	if (e != ERR_NETWORK && e != ERR_TIMEOUT)
		atomic_store(&g->away_until, 0);
	else if (now - started >= SLOW_MS)
		atomic_store(&g->away_until, now + AWAY_MS);
	return (e);
}

void
fetch_now(struct worker *w, const struct pskid *id, const char *identity,
    int tls, struct gw_psk *out)
{
	struct fealty_gateway *g = w->g;
	struct revset *set = atomic_load(&g->set);

	memset(out, 0, sizeof(*out));
	memcpy(out->identity, identity, sizeof(out->identity));
	out->tls = tls;
	out->err = ask_if_there(w, out);
	if (out->err == ERR_OK && (out->answer.dn != id->dn ||
	    out->answer.epoch != id->epoch))
		out->err = ERR_INTERNAL;
	if (out->err != ERR_OK) {
		key32_wipe(&out->answer.key);
		out->answer.dn = id->dn;
		out->until = gw_now(g) + REFUSAL_MS;
		if (err_retryable(out->err) || out->err == ERR_INTERNAL)
			return;
	}
	if (set == NULL) {
		out->err = ERR_NOT_READY;
		key32_wipe(&out->answer.key);
		return;
	}
	/* raced with an event: what came is dead already */
	enum err e = gw_cache_put(g->cache, set, out);
	if (e != ERR_OK) {
		key32_wipe(&out->answer.key);
		out->err = e;
	}
}

static void
unlist(struct fetches *fs, struct fetch *f)
{
	struct fetch **p = &fs->first;

	while (*p != NULL && *p != f)
		p = &(*p)->next;
	if (*p == f)
		*p = f->next;
}

static void
fetch_free(struct fetch *f)
{
	gw_psk_wipe(&f->psk);
	free(f);
}

static void
run_fetch(struct job *j, struct worker *w)
{
	struct fetch *f = (struct fetch *)(void *)j;
	struct fetches *fs = f->g->fetches;
	struct gw_psk got;
	int unused;

	memset(&got, 0, sizeof(got));
	got.err = ERR_BUSY;
	if (w != NULL)
		fetch_now(w, &f->id, f->psk.identity, f->psk.tls, &got);
	if (f->event != 0 && got.err != ERR_OK && !err_retryable(got.err))
		gw_why_put(f->g->why, f->id.dn, f->event, "", got.err);
	pthread_mutex_lock(&fs->lock);
	unlist(fs, f);
	f->psk = got;
	f->running = false;
	for (struct conn *c = f->waiters; c != NULL; c = c->next_waiter)
		conn_wake(c);
	unused = f->waiters == NULL;
	pthread_mutex_unlock(&fs->lock);
	gw_psk_wipe(&got);
	if (unused)
		fetch_free(f);
}

static struct fetch *
fetch_make(struct fealty_gateway *g, const struct pskid *id,
    const char *identity, int tls)
{
	struct fetch *f;

	if ((f = calloc(1, sizeof(*f))) == NULL)
		return (NULL);
	f->job.run = run_fetch;
	f->g = g;
	f->id = *id;
	f->psk.tls = tls;
	memcpy(f->psk.identity, identity, sizeof(f->psk.identity));
	f->running = true;
	return (f);
}

enum err
fetch_join(struct fealty_gateway *g, struct conn *c)
{
	struct fetches *fs = g->fetches;
	struct fetch *f;
	enum err e = ERR_OK;

	pthread_mutex_lock(&fs->lock);
	for (f = fs->first; f != NULL; f = f->next)
		if (f->psk.tls == c->tls &&
		    strcmp(f->psk.identity, c->identity) == 0)
			break;
	if (f == NULL) {
		if ((f = fetch_make(g, &c->id, c->identity, c->tls)) == NULL)
			e = ERR_NOMEM;
		else if ((e = pool_submit(g->pool, &f->job, 1)) != ERR_OK)
			fetch_free(f);
		else {
			f->next = fs->first;
			fs->first = f;
		}
	}
	if (e == ERR_OK) {
		c->fetch = f;
		c->next_waiter = f->waiters;
		f->waiters = c;
	}
	pthread_mutex_unlock(&fs->lock);
	return (e);
}

/* Under the lock. The fetch to free, or NULL. */
static struct fetch *
leave(struct conn *c)
{
	struct fetch *f = c->fetch;
	struct conn **p;

	if (f == NULL)
		return (NULL);
	for (p = &f->waiters; *p != NULL; p = &(*p)->next_waiter)
		if (*p == c) {
			*p = c->next_waiter;
			break;
		}
	c->fetch = NULL;
	c->next_waiter = NULL;
	return (f->waiters == NULL && !f->running ? f : NULL);
}

int
fetch_result(struct conn *c, struct gw_psk *out)
{
	struct fetches *fs = c->g->fetches;
	struct fetch *gone = NULL;
	int over = 0;

	pthread_mutex_lock(&fs->lock);
	if (c->fetch != NULL && !c->fetch->running) {
		*out = c->fetch->psk;
		over = 1;
		gone = leave(c);
	}
	pthread_mutex_unlock(&fs->lock);
	if (gone != NULL)
		fetch_free(gone);
	return (over);
}

void
fetch_leave(struct conn *c)
{
	struct fetches *fs = c->g->fetches;
	struct fetch *gone;

	pthread_mutex_lock(&fs->lock);
	gone = leave(c);
	pthread_mutex_unlock(&fs->lock);
	if (gone != NULL)
		fetch_free(gone);
}

void
fetch_reason(struct fealty_gateway *g, const struct gw_psk *known,
    uint64_t event)
{
	struct pskid id = {.dn = known->answer.dn,
	    .epoch = known->answer.epoch};
	struct fetch *f;

	/* not listed: nobody may join it */
	if ((f = fetch_make(g, &id, known->identity, known->tls)) == NULL)
		return;
	f->event = event;
	if (pool_submit(g->pool, &f->job, 0) != ERR_OK)
		fetch_free(f);
}
