/*
 * Receipts over real processes: gateways that follow the feed and say what
 * they enforce (each a thread with HTTP of its own), operators who wait.
 */
#include "tests/scenario/world.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

#define GATEWAYS 8
#define REAL 2 /* examples/gateway */
#define BY_SECOND 2 /* of them speak to the second authd */

static const char *const extra[] = {"--issuer", ISSUER, NULL};
static struct world w, w2; /* w2: the same by the second authd */

struct hub {
	pthread_t thread;
	uint16_t port;
	char credential[ROOM];
	char instance[20];
	atomic_int mute, stop; /* mute: hears, and says nothing */
	unsigned long long pos;
	struct http_answer a;
};
static struct hub hubs[GATEWAYS];

static uint16_t
port_of(const struct world *of)
{
	const char *url = authd_fixture_url(of->authd);

	return (uint16_t)strtoul(strrchr(url, ':') + 1, NULL, 10);
}

static unsigned long long
number_after(const char *text, const char *key)
{
	const char *p = strstr(text, key);

	return p == NULL ? 0 : strtoull(p + strlen(key), NULL, 10);
}

static int
say(struct hub *h, unsigned long long pos)
{
	char body[200];

	(void)snprintf(body, sizeof(body), "{\"instance\":\"%s\","
	    "\"position\":%llu,\"enforced\":\"sessions\",\"closed\":1,"
	    "\"took_us\":250}", h->instance, pos);
	if (http_ask(h->port, "POST", "/v1/receipts", h->credential,
	    TYPE_JSON, body, -1, &h->a) != 0)
		return 0;
	return h->a.status;
}

static void *
follow(void *arg)
{
	struct hub *h = arg;
	unsigned long long head;
	char path[100];

	while (!atomic_load(&h->stop)) {
		(void)snprintf(path, sizeof(path),
		    "/v1/revocations?after=%llu&wait=1", h->pos);
		if (http_ask(h->port, "GET", path, h->credential, NULL, NULL,
		    -1, &h->a) != 0 || h->a.status != 200)
			continue;
		head = number_after(h->a.body, "\"head\":");
		if (head > h->pos && !atomic_load(&h->mute) &&
		    say(h, head) != 204)
			continue;
		h->pos = head;
	}
	return NULL;
}

static void
enrol(const char *name, char credential[ROOM])
{
	char path[ROOM];

	CTL(&w, "caller", "create", name, "--role", "gateway", "--audiences",
	    "hub", "--credential-out", world_file(&w, name, path));
	assert_true(file_text(path, credential, ROOM) > 0);
	credential[strcspn(credential, "\n")] = '\0';
}

static int
set_up(void **state)
{
	(void)state;
	world_open(&w, extra);
	memset(&w2, 0, sizeof(w2));
	assert_int_equal(authd_fixture_second(w.authd, extra, &w2.authd), 0);
	world_order(&w, 50);
	world_burn(&w, "SN0001");
	world_burn(&w, "SN0002");
	world_burn(&w, "SN0003");
	world_burn(&w, "SN0004");
	world_burn(&w, "SN0005");
	world_burn(&w, "SN0006");
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	authd_fixture_stop(&w2.authd);
	world_close(&w);
	return 0;
}

/* The one gateway that the world has is not one any more. */
static void
without_a_gateway_it_says_how_long_tokens_live_and_exits_3(void **state)
{
	(void)state;
	CTL(&w, "caller", "disable", "hub1");
	assert_int_equal(3, CTL_STATUS(&w, "revoke", "device:SN0001",
	    "--wait", "5s"));
	assert_true(world_says(&w, "done at position"));
	assert_true(world_says(&w, "no gateway is enrolled for it"));
	assert_true(world_says(&w, "live on for up to 10 minutes"));
}

static pid_t
start_real(const char *name)
{
	char file[ROOM], out[ROOM], log[ROOM], text[80];
	const char *argv[] = {"build:examples/gateway", "--enrolment-file",
	    file, "--listen", "127.0.0.1:0", NULL};
	pid_t pid;

	world_file(&w, name, file);
	CTL(&w, "caller", "create", name, "--role", "gateway", "--audiences",
	    "hub", "--enrolment-out", file);
	(void)snprintf(text, sizeof(text), "%s.out", name);
	world_file(&w, text, out);
	(void)snprintf(text, sizeof(text), "%s.log", name);
	pid = process_start(argv, out, world_file(&w, text, log));
	assert_true(pid > 0);
	assert_int_equal(file_wait(out, "listening ", 60), 0);
	return pid;
}

static void
gateways_of_the_library_say_it(void **state)
{
	pid_t pid[REAL];
	char name[20];
	int i;

	(void)state;
	for (i = 0; i < REAL; i++) {
		(void)snprintf(name, sizeof(name), "real%d", i);
		pid[i] = start_real(name);
	}
	CTL(&w, "revoke", "device:SN0006", "--wait", "20s");
	assert_true(world_says(&w, "enforced at 2 of 2 gateways, slowest "));
	print_message("# %s", w.r.out);
	for (i = 0; i < REAL; i++) {
		assert_int_equal(process_stop(&pid[i], SIGTERM), 0);
		(void)snprintf(name, sizeof(name), "real%d", i);
		CTL(&w, "caller", "disable", name);
	}
}

static void
start_hubs(void)
{
	char name[20];
	int i;

	for (i = 0; i < GATEWAYS; i++) {
		(void)snprintf(name, sizeof(name), "gw%d", i);
		(void)snprintf(hubs[i].instance, sizeof(hubs[i].instance),
		    "i%d", i);
		enrol(name, hubs[i].credential);
		hubs[i].port = port_of(i < BY_SECOND ? &w2 : &w);
		assert_int_equal(pthread_create(&hubs[i].thread, NULL,
		    follow, &hubs[i]), 0);
	}
}

static void
all_gateways_have_said_it_with_the_slowest(void **state)
{
	char text[ROOM];

	(void)state;
	start_hubs();
	CTL(&w, "revoke", "device:SN0002", "--wait", "20s");
	(void)snprintf(text, sizeof(text),
	    "enforced at %d of %d gateways, slowest ", GATEWAYS, GATEWAYS);
	assert_true(world_says(&w, text));
	print_message("# %s", w.r.out);
	assert_non_null(strstr(w.r.out, " ms\n"));
	/* And of those that are peered with it only. */
	CTL(&w, "caller", "create", "other", "--role", "gateway",
	    "--audiences", "elsewhere", "--credential-out",
	    world_file(&w, "other", text));
	CTL(&w, "revoke", "device:SN0003", "--wait", "20s");
	(void)snprintf(text, sizeof(text), "enforced at %d of %d gateways",
	    GATEWAYS, GATEWAYS);
	assert_true(world_says(&w, text));
}

static unsigned long long
head(void)
{
	assert_int_equal(world_http(&w, "GET", "/v1/revocations?after=0",
	    w.admin, NULL), 200);
	return number_after(w.a.body, "\"head\":");
}

static void
receipts_are_shown_later(void **state)
{
	char pos[30];

	(void)state;
	(void)snprintf(pos, sizeof(pos), "%llu", head());
	CTL(&w, "receipts", pos);
	assert_true(world_says(&w, "GATEWAY"));
	assert_true(world_says(&w, "gw7"));
	assert_true(world_says(&w, "sessions"));
	assert_true(world_says(&w, "enforced at 8 of 8 gateways"));
	CTL(&w, "receipts", pos, "--json");
	assert_true(world_says(&w, "\"expected\":8,\"enforced\":8,\"slowest_ms\":"));
	assert_true(world_says(&w, "\"lagging\":[]"));
	assert_int_equal(1, CTL_STATUS(&w, "receipts", "5"));
	assert_int_equal(2, CTL_STATUS(&w, "receipts", "five"));
}

/* The event of a token or caller names no device whose peers one could know:
 * also "other" has to say it, which has no device of this order. */
static void
what_names_no_device_is_expected_of_every_gateway(void **state)
{
	static const char *const what[] = {"token:dGhlIGp0aSBvZiBhIHRva2Vu",
	    "caller:eve"};
	char path[ROOM];
	size_t i;

	(void)state;
	CTL(&w, "caller", "create", "eve", "--role", "auditor",
	    "--credential-out", world_file(&w, "eve", path));
	for (i = 0; i < COUNT(what); i++) {
		assert_int_equal(3, CTL_STATUS(&w, "revoke", what[i],
		    "--wait", "2s"));
		assert_true(world_says(&w, "enforced at 8 of 9 gateways"));
		assert_true(world_says(&w, "lagging: other"));
	}
}

static void
a_silent_gateway_is_named_with_the_time_since_it_was_heard(void **state)
{
	(void)state;
	atomic_store(&hubs[4].mute, 1);
	assert_int_equal(3, CTL_STATUS(&w, "revoke", "device:SN0004",
	    "--wait", "1s"));
	assert_true(world_says(&w, "enforced at 7 of 8 gateways"));
	assert_true(world_says(&w, "lagging: gw4, last heard "));
	assert_int_equal(3, CTL_STATUS(&w, "revoke", "device:SN0005",
	    "--wait", "1s", "--json"));
	assert_true(world_says(&w, "\"lagging\":[{\"gateway\":\"gw4\",\"heard_s\":"));
	assert_int_equal(world_http(&w, "GET", "/metrics", w.admin, NULL),
	    200);
	assert_non_null(strstr(w.a.body,
	    "fealty_revocation_lag_seconds{gateway=\"gw0\"} 0.000000"));
	assert_null(strstr(w.a.body,
	    "fealty_revocation_lag_seconds{gateway=\"gw4\"} 0.000000"));
	assert_non_null(strstr(w.a.body,
	    "fealty_gateway_heard_seconds{gateway=\"gw4\"} "));
	assert_non_null(strstr(w.a.body,
	    "fealty_gateway_heard_seconds{gateway=\"other\"} +Inf"));
}

static void *
say_late(void *arg)
{
	struct hub *h = arg;
	int i;

	for (i = 0; i < 20; i++)
		process_pause();
	(void)say(h, h->pos);
	return NULL;
}

/* Threat: waiting holds all workers, and nobody is served. */
static void
many_who_wait_hold_up_nobody(void **state)
{
	enum { WAITERS = 60 };
	static struct http_answer a[WAITERS];
	char request[600], pos[30];
	int fd[WAITERS], i, n;
	pthread_t late;

	(void)state;
	(void)snprintf(pos, sizeof(pos), "%llu", head());
	n = snprintf(request, sizeof(request), "GET /v1/revocations/%s/"
	    "receipts?wait=30 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer "
	    "%s\r\n\r\n", pos, w.admin);
	for (i = 0; i < WAITERS; i++) {
		fd[i] = http_connect(port_of(i % 2 ? &w : &w2));
		assert_true(fd[i] >= 0);
		assert_int_equal(http_send(fd[i], request, (size_t)n), 0);
	}
	assert_int_equal(world_http(&w, "GET", "/v1/callers", w.admin, NULL),
	    200);
	assert_int_equal(pthread_create(&late, NULL, say_late, &hubs[4]), 0);
	for (i = 0; i < WAITERS; i++) {
		assert_int_equal(http_receive(fd[i], 0, &a[i]), 0);
		assert_int_equal(a[i].status, 200);
		assert_non_null(strstr(a[i].body, "\"enforced\":8"));
		(void)close(fd[i]);
	}
	(void)pthread_join(late, NULL);
	atomic_store(&hubs[4].mute, 0);
}

/* A second instance of a gateway has to say it too. */
static void
a_gateway_counts_when_all_its_instances_have_said_it(void **state)
{
	struct hub twin = hubs[5];

	(void)state;
	(void)snprintf(twin.instance, sizeof(twin.instance), "twin");
	assert_int_equal(say(&twin, head()), 204);
	assert_int_equal(3, CTL_STATUS(&w, "revoke", "tenant", "--effect",
	    "cut", "--expect", "0", "--wait", "1s"));
	assert_true(world_says(&w, "lagging: gw5, last heard "));
	assert_int_equal(say(&twin, head()), 204);
	assert_int_equal(world_http(&w, "GET", "/v1/audit?limit=500", w.admin,
	    NULL), 200);
	assert_non_null(strstr(w.a.body, "instance twin"));
}

/* Threat: a gateway claims what it cannot know, or fills memory and disk. */
static void
a_receipt_that_cannot_be_is_refused(void **state)
{
	static const char *const bad[] = {
	    "{\"instance\":\"i 1\",\"position\":1,\"enforced\":\"requests\","
	    "\"closed\":0,\"took_us\":0}",
	    "{\"instance\":\"\",\"position\":1,\"enforced\":\"requests\","
	    "\"closed\":0,\"took_us\":0}",
	    "{\"instance\":\"i\",\"position\":1,\"enforced\":\"all\","
	    "\"closed\":0,\"took_us\":0}",
	    "{\"instance\":\"i\",\"position\":1,\"enforced\":\"requests\"}",
	};
	struct hub h = hubs[0];
	size_t i;

	(void)state;
	assert_int_equal(say(&h, head() + 1), 409);
	assert_non_null(strstr(h.a.body, "position_behind"));
	assert_int_equal(world_http(&w, "GET", "/v1/audit?limit=500", w.admin,
	    NULL), 200);
	assert_non_null(strstr(w.a.body, "\"action\":\"receipt\""));
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(world_http(&w, "POST", "/v1/receipts",
		    hubs[0].credential, bad[i]), 400);
	assert_int_equal(world_http(&w, "POST", "/v1/receipts", w.admin,
	    bad[0]), 403);
}

/* It is told what is known, and is not left waiting. */
static void
a_stop_answers_who_waits(void **state)
{
	static struct http_answer a;
	struct hub late = hubs[6];
	char request[600];
	int fd, n, i;

	(void)state;
	(void)snprintf(late.instance, sizeof(late.instance), "late");
	late.port = port_of(&w);
	assert_int_equal(say(&late, 1), 204);
	for (i = 0; i < GATEWAYS; i++)
		atomic_store(&hubs[i].stop, 1);
	for (i = 0; i < GATEWAYS; i++)
		(void)pthread_join(hubs[i].thread, NULL);
	n = snprintf(request, sizeof(request), "GET /v1/revocations/%llu/"
	    "receipts?wait=30 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer "
	    "%s\r\n\r\n", head(), w.admin);
	fd = http_connect(port_of(&w2));
	assert_true(fd >= 0);
	assert_int_equal(http_send(fd, request, (size_t)n), 0);
	for (i = 0; i < 20; i++)
		process_pause();
	authd_fixture_stop(&w2.authd);
	assert_int_equal(http_receive(fd, 0, &a), 0);
	assert_int_equal(a.status, 200);
	assert_non_null(strstr(a.body, "\"gateway\":\"gw6\",\"heard_s\""));
	(void)close(fd);
}

static void
an_enrolment_file_is_all_a_gateway_begins_with(void **state)
{
	char path[ROOM], other[ROOM], text[4000];
	struct stat st;

	(void)state;
	world_file(&w, "enrolment", path);
	CTL(&w, "caller", "create", "edge9", "--role", "gateway",
	    "--audiences", "hub", "--enrolment-out", path, "--urls",
	    "https://a.example,https://b.example");
	assert_null(strstr(w.r.out, "fc_"));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_true(file_text(path, text, sizeof(text)) > 0);
	assert_non_null(strstr(text, "{\"issuer\":\"" ISSUER "\",\"urls\":["
	    "\"https://a.example\",\"https://b.example\"],\"gateway\":"
	    "\"edge9\",\"audiences\":[\"hub\"],\"credential\":\"fc_"));
	assert_non_null(strstr(text, "\"root\":{\"kty\":\"EC\""));
	assert_int_equal(2, CTL_STATUS(&w, "caller", "create", "edge8",
	    "--role", "gateway", "--enrolment-out", path));
	assert_true(world_says(&w, "exists"));
	assert_int_equal(2, CTL_STATUS(&w, "caller", "create", "s9", "--role",
	    "station", "--enrolment-out", world_file(&w, "s9", other)));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(
		without_a_gateway_it_says_how_long_tokens_live_and_exits_3),
	    cmocka_unit_test(gateways_of_the_library_say_it),
	    cmocka_unit_test(all_gateways_have_said_it_with_the_slowest),
	    cmocka_unit_test(receipts_are_shown_later),
	    cmocka_unit_test(
		what_names_no_device_is_expected_of_every_gateway),
	    cmocka_unit_test(
		a_silent_gateway_is_named_with_the_time_since_it_was_heard),
	    cmocka_unit_test(many_who_wait_hold_up_nobody),
	    cmocka_unit_test(
		a_gateway_counts_when_all_its_instances_have_said_it),
	    cmocka_unit_test(a_receipt_that_cannot_be_is_refused),
	    cmocka_unit_test(an_enrolment_file_is_all_a_gateway_begins_with),
	    cmocka_unit_test(a_stop_answers_who_waits),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
