#include "authd/core/shown.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/log.h"
#include "lib/base/parse.h"

#define KEYS_GENERATION_SHIFT 20

/*
 * A database that was restored, or lost its newest writes in a failover,
 * would give positions anew that gateways have seen already. Whoever holds
 * a later head, signed by us, stops the tenant; recovery takes the lost
 * events back under their own positions, goes on in the next generation,
 * and cuts the tenant there, so that nothing obtained meanwhile lives.
 */

static enum err
take_keys(struct core_call *call, const char *text, struct keyset *out)
{
	enum err e = shown_keys(call, text, out, &call->detail);

	if (e == ERR_EXISTS)
		detail_set(&call->detail, "member keys: not newer than the "
		    "key set here");
	return e == ERR_EXISTS ? ERR_REQUEST : e;
}

struct recovering {
	uint64_t seen;
	struct keyset lost; /* feed NULL: none is */
	struct event_list events; /* by position */
	const struct recovery *in;
	struct event cut;
	uint64_t imported;
};

static enum err
refused(struct core_call *call, const struct recovering *r, enum err e,
    const struct detail *d)
{
	if (e == ERR_TOKEN_KEY && r->lost.feed == NULL)
		detail_set(&call->detail, "signed by a key that is not known "
		    "here: if a key was revoked since the backup, give the "
		    "lost key set (keys) as well");
	else
		detail_set(&call->detail, "%s", d->text);
	return ERR_REQUEST;
}

static enum err
take_seen(struct core_call *call, const char *text, struct recovering *r)
{
	const struct core_tenant *t = call->tenant;
	struct heartbeat h = {0};
	struct detail d = {""};
	enum err e;

	e = shown_beat(t, &r->lost, text, strlen(text), &h, &d);
	if (e != ERR_OK)
		return refused(call, r, e, &d);
	r->seen = h.head;
	return ERR_OK;
}

static enum err
take_set(struct core_call *call, const char *text, struct recovering *r)
{
	struct set_run run = {0};
	struct detail d = {""};
	enum err e;

	e = shown_set(call->tenant, &r->lost, text, &run, &d);
	if (e != ERR_OK)
		return refused(call, r, e, &d);
	e = event_list_add(&r->events, run.events, run.n);
	set_run_free(&run);
	return e;
}

/* A key that was revoked when it was lost is revoked: here it still signs. */
static enum err
lose_key(struct txn *tx, const char *kid)
{
	struct secret_key_row *rows = calloc(CORE_KEYS_MAX, sizeof(*rows));
	size_t i, n = 0;
	enum err e;

	e = rows == NULL ? ERR_NOMEM :
	    store_secret_key_list(tx->st, rows, CORE_KEYS_MAX, &n);
	for (i = 0; e == ERR_OK && i < n; i++)
		if (rows[i].has_public && strcmp(rows[i].kid, kid) == 0 &&
		    strcmp(rows[i].purpose, "root") != 0)
			e = key_replace(tx, &rows[i]);
	free(rows);
	return e;
}

/*
 * A rotation was lost: the key in use died by it. If its successor is here,
 * it is in use; else the device holds a key that nobody else has any more,
 * and whoever comes with one that is known here comes with a dead one.
 */
static void
restore_epoch(const struct event *ev, struct device *dev)
{
	if (dev->epoch > ev->ep_max)
		return;
	if (dev->pending > ev->ep_max) {
		dev->epoch = dev->pending;
		dev->pending = 0;
	} else if (dev->state == DEV_ACTIVE) {
		dev->state = DEV_SUSPENDED;
	}
}

/* A device that was blocked when it was lost is suspended: a row says so. */
static enum err
restore_state(struct txn *tx, const struct event *ev)
{
	struct store *st = tx->st;
	struct device dev;
	enum err e;

	if (ev->kind == EV_SIGNING_KEY)
		return lose_key(tx, ev->id);
	if (ev->kind == EV_TENANT)
		return ev->effect == EFFECT_CUT ? ERR_OK :
		    store_tenant_block(st, ev->effect == EFFECT_BLOCK);
	if (ev->kind == EV_GROUP && ev->effect != EFFECT_CUT) {
		e = store_group_block(st, (uint32_t)event_number(ev),
		    ev->effect == EFFECT_BLOCK);
		return e == ERR_NOT_FOUND ? ERR_OK : e;
	}
	if (ev->kind == EV_CALLER && ev->effect != EFFECT_LIFT) {
		e = store_caller_disable(st, event_number(ev));
		return e == ERR_NOT_FOUND ? ERR_OK : e;
	}
	if (ev->kind != EV_DEVICE ||
	    (ev->effect == EFFECT_CUT) != (ev->ep_max != 0))
		return ERR_OK;
	e = store_device_get(st, event_number(ev), &dev);
	if (e == ERR_NOT_FOUND)
		return ERR_OK;
	if (e != ERR_OK)
		return e;
	if (ev->ep_max != 0)
		restore_epoch(ev, &dev);
	else if (ev->effect == EFFECT_BLOCK && dev.state == DEV_ACTIVE)
		dev.state = DEV_SUSPENDED;
	else if (ev->effect == EFFECT_LIFT && dev.state == DEV_SUSPENDED)
		dev.state = DEV_ACTIVE;
	else
		return ERR_OK;
	return store_device_update(st, &dev);
}

/* Positions that have been given twice: the lost event comes anew. */
static enum err
again(struct txn *tx, const struct event *lost, uint64_t *imported)
{
	struct event now = {0}, ev = *lost;
	size_t n = 0;
	enum err e;

	e = store_event_list(tx->st, lost->pos - 1, 1, &now, &n);
	if (e != ERR_OK || (n == 1 && event_same(&now, lost)))
		return e;
	e = txn_event(tx, &ev);
	if (e == ERR_OK)
		e = restore_state(tx, &ev);
	(*imported)++;
	return e;
}

static enum err
import(struct txn *tx, struct recovering *r, uint64_t head)
{
	enum err e = ERR_OK;
	const struct event *ev = r->events.rows;
	uint64_t last = 0;
	size_t i;

	for (i = 0; e == ERR_OK && i < r->events.n; i++) {
		if (ev[i].pos <= head || ev[i].pos == last)
			continue;
		last = ev[i].pos;
		e = store_event_import(tx->st, &ev[i]);
		if (e == ERR_EXISTS)
			return ERR_CONFLICT; /* it was given just now */
		if (e == ERR_OK)
			e = restore_state(tx, &ev[i]);
		r->imported++;
	}
	return e;
}

/*
 * What was appended here since the loss has positions that readers believe
 * to know already: all that is not yet below the floor is told once more.
 */
static enum err
repeat(struct txn *tx, uint64_t floor, uint64_t head)
{
	struct event *rows = calloc(CORE_PAGE, sizeof(*rows));
	uint64_t after = floor;
	size_t i, n = CORE_PAGE;
	enum err e = rows == NULL ? ERR_NOMEM : ERR_OK;

	while (e == ERR_OK && n == CORE_PAGE && after < head) {
		n = 0;
		e = store_event_list(tx->st, after, CORE_PAGE, rows, &n);
		for (i = 0; e == ERR_OK && i < n; i++) {
			after = rows[i].pos;
			if (after <= head)
				e = txn_event(tx, &rows[i]);
		}
	}
	free(rows);
	return e;
}

static uint64_t
generation_after(uint64_t pos)
{
	return ((pos >> POS_GENERATION_SHIFT) + 1) << POS_GENERATION_SHIFT;
}

/* 0: there is none left. */
static uint64_t
next_generation(const struct recovering *r, uint64_t head, uint64_t lost)
{
	const uint64_t end = NUMBER_MAX - SHOWN_MAX;
	uint64_t top = head > r->seen ? head : r->seen;

	if (r->events.n > 0 && r->events.rows[r->events.n - 1].pos > top)
		top = r->events.rows[r->events.n - 1].pos;
	/* What is only said to be lost must not use all of them up. */
	if (lost > top && generation_after(lost) < end)
		top = lost;
	return generation_after(top) < end ? generation_after(top) : 0;
}

/*
 * Whoever has the lost key set takes none of an equal version for newer, so
 * versions have generations too: by bits below any number of changes.
 */
static enum err
raise_keys(struct txn *tx, const struct recovering *r)
{
	uint64_t version = 0;
	enum err e;

	e = store_keys_version(tx->st, &version);
	if (e != ERR_OK)
		return e;
	if (r->lost.version > version)
		version = r->lost.version;
	version = ((version >> KEYS_GENERATION_SHIFT) + 1) <<
	    KEYS_GENERATION_SHIFT;
	if (version > NUMBER_MAX)
		return ERR_REQUEST;
	return store_keys_version_raise(tx->st, version);
}

static enum err
again_all(struct txn *tx, struct recovering *r, uint64_t head)
{
	const struct event_list *l = &r->events;
	enum err e = ERR_OK;
	size_t i;

	for (i = 0; e == ERR_OK && i < l->n && l->rows[i].pos <= head; i++)
		e = again(tx, &l->rows[i], &r->imported);
	return e;
}

/*
 * What gateways have shown and the admin has seen: as many as he expects.
 * Nothing is verified once more: it was when it was shown, under keys that
 * are still good.
 */
static enum err
take_held(struct txn *tx, struct recovering *r, uint64_t head)
{
	struct held_filter f = {0};
	uint64_t n = 0;
	enum err e;

	e = held_filter(tx->st, head, &f);
	if (e == ERR_OK)
		e = store_held_count(tx->st, &f, &n, &r->lost.version);
	if (e != ERR_OK)
		return e;
	tx->call->devices = n;
	if (n != r->in->expect) {
		detail_set(&tx->call->detail, "%llu events are held, not "
		    "%llu", (unsigned long long)n,
		    (unsigned long long)r->in->expect);
		return ERR_EXPECT;
	}
	return held_read(tx->st, &f, &r->events);
}

/* The counter is ours by now: none has been shown meanwhile. */
static enum err
held_still(struct txn *tx, const struct recovering *r, uint64_t head)
{
	struct held_filter f = {0};
	uint64_t n = 0, keys;
	enum err e;

	if (!r->in->held)
		return ERR_OK;
	e = held_filter(tx->st, head, &f);
	if (e == ERR_OK)
		e = store_held_count(tx->st, &f, &n, &keys);
	return e == ERR_OK && n != r->events.n ? ERR_CONFLICT : e;
}

static enum err
recover_txn(struct txn *tx)
{
	struct recovering *r = tx->arg;
	uint64_t lost = atomic_load(&tx->call->tenant->lost);
	uint64_t head = 0, floor = 0, raised;
	enum err e;

	r->imported = 0;
	e = store_position(tx->st, &head, &floor);
	if (e != ERR_OK)
		return e;
	if (r->seen <= head && lost == 0 && r->lost.feed == NULL) {
		detail_set(&tx->call->detail, "nothing is lost: the database "
		    "has all events up to the heartbeat's head");
		return ERR_REQUEST;
	}
	e = r->in->held ? take_held(tx, r, head) : ERR_OK;
	if (e != ERR_OK)
		return e;
	raised = next_generation(r, head, lost);
	if (raised == 0)
		return ERR_REQUEST;
	/* First: from here on the counter is ours alone until the end. */
	e = store_position_raise(tx->st, raised);
	if (e == ERR_OK)
		e = held_still(tx, r, head);
	if (e == ERR_OK)
		e = raise_keys(tx, r);
	if (e == ERR_OK)
		e = import(tx, r, head);
	if (e == ERR_OK)
		e = again_all(tx, r, head);
	if (e == ERR_OK)
		e = repeat(tx, floor, head);
	if (e == ERR_OK)
		e = store_held_clear(tx->st);
	if (e == ERR_OK)
		e = txn_event(tx, &r->cut);
	(void)snprintf(tx->note, sizeof(tx->note), "head %llu, seen %llu, "
	    "%llu events taken back%s", (unsigned long long)head,
	    (unsigned long long)(r->seen > lost ? r->seen : lost),
	    (unsigned long long)r->imported,
	    r->in->held ? " from gateways" : "");
	return e;
}

/* All that is shown, verified: keys, heartbeat, events in order. */
static enum err
take_all(struct core_call *call, const struct recovery *in,
    struct recovering *r)
{
	enum err e = ERR_OK;
	size_t i;

	if (in->n > RECOVER_SETS_MAX)
		return ERR_REQUEST;
	if (in->keys != NULL)
		e = take_keys(call, in->keys, &r->lost);
	/* None can be shown when the key that signed them had to go. */
	if (e == ERR_OK && in->seen != NULL)
		e = take_seen(call, in->seen, r);
	for (i = 0; e == ERR_OK && i < in->n; i++)
		e = take_set(call, in->sets[i], r);
	event_list_sort(&r->events);
	return e;
}

enum err
core_recover(struct core_call *call, const struct recovery *in,
    struct recovered *out)
{
	struct recovering r = {.in = in, .cut = {.kind = EV_TENANT,
	    .effect = EFFECT_CUT}};
	struct txn tx = {.call = call, .mode = STORE_WRITE,
	    .action = "tenant.recover", .object_kind = "tenant", .arg = &r};
	enum err e;

	e = take_all(call, in, &r);
	(void)snprintf(r.cut.id, sizeof(r.cut.id), "%u",
	    call->tenant->number);
	(void)snprintf(tx.object, sizeof(tx.object), "%s",
	    call->tenant->name);
	if (e == ERR_OK)
		e = keyring_prepare(call->core, call->tenant->number);
	if (e == ERR_OK)
		e = txn_run(&tx, recover_txn);
	keyset_free(&r.lost);
	free(r.events.rows);
	if (e != ERR_OK)
		return e;
	atomic_store(&tenant_writable(call->tenant)->lost, 0);
	*out = (struct recovered){r.imported, r.cut.pos};
	return ERR_OK;
}
