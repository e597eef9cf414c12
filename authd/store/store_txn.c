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

static enum err
send_all(struct store *st, struct pg_round *r, const struct stmt *s,
    const struct pg_args *a)
{
	struct pg_args tenant = {0};
	char number[16];
	enum err e = ERR_OK;

	if (st->tx == TX_WANTED) {
		(void)snprintf(number, sizeof(number), "%u", st->tenant);
		arg_text(&tenant, number);
		e = round_add(st, r, st->mode == STORE_READ ? &pg_begin_read :
		    &pg_begin_write, NULL);
		if (e == ERR_OK)
			e = round_add(st, r, &pg_set_tenant, &tenant);
	}
	if (e == ERR_OK && st->has_audit)
		e = audit_add(st, r);
	if (e == ERR_OK)
		e = round_add(st, r, s, a);
	if (e == ERR_OK)
		e = round_send(st, r);
	/* Half a round cannot be taken back. */
	if (e != ERR_OK)
		pg_drop(st);
	return e;
}

/* Once: the connection must be there. */
static enum err
run_once(struct store *st, const struct stmt *s, const struct pg_args *a,
    PGresult **res)
{
	struct pg_round r = {0};
	enum err e;

	pg_settle(st);
	if (st->conn == NULL) {
		if (st->tx == TX_OPEN)
			return ERR_STORE;
		e = pg_connect(st);
		if (e != ERR_OK)
			return ERR_STORE;
	}
	e = send_all(st, &r, s, a);
	if (e == ERR_OK)
		e = round_read(st, &r);
	if (e == ERR_OK) {
		if (st->tx == TX_WANTED)
			st->tx = TX_OPEN;
		st->has_audit = 0;
		*res = r.res[r.n - 1];
		r.res[r.n - 1] = NULL;
	}
	round_free(&r);
	return e;
}

static enum err
run(struct store *st, const struct stmt *s, struct pg_args *a,
    PGresult **res)
{
	int fresh = st->conn == NULL, retry;
	enum err e = a == NULL ? ERR_OK : a->e;

	if (e == ERR_OK)
		e = run_once(st, s, a, res);
	/*
	 * A connection that died while idle (the database was restarted):
	 * nothing of this transaction has happened yet, so once more. What
	 * runs outside of one only reads.
	 */
	retry = e == ERR_STORE && !fresh && st->conn == NULL &&
	    (st->tx == TX_WANTED || st->tx == TX_NONE);
	if (retry)
		e = run_once(st, s, a, res);
	if (a != NULL)
		args_free(a);
	return e == ERR_OK ? e : pg_fail(st, e);
}

enum err
pg_run(struct store *st, const struct stmt *s, struct pg_args *a,
    PGresult **res)
{
	if (st->tx == TX_WANTED || st->tx == TX_OPEN)
		return run(st, s, a, res);
	if (a != NULL)
		args_free(a);
	return ERR_INTERNAL;
}

enum err
pg_run_anywhere(struct store *st, const struct stmt *s, struct pg_args *a,
    PGresult **res)
{
	if (st->tx != TX_FAILED)
		return run(st, s, a, res);
	if (a != NULL)
		args_free(a);
	return ERR_INTERNAL;
}

enum err
pg_one(struct store *st, const struct stmt *s, struct pg_args *a, row_fn *fn,
    void *out)
{
	struct pg_row row = {0};
	PGresult *res = NULL;
	enum err e;

	e = pg_run(st, s, a, &res);
	if (e != ERR_OK)
		return e;
	if (PQntuples(res) < 1) {
		e = ERR_NOT_FOUND;
	} else if (fn != NULL) {
		row.res = res;
		fn(st, &row, out);
		e = row.e == ERR_OK ? ERR_OK : pg_fail(st, row.e);
	}
	PQclear(res);
	return e;
}

enum err
pg_list(struct store *st, const struct stmt *s, struct pg_args *a,
    const struct pg_list *l, size_t *n)
{
	struct pg_row row = {0};
	PGresult *res = NULL;
	size_t got;
	enum err e;

	e = pg_run(st, s, a, &res);
	if (e != ERR_OK)
		return e;
	got = (size_t)PQntuples(res);
	if (got > l->max)
		got = l->max;
	row.res = res;
	for (row.row = 0; (size_t)row.row < got; row.row++) {
		row.col = 0;
		l->fn(st, &row,
		    (char *)l->rows + (size_t)row.row * l->size);
	}
	PQclear(res);
	if (row.e != ERR_OK)
		return pg_fail(st, row.e);
	*n = got;
	return ERR_OK;
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
	struct pg_round r = {0};

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

static enum err
end_now(struct store *st)
{
	struct pg_round r = {0};
	enum err e;

	if (st->conn == NULL || send_all(st, &r, &pg_commit, NULL) != ERR_OK)
		return ERR_STORE;
	/* What fails before the commit takes it with it. */
	e = round_read(st, &r);
	if (e == ERR_OK)
		e = round_committed(st, &r, r.n - 1);
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
	return ERR_OK;
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
}
