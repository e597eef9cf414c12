/*
 * The private PostgreSQL: data stays over stops and kills, one authd a
 * folder, closed and long paths, nothing is left behind.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sys/stat.h>
#include <sys/wait.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "authd/embedded.h"
#include "authd/store/store.h"
#include "tests/helpers/pg_fixture.h"

#define OK(x) assert_string_equal(err_name(x), "OK")

static char top[256], dir[900], roles[900];

static enum err
start(struct embedded **em)
{
	const struct embedded_conf conf = {.dir = dir, .roles_file = roles};
	struct detail d = {""};
	enum err e = embedded_start(&conf, em, &d);

	if (e == ERR_OK)
		e = store_migrate(embedded_owner(*em), pg_fixture_sql_dir(),
		    &d);
	if (e != ERR_OK)
		print_message("embedded: %s\n", d.text);
	return e;
}

/* Inserts the tenant, or sees that it is there. */
static enum err
tenant(const struct embedded *em, int insert)
{
	struct store_conf conf = {.conninfo = embedded_app(em),
	    .sessions = 1, .connect_ms = 10000, .statement_ms = 10000};
	uint64_t pos, floor;
	struct store_pool *p = NULL;
	struct store *st = NULL;
	enum err e;

	e = store_pool_open(&conf, &p);
	if (e == ERR_OK)
		e = store_acquire(p, 0, &st);
	if (e == ERR_OK)
		e = store_begin(st, 1, STORE_WRITE);
	if (e == ERR_OK)
		e = insert ? store_tenant_insert(st, "default") :
		    store_position(st, &pos, &floor);
	if (e == ERR_OK)
		e = store_commit(st);
	store_release(&st);
	store_pool_close(&p);
	return e;
}

static void
socket_dir(const struct embedded *em, char out[200])
{
	assert_int_equal(sscanf(embedded_app(em), "host=%199s", out), 1);
}

static void
data_stays_over_a_stop(void **state)
{
	struct embedded *em = NULL;
	char sock[200];
	struct stat sb;
	pid_t pid;

	(void)state;
	OK(start(&em));
	OK(tenant(em, 1));
	assert_int_equal(stat(embedded_keys(em), &sb), 0);
	assert_int_equal(sb.st_mode & 0777, 0700);
	assert_int_equal(sb.st_uid, geteuid());
	socket_dir(em, sock);
	assert_int_equal(stat(sock, &sb), 0);
	assert_int_equal(sb.st_mode & 0777, 0700);
	pid = embedded_pid(em);
	embedded_stop(&em);
	embedded_stop(&em);
	assert_int_equal(kill(pid, 0), -1);
	assert_int_equal(stat(sock, &sb), -1);
	OK(start(&em));
	OK(tenant(em, 0));
	embedded_stop(&em);
}

static void
one_authd_has_the_folder(void **state)
{
	const struct embedded_conf conf = {.dir = dir, .roles_file = roles};
	struct embedded *em = NULL, *other = NULL;
	struct detail d = {""};

	(void)state;
	OK(start(&em));
	assert_int_equal(embedded_start(&conf, &other, &d), ERR_BUSY);
	assert_non_null(strstr(d.text, "another authd"));
	OK(tenant(em, 0));
	embedded_stop(&em);
}

static void
a_dead_server_is_started_again(void **state)
{
	const struct timespec pause = {0, 50000000};
	time_t until = time(NULL) + 90;
	struct embedded *em = NULL;
	enum err e;
	pid_t pid;

	(void)state;
	OK(start(&em));
	OK(embedded_check(em));
	pid = embedded_pid(em);
	assert_int_equal(kill(pid, SIGKILL), 0);
	/* Its death is seen a moment later. */
	do {
		e = embedded_check(em);
		(void)nanosleep(&pause, NULL);
	} while ((e != ERR_OK || embedded_pid(em) == pid) &&
	    time(NULL) < until);
	OK(e);
	assert_int_not_equal(embedded_pid(em), pid);
	OK(tenant(em, 0));
	embedded_stop(&em);
}

/* An authd that starts, says its server's pid and is then killed. */
static pid_t
authd_killed(int server_too)
{
	struct embedded *em = NULL;
	int fd[2], status;
	pid_t child, server = 0;

	assert_int_equal(pipe(fd), 0);
	child = fork();
	if (child == 0) {
		if (start(&em) == ERR_OK)
			server = embedded_pid(em);
		(void)!write(fd[1], &server, sizeof(server));
		for (;;)
			(void)pause();
	}
	assert_int_equal(read(fd[0], &server, sizeof(server)),
	    sizeof(server));
	assert_int_not_equal(server, 0);
	if (server_too)
		(void)kill(server, SIGKILL);
	(void)kill(child, SIGKILL);
	(void)waitpid(child, &status, 0);
	(void)close(fd[0]);
	(void)close(fd[1]);
	return server;
}

static void
a_killed_authd_is_followed_by_the_next(void **state)
{
	struct embedded *em = NULL;
	int i;

	(void)state;
	for (i = 0; i < 2; i++) {
		(void)authd_killed(i);
		OK(start(&em));
		OK(tenant(em, 0));
		embedded_stop(&em);
	}
}

static void
the_server_ends_with_a_killed_authd(void **state)
{
	const struct timespec pause = {0, 20000000};
	time_t until = time(NULL) + 60;
	struct embedded *em = NULL;
	pid_t server = authd_killed(0);

	(void)state;
	while (kill(server, 0) == 0 && time(NULL) < until)
		(void)nanosleep(&pause, NULL);
	assert_int_equal(kill(server, 0), -1);
	/* The folder of its socket goes with the next start and stop. */
	OK(start(&em));
	embedded_stop(&em);
}

static void
an_initdb_cut_short_is_begun_again(void **state)
{
	struct embedded *em = NULL;
	char keep[900], half[960];

	(void)state;
	(void)snprintf(keep, sizeof(keep), "%s", dir);
	(void)snprintf(dir, sizeof(dir), "%s/half", top);
	(void)snprintf(half, sizeof(half), "%s/db.new", dir);
	assert_int_equal(mkdir(dir, 0700), 0);
	assert_int_equal(mkdir(half, 0700), 0);
	(void)strncat(half, "/PG_VERSION", sizeof(half) - strlen(half) - 1);
	assert_int_equal(mkdir(half, 0700), 0);
	OK(start(&em));
	embedded_stop(&em);
	memcpy(dir, keep, sizeof(dir));
}

/* Root's closed folder, and a path longer than a socket's may be. */
static void
a_closed_and_long_path_works(void **state)
{
	struct embedded *em = NULL;
	char keep[900];
	size_t n;

	(void)state;
	(void)snprintf(keep, sizeof(keep), "%s", dir);
	n = (size_t)snprintf(dir, sizeof(dir), "%s/closed", top);
	memset(dir + n, '/', 1);
	memset(dir + n + 1, 'x', 200);
	dir[n + 201] = '\0';
	OK(start(&em));
	OK(tenant(em, 1));
	embedded_stop(&em);
	OK(start(&em));
	OK(tenant(em, 0));
	embedded_stop(&em);
	memcpy(dir, keep, sizeof(dir));
}

static void
an_open_path_works(void **state)
{
	struct embedded *em = NULL;
	char keep[900];

	(void)state;
	(void)snprintf(keep, sizeof(keep), "%s", dir);
	(void)snprintf(dir, sizeof(dir), "%s/open", top);
	assert_int_equal(chmod(top, 0755), 0);
	assert_int_equal(mkdir(dir, 0755), 0);
	OK(start(&em));
	OK(tenant(em, 1));
	embedded_stop(&em);
	assert_int_equal(chmod(top, 0700), 0);
	memcpy(dir, keep, sizeof(dir));
}

static int
make_top(void **state)
{
	const char *base = getenv("FEALTY_TEST_DIR");

	(void)state;
	(void)snprintf(top, sizeof(top), "%s/fealty-embedded-XXXXXX",
	    base != NULL ? base : "/tmp");
	if (mkdtemp(top) == NULL)
		return -1;
	(void)snprintf(dir, sizeof(dir), "%s/d", top);
	(void)snprintf(roles, sizeof(roles), "%s/roles.sql",
	    pg_fixture_sql_dir());
	return 0;
}

static int
remove_top(void **state)
{
	(void)state;
	return remove_tree(top);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(data_stays_over_a_stop),
	    cmocka_unit_test(one_authd_has_the_folder),
	    cmocka_unit_test(a_dead_server_is_started_again),
	    cmocka_unit_test(a_killed_authd_is_followed_by_the_next),
	    cmocka_unit_test(the_server_ends_with_a_killed_authd),
	    cmocka_unit_test(an_initdb_cut_short_is_begun_again),
	    cmocka_unit_test(a_closed_and_long_path_works),
	    cmocka_unit_test(an_open_path_works)};

	return cmocka_run_group_tests(tests, make_top, remove_top);
}
