#include <stdlib.h>
#include <string.h>
#include "gateway/gw_int.h"

/*
 * A device that has rotated its key has two, until the new one is first used
 * by a completed handshake: that is told to the authority here, the look-up
 * never is. Bounded: what finds no room, or is refused, is told after the
 * device's next handshake, since its key goes on to say that it is pending.
 */
#define AGAIN_MS 50
#define AGAIN_MAX_MS 5000

struct used {
	char identity[PSKID_LEN + 1];
	uint64_t dn;
	uint32_t epoch;
};
struct gw_used {
	struct job job; /* first */
	struct fealty_gateway *g;
	pthread_mutex_t lock;
	struct used due[PSK_USED_MAX];
	uint32_t n;
	bool busy;
	int64_t not_before; /* tick ms */
	unsigned failures;
};

enum err
gw_used_new(struct fealty_gateway *g, struct gw_used **out)
{
	struct gw_used *u;

	if ((u = calloc(1, sizeof(*u))) == NULL)
		return (ERR_NOMEM);
	pthread_mutex_init(&u->lock, NULL);
	u->g = g;
	*out = u;
	return (ERR_OK);
}

void
gw_used_free(struct gw_used **u)
{
	if (*u == NULL)
		return;
	pthread_mutex_destroy(&(*u)->lock);
	free(*u);
	*u = NULL;
}

static enum err
post(struct fealty_gateway *g, struct worker *w, const struct used *what,
    uint32_t n)
{
	struct buf body = {.max = 8192}, answer = {.max = 1024};
	struct problem why = {.err = ERR_OK};
	struct psk_used u = {.n = n};
	enum err e;

	memcpy(u.audience, g->audience, sizeof(u.audience));
	for (uint32_t i = 0; i < n; i++)
		memcpy(u.identity[i], what[i].identity,
		    sizeof(u.identity[i]));
	e = wire_psk_used_encode(&u, &body);
	if (e == ERR_OK)
		e = link_call(&w->link, "POST", "/v1/psk/used", &body,
		    &answer, &why);
	buf_free(&body);
	buf_free(&answer);
	return (e);
}

/* The first n have been told, or will not be; under the lock. */
static void
drop_first(struct gw_used *u, uint32_t n)
{
	u->n -= n;
	memmove(u->due, u->due + n, u->n * sizeof(u->due[0]));
}

static void
settle(struct gw_used *u, uint32_t n, enum err e)
{
	int64_t pause;

	pthread_mutex_lock(&u->lock);
	u->busy = false;
	if (err_retryable(e)) {
		pause = AGAIN_MS << (u->failures < 7 ? u->failures++ : 7);
		u->not_before = gw_tick() +
		    (pause < AGAIN_MAX_MS ? pause : AGAIN_MAX_MS);
	} else {
		u->failures = 0;
		drop_first(u, n);
	}
	pthread_mutex_unlock(&u->lock);
}

static void
run(struct job *j, struct worker *w)
{
	struct gw_used *u = (struct gw_used *)(void *)j;
	struct fealty_gateway *g = u->g;
	struct used what[PSK_USED_MAX];
	enum err e = ERR_BUSY;
	uint32_t n;

	pthread_mutex_lock(&u->lock);
	n = u->n;
	memcpy(what, u->due, n * sizeof(what[0]));
	pthread_mutex_unlock(&u->lock);
	if (w != NULL)
		e = post(g, w, what, n);
	for (uint32_t i = 0; e == ERR_OK && i < n; i++)
		gw_cache_used(g->cache, what[i].dn, what[i].epoch);
	if (w != NULL && e != ERR_OK)
		gw_note(g, FEALTY_WARNING, "first use not told", e, NULL);
	settle(u, n, e);
	if (e == ERR_OK)
		gw_used_kick(g); /* what has come meanwhile */
}

void
gw_used_kick(struct fealty_gateway *g)
{
	struct gw_used *u = g->used;

	pthread_mutex_lock(&u->lock);
	if (u->n > 0 && !u->busy && gw_tick() >= u->not_before) {
		u->job.run = run;
		u->busy = pool_submit(g->pool, &u->job, 0) == ERR_OK;
	}
	pthread_mutex_unlock(&u->lock);
}

/* 0: there is no room for it. */
static int
note(struct fealty_gateway *g, const char *identity, uint64_t dn,
    uint32_t epoch)
{
	struct gw_used *u = g->used;
	uint32_t i;
	int kept = 1;

	pthread_mutex_lock(&u->lock);
	for (i = 0; i < u->n; i++)
		if (u->due[i].dn == dn && u->due[i].epoch == epoch)
			break;
	if (i == PSK_USED_MAX) {
		kept = 0;
	} else if (i == u->n) {
		memcpy(u->due[i].identity, identity,
		    sizeof(u->due[i].identity));
		u->due[i].dn = dn;
		u->due[i].epoch = epoch;
		u->n++;
	}
	pthread_mutex_unlock(&u->lock);
	gw_used_kick(g);
	return (kept);
}

void
gw_used_peer(struct fealty_gateway *g, const struct fealty_device *peer)
{
	char identity[PSKID_LEN + 1];

	/* what a token says of an epoch, the authority has seen used */
	if (peer->tls != 0 && gw_cache_pending(g->cache, peer->device_number,
	    peer->epoch, identity))
		(void)note(g, identity, peer->device_number, peer->epoch);
}

int
fealty_psk_used(struct fealty_gateway *g, const char *identity, size_t len)
{
	char known[PSKID_LEN + 1];
	struct pskid id;

	if (gw_ident_open(g->ident, identity, len, &id) != ERR_OK)
		return (-1);
	memcpy(known, identity, PSKID_LEN);
	known[PSKID_LEN] = '\0';
	/* only of a key that was given here can a handshake have been */
	if (!gw_cache_has(g->cache, id.dn, known))
		return (-1);
	if (gw_cache_pending(g->cache, id.dn, id.epoch, known) &&
	    !note(g, known, id.dn, id.epoch))
		return (-2);
	return (0);
}
