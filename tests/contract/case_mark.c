/* One use of an assertion, whoever comes at the same time. */
#include "tests/contract/contract.h"

#include <pthread.h>
#include <string.h>

void
a_mark_works_once(void **state)
{
	struct mark m = {.dn = 5, .exp = 1000, .mark = {1, 0, 2}};
	struct ground a;

	(void)state;
	ground_make(&a);
	m.tenant = a.tenant;
	OK(store_mark_use(pool, &m));
	IS(ASSERTION_USED, store_mark_use(pool, &m));
	m.mark[15] = 1;
	OK(store_mark_use(pool, &m));
	m.dn = 6;
	OK(store_mark_use(pool, &m));
	m.exp = 1001;
	OK(store_mark_use(pool, &m));
	IS(ASSERTION_USED, store_mark_use(pool, &m));
}

static void
count_call(void *arg)
{
	++*(unsigned *)arg;
}

static unsigned
count(const enum err *e, size_t n, enum err what)
{
	unsigned found = 0;
	size_t i;

	for (i = 0; i < n; i++)
		found += e[i] == what;
	return found;
}

void
marks_used_together_count_each_by_itself(void **state)
{
	struct mark m[6] = {{.dn = 5, .exp = 1000}};
	struct ground a, b;
	unsigned calls = 0;
	enum err e[6];
	size_t i;

	(void)state;
	ground_make(&a);
	ground_make(&b);
	m[0].tenant = a.tenant;
	for (i = 1; i < 6; i++)
		m[i] = m[0];
	m[2].dn = 4;		 /* used before */
	m[3].tenant = b.tenant;	 /* another's */
	m[4].mark[15] = 1;
	m[5].exp = 999;
	OK(store_mark_use(pool, &m[2]));
	store_mark_use_many(pool, m, 6, e, NULL, NULL);
	/* The first two are one and the same. */
	assert_int_equal(count(e, 2, ERR_OK), 1);
	assert_int_equal(count(e, 2, ERR_ASSERTION_USED), 1);
	IS(ASSERTION_USED, e[2]);
	assert_int_equal(count(e + 3, 3, ERR_OK), 3);
	store_mark_use_many(pool, m, 6, e, NULL, NULL);
	assert_int_equal(count(e, 6, ERR_ASSERTION_USED), 6);
	store_mark_use_many(pool, m, 0, e, count_call, &calls);
	assert_int_equal(calls, 0);
}

#define THREADS 32
static struct {
	pthread_barrier_t barrier;
	struct mark m;
	unsigned won, lost, wrong;
	int rounds, shared; /* marks a thread uses; 1: all the same ones */
	int together; /* a thread uses them all at once */
} race;

static void
tally(enum err e)
{
	switch (e) {
	case ERR_OK:
		__atomic_add_fetch(&race.won, 1, __ATOMIC_RELAXED);
		break;
	case ERR_ASSERTION_USED:
		__atomic_add_fetch(&race.lost, 1, __ATOMIC_RELAXED);
		break;
	default:
		__atomic_add_fetch(&race.wrong, 1, __ATOMIC_RELAXED);
	}
}

static void *
use_many(void *arg)
{
	unsigned self = *(unsigned *)arg;
	struct mark m[STORE_MARKS_MAX];
	enum err e[STORE_MARKS_MAX];
	int i, n = race.rounds;
	unsigned calls = 0;

	for (i = 0; i < n; i++) {
		m[i] = race.m;
		/* Different threads go through them in different order. */
		m[i].dn = (uint64_t)(self % 2 ? n - i : i + 1);
		m[i].mark[0] = race.shared ? 0 : (unsigned char)self;
	}
	(void)pthread_barrier_wait(&race.barrier);
	if (race.together)
		store_mark_use_many(pool, m, (size_t)n, e, count_call,
		    &calls);
	/* What a caller does meanwhile it does once, whoever led. */
	if (calls != (race.together ? 1 : 0))
		tally(ERR_INTERNAL);
	for (i = 0; i < n; i++)
		tally(race.together ? e[i] : store_mark_use(pool, &m[i]));
	return NULL;
}

static void
run_race(int rounds, int shared, int together)
{
	unsigned self[THREADS], i;
	pthread_t t[THREADS];
	struct ground a;

	ground_make(&a);
	memset(&race, 0, sizeof(race));
	race.m.tenant = a.tenant;
	race.m.exp = 5000;
	race.rounds = rounds;
	race.shared = shared;
	race.together = together;
	(void)pthread_barrier_init(&race.barrier, NULL, THREADS);
	for (i = 0; i < THREADS; i++) {
		self[i] = i;
		assert_int_equal(pthread_create(&t[i], NULL, use_many,
		    &self[i]), 0);
	}
	for (i = 0; i < THREADS; i++)
		(void)pthread_join(t[i], NULL);
	(void)pthread_barrier_destroy(&race.barrier);
	assert_int_equal(race.wrong, 0);
}

void
of_32_threads_with_one_mark_one_wins(void **state)
{
	(void)state;
	run_race(1, 1, 0);
	assert_int_equal(race.won, 1);
	assert_int_equal(race.lost, THREADS - 1);
}

void
many_marks_at_once_each_win_once(void **state)
{
	(void)state;
	run_race(40, 1, 0);
	assert_int_equal(race.won, 40);
	assert_int_equal(race.lost, 40 * (THREADS - 1));
	run_race(40, 0, 0);
	assert_int_equal(race.won, 40 * THREADS);
	assert_int_equal(race.lost, 0);
}

void
many_marks_in_many_runs_each_win_once(void **state)
{
	(void)state;
	run_race(40, 1, 1);
	assert_int_equal(race.won, 40);
	assert_int_equal(race.lost, 40 * (THREADS - 1));
	run_race(STORE_MARKS_MAX, 0, 1);
	assert_int_equal(race.won, STORE_MARKS_MAX * THREADS);
	assert_int_equal(race.lost, 0);
}

void
expired_marks_go(void **state)
{
	struct mark m = {.dn = 5};
	struct store *st = session();
	struct ground a, b;
	uint32_t n = 99;
	int i;

	(void)state;
	ground_make(&a);
	ground_make(&b);
	for (i = 0; i < 5; i++) {
		m.exp = 100 + i;
		m.tenant = a.tenant;
		OK(store_mark_use(pool, &m));
		m.tenant = b.tenant;
		OK(store_mark_use(pool, &m));
	}
	OK(store_mark_expire(st, a.tenant, 104, 3, &n));
	assert_int_equal(n, 3);
	OK(store_mark_expire(st, a.tenant, 104, 3, &n));
	assert_int_equal(n, 1);
	OK(store_mark_expire(st, a.tenant, 104, 3, &n));
	assert_int_equal(n, 0);
	OK(store_mark_expire(st, b.tenant, 1000, 100, &n));
	assert_int_equal(n, 5);
	m.tenant = a.tenant;
	m.exp = 104;
	IS(ASSERTION_USED, store_mark_use(pool, &m));
	store_release(&st);
}

void
marks_of_tenants_are_apart(void **state)
{
	struct mark m = {.dn = 5, .exp = 1000};
	struct ground a, b;

	(void)state;
	ground_make(&a);
	ground_make(&b);
	m.tenant = a.tenant;
	OK(store_mark_use(pool, &m));
	m.tenant = b.tenant;
	OK(store_mark_use(pool, &m));
}
