/*
 * Two authd on one database. An assertion works once, whichever it reaches,
 * also when both are asked at the same time and when PostgreSQL dies in
 * between; what is revoked at one is revoked at the other.
 */
#include "tests/scenario/world.h"

#include <poll.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#define PAIRS 1000
#define AT_ONCE 50 /* pairs in flight */
#define BURST 64
#define LIMIT 90

static struct world w, w2; /* w2: the same by the second authd */

static int
set_up(void **state)
{
	static char url[ROOM];
	static const char *extra[] = {"--issuer", url, NULL};

	(void)state;
	world_open(&w, NULL);
	world_order(&w, 20);
	(void)world_url(&w, url);
	w2 = w;
	w2.owner = 0;
	w2.authd = NULL;
	assert_int_equal(authd_fixture_second(w.authd, extra, &w2.authd), 0);
	world_burn(&w, "SN0001");
	world_burn(&w2, "SN0002");
	return 0;
}

static int
tear_down(void **state)
{
	int status = authd_fixture_end(w2.authd);

	(void)state;
	authd_fixture_stop(&w2.authd);
	world_close(&w);
	assert_int_equal(status, 0);
	return 0;
}

/* An assertion by a nonce: it outlives any pause of a slow machine. */
static void
fresh(const char *serial, char out[ASSERTION_ROOM])
{
	char nonce[ROOM];
	const struct assertion_of of = {serial, 0, nonce};

	world_nonce(&w, nonce);
	world_assertion(&w, &of, out);
}

static int
connection(const struct world *to)
{
	int fd = http_connect(authd_fixture_api(to->authd));

	assert_true(fd >= 0);
	return fd;
}

static void
ask(int fd, const char *assertion)
{
	char form[2000], text[2400];
	int n;

	world_grant(assertion, form, sizeof(form));
	n = snprintf(text, sizeof(text), "POST /oauth2/token HTTP/1.1\r\n"
	    "Host: t\r\nContent-Type: " TYPE_FORM "\r\n"
	    "Content-Length: %zu\r\n\r\n%s", strlen(form), form);
	assert_true(n > 0 && (size_t)n < sizeof(text));
	assert_int_equal(http_send(fd, text, (size_t)n), 0);
}

/* 1 a token, 0 told that it was used; anything else fails. */
static int
got_token(int fd)
{
	static struct http_answer a;

	assert_int_equal(http_receive(fd, 0, &a), 0);
	if (a.status == 200 && strstr(a.body, "\"access_token\"") != NULL)
		return 1;
	if (a.status == 401 && strstr(a.body, "\"assertion_used\"") != NULL)
		return 0;
	fail_msg("%d %s", a.status, a.body);
	return -1;
}

/* AT_ONCE pairs: all are sent before any answer is read. */
static unsigned
race(const int fd[2][AT_ONCE], unsigned round, unsigned served[2])
{
	char jwt[ASSERTION_ROOM];
	unsigned i, first, won = 0;
	int a, b;

	for (i = 0; i < AT_ONCE; i++) {
		first = (i + round) % 2;
		fresh(i % 3 == 0 ? "SN0001" : "SN0002", jwt);
		ask(fd[first][i], jwt);
		ask(fd[1 - first][i], jwt);
	}
	for (i = 0; i < AT_ONCE; i++) {
		a = got_token(fd[0][i]);
		b = got_token(fd[1][i]);
		if (a + b != 1)
			fail_msg("of a pair, %d succeeded", a + b);
		won++;
		served[a == 1 ? 0 : 1]++;
	}
	return won;
}

static void
of_1000_pairs_in_flight_at_both_exactly_1000_succeed(void **state)
{
	int fd[2][AT_ONCE];
	unsigned i, won = 0, served[2] = {0, 0};

	(void)state;
	for (i = 0; i < AT_ONCE; i++) {
		fd[0][i] = connection(&w);
		fd[1][i] = connection(&w2);
	}
	for (i = 0; i < PAIRS / AT_ONCE; i++)
		won += race((const int(*)[AT_ONCE])fd, i, served);
	assert_int_equal(won, PAIRS);
	for (i = 0; i < AT_ONCE; i++) {
		(void)close(fd[0][i]);
		(void)close(fd[1][i]);
	}
	print_message("# the first served %u, the second %u\n", served[0],
	    served[1]);
}

static void
the_same_pair_at_one_authd_succeeds_once(void **state)
{
	char jwt[ASSERTION_ROOM];
	int a = connection(&w), b = connection(&w);
	unsigned i;

	(void)state;
	for (i = 0; i < 100; i++) {
		fresh("SN0001", jwt);
		ask(a, jwt);
		ask(b, jwt);
		assert_int_equal(got_token(a) + got_token(b), 1);
	}
	(void)close(a);
	(void)close(b);
}

/* Asks until there is an answer that is no "try again". */
static int
redeem_in_the_end(struct world *at, const char *jwt)
{
	long deadline = process_deadline(LIMIT);
	int status;

	do {
		status = world_redeem(at, jwt);
		if (status != 0 && status != 503)
			return status;
		process_pause();
	} while (process_left(deadline));
	return status;
}

/* Its children go when they notice: answers may come for a moment more. */
static pid_t
kill_database(void)
{
	pid_t old = world_postmaster(&w);

	assert_true(old > 1);
	assert_int_equal(kill(old, SIGKILL), 0);
	return old;
}

static void
until_another_runs(pid_t old)
{
	long deadline = process_deadline(LIMIT);
	pid_t now;

	while ((now = world_postmaster(&w)) == old || now <= 0) {
		assert_true(process_left(deadline));
		process_pause();
	}
}

static void
until_ready(struct world *at)
{
	long deadline = process_deadline(LIMIT);

	while (world_http(at, "GET", "/readyz", NULL, NULL) != 200) {
		assert_true(process_left(deadline));
		process_pause();
	}
}

static void
used_before_postgresql_was_killed_it_is_used_after(void **state)
{
	char jwt[2][ASSERTION_ROOM];
	pid_t old;

	(void)state;
	fresh("SN0001", jwt[0]);
	fresh("SN0002", jwt[1]);
	assert_int_equal(world_redeem(&w, jwt[0]), 200);
	assert_int_equal(world_redeem(&w2, jwt[1]), 200);
	old = kill_database();
	until_another_runs(old);
	assert_int_equal(redeem_in_the_end(&w2, jwt[0]), 401);
	assert_true(world_code(&w2, "assertion_used"));
	assert_int_equal(redeem_in_the_end(&w, jwt[1]), 401);
	assert_true(world_code(&w, "assertion_used"));
	until_ready(&w);
	until_ready(&w2);
}

struct burst {
	int fd[BURST];
	int won[BURST];
};

/* 200 counts; no answer, or 503, leaves it open whether it was used. */
static void
read_burst(struct burst *b)
{
	static struct http_answer a;
	int i;

	for (i = 0; i < BURST; i++) {
		if (http_receive(b->fd[i], 0, &a) == 0) {
			b->won[i] = a.status == 200;
			if (a.status != 200 && a.status != 503)
				fail_msg("%d %s", a.status, a.body);
		}
		(void)close(b->fd[i]);
	}
}

static void
killed_in_the_middle_of_a_burst_none_works_twice(void **state)
{
	static char jwt[BURST][ASSERTION_ROOM];
	static struct burst b;
	struct pollfd answered = {.events = POLLIN};
	unsigned i, won = 0;
	pid_t old = 0;
	int status;

	(void)state;
	for (i = 0; i < BURST; i++) {
		fresh(i % 2 ? "SN0001" : "SN0002", jwt[i]);
		b.fd[i] = connection(i % 2 ? &w : &w2);
	}
	answered.fd = b.fd[0];
	for (i = 0; i < BURST; i++) {
		ask(b.fd[i], jwt[i]);
		if (i == BURST / 4)
			assert_int_equal(poll(&answered, 1, LIMIT * 1000), 1);
		if (i == BURST / 2)
			old = kill_database();
	}
	read_burst(&b);
	until_another_runs(old);
	for (i = 0; i < BURST; i++) {
		status = redeem_in_the_end(i % 2 ? &w2 : &w, jwt[i]);
		if (b.won[i] && status != 401)
			fail_msg("the %uth worked twice: %d", i, status);
		won += b.won[i] != 0;
		if (status == 200)
			assert_int_equal(401, redeem_in_the_end(
			    i % 2 ? &w : &w2, jwt[i]));
	}
	print_message("# %u of %u were answered before\n", won, BURST);
	until_ready(&w);
	until_ready(&w2);
}

static void
until_dead(struct world *at, const char *token)
{
	long deadline = process_deadline(LIMIT);

	while (world_active(at, token)) {
		assert_true(process_left(deadline));
		process_pause();
	}
	assert_non_null(strstr(at->a.body, "\"code\":\"device_"));
}

static void
revoke_at_one_ask_the_other(struct world *one, struct world *other,
    const char *serial)
{
	char token[TOKEN_ROOM], jwt[ASSERTION_ROOM], path[ROOM];

	world_burn(one, serial);
	world_token(other, serial, token);
	assert_true(world_active(one, token));
	assert_true(world_active(other, token));
	fresh(serial, jwt);
	(void)snprintf(path, sizeof(path), "/v1/devices/%s/revoke", serial);
	assert_int_equal(world_http(one, "POST", path, w.admin, "{}"), 200);
	assert_false(world_active(one, token));
	until_dead(other, token);
	/* whether it has the device in memory or not */
	assert_int_equal(world_redeem(other, jwt), 400);
	assert_true(world_code(other, "device_revoked"));
	assert_int_not_equal(DEVICE(other, serial, "1.3", "token"), 0);
}

static void
what_is_revoked_at_one_is_revoked_at_the_other(void **state)
{
	(void)state;
	revoke_at_one_ask_the_other(&w, &w2, "SN0003");
	revoke_at_one_ask_the_other(&w2, &w, "SN0004");
}

static void
a_token_that_the_slower_one_issues_late_is_dead_on_arrival(void **state)
{
	char path[ROOM], jwt[ASSERTION_ROOM], token[TOKEN_ROOM];
	int status;

	(void)state;
	world_burn(&w, "SN0005");
	fresh("SN0005", jwt);
	(void)snprintf(path, sizeof(path), "/v1/devices/SN0005/suspend");
	/* the second has it in memory, then is asked at once */
	world_token(&w2, "SN0005", token);
	assert_int_equal(world_http(&w, "POST", path, w.admin, "{}"), 200);
	status = world_redeem(&w2, jwt);
	if (status == 200) {
		assert_int_equal(http_member(&w2.a, "access_token", token,
		    sizeof(token)), 0);
		assert_false(world_active(&w, token));
	} else {
		assert_true(world_code(&w2, "device_suspended"));
	}
}

static void
a_credential_disabled_at_one_is_dead_at_the_other(void **state)
{
	long deadline = process_deadline(LIMIT);
	char credential[ROOM];

	(void)state;
	assert_int_equal(world_http(&w, "POST", "/v1/callers", w.admin,
	    "{\"name\":\"eve\",\"role\":\"auditor\"}"), 201);
	assert_int_equal(http_member(&w.a, "credential", credential,
	    sizeof(credential)), 0);
	assert_int_equal(world_http(&w2, "GET", "/v1/devices", credential,
	    NULL), 200);
	assert_int_equal(world_http(&w, "POST", "/v1/callers/eve/disable",
	    w.admin, "{}"), 200);
	while (world_http(&w2, "GET", "/v1/devices", credential, NULL) !=
	    401) {
		assert_true(process_left(deadline));
		process_pause();
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(
		of_1000_pairs_in_flight_at_both_exactly_1000_succeed),
	    cmocka_unit_test(the_same_pair_at_one_authd_succeeds_once),
	    cmocka_unit_test(
		used_before_postgresql_was_killed_it_is_used_after),
	    cmocka_unit_test(
		killed_in_the_middle_of_a_burst_none_works_twice),
	    cmocka_unit_test(what_is_revoked_at_one_is_revoked_at_the_other),
	    cmocka_unit_test(
		a_token_that_the_slower_one_issues_late_is_dead_on_arrival),
	    cmocka_unit_test(
		a_credential_disabled_at_one_is_dead_at_the_other),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
