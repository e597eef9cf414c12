/*
 * What the station has read back proves its medium: the device is unproven
 * until it has authenticated itself once. That is noted once, and a look-up
 * of its key is no authentication.
 */
#include "tests/unit/rotate_kit.h"

#include "lib/wire/record.h"

static enum err
token_of_memory(struct fixture *f, const struct unit *u)
{
	struct token_answer t = {.token = {.max = TOKEN_MAX}};
	struct core_call call = fixture_call(f, NULL);
	struct token_request req = {.naudience = 0};
	enum err e;

	call.may_block = 0;
	e = core_token_psk(&call, u->identity, &req, &t);
	buf_free(&t.token);
	return e;
}

static enum err
token(struct fixture *f, const struct unit *u)
{
	struct token_answer t = {.expires_in = 0};
	enum err e = fixture_token(f, u, &t);

	buf_free(&t.token);
	return e;
}

static unsigned
noted(struct fixture *f)
{
	return fixture_audited(f, "device.proven", "ok");
}

static void
a_medium_unit_is_unproven_until_its_first_token(void **state)
{
	struct fixture *f = *state;
	struct unit u, v;

	fixture_burn(f, "o1", "A1", &u);
	assert_int_equal(u.device.unproven, 1);
	assert_int_equal(row(f, &u).unproven, 1);
	assert_int_equal(token(f, &u), ERR_OK);
	assert_int_equal(row(f, &u).unproven, 0);
	assert_int_equal(row(f, &u).proof, PROOF_MEDIUM);
	fixture_burn(f, "o1", "A2", &v);
	assert_int_equal(assertion(f, &v, "one"), ERR_OK);
	assert_int_equal(row(f, &v).unproven, 0);
	assert_int_equal(noted(f), 2);
}

static void
it_is_noted_once_and_memory_answers_after_that(void **state)
{
	struct fixture *f = *state;
	struct unit u;
	char jti[16];
	int i;

	fixture_burn(f, "o1", "A1", &u);
	assert_int_equal(token_of_memory(f, &u), ERR_WOULD_BLOCK);
	assert_int_equal(row(f, &u).unproven, 1);
	assert_int_equal(token(f, &u), ERR_OK);
	for (i = 0; i < 10; i++) {
		assert_int_equal(token_of_memory(f, &u), ERR_OK);
		(void)snprintf(jti, sizeof(jti), "%d", i);
		assert_int_equal(assertion(f, &u, jti), ERR_OK);
		assert_int_equal(handshake(f, &u, 1), ERR_OK);
	}
	assert_int_equal(noted(f), 1);
}

static void
a_look_up_proves_nothing_and_a_handshake_does(void **state)
{
	struct fixture *f = *state;
	struct psk_answer a;
	struct unit u, v;
	uint32_t known;

	fixture_burn(f, "o1", "A1", &u);
	fixture_burn(f, "o1", "A2", &v);
	assert_int_equal(handshake(f, &u, 0), ERR_OK);
	assert_int_equal(resolve(f, unit_identity(&u, "edge"), &a), ERR_OK);
	assert_int_equal(a.pending, 1); /* the gateway is to tell */
	assert_int_equal(row(f, &u).unproven, 1);
	assert_int_equal(handshake(f, &u, 1), ERR_OK);
	assert_int_equal(row(f, &u).unproven, 0);
	assert_int_equal(resolve(f, unit_identity(&u, "edge"), &a), ERR_OK);
	assert_int_equal(a.pending, 0);
	/* a gateway says so for devices that it is peered with only */
	assert_int_equal(tell_used(f, &f->other_gateway,
	    unit_identity(&v, "edge"), &known), ERR_SCOPE);
	assert_int_equal(row(f, &v).unproven, 1);
	assert_int_equal(tell_used(f, &f->gateway, unit_identity(&v, "edge"),
	    &known), ERR_OK);
	assert_int_equal(known, 1);
	assert_int_equal(row(f, &v).unproven, 0);
	assert_int_equal(noted(f), 2);
}

static void
who_does_not_hold_the_key_proves_nothing(void **state)
{
	const struct statement s = {.jti = "one", .wrong_key = 1};
	struct fixture *f = *state;
	struct token_answer t = {.token = {.max = TOKEN_MAX}};
	struct token_request req = {.naudience = 0};
	struct core_call call = device_call(f);
	struct unit u;
	char jwt[2048];

	fixture_burn(f, "o1", "A1", &u);
	fixture_assertion(f, &u, &s, jwt, sizeof(jwt));
	assert_int_equal(core_token_assertion(&call, jwt, strlen(jwt), &req,
	    &t), ERR_ASSERTION_SIGNATURE);
	assert_int_equal(row(f, &u).unproven, 1);
	/* nor does the station, by what it reads back again */
	assert_int_equal(fixture_confirm(f, &f->line1, &u, PROOF_MEDIUM,
	    &u.device), ERR_OK);
	assert_int_equal(row(f, &u).unproven, 1);
	assert_int_equal(noted(f), 0);
	buf_free(&t.token);
}

static void
a_device_that_has_proven_itself_is_never_unproven(void **state)
{
	struct fixture *f = *state;
	struct unit u;

	fixture_release(f, "o1", "A1", &u);
	assert_int_equal(fixture_confirm(f, &f->line1, &u, PROOF_DEVICE,
	    &u.device), ERR_OK);
	assert_int_equal(u.device.unproven, 0);
	assert_int_equal(token(f, &u), ERR_OK);
	assert_int_equal(token_of_memory(f, &u), ERR_OK);
	assert_int_equal(noted(f), 0);
}

static void
burned_again_it_is_unproven_again(void **state)
{
	struct fixture *f = *state;
	struct core_call call = fixture_call(f, &f->admin);
	struct device d;
	struct order o;
	struct unit u, v;

	fixture_order(f, "back", 2, &o);
	o.reburn = REBURN_APPROVAL;
	fixture_add_order(f, &o);
	fixture_burn(f, "back", "A1", &u);
	assert_int_equal(token(f, &u), ERR_OK);
	assert_int_equal(core_device_approve(&call, u.device.device_id,
	    "returned", &d), ERR_OK);
	fixture_release(f, "back", "A1", &v);
	assert_int_equal(row(f, &u).unproven, 0);
	assert_int_equal(fixture_confirm(f, &f->line1, &v, PROOF_MEDIUM, &d),
	    ERR_OK);
	assert_int_equal(d.unproven, 1);
	assert_int_equal(token(f, &v), ERR_OK);
	assert_int_equal(row(f, &v).unproven, 0);
	assert_int_equal(noted(f), 2);
}

static void
rotation_is_an_authentication(void **state)
{
	struct fixture *f = *state;
	struct record rec;
	struct unit u, v;

	fixture_burn(f, "o1", "A1", &u);
	assert_int_equal(rotate(f, &u, 1, &rec), ERR_OK);
	v = renewed(&u, &rec);
	assert_int_equal(row(f, &u).unproven, 0);
	assert_int_equal(token(f, &v), ERR_OK);
	assert_int_equal(row(f, &v).epoch, 2);
	assert_int_equal(row(f, &v).unproven, 0);
	record_wipe(&rec);
}

static void
an_order_tells_how_many_are_unproven(void **state)
{
	struct fixture *f = *state;
	struct core_call call = fixture_call(f, &f->line1);
	struct order_summary s;
	struct unit u, v;

	fixture_burn(f, "o1", "A1", &u);
	fixture_burn(f, "o1", "A2", &v);
	fixture_release(f, "o1", "A3", &v);
	assert_int_equal(core_order_summary(&call, "o1", &s), ERR_OK);
	assert_int_equal(s.states[DEV_ACTIVE], 2);
	assert_int_equal(s.states[DEV_BURNING], 1);
	assert_int_equal(s.unproven, 2);
	assert_int_equal(token(f, &u), ERR_OK);
	assert_int_equal(core_order_summary(&call, "o1", &s), ERR_OK);
	assert_int_equal(s.unproven, 1);
	assert_int_equal(core_order_summary(&call, "none", &s),
	    ERR_NOT_FOUND);
}

#define T(f) cmocka_unit_test_setup_teardown(f, fixture_open, fixture_close)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(a_medium_unit_is_unproven_until_its_first_token),
	    T(it_is_noted_once_and_memory_answers_after_that),
	    T(a_look_up_proves_nothing_and_a_handshake_does),
	    T(who_does_not_hold_the_key_proves_nothing),
	    T(a_device_that_has_proven_itself_is_never_unproven),
	    T(burned_again_it_is_unproven_again),
	    T(rotation_is_an_authentication),
	    T(an_order_tells_how_many_are_unproven),
	};

	return cmocka_run_group_tests_name("core: proven", tests, NULL, NULL);
}
