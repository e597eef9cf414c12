/*
 * The parts of authd/http that need no server: forms, buckets, the queue,
 * the guard.
 */
#include <sys/socket.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "authd/http/form.h"
#include "authd/http/guard.h"
#include "authd/http/places.h"
#include "authd/http/queue.h"
#include "authd/http/rate.h"
#include "authd/http/request.h"
#include "tests/unit/unit.h"

/* ---- time that the test turns ---- */
static atomic_llong now_ms = 1000000;

static int64_t
turned(const struct clock *c)
{
	return atomic_load(&now_ms);
}

static const struct clock hand = {turned, turned};

static void
nap(void)
{
	const struct timespec ts = {0, 2000000};

	(void)nanosleep(&ts, NULL);
}

/* ---- forms ---- */
static void
forms_are_decoded_as_rfc_6749_says(void **state)
{
	char text[] = "grant_type=client_credentials&scope=a+b%20c&audience=x"
		      "&audience=y&empty=&&flag";
	const char *v, *all[4];
	struct form f;
	size_t n;

	assert_int_equal(form_parse(text, strlen(text), &f, NULL), ERR_OK);
	assert_int_equal(f.n, 6);
	assert_int_equal(form_one(&f, "scope", &v, NULL), ERR_OK);
	assert_string_equal(v, "a b c");
	assert_int_equal(form_one(&f, "empty", &v, NULL), ERR_OK);
	assert_null(v); /* as if omitted */
	assert_int_equal(form_one(&f, "absent", &v, NULL), ERR_OK);
	assert_null(v);
	assert_int_equal(form_one(&f, "audience", &v, NULL), ERR_REQUEST);
	assert_int_equal(form_all(&f, "audience", all, 4, &n, NULL), ERR_OK);
	assert_int_equal(n, 2);
	assert_string_equal(all[1], "y");
	assert_int_equal(form_all(&f, "audience", all, 1, &n, NULL),
	    ERR_REQUEST);
}

static void
malformed_forms_are_refused(void **state)
{
	static const char *const bad[] = {"a=%", "a=%1", "a=%zz", "a=%00",
	    "%=1", "=1", "=", "a=1&=2", "a=%2", "%4", "a=%g0", "a=%0g"};
	char text[64];
	struct form f;
	size_t i;

	for (i = 0; i < COUNT(bad); i++) {
		(void)snprintf(text, sizeof(text), "%s", bad[i]);
		assert_case(form_parse(text, strlen(text), &f, NULL) ==
		    ERR_REQUEST, bad[i]);
		assert_int_equal(f.n, 0);
	}
}

static void
a_form_has_a_bounded_number_of_fields(void **state)
{
	char text[4 * FORM_FIELDS_MAX + 8];
	struct form f;
	size_t i;

	for (i = 0; i <= FORM_FIELDS_MAX; i++)
		memcpy(text + 4 * i, "a=b&", 4);
	text[4 * i] = '\0';
	assert_int_equal(form_parse(text, 4 * FORM_FIELDS_MAX, &f, NULL),
	    ERR_OK);
	assert_int_equal(f.n, FORM_FIELDS_MAX);
	for (i = 0; i <= FORM_FIELDS_MAX; i++)
		memcpy(text + 4 * i, "a=b&", 4);
	assert_int_equal(form_parse(text, strlen(text), &f, NULL),
	    ERR_REQUEST);
}

static void
unknown_parameters_are_named(void **state)
{
	static const char *const names[] = {"after", "limit", NULL};
	char text[] = "after=1&what=2";
	struct detail d = {""};
	struct form f;

	assert_int_equal(form_parse(text, strlen(text), &f, NULL), ERR_OK);
	assert_int_equal(form_only(&f, names, &d), ERR_REQUEST);
	assert_non_null(strstr(d.text, "what"));
}

/* ---- buckets ---- */
static void
a_bucket_empties_and_fills_with_time(void **state)
{
	struct rate *r = NULL;
	int i;

	assert_int_equal(rate_new(&hand, 3, 2, &r), ERR_OK);
	for (i = 0; i < 3; i++)
		assert_true(rate_take(r, 7));
	assert_false(rate_take(r, 7));
	assert_false(rate_left(r, 7));
	assert_true(rate_take(r, 8)); /* another address has its own */
	(void)atomic_fetch_add(&now_ms, 500);
	assert_true(rate_take(r, 7));
	assert_false(rate_take(r, 7));
	(void)atomic_fetch_add(&now_ms, 1000 * 3600);
	for (i = 0; i < 3; i++)
		assert_true(rate_take(r, 7));
	assert_false(rate_take(r, 7));
	rate_free(&r);
}

static void
a_flood_of_addresses_takes_no_memory(void **state)
{
	struct rate *r = NULL;
	uint64_t key;

	assert_int_equal(rate_new(&hand, 1, 1, &r), ERR_OK);
	for (key = 0; key < 100000; key++)
		(void)rate_take(r, key * 2654435761u);
	assert_true(rate_left(r, 12345));
	rate_free(&r);
}

/* ---- the queue ---- */
static atomic_int ran, timed_out, refused;
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static void
on_done(struct req *r, enum err why)
{
	if (why == ERR_TIMEOUT) {
		(void)atomic_fetch_add(&timed_out, 1);
		return;
	}
	if (why != ERR_OK) {
		(void)atomic_fetch_add(&refused, 1);
		return;
	}
	(void)pthread_mutex_lock(&gate); /* a worker that waits for us */
	(void)pthread_mutex_unlock(&gate);
	(void)atomic_fetch_add(&ran, 1);
}

static atomic_int runs, in_runs;

static void
on_run(struct req **r, size_t n)
{
	(void)pthread_mutex_lock(&gate);
	(void)pthread_mutex_unlock(&gate);
	(void)atomic_fetch_add(&runs, 1);
	(void)atomic_fetch_add(&in_runs, (int)n);
}

static int
push(struct queue *q, struct req *r)
{
	if (queue_reserve(q) != ERR_OK)
		return 0;
	r->deadline_ms = atomic_load(&now_ms) + 1000;
	queue_push(q, r);
	return 1;
}

static struct queue *
queue_of(uint32_t workers, uint32_t max)
{
	const struct queue_conf conf = {workers, max, &hand, on_done, 1,
	    on_run};
	struct queue *q = NULL;

	atomic_store(&ran, 0);
	atomic_store(&timed_out, 0);
	atomic_store(&refused, 0);
	assert_int_equal(queue_new(&conf, &q), ERR_OK);
	return q;
}

static void
wait_length(struct queue *q, uint32_t n)
{
	int i;

	for (i = 0; i < 30000 && queue_length(q) != n; i++)
		nap();
	assert_int_equal(queue_length(q), n);
}

static void
a_full_queue_refuses_at_once(void **state)
{
	struct req *r = calloc(4, sizeof(*r));
	struct queue *q = queue_of(1, 2);

	assert_non_null(r);
	(void)pthread_mutex_lock(&gate);
	assert_true(push(q, &r[0]));
	wait_length(q, 0); /* the worker has it */
	assert_true(push(q, &r[1]));
	assert_true(push(q, &r[2]));
	assert_false(push(q, &r[3]));
	(void)pthread_mutex_unlock(&gate);
	wait_length(q, 0);
	queue_free(&q);
	assert_int_equal(atomic_load(&ran), 3);
	free(r);
}

static void
a_late_request_is_answered_though_workers_are_stuck(void **state)
{
	struct req *r = calloc(3, sizeof(*r));
	struct queue *q = queue_of(1, 8);

	assert_non_null(r);
	(void)pthread_mutex_lock(&gate);
	assert_true(push(q, &r[0]));
	wait_length(q, 0);
	assert_true(push(q, &r[1]));
	queue_expire(q);
	assert_int_equal(atomic_load(&timed_out), 0);
	(void)atomic_fetch_add(&now_ms, 1001);
	assert_true(push(q, &r[2]));
	queue_expire(q);
	assert_int_equal(atomic_load(&timed_out), 1);
	assert_int_equal(queue_length(q), 1);
	(void)pthread_mutex_unlock(&gate);
	wait_length(q, 0);
	queue_free(&q);
	assert_int_equal(atomic_load(&ran), 2);
	free(r);
}

static int
push_joining(struct queue *q, struct req *r)
{
	r->joins = 1;
	return push(q, r);
}

static void
what_joins_is_taken_at_once_and_leaves_workers_free(void **state)
{
	struct req *r = calloc(8, sizeof(*r));
	struct queue *q = queue_of(2, 8);
	int i;

	assert_non_null(r);
	atomic_store(&runs, 0);
	atomic_store(&in_runs, 0);
	(void)pthread_mutex_lock(&gate);
	assert_true(push_joining(q, &r[0]));
	wait_length(q, 0); /* the one worker that may has it */
	for (i = 1; i < 5; i++)
		assert_true(push_joining(q, &r[i]));
	assert_true(push(q, &r[5]));
	wait_length(q, 4); /* the other took what is by itself */
	(void)pthread_mutex_unlock(&gate);
	wait_length(q, 0);
	queue_free(&q);
	assert_int_equal(atomic_load(&runs), 2);
	assert_int_equal(atomic_load(&in_runs), 5);
	assert_int_equal(atomic_load(&ran), 1);
	free(r);
}

static void
what_cannot_join_after_all_is_done_by_itself(void **state)
{
	struct req *r = calloc(2, sizeof(*r));
	struct queue *q = queue_of(1, 8);

	assert_non_null(r);
	(void)pthread_mutex_lock(&gate);
	assert_true(push_joining(q, &r[0]));
	wait_length(q, 0);
	r[1].deadline_ms = atomic_load(&now_ms) + 1000;
	queue_again(q, &r[1]);
	assert_int_equal(queue_length(q), 1);
	(void)pthread_mutex_unlock(&gate);
	wait_length(q, 0);
	queue_free(&q);
	assert_int_equal(atomic_load(&ran), 1);
	free(r);
}

static void
late_ones_of_a_run_are_refused(void **state)
{
	struct req *r = calloc(3, sizeof(*r));
	struct queue *q = queue_of(1, 8);

	assert_non_null(r);
	atomic_store(&in_runs, 0);
	(void)pthread_mutex_lock(&gate);
	assert_true(push(q, &r[0]));
	wait_length(q, 0);
	assert_true(push_joining(q, &r[1]));
	(void)atomic_fetch_add(&now_ms, 1001);
	assert_true(push_joining(q, &r[2]));
	(void)pthread_mutex_unlock(&gate);
	wait_length(q, 0);
	queue_free(&q);
	assert_int_equal(atomic_load(&timed_out), 1);
	assert_int_equal(atomic_load(&in_runs), 1);
	free(r);
}

static void *
stop_it(void *q)
{
	queue_stop(q);
	return NULL;
}

static void
stopping_refuses_what_waits_and_what_comes(void **state)
{
	struct req *r = calloc(4, sizeof(*r));
	struct queue *q = queue_of(1, 8);
	pthread_t t;

	assert_non_null(r);
	(void)pthread_mutex_lock(&gate);
	assert_true(push(q, &r[0]));
	wait_length(q, 0);
	assert_true(push(q, &r[1]));
	assert_int_equal(queue_reserve(q), ERR_OK); /* a push to come */
	assert_int_equal(pthread_create(&t, NULL, stop_it, q), 0);
	while (queue_reserve(q) == ERR_OK)
		nap(); /* fills, or has stopped: both refuse */
	(void)pthread_mutex_unlock(&gate);
	assert_int_equal(pthread_join(t, NULL), 0);
	queue_push(q, &r[2]);
	assert_int_equal(atomic_load(&ran), 1);
	assert_int_equal(atomic_load(&refused), 2);
	assert_false(push(q, &r[3]));
	queue_free(&q);
	free(r);
}

/* ---- the guard ---- */
static void
no_tick(void *arg)
{
}

/* 1 when the other end was shut down before long. */
static int
is_shut(int fd, int wait_ms)
{
	struct pollfd p = {fd, POLLIN, 0};

	return poll(&p, 1, wait_ms) == 1;
}

static void
each_phase_of_a_connection_ends(void **state)
{
	static const struct {
		int phase;
		int64_t limit;
	} rows[] = {{CONN_FRESH, GUARD_FRESH_MS}, {CONN_IDLE, GUARD_IDLE_MS},
	    {CONN_READING, GUARD_READING_MS},
	    {CONN_WRITING, GUARD_WRITING_MS}};
	struct conn *c = calloc(1, sizeof(*c));
	struct guard *g = NULL;
	size_t i;
	int fd[2];

	assert_non_null(c);
	assert_int_equal(guard_new(&hand, no_tick, NULL, &g), ERR_OK);
	for (i = 0; i < COUNT(rows); i++) {
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
		c->fd = fd[0];
		guard_add(g, c);
		guard_phase(g, c, rows[i].phase);
		(void)atomic_fetch_add(&now_ms, rows[i].limit);
		assert_false(is_shut(fd[1], 600));
		(void)atomic_fetch_add(&now_ms, 1);
		assert_true(is_shut(fd[1], 60000));
		guard_remove(g, c);
		(void)close(fd[0]);
		(void)close(fd[1]);
	}
	guard_free(&g);
	free(c);
}

static void
a_request_that_we_work_on_is_left_alone(void **state)
{
	struct conn *c = calloc(1, sizeof(*c));
	struct guard *g = NULL;
	int fd[2];

	assert_non_null(c);
	assert_int_equal(guard_new(&hand, no_tick, NULL, &g), ERR_OK);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	c->fd = fd[0];
	guard_add(g, c);
	guard_phase(g, c, CONN_WORKING);
	(void)atomic_fetch_add(&now_ms, 1000LL * 86400);
	assert_false(is_shut(fd[1], 600));
	guard_remove(g, c);
	guard_free(&g);
	(void)close(fd[0]);
	(void)close(fd[1]);
	free(c);
}

/* Threat: one caller's snapshots take all memory, and all of its places. */
static void
large_answers_are_few_at_a_time_and_fewer_of_one(void **state)
{
	struct places p = {0};
	unsigned a, b, none, others[PLACES];
	unsigned i;

	a = places_take(&p, 1);
	b = places_take(&p, 1);
	assert_true(a != 0 && b != 0 && a != b);
	assert_int_equal(places_take(&p, 1), 0);
	for (i = 0; i < PLACES - 2; i++) {
		others[i] = places_take(&p, 2 + i);
		assert_int_not_equal(others[i], 0);
	}
	none = places_take(&p, 100);
	assert_int_equal(none, 0);
	places_leave(&p, &none);
	places_leave(&p, &a);
	places_leave(&p, &a);
	assert_int_equal(places_take(&p, 2), 1);
	assert_int_equal(places_take(&p, 1), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(forms_are_decoded_as_rfc_6749_says),
	    cmocka_unit_test(malformed_forms_are_refused),
	    cmocka_unit_test(a_form_has_a_bounded_number_of_fields),
	    cmocka_unit_test(unknown_parameters_are_named),
	    cmocka_unit_test(a_bucket_empties_and_fills_with_time),
	    cmocka_unit_test(a_flood_of_addresses_takes_no_memory),
	    cmocka_unit_test(a_full_queue_refuses_at_once),
	    cmocka_unit_test(
		a_late_request_is_answered_though_workers_are_stuck),
	    cmocka_unit_test(
		what_joins_is_taken_at_once_and_leaves_workers_free),
	    cmocka_unit_test(what_cannot_join_after_all_is_done_by_itself),
	    cmocka_unit_test(late_ones_of_a_run_are_refused),
	    cmocka_unit_test(stopping_refuses_what_waits_and_what_comes),
	    cmocka_unit_test(each_phase_of_a_connection_ends),
	    cmocka_unit_test(a_request_that_we_work_on_is_left_alone),
	    cmocka_unit_test(large_answers_are_few_at_a_time_and_fewer_of_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
