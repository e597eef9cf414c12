#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "gateway/gw_held.h"

/*
 * What an enrolled gateway asks for: new events while there is no stream,
 * and snapshots. Of the answers only what is signed counts.
 */
#define PAGES_MAX 64 /* in one go */

/* The member's text, borrowed from v; NULL when it is none. */
static const char *
text_of(const json_t *v, size_t max, size_t *len)
{
	*len = json_string_length(v);
	return (json_is_string(v) && *len <= max ? json_string_value(v) :
	    NULL);
}

static enum err
take_page(struct fealty_gateway *g, json_t *page, int64_t heard_us)
{
	const char *set, *beat;
	size_t setlen, beatlen;
	enum err e = ERR_OK;

	set = text_of(json_object_get(page, "set"), SET_MAX, &setlen);
	beat = text_of(json_object_get(page, "heartbeat"), BEAT_MAX,
	    &beatlen);
	if (set != NULL)
		e = follow_run_text(g, set, setlen, heard_us);
	if (e == ERR_OK)
		e = beat != NULL ? follow_beat_text(g, beat, beatlen) :
		    ERR_NOT_READY;
	return (e);
}

static enum err
load(const struct buf *answer, json_t **out)
{
	*out = json_loadb(answer->p != NULL ? answer->p : "", answer->len,
	    JSON_REJECT_DUPLICATES, NULL);
	if (json_is_object(*out))
		return (ERR_OK);
	json_decref(*out);
	*out = NULL;
	return (ERR_JSON);
}

enum err
follow_poll(struct fealty_gateway *g)
{
	struct revset *set = atomic_load(&g->set);
	struct buf answer = {.max = 2 << 20};
	struct problem why = {.err = ERR_OK};
	json_t *page = NULL;
	uint64_t before;
	char path[96];
	enum err e = ERR_OK;

	for (int i = 0; e == ERR_OK && i < PAGES_MAX; i++) {
		before = revset_position(set);
		snprintf(path, sizeof(path),
		    "/v1/revocations?after=%llu&limit=%d",
		    (unsigned long long)before, SET_EVENTS_MAX);
		e = link_call(&g->link, "GET", path, NULL, &answer, &why);
		if (e == ERR_OK)
			e = load(&answer, &page);
		if (e == ERR_OK)
			e = take_page(g, page, gw_tick_us());
		json_decref(page);
		page = NULL;
		if (g->follow->waiting.time_ms == 0)
			break; /* at the head */
		if (e == ERR_OK && revset_position(set) == before)
			e = ERR_AHEAD; /* what is there does not come */
	}
	buf_free(&answer);
	return (e);
}

/* ---- snapshots ---- */

/* What the parts have told so far. */
struct whole {
	struct revset *set;
	uint64_t head, floor;
	uint32_t parts;
};

static enum err
take_part(struct fealty_gateway *g, const char *text, size_t len, uint32_t n,
    struct whole *w)
{
	struct snapshot_part p = {.n = 0};
	struct detail d = {""};
	enum err e;

	pthread_rwlock_rdlock(&g->keys_lock);
	e = text == NULL ? ERR_TOKEN : g->feed_keys == NULL ? ERR_NOT_READY :
	    snapshot_verify(g->feed_keys, g->issuer, text, len, &p, &d);
	pthread_rwlock_unlock(&g->keys_lock);
	if (e == ERR_OK && n == 1) {
		w->head = p.head;
		w->floor = p.floor;
	}
	/* parts of one snapshot, all of them, in order */
	if (e == ERR_OK && (p.part != n || p.parts != w->parts ||
	    p.head != w->head || p.floor != w->floor))
		e = ERR_TOKEN;
	if (e == ERR_OK && p.n > 0)
		e = revset_apply(w->set, p.events, p.n);
	if (e != ERR_OK)
		gw_note(g, FEALTY_WARNING, "snapshot refused", e, d.text);
	snapshot_part_free(&p);
	return (e);
}

static enum err
take_parts(struct fealty_gateway *g, const json_t *page, struct whole *w)
{
	const json_t *parts = json_object_get(page, "parts");
	size_t n = json_array_size(parts), len;
	const char *text;
	enum err e;

	if (n < 1 || n > UINT32_MAX)
		return (ERR_JSON);
	w->parts = (uint32_t)n;
	e = revset_new(atomic_load(&g->tenant), &w->set);
	for (size_t i = 0; e == ERR_OK && i < n; i++) {
		text = text_of(json_array_get(parts, i), SET_MAX, &len);
		e = take_part(g, text, len, (uint32_t)i + 1, w);
	}
	if (e == ERR_OK)
		revset_advance(w->set, w->head, w->floor);
	return (e);
}

/* The new set in the old one's place; then whatever it names is dropped. */
static enum err
put_in_place(struct fealty_gateway *g, struct whole *w, int64_t heard_us)
{
	struct revset *set = atomic_load(&g->set);
	struct follow *f = g->follow;
	enum err e;

	if (f->base != 0 && f->base < w->floor) {
		atomic_store(&g->heard, -1);
		gw_below_floor(g, w->floor);
	}
	if ((e = revset_replace(set, &w->set)) != ERR_OK) {
		gw_note(g, FEALTY_WARNING, "snapshot refused", e,
		    "it is older than what is known");
		return (e);
	}
	gw_cache_purge(g->cache, set, 0);
	gw_sessions_cut(g, 0, false);
	gw_publish(g, heard_us);
	f->base = revset_position(set);
	follow_settle(g);
	return (ERR_OK);
}

enum err
follow_snapshot(struct fealty_gateway *g)
{
	struct buf answer = {.max = (size_t)256 << 20};
	struct problem why = {.err = ERR_OK};
	struct whole w = {.set = NULL};
	json_t *page = NULL;
	int64_t heard_us;
	enum err e;

	e = link_call(&g->follow->bulk, "GET", "/v1/revocations/snapshot",
	    NULL, &answer, &why);
	heard_us = gw_tick_us();
	if (e == ERR_OK)
		e = load(&answer, &page);
	buf_free(&answer);
	if (e == ERR_OK)
		e = take_parts(g, page, &w);
	if (e == ERR_OK)
		e = put_in_place(g, &w, heard_us);
	if (e == ERR_OK)
		held_snapshot(g->held, json_object_get(page, "parts"),
		    w.head);
	if (e != ERR_OK)
		link_next(&g->follow->bulk);
	json_decref(page);
	revset_free(&w.set);
	return (e);
}
