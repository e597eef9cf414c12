/*
 * Returns and repairs: the same serial number gets the same identity in a new
 * epoch, where the order says so and an admin has approved it; never by
 * itself, never twice, and the unit lives on until the new key is proven.
 */
#include "tests/unit/core_fixture.h"

static enum err
approve(struct fixture *f, const char *device_id, const char *reason,
    struct device *out)
{
	struct core_call call = fixture_call(f, &f->admin);

	return core_device_approve(&call, device_id, reason, out);
}

static void
add_order(struct fixture *f, enum reburn policy)
{
	struct order o;

	fixture_order(f, "back", 2, &o);
	o.reburn = policy;
	fixture_add_order(f, &o);
}

static enum err
reserve(struct fixture *f, const struct caller *who, struct device *out)
{
	struct core_call call = fixture_call(f, who);
	int created;

	return core_reserve(&call, "back", "B1", out, &created);
}

static int
lives(struct fixture *f, const struct unit *u)
{
	struct token_answer t = {.token = {.p = NULL}};
	enum err e = fixture_token(f, u, &t);

	if (e == ERR_OK)
		e = fixture_introspect(f, &t);
	buf_free(&t.token);
	return e == ERR_OK;
}

static void
nothing_is_burned_again_by_itself(void **state)
{
	struct fixture *f = *state;
	struct device d;
	struct unit u;

	add_order(f, REBURN_APPROVAL);
	fixture_burn(f, "back", "B1", &u);
	assert_int_equal(reserve(f, &f->line1, &d), ERR_SERIAL_USED);
	assert_int_equal(fixture_effect(f, u.device.device_id, EFFECT_BLOCK,
	    1), ERR_OK);
	assert_int_equal(reserve(f, &f->line1, &d), ERR_SERIAL_USED);
}

static void
only_the_orders_policy_lets_it(void **state)
{
	static const enum reburn other[] = {REBURN_NEVER,
	    REBURN_UNTIL_CONFIRMED};
	struct fixture *f = *state;
	struct order o;
	struct device d;
	struct unit u;
	size_t i;

	for (i = 0; i < COUNT(other); i++) {
		fixture_order(f, i == 0 ? "one" : "two", 1, &o);
		(void)snprintf(o.id_template, sizeof(o.id_template),
		    "{order}-{serial}");
		o.reburn = other[i];
		fixture_add_order(f, &o);
		fixture_burn(f, o.name, "B1", &u);
		assert_int_equal(approve(f, u.device.device_id, "returned",
		    &d), ERR_WRONG_STATE);
	}
	add_order(f, REBURN_APPROVAL);
	fixture_burn(f, "back", "B1", &u);
	assert_int_equal(approve(f, u.device.device_id, "", &d), ERR_REQUEST);
	assert_int_equal(approve(f, "nobody", "returned", &d), ERR_NOT_FOUND);
	fixture_release(f, "back", "B2", &u);
	assert_int_equal(approve(f, u.device.device_id, "returned", &d),
	    ERR_WRONG_STATE);
	assert_int_equal(fixture_audited(f, "device.approve", "ok"), 0);
}

static void
the_unit_lives_on_until_the_new_key_is_proven(void **state)
{
	struct fixture *f = *state;
	struct unit u, v;
	struct device d;

	add_order(f, REBURN_APPROVAL);
	fixture_burn(f, "back", "B1", &u);
	assert_true(lives(f, &u));
	assert_int_equal(approve(f, u.device.device_id, "returned", &d),
	    ERR_OK);
	assert_int_equal(d.pending, 2);
	assert_true(lives(f, &u));
	fixture_release(f, "back", "B1", &v);
	assert_true(lives(f, &u));
	assert_string_equal(v.device.device_id, u.device.device_id);
	assert_int_equal(v.device.dn, u.device.dn);
	assert_int_equal(v.device.epoch, 2);
	assert_memory_not_equal(v.k.b, u.k.b, sizeof(u.k.b));
	assert_int_equal(fixture_confirm(f, &f->line1, &v, PROOF_DEVICE, &d),
	    ERR_OK);
	assert_int_equal(d.epoch, 2);
	assert_int_equal(d.pending, 0);
	assert_int_equal(d.proof, PROOF_DEVICE);
	assert_true(lives(f, &v));
	assert_false(lives(f, &u));
	/* again, as after a lost answer */
	assert_int_equal(fixture_confirm(f, &f->line1, &v, PROOF_DEVICE, &d),
	    ERR_OK);
	assert_int_equal(d.epoch, 2);
	assert_int_equal(reserve(f, &f->line1, &d), ERR_SERIAL_USED);
	assert_int_equal(fixture_audited(f, "device.approve", "ok"), 1);
	assert_int_equal(fixture_audited(f, "device.reburn", "ok"), 1);
}

static void
a_token_of_the_old_epoch_dies_with_it(void **state)
{
	struct token_answer t = {.token = {.p = NULL}};
	struct fixture *f = *state;
	struct unit u, v;
	struct device d;

	add_order(f, REBURN_APPROVAL);
	fixture_burn(f, "back", "B1", &u);
	assert_int_equal(fixture_token(f, &u, &t), ERR_OK);
	assert_int_equal(approve(f, u.device.device_id, "returned", &d),
	    ERR_OK);
	fixture_release(f, "back", "B1", &v);
	assert_int_equal(fixture_introspect(f, &t), ERR_OK);
	assert_int_equal(fixture_confirm(f, &f->line1, &v, PROOF_MEDIUM, &d),
	    ERR_OK);
	assert_int_not_equal(fixture_introspect(f, &t), ERR_OK);
	buf_free(&t.token);
}

static void
a_revoked_or_suspended_unit_comes_back_to_life(void **state)
{
	struct fixture *f = *state;
	struct unit u, v;
	struct device d;
	int revoke;

	add_order(f, REBURN_APPROVAL);
	fixture_burn(f, "back", "B1", &u);
	for (revoke = 0; revoke < 2; revoke++) {
		assert_int_equal(fixture_effect(f, u.device.device_id,
		    EFFECT_BLOCK, revoke), ERR_OK);
		assert_int_equal(approve(f, u.device.device_id, "repaired",
		    &d), ERR_OK);
		fixture_release(f, "back", "B1", &v);
		assert_false(lives(f, &u));
		assert_false(lives(f, &v));
		assert_int_equal(fixture_confirm(f, &f->line1, &v,
		    PROOF_MEDIUM, &d), ERR_OK);
		assert_int_equal(d.state, DEV_ACTIVE);
		assert_true(lives(f, &v));
		assert_false(lives(f, &u));
		u = v;
		u.identity = unit_identity(&u, AUDIENCE_AUTHORITY);
	}
}

static void
the_new_key_goes_to_one_station(void **state)
{
	struct fixture *f = *state;
	struct core_call two = fixture_call(f, &f->line2);
	struct release_request req = {.epoch = 2, .station_key = "{}"};
	struct release *rel = calloc(1, sizeof(*rel));
	struct unit u, v, w;
	struct device d;

	assert_non_null(rel);
	add_order(f, REBURN_APPROVAL);
	fixture_burn(f, "back", "B1", &u);
	assert_int_equal(approve(f, u.device.device_id, "returned", &d),
	    ERR_OK);
	fixture_release(f, "back", "B1", &v);
	assert_int_equal(core_release(&two, u.device.device_id, &req, rel),
	    ERR_STATION);
	assert_int_equal(fixture_confirm(f, &f->line2, &v, PROOF_MEDIUM, &d),
	    ERR_STATION);
	/* the same station again gets the same key */
	fixture_release(f, "back", "B1", &w);
	assert_memory_equal(v.k.b, w.k.b, sizeof(v.k.b));
	/* the key of before is not given out any more */
	req.epoch = 1;
	two = fixture_call(f, &f->line1);
	assert_int_equal(core_release(&two, u.device.device_id, &req, rel),
	    ERR_WRONG_STATE);
	free(rel);
}

static void
approved_again_the_epoch_before_is_dead(void **state)
{
	struct fixture *f = *state;
	struct unit u, v, w;
	struct device d;

	add_order(f, REBURN_APPROVAL);
	fixture_burn(f, "back", "B1", &u);
	assert_int_equal(approve(f, u.device.device_id, "returned", &d),
	    ERR_OK);
	fixture_release(f, "back", "B1", &v);
	assert_int_equal(approve(f, u.device.device_id, "lost again", &d),
	    ERR_OK);
	assert_int_equal(d.pending, 3);
	assert_int_equal(fixture_confirm(f, &f->line1, &v, PROOF_MEDIUM, &d),
	    ERR_WRONG_STATE);
	fixture_release(f, "back", "B1", &w);
	assert_int_equal(fixture_confirm(f, &f->line1, &w, PROOF_MEDIUM, &d),
	    ERR_OK);
	assert_int_equal(d.epoch, 3);
	assert_false(lives(f, &v));
	assert_false(lives(f, &u));
	assert_true(lives(f, &w));
}

/* What the device itself has asked for is not the station's. */
static void
a_rotation_under_way_is_no_approval(void **state)
{
	struct fixture *f = *state;
	unsigned char request[ROTATE_REQUEST_LEN] = {1};
	struct core_call call = fixture_call(f, NULL);
	struct core_call line = fixture_call(f, &f->line1);
	struct release_request req = {.epoch = 2, .station_key = "{}"};
	struct release *rel = calloc(1, sizeof(*rel));
	struct record r;
	struct device d;
	struct unit u;

	assert_non_null(rel);
	add_order(f, REBURN_APPROVAL);
	fixture_burn(f, "back", "B1", &u);
	assert_int_equal(core_rotate(&call, u.identity, request, &r), ERR_OK);
	assert_int_equal(reserve(f, &f->line1, &d), ERR_SERIAL_USED);
	assert_int_equal(core_release(&line, u.device.device_id, &req, rel),
	    ERR_WRONG_STATE);
	free(rel);
}

static void
no_place_of_the_order_is_taken(void **state)
{
	struct fixture *f = *state;
	struct core_call call = fixture_call(f, &f->admin);
	struct order o;
	struct device d;
	struct unit u;

	add_order(f, REBURN_APPROVAL);
	fixture_burn(f, "back", "B1", &u);
	assert_int_equal(core_order_close(&call, "back", &o), ERR_OK);
	assert_int_equal(o.issued, 1);
	assert_int_equal(approve(f, u.device.device_id, "returned", &d),
	    ERR_OK);
	fixture_release(f, "back", "B1", &u);
	assert_int_equal(fixture_confirm(f, &f->line1, &u, PROOF_MEDIUM, &d),
	    ERR_OK);
	assert_int_equal(core_order_get(&call, "back", &o), ERR_OK);
	assert_int_equal(o.issued, 1);
}

int
main(void)
{
#define CASE(t) cmocka_unit_test_setup_teardown(t, fixture_open, fixture_close)
	const struct CMUnitTest tests[] = {
	    CASE(nothing_is_burned_again_by_itself),
	    CASE(only_the_orders_policy_lets_it),
	    CASE(the_unit_lives_on_until_the_new_key_is_proven),
	    CASE(a_token_of_the_old_epoch_dies_with_it),
	    CASE(a_revoked_or_suspended_unit_comes_back_to_life),
	    CASE(the_new_key_goes_to_one_station),
	    CASE(approved_again_the_epoch_before_is_dead),
	    CASE(a_rotation_under_way_is_no_approval),
	    CASE(no_place_of_the_order_is_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
