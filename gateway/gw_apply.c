#include <stdio.h>
#include <string.h>
#include <time.h>
#include "gateway/gw_int.h"

/* Events, applied: to the set, then to all that was built on it. */
#define SINGLES_MAX 64 /* device events swept one by one */

enum err
gw_adopt_tenant(struct fealty_gateway *g, uint32_t tenant)
{
	struct revset *set;
	enum err e;

	if (atomic_load(&g->set) != NULL)
		return (atomic_load(&g->tenant) == tenant ? ERR_OK :
		    ERR_CONFIG);
	if ((e = revset_new(tenant, &set)) != ERR_OK)
		return (e);
	atomic_store(&g->tenant, tenant);
	atomic_store(&g->set, set);
	return (ERR_OK);
}

enum err
gw_fetch_identity_keys(struct fealty_gateway *g, struct link *l)
{
	struct identity_keys keys;
	struct buf answer = {.max = 65536};
	struct problem why = {.err = ERR_OK};
	struct detail d = {""};
	char path[128];
	enum err e;

	snprintf(path, sizeof(path), "/v1/audiences/%s/identity-keys",
	    g->audience);
	e = link_call(l, "GET", path, NULL, &answer, &why);
	if (e == ERR_OK)
		e = wire_identity_keys_decode(answer.p, answer.len, &keys,
		    &d);
	if (e == ERR_OK && strcmp(keys.audience, g->audience) != 0)
		e = ERR_CONFIG;
	if (e == ERR_OK && (e = gw_adopt_tenant(g, keys.tenant)) == ERR_OK)
		gw_ident_set(g->ident, &keys);
	wipe(&keys, sizeof(keys));
	buf_free(&answer);
	return (e);
}

/*
 * A block names a number; what the authority calls it, and whether it is a
 * suspension or a revocation, is asked for the log's sake and afterwards.
 */
static void
remember(struct fealty_gateway *g, const struct event *ev)
{
	struct gw_psk known;

	if (ev->kind != EV_DEVICE ||
	    !gw_cache_known(g->cache, event_number(ev), &known))
		return;
	gw_why_put(g->why, known.answer.dn, ev->pos, known.answer.device_id,
	    ERR_OK);
	if (ev->effect == EFFECT_BLOCK)
		fetch_reason(g, &known, ev->pos);
	gw_psk_wipe(&known);
}

/* Set first, then what was built on it, then the position is public. */
enum err
gw_apply(struct fealty_gateway *g, const struct event *ev, size_t n)
{
	struct revset *set = atomic_load(&g->set);
	bool single = n <= SINGLES_MAX;
	enum err e;

	if (n == 0)
		return (ERR_OK);
	if ((e = revset_apply(set, ev, n)) != ERR_OK)
		return (e);
	for (size_t i = 0; i < n; i++) {
		remember(g, &ev[i]);
		single = single && ev[i].kind == EV_DEVICE;
	}
	for (size_t i = 0; single && i < n; i++) {
		gw_cache_purge(g->cache, set, event_number(&ev[i]));
		gw_sessions_cut(g, event_number(&ev[i]), false);
	}
	if (!single) {
		gw_cache_purge(g->cache, set, 0);
		gw_sessions_cut(g, 0, false);
	}
	return (ERR_OK);
}

/* What lies below the floor was pruned: nothing older can be trusted. */
void
gw_below_floor(struct fealty_gateway *g, uint64_t floor)
{
	struct revset *set = atomic_load(&g->set);

	revset_advance(set, revset_position(set), floor);
	gw_cache_clear(g->cache);
	gw_sessions_cut(g, 0, true);
	token_cache_clear(g->tokens);
	gw_note(g, FEALTY_WARNING, "fell below the floor", ERR_TOKEN_FLOOR,
	    "every key and session from before was dropped");
}

void
gw_publish(struct fealty_gateway *g, int64_t heard_us)
{
	uint64_t pos = revset_position(atomic_load(&g->set));

	if (atomic_exchange(&g->enforced, pos) != pos)
		gw_sessions_applied(g, pos, heard_us);
}

void
gw_end_stale(struct fealty_gateway *g)
{
	bool closed = gw_fresh(g) == ERR_STALE;

	if (closed && !g->closed_for_stale && g->end_stale_sessions) {
		gw_note(g, FEALTY_WARNING, "sessions ended", ERR_STALE, NULL);
		gw_sessions_end(g, ERR_STALE);
	}
	g->closed_for_stale = closed;
}
