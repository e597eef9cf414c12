/*
 * What becomes of a serial number that has been given an identity: the three
 * policies of an order, step by step, and units that are scrapped.
 */
#include "tests/unit/core_fixture.h"

#include "authd/store/store.h"

/* How often it was asked, and how often behind the row it is to guard. */
static unsigned asked, asked_behind;
enum err __real_store_serial_released(struct store *st, const char *order,
    const char *serial, int *released);
enum err __wrap_store_serial_released(struct store *st, const char *order,
    const char *serial, int *released);

enum err
__wrap_store_serial_released(struct store *st, const char *order,
    const char *serial, int *released)
{
	struct device d;

	asked++;
	asked_behind += store_device_by_serial(st, order, serial, &d) ==
	    ERR_OK;
	return __real_store_serial_released(st, order, serial, released);
}

static const enum reburn all[] = {REBURN_NEVER, REBURN_UNTIL_CONFIRMED,
    REBURN_APPROVAL};

/* An order of two places, named as its policy. */
static void
add_order(struct fixture *f, enum reburn policy)
{
	struct order o;

	fixture_order(f, reburn_name(policy), 2, &o);
	(void)snprintf(o.id_template, sizeof(o.id_template),
	    "{order}-{serial}");
	o.reburn = policy;
	fixture_add_order(f, &o);
}

static enum err
reserve(struct fixture *f, enum reburn policy, const char *serial,
    struct device *d)
{
	struct core_call call = fixture_call(f, &f->line1);
	int created;

	return core_reserve(&call, reburn_name(policy), serial, d, &created);
}

static enum err
release_again(struct fixture *f, const struct unit *u)
{
	struct core_call call = fixture_call(f, &f->line1);
	struct release_request req = {.epoch = u->device.epoch};
	struct jwe_key *pair = NULL;
	struct buf jwk = {.max = 511};
	struct release r;
	enum err e;

	assert_int_equal(jwe_key_generate(&pair), ERR_OK);
	assert_int_equal(jwe_key_public(pair, &jwk), ERR_OK);
	memcpy(req.station_key, jwk.p, jwk.len + 1);
	e = core_release(&call, u->device.device_id, &req, &r);
	jwe_key_free(&pair);
	buf_free(&jwk);
	return e;
}

static enum err
scrap(struct fixture *f, const struct device *d, const char *reason)
{
	struct core_call call = fixture_call(f, &f->line1);
	struct device out;

	return core_void(&call, d->device_id, reason, &out);
}

static uint32_t
issued(struct fixture *f, enum reburn policy)
{
	struct core_call call = fixture_call(f, &f->admin);
	struct order o;

	assert_int_equal(core_order_get(&call, reburn_name(policy), &o),
	    ERR_OK);
	return o.issued;
}

static void
a_place_without_a_key_is_the_serials_whatever_the_policy(void **state)
{
	struct fixture *f = *state;
	struct device a, b;
	size_t i;

	for (i = 0; i < COUNT(all); i++) {
		add_order(f, all[i]);
		assert_int_equal(reserve(f, all[i], "A1", &a), ERR_OK);
		assert_int_equal(reserve(f, all[i], "A1", &b), ERR_OK);
		assert_int_equal(a.dn, b.dn);
		/* and scrapped, anybody's */
		assert_int_equal(scrap(f, &a, "scratched"), ERR_OK);
		assert_int_equal(issued(f, all[i]), 0);
		assert_int_equal(reserve(f, all[i], "A1", &b), ERR_OK);
		assert_int_not_equal(a.dn, b.dn);
		assert_int_equal(issued(f, all[i]), 1);
	}
}

static void
never_releases_a_key_twice(void **state)
{
	struct fixture *f = *state;
	struct device d;
	struct unit u;

	add_order(f, REBURN_NEVER);
	fixture_release(f, "never", "A1", &u);
	assert_int_equal(reserve(f, REBURN_NEVER, "A1", &d),
	    ERR_SERIAL_USED);
	assert_int_equal(release_again(f, &u), ERR_SERIAL_USED);
	/* what was written by the one there is is finished */
	assert_int_equal(fixture_confirm(f, &f->line1, &u, PROOF_MEDIUM, &d),
	    ERR_OK);
	assert_int_equal(reserve(f, REBURN_NEVER, "A1", &d),
	    ERR_SERIAL_USED);
	assert_int_equal(issued(f, REBURN_NEVER), 1);
}

static void
never_keeps_the_place_and_the_serial_of_what_had_its_key(void **state)
{
	struct fixture *f = *state;
	struct device d;
	struct unit u;

	add_order(f, REBURN_NEVER);
	fixture_release(f, "never", "A1", &u);
	assert_int_equal(scrap(f, &u.device, "scratched"), ERR_OK);
	assert_int_equal(issued(f, REBURN_NEVER), 1);
	assert_int_equal(reserve(f, REBURN_NEVER, "A1", &d),
	    ERR_SERIAL_USED);
	assert_int_equal(issued(f, REBURN_NEVER), 1);
	fixture_burn(f, "never", "A2", &u);
	assert_int_equal(reserve(f, REBURN_NEVER, "A3", &d),
	    ERR_ORDER_FULL);
}

/*
 * Threat: while a reservation waits for the order's row, another one of the
 * same serial number is released and scrapped. Only what is read behind the
 * wait, with the own row there, is sure to see it.
 */
static void
never_looks_for_a_key_before_it_only_behind_its_own_row(void **state)
{
	struct fixture *f = *state;
	struct device d;

	add_order(f, REBURN_NEVER);
	asked = asked_behind = 0;
	assert_int_equal(reserve(f, REBURN_NEVER, "A1", &d), ERR_OK);
	assert_true(asked > 0);
	assert_int_equal(asked_behind, asked);
}

/* Threat: a pull whose answer was lost releases the same keys again. */
static void
never_gives_no_tickets(void **state)
{
	struct fixture *f = *state;
	struct core_call call = fixture_call(f, &f->line1);
	struct ticket_request req = {.id = "AAAAAAAAAAAAAAAAAAAAAA",
	    .count = 1, .life = 3600};
	struct jwe_key *pair = NULL;
	struct buf jwk = {.max = 511};
	struct ticket t = {.n = 0};
	struct order o;

	fixture_order(f, "never", 2, &o);
	(void)snprintf(o.id_template, sizeof(o.id_template), "once-{n}");
	o.reburn = REBURN_NEVER;
	fixture_add_order(f, &o);
	assert_int_equal(jwe_key_generate(&pair), ERR_OK);
	assert_int_equal(jwe_key_public(pair, &jwk), ERR_OK);
	memcpy(req.station_key, jwk.p, jwk.len + 1);
	assert_int_equal(core_ticket_pull(&call, "never", &req, &t),
	    ERR_REQUEST);
	assert_non_null(strstr(call.detail.text, "until-confirmed"));
	assert_int_equal(issued(f, REBURN_NEVER), 0);
	assert_int_equal(fixture_audited(f, "device.release", "ok"), 0);
	jwe_key_free(&pair);
	buf_free(&jwk);
}

/* The other two differ behind the confirmation only. */
static void
until_confirmed(struct fixture *f, enum reburn policy)
{
	struct unit first, second;
	struct device d;

	add_order(f, policy);
	fixture_release(f, reburn_name(policy), "A1", &first);
	assert_int_equal(reserve(f, policy, "A1", &d), ERR_OK);
	assert_int_equal(d.dn, first.device.dn);
	fixture_release(f, reburn_name(policy), "A1", &second);
	assert_memory_equal(first.k.b, second.k.b, KEY32_LEN);
	assert_int_equal(issued(f, policy), 1);
	/* scrapped, the place is another's, and the serial number free */
	assert_int_equal(scrap(f, &d, "scratched"), ERR_OK);
	assert_int_equal(issued(f, policy), 0);
	fixture_burn(f, reburn_name(policy), "A1", &second);
	assert_int_not_equal(second.device.dn, first.device.dn);
	assert_int_equal(second.device.epoch, first.device.epoch + 1);
	assert_int_equal(reserve(f, policy, "A1", &d), ERR_SERIAL_USED);
	assert_int_equal(scrap(f, &second.device, "late"), ERR_WRONG_STATE);
	assert_int_equal(issued(f, policy), 1);
}

static void
until_confirmed_gives_the_same_identity_until_then(void **state)
{
	struct fixture *f = *state;
	struct core_call call = fixture_call(f, &f->admin);
	struct device d;

	until_confirmed(f, REBURN_UNTIL_CONFIRMED);
	assert_int_equal(core_device_approve(&call, "until-confirmed-A1",
	    "returned", &d), ERR_WRONG_STATE);
}

static void
with_approval_it_gives_it_again_in_a_new_epoch(void **state)
{
	struct fixture *f = *state;
	struct core_call call = fixture_call(f, &f->admin);
	struct device d;
	struct unit u;

	until_confirmed(f, REBURN_APPROVAL);
	assert_int_equal(core_device_approve(&call,
	    "new-epoch-with-approval-A1", "returned", &d), ERR_OK);
	fixture_release(f, "new-epoch-with-approval", "A1", &u);
	assert_int_equal(u.device.epoch, 3); /* the void one had the first */
	assert_int_equal(fixture_confirm(f, &f->line1, &u, PROOF_MEDIUM, &d),
	    ERR_OK);
	assert_int_equal(issued(f, REBURN_APPROVAL), 1);
}

static void
what_was_scrapped_is_told_by_its_reason(void **state)
{
	struct fixture *f = *state;
	struct core_call call = fixture_call(f, &f->line2);
	struct order_summary s;
	struct unit u;
	char serial[16];
	int i;

	for (i = 0; i < 3; i++) {
		(void)snprintf(serial, sizeof(serial), "A%d", i);
		fixture_release(f, "o1", serial, &u);
		assert_int_equal(scrap(f, &u.device, i < 2 ? "scratched" :
		    "no power"), ERR_OK);
	}
	assert_int_equal(core_order_summary(&call, "o1", &s), ERR_OK);
	assert_int_equal(s.states[DEV_VOID], 3);
	assert_int_equal(s.nvoids, 2);
	assert_string_equal(s.voids[0].reason, "scratched");
	assert_int_equal(s.voids[0].units, 2);
	assert_string_equal(s.voids[1].reason, "no power");
	assert_int_equal(s.voids[1].units, 1);
	assert_int_equal(fixture_audited(f, "device.void", "ok"), 3);
	/* a credential in the wrong place is told to nobody */
	fixture_release(f, "o1", "A9", &u);
	assert_int_equal(scrap(f, &u.device, "fc_AAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	    "AAAAAAAAAAAAAAA"), ERR_OK);
	assert_int_equal(core_order_summary(&call, "o1", &s), ERR_OK);
	assert_string_equal(s.voids[1].reason, "-");
}

#define T(f) cmocka_unit_test_setup_teardown(f, fixture_open, fixture_close)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(a_place_without_a_key_is_the_serials_whatever_the_policy),
	    T(never_releases_a_key_twice),
	    T(never_keeps_the_place_and_the_serial_of_what_had_its_key),
	    T(never_looks_for_a_key_before_it_only_behind_its_own_row),
	    T(never_gives_no_tickets),
	    T(until_confirmed_gives_the_same_identity_until_then),
	    T(with_approval_it_gives_it_again_in_a_new_epoch),
	    T(what_was_scrapped_is_told_by_its_reason),
	};

	return cmocka_run_group_tests_name("core: policy", tests, NULL, NULL);
}
