#include "authd/core/shown.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/log.h"

/*
 * Signed events that the database has lost, shown by those who hold them. A
 * head beyond ours stops the tenant; the events themselves are kept, each
 * once, until an admin takes them back. The keys that have signed are ours,
 * so a gateway can show what was said, not make anything up, and no more of
 * it than was ever said.
 */
#define OVERLAP 10000 /* positions that may have been given anew */

static const struct keyset none = {0};

static void
tell_lost(struct core_tenant *t, uint64_t seen)
{
	if (atomic_exchange(&t->lost, seen) == 0)
		log_line(LOG_ERROR_, "events are lost: nothing is issued "
		    "until authctl recover", F_STR("tenant", t->name),
		    F_INT("head", revset_position(t->revset)),
		    F_INT("seen", seen));
}

static enum err
lost_txn(struct store *st, void *arg)
{
	const struct heartbeat *h = arg;
	enum err e = store_lost_set(st, h->head);

	return e == ERR_NOT_FOUND ? ERR_EXISTS : e;
}

enum err
core_feed_seen(struct core_call *call, const char *text, size_t len)
{
	struct core_tenant *t = tenant_writable(call->tenant);
	struct heartbeat h = {0};
	enum err e;

	/* Nothing to us unless our own key has signed it. */
	if (shown_beat(t, &none, text, len, &h, NULL) != ERR_OK ||
	    h.head <= revset_position(t->revset))
		return ERR_OK;
	if (!call->may_block)
		return ERR_WOULD_BLOCK;
	/* Another authd may only be ahead of this one: the counter knows. */
	e = store_run(call->core, t->number, STORE_WRITE, lost_txn, &h);
	if (e == ERR_EXISTS)
		return ERR_OK;
	if (e != ERR_OK)
		return e;
	tell_lost(t, h.head);
	return ERR_NOT_READY;
}

/* ---- what one gateway shows ---- */

struct showing {
	struct keyset lost;	  /* feed NULL: none */
	struct event_list events; /* by position */
	uint64_t seen;		  /* the highest position shown */
	uint64_t unknown;	  /* messages under keys not known here */
	int present;		  /* some are under keys that are here */
	uint64_t version;	  /* of these, or older */
	uint64_t conflict;
	struct held_taken out;
};

static enum err
show_keys(struct core_call *call, const char *text, struct showing *s)
{
	enum err e = shown_keys(call, text, &s->lost, &call->detail);

	return e == ERR_EXISTS ? ERR_OK : e;
}

/* A key that is gone here has signed it: passed over, not a forgery. */
static enum err
settle(struct core_call *call, struct showing *s, enum err e,
    const struct detail *d)
{
	if (e == ERR_TOKEN_KEY) {
		s->unknown++;
		return ERR_OK;
	}
	if (e == ERR_OK || e == ERR_NOMEM)
		return e;
	log_line(LOG_WARN_, "events shown by a gateway refused",
	    F_STR("tenant", call->tenant->name),
	    F_STR("gateway", call->caller->name), F_STR("code", err_code(e)));
	detail_set(&call->detail, "%s", d->text);
	return ERR_REQUEST;
}

static enum err
show_beat(struct core_call *call, const char *text, struct showing *s)
{
	struct heartbeat h = {0};
	struct detail d = {""};
	enum err e;

	e = shown_beat(call->tenant, &s->lost, text, strlen(text), &h, &d);
	if (e == ERR_OK && h.head > s->seen)
		s->seen = h.head;
	return settle(call, s, e, &d);
}

static enum err
show_set(struct core_call *call, const char *text, struct showing *s)
{
	struct set_run run = {0};
	struct detail d = {""};
	enum err e;

	e = shown_set(call->tenant, &none, text, &run, &d);
	if (e == ERR_OK)
		s->present = 1;
	else if (s->lost.feed != NULL)
		e = shown_set(call->tenant, &s->lost, text, &run, &d);
	if (e == ERR_OK && run.n > 0) {
		e = event_list_add(&s->events, run.events, run.n);
		if (run.events[run.n - 1].pos > s->seen)
			s->seen = run.events[run.n - 1].pos;
	}
	set_run_free(&run);
	return settle(call, s, e, &d);
}

/* One event of a position; of two different ones the first. */
static void
sort_out(struct showing *s)
{
	struct event_list *l = &s->events;
	size_t i, n = 0;

	event_list_sort(l);
	for (i = 0; i < l->n; i++) {
		if (n == 0 || l->rows[n - 1].pos != l->rows[i].pos)
			l->rows[n++] = l->rows[i];
		else if (!event_same(&l->rows[n - 1], &l->rows[i]) &&
		    s->conflict == 0)
			s->conflict = l->rows[i].pos;
	}
	l->n = n;
}

static enum err
show_all(struct core_call *call, const struct recovery *in,
    struct showing *s)
{
	enum err e = ERR_OK;
	size_t i;

	if (in->n > RECOVER_SETS_MAX)
		return ERR_REQUEST;
	/* First: a key that is revoked meanwhile counts no more. */
	s->version = shown_version(call->tenant);
	if (in->keys != NULL)
		e = show_keys(call, in->keys, s);
	if (e == ERR_OK && in->seen != NULL)
		e = show_beat(call, in->seen, s);
	for (i = 0; e == ERR_OK && i < in->n; i++)
		e = show_set(call, in->sets[i], s);
	sort_out(s);
	return e;
}

/* ---- keeping it ---- */

enum err
held_filter(struct store *st, uint64_t head, struct held_filter *f)
{
	f->after = generation_of(head);
	return store_keys_version(st, &f->keys);
}

enum err
held_read(struct store *st, const struct held_filter *f,
    struct event_list *l)
{
	struct event *rows = calloc(CORE_PAGE, sizeof(*rows));
	struct held_filter from = *f;
	enum err e = rows == NULL ? ERR_NOMEM : ERR_OK;
	size_t n = CORE_PAGE;

	l->n = 0;
	while (e == ERR_OK && n == CORE_PAGE) {
		n = 0;
		e = store_held_list(st, &from, CORE_PAGE, rows, &n);
		if (e == ERR_OK)
			e = event_list_add(l, rows, n);
		if (e == ERR_OK && n > 0)
			from.after = rows[n - 1].pos;
	}
	free(rows);
	return e;
}

/* Those of l, in order, that rows have not; l and rows by position. */
static void
drop_known(struct event_list *l, uint64_t after, const struct event *rows,
    size_t n)
{
	size_t i, j = 0, kept = 0;

	for (i = 0; i < l->n; i++) {
		if (l->rows[i].pos <= after)
			continue;
		while (j < n && rows[j].pos < l->rows[i].pos)
			j++;
		if (j == n || !event_same(&rows[j], &l->rows[i]))
			l->rows[kept++] = l->rows[i];
	}
	l->n = kept;
}

/*
 * Of what was shown only what the database lacks; from after on. It may have
 * another event at the same position, given anew.
 */
static enum err
keep_lacking(struct store *st, struct event_list *l, uint64_t after)
{
	struct event *rows = calloc(OVERLAP, sizeof(*rows));
	size_t n = 0;
	enum err e;

	e = rows == NULL ? ERR_NOMEM :
	    store_event_list(st, after, OVERLAP, rows, &n);
	if (e == ERR_OK)
		drop_known(l, after, rows, n);
	free(rows);
	return e;
}

static enum err
keep_all(struct txn *tx, struct showing *s, uint64_t now)
{
	const struct held_keys keys = {s->present ? s->version :
	    s->lost.version, now};
	const struct event_list *l = &s->events;
	struct held_said said = {.caller = tx->call->caller->number,
	    .keys = keys.keys};
	uint64_t conflict;
	size_t i, n;
	enum err e = ERR_OK;

	for (i = 0; e == ERR_OK && i < l->n; i += n) {
		n = l->n - i < STORE_HELD_MAX ? l->n - i : STORE_HELD_MAX;
		e = store_held_add(tx->st, l->rows + i, n, &keys, &conflict);
		if (e == ERR_OK && s->conflict == 0)
			s->conflict = conflict;
	}
	if (e != ERR_OK || l->n == 0)
		return e;
	said.first = l->rows[0].pos;
	said.last = l->rows[l->n - 1].pos;
	said.conflict = s->conflict;
	return store_held_said(tx->st, &said);
}

/* The tenant is stopped first: from then on the counter is ours. */
static enum err
take_txn(struct txn *tx)
{
	struct showing *s = tx->arg;
	struct held_filter f = {0};
	struct held_said before;
	uint64_t head = 0, floor = 0, n = 0, keys;
	enum err e;

	e = store_lost_set(tx->st, s->seen);
	if (e == ERR_NOT_FOUND) {
		detail_set(&tx->call->detail, "nothing of that is beyond the "
		    "database");
		return ERR_WRONG_STATE;
	}
	if (e == ERR_OK)
		e = store_position(tx->st, &head, &floor);
	if (e == ERR_OK)
		e = held_filter(tx->st, head, &f);
	if (e == ERR_OK)
		e = store_held_count(tx->st, &f, &n, &keys);
	if (e != ERR_OK)
		return e;
	s->out.after = head > OVERLAP ? head - OVERLAP : 0;
	if (s->out.after < f.after)
		s->out.after = f.after;
	e = store_held_saw(tx->st, tx->call->caller->number, f.keys, &before);
	s->out.known = e == ERR_OK;
	if (e == ERR_OK || e == ERR_NOT_FOUND)
		e = keep_lacking(tx->st, &s->events, s->out.after);
	if (e == ERR_OK && n + s->events.n > SHOWN_MAX)
		return ERR_TOO_LARGE;
	return e == ERR_OK ? keep_all(tx, s, f.keys) : e;
}

static void
tell_conflict(const struct core_call *call, uint64_t pos)
{
	log_line(LOG_ERROR_, "two gateways show different events of one "
	    "position", F_STR("tenant", call->tenant->name),
	    F_STR("gateway", call->caller->name), F_INT("position", pos));
}

enum err
core_held_take(struct core_call *call, const struct recovery *in,
    struct held_taken *out)
{
	struct showing s = {.seen = 0};
	struct txn tx = {.call = call, .mode = STORE_WRITE, .arg = &s};
	enum err e;

	if (!call->may_block)
		return ERR_WOULD_BLOCK;
	e = call_check(call);
	if (e == ERR_OK)
		e = show_all(call, in, &s);
	if (e == ERR_OK)
		e = txn_run(&tx, take_txn);
	if (e == ERR_OK) {
		tell_lost(tenant_writable(call->tenant), s.seen);
		if (s.conflict != 0)
			tell_conflict(call, s.conflict);
		s.out.conflict = s.conflict;
		*out = s.out;
	}
	keyset_free(&s.lost);
	free(s.events.rows);
	return e;
}

/* ---- what is held ---- */

static enum err
report_txn(struct txn *tx)
{
	struct held_report *r = tx->arg;
	struct held_filter f = {0};
	uint64_t floor = 0, keys;
	enum err e;

	e = store_position(tx->st, &r->head, &floor);
	if (e == ERR_OK)
		e = held_filter(tx->st, r->head, &f);
	if (e == ERR_OK)
		e = store_held_count(tx->st, &f, &r->events, &keys);
	if (e == ERR_OK)
		e = store_held_runs(tx->st, &f, r->runs, HELD_RUNS_MAX,
		    &r->nruns);
	return e == ERR_OK ? store_held_by(tx->st, &f, r->by, HELD_BY_MAX,
	    &r->nby) : e;
}

enum err
core_held_report(struct core_call *call, struct held_report *out)
{
	struct held_report r = {0};
	struct txn tx = {.call = call, .mode = STORE_READ, .arg = &r};
	enum err e;

	if (!call->may_block)
		return ERR_WOULD_BLOCK;
	r.by = calloc(HELD_BY_MAX, sizeof(*r.by));
	if (r.by == NULL)
		return ERR_NOMEM;
	e = txn_run(&tx, report_txn);
	r.lost = atomic_load(&call->tenant->lost);
	if (e == ERR_OK)
		*out = r;
	else
		core_held_free(&r);
	return e;
}

void
core_held_free(struct held_report *r)
{
	free(r->by);
	r->by = NULL;
}
