/* Schema versions: files NNNN-*.sql, each once, whoever comes first. */
#include <ctype.h>
#include <dirent.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "authd/store/bootstrap.h"
#include "authd/store/store.h"
#include "lib/base/file.h"
#include "lib/base/parse.h"
#include "lib/model/names.h"

#define SQL_MAX (4u << 20)
#define LOCK_KEY "7234961100000001" /* one migration at a time */

static void
no_notice(void *arg, const char *message)
{
	(void)arg;
	(void)message;
}

/* The message without what follows its first line. */
static void
say(struct detail *d, const char *what, const char *message)
{
	detail_set(d, "%s: %.*s", what, (int)strcspn(message, "\n"), message);
}

static enum err
dial(const char *conninfo, PGconn **out, struct detail *d)
{
	const char *const keys[] = {"target_session_attrs", "dbname",
	    "connect_timeout", "options", "client_encoding",
	    "application_name", NULL};
	const char *const values[] = {"read-write", conninfo, "10",
	    "-c lock_timeout=60000 -c client_min_messages=error", "UTF8",
	    "fealty-migrate", NULL};
	PGconn *conn;

	conn = PQconnectdbParams(keys, values, 1);
	if (conn == NULL || PQstatus(conn) != CONNECTION_OK) {
		say(d, "database", conn == NULL ? "" : PQerrorMessage(conn));
		PQfinish(conn);
		return ERR_STORE;
	}
	(void)PQsetNoticeProcessor(conn, no_notice, NULL);
	*out = conn;
	return ERR_OK;
}

/* Simple protocol: sql may hold many statements. */
static enum err
exec(PGconn *conn, const char *what, const char *sql, struct detail *d)
{
	PGresult *res = PQexec(conn, sql);
	ExecStatusType s = PQresultStatus(res);
	enum err e = ERR_OK;

	if (s != PGRES_COMMAND_OK && s != PGRES_TUPLES_OK) {
		say(d, what, PQerrorMessage(conn));
		e = ERR_STORE;
	}
	PQclear(res);
	return e;
}

/* One number. */
static enum err
ask(PGconn *conn, const char *sql, int *out, struct detail *d)
{
	PGresult *res = PQexec(conn, sql);
	enum err e = ERR_OK;
	uint64_t v = 0;

	if (PQresultStatus(res) != PGRES_TUPLES_OK || PQntuples(res) != 1) {
		say(d, "database", PQerrorMessage(conn));
		e = ERR_STORE;
	} else {
		e = parse_u64(PQgetvalue(res, 0, 0), 9999, &v);
		if (e == ERR_OK)
			*out = (int)v;
	}
	PQclear(res);
	return e;
}

static enum err
version(PGconn *conn, int *out, struct detail *d)
{
	int there = 0;
	enum err e;

	/*
	 * A query over the catalogue, not to_regclass: that one may answer
	 * from a cache that has not heard of who held the lock before us.
	 */
	e = ask(conn, "SELECT count(*) FROM pg_catalog.pg_tables "
	    "WHERE schemaname = 'fealty' AND tablename = 'schema_version'",
	    &there, d);
	if (e != ERR_OK || !there) {
		if (e == ERR_OK)
			*out = 0;
		return e;
	}
	return ask(conn, "SELECT coalesce(max(version), 0) "
	    "FROM fealty.schema_version", out, d);
}

static int
is_migration(const struct dirent *e)
{
	const char *n = e->d_name;
	size_t len = strlen(n);
	int i;

	for (i = 0; i < 4; i++)
		if (!isdigit((unsigned char)n[i]))
			return 0;
	return n[4] == '-' && len > 8 && strcmp(n + len - 4, ".sql") == 0;
}

/* Applies the file as version v, unless another process just has. */
static enum err
apply(PGconn *conn, const char *dir, const char *name, int v,
    struct detail *d)
{
	struct buf sql = {.max = SQL_MAX};
	char path[4096];
	int now = 0, n;
	enum err e = ERR_CONFIG;

	n = snprintf(path, sizeof(path), "%s/%s", dir, name);
	if (n < 0 || (size_t)n >= sizeof(path)) {
		detail_set(d, "%s: path too long", name);
		goto out;
	}
	e = file_read(path, SQL_MAX, &sql);
	if (e == ERR_OK)
		e = exec(conn, name, "BEGIN; SELECT pg_catalog."
		    "pg_advisory_xact_lock(" LOCK_KEY ")", d);
	if (e == ERR_OK)
		e = version(conn, &now, d);
	if (e == ERR_OK && now < v) {
		e = exec(conn, name, sql.p, d);
		if (e == ERR_OK)
			e = version(conn, &now, d);
		if (e == ERR_OK && now != v) {
			detail_set(d, "%s does not register version %d", name,
			    v);
			e = ERR_CONFIG;
		}
	}
	if (e == ERR_OK)
		e = exec(conn, name, "COMMIT", d);
	else if (PQtransactionStatus(conn) != PQTRANS_IDLE)
		(void)exec(conn, name, "ROLLBACK", NULL);
out:
	buf_free(&sql);
	return e;
}

enum err
store_migrate(const char *conninfo, const char *dir, struct detail *d)
{
	struct dirent **files = NULL;
	PGconn *conn = NULL;
	char number[16];
	int i, n, now = 0;
	enum err e = ERR_CONFIG;

	n = scandir(dir, &files, is_migration, alphasort);
	if (n <= 0) {
		detail_set(d, "no migrations in %s", dir);
		goto out;
	}
	for (i = 0; i < n; i++) {
		(void)snprintf(number, sizeof(number), "%04d-", i + 1);
		if (strncmp(files[i]->d_name, number, 5) != 0) {
			detail_set(d, "migration %04d is missing", i + 1);
			goto out;
		}
	}
	e = dial(conninfo, &conn, d);
	if (e == ERR_OK)
		e = version(conn, &now, d);
	if (e == ERR_OK && now > n) {
		detail_set(d, "the database has schema version %d, this "
		    "program knows %d: use a newer one", now, n);
		e = ERR_CONFIG;
	}
	for (i = now; e == ERR_OK && i < n; i++)
		e = apply(conn, dir, files[i]->d_name, i + 1, d);
out:
	PQfinish(conn);
	for (i = 0; i < n; i++)
		free(files[i]);
	free(files);
	return e;
}

/* CREATE DATABASE takes no parameter and no transaction. */
static enum err
make_database(PGconn *conn, const char *name, struct detail *d)
{
	const char *const values[] = {name};
	char sql[160];
	PGresult *res;
	enum err e;
	int there;

	if (!name_is_tenant(name) || strchr(name, '-') != NULL)
		return ERR_NAME;
	res = PQexecParams(conn, "SELECT 1 FROM pg_catalog.pg_database "
	    "WHERE datname = $1", 1, NULL, values, NULL, NULL, 0);
	e = PQresultStatus(res) == PGRES_TUPLES_OK ? ERR_OK : ERR_STORE;
	there = PQntuples(res) > 0;
	PQclear(res);
	if (e != ERR_OK || there)
		return e;
	(void)snprintf(sql, sizeof(sql), "CREATE DATABASE \"%s\" "
	    "OWNER fealty_owner ENCODING 'UTF8' TEMPLATE template0", name);
	return exec(conn, "create database", sql, d);
}

enum err
store_bootstrap(const char *conninfo, const char *roles_file,
    const char *database, struct detail *d)
{
	struct buf sql = {.max = SQL_MAX};
	PGconn *conn = NULL;
	enum err e;

	e = file_read(roles_file, SQL_MAX, &sql);
	if (e != ERR_OK) {
		detail_set(d, "cannot read %s", roles_file);
		e = ERR_CONFIG;
		goto out;
	}
	e = dial(conninfo, &conn, d);
	if (e == ERR_OK)
		e = exec(conn, "roles", sql.p, d);
	if (e == ERR_OK)
		e = make_database(conn, database, d);
out:
	PQfinish(conn);
	buf_free(&sql);
	return e;
}

enum err
store_ping(const char *conninfo)
{
	const char *const keys[] = {"dbname", "connect_timeout", NULL};
	const char *const values[] = {conninfo, "2", NULL};

	return PQpingParams(keys, values, 1) == PQPING_OK ? ERR_OK :
	    ERR_STORE;
}
