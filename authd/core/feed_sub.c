#include "authd/core/core_internal.h"

#include <stdlib.h>
#include <string.h>

/* One listener: what the ring has not is read from the store, page by page. */

static void
sub_free(struct feed_sub **ps)
{
	struct feed_sub *s = *ps;

	*ps = NULL;
	feed_message_free(&s->beat);
	feed_message_free(&s->filled);
	free(s);
}

enum err
core_sub_open(struct core_call *call, uint64_t after, int only_events,
    feed_wake *wake, void *arg, struct feed_sub **out)
{
	struct core_tenant *t = tenant_writable(call->tenant);
	struct feed_sub *s;
	enum err e;

	e = call_check(call);
	if (e == ERR_OK)
		e = tenant_ready(call->core, t);
	if (e != ERR_OK)
		return e;
	if (after == UINT64_MAX)
		after = revset_position(t->revset);
	else if (after > revset_position(t->revset))
		return ERR_BACKWARDS;
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return ERR_NOMEM;
	s->wake = wake;
	s->arg = arg;
	s->cursor = after;
	s->tenant = t;
	s->caller = call->caller->number;
	s->only_events = only_events;
	if (!only_events)
		e = feed_sign_beat(call->core, t, &s->beat);
	if (e == ERR_OK)
		e = feed_hub_join(t->hub, s);
	if (e == ERR_OK)
		*out = s;
	else
		sub_free(&s);
	return e;
}

void
core_sub_close(struct feed_sub **ps)
{
	if (*ps == NULL)
		return;
	feed_hub_leave(*ps);
	sub_free(ps);
}

static enum feed_next
hand_out(struct feed_message **from, struct feed_message **out)
{
	*out = *from;
	*from = NULL;
	return FEED_MESSAGE;
}

/* First the keys, then a heartbeat under them, then what is missing. */
enum feed_next
core_sub_next(struct feed_sub *s, struct feed_message **out)
{
	/* Its credential may have died while it listened. */
	if (revset_caller_dead(s->tenant->revset, s->caller))
		return FEED_END;
	if (s->version != 0 && s->beat != NULL)
		return hand_out(&s->beat, out);
	if (s->version != 0 && s->filled != NULL) {
		s->cursor = s->filled->last;
		return hand_out(&s->filled, out);
	}
	return feed_hub_next(s, out);
}

void
core_sub_arm(struct feed_sub *s)
{
	feed_hub_arm(s);
}

struct filling {
	uint64_t cursor, before;
	struct event *rows;
	size_t n;
};

static enum err
fill_txn(struct store *st, void *arg)
{
	struct filling *f = arg;
	enum err e;

	e = store_event_last(st, f->cursor, &f->before);
	return e == ERR_OK ? store_event_list(st, f->cursor, CORE_PAGE,
	    f->rows, &f->n) : e;
}

/*
 * One run from the store, of what has been published: so its end is, once
 * there is nothing between, the beginning of a message of the ring.
 */
static enum err
fill(struct core *c, struct core_tenant *t, struct feed_sub *s,
    struct filling *f)
{
	uint64_t last = feed_hub_last(t->hub);
	struct set_run run;
	enum err e;
	size_t n;

	e = store_run(c, t->number, STORE_READ, fill_txn, f);
	if (e != ERR_OK)
		return e;
	for (n = 0; n < f->n && f->rows[n].pos <= last; n++)
		;
	if (n == 0) /* published, and not there: these are not our events */
		return ERR_NOT_READY;
	run = (struct set_run){.after = f->before,
	    .head = revset_position(t->revset), .events = f->rows,
	    .n = feed_run_length(f->rows, n)};
	s->filled = feed_sign_run(c, t, &run);
	return s->filled == NULL ? ERR_NOMEM : ERR_OK;
}

enum err
core_sub_fill(struct core *c, const struct core_tenant *t,
    struct feed_sub *s)
{
	struct filling f = {.cursor = s->cursor};
	enum err e;

	f.rows = calloc(CORE_PAGE, sizeof(*f.rows));
	if (f.rows == NULL)
		return ERR_NOMEM;
	e = fill(c, tenant_writable(t), s, &f);
	free(f.rows);
	return e;
}
