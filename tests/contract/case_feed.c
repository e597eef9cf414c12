/* Events: commit order is position order, and no reader misses one. */
#include "tests/contract/contract.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST ((UINT64_C(1) << POS_GENERATION_SHIFT) + 1)

void
events_come_back_in_order(void **state)
{
	struct event e = {.kind = EV_TOKEN, .effect = EFFECT_CUT,
	    .id = "jti-1", .exp = 12345};
	struct event rows[4];
	struct ground a;
	struct store *st;
	size_t n = 0;
	int i;

	(void)state;
	ground_make(&a);
	st = begin(a.tenant, STORE_WRITE);
	OK(store_event_append(st, &e));
	assert_int_equal(e.pos, FIRST);
	assert_true(e.at > 1700000000);
	e = (struct event){.kind = EV_DEVICE, .effect = EFFECT_BLOCK,
	    .id = "5", .ep_max = 3};
	for (i = 0; i < 4; i++)
		OK(store_event_append(st, &e));
	commit(&st);
	st = begin(a.tenant, STORE_READ);
	OK(store_event_list(st, 0, 4, rows, &n));
	assert_int_equal(n, 4);
	assert_int_equal(rows[0].pos, FIRST);
	assert_int_equal(rows[0].kind, EV_TOKEN);
	assert_string_equal(rows[0].id, "jti-1");
	assert_int_equal(rows[0].exp, 12345);
	assert_int_equal(rows[3].pos, FIRST + 3);
	assert_int_equal(rows[3].effect, EFFECT_BLOCK);
	assert_int_equal(rows[3].ep_max, 3);
	OK(store_event_list(st, FIRST + 3, 4, rows, &n));
	assert_int_equal(n, 1);
	OK(store_event_list(st, FIRST + 4, 4, rows, &n));
	assert_int_equal(n, 0);
	commit(&st);
}

void
events_are_found_by_what_they_name(void **state)
{
	struct event e = {.kind = EV_DEVICE, .effect = EFFECT_BLOCK,
	    .id = "5"};
	struct event rows[4];
	struct ground a;
	struct store *st;
	size_t n = 0;

	(void)state;
	ground_make(&a);
	st = begin(a.tenant, STORE_WRITE);
	OK(store_event_append(st, &e));
	e.kind = EV_GROUP;
	OK(store_event_append(st, &e));
	e.kind = EV_DEVICE;
	e.effect = EFFECT_LIFT;
	OK(store_event_append(st, &e));
	OK(store_event_naming(st, EV_DEVICE, "5", 4, rows, &n));
	assert_int_equal(n, 2);
	assert_int_equal(rows[0].effect, EFFECT_LIFT);
	assert_int_equal(rows[1].effect, EFFECT_BLOCK);
	OK(store_event_naming(st, EV_DEVICE, "5", 1, rows, &n));
	assert_int_equal(n, 1);
	assert_int_equal(rows[0].effect, EFFECT_LIFT);
	OK(store_event_naming(st, EV_DEVICE, "6", 4, rows, &n));
	assert_int_equal(n, 0);
	commit(&st);
}

#define WRITERS 8
#define READERS 4
#define EACH 25
static struct {
	uint32_t tenant;
	int written; /* writers that are through */
	int failed;
	uint64_t seen[READERS];
} feed;

static int
append_one(unsigned id)
{
	struct event e = {.kind = EV_DEVICE, .effect = EFFECT_CUT};
	struct store *st = NULL;
	int bad;

	(void)snprintf(e.id, sizeof(e.id), "%u", id);
	if (store_acquire(pool, 20000, &st) != ERR_OK)
		return -1;
	bad = store_begin(st, feed.tenant, STORE_WRITE) != ERR_OK ||
	    store_event_append(st, &e) != ERR_OK;
	/* Some change their mind: that must leave no hole. */
	if (!bad && id % 5 == 0)
		store_rollback(st);
	else if (!bad)
		bad = store_commit(st) != ERR_OK;
	store_release(&st);
	return bad ? -1 : 0;
}

static void *
write_events(void *arg)
{
	unsigned i, base = *(unsigned *)arg * EACH;

	for (i = 0; i < EACH; i++)
		if (append_one(base + i) != 0)
			__atomic_store_n(&feed.failed, 1, __ATOMIC_RELAXED);
	__atomic_add_fetch(&feed.written, 1, __ATOMIC_RELEASE);
	return NULL;
}

/* Takes what is after *after; it must follow without a hole. */
static int
read_on(uint64_t *after)
{
	struct store *st = NULL;
	struct event rows[16];
	size_t n = 0, i;
	int bad;

	if (store_acquire(pool, 20000, &st) != ERR_OK)
		return -1;
	bad = store_begin(st, feed.tenant, STORE_READ) != ERR_OK ||
	    store_event_list(st, *after, 16, rows, &n) != ERR_OK ||
	    store_commit(st) != ERR_OK;
	store_release(&st);
	for (i = 0; !bad && i < n; i++) {
		if (rows[i].pos != *after + 1)
			bad = 1;
		*after = rows[i].pos;
	}
	return bad ? -1 : (int)n;
}

static void *
read_events(void *arg)
{
	uint64_t after = FIRST - 1;
	int n, last;

	do {
		last = __atomic_load_n(&feed.written, __ATOMIC_ACQUIRE) ==
		    WRITERS;
		n = read_on(&after);
	} while (n > 0 || (n == 0 && !last));
	if (n < 0)
		__atomic_store_n(&feed.failed, 1, __ATOMIC_RELAXED);
	*(uint64_t *)arg = after;
	return NULL;
}

void
commit_order_is_position_order_and_none_is_missed(void **state)
{
	pthread_t w[WRITERS], r[READERS];
	unsigned id[WRITERS];
	struct ground a;
	unsigned i;

	(void)state;
	ground_make(&a);
	memset(&feed, 0, sizeof(feed));
	feed.tenant = a.tenant;
	for (i = 0; i < READERS; i++)
		assert_int_equal(pthread_create(&r[i], NULL, read_events,
		    &feed.seen[i]), 0);
	for (i = 0; i < WRITERS; i++) {
		id[i] = i;
		assert_int_equal(pthread_create(&w[i], NULL, write_events,
		    &id[i]), 0);
	}
	for (i = 0; i < WRITERS; i++)
		(void)pthread_join(w[i], NULL);
	for (i = 0; i < READERS; i++)
		(void)pthread_join(r[i], NULL);
	assert_int_equal(feed.failed, 0);
	for (i = 0; i < READERS; i++)
		assert_int_equal(feed.seen[i],
		    FIRST - 1 + WRITERS * EACH / 5 * 4);
}

void
a_commit_wakes_listeners_and_a_rollback_does_not(void **state)
{
	struct event e = {.kind = EV_DEVICE, .effect = EFFECT_CUT, .id = "1"};
	struct store *ear = session(), *st;
	struct ground a;

	(void)state;
	ground_make(&a);
	OK(store_listen(ear, 0)); /* what came before is unknown */
	IS(TIMEOUT, store_listen(ear, 0));
	st = begin(a.tenant, STORE_WRITE);
	OK(store_event_append(st, &e));
	rollback(&st);
	IS(TIMEOUT, store_listen(ear, 50));
	st = begin(a.tenant, STORE_WRITE);
	OK(store_event_append(st, &e));
	commit(&st);
	OK(store_listen(ear, 20000));
	IS(TIMEOUT, store_listen(ear, 0));
	store_release(&ear);
}

/* An event of so many seconds ago, at FIRST + at. */
static void
import(struct store *st, uint64_t at, enum event_kind kind,
    enum event_effect effect, int64_t ago)
{
	struct event e = {.pos = FIRST + at, .kind = kind, .effect = effect,
	    .id = "5", .at = clock_wall_s(&clock_system) - ago};

	OK(store_event_import(st, &e));
}

void
the_floor_follows_what_is_old(void **state)
{
	uint64_t pos, floor;
	struct ground a;
	struct store *st;

	(void)state;
	ground_make(&a);
	st = begin(a.tenant, STORE_WRITE);
	OK(store_floor_advance(st, 100));
	OK(store_position(st, &pos, &floor));
	assert_int_equal(floor, 0);
	import(st, 0, EV_DEVICE, EFFECT_CUT, 300);
	import(st, 1, EV_DEVICE, EFFECT_CUT, 200);
	/* A clock that went back: what is behind it waits. */
	import(st, 2, EV_DEVICE, EFFECT_CUT, 50);
	import(st, 3, EV_DEVICE, EFFECT_CUT, 200);
	OK(store_position_raise(st, FIRST + 3));
	OK(store_floor_advance(st, 100));
	OK(store_position(st, &pos, &floor));
	assert_int_equal(pos, FIRST + 3);
	assert_int_equal(floor, FIRST + 1);
	OK(store_floor_advance(st, 100));
	OK(store_floor_advance(st, 40));
	OK(store_position(st, &pos, &floor));
	assert_int_equal(floor, FIRST + 3);
	OK(store_floor_advance(st, 1000)); /* never back */
	OK(store_position(st, &pos, &floor));
	assert_int_equal(floor, FIRST + 3);
	commit(&st);
}

void
a_snapshot_has_what_still_holds(void **state)
{
	struct event rows[8];
	struct ground a;
	struct store *st;
	uint64_t last = 1;
	size_t n = 0;

	(void)state;
	ground_make(&a);
	st = begin(a.tenant, STORE_WRITE);
	OK(store_event_last(st, FIRST + 99, &last));
	assert_int_equal(last, 0);
	import(st, 0, EV_DEVICE, EFFECT_CUT, 0); /* below the floor: gone */
	import(st, 1, EV_DEVICE, EFFECT_BLOCK, 0);
	import(st, 2, EV_GROUP, EFFECT_BLOCK, 0);
	import(st, 3, EV_GROUP, EFFECT_LIFT, 0); /* and what it lifted */
	import(st, 4, EV_CALLER, EFFECT_BLOCK, 0);
	import(st, 5, EV_SIGNING_KEY, EFFECT_CUT, 0);
	import(st, 6, EV_TOKEN, EFFECT_CUT, 0);
	import(st, 7, EV_TOKEN, EFFECT_CUT, 0); /* above it */
	OK(store_event_snapshot(st, 0, FIRST + 6, 8, rows, &n));
	assert_int_equal(n, 4);
	assert_int_equal(rows[0].pos, FIRST + 1);
	assert_int_equal(rows[1].kind, EV_CALLER);
	assert_int_equal(rows[2].kind, EV_SIGNING_KEY);
	assert_int_equal(rows[3].pos, FIRST + 7);
	OK(store_event_snapshot(st, rows[1].pos, FIRST + 6, 1, rows, &n));
	assert_int_equal(n, 1);
	assert_int_equal(rows[0].kind, EV_SIGNING_KEY);
	OK(store_event_last(st, FIRST + 99, &last));
	assert_int_equal(last, FIRST + 7);
	OK(store_event_last(st, FIRST + 4, &last));
	assert_int_equal(last, FIRST + 4);
	commit(&st);
}

static uint64_t
lost_of(uint32_t tenant)
{
	struct store *st = session();
	struct tenant_head *rows = NULL;
	uint64_t lost = UINT64_MAX;
	size_t n = 0, i;

	OK(store_heads(st, &rows, &n));
	for (i = 0; i < n; i++)
		if (rows[i].tenant == tenant)
			lost = rows[i].lost;
	free(rows);
	store_release(&st);
	return lost;
}

void
a_counter_behind_is_remembered_until_it_is_raised(void **state)
{
	struct event e = {.kind = EV_DEVICE, .effect = EFFECT_CUT, .id = "5"};
	struct ground a;
	struct store *st;

	(void)state;
	ground_make(&a);
	st = begin(a.tenant, STORE_WRITE);
	IS(NOT_FOUND, store_lost_set(st, FIRST - 1));
	rollback(&st);
	st = begin(a.tenant, STORE_WRITE);
	OK(store_lost_set(st, FIRST + 9));
	OK(store_lost_set(st, FIRST + 4)); /* the furthest counts */
	commit(&st);
	assert_int_equal(lost_of(a.tenant), FIRST + 9);
	st = begin(a.tenant, STORE_WRITE);
	OK(store_position_raise(st, FIRST + 20));
	OK(store_event_append(st, &e));
	assert_int_equal(e.pos, FIRST + 21);
	commit(&st);
	assert_int_equal(lost_of(a.tenant), 0);
	st = begin(a.tenant, STORE_WRITE);
	IS(CONFLICT, store_position_raise(st, FIRST + 21));
	rollback(&st);
	st = begin(a.tenant, STORE_WRITE);
	IS(EXISTS, store_event_import(st, &e));
	rollback(&st);
}
