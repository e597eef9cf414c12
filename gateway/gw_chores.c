#include <stdlib.h>
#include "gateway/gw_held.h"

/*
 * What an enrolled gateway's follower needs but must not wait for: identity
 * keys, the key set when the stream does not bring it, the state's file. One
 * job, on a thread of the pool.
 */
struct chores {
	struct job job; /* first */
	struct fealty_gateway *g;
	_Atomic bool busy;
	bool keyset, identity_keys, state, held; /* what this run is for */
	_Atomic bool have_identity_keys;
	int64_t submitted;
};
#define AGAIN_MS 100 /* what is missing is asked for again */
#define NO_KEYS_MS 1000 /* likewise, with a set from the state's file */

enum err
chores_new(struct fealty_gateway *g, struct chores **out)
{
	struct chores *c;

	if ((c = calloc(1, sizeof(*c))) == NULL)
		return (ERR_NOMEM);
	c->g = g;
	*out = c;
	return (ERR_OK);
}

void
chores_free(struct chores **c)
{
	free(*c);
	*c = NULL;
}

static void
run_chores(struct job *j, struct worker *w)
{
	struct chores *c = (struct chores *)(void *)j;
	struct fealty_gateway *g = c->g;
	enum err e = ERR_OK, also = ERR_OK;

	if (w != NULL && c->identity_keys)
		e = gw_fetch_identity_keys(g, &w->link);
	if (w != NULL && c->identity_keys && e == ERR_OK)
		atomic_store(&c->have_identity_keys, true);
	if (w != NULL && c->keyset)
		also = keyset_fetch(g, &w->link);
	if (c->identity_keys || c->keyset)
		atomic_store(&g->follow->chores_err,
		    e != ERR_OK ? e : also);
	if (w != NULL && c->state)
		state_save(g);
	if (w != NULL && c->held)
		held_show(g, &w->link);
	atomic_store(&c->busy, false);
	gw_round_over(g);
	feed_poke(g, false);
}

static bool
have_keys(struct fealty_gateway *g)
{
	bool have;

	pthread_rwlock_rdlock(&g->keys_lock);
	have = g->jwks != NULL;
	pthread_rwlock_unlock(&g->keys_lock);
	return (have);
}

void
chores_start_due(struct fealty_gateway *g)
{
	struct chores *c = g->chores;
	int64_t now = gw_tick(), least;

	if (atomic_load(&c->busy))
		return;
	/* what failed at the start is tried again soon, not in minutes */
	least = now - c->submitted;
	pthread_mutex_lock(&g->feed_lock);
	c->identity_keys = gw_keys_due(g->want_identity_keys,
	    g->identity_keys_tried, now, IDENTITY_KEYS_MIN_MS) ||
	    (atomic_load(&g->set) == NULL && least >= AGAIN_MS) ||
	    (!atomic_load(&c->have_identity_keys) && least >= NO_KEYS_MS);
	c->keyset = gw_keys_due(g->want_jwks, atomic_load(&g->jwks_tried),
	    now, KEYS_MIN_MS) || (!have_keys(g) && least >= AGAIN_MS);
	if (c->identity_keys) {
		g->want_identity_keys = false;
		g->identity_keys_tried = now;
	}
	if (c->keyset) {
		g->want_jwks = false;
		atomic_store(&g->jwks_tried, now);
	}
	pthread_mutex_unlock(&g->feed_lock);
	c->state = state_due(g);
	c->held = held_due(g->held);
	if (!c->identity_keys && !c->keyset && !c->state && !c->held)
		return;
	c->submitted = now;
	c->job.run = run_chores;
	atomic_store(&c->busy, true);
	if (pool_submit(g->pool, &c->job, 0) != ERR_OK)
		atomic_store(&c->busy, false);
}
