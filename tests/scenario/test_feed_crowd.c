/*
 * A crowd at one authd: readers that stay, come and go, or do not read, while
 * tenants are made, feed keys and tokens are revoked, and it is told to stop
 * in the middle of it. Made to be run under a thread sanitizer, too.
 */
#include "tests/scenario/world.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "tests/scenario/sse.h"

#define STAYING 60
#define PASSING 30
#define DEAF 10
#define READERS (STAYING + PASSING + DEAF)
#define WRITERS 4
#define SECONDS 8

static struct world w;
static atomic_int stop;	   /* 1: writers, 2: all */
static atomic_ullong last; /* position acknowledged */

struct part {
	pthread_t thread;
	unsigned i, seed;
	uint64_t at;
	const char *fault;
	int bye;
};
static struct part readers[READERS], writers[WRITERS];

static uint16_t
port(void)
{
	return authd_fixture_api(w.authd);
}

static int64_t
now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int
post(const char *path, const char *body, struct http_answer *a)
{
	return http_ask(port(), "POST", path, w.admin, TYPE_JSON, body, -1,
	    a) == 0 ? a->status : 0;
}

static void
note_position(struct http_answer *a)
{
	const char *p = strstr(a->body, "\"pos\":");
	unsigned long long pos = p == NULL ? 0 : strtoull(p + 6, NULL, 10);
	unsigned long long old = atomic_load(&last);

	while (pos > old && !atomic_compare_exchange_weak(&last, &old, pos))
		;
}

/* The first writer makes tenants, too, and takes a token key away. */
static void
write_one(struct part *p, unsigned n, struct http_answer *a)
{
	char body[200];

	if (p->i == 0 && n % 10 == 0) {
		(void)snprintf(body, sizeof(body), "{\"name\":\"crowd%u\"}",
		    n);
		if (post("/v1/tenants", body, a) != 201)
			p->fault = "no tenant";
		return;
	}
	(void)snprintf(body, sizeof(body), "{\"kind\":\"token\",\"id\":"
	    "\"w%u-%u\",\"effect\":\"cut\"}", p->i, n);
	if (post("/v1/revocations", body, a) == 201)
		note_position(a);
}

static void *
writer_main(void *arg)
{
	struct http_answer *a = calloc(1, sizeof(*a));
	struct part *p = arg;
	unsigned n;

	for (n = 1; a != NULL && p->fault == NULL && atomic_load(&stop) == 0;
	    n++)
		write_one(p, n, a);
	free(a);
	return NULL;
}

static struct sse *
enter(struct part *p)
{
	struct sse *s = NULL;

	while (s == NULL && atomic_load(&stop) < 2) {
		s = sse_open(port(), w.admin, UINT64_MAX, p->at);
		if (s == NULL)
			process_pause();
	}
	return s;
}

/* 1 goes on, 0 the stream is over. */
static int
take(struct part *p, struct sse *s)
{
	struct sse_event e;
	int r = sse_next(s, 200, &e);

	if (r == 1 && strcmp(e.name, "bye") == 0)
		p->bye = 1;
	if (r == 1 && strcmp(e.name, "revocations") == 0) {
		if (e.id <= p->at)
			p->fault = "a position that goes back";
		p->at = e.id;
	}
	return r >= 0;
}

static void *
reader_main(void *arg)
{
	struct part *p = arg;
	struct sse *s = enter(p);
	int leaves = p->i >= STAYING;

	while (s != NULL && p->fault == NULL && atomic_load(&stop) < 2) {
		if (take(p, s) && (!leaves || rand_r(&p->seed) % 8 != 0))
			continue;
		if (p->bye)
			break;
		sse_close(&s);
		s = enter(p);
	}
	/* Once it stops, what is left comes, and the end. */
	while (s != NULL && !p->bye && take(p, s))
		;
	sse_close(&s);
	return NULL;
}

/* Connects and never reads. */
static void *
deaf_main(void *arg)
{
	struct part *p = arg;
	struct sse *s = enter(p);

	while (atomic_load(&stop) < 2)
		process_pause();
	sse_close(&s);
	return NULL;
}

static void
start_all(uint64_t at)
{
	unsigned i;

	for (i = 0; i < READERS; i++) {
		readers[i] = (struct part){.i = i, .seed = i + 1, .at = at};
		assert_int_equal(pthread_create(&readers[i].thread, NULL,
		    i < STAYING + PASSING ? reader_main : deaf_main,
		    &readers[i]), 0);
	}
	for (i = 0; i < WRITERS; i++) {
		writers[i] = (struct part){.i = i};
		assert_int_equal(pthread_create(&writers[i].thread, NULL,
		    writer_main, &writers[i]), 0);
	}
}

/* The token key of the moment is revoked, so that key sets are sent. */
static void
change_keys(void)
{
	char body[200], ask[200], kid[100];

	assert_int_equal(world_http(&w, "GET", "/.well-known/jwks.json",
	    NULL, NULL), 200);
	assert_non_null(strstr(w.a.body, "\"kid\":\""));
	(void)snprintf(kid, sizeof(kid), "%.43s",
	    strstr(w.a.body, "\"kid\":\"") + 7);
	(void)snprintf(body, sizeof(body), "{\"kind\":\"signing-key\",\"id\":"
	    "\"%s\",\"effect\":\"cut\",\"expect\":0}", kid);
	(void)snprintf(ask, sizeof(ask), "{\"kind\":\"signing-key\",\"id\":"
	    "\"%s\",\"effect\":\"cut\"}", kid);
	if (world_http(&w, "POST", "/v1/revocations", w.admin, body) != 201)
		assert_int_equal(world_http(&w, "POST", "/v1/revocations",
		    w.admin, ask), 201);
}

static void
a_crowd_of_readers_is_served_and_told_of_the_end(void **state)
{
	int64_t until = now_ms() + SECONDS * 1000;
	unsigned i, byes = 0, behind = 0;

	assert_int_equal(world_http(&w, "POST", "/v1/revocations", w.admin,
	    "{\"kind\":\"token\",\"id\":\"first\",\"effect\":\"cut\"}"), 201);
	note_position(&w.a);
	start_all(atomic_load(&last));
	while (now_ms() < until) {
		change_keys();
		for (i = 0; i < 20; i++)
			process_pause();
	}
	/* Told to stop with all of them there. */
	assert_int_equal(kill(authd_fixture_pid(w.authd), SIGTERM), 0);
	atomic_store(&stop, 1);
	for (i = 0; i < WRITERS; i++)
		(void)pthread_join(writers[i].thread, NULL);
	assert_int_equal(authd_fixture_end(w.authd), 0);
	atomic_store(&stop, 2);
	for (i = 0; i < READERS; i++)
		(void)pthread_join(readers[i].thread, NULL);
	for (i = 0; i < READERS; i++) {
		if (readers[i].fault != NULL)
			fail_msg("reader %u: %s", i, readers[i].fault);
		byes += i < STAYING && readers[i].bye;
		behind += i < STAYING && readers[i].at < atomic_load(&last);
	}
	print_message("%u of %u who stayed heard the end, %u before the "
	    "last event\n", byes, STAYING, behind);
	assert_true(byes > STAYING / 2);
	assert_int_equal(authd_fixture_restart(w.authd), 0);
}

/* Threat: readers of one tenant take all connections, so that nobody can
 * revoke. */
static void
one_tenants_readers_leave_room_to_revoke_by(void **state)
{
	enum { MOST = 8 };
	static const char *const few[] = {"--issuer", ISSUER, "--connections",
	    "16", "--connections-per-address", "0", NULL};
	struct authd_fixture *small = NULL;
	struct sse *s[MOST + 1];
	unsigned i;

	assert_int_equal(authd_fixture_second(w.authd, few, &small), 0);
	for (i = 0; i < MOST; i++) {
		s[i] = sse_open(authd_fixture_api(small), w.admin, UINT64_MAX,
		    UINT64_MAX);
		assert_non_null(s[i]);
	}
	assert_null(sse_open(authd_fixture_api(small), w.admin, UINT64_MAX,
	    UINT64_MAX));
	assert_int_equal(http_ask(authd_fixture_api(small), "POST",
	    "/v1/revocations", w.admin, TYPE_JSON, "{\"kind\":\"token\","
	    "\"id\":\"room\",\"effect\":\"cut\"}", -1, &w.a), 0);
	assert_int_equal(w.a.status, 201);
	/* One goes, and its place is another's. */
	sse_close(&s[0]);
	for (i = 0; i < 1000 && s[0] == NULL; i++) {
		process_pause();
		s[0] = sse_open(authd_fixture_api(small), w.admin, UINT64_MAX,
		    UINT64_MAX);
	}
	assert_non_null(s[0]);
	for (i = 0; i < MOST; i++)
		sse_close(&s[i]);
	authd_fixture_stop(&small);
}

static int
setup(void **state)
{
	static const char *const extra[] = {"--issuer", ISSUER,
	    "--connections-per-address", "0", NULL};

	world_open(&w, extra);
	return 0;
}

static int
teardown(void **state)
{
	world_close(&w);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(one_tenants_readers_leave_room_to_revoke_by),
	    cmocka_unit_test(a_crowd_of_readers_is_served_and_told_of_the_end),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
