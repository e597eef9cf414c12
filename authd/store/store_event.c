/* Events: appended under the counter's row lock, read in order. */
#include "authd/store/pg.h"

#include <errno.h>
#include <poll.h>

/*
 * The counter's row stays locked until commit: who comes later waits here
 * and gets the higher number, so commit order is number order. pg_notify
 * reaches listeners when, and only if, this transaction commits.
 */
enum err
store_event_append(struct store *st, struct event *e)
{
	static const struct stmt s = {"event_append",
	    "WITH c AS (UPDATE counter SET pos = pos + 1 RETURNING pos) "
	    "INSERT INTO event (tenant, pos, kind, effect, id, ep_max, exp) "
	    "SELECT current_tenant(), c.pos, $1, $2, $3, $4, $5 FROM c "
	    "RETURNING " EVENT_COLUMNS ", pg_notify('fealty_feed', '')"};
	struct pg_args a = {0};
	struct event done;
	enum err err;

	arg_int(&a, e->kind);
	arg_int(&a, e->effect);
	arg_text(&a, e->id);
	arg_int(&a, e->ep_max);
	arg_int(&a, e->exp);
	err = pg_one(st, &s, &a, row_event, &done);
	if (err == ERR_OK) {
		e->pos = done.pos;
		e->at = done.at;
	}
	return err;
}

enum err
store_event_list(struct store *st, uint64_t after, uint32_t limit,
    struct event *rows, size_t *n)
{
	static const struct stmt s = {"event_list",
	    "SELECT " EVENT_COLUMNS " FROM event WHERE pos > $1 "
	    "ORDER BY pos LIMIT $2"};
	const struct pg_list l = {row_event, rows, sizeof(*rows), limit};
	struct pg_args a = {0};

	arg_int(&a, (int64_t)after);
	arg_int(&a, limit);
	return pg_list(st, &s, &a, &l, n);
}

enum err
store_event_last(struct store *st, uint64_t upto, uint64_t *pos)
{
	static const struct stmt s = {"event_last",
	    "SELECT coalesce(max(pos), 0) FROM event WHERE pos <= $1"};
	struct pg_args a = {0};

	arg_int(&a, (int64_t)upto);
	return pg_number(st, &s, &a, pos);
}

/* 2 block, 3 lift; 5 caller, 6 signing-key: as in event.h. */
enum err
store_event_snapshot(struct store *st, uint64_t after, uint64_t floor,
    uint32_t limit, struct event *rows, size_t *n)
{
	static const struct stmt s = {"event_snapshot",
	    "SELECT " EVENT_COLUMNS
	    " FROM event e WHERE pos > $1 AND (pos > $2 OR "
	    "kind IN (5, 6) OR (effect = 2 AND kind <> 4 AND NOT EXISTS ("
	    "SELECT 1 FROM event l WHERE l.kind = e.kind AND l.id = e.id "
	    "AND l.pos > e.pos AND l.effect = 3 AND (l.ep_max = 0 OR "
	    "(e.ep_max > 0 AND l.ep_max >= e.ep_max))))) "
	    "ORDER BY pos LIMIT $3"};
	const struct pg_list l = {row_event, rows, sizeof(*rows), limit};
	struct pg_args a = {0};

	arg_int(&a, (int64_t)after);
	arg_int(&a, (int64_t)floor);
	arg_int(&a, limit);
	return pg_list(st, &s, &a, &l, n);
}

enum err
store_event_import(struct store *st, const struct event *e)
{
	static const struct stmt s = {"event_import",
	    "INSERT INTO event (tenant, " EVENT_COLUMNS ") VALUES "
	    "(current_tenant(), $1, $2, $3, $4, $5, $6, $7) RETURNING 1"};
	struct pg_args a = {0};

	arg_int(&a, (int64_t)e->pos);
	arg_int(&a, e->kind);
	arg_int(&a, e->effect);
	arg_text(&a, e->id);
	arg_int(&a, e->ep_max);
	arg_int(&a, e->exp);
	arg_int(&a, e->at);
	return pg_one(st, &s, &a, NULL, NULL);
}

enum err
store_event_naming(struct store *st, enum event_kind kind, const char *id,
    uint32_t limit, struct event *rows, size_t *n)
{
	static const struct stmt s = {"event_naming",
	    "SELECT " EVENT_COLUMNS " FROM event WHERE kind = $1 AND id = $2 "
	    "ORDER BY pos DESC LIMIT $3"};
	const struct pg_list l = {row_event, rows, sizeof(*rows), limit};
	struct pg_args a = {0};

	arg_int(&a, kind);
	arg_text(&a, id);
	arg_int(&a, limit);
	return pg_list(st, &s, &a, &l, n);
}

/* 1 if a wake-up had arrived; takes all there are. */
static int
take_notifies(struct store *st)
{
	PGnotify *note;
	int any = 0;

	while ((note = PQnotifies(st->conn)) != NULL) {
		PQfreemem(note);
		any = 1;
	}
	return any;
}

static enum err
listen_start(struct store *st)
{
	static const struct stmt s = {"listen", "LISTEN fealty_feed"};
	PGresult *res = NULL;
	enum err e;

	e = pg_run_anywhere(st, &s, NULL, &res);
	PQclear(res);
	if (e == ERR_OK)
		st->listening = 1;
	return e;
}

enum err
store_listen(struct store *st, uint32_t ms)
{
	int64_t deadline = clock_mono_ms(&clock_system) + ms, left;
	struct pollfd p = {.events = POLLIN};

	if (st->tx != TX_NONE)
		return ERR_INTERNAL;
	pg_settle(st);
	/* Whatever came before listening is unknown: that is a wake-up. */
	if (!st->listening || st->conn == NULL)
		return listen_start(st);
	for (;;) {
		if (take_notifies(st))
			return ERR_OK;
		left = deadline - clock_mono_ms(&clock_system);
		if (left <= 0)
			return ERR_TIMEOUT;
		p.fd = PQsocket(st->conn);
		if ((poll(&p, 1, (int)left) < 0 && errno != EINTR) ||
		    !PQconsumeInput(st->conn) ||
		    PQstatus(st->conn) != CONNECTION_OK) {
			pg_drop(st);
			return ERR_STORE;
		}
	}
}
