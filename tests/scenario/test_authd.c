/*
 * authd as a process: starts, stops, starts again; refuses wrong options;
 * survives its database; drops clients that hold a connection for nothing.
 */
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "tests/helpers/authd_fixture.h"
#include "tests/helpers/http_raw.h"
#include "tests/helpers/process.h"
#include "tests/unit/unit.h"

#define ROOM 900 /* of a path */

static struct authd_fixture *authd;
static struct http_answer a, b;

static int
get(const char *path)
{
	if (http_ask(authd_fixture_api(authd), "GET", path,
		authd_fixture_admin(authd), NULL, NULL, -1, &a) != 0)
		return 0;
	return a.status;
}

/* Asks until it is answered so, within two minutes. */
static void
wait_for(const char *path, int status)
{
	time_t until = time(NULL) + 120;

	while (get(path) != status && time(NULL) < until)
		(void)usleep(50000);
	assert_int_equal(a.status, status);
}

static mode_t
mode_of(const char *name)
{
	char path[1024];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s/%s", authd_fixture_dir(authd),
	    name);
	assert_int_equal(stat(path, &st), 0);
	return st.st_mode & 0777;
}

static void
keys_are_for_their_owner_only(void **state)
{
	assert_int_equal(mode_of("keys"), 0700);
	assert_int_equal(mode_of("keys/kek"), 0600);
	assert_int_equal(mode_of("keys/admin.credential"), 0600);
}

static void
it_goes_on_where_it_stopped(void **state)
{
	char before[64];

	(void)snprintf(before, sizeof(before), "%s",
	    authd_fixture_admin(authd));
	(void)http_ask(authd_fixture_api(authd), "POST", "/v1/groups", before,
	    TYPE_JSON, "{\"name\":\"kept\"}", -1, &a);
	assert_int_equal(a.status, 201);
	assert_int_equal(authd_fixture_end(authd), 0);
	assert_int_equal(authd_fixture_restart(authd), 0);
	assert_string_equal(before, authd_fixture_admin(authd));
	assert_int_equal(get("/v1/groups"), 200);
	assert_non_null(strstr(a.body, "\"kept\""));
}

static void
it_goes_on_after_both_were_killed(void **state)
{
	(void)http_ask(authd_fixture_api(authd), "POST", "/v1/groups",
	    authd_fixture_admin(authd), TYPE_JSON, "{\"name\":\"durable\"}",
	    -1, &a);
	assert_int_equal(a.status, 201);
	authd_fixture_crash(authd);
	assert_int_equal(authd_fixture_restart(authd), 0);
	assert_int_equal(get("/v1/groups"), 200);
	assert_non_null(strstr(a.body, "\"durable\""));
}

/* Threat: another key in its place, and a start that says nothing useful. */
static void
a_missing_kek_is_told_and_not_replaced(void **state)
{
	char kek[1024], away[1040];

	(void)snprintf(kek, sizeof(kek), "%s/keys/kek",
	    authd_fixture_dir(authd));
	(void)snprintf(away, sizeof(away), "%s.away", kek);
	assert_int_equal(authd_fixture_end(authd), 0);
	assert_int_equal(rename(kek, away), 0);
	assert_int_not_equal(authd_fixture_restart(authd), 0);
	assert_int_equal(file_wait(authd_fixture_log(authd),
	    "/keys/kek is missing", 1), 0);
	assert_int_not_equal(access(kek, F_OK), 0);
	assert_int_equal(rename(away, kek), 0);
	assert_int_equal(authd_fixture_restart(authd), 0);
	assert_int_equal(get("/v1/groups"), 200);
}

static pid_t
database(void)
{
	char path[1024], text[64] = "";
	FILE *in;

	(void)snprintf(path, sizeof(path), "%s/db/postmaster.pid",
	    authd_fixture_dir(authd));
	in = fopen(path, "r");
	assert_non_null(in);
	assert_non_null(fgets(text, sizeof(text), in));
	(void)fclose(in);
	return (pid_t)strtol(text, NULL, 10);
}

static void
it_lives_on_while_its_database_is_away(void **state)
{
	pid_t db = database();

	assert_true(db > 1);
	assert_int_equal(kill(db, SIGKILL), 0);
	/* What memory answers is answered; nothing is made up. */
	assert_int_equal(get("/healthz"), 200);
	assert_int_equal(get("/.well-known/jwks.json"), 200);
	(void)get("/v1/groups");
	assert_true(a.status == 503 || a.status == 200);
	if (a.status == 503)
		assert_true(http_has(&a, "Retry-After", ""));
	wait_for("/v1/groups", 200);
	wait_for("/readyz", 200);
}

/* Runs authd with one more option; its exit status. */
static int
run_with(const char *const *args)
{
	const char *program = getenv("FEALTY_AUTHD");
	const char *argv[16] = {program != NULL ? program : "authd/authd"};
	int i, status, fd;
	pid_t pid;

	for (i = 0; args[i] != NULL; i++)
		argv[i + 1] = args[i];
	argv[i + 1] = NULL;
	pid = fork();
	if (pid == 0) {
		fd = open("/dev/null", O_WRONLY);
		(void)dup2(fd, STDERR_FILENO);
		(void)dup2(fd, STDOUT_FILENO);
		(void)execv(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void
wrong_options_are_told_and_nothing_starts(void **state)
{
	static const char *const rows[][8] = {
	    {NULL},
	    {"--embedded", "x", "--database", "y", NULL},
	    {"--database", "host=/nowhere", NULL},
	    {"--embedded", "x", "--no-such", NULL},
	    {"--embedded", "x", "--token-life", "2h", NULL},
	    {"--embedded", "x", "--workers", "0", NULL},
	    {"--embedded", "x", "--workers", "x", NULL},
	    {"--embedded", "x", "--tls-cert", "y", NULL},
	    {"--embedded", "x", "--issuer", "ftp://a", NULL},
	    {"--embedded", "x", "--issuer", "https://a/", NULL},
	    {"--embedded", "x", "--log-level", "loud", NULL},
	    {"--embedded", "x", "more", NULL},
	    {"--config", "/nonexistent/fealty.conf", NULL},
	};
	size_t i;

	for (i = 0; i < COUNT(rows); i++)
		assert_int_equal(run_with(rows[i]), 2);
}

static void
it_listens_beyond_loopback_only_with_tls(void **state)
{
	char dir[1100];
	const char *args[] = {"--embedded", dir, "--sql-dir",
	    FEALTY_SRC_SQL, "--listen", "0.0.0.0:0", "--device-listen",
	    "127.0.0.1:0", NULL};

	(void)snprintf(dir, sizeof(dir), "%s/../open",
	    authd_fixture_dir(authd));
	assert_int_equal(run_with(args), 2);
}

static void
a_second_authd_leaves_the_directory_of_the_first_alone(void **state)
{
	const char *args[] = {"--embedded", authd_fixture_dir(authd),
	    "--sql-dir", FEALTY_SRC_SQL, "--listen", "127.0.0.1:0",
	    "--device-listen", "127.0.0.1:0", NULL};

	assert_int_equal(run_with(args), 3);
	assert_int_equal(get("/v1/groups"), 200);
}

static void
two_authd_serve_one_database(void **state)
{
	struct authd_fixture *second = NULL;

	assert_int_equal(authd_fixture_second(authd, NULL, &second), 0);
	(void)http_ask(authd_fixture_api(second), "POST", "/v1/groups",
	    authd_fixture_admin(authd), TYPE_JSON, "{\"name\":\"both\"}", -1,
	    &b);
	assert_int_equal(b.status, 201);
	assert_int_equal(get("/v1/groups"), 200);
	assert_non_null(strstr(a.body, "\"both\""));
	assert_int_equal(authd_fixture_end(second), 0);
	authd_fixture_stop(&second);
}

static void
with_a_certificate_it_serves_https(void **state)
{
	char cert[ROOM], key[ROOM], command[4 * ROOM];
	const char *extra[] = {"--tls-cert", cert, "--tls-key", key, NULL};
	struct authd_fixture *tls = NULL;

	(void)snprintf(cert, sizeof(cert), "%s/../cert.pem",
	    authd_fixture_dir(authd));
	(void)snprintf(key, sizeof(key), "%s/../key.pem",
	    authd_fixture_dir(authd));
	(void)snprintf(command, sizeof(command), "umask 077; openssl req "
	    "-x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "
	    "-keyout %s -out %s -days 2 -subj /CN=authority -addext "
	    "subjectAltName=IP:127.0.0.1 >/dev/null 2>&1", key, cert);
	assert_int_equal(system(command), 0);
	assert_int_equal(authd_fixture_start(extra, &tls), 0);
	(void)snprintf(command, sizeof(command), "curl -s -m 60 --cacert %s "
	    "https://127.0.0.1:%u/readyz | grep -q ready", cert,
	    authd_fixture_api(tls));
	assert_int_equal(system(command), 0);
	/* the issuer says so, and plain HTTP gets nothing */
	(void)snprintf(command, sizeof(command), "curl -s -m 60 --cacert %s "
	    "https://127.0.0.1:%u/.well-known/oauth-authorization-server | "
	    "grep -q '\"issuer\":\"https://'", cert,
	    authd_fixture_api(tls));
	assert_int_equal(system(command), 0);
	(void)http_ask(authd_fixture_api(tls), "GET", "/healthz", NULL, NULL,
	    NULL, -1, &b);
	assert_int_equal(b.status, 0);
	assert_int_equal(authd_fixture_end(tls), 0);
	authd_fixture_stop(&tls);
	/* a key that others may read is refused */
	assert_int_equal(chmod(key, 0644), 0);
	assert_int_not_equal(authd_fixture_start(extra, &tls), 0);
}

static int
connect_api(void)
{
	struct sockaddr_in sa = {.sin_family = AF_INET,
	    .sin_port = htons(authd_fixture_api(authd))};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	return fd;
}

static void
a_request_that_trickles_in_is_dropped(void **state)
{
	static const char head[] = "GET /healthz HTTP/1.1\r\nHost: t\r\nX: ";
	time_t until = time(NULL) + 60;
	struct pollfd p = {-1, POLLIN, 0};
	int fd = connect_api();

	assert_true(send(fd, head, sizeof(head) - 1, 0) > 0);
	p.fd = fd;
	/* An octet each 200 ms: idle it never is. */
	while (time(NULL) < until && poll(&p, 1, 200) == 0)
		(void)send(fd, "a", 1, MSG_NOSIGNAL);
	assert_true(time(NULL) < until);
	(void)close(fd);
	assert_int_equal(get("/healthz"), 200);
}

static void
a_request_under_way_is_answered_before_it_stops(void **state)
{
	static const char text[] = "GET /v1/devices HTTP/1.1\r\nHost: t\r\n"
	    "Authorization: Bearer ";
	char request[512], answer[16] = "";
	ssize_t n = -1;
	size_t len;
	int fd = connect_api();

	len = (size_t)snprintf(request, sizeof(request), "%s%s\r\n\r\n",
	    text, authd_fixture_admin(authd));
	assert_true(send(fd, request, len, 0) == (ssize_t)len);
	/* Wait until it has been read, then stop while it may still run. */
	n = recv(fd, answer, 12, MSG_WAITALL);
	assert_int_equal(n, 12);
	assert_int_equal(authd_fixture_end(authd), 0);
	assert_string_equal(answer, "HTTP/1.1 200");
	(void)close(fd);
	assert_int_equal(authd_fixture_restart(authd), 0);
}

static int
setup(void **state)
{
	return authd_fixture_start(NULL, &authd);
}

static int
teardown(void **state)
{
	int status = authd == NULL ? 0 : authd_fixture_end(authd);

	authd_fixture_stop(&authd);
	return status;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(keys_are_for_their_owner_only),
	    cmocka_unit_test(it_goes_on_where_it_stopped),
	    cmocka_unit_test(a_missing_kek_is_told_and_not_replaced),
	    cmocka_unit_test(it_goes_on_after_both_were_killed),
	    cmocka_unit_test(it_lives_on_while_its_database_is_away),
	    cmocka_unit_test(wrong_options_are_told_and_nothing_starts),
	    cmocka_unit_test(it_listens_beyond_loopback_only_with_tls),
	    cmocka_unit_test(
		a_second_authd_leaves_the_directory_of_the_first_alone),
	    cmocka_unit_test(two_authd_serve_one_database),
	    cmocka_unit_test(with_a_certificate_it_serves_https),
	    cmocka_unit_test(a_request_that_trickles_in_is_dropped),
	    cmocka_unit_test(a_request_under_way_is_answered_before_it_stops),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
