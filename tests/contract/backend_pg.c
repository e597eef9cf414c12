/* The contract over PostgreSQL; and what only a database can show. */
#include "tests/contract/contract.h"

#include <libpq-fe.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/helpers/pg_fixture.h"

static struct pg_fixture *pg;

int
backend_start(void)
{
	return pg_fixture_start(&pg);
}

/* The cases below still need the server: main ends with them. */
void
backend_stop(void)
{
}

const char *
backend_conninfo(void)
{
	return pg_fixture_app(pg);
}

const char *
backend_sql_dir(void)
{
	return pg_fixture_sql_dir();
}

static int
open_pool(void **state)
{
	struct store_conf conf = {.conninfo = pg_fixture_app(pg),
	    .sessions = 48, .connect_ms = 5000, .statement_ms = 20000};

	(void)state;
	return store_pool_open(&conf, &pool) == ERR_OK ? 0 : -1;
}

static int
close_pool(void **state)
{
	(void)state;
	store_pool_close(&pool);
	pg_fixture_stop(&pg);
	return 0;
}

/* SQLSTATE of sql in a transaction of tenant (-1: none set). */
static void
state_of(const char *conninfo, int tenant, const char *sql, char out[6])
{
	PGconn *c = PQconnectdb(conninfo);
	char set[80];
	PGresult *r;

	assert_int_equal(PQstatus(c), CONNECTION_OK);
	PQclear(PQexec(c, "SET client_min_messages = error; BEGIN"));
	(void)snprintf(set, sizeof(set),
	    "SELECT set_config('fealty.tenant', '%d', true)", tenant);
	if (tenant >= 0)
		PQclear(PQexec(c, set));
	r = PQexec(c, sql);
	(void)snprintf(out, 6, "%s", PQresultStatus(r) == PGRES_FATAL_ERROR ?
	    PQresultErrorField(r, PG_DIAG_SQLSTATE) : "00000");
	PQclear(r);
	PQfinish(c);
}

/* Threat: authd is taken over as far as its SQL goes. */
static void
the_app_role_cannot_leave_its_tenant(void **state)
{
	static const char *const refused[] = {
	    "ALTER TABLE fealty.device DISABLE ROW LEVEL SECURITY",
	    "ALTER TABLE fealty.device NO FORCE ROW LEVEL SECURITY",
	    "DROP POLICY own_tenant ON fealty.device",
	    "CREATE POLICY mine ON fealty.device USING (true)",
	    "SET ROLE fealty_owner",
	    "SET SESSION AUTHORIZATION fealty_owner",
	    "ALTER ROLE fealty_app BYPASSRLS",
	    "GRANT fealty_owner TO fealty_app",
	    "UPDATE fealty.event SET id = 'x'",
	    "DELETE FROM fealty.event",
	    "TRUNCATE fealty.event",
	    "UPDATE fealty.audit SET outcome = 'x'",
	    "DELETE FROM fealty.audit",
	    "DELETE FROM fealty.device",
	    "DELETE FROM fealty.device_key",
	    "UPDATE fealty.tenant SET name = 'x'",
	    "UPDATE fealty.schema_version SET version = 7",
	    "INSERT INTO fealty.audience VALUES (1, 'x', 'h', 1)",
	    "INSERT INTO fealty.assertion_mark VALUES "
	    "(1, 1, 1, '\\x00000000000000000000000000000000')",
	    "CREATE TABLE fealty.x (i int)",
	    "CREATE TABLE public.x (i int)",
	    "CREATE TEMPORARY TABLE caller (i int)",
	    "CREATE SCHEMA x",
	    "CREATE OR REPLACE FUNCTION fealty.current_tenant() RETURNS "
	    "bigint LANGUAGE sql AS 'SELECT 1::bigint'",
	    "SELECT pg_read_file('/etc/passwd')",
	    "COPY fealty.event TO PROGRAM 'true'",
	    "SET LOCAL row_security = off; SELECT count(*) "
	    "FROM fealty.device"};
	char got[6];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		state_of(pg_fixture_app(pg), 2, refused[i], got);
		if (strcmp(got, "42501") != 0)
			print_error("%s: %s\n", refused[i], got);
		assert_string_equal(got, "42501");
	}
	/* The same, allowed: the test's own control. */
	state_of(pg_fixture_app(pg), 1, "INSERT INTO fealty.audience VALUES "
	    "(1, 'control', 'h', 1)", got);
	assert_string_equal(got, "00000");
}

static void
without_a_tenant_every_table_is_an_error(void **state)
{
	static const char *const tables[] = {"tenant", "counter", "event",
	    "data_key", "secret_key", "device_group", "model", "audience",
	    "caller", "production_order", "device", "device_key",
	    "device_member", "assertion_mark", "audit", "instance",
	    "gateway_instance", "receipt", "held_event", "held_by"};
	char sql[100], got[6];
	struct ground a;
	uint64_t dn;
	size_t i;

	(void)state;
	ground_make(&a);
	dn = device_make(&a, "S1", DEV_ACTIVE);
	assert_true(dn > 0);
	for (i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		(void)snprintf(sql, sizeof(sql),
		    "SELECT count(*) FROM fealty.%s WHERE tenant = 1",
		    tables[i]);
		state_of(pg_fixture_app(pg), 1, sql, got);
		assert_string_equal(got, "00000");
		(void)snprintf(sql, sizeof(sql), "INSERT INTO fealty.%s "
		    "SELECT * FROM fealty.%s", tables[i], tables[i]);
		state_of(pg_fixture_app(pg), -1, sql, got);
		assert_string_not_equal(got, "00000");
	}
}

/* A new table without row-level security would be an open door. */
static void
every_table_is_under_row_level_security(void **state)
{
	PGconn *c = PQconnectdb(pg_fixture_owner(pg));
	PGresult *r;

	(void)state;
	r = PQexec(c, "SELECT relname FROM pg_class WHERE relnamespace = "
	    "'fealty'::regnamespace AND relkind IN ('r', 'p', 'v', 'm') "
	    "AND NOT relrowsecurity AND relname <> 'schema_version'");
	assert_int_equal(PQresultStatus(r), PGRES_TUPLES_OK);
	assert_int_equal(PQntuples(r), 0);
	PQclear(r);
	/* Every primary key starts with the tenant. */
	r = PQexec(c, "SELECT conrelid::regclass FROM pg_constraint k "
	    "JOIN pg_attribute a ON a.attrelid = k.conrelid "
	    "AND a.attnum = k.conkey[1] WHERE k.contype = 'p' "
	    "AND k.connamespace = 'fealty'::regnamespace "
	    "AND a.attname <> 'tenant' "
	    "AND k.conrelid <> 'fealty.schema_version'::regclass");
	assert_int_equal(PQresultStatus(r), PGRES_TUPLES_OK);
	assert_int_equal(PQntuples(r), 0);
	PQclear(r);
	PQfinish(c);
}

static void
a_role_that_escapes_the_policies_is_refused(void **state)
{
	struct store_conf conf = {.conninfo = pg_fixture_owner(pg),
	    .sessions = 1, .connect_ms = 5000, .statement_ms = 5000};
	struct mark m = {.tenant = 1, .dn = 1, .exp = 1};
	struct mark two[2] = {{1, 1, 1, {1}}, {1, 1, 1, {2}}};
	enum err e[2] = {ERR_OK, ERR_OK};
	struct store_pool *p = NULL;
	struct store *st = NULL;

	(void)state;
	OK(store_pool_open(&conf, &p));
	OK(store_acquire(p, 0, &st));
	IS(STORE, store_begin(st, 1, STORE_READ));
	store_release(&st);
	IS(STORE, store_mark_use(p, &m));
	store_mark_use_many(p, two, 2, e, NULL, NULL); /* nobody's, then */
	IS(STORE, e[0]);
	IS(STORE, e[1]);
	store_pool_close(&p);
}

static void
a_slow_statement_times_out(void **state)
{
	struct store_conf conf = {.conninfo = pg_fixture_app(pg),
	    .sessions = 2, .connect_ms = 5000, .statement_ms = 200};
	struct store *a = NULL, *b = NULL;
	struct store_pool *p = NULL;
	struct ground g;
	struct order o;

	(void)state;
	ground_make(&g);
	OK(store_pool_open(&conf, &p));
	OK(store_acquire(p, 0, &a));
	OK(store_acquire(p, 0, &b));
	OK(store_begin(a, g.tenant, STORE_WRITE));
	OK(store_order_close(a, "o1"));
	OK(store_begin(b, g.tenant, STORE_WRITE));
	IS(STORE, store_order_close(b, "o1")); /* waits for a's lock */
	store_rollback(b);
	OK(store_commit(a));
	OK(store_begin(b, g.tenant, STORE_READ));
	OK(store_order_get(b, "o1", &o));
	assert_true(o.closed);
	store_release(&a);
	store_release(&b);
	store_pool_close(&p);
}

/* ---- a crash of the database ---- */

#define HAMMERS 8
static struct {
	uint32_t tenant;
	int stop;
	unsigned sure[HAMMERS]; /* marks 1 to sure were answered OK */
	unsigned failed;
} crash;

static void
mark_number(struct mark *m, unsigned thread, unsigned i)
{
	memset(m, 0, sizeof(*m));
	m->tenant = crash.tenant;
	m->exp = 777;
	m->dn = thread + 1;
	memcpy(m->mark, &i, sizeof(i));
}

/* Marks i to i + n - 1; 1 if all were answered OK. */
static int
use_run(unsigned self, unsigned i, unsigned n)
{
	struct mark m[STORE_MARKS_MAX] = {0};
	enum err e[STORE_MARKS_MAX];
	unsigned k;

	for (k = 0; k < n; k++)
		mark_number(&m[k], self, i + k);
	store_mark_use_many(pool, m, n, e, NULL, NULL);
	for (k = 0; k < n && e[k] == ERR_OK; k++)
		continue;
	return k == n;
}

#define EARLY 20
/* 1: it let go of its locks early, and was answered OK. */
static int
commit_early(unsigned i)
{
	struct audience au = {.host = "h", .port = 1};
	struct store *st = session();
	enum err e = store_begin(st, crash.tenant, STORE_WRITE);

	(void)snprintf(au.name, sizeof(au.name), "early-%u", i);
	store_unlock_early(st);
	if (e == ERR_OK)
		e = store_audience_put(st, &au);
	if (e == ERR_OK)
		e = store_commit(st);
	store_release(&st);
	return e == ERR_OK;
}

static void *
hammer(void *arg)
{
	unsigned self = *(unsigned *)arg, n = self % 2 ? 5 : 1, i;

	for (i = 1; !__atomic_load_n(&crash.stop, __ATOMIC_ACQUIRE);
	    i += n) {
		if (!use_run(self, i, n))
			break;
		__atomic_store_n(&crash.sure[self], i + n - 1,
		    __ATOMIC_RELEASE);
	}
	__atomic_add_fetch(&crash.failed, 1, __ATOMIC_RELEASE);
	return NULL;
}

/* Polls until a transaction works again. */
static void
await_recovery(void)
{
	const struct timespec pause = {0, 20000000};
	uint64_t pos, floor;
	time_t until = time(NULL) + 60;
	struct store *st = session();
	enum err e;

	do {
		e = store_begin(st, crash.tenant, STORE_READ);
		if (e == ERR_OK)
			e = store_position(st, &pos, &floor);
		store_rollback(st);
		if (e != ERR_OK)
			(void)nanosleep(&pause, NULL);
	} while (e != ERR_OK && time(NULL) < until);
	IS(OK, e);
	store_release(&st);
}

static void
await_marks(unsigned least)
{
	const struct timespec pause = {0, 5000000};
	time_t until = time(NULL) + 60;
	unsigned i, all = 0;

	while (!all && time(NULL) < until) {
		for (all = 1, i = 0; i < HAMMERS; i++)
			all &= __atomic_load_n(&crash.sure[i],
			    __ATOMIC_ACQUIRE) >= least;
		(void)nanosleep(&pause, NULL);
	}
	assert_true(all);
}

static void
what_was_acknowledged_survives_a_crash(void **state)
{
	struct group g = {.kind = GROUP_FREE, .name = "before"}, out;
	unsigned self[HAMMERS], i, k;
	pthread_t t[HAMMERS];
	struct ground a;
	struct store *st;
	struct mark m;

	(void)state;
	ground_make(&a);
	memset(&crash, 0, sizeof(crash));
	crash.tenant = a.tenant;
	st = begin(a.tenant, STORE_WRITE);
	OK(store_group_insert(st, &g));
	OK(store_commit(st));
	OK(store_begin(st, a.tenant, STORE_WRITE));
	(void)snprintf(g.name, sizeof(g.name), "open");
	OK(store_group_insert(st, &g));
	for (i = 0; i < HAMMERS; i++) {
		self[i] = i;
		assert_int_equal(pthread_create(&t[i], NULL, hammer,
		    &self[i]), 0);
	}
	await_marks(3);
	assert_int_equal(pg_fixture_crash(pg), 0);
	/* The open transaction is lost, and says so. */
	(void)snprintf(g.name, sizeof(g.name), "after");
	while (store_group_insert(st, &g) == ERR_OK)
		g.name[0]++;
	IS(INTERNAL, store_commit(st));
	rollback(&st);
	for (i = 0; i < HAMMERS; i++)
		(void)pthread_join(t[i], NULL);
	assert_int_equal(pg_fixture_revive(pg), 0);
	await_recovery();
	for (i = 0; i < HAMMERS; i++) {
		for (k = 1; k <= crash.sure[i]; k++) {
			mark_number(&m, i, k);
			IS(ASSERTION_USED, store_mark_use(pool, &m));
		}
	}
	st = begin(a.tenant, STORE_READ);
	OK(store_group_by_name(st, GROUP_FREE, "before", &out));
	IS(NOT_FOUND, store_group_by_name(st, GROUP_FREE, "open", &out));
	commit(&st);
}

/* Nobody else commits meanwhile, whose sync would do for these, too. */
static void
a_commit_that_let_go_early_is_on_the_disk_when_told(void **state)
{
	struct audience au;
	struct ground a;
	struct store *st;
	unsigned i;

	(void)state;
	ground_make(&a);
	crash.tenant = a.tenant;
	for (i = 0; i < EARLY; i++)
		assert_true(commit_early(i));
	assert_int_equal(pg_fixture_crash(pg), 0);
	assert_int_equal(pg_fixture_revive(pg), 0);
	await_recovery();
	st = begin(a.tenant, STORE_READ);
	for (i = 0; i < EARLY; i++) {
		(void)snprintf(au.name, sizeof(au.name), "early-%u", i);
		OK(store_audience_get(st, au.name, &au));
	}
	commit(&st);
}

static void
an_idle_session_comes_back_by_itself(void **state)
{
	uint64_t pos = 0, floor = 0;
	struct ground a;
	struct store *st;

	(void)state;
	ground_make(&a);
	crash.tenant = a.tenant;
	st = begin(a.tenant, STORE_READ);
	OK(store_position(st, &pos, &floor));
	OK(store_commit(st));
	assert_int_equal(pg_fixture_crash(pg), 0);
	assert_int_equal(pg_fixture_revive(pg), 0);
	/* Its connection is dead; nothing of the new one is lost by that. */
	await_recovery();
	OK(store_begin(st, a.tenant, STORE_READ));
	OK(store_position(st, &pos, &floor));
	commit(&st);
}

/* ---- what is done while marks travel ---- */

#define GROUPS 16
#define RUNS 12	  /* of each; more until a mark was kept at all */
#define KILLS 200 /* then there is peace */
#define PATIENCE_S 60
static struct {
	uint32_t tenant;
	_Atomic unsigned kept, unsaid; /* runs with a mark kept; not called */
	_Atomic unsigned left;
	time_t until;
} travel;

static void
say(void *arg)
{
	++*(unsigned *)arg;
}

static void *
traveller(void *arg)
{
	unsigned self = *(unsigned *)arg, run, calls, i;
	struct mark m[STORE_MARKS_MAX];
	enum err e[STORE_MARKS_MAX];
	int any;

	for (run = 0; run < RUNS || travel.kept == 0; run++) {
		if (run >= RUNS && time(NULL) > travel.until)
			break;
		if (run >= RUNS) /* lanes that are down fail at once */
			(void)usleep(1000);
		memset(m, 0, sizeof(m));
		for (i = 0; i < STORE_MARKS_MAX; i++) {
			m[i].tenant = travel.tenant;
			m[i].exp = 5000 + run;
			m[i].dn = i + 1;
			m[i].mark[0] = (unsigned char)self;
		}
		calls = 0;
		store_mark_use_many(pool, m, STORE_MARKS_MAX, e, say, &calls);
		for (any = 0, i = 0; i < STORE_MARKS_MAX; i++)
			any |= e[i] == ERR_OK;
		travel.kept += any != 0;
		travel.unsaid += any ? calls != 1 : calls > 1;
	}
	travel.left--;
	return NULL;
}

/* Lanes that fail in turn: who led one in vain has its marks kept by others. */
static void
whoever_has_a_mark_kept_was_called_once(void **state)
{
	PGconn *c = PQconnectdb(pg_fixture_app(pg));
	unsigned self[GROUPS], i;
	pthread_t t[GROUPS];
	struct ground a;

	(void)state;
	ground_make(&a);
	memset(&travel, 0, sizeof(travel));
	travel.tenant = crash.tenant = a.tenant;
	travel.left = GROUPS;
	travel.until = time(NULL) + PATIENCE_S;
	for (i = 0; i < GROUPS; i++) {
		self[i] = i;
		assert_int_equal(pthread_create(&t[i], NULL, traveller,
		    &self[i]), 0);
	}
	for (i = 0; travel.left > 0 && i < KILLS; i++)
		PQclear(PQexec(c, "SELECT pg_terminate_backend(pid), "
		    "pg_sleep(0.002) FROM pg_stat_activity WHERE "
		    "application_name = 'authd' ORDER BY random() LIMIT 1"));
	for (i = 0; i < GROUPS; i++)
		(void)pthread_join(t[i], NULL);
	PQfinish(c);
	assert_true(travel.kept > 0);
	assert_int_equal(travel.unsaid, 0);
	await_recovery();
}

/* ---- migrations ---- */

struct migration {
	enum err e;
	struct detail d;
};

static void *
migrate(void *arg)
{
	struct migration *m = arg;

	m->d.text[0] = '\0';
	m->e = store_migrate(pg_fixture_owner(pg), pg_fixture_sql_dir(),
	    &m->d);
	return NULL;
}

static void
migrations_race_and_apply_once(void **state)
{
	struct migration m[6];
	struct detail d = {""};
	pthread_t t[6];
	PGconn *c;
	PGresult *r;
	int i;

	(void)state;
	store_pool_close(&pool);
	c = PQconnectdb(pg_fixture_owner(pg));
	PQclear(PQexec(c, "SET client_min_messages = error"));
	PQclear(PQexec(c, "DROP SCHEMA fealty CASCADE"));
	for (i = 0; i < 6; i++)
		assert_int_equal(pthread_create(&t[i], NULL, migrate, &m[i]),
		    0);
	for (i = 0; i < 6; i++)
		(void)pthread_join(t[i], NULL);
	for (i = 0; i < 6; i++)
		assert_string_equal(m[i].d.text, "");
	for (i = 0; i < 6; i++)
		IS(OK, m[i].e);
	OK(store_migrate(pg_fixture_owner(pg), pg_fixture_sql_dir(), &d));
	r = PQexec(c, "SELECT count(*) = max(version) "
	    "FROM fealty.schema_version");
	assert_string_equal(PQgetvalue(r, 0, 0), "t");
	PQclear(r);
	PQclear(PQexec(c, "INSERT INTO fealty.schema_version "
	    "VALUES (9000)"));
	IS(CONFIG, store_migrate(pg_fixture_owner(pg), pg_fixture_sql_dir(),
	    &d));
	assert_non_null(strstr(d.text, "9000"));
	PQclear(PQexec(c, "DELETE FROM fealty.schema_version "
	    "WHERE version = 9000"));
	PQfinish(c);
}

/* The row travels with the commit: none without the other. */
static void
a_refused_audit_row_takes_its_commit_with_it(void **state)
{
	struct audit au = {.action = "a", .object_kind = "k", .object = "o",
	    .outcome = "ok", .request_id = "r", .detail = "\xff"};
	struct event e = {.kind = EV_DEVICE, .effect = EFFECT_CUT, .id = "1"};
	struct event rows[2];
	struct ground a;
	struct store *st;
	size_t n = 9;

	(void)state;
	ground_make(&a);
	st = begin(a.tenant, STORE_WRITE);
	OK(store_event_append(st, &e));
	OK(store_audit_append(st, &au)); /* not yet seen to be no text */
	IS(REQUEST, store_commit(st));
	store_rollback(st);
	OK(store_begin(st, a.tenant, STORE_WRITE));
	OK(store_event_append(st, &e));
	OK(store_audit_append(st, &au));
	IS(REQUEST, store_event_append(st, &e));
	store_rollback(st);
	OK(store_begin(st, a.tenant, STORE_READ));
	OK(store_event_list(st, 0, 2, rows, &n));
	assert_int_equal(n, 0);
	commit(&st);
}

int
backend_cases(void)
{
	const struct CMUnitTest cases[] = {
	    cmocka_unit_test(the_app_role_cannot_leave_its_tenant),
	    cmocka_unit_test(without_a_tenant_every_table_is_an_error),
	    cmocka_unit_test(every_table_is_under_row_level_security),
	    cmocka_unit_test(a_role_that_escapes_the_policies_is_refused),
	    cmocka_unit_test(a_slow_statement_times_out),
	    cmocka_unit_test(what_was_acknowledged_survives_a_crash),
	    cmocka_unit_test(
		a_commit_that_let_go_early_is_on_the_disk_when_told),
	    cmocka_unit_test(an_idle_session_comes_back_by_itself),
	    cmocka_unit_test(whoever_has_a_mark_kept_was_called_once),
	    cmocka_unit_test(a_refused_audit_row_takes_its_commit_with_it),
	    cmocka_unit_test(migrations_race_and_apply_once)};

	if (pg == NULL)
		return 1;
	return cmocka_run_group_tests(cases, open_pool, close_pool);
}
