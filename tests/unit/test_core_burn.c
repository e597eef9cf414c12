/*
 * The burn: what a station can and cannot do, so that each unit comes to
 * one live identity or to none.
 */
#include "tests/unit/core_fixture.h"

#include "lib/crypt/kdf.h"

static enum err
reserve(struct fixture *f, const struct caller *who, const char *order,
    const char *serial, struct device *d, int *created)
{
	struct core_call call = fixture_call(f, who);

	return core_reserve(&call, order, serial, d, created);
}

static uint32_t
issued(struct fixture *f, const char *order)
{
	struct core_call call = fixture_call(f, &f->admin);
	struct order o;

	assert_int_equal(core_order_get(&call, order, &o), ERR_OK);
	return o.issued;
}

static enum err
release_as(struct fixture *f, const struct caller *who, const char *id,
    uint32_t epoch, const char *jwk, struct release *out)
{
	struct core_call call = fixture_call(f, who);
	struct release_request req = {.epoch = epoch};

	(void)snprintf(req.station_key, sizeof(req.station_key), "%s", jwk);
	return core_release(&call, id, &req, out);
}

static void
good_jwk(char out[512])
{
	struct jwe_key *pair = NULL;
	struct buf b = {.max = 511};

	assert_int_equal(jwe_key_generate(&pair), ERR_OK);
	assert_int_equal(jwe_key_public(pair, &b), ERR_OK);
	memcpy(out, b.p, b.len + 1);
	buf_free(&b);
	jwe_key_free(&pair);
}

static void
a_burn_makes_one_active_device_with_its_peers(void **state)
{
	struct fixture *f = *state;
	struct unit u;

	fixture_burn(f, "o1", "A1", &u);
	assert_string_equal(u.device.device_id, "m1-A1");
	assert_int_equal(u.device.proof, PROOF_MEDIUM);
	assert_int_equal(u.device.ngroups, 2);
	assert_int_equal(u.release.npeers, 3);
	assert_string_equal(u.release.issuer, "https://id.example");
	assert_string_not_equal(unit_identity(&u, "edge"),
	    unit_identity(&u, "depot"));
	assert_int_equal(issued(f, "o1"), 1);
	assert_int_equal(fixture_audited(f, "device.reserve", "ok"), 1);
	assert_int_equal(fixture_audited(f, "device.release", "ok"), 1);
	assert_int_equal(fixture_audited(f, "device.confirm", "ok"), 1);
}

static void
a_bad_scan_takes_no_place(void **state)
{
	struct fixture *f = *state;
	struct device d;
	int created;

	assert_int_equal(reserve(f, &f->line1, "o1", "nope", &d, &created),
	    ERR_SERIAL_PATTERN);
	assert_int_equal(reserve(f, &f->line1, "o1", "A1\n", &d, &created),
	    ERR_SERIAL_PATTERN);
	assert_int_equal(issued(f, "o1"), 0);
	assert_int_equal(fixture_audited(f, "device.reserve",
	    "serial_refused"), 1);
}

static void
the_same_serial_gets_the_same_device_and_no_second_place(void **state)
{
	struct fixture *f = *state;
	struct device a, b;
	int created;

	assert_int_equal(reserve(f, &f->line1, "o1", "A1", &a, &created),
	    ERR_OK);
	assert_int_equal(created, 1);
	assert_int_equal(reserve(f, &f->line2, "o1", "A1", &b, &created),
	    ERR_OK);
	assert_int_equal(created, 0);
	assert_int_equal(a.dn, b.dn);
	assert_int_equal(issued(f, "o1"), 1);
}

static void
a_confirmed_serial_gets_no_second_identity(void **state)
{
	struct fixture *f = *state;
	struct device d;
	struct unit u;
	int created;

	fixture_burn(f, "o1", "A1", &u);
	assert_int_equal(reserve(f, &f->line1, "o1", "A1", &d, &created),
	    ERR_SERIAL_USED);
	assert_int_equal(fixture_effect(f, "m1-A1", EFFECT_BLOCK, 1), ERR_OK);
	assert_int_equal(reserve(f, &f->line1, "o1", "A1", &d, &created),
	    ERR_SERIAL_USED);
	assert_int_equal(issued(f, "o1"), 1);
}

static void
an_order_bounds_what_stations_make(void **state)
{
	struct fixture *f = *state;
	struct core_call call = fixture_call(f, &f->admin);
	struct order o;
	struct device d;
	int created;

	fixture_order(f, "small", 1, &o);
	o.nstations = 1; /* line-1 */
	memcpy(o.id_template, "s-{serial}", 11);
	fixture_add_order(f, &o);
	assert_int_equal(reserve(f, &f->line2, "small", "A1", &d, &created),
	    ERR_STATION);
	assert_int_equal(reserve(f, &f->admin, "small", "A1", &d, &created),
	    ERR_STATION);
	assert_int_equal(reserve(f, &f->line1, "none", "A1", &d, &created),
	    ERR_NOT_FOUND);
	assert_int_equal(reserve(f, &f->line1, "small", "A1", &d, &created),
	    ERR_OK);
	assert_int_equal(reserve(f, &f->line1, "small", "A2", &d, &created),
	    ERR_ORDER_FULL);
	fixture_pass(f, INT64_C(86401) * 1000);
	assert_int_equal(reserve(f, &f->line1, "o1", "B1", &d, &created),
	    ERR_ORDER_EXPIRED);
	assert_int_equal(core_order_close(&call, "o1", &o), ERR_OK);
	assert_int_equal(reserve(f, &f->line1, "o1", "B1", &d, &created),
	    ERR_ORDER_CLOSED);
}

static void
an_id_of_another_order_is_not_given_twice(void **state)
{
	struct fixture *f = *state;
	struct device d;
	struct order o;
	int created;

	fixture_order(f, "o2", 10, &o);
	fixture_add_order(f, &o);
	assert_int_equal(reserve(f, &f->line1, "o1", "A1", &d, &created),
	    ERR_OK);
	assert_int_equal(reserve(f, &f->line1, "o2", "A1", &d, &created),
	    ERR_EXISTS);
	assert_int_equal(issued(f, "o2"), 0);
}

static void
a_repeated_release_gives_the_same_key_to_the_same_station_only(void **state)
{
	struct fixture *f = *state;
	struct release r;
	struct unit u, again;
	char jwk[512];

	good_jwk(jwk);
	fixture_release(f, "o1", "A1", &u);
	fixture_release(f, "o1", "A1", &again);
	assert_memory_equal(u.k.b, again.k.b, KEY32_LEN);
	assert_memory_not_equal(u.release.challenge, again.release.challenge,
	    CHALLENGE_LEN);
	assert_int_equal(release_as(f, &f->line2, "m1-A1", 1, jwk, &r),
	    ERR_STATION);
	assert_int_equal(release_as(f, &f->admin, "m1-A1", 1, jwk, &r),
	    ERR_STATION);
	assert_int_equal(fixture_audited(f, "device.release", "ok"), 2);
	assert_int_equal(fixture_audited(f, "device.release",
	    "wrong_station"), 2);
}

static void
after_the_confirmation_nobody_can_read_the_key_back(void **state)
{
	struct fixture *f = *state;
	struct release r;
	struct unit u;
	char jwk[512];

	good_jwk(jwk);
	fixture_burn(f, "o1", "A1", &u);
	assert_int_equal(release_as(f, &f->line1, "m1-A1", 1, jwk, &r),
	    ERR_WRONG_STATE);
	assert_int_equal(fixture_effect(f, "m1-A1", EFFECT_BLOCK, 1), ERR_OK);
	assert_int_equal(release_as(f, &f->line1, "m1-A1", 1, jwk, &r),
	    ERR_DEVICE_REVOKED);
}

static void
a_release_wants_a_good_key_and_the_right_epoch(void **state)
{
	struct fixture *f = *state;
	struct release r;
	struct device d;
	char jwk[512];
	int created;

	good_jwk(jwk);
	assert_int_equal(reserve(f, &f->line1, "o1", "A1", &d, &created),
	    ERR_OK);
	assert_int_equal(release_as(f, &f->line1, "m1-A1", 1, "{}", &r),
	    ERR_REQUEST);
	assert_int_equal(release_as(f, &f->line1, "m1-A1", 1,
	    "{\"kty\":\"oct\",\"k\":\"AAAA\"}", &r), ERR_REQUEST);
	assert_int_equal(release_as(f, &f->line1, "m1-A1", 2, jwk, &r),
	    ERR_WRONG_STATE);
	assert_int_equal(release_as(f, &f->line1, "m1-none", 1, jwk, &r),
	    ERR_NOT_FOUND);
	/* None of that bound the unit to a station. */
	assert_int_equal(release_as(f, &f->line2, "m1-A1", 1, jwk, &r),
	    ERR_OK);
}

static void
an_order_closed_begins_no_new_unit_but_finishes_one(void **state)
{
	struct fixture *f = *state;
	struct core_call call = fixture_call(f, &f->admin);
	struct device d;
	struct release r;
	struct order o;
	struct unit u;
	char jwk[512];
	int created;

	good_jwk(jwk);
	fixture_release(f, "o1", "A1", &u);
	assert_int_equal(reserve(f, &f->line1, "o1", "A2", &d, &created),
	    ERR_OK);
	assert_int_equal(core_order_close(&call, "o1", &o), ERR_OK);
	assert_int_equal(release_as(f, &f->line1, "m1-A2", 1, jwk, &r),
	    ERR_ORDER_CLOSED);
	fixture_release(f, "o1", "A1", &u);
	assert_int_equal(fixture_confirm(f, &f->line1, &u, PROOF_MEDIUM, &d),
	    ERR_OK);
}

static void
only_the_newest_release_can_be_confirmed(void **state)
{
	struct fixture *f = *state;
	struct device d;
	struct unit first, second;

	fixture_release(f, "o1", "A1", &first);
	fixture_release(f, "o1", "A1", &second);
	assert_int_equal(fixture_confirm(f, &f->line1, &first, PROOF_MEDIUM,
	    &d), ERR_CHALLENGE);
	assert_int_equal(fixture_confirm(f, &f->line1, &second, PROOF_MEDIUM,
	    &d), ERR_OK);
}

static void
a_wrong_proof_activates_nothing(void **state)
{
	struct fixture *f = *state;
	struct core_call call = fixture_call(f, &f->admin);
	struct device d;
	struct unit u, bad;

	fixture_release(f, "o1", "A1", &u);
	bad = u;
	bad.k.b[31] ^= 1;
	assert_int_equal(fixture_confirm(f, &f->line1, &bad, PROOF_MEDIUM,
	    &d), ERR_PROOF);
	bad = u;
	bad.release.challenge[20] ^= 1;
	assert_int_equal(fixture_confirm(f, &f->line1, &bad, PROOF_MEDIUM,
	    &d), ERR_CHALLENGE);
	bad = u;
	bad.release.challenge[3] ^= 1; /* its time */
	assert_int_equal(fixture_confirm(f, &f->line1, &bad, PROOF_MEDIUM,
	    &d), ERR_CHALLENGE);
	assert_int_equal(fixture_confirm(f, &f->line2, &u, PROOF_MEDIUM, &d),
	    ERR_STATION);
	assert_int_equal(fixture_confirm(f, &f->line1, &u, PROOF_NONE, &d),
	    ERR_PROOF);
	assert_int_equal(core_device_get(&call, "m1-A1", &d), ERR_OK);
	assert_int_equal(d.state, DEV_BURNING);
}

static void
an_old_challenge_is_refused(void **state)
{
	struct fixture *f = *state;
	struct device d;
	struct unit u;

	fixture_release(f, "o1", "A1", &u);
	fixture_pass(f, INT64_C(3601) * 1000);
	assert_int_equal(fixture_confirm(f, &f->line1, &u, PROOF_MEDIUM, &d),
	    ERR_CHALLENGE);
}

static void
a_challenge_of_another_device_is_refused(void **state)
{
	struct fixture *f = *state;
	struct device d;
	struct unit u, other;

	fixture_release(f, "o1", "A1", &u);
	fixture_release(f, "o1", "A2", &other);
	memcpy(u.release.challenge, other.release.challenge, CHALLENGE_LEN);
	assert_int_equal(fixture_confirm(f, &f->line1, &u, PROOF_MEDIUM, &d),
	    ERR_CHALLENGE);
}

static void
an_order_can_demand_the_devices_own_proof(void **state)
{
	struct fixture *f = *state;
	struct order o;
	struct device d;
	struct unit u;

	fixture_order(f, "strict", 5, &o);
	o.min_proof = PROOF_DEVICE;
	fixture_add_order(f, &o);
	fixture_release(f, "strict", "A1", &u);
	assert_int_equal(fixture_confirm(f, &f->line1, &u, PROOF_MEDIUM, &d),
	    ERR_PROOF);
	assert_int_equal(fixture_confirm(f, &f->line1, &u, PROOF_DEVICE, &d),
	    ERR_OK);
	assert_int_equal(d.proof, PROOF_DEVICE);
}

static void
a_confirmation_can_be_repeated_but_must_still_be_right(void **state)
{
	struct fixture *f = *state;
	struct device d;
	struct unit u, bad;

	fixture_burn(f, "o1", "A1", &u);
	assert_int_equal(fixture_confirm(f, &f->line1, &u, PROOF_MEDIUM, &d),
	    ERR_OK);
	assert_int_equal(d.state, DEV_ACTIVE);
	bad = u;
	bad.k.b[0] ^= 1;
	assert_int_equal(fixture_confirm(f, &f->line1, &bad, PROOF_MEDIUM,
	    &d), ERR_PROOF);
}

static void
void_gives_the_place_back_and_never_an_active_device(void **state)
{
	struct fixture *f = *state;
	struct core_call line1 = fixture_call(f, &f->line1);
	struct core_call line2 = fixture_call(f, &f->line2);
	struct device d;
	struct unit u;
	int created;

	fixture_release(f, "o1", "A1", &u);
	assert_int_equal(core_void(&line2, "m1-A1", "scrap", &d),
	    ERR_STATION);
	assert_int_equal(core_void(&line1, "m1-A1", "scrap", &d), ERR_OK);
	assert_int_equal(d.state, DEV_VOID);
	assert_int_equal(issued(f, "o1"), 0);
	assert_int_equal(core_void(&line1, "m1-A1", "scrap", &d),
	    ERR_NOT_FOUND);
	assert_int_equal(fixture_confirm(f, &f->line1, &u, PROOF_MEDIUM, &d),
	    ERR_NOT_FOUND);
	assert_int_equal(reserve(f, &f->line1, "o1", "A1", &d, &created),
	    ERR_OK);
	assert_int_not_equal(d.dn, u.device.dn);
	fixture_burn(f, "o1", "A1", &u);
	assert_int_equal(core_void(&line1, "m1-A1", "", &d), ERR_WRONG_STATE);
}

static void
derived_keys_are_each_devices_own(void **state)
{
	struct fixture *f = *state;
	struct token_answer t = {.expires_in = 0};
	struct unit a, b;
	struct order o;

	fixture_order(f, "derived", 5, &o);
	memcpy(o.model, "m2", 3);
	o.derived = 1;
	fixture_add_order(f, &o);
	fixture_burn(f, "derived", "A1", &a);
	fixture_burn(f, "derived", "A2", &b);
	assert_memory_not_equal(a.k.b, b.k.b, KEY32_LEN);
	assert_int_equal(fixture_token(f, &a, &t), ERR_OK);
	buf_free(&t.token);
}

/* A derived key is a function of name and epoch: neither pair comes twice. */
static void
key_of_a_void_device_is_never_its_successors(void **state)
{
	struct fixture *f = *state;
	struct core_call line1 = fixture_call(f, &f->line1);
	struct unit first, second;
	struct device d;
	struct order o;

	fixture_order(f, "again", 5, &o);
	memcpy(o.model, "m3", 3);
	o.derived = 1;
	fixture_add_order(f, &o);
	fixture_release(f, "again", "A1", &first);
	assert_int_equal(core_void(&line1, first.device.device_id, "", &d),
	    ERR_OK);
	fixture_burn(f, "again", "A1", &second);
	assert_string_equal(first.device.device_id, second.device.device_id);
	assert_int_equal(second.device.epoch, first.device.epoch + 1);
	assert_memory_not_equal(first.k.b, second.k.b, KEY32_LEN);
}

static void
a_station_sees_only_its_orders(void **state)
{
	struct fixture *f = *state;
	struct core_call line1 = fixture_call(f, &f->line1);
	struct core_call line2 = fixture_call(f, &f->line2);
	struct order o, rows[10];
	struct device d;
	struct unit u;
	size_t n;

	fixture_order(f, "mine", 5, &o);
	o.nstations = 1;
	memcpy(o.id_template, "mine-{serial}", 14);
	fixture_add_order(f, &o);
	fixture_burn(f, "mine", "A1", &u);
	assert_int_equal(core_order_get(&line1, "mine", &o), ERR_OK);
	assert_int_equal(core_order_get(&line2, "mine", &o), ERR_NOT_FOUND);
	assert_int_equal(core_order_list(&line2, rows, 10, &n), ERR_OK);
	assert_int_equal(n, 1);
	assert_int_equal(core_device_get(&line1, "mine-A1", &d), ERR_OK);
	line2.detail.text[0] = '\0'; /* the first one stays */
	assert_int_equal(core_device_get(&line2, "mine-A1", &d),
	    ERR_NOT_FOUND);
	assert_string_equal(line2.detail.text, "no device mine-A1");
}

#define T(f) cmocka_unit_test_setup_teardown(f, fixture_open, fixture_close)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(a_burn_makes_one_active_device_with_its_peers),
	    T(a_bad_scan_takes_no_place),
	    T(the_same_serial_gets_the_same_device_and_no_second_place),
	    T(a_confirmed_serial_gets_no_second_identity),
	    T(an_order_bounds_what_stations_make),
	    T(an_id_of_another_order_is_not_given_twice),
	    T(a_repeated_release_gives_the_same_key_to_the_same_station_only),
	    T(after_the_confirmation_nobody_can_read_the_key_back),
	    T(a_release_wants_a_good_key_and_the_right_epoch),
	    T(an_order_closed_begins_no_new_unit_but_finishes_one),
	    T(only_the_newest_release_can_be_confirmed),
	    T(a_wrong_proof_activates_nothing),
	    T(an_old_challenge_is_refused),
	    T(a_challenge_of_another_device_is_refused),
	    T(an_order_can_demand_the_devices_own_proof),
	    T(a_confirmation_can_be_repeated_but_must_still_be_right),
	    T(void_gives_the_place_back_and_never_an_active_device),
	    T(derived_keys_are_each_devices_own),
	    T(key_of_a_void_device_is_never_its_successors),
	    T(a_station_sees_only_its_orders),
	};

	return cmocka_run_group_tests_name("core: burn", tests, NULL, NULL);
}
