/* What travels together: statements, one sync, one wait with a deadline. */
#include "authd/store/pg.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "lib/base/log.h"

const struct stmt pg_begin_read = {"begin_read",
    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"};
const struct stmt pg_begin_write = {"begin_write",
    "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"};
const struct stmt pg_set_tenant = {"set_tenant",
    "SELECT pg_catalog.set_config('fealty.tenant', $1, true)"};
const struct stmt pg_commit = {"commit", "COMMIT"};
const struct stmt pg_rollback = {"rollback", "ROLLBACK"};

#define GRACE_MS 2000 /* on top of the server's own statement_timeout */

/* Prepared, or on the way to be in this round. */
static int
is_ready(const struct store *st, const struct pg_round *r,
    const struct stmt *s)
{
	int i;

	for (i = 0; i < st->nready; i++)
		if (st->ready[i] == s)
			return 1;
	for (i = 0; i < r->n; i++)
		if (r->step[i].s == s)
			return 1;
	return 0;
}

enum err
round_add(struct store *st, struct pg_round *r, const struct stmt *s,
    const struct pg_args *a)
{
	static const struct pg_args none;
	int prepare = !is_ready(st, r, s);

	if (a == NULL)
		a = &none;
	if (a->e != ERR_OK)
		return a->e;
	if (r->n >= PG_ROUND_MAX ||
	    (prepare && st->nready + r->n >= PG_STMTS_MAX))
		return ERR_INTERNAL;
	if (prepare && !PQsendPrepare(st->conn, s->name, s->sql, a->n,
	    a->type))
		return ERR_STORE;
	if (!PQsendQueryPrepared(st->conn, s->name, a->n, a->value, a->len,
	    (const int[PG_ARGS_MAX]){1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
	    1, 1, 1, 1, 1, 1}, 1))
		return ERR_STORE;
	r->step[r->n].s = s;
	r->step[r->n].prepare = prepare;
	r->n++;
	return ERR_OK;
}

enum err
round_send(struct store *st, const struct pg_round *r)
{
	(void)r;
	return PQpipelineSync(st->conn) ? ERR_OK : ERR_STORE;
}

void
round_free(struct pg_round *r)
{
	int i;

	for (i = 0; i < PG_ROUND_MAX; i++)
		PQclear(r->res[i]);
	memset(r, 0, sizeof(*r));
}

/* The next result or NULL for the end of one statement; 0 when lost. */
static int
next_result(struct store *st, int64_t deadline, PGresult **res)
{
	struct pollfd p = {.fd = PQsocket(st->conn), .events = POLLIN};
	int64_t left;
	int n;

	while (PQisBusy(st->conn)) {
		left = deadline - clock_mono_ms(&clock_system);
		if (left <= 0)
			return 0;
		n = poll(&p, 1, (int)left);
		if (n < 0 && errno != EINTR)
			return 0;
		if (n > 0 && !PQconsumeInput(st->conn))
			return 0;
	}
	*res = PQgetResult(st->conn);
	return 1;
}

/* One answer and the NULL behind it. */
static int
take_answer(struct store *st, int64_t deadline, PGresult **out)
{
	PGresult *end = NULL;

	if (!next_result(st, deadline, out) || *out == NULL)
		return 0;
	if (!next_result(st, deadline, &end))
		return 0;
	if (end != NULL) {
		PQclear(end);
		return 0;
	}
	return 1;
}

static int
take_sync(struct store *st, int64_t deadline)
{
	PGresult *res = NULL;
	int ok;

	ok = next_result(st, deadline, &res) && res != NULL &&
	    PQresultStatus(res) == PGRES_PIPELINE_SYNC;
	PQclear(res);
	return ok;
}

static int
succeeded(const PGresult *res)
{
	ExecStatusType s = PQresultStatus(res);

	return s == PGRES_COMMAND_OK || s == PGRES_TUPLES_OK;
}

/* 0 when the connection is lost; *bad is the first failed answer. */
static int
read_step(struct store *st, struct pg_round *r, int i, int64_t deadline,
    PGresult **bad)
{
	PGresult *res = NULL;

	if (r->step[i].prepare) {
		if (!take_answer(st, deadline, &res)) {
			PQclear(res);
			return 0;
		}
		if (succeeded(res))
			st->ready[st->nready++] = r->step[i].s;
		else if (*bad == NULL) {
			*bad = res;
			res = NULL;
		}
		PQclear(res);
	}
	if (!take_answer(st, deadline, &r->res[i]))
		return 0;
	if (succeeded(r->res[i])) {
		r->done++;
	} else if (*bad == NULL) {
		*bad = r->res[i];
		r->res[i] = NULL;
	}
	return 1;
}

enum err
round_read(struct store *st, struct pg_round *r)
{
	const char *what = "sync";
	PGresult *bad = NULL;
	enum err e = ERR_OK;
	int64_t deadline;
	int i, lost = 0;

	st->warned = 0;
	/* Statements of a round are short: one may use up the time of all. */
	deadline = clock_mono_ms(&clock_system) + GRACE_MS +
	    st->pool->conf.statement_ms;
	for (i = 0; i < r->n && !lost; i++) {
		if (bad == NULL)
			what = r->step[i].s->name;
		lost = !read_step(st, r, i, deadline, &bad);
	}
	if (!lost && !take_sync(st, deadline))
		lost = 1;
	if (bad != NULL)
		e = pg_error(st, what, bad);
	else if (lost)
		e = ERR_STORE;
	PQclear(bad);
	if (lost) {
		if (e == ERR_OK || bad == NULL)
			(void)pg_error(st, what, NULL);
		pg_drop(st);
		/* Not gone but silent: no use in asking it again at once. */
		if (clock_mono_ms(&clock_system) >= deadline)
			pg_note_down(st->pool);
		e = ERR_STORE;
	}
	return e;
}

/*
 * Only the tag COMMIT is a commit: the server answers ROLLBACK, without an
 * error, where the transaction had failed. And only one without a warning:
 * see note_warning in pg.c.
 */
enum err
round_committed(const struct store *st, const struct pg_round *r, int i)
{
	if (strcmp(PQcmdStatus(r->res[i]), "COMMIT") != 0)
		return ERR_STORE;
	if (!st->warned)
		return ERR_OK;
	log_line(LOG_WARN_, "database", F_STR("statement", "commit"),
	    F_STR("error", "committed here, but not confirmed by a replica"));
	return ERR_STORE;
}

void
pg_settle(struct store *st)
{
	struct pg_round r;

	if (!st->has_pending)
		return;
	r = st->pending;
	memset(&st->pending, 0, sizeof(st->pending));
	st->has_pending = 0;
	if (st->conn != NULL && round_read(st, &r) != ERR_OK)
		pg_drop(st);
	round_free(&r);
}
