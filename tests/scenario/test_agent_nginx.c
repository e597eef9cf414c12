/*
 * The example of examples/nginx with everything real: authd, fealty-agent
 * enrolled with it, nginx, and a service behind that writes down what it
 * hears.
 */
#include "tests/scenario/world.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#define NGINX "/usr/sbin/nginx"
#define LIMIT 30	 /* seconds, of what takes a moment */
#define REVOKED_MS 5000  /* the most that a loaded machine may take */

static struct world w;
static char token[3][TOKEN_ROOM];
static pid_t agent, nginx;
static struct service {
	int fd;
	uint16_t port;
	pthread_t thread;
	atomic_int heard; /* requests */
	char last[8192];  /* the head of the newest; read after its answer */
} service;

/* ---- the service behind --------------------------------------------- */

static void
serve_one(int fd)
{
	static const char answer[] = "HTTP/1.1 200 OK\r\n"
	    "Content-Length: 7\r\nConnection: close\r\n\r\nservice";
	char head[sizeof(service.last)] = "";
	size_t n = 0;
	ssize_t got;

	while (n + 1 < sizeof(head) && strstr(head, "\r\n\r\n") == NULL) {
		got = recv(fd, head + n, sizeof(head) - 1 - n, 0);
		if (got <= 0)
			return;
		n += (size_t)got;
		head[n] = '\0';
	}
	memcpy(service.last, head, sizeof(head));
	(void)atomic_fetch_add(&service.heard, 1);
	(void)send(fd, answer, sizeof(answer) - 1, MSG_NOSIGNAL);
}

static void *
serve(void *arg)
{
	int fd;

	while ((fd = accept(service.fd, NULL, NULL)) >= 0) {
		serve_one(fd);
		(void)close(fd);
	}
	return NULL;
}

static void
start_service(void)
{
	struct sockaddr_in sa = {.sin_family = AF_INET};
	socklen_t len = sizeof(sa);

	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	service.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(service.fd >= 0);
	assert_int_equal(bind(service.fd, (struct sockaddr *)&sa, len), 0);
	assert_int_equal(listen(service.fd, 64), 0);
	assert_int_equal(getsockname(service.fd, (struct sockaddr *)&sa,
	    &len), 0);
	service.port = ntohs(sa.sin_port);
	assert_int_equal(pthread_create(&service.thread, NULL, serve, NULL),
	    0);
}

/* How often the service has "name: …", and the value of the last. */
static int
heard(const char *name, char value[ROOM])
{
	const char *p = service.last;
	size_t len = strlen(name), end;
	int n = 0;

	value[0] = '\0';
	while ((p = strstr(p, "\r\n")) != NULL) {
		p += 2;
		if (strncasecmp(p, name, len) != 0 || p[len] != ':')
			continue;
		n++;
		p += len + 1 + strspn(p + len + 1, " ");
		end = strcspn(p, "\r");
		(void)snprintf(value, ROOM, "%.*s", (int)end, p);
	}
	return n;
}

/* ---- nginx and the agent -------------------------------------------- */

/* Appends text with the first "from" of it, which must be there, as to. */
static void
put(char *text, size_t size, const char *from, const char *to)
{
	static char rest[16384];
	char *at = strstr(text, from);

	if (at == NULL)
		fail_msg("no %s in the example", from);
	(void)snprintf(rest, sizeof(rest), "%s", at + strlen(from));
	assert_true((size_t)snprintf(at, size - (size_t)(at - text), "%s%s",
	    to, rest) < size - (size_t)(at - text));
}

static void
write_text(const char *name, const char *text)
{
	char path[ROOM];
	FILE *f = fopen(world_file(&w, name, path), "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

/* The example, its addresses and paths those of this test. */
static void
write_example(void)
{
	static const char *const same[] = {"fealty.conf", "fealty_ask.conf"};
	static char text[16384];
	char to[ROOM * 2];

	for (size_t i = 0; i < 2; i++) {
		(void)snprintf(to, sizeof(to), "%s/examples/nginx/%s",
		    FEALTY_SRC, same[i]);
		assert_true(file_text(to, text, sizeof(text)) > 0);
		write_text(same[i], text);
	}
	assert_true(file_text(FEALTY_SRC "/examples/nginx/nginx.conf", text,
	    sizeof(text)) > 0);
	put(text, sizeof(text), "user www-data;", geteuid() == 0 ?
	    "user root;" : "");
	put(text, sizeof(text), "/run/nginx.pid", "nginx.pid");
	put(text, sizeof(text), "error_log stderr", "error_log nginx.log");
	(void)snprintf(to, sizeof(to), "%s/agent", w.dir);
	put(text, sizeof(text), "/run/fealty/agent.sock", to);
	(void)snprintf(to, sizeof(to), "127.0.0.1:%u", service.port);
	put(text, sizeof(text), "127.0.0.1:9000", to);
	(void)snprintf(to, sizeof(to), "unix:%s/web", w.dir);
	put(text, sizeof(text), "127.0.0.1:8080", to);
	put(text, sizeof(text), "http {", "http {\n"
	    "client_body_temp_path t1; proxy_temp_path t2;\n"
	    "fastcgi_temp_path t3; uwsgi_temp_path t4; scgi_temp_path t5;");
	write_text("nginx.conf", text);
}

static void
start_nginx(void)
{
	char dir[ROOM + 2], conf[ROOM], err[ROOM], early[ROOM];
	const char *argv[] = {NGINX, "-e", early, "-p", dir, "-c", conf, "-g",
	    "daemon off;", NULL};
	long deadline = process_deadline(LIMIT);

	(void)snprintf(dir, sizeof(dir), "%s/", w.dir);
	(void)world_file(&w, "nginx.conf", conf);
	(void)world_file(&w, "nginx.log", early);
	write_example();
	nginx = process_start(argv, world_file(&w, "nginx.out", err), err);
	assert_true(nginx > 0);
	while (access(world_file(&w, "web", conf), F_OK) != 0) {
		assert_true(process_left(deadline));
		process_pause();
	}
}

static void
start_agent(void)
{
	char enrolment[ROOM], path[ROOM], out[ROOM], err[ROOM];
	const char *argv[] = {"build:gateway/agent/fealty-agent",
	    "--enrolment-file", world_file(&w, "enrolment", enrolment),
	    "--audience", "hub", "--socket", world_file(&w, "agent", path),
	    NULL};

	(void)world_file(&w, "agent.log", err);
	agent = process_start(argv, world_file(&w, "agent.out", out), err);
	assert_true(agent > 0);
	assert_int_equal(file_wait(out, "listening unix:", LIMIT), 0);
}

/* ---- asking --------------------------------------------------------- */

/* One request through nginx; the status, answer in w.a. */
static int
ask(const char *method, const char *path, const char *bearer,
    const char *more)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	const struct timeval limit = {LIMIT, 0};
	char text[9000], name[ROOM];
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), n;

	n = snprintf(text, sizeof(text), "%s %s HTTP/1.1\r\nHost: t\r\n"
	    "Connection: close\r\n%s%s%s%s%s", method, path,
	    bearer != NULL ? "Authorization: Bearer " : "",
	    bearer != NULL ? bearer : "", bearer != NULL ? "\r\n" : "", more,
	    strstr(more, "\r\n\r\n") != NULL ? "" : "\r\n");
	assert_true(fd >= 0 && n > 0 && (size_t)n < sizeof(text));
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	(void)snprintf(sa.sun_path, sizeof(sa.sun_path), "%s",
	    world_file(&w, "web", name));
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(http_send(fd, text, (size_t)n), 0);
	assert_int_equal(http_receive(fd, 0, &w.a), 0);
	(void)close(fd);
	return w.a.status;
}

static int
get(const char *path, const char *bearer, const char *more)
{
	return ask("GET", path, bearer, more);
}

static int64_t
now_ms(void)
{
	struct timespec ts = {0};

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Milliseconds until the token gets this status. */
static int64_t
until(const char *bearer, int status, unsigned limit_ms)
{
	int64_t start = now_ms();

	while (get("/", bearer, "") != status) {
		if (now_ms() - start > limit_ms)
			fail_msg("%d, not %d", w.a.status, status);
		process_pause();
	}
	return now_ms() - start;
}

static int
set_up(void **state)
{
	char path[ROOM], url[ROOM];

	world_open(&w, NULL);
	world_order(&w, 3);
	CTL(&w, "caller", "create", "web1", "--role", "gateway",
	    "--audiences", "hub", "--enrolment-out",
	    world_file(&w, "enrolment", path), "--urls", world_url(&w, url));
	world_burn(&w, "SN0001");
	world_burn(&w, "SN0002");
	world_burn(&w, "SN0003");
	world_token(&w, "SN0001", token[0]);
	world_token(&w, "SN0002", token[1]);
	world_token(&w, "SN0003", token[2]);
	start_service();
	start_agent();
	start_nginx();
	return 0;
}

static int
tear_down(void **state)
{
	int a = 0, n = 0;

	if (nginx > 0)
		n = process_stop(&nginx, SIGTERM);
	if (agent > 0)
		a = process_stop(&agent, SIGTERM);
	(void)shutdown(service.fd, SHUT_RDWR);
	(void)pthread_join(service.thread, NULL);
	(void)close(service.fd);
	if (a != 0) {
		(void)file_text(world_file(&w, "agent.log", w.a.head),
		    w.a.body, sizeof(w.a.body));
		print_message("# %s", w.a.body);
	}
	world_close(&w);
	return a != 0 || n != 0;
}

/* ---- what must hold ------------------------------------------------- */

static void
a_good_token_passes_and_the_service_hears_whose_it_is(void **state)
{
	char value[ROOM];

	(void)until(token[0], 200, LIMIT * 1000);
	assert_string_equal(w.a.body, "service");
	assert_int_equal(heard("Fealty-Device", value), 1);
	assert_string_equal(value, "SN0001");
	assert_int_equal(heard("Fealty-Groups", value), 1);
	assert_int_equal(heard("Fealty-Staleness", value), 1);
	assert_int_equal(heard("Authorization", value), 0);
}

/* The agent gets the header only, and does not wait for a body. */
static void
a_body_goes_to_the_service_and_not_to_the_agent(void **state)
{
	char value[ROOM];

	assert_int_equal(ask("POST", "/", token[0],
	    "Content-Length: 5\r\n\r\nhello"), 200);
	assert_int_equal(heard("Content-Length", value), 1);
	assert_string_equal(value, "5");
	assert_int_equal(ask("POST", "/", token[0], "Transfer-Encoding: "
	    "chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"), 200);
	assert_int_equal(ask("POST", "/", NULL,
	    "Content-Length: 5\r\n\r\nhello"), 401);
}

static void
without_a_token_nothing_gets_to_the_service(void **state)
{
	int before = atomic_load(&service.heard);

	assert_int_equal(get("/", NULL, ""), 401);
	assert_true(http_has(&w.a, "WWW-Authenticate", "Bearer realm="));
	assert_true(http_has(&w.a, "Fealty-Code", "invalid_credential"));
	assert_int_equal(get("/", "no.such.token", ""), 401);
	assert_int_equal(get("/", NULL, "Authorization: Basic eDp5\r\n"),
	    401);
	assert_int_equal(get("/", NULL, "Fealty-Device: SN0001\r\n"), 401);
	assert_int_equal(get("/_fealty", token[0], ""), 404);
	assert_int_equal(atomic_load(&service.heard), before);
}

/* Threat: a client names itself in headers that the service believes. */
static void
headers_that_a_client_forged_are_replaced(void **state)
{
	char value[ROOM];

	assert_int_equal(get("/", token[0], "Fealty-Device: admin\r\n"
	    "fealty-device: admin\r\nFealty_Device: admin\r\n"
	    "Fealty-Groups: 999\r\nFealty-Scope: admin\r\n"
	    "Fealty-Staleness: 0\r\nFealty-Code: forged\r\n"
	    "Fealty-Require-Scope: x\r\n"), 200);
	assert_int_equal(heard("Fealty-Device", value), 1);
	assert_string_equal(value, "SN0001");
	assert_int_equal(heard("Fealty-Groups", value), 1);
	assert_string_not_equal(value, "999");
	assert_int_equal(heard("Fealty-Scope", value), 1);
	assert_string_not_equal(value, "admin");
	assert_null(strstr(service.last, "admin"));
	assert_null(strstr(service.last, "forged"));
}

static void
a_place_that_wants_more_says_what_is_lacking(void **state)
{
	int before = atomic_load(&service.heard);

	assert_int_equal(get("/admin/x", token[0], ""), 403);
	assert_true(http_has(&w.a, "Fealty-Code", "wrong_scope"));
	/* the client cannot lower what the place wants */
	assert_int_equal(get("/admin/x?scope=none", token[0],
	    "Fealty-Require-Scope: none\r\n"), 403);
	assert_int_equal(atomic_load(&service.heard), before);
}

static void
a_revoked_token_is_out_within_the_feed_s_interval(void **state)
{
	int64_t took;
	int before;

	assert_int_equal(get("/", token[1], ""), 200);
	CTL(&w, "revoke", "device:SN0002", "--effect", "cut", "--reason",
	    "test");
	took = until(token[1], 401, REVOKED_MS);
	assert_true(http_has(&w.a, "Fealty-Code", "token_cut"));
	print_message("# a cut token was out %d ms after the command\n",
	    (int)took);
	world_token(&w, "SN0002", token[1]);
	(void)until(token[1], 200, REVOKED_MS);
	CTL(&w, "revoke", "device:SN0002", "--reason", "test");
	took = until(token[1], 403, REVOKED_MS);
	assert_true(http_has(&w.a, "Fealty-Code", "device_"));
	print_message("# a revoked device was out %d ms after the command\n",
	    (int)took);
	before = atomic_load(&service.heard);
	assert_int_equal(get("/", token[1], ""), 403);
	assert_int_equal(atomic_load(&service.heard), before);
	assert_int_equal(get("/", token[0], ""), 200);
}

/* Threat: who stops the check gets in. */
static void
an_agent_that_is_away_or_hangs_lets_nobody_in(void **state)
{
	int before = atomic_load(&service.heard);

	assert_int_equal(kill(agent, SIGSTOP), 0);
	assert_int_equal(get("/", token[2], ""), 500);
	assert_int_equal(kill(agent, SIGCONT), 0);
	assert_int_equal(process_stop(&agent, SIGTERM), 0);
	assert_int_equal(get("/", token[2], ""), 500);
	assert_int_equal(get("/", token[2], "Fealty-Device: SN0003\r\n"),
	    500);
	assert_int_equal(atomic_load(&service.heard), before);
	start_agent();
	(void)until(token[2], 200, LIMIT * 1000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(
		a_good_token_passes_and_the_service_hears_whose_it_is),
	    cmocka_unit_test(a_body_goes_to_the_service_and_not_to_the_agent),
	    cmocka_unit_test(without_a_token_nothing_gets_to_the_service),
	    cmocka_unit_test(headers_that_a_client_forged_are_replaced),
	    cmocka_unit_test(a_place_that_wants_more_says_what_is_lacking),
	    cmocka_unit_test(
		a_revoked_token_is_out_within_the_feed_s_interval),
	    cmocka_unit_test(an_agent_that_is_away_or_hangs_lets_nobody_in),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
