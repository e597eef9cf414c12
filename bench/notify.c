/*
 * The floor of a revocation: from COMMIT (of one row, durable) to the NOTIFY
 * in another session, on this machine's PostgreSQL. notify CONNINFO COUNT
 */
#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include "bench/stats.h"

static int
command(PGconn *db, const char *sql)
{
	PGresult *r = PQexec(db, sql);
	ExecStatusType s = PQresultStatus(r);

	PQclear(r);
	return s == PGRES_COMMAND_OK || s == PGRES_TUPLES_OK ? 0 : -1;
}

static int
await(PGconn *db)
{
	struct pollfd p = {.fd = PQsocket(db), .events = POLLIN};
	PGnotify *n;

	while ((n = PQnotifies(db)) == NULL)
		if (poll(&p, 1, 10000) != 1 || !PQconsumeInput(db))
			return -1;
	PQfreemem(n);
	return 0;
}

static int
ascending(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* The notification is there before the answer to COMMIT may be. */
static int
measure(PGconn *a, PGconn *b, int64_t *us, size_t n)
{
	int64_t begun;
	size_t i;

	for (i = 0; i < n; i++) {
		if (command(a, "BEGIN; INSERT INTO bench_notify DEFAULT "
			       "VALUES; SELECT pg_notify('bench', '')") != 0)
			return -1;
		begun = now_us();
		if (!PQsendQuery(a, "COMMIT") || PQflush(a) != 0 ||
		    await(b) != 0)
			return -1;
		us[i] = now_us() - begun;
		for (PGresult *r; (r = PQgetResult(a)) != NULL;)
			PQclear(r);
	}
	return 0;
}

int
main(int argc, char **argv)
{
	size_t n = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
	PGconn *a = NULL, *b = NULL;
	int64_t *us = NULL;
	int rc = 1;

	if (n == 0 || n > 1000000) {
		fprintf(stderr, "usage: notify CONNINFO COUNT\n");
		return 2;
	}
	a = PQconnectdb(argv[1]);
	b = PQconnectdb(argv[1]);
	us = calloc(n, sizeof(*us));
	if (us != NULL &&
	    command(a, "CREATE TABLE IF NOT EXISTS bench_notify "
		       "(n bigserial PRIMARY KEY)") == 0 &&
	    command(b, "LISTEN bench") == 0 && measure(a, b, us, n) == 0) {
		qsort(us, n, sizeof(*us), ascending);
		printf("{\"p50_us\":%lld,\"p99_us\":%lld}\n",
		    (long long)us[n / 2], (long long)us[n * 99 / 100]);
		rc = 0;
	} else
		fprintf(stderr, "notify: %s%s", PQerrorMessage(a),
		    PQerrorMessage(b));
	PQfinish(a);
	PQfinish(b);
	free(us);
	return rc;
}
