/*
 * Transactions. BEGIN and the tenant travel with the first statement, an
 * audit row with the one behind it, which is nearly always the commit; the
 * end of what has changed nothing is sent and not waited for.
 */
#include "authd/store/pg.h"

#include <stdio.h>
#include <string.h>

enum err
store_begin(struct store *st, uint32_t tenant, enum store_mode mode)
{
	if (st->tx != TX_NONE)
		return ERR_INTERNAL;
	/* Cheap when connected; says now, not later, that it is not. */
	if (pg_connect(st) != ERR_OK)
		return ERR_STORE;
	st->tenant = tenant;
	st->mode = mode;
	st->tx = TX_WANTED;
	return ERR_OK;
}

enum err
pg_fail(struct store *st, enum err e)
{
	if (st->tx != TX_NONE)
		st->tx = TX_FAILED;
	return e;
}

#define PLANS_LAST_MS 64000

/*
 * Plans are kept with the session, and one that was made while a table was
 * small may read all of it when it is large; the server makes it anew only
 * after its own analysis, a minute or more later. So they are dropped after
 * a second, two, four, and from then on every minute.
 */
static enum err
add_begin(struct store *st, struct pg_round *r)
{
	static const struct stmt discard = {"discard_plans",
	    "DISCARD PLANS"};
	int64_t now = clock_mono_ms(&clock_system);
	struct pg_args tenant = {0};
	char number[16];
	enum err e;

	(void)snprintf(number, sizeof(number), "%u", st->tenant);
	arg_text(&tenant, number);
	e = round_add(st, r, st->mode == STORE_READ ? &pg_begin_read :
	    &pg_begin_write, NULL);
	if (e == ERR_OK && now >= st->plans_until) {
		e = round_add(st, r, &discard, NULL);
		st->plans_until = now + st->plans_ms;
		if (st->plans_ms < PLANS_LAST_MS)
			st->plans_ms *= 2;
	}
	return e == ERR_OK ? round_add(st, r, &pg_set_tenant, &tenant) : e;
}

static enum err
send_all(struct store *st, struct pg_round *r, const struct pg_call *calls,
    int n)
{
	enum err e = ERR_OK;
	int i;

	*r = st->queued;
	memset(&st->queued, 0, sizeof(st->queued));
	if (st->tx == TX_WANTED)
		e = add_begin(st, r);
	if (e == ERR_OK && st->has_audit)
		e = audit_add(st, r);
	for (i = 0; e == ERR_OK && i < n; i++)
		e = round_add(st, r, calls[i].s, calls[i].a);
	if (e == ERR_OK)
		e = round_send(st, r);
	/* Half a round cannot be taken back. */
	if (e != ERR_OK)
		pg_drop(st);
	return e;
}

/* Once: the connection must be there. */
static enum err
run_once(struct store *st, const struct pg_call *calls, int n,
    PGresult **res)
{
	struct pg_round r = {0};
	enum err e;
	int i;

	pg_settle(st);
	if (st->conn == NULL) {
		if (st->tx == TX_OPEN)
			return ERR_STORE;
		e = pg_connect(st);
		if (e != ERR_OK)
			return ERR_STORE;
	}
	e = send_all(st, &r, calls, n);
	if (e == ERR_OK)
		e = round_read(st, &r);
	if (e == ERR_OK) {
		if (st->tx == TX_WANTED)
			st->tx = TX_OPEN;
		st->has_audit = 0;
		for (i = 0; i < n; i++) {
			res[i] = r.res[r.n - n + i];
			r.res[r.n - n + i] = NULL;
		}
	}
	round_free(&r);
	return e;
}

static void
free_args(const struct pg_call *calls, int n)
{
	int i;

	for (i = 0; i < n; i++)
		if (calls[i].a != NULL)
			args_free(calls[i].a);
}

static enum err
run(struct store *st, const struct pg_call *calls, int n, PGresult **res)
{
	int fresh = st->conn == NULL, retry, i;
	enum err e = ERR_OK;

	for (i = 0; e == ERR_OK && i < n; i++)
		e = calls[i].a == NULL ? ERR_OK : calls[i].a->e;
	if (e == ERR_OK)
		e = run_once(st, calls, n, res);
	/*
	 * A connection that died while idle (the database was restarted):
	 * nothing of this transaction has happened yet, so once more. What
	 * runs outside of one only reads.
	 */
	retry = e == ERR_STORE && !fresh && st->conn == NULL &&
	    (st->tx == TX_WANTED || st->tx == TX_NONE);
	if (retry)
		e = run_once(st, calls, n, res);
	free_args(calls, n);
	return e == ERR_OK ? e : pg_fail(st, e);
}

enum err
pg_run_all(struct store *st, const struct pg_call *calls, int n,
    PGresult **res)
{
	if (st->tx == TX_WANTED || st->tx == TX_OPEN)
		return run(st, calls, n, res);
	free_args(calls, n);
	return ERR_INTERNAL;
}

enum err
pg_run(struct store *st, const struct stmt *s, struct pg_args *a,
    PGresult **res)
{
	const struct pg_call one = {s, a};

	return pg_run_all(st, &one, 1, res);
}

enum err
pg_run_anywhere(struct store *st, const struct stmt *s, struct pg_args *a,
    PGresult **res)
{
	const struct pg_call one = {s, a};

	if (st->tx != TX_FAILED)
		return run(st, &one, 1, res);
	free_args(&one, 1);
	return ERR_INTERNAL;
}

enum err
pg_first(struct store *st, const PGresult *res, row_fn *fn, void *out)
{
	struct pg_row row = {.res = res};

	if (PQntuples(res) < 1)
		return ERR_NOT_FOUND;
	if (fn != NULL)
		fn(st, &row, out);
	return row.e == ERR_OK ? ERR_OK : pg_fail(st, row.e);
}

enum err
pg_one(struct store *st, const struct stmt *s, struct pg_args *a, row_fn *fn,
    void *out)
{
	PGresult *res = NULL;
	enum err e;

	e = pg_run(st, s, a, &res);
	if (e != ERR_OK)
		return e;
	e = pg_first(st, res, fn, out);
	PQclear(res);
	return e;
}

enum err
pg_later(struct store *st, const struct stmt *s, struct pg_args *a)
{
	enum err e = a->e;

	if (st->tx != TX_OPEN || st->conn == NULL || st->queued.n > 0)
		return pg_one(st, s, a, NULL, NULL);
	if (e == ERR_OK)
		e = round_add(st, &st->queued, s, a);
	args_free(a);
	if (e == ERR_OK)
		return e;
	pg_drop(st); /* half of it may be in the pipeline */
	return pg_fail(st, e);
}

enum err
pg_all(struct store *st, const PGresult *res, const struct pg_list *l,
    size_t *n)
{
	struct pg_row row = {.res = res};
	size_t got = (size_t)PQntuples(res);

	if (got > l->max)
		got = l->max;
	for (row.row = 0; (size_t)row.row < got; row.row++) {
		row.col = 0;
		l->fn(st, &row,
		    (char *)l->rows + (size_t)row.row * l->size);
	}
	if (row.e != ERR_OK)
		return pg_fail(st, row.e);
	*n = got;
	return ERR_OK;
}

enum err
pg_list(struct store *st, const struct stmt *s, struct pg_args *a,
    const struct pg_list *l, size_t *n)
{
	PGresult *res = NULL;
	enum err e;

	e = pg_run(st, s, a, &res);
	if (e != ERR_OK)
		return e;
	e = pg_all(st, res, l, n);
	PQclear(res);
	return e;
}

void
row_one_int(struct store *st, struct pg_row *r, void *out)
{
	uint64_t *v = out;

	(void)st;
	*v = row_u64(r);
}

enum err
pg_number(struct store *st, const struct stmt *s, struct pg_args *a,
    uint64_t *out)
{
	uint64_t v = 0;
	enum err e;

	e = pg_one(st, s, a, row_one_int, &v);
	if (e == ERR_OK)
		*out = v;
	return e;
}

/* Sends s and leaves its answer to be read before the next round. */
static void
end_later(struct store *st, const struct stmt *s)
{
	struct pg_round r = st->queued;

	memset(&st->queued, 0, sizeof(st->queued));
	if (st->conn == NULL)
		return;
	if (round_add(st, &r, s, NULL) != ERR_OK ||
	    round_send(st, &r) != ERR_OK) {
		pg_drop(st);
		return;
	}
	st->pending = r;
	st->has_pending = 1;
}

/*
 * Early: the commit lets go of its locks, and a transaction behind it, of one
 * WAL record, is the one that waits for the disk (and the replica). WAL is in
 * order: when that one is down, so is the commit before it.
 */
static enum err
end_now(struct store *st)
{
	static const struct stmt unwaited = {"commit_unwaited",
	    "SELECT pg_catalog.set_config('synchronous_commit', 'off', true)"};
	static const struct stmt flush = {"commit_flush",
	    "SELECT pg_catalog.pg_logical_emit_message(true, 'fealty', '')"};
	static const struct pg_call calls[3] = {{&unwaited, NULL},
	    {&pg_commit, NULL}, {&flush, NULL}};
	struct pg_round r = {0};
	int early = st->early;
	enum err e;

	if (st->conn == NULL || send_all(st, &r, early ? calls : calls + 1,
	    early ? 3 : 1) != ERR_OK)
		return ERR_STORE;
	/* What fails before the commit takes it with it. */
	e = round_read(st, &r);
	if (e == ERR_OK)
		e = round_committed(st, &r, r.n - 1 - early);
	round_free(&r);
	return e;
}

enum err
store_commit(struct store *st)
{
	enum err e = ERR_OK;

	switch (st->tx) {
	case TX_NONE:
	case TX_FAILED:
		return ERR_INTERNAL;
	case TX_WANTED:
		break;
	case TX_OPEN:
		if (st->mode == STORE_READ)
			end_later(st, &pg_commit);
		else
			e = end_now(st);
		break;
	}
	if (e != ERR_OK)
		return pg_fail(st, e);
	st->tx = TX_NONE;
	st->has_audit = 0;
	st->early = 0;
	return ERR_OK;
}

void
store_unlock_early(struct store *st)
{
	st->early = st->mode == STORE_WRITE;
}

void
store_rollback(struct store *st)
{
	if (st == NULL)
		return;
	if (st->tx == TX_OPEN || st->tx == TX_FAILED)
		end_later(st, &pg_rollback);
	st->tx = TX_NONE;
	st->has_audit = 0;
	st->early = 0;
}
