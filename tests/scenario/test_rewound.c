/*
 * A database restored from an older backup, behind the back of a gateway that
 * has seen more: authd issues nothing until it is recovered with what others
 * hold, and then every revocation holds again.
 */
#include "tests/scenario/world.h"

#include <sys/socket.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <signal.h>
#include <unistd.h>

#include "tests/scenario/sse.h"

#define LIMIT 60
#define NONE UINT64_MAX

static char listen_at[ROOM];
static const char *const extra[] = {"--issuer", ISSUER, "--listen", listen_at,
    NULL};
static struct world w;

/* ---- the world ---- */

/* A port that is free: authd comes back where the gateway looks for it. */
static void
choose_port(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	(void)close(fd);
	(void)snprintf(listen_at, sizeof(listen_at), "127.0.0.1:%u",
	    ntohs(a.sin_port));
}

static void
copy_database(const char *from, const char *to)
{
	char source[ROOM + 100], target[ROOM + 100];
	const char *argv[] = {"cp", "-a", "-T", source, target, NULL};

	(void)snprintf(source, sizeof(source), "%s/%s",
	    authd_fixture_dir(w.authd), from);
	(void)snprintf(target, sizeof(target), "%s/%s",
	    authd_fixture_dir(w.authd), to);
	if (process_run(argv, NULL, LIMIT, &w.r) != 0)
		fail_msg("cp: %s", w.r.err);
}

static void
back_up(void)
{
	assert_int_equal(authd_fixture_end(w.authd), 0);
	copy_database("db", "backup");
	assert_int_equal(authd_fixture_restart(w.authd), 0);
}

static void
restore(void)
{
	char db[ROOM + 100];
	const char *argv[] = {"rm", "-rf", db, NULL};

	assert_int_equal(authd_fixture_end(w.authd), 0);
	(void)snprintf(db, sizeof(db), "%s/db", authd_fixture_dir(w.authd));
	assert_int_equal(process_run(argv, NULL, LIMIT, &w.r), 0);
	copy_database("backup", "db");
	assert_int_equal(authd_fixture_restart(w.authd), 0);
}

static void
becomes(int status)
{
	long until = process_deadline(LIMIT);

	while (world_http(&w, "GET", "/readyz", NULL, NULL) != status &&
	    process_left(until))
		process_pause();
	assert_int_equal(w.a.status, status);
}

static void
follow(const char *at)
{
	char url[ROOM];
	const char *const urls[] = {world_url(&w, url), NULL};

	world_follow(&w, urls, at);
}

static int
set_up(void **state)
{
	memset(&w, 0, sizeof(w));
	choose_port();
	world_open(&w, extra);
	world_order(&w, 10);
	world_enrol(&w, "hub2");
	follow("127.0.0.1:0");
	world_burn(&w, "SN0001");
	world_burn(&w, "SN0002");
	world_burn(&w, "SN0003");
	return 0;
}

static int
tear_down(void **state)
{
	world_close(&w);
	return 0;
}

/* ---- what is asked ---- */

static void
enforced(const char *what)
{
	long until = process_deadline(LIMIT);

	while (CTL_STATUS(&w, "revoke", what, "--wait", "20s") == 3 &&
	    process_left(until))
		process_pause();
	assert_non_null(strstr(w.r.out, "enforced at 1 of 1 gateways"));
}

static int
gets_token(const char *serial)
{
	char at[ROOM];

	(void)snprintf(at, sizeof(at), "127.0.0.1:%u",
	    authd_fixture_device(w.authd));
	return DEVICE(&w, serial, "1.3", "token", "--at", at) == 0;
}

static void
gateway_takes(const char *serial, int want)
{
	char token[TOKEN_ROOM];
	long until = process_deadline(LIMIT);
	int took;

	do {
		world_token(&w, serial, token);
		took = world_show(&w, serial, token) == 0;
	} while (took != want && process_left(until));
	assert_int_equal(took, want);
}

/* ---- the record of the feed: what others hold ---- */

static void
add_line(const char *name, const char *text, size_t len, const char *mode)
{
	char path[ROOM];
	FILE *f = fopen(world_file(&w, name, path), mode);

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, len, f), len);
	assert_int_equal(fputc('\n', f), '\n');
	assert_int_equal(fclose(f), 0);
}

static struct sse *
record_begin(void)
{
	char path[ROOM];
	struct sse *s;

	(void)unlink(world_file(&w, "events", path));
	s = sse_open(authd_fixture_api(w.authd), w.admin, NONE, NONE);
	assert_non_null(s);
	return s;
}

/* Files events, keys and heartbeat, the last one of head at least upto. */
static void
record_end(struct sse **s, uint64_t upto)
{
	long until = process_deadline(LIMIT);
	struct sse_event e;
	uint64_t seen = 0;
	int done = 0;

	while (!done && process_left(until)) {
		if (sse_next(*s, 1000, &e) != 1)
			continue;
		if (strcmp(e.name, "revocations") == 0) {
			add_line("events", e.data, e.len, "a");
			seen = e.id;
		} else if (strcmp(e.name, "keys") == 0) {
			add_line("keys", e.data, e.len, "w");
		} else {
			add_line("heartbeat", e.data, e.len, "w");
			done = seen >= upto;
		}
	}
	assert_true(done);
	sse_close(s);
}

static uint64_t
head(void)
{
	const char *p;

	assert_int_equal(world_http(&w, "GET", "/readyz", NULL, NULL), 200);
	p = strstr(w.a.body, "\"position\":");
	assert_non_null(p);
	return strtoull(p + 11, NULL, 10);
}

static int
recover(int with_keys)
{
	char beat[ROOM], events[ROOM], keys[ROOM];

	return CTL_STATUS(&w, "recover", "--heartbeat",
	    world_file(&w, "heartbeat", beat), "--events",
	    world_file(&w, "events", events), with_keys ? "--keys" : NULL,
	    world_file(&w, "keys", keys));
}

/* ---- the tests ---- */

static void
a_gateway_that_has_seen_more_stops_it_until_it_is_recovered(void **state)
{
	char old[TOKEN_ROOM], out[ROOM], record[ROOM];
	const char *argv[] = {"build:examples/device", "--record", record,
	    "connect", "--audience", "hub", "--token", old, "--hold", NULL};
	struct sse *s;
	pid_t session;
	uint64_t top;
	int status;

	back_up();
	s = record_begin();
	enforced("device:SN0001");
	CTL(&w, "device", "suspend", "SN0003");
	top = head();
	record_end(&s, top);
	world_token(&w, "SN0002", old);
	(void)world_file(&w, "burned/SN0002.cbor", record);
	session = process_start(argv, world_file(&w, "session", out),
	    "/dev/null");
	assert_int_equal(file_wait(out, "OK device=", LIMIT), 0);
	restore();
	/* Nobody tells it but the gateway, which shows what it holds. */
	becomes(503);
	assert_non_null(strstr(w.a.body, "lost events"));
	assert_false(gets_token("SN0001"));
	assert_non_null(strstr(w.r.err, "not_ready"));
	assert_false(gets_token("SN0002"));
	assert_int_equal(recover(0), 0);
	assert_non_null(strstr(w.r.out, "2 events taken back"));
	becomes(200);
	assert_true(head() >> 40 == (top >> 40) + 1);
	/* What was revoked is, and what was held before is held no more. */
	assert_false(gets_token("SN0001"));
	assert_non_null(strstr(w.r.err, "device_"));
	assert_false(gets_token("SN0003"));
	assert_int_equal(file_wait(out, "CLOSED ", LIMIT), 0);
	while (!process_ended(&session, &status))
		process_pause();
	gateway_takes("SN0002", 1);
	assert_int_not_equal(world_show(&w, "SN0002", old), 0);
	enforced("device:SN0002");
}

static void
key_in_use(const char *purpose, char kid[ROOM])
{
	char sql[200];

	(void)snprintf(sql, sizeof(sql), "SELECT kid FROM fealty.secret_key "
	    "WHERE tenant = 1 AND purpose = '%s' AND state = 'active'",
	    purpose);
	world_sql(&w, sql);
	w.r.out[strcspn(w.r.out, "\n")] = '\0';
	(void)snprintf(kid, ROOM, "%.100s", w.r.out);
}

static void
revoke_key(const char *purpose, const char *devices)
{
	char kid[ROOM], what[ROOM + 4];

	key_in_use(purpose, kid);
	(void)snprintf(what, sizeof(what), "key:%s", kid);
	CTL(&w, "revoke", what, "--expect", devices);
}

/* Threat: a restore brings stolen keys back. */
static void
keys_revoked_since_the_backup_stay_revoked(void **state)
{
	char kid[ROOM];
	struct sse *s;

	key_in_use("token", kid);
	back_up();
	s = record_begin();
	revoke_key("token", "3");
	revoke_key("feed", "0");
	enforced("device:SN0001");
	record_end(&s, head());
	restore();
	/* The gateway knows more, but under keys that authd has lost. */
	assert_int_equal(file_wait(w.gateway_log, "position_behind", LIMIT),
	    0);
	assert_int_equal(recover(0), 1);
	assert_non_null(strstr(w.r.err, "give the lost key set"));
	assert_int_equal(recover(1), 0);
	assert_non_null(strstr(w.r.out, "3 events taken back"));
	becomes(200);
	assert_int_equal(world_http(&w, "GET", "/.well-known/jwks.json", NULL,
	    NULL), 200);
	assert_non_null(strstr(w.a.body, "\"kid\""));
	assert_null(strstr(w.a.body, kid));
	assert_false(gets_token("SN0001"));
	gateway_takes("SN0002", 1);
	enforced("device:SN0002");
	/* And not a second time. */
	assert_int_equal(recover(1), 1);
}

/* ---- without a record: what the gateway itself still holds ---- */

static void
held(unsigned events)
{
	long until = process_deadline(LIMIT);
	char want[40];

	(void)snprintf(want, sizeof(want), "\"events\":%u,", events);
	do {
		process_pause();
		assert_int_equal(world_http(&w, "GET", "/v1/recover/held",
		    w.admin, NULL), 200);
	} while (strstr(w.a.body, want) == NULL && process_left(until));
	if (strstr(w.a.body, want) == NULL)
		fail_msg("not %u events: %s", events, w.a.body);
	assert_non_null(strstr(w.a.body, "\"gateway\":\"hub2\""));
}

static void
recover_held(const char *events)
{
	char said[60];

	assert_int_equal(CTL_STATUS(&w, "recover"), 1);
	(void)snprintf(said, sizeof(said), "repeat with --expect %s ",
	    events);
	assert_non_null(strstr(w.r.err, said));
	assert_non_null(strstr(w.r.out, "gateway hub2:"));
	assert_int_equal(CTL_STATUS(&w, "recover", "--expect", events), 0);
	(void)snprintf(said, sizeof(said), "%s events taken back", events);
	assert_non_null(strstr(w.r.out, said));
	becomes(200);
}

static void
nothing_is_lost_after_all(void)
{
	assert_false(gets_token("SN0001"));
	assert_non_null(strstr(w.r.err, "device_"));
	assert_false(gets_token("SN0003"));
	gateway_takes("SN0002", 1);
	enforced("device:SN0002");
	assert_int_equal(CTL_STATUS(&w, "recover", "--expect", "0"), 1);
	assert_non_null(strstr(w.r.err, "nothing is known to be lost"));
}

static void
what_a_gateway_holds_is_taken_back_without_a_record(void **state)
{
	back_up();
	CTL(&w, "device", "suspend", "SN0003");
	enforced("device:SN0001");
	restore();
	becomes(503);
	held(2);
	recover_held("2");
	nothing_is_lost_after_all();
}

static void
what_a_gateway_held_when_it_was_stopped_is_taken_back(void **state)
{
	char at[ROOM];

	back_up();
	CTL(&w, "device", "suspend", "SN0003");
	enforced("device:SN0001");
	assert_int_equal(process_stop(&w.gateway, SIGTERM), 0);
	restore();
	/* Nobody is there who knows; then somebody comes back. */
	assert_int_equal(world_http(&w, "GET", "/readyz", NULL, NULL), 200);
	(void)snprintf(at, sizeof(at), "%s", w.listening);
	follow(at);
	becomes(503);
	held(2);
	recover_held("2");
	nothing_is_lost_after_all();
}

/* The keys that have signed what was lost are lost too. */
static void
what_lost_keys_have_signed_is_taken_back_without_a_record(void **state)
{
	char kid[ROOM];

	key_in_use("token", kid);
	back_up();
	revoke_key("token", "3");
	revoke_key("feed", "0");
	enforced("device:SN0001");
	restore();
	becomes(503);
	held(3);
	recover_held("3");
	assert_int_equal(world_http(&w, "GET", "/.well-known/jwks.json", NULL,
	    NULL), 200);
	assert_null(strstr(w.a.body, kid));
	assert_false(gets_token("SN0001"));
	gateway_takes("SN0002", 1);
	enforced("device:SN0002");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	    T(a_gateway_that_has_seen_more_stops_it_until_it_is_recovered),
	    T(keys_revoked_since_the_backup_stay_revoked),
	    T(what_a_gateway_holds_is_taken_back_without_a_record),
	    T(what_a_gateway_held_when_it_was_stopped_is_taken_back),
	    T(what_lost_keys_have_signed_is_taken_back_without_a_record),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
