/* A connection: making it, giving it up, what its errors mean. */
#include "authd/store/pg.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/log.h"

#define RETRY_MS 200 /* between attempts to connect, of the whole pool */

static const struct {
	const char *state; /* SQLSTATE or its class */
	enum err e;
	int drop; /* another connection may do better */
} states[] = {
    {"40001", ERR_CONFLICT, 0},
    {"40P01", ERR_CONFLICT, 0},
    {"55P03", ERR_CONFLICT, 0},
    {"23505", ERR_EXISTS, 0},
    {"23503", ERR_NOT_FOUND, 0},
    {"23514", ERR_REQUEST, 0},
    {"22", ERR_REQUEST, 0},
    {"57014", ERR_STORE, 0}, /* statement_timeout */
    {"57", ERR_STORE, 1},
    {"08", ERR_STORE, 1},
    {"53", ERR_STORE, 0},
    {"58", ERR_STORE, 1},
    {"XX", ERR_STORE, 1},
    {"25P03", ERR_STORE, 1}, /* idle in transaction */
    {"26000", ERR_STORE, 1}, /* a pooler lost our statements */
    {"0A000", ERR_STORE, 1}, /* plan outlived a migration; no primary */
};

/*
 * A commit that waits for its replica and is cancelled (pg_cancel_backend) is
 * answered COMMIT all the same; only a warning says that no other machine
 * has it.
 */
static void
note_warning(void *arg, const PGresult *res)
{
	struct store *st = arg;
	const char *s = PQresultErrorField(res, PG_DIAG_SEVERITY_NONLOCALIZED);

	st->warned |= s == NULL || strcmp(s, "WARNING") == 0;
}

void
pg_drop(struct store *st)
{
	round_free(&st->pending);
	round_free(&st->queued);
	st->has_pending = 0;
	st->nready = 0;
	st->listening = 0;
	if (st->conn != NULL)
		PQfinish(st->conn);
	st->conn = NULL;
}

enum err
pg_error(struct store *st, const char *what, const PGresult *res)
{
	const char *state = NULL, *text = NULL;
	enum err e = ERR_INTERNAL;
	int drop = 0;
	size_t i;

	if (res != NULL) {
		state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
		text = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
	}
	if (state == NULL || PQstatus(st->conn) != CONNECTION_OK) {
		e = ERR_STORE;
		drop = 1;
	}
	for (i = 0; !drop && i < sizeof(states) / sizeof(states[0]); i++) {
		if (strncmp(state, states[i].state,
		    strlen(states[i].state)) != 0)
			continue;
		e = states[i].e;
		drop = states[i].drop;
		break;
	}
	/* A write that meets a standby: look for the primary again. */
	if (state != NULL && strcmp(state, "25006") == 0 &&
	    st->mode == STORE_WRITE) {
		e = ERR_STORE;
		drop = 1;
	}
	/* The primary message alone: details would quote values. */
	if (e == ERR_STORE || e == ERR_INTERNAL)
		log_line(LOG_WARN_, "database", F_STR("statement", what),
		    F_STR("sqlstate", state == NULL ? "" : state),
		    F_STR("error", text == NULL ? "connection lost" : text));
	if (drop)
		pg_drop(st);
	return e;
}

/*
 * 1 if the caller may try to connect now. While the database is away one
 * tries at a time: a server that hangs would hold all of them for as long as
 * an attempt takes, and the rest are better told at once.
 */
static int
dial_begin(struct store_pool *pool)
{
	int may;

	(void)pthread_mutex_lock(&pool->lock);
	may = clock_mono_ms(&clock_system) >= pool->down_until &&
	    (!pool->down || pool->dialling == 0);
	if (may)
		pool->dialling++;
	(void)pthread_mutex_unlock(&pool->lock);
	return may;
}

static void
dial_end(struct store_pool *pool, int connected)
{
	(void)pthread_mutex_lock(&pool->lock);
	pool->dialling--;
	if (connected)
		pool->down = 0;
	(void)pthread_mutex_unlock(&pool->lock);
	if (!connected)
		pg_note_down(pool);
}

void
pg_note_down(struct store_pool *pool)
{
	(void)pthread_mutex_lock(&pool->lock);
	pool->down = 1;
	pool->down_until = clock_mono_ms(&clock_system) + RETRY_MS;
	(void)pthread_mutex_unlock(&pool->lock);
}

/*
 * As a superuser, an owner or with row_security off every tenant would see
 * every row: such a role is refused before any tenant is served.
 */
static enum err
check_role(struct store *st)
{
	enum err e = ERR_STORE;
	PGresult *res;

	res = PQexec(st->conn,
	    "SELECT pg_catalog.row_security_active('fealty.counter') AND "
	    "pg_catalog.row_security_active('fealty.assertion_mark')");
	if (PQresultStatus(res) != PGRES_TUPLES_OK || PQntuples(res) != 1)
		e = pg_error(st, "check_role", res);
	else if (strcmp(PQgetvalue(res, 0, 0), "t") != 0)
		e = ERR_CONFIG;
	else
		e = ERR_OK;
	PQclear(res);
	if (e == ERR_CONFIG)
		log_line(LOG_ERROR_, "database role escapes row-level "
		    "security: use fealty_app");
	return e == ERR_OK || e == ERR_CONFIG ? e : ERR_STORE;
}

static PGconn *
dial(const struct store_pool *pool)
{
	char options[400], timeout[16], patience[16];
	/* Before dbname: defaults. After it: what must hold. */
	const char *const keys[] = {"target_session_attrs", "keepalives_idle",
	    "tcp_user_timeout", "dbname", "connect_timeout", "options",
	    "client_encoding", "application_name", NULL};
	const char *const values[] = {"read-write", "30", patience,
	    pool->conninfo, timeout, options, "UTF8", "authd", NULL};

	(void)snprintf(timeout, sizeof(timeout), "%u",
	    (pool->conf.connect_ms + 999) / 1000 + 1);
	(void)snprintf(patience, sizeof(patience), "%u",
	    pool->conf.statement_ms + pool->conf.connect_ms);
	(void)snprintf(options, sizeof(options),
	    "-c search_path=fealty,pg_catalog,pg_temp "
	    "-c statement_timeout=%u -c synchronous_commit=on -c jit=off "
	    "-c idle_in_transaction_session_timeout=%u "
	    "-c row_security=on -c client_min_messages=warning",
	    pool->conf.statement_ms, 10000 + 2 * pool->conf.statement_ms);
	return PQconnectdbParams(keys, values, 1);
}

enum err
pg_connect(struct store *st)
{
	enum err e = ERR_STORE;

	if (st->conn != NULL && PQstatus(st->conn) == CONNECTION_OK)
		return ERR_OK;
	pg_drop(st);
	if (!dial_begin(st->pool))
		return ERR_STORE;
	st->conn = dial(st->pool);
	if (st->conn == NULL || PQstatus(st->conn) != CONNECTION_OK) {
		log_line(LOG_WARN_, "database connection failed");
		goto out;
	}
	(void)PQsetNoticeReceiver(st->conn, note_warning, st);
	e = check_role(st);
	if (e != ERR_OK)
		goto out;
	e = PQenterPipelineMode(st->conn) == 1 ? ERR_OK : ERR_STORE;
	st->plans_ms = PLANS_FIRST_MS;
	st->plans_until = clock_mono_ms(&clock_system) + st->plans_ms;
out:
	if (e != ERR_OK)
		pg_drop(st);
	dial_end(st->pool, e == ERR_OK);
	return e;
}
