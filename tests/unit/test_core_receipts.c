/*
 * Receipts: who has to give one, who waits for it, and what neither a lying
 * gateway nor a database that is away can do about it.
 */
#include "tests/unit/core_fixture.h"

#include <time.h>

#include "authd/core/receipts.h"
#include "lib/wire/receipt.h"
#include "tests/helpers/fake_store.h"

#define LIMIT 20 /* seconds */

struct told {
	atomic_int n;
	enum err e;
};

static void
on_done(void *arg, enum err e)
{
	struct told *t = arg;

	t->e = e;
	atomic_fetch_add(&t->n, 1);
}

static void
on_wake(void *arg)
{
	on_done(arg, ERR_OK);
}

/* 1 when told so often in time. */
static int
await(struct told *t, int n)
{
	time_t until = time(NULL) + LIMIT;
	const struct timespec ts = {0, 1000000};

	while (atomic_load(&t->n) < n && time(NULL) < until)
		(void)nanosleep(&ts, NULL);
	return atomic_load(&t->n) == n;
}

static struct receipt
at(const char *instance, uint64_t pos)
{
	struct receipt r = {.position = pos, .sessions = 1, .closed = 1,
	    .took_us = 100};

	(void)snprintf(r.instance, sizeof(r.instance), "%s", instance);
	return r;
}

/* The gateway says so; what comes of it. */
static enum err
say(struct fixture *f, const struct caller *who, const char *instance,
    uint64_t pos)
{
	struct core_call call = fixture_call(f, who);
	struct receipt r = at(instance, pos);
	struct told t = {0};
	enum err e;

	e = core_receipt_check(&call, &r);
	if (e == ERR_OK)
		e = core_receipt_take(&call, &r, on_done, &t);
	if (e != ERR_OK)
		return e;
	assert_int_equal(await(&t, 1), 1);
	return t.e;
}

/* A device is burned and revoked; the event's position. */
static uint64_t
take_out(struct fixture *f, const char *serial)
{
	struct core_call call = fixture_call(f, &f->admin);
	struct device dev;
	struct unit u;
	uint64_t pos = 0;

	memset(&u, 0, sizeof(u));
	fixture_burn(f, "o1", serial, &u);
	assert_int_equal(core_device_effect(&call, u.device.device_id,
	    EFFECT_BLOCK, 1, "", &dev, &pos), ERR_OK);
	assert_true(pos > 0);
	return pos;
}

static struct receipt_watch *
look(struct fixture *f, uint64_t pos)
{
	struct core_call call = fixture_call(f, &f->admin);
	struct receipt_watch *w = NULL;

	assert_int_equal(core_receipts(&call, pos, &w), ERR_OK);
	return w;
}

static void
report(struct receipt_watch **w, struct receipt_report *r)
{
	assert_int_equal(core_watch_report(*w, r), ERR_OK);
	core_watch_free(w);
}

/* gw has edge, the order's peer; gw2 has elsewhere. */
static void
a_peered_gateway_has_to_say_it_and_no_other(void **state)
{
	struct fixture *f = *state;
	uint64_t pos = take_out(f, "A1");
	struct receipt_watch *w = look(f, pos);
	struct receipt_report r;

	assert_int_equal(core_watch_complete(w), 0);
	report(&w, &r);
	assert_int_equal(r.expected, 1);
	assert_int_equal(r.enforced, 0);
	assert_int_equal(r.nrows, 0);
	assert_int_equal(r.nlagging, 1);
	assert_string_equal(r.lagging[0].gateway, "gw");
	assert_int_equal(r.lagging[0].heard_ms, -1);
	assert_int_equal(r.token_life, 600);
	core_report_free(&r);
	assert_int_equal(say(f, &f->other_gateway, "i", pos), ERR_OK);
	assert_int_equal(say(f, &f->gateway, "i", pos), ERR_OK);
	w = look(f, pos);
	assert_int_equal(core_watch_complete(w), 1);
	report(&w, &r);
	assert_int_equal(r.enforced, 1);
	assert_int_equal(r.nrows, 1);
	assert_int_equal(r.nlagging, 0);
	assert_string_equal(r.rows[0].gateway, "gw");
	assert_string_equal(r.rows[0].r.instance, "i");
	core_report_free(&r);
	assert_int_equal(fixture_audited(f, "gateway.instance", "ok"), 2);
}

static void
who_waits_hears_from_memory_though_the_database_is_away(void **state)
{
	struct fixture *f = *state;
	struct core_call call = fixture_call(f, &f->gateway);
	struct told woken = {0}, kept = {0};
	struct receipt_watch *w;
	struct receipt_report r;
	struct receipt said;
	uint64_t pos;

	pos = take_out(f, "A2");
	w = look(f, pos);
	said = at("i", pos);
	assert_int_equal(core_receipt_check(&call, &said), ERR_OK);
	assert_int_equal(core_watch_wait(f->core, w, LIMIT * 1000, on_wake,
	    &woken), ERR_OK);
	fake_store_away(1);
	assert_int_equal(core_receipt_take(&call, &said, on_done, &kept),
	    ERR_OK);
	assert_int_equal(await(&woken, 1), 1);
	/* But it is told that nothing was kept, and will say it again. */
	assert_int_equal(await(&kept, 1), 1);
	assert_int_equal(kept.e, ERR_STORE);
	fake_store_away(0);
	report(&w, &r);
	assert_int_equal(r.enforced, 1);
	assert_true(r.slowest_ms >= 0 && r.slowest_ms < LIMIT * 1000);
	core_report_free(&r);
	fixture_ready(f);
	assert_int_equal(say(f, &f->gateway, "i", pos), ERR_OK);
}

static void
a_wait_ends_with_its_time(void **state)
{
	struct fixture *f = *state;
	struct told woken = {0};
	struct receipt_watch *w = look(f, take_out(f, "A3"));

	assert_int_equal(core_watch_wait(f->core, w, 30, on_wake, &woken),
	    ERR_OK);
	assert_int_equal(await(&woken, 1), 1);
	assert_int_equal(core_watch_complete(w), 0);
	core_watch_free(&w);
}

/* Threat: a gateway says more than it can know. */
static void
a_position_beyond_the_head_is_refused_and_recorded(void **state)
{
	struct fixture *f = *state;
	struct core_call call = fixture_call(f, &f->gateway);
	uint64_t head = core_tenant_position(f->tenant);
	struct receipt r = at("i", head + 1);

	call.may_block = 0;
	assert_int_equal(core_receipt_check(&call, &r), ERR_WOULD_BLOCK);
	assert_int_equal(say(f, &f->gateway, "i", head + 1), ERR_BACKWARDS);
	assert_int_equal(fixture_audited(f, "receipt", "position_behind"), 1);
	assert_int_equal(say(f, &f->gateway, "not a name", head), ERR_NAME);
	assert_int_equal(say(f, &f->line1, "i", head), ERR_ROLE);
	/* From memory, so on the event loop. */
	r = at("i", head);
	assert_int_equal(core_receipt_check(&call, &r), ERR_OK);
}

static int64_t
mono_ms(void)
{
	struct timespec ts = {0};

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Threat: a gateway makes up positions, each of which holds a worker. */
static void
a_made_up_position_is_waited_for_by_nobody(void **state)
{
	struct fixture *f = *state;
	uint64_t head = core_tenant_position(f->tenant);
	int64_t begin = mono_ms();
	int i;

	for (i = 0; i < 20; i++)
		assert_int_equal(say(f, &f->gateway, "i", head + 1000),
		    ERR_BACKWARDS);
	/* Ten seconds if each waited for the follower. */
	assert_true(mono_ms() - begin < 5000);
}

/* Keeps core's thread here until it is let go. */
static atomic_int held, let_go;

static void
on_held(void *arg, enum err e)
{
	const struct timespec ts = {0, 1000000};

	atomic_store(&held, 1);
	while (!atomic_load(&let_go))
		(void)nanosleep(&ts, NULL);
	on_done(arg, e);
}

/* Threat: one gateway's receipts take all places. */
static void
one_gateway_cannot_fill_the_queue(void **state)
{
	enum { MANY = 3000 };
	struct fixture *f = *state;
	struct core_call call = fixture_call(f, &f->gateway);
	struct core_call other = fixture_call(f, &f->other_gateway);
	struct receipt r = at("i", core_tenant_position(f->tenant));
	struct told t = {0}, o = {0};
	enum err e = ERR_OK;
	int n = 0;

	assert_int_equal(core_receipt_take(&call, &r, on_held, &t), ERR_OK);
	n++;
	while (!atomic_load(&held))
		continue;
	while (e == ERR_OK && n < MANY) {
		e = core_receipt_take(&call, &r, on_done, &t);
		n += e == ERR_OK;
	}
	assert_int_equal(e, ERR_BUSY);
	assert_int_equal(core_receipt_take(&other, &r, on_done, &o), ERR_OK);
	atomic_store(&let_go, 1);
	assert_int_equal(await(&t, n), 1);
	assert_int_equal(await(&o, 1), 1);
}

/*
 * It came just before somebody began to wait, and is not written yet: neither
 * the store nor what comes next would tell of it.
 */
static void
who_begins_to_wait_hears_what_is_queued(void **state)
{
	struct fixture *f = *state;
	struct core_call call = fixture_call(f, &f->gateway);
	struct receipt r = at("i", core_tenant_position(f->tenant));
	struct told t = {0}, woken = {0};
	uint64_t pos = take_out(f, "A7");
	struct receipt_watch *w;

	atomic_store(&held, 0);
	atomic_store(&let_go, 0);
	assert_int_equal(core_receipt_take(&call, &r, on_held, &t), ERR_OK);
	while (!atomic_load(&held))
		continue;
	r = at("i", pos);
	assert_int_equal(core_receipt_take(&call, &r, on_done, &t), ERR_OK);
	w = look(f, pos);
	assert_int_equal(core_watch_complete(w), 0);
	assert_int_equal(core_watch_wait(f->core, w, LIMIT * 1000, on_wake,
	    &woken), ERR_OK);
	assert_int_equal(core_watch_complete(w), 1);
	atomic_store(&let_go, 1);
	assert_int_equal(await(&woken, 1), 1);
	assert_int_equal(await(&t, 2), 1);
	core_watch_free(&w);
}

/* Gathered while they keep coming, but nobody is kept for long. */
static void
a_queue_is_written_at_a_pause_or_when_full_and_never_late(void **state)
{
	struct post first = {.arrived_us = 1000000}, last = first;
	struct receipts rs = {.first = &first, .last = &first, .nposts = 1};

	(void)state;
	assert_in_range(receipts_due_us(&rs) - first.arrived_us, 1, 5000);
	rs.last = &last;
	rs.nposts = 2;
	last.arrived_us += 4000;
	assert_true(receipts_due_us(&rs) > last.arrived_us);
	last.arrived_us += 1000000;
	assert_in_range(receipts_due_us(&rs) - first.arrived_us, 1, 50000);
	rs.nposts = RECEIPT_BATCH_MAX;
	assert_true(receipts_due_us(&rs) <= first.arrived_us);
	rs.nposts = 1;
	rs.stop = 1;
	assert_true(receipts_due_us(&rs) <= first.arrived_us);
}

static void
every_instance_heard_of_lately_has_to_say_it(void **state)
{
	struct fixture *f = *state;
	struct receipt_watch *w;
	struct receipt_report r;
	uint64_t pos;

	assert_int_equal(say(f, &f->gateway, "one",
	    core_tenant_position(f->tenant)), ERR_OK);
	assert_int_equal(say(f, &f->gateway, "two",
	    core_tenant_position(f->tenant)), ERR_OK);
	pos = take_out(f, "A4");
	assert_int_equal(say(f, &f->gateway, "one", pos), ERR_OK);
	w = look(f, pos);
	report(&w, &r);
	assert_int_equal(r.enforced, 0);
	assert_int_equal(r.nrows, 1);
	assert_true(r.lagging[0].heard_ms >= 0);
	core_report_free(&r);
	/* The other is gone: nobody waits for it for ever. */
	fixture_pass(f, 61000);
	assert_int_equal(say(f, &f->gateway, "one", pos), ERR_OK);
	w = look(f, pos);
	assert_int_equal(core_watch_complete(w), 1);
	core_watch_free(&w);
}

/* Threat: waiting takes all memory, or all places of other tenants. */
static void
few_may_wait_at_a_time_and_a_stop_wakes_them(void **state)
{
	enum { MANY = 48 };
	struct fixture *f = *state;
	struct receipt_watch *w[MANY + 1];
	struct told woken = {0};
	uint64_t pos = take_out(f, "A5");
	int i;

	for (i = 0; i < MANY; i++) {
		w[i] = look(f, pos);
		assert_int_equal(core_watch_wait(f->core, w[i], LIMIT * 1000,
		    on_wake, &woken), ERR_OK);
	}
	w[i] = look(f, pos);
	assert_int_equal(core_watch_wait(f->core, w[i], 1000, on_wake,
	    &woken), ERR_BUSY);
	core_receipts_stop(f->core);
	assert_int_equal(atomic_load(&woken.n), MANY);
	assert_int_equal(core_watch_wait(f->core, w[i], 1000, on_wake,
	    &woken), ERR_NOT_READY);
	assert_int_equal(say(f, &f->gateway, "i", pos), ERR_NOT_READY);
	for (i = 0; i <= MANY; i++)
		core_watch_free(&w[i]);
}

static void
metrics_know_who_is_behind(void **state)
{
	struct fixture *f = *state;
	struct core_call call = fixture_call(f, &f->admin);
	struct gateway_lag rows[4];
	uint64_t pos = take_out(f, "A6");
	size_t n = 0;

	assert_int_equal(core_gateway_lags(&call, rows, 4, &n), ERR_OK);
	assert_int_equal(n, 2);
	assert_int_equal(rows[0].heard, 0);
	assert_int_equal(say(f, &f->gateway, "i", pos), ERR_OK);
	assert_int_equal(say(f, &f->other_gateway, "i", 1), ERR_OK);
	fixture_pass(f, 5000);
	assert_int_equal(core_gateway_lags(&call, rows, 4, &n), ERR_OK);
	assert_string_equal(rows[0].gateway, "gw");
	assert_int_equal(rows[0].heard, 1);
	assert_true(rows[0].lag_s == 0);
	assert_true(rows[0].heard_s >= 4);
	assert_true(rows[1].lag_s >= 4);
	assert_int_equal(core_gateway_lags(&call, rows, 1, &n), ERR_OK);
	assert_int_equal(n, 1);
}

static void
an_unknown_position_is_told(void **state)
{
	struct fixture *f = *state;
	struct core_call call = fixture_call(f, &f->admin);
	struct receipt_watch *w = NULL;

	assert_int_equal(core_receipts(&call, 77, &w), ERR_NOT_FOUND);
	assert_null(w);
}

/* The messages, octet by octet. */
static void
messages_are_as_described(void **state)
{
	static const char golden[] = "{\"instance\":\"i-1\",\"position\":7,"
	    "\"enforced\":\"sessions\",\"closed\":2,\"took_us\":310}";
	struct receipt_row row = {.gateway = "gw", .r = {.instance = "i-1",
	    .position = 7, .sessions = 1, .closed = 2, .took_us = 310},
	    .ms = 7.125, .at = 1700000000};
	struct laggard late[] = {{"gw2", 1500}, {"gw3", -1}};
	struct receipt_report report = {.event = {.pos = 7,
	    .at = 1700000000}, .expected = 3, .enforced = 1,
	    .slowest_ms = 7.125, .token_life = 600, .rows = &row, .nrows = 1,
	    .lagging = late, .nlagging = 2};
	struct buf out = {.max = 4096};
	struct receipt r;

	(void)state;
	assert_int_equal(wire_receipt_encode(&row.r, &out), ERR_OK);
	assert_string_equal(out.p, golden);
	assert_int_equal(wire_receipt_decode(out.p, out.len, &r, NULL),
	    ERR_OK);
	buf_free(&out);
	assert_int_equal(wire_receipt_encode(&r, &out), ERR_OK);
	assert_string_equal(out.p, golden);
	buf_free(&out);
	assert_int_equal(wire_receipt_report_encode(&report, &out), ERR_OK);
	assert_string_equal(out.p, "{\"position\":7,"
	    "\"at\":\"2023-11-14T22:13:20Z\",\"expected\":3,\"enforced\":1,"
	    "\"slowest_ms\":7.125,\"token_life\":600,\"receipts\":["
	    "{\"gateway\":\"gw\",\"instance\":\"i-1\",\"position\":7,"
	    "\"enforced\":\"sessions\",\"closed\":2,\"took_us\":310,"
	    "\"ms\":7.125,\"at\":\"2023-11-14T22:13:20Z\"}],\"lagging\":["
	    "{\"gateway\":\"gw2\",\"heard_s\":1.5},"
	    "{\"gateway\":\"gw3\",\"heard_s\":null}]}");
	buf_free(&out);
}

#define CASE(x) cmocka_unit_test_setup_teardown(x, fixture_open, \
	fixture_close)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(a_peered_gateway_has_to_say_it_and_no_other),
	    CASE(who_waits_hears_from_memory_though_the_database_is_away),
	    CASE(a_wait_ends_with_its_time),
	    CASE(a_position_beyond_the_head_is_refused_and_recorded),
	    CASE(a_made_up_position_is_waited_for_by_nobody),
	    CASE(one_gateway_cannot_fill_the_queue),
	    CASE(who_begins_to_wait_hears_what_is_queued),
	    cmocka_unit_test(
		a_queue_is_written_at_a_pause_or_when_full_and_never_late),
	    CASE(every_instance_heard_of_lately_has_to_say_it),
	    CASE(few_may_wait_at_a_time_and_a_stop_wakes_them),
	    CASE(metrics_know_who_is_behind),
	    CASE(an_unknown_position_is_told),
	    cmocka_unit_test(messages_are_as_described),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
