/*
 * A finished unit proves itself again: one challenge, one answer, and nothing
 * of the device is another than before.
 */
#include "tests/unit/core_fixture.h"

#include "lib/crypt/kdf.h"

static enum err
challenge(struct fixture *f, const struct caller *who, const char *id,
    struct confirm *c)
{
	struct core_call call = fixture_call(f, who);

	return core_verify_challenge(&call, id, &c->epoch, c->challenge);
}

static void
answer(const struct unit *u, struct confirm *c)
{
	assert_int_equal(kdf_proof(&u->k, u->device.device_id, c->epoch,
	    "burn", c->challenge, sizeof(c->challenge), c->answer), ERR_OK);
}

static enum err
verify(struct fixture *f, const struct caller *who, const struct unit *u,
    const struct confirm *c, struct device *out)
{
	struct core_call call = fixture_call(f, who);

	return core_verify(&call, u->device.device_id, c, out);
}

/* A challenge for line-1, and its right answer. */
static struct confirm
answered(struct fixture *f, const struct unit *u)
{
	struct confirm c = {.proof = PROOF_MEDIUM};

	assert_int_equal(challenge(f, &f->line1, u->device.device_id, &c),
	    ERR_OK);
	answer(u, &c);
	return c;
}

static struct device
device_now(struct fixture *f, const char *id)
{
	struct core_call call = fixture_call(f, &f->admin);
	struct device d;

	memset(&d, 0, sizeof(d));
	assert_int_equal(core_device_get(&call, id, &d), ERR_OK);
	return d;
}

static void
assert_untouched(struct fixture *f, const struct device *before)
{
	struct device now = device_now(f, before->device_id);

	assert_int_equal(now.state, before->state);
	assert_int_equal(now.proof, before->proof);
	assert_int_equal(now.epoch, before->epoch);
	assert_int_equal(now.pending, before->pending);
	assert_int_equal(now.clones, before->clones);
	assert_int_equal(now.changed_at, before->changed_at);
}

static void
a_finished_unit_is_proven_again_and_nothing_of_it_changes(void **state)
{
	struct fixture *f = *state;
	struct device before, d;
	struct confirm c;
	struct unit u;

	fixture_burn(f, "o1", "A1", &u);
	before = device_now(f, "m1-A1");
	fixture_pass(f, 5000);
	c = answered(f, &u);
	assert_int_equal(verify(f, &f->line1, &u, &c, &d), ERR_OK);
	assert_int_equal(d.dn, before.dn);
	assert_int_equal(d.state, DEV_ACTIVE);
	assert_untouched(f, &before);
	assert_int_equal(fixture_audited(f, "device.verify", "ok"), 1);
	/* another station of the order may ask as well */
	assert_int_equal(challenge(f, &f->line2, "m1-A1", &c), ERR_OK);
	answer(&u, &c);
	assert_int_equal(verify(f, &f->line2, &u, &c, &d), ERR_OK);
}

static void
a_wrong_answer_is_refused_and_changes_nothing(void **state)
{
	struct fixture *f = *state;
	struct device before, d;
	struct confirm c;
	struct unit u;

	fixture_burn(f, "o1", "A1", &u);
	before = device_now(f, "m1-A1");
	fixture_pass(f, 5000);
	c = answered(f, &u);
	c.answer[0] ^= 1;
	assert_int_equal(verify(f, &f->line1, &u, &c, &d), ERR_PROOF);
	assert_untouched(f, &before);
	assert_int_equal(fixture_audited(f, "device.verify", "proof_wrong"),
	    1);
	/* it had one answer: also the right one comes too late */
	c.answer[0] ^= 1;
	assert_int_equal(verify(f, &f->line1, &u, &c, &d), ERR_CHALLENGE);
	c = answered(f, &u);
	assert_int_equal(verify(f, &f->line1, &u, &c, &d), ERR_OK);
}

static void
an_answer_that_was_heard_is_not_taken_twice(void **state)
{
	struct fixture *f = *state;
	struct confirm c;
	struct device d;
	struct unit u;

	fixture_burn(f, "o1", "A1", &u);
	c = answered(f, &u);
	assert_int_equal(verify(f, &f->line1, &u, &c, &d), ERR_OK);
	assert_int_equal(verify(f, &f->line1, &u, &c, &d), ERR_CHALLENGE);
	assert_int_equal(fixture_audited(f, "device.verify",
	    "challenge_expired"), 1);
	/* what is housekept of uses is only what has expired by itself */
	fixture_pass(f, INT64_C(599) * 1000);
	assert_int_equal(verify(f, &f->line1, &u, &c, &d), ERR_CHALLENGE);
	c = answered(f, &u);
	fixture_pass(f, INT64_C(601) * 1000);
	assert_int_equal(verify(f, &f->line1, &u, &c, &d), ERR_CHALLENGE);
}

static void
a_challenge_is_for_its_unit_station_and_purpose_only(void **state)
{
	struct fixture *f = *state;
	struct confirm c;
	struct device d;
	struct unit u, other;

	fixture_burn(f, "o1", "A1", &u);
	fixture_burn(f, "o1", "A2", &other);
	c = answered(f, &u);
	assert_int_equal(verify(f, &f->line2, &u, &c, &d), ERR_CHALLENGE);
	answer(&other, &c);
	assert_int_equal(verify(f, &f->line1, &other, &c, &d),
	    ERR_CHALLENGE);
	answer(&u, &c);
	c.epoch++;
	assert_int_equal(verify(f, &f->line1, &u, &c, &d), ERR_CHALLENGE);
	/* that of the burn */
	memcpy(c.challenge, u.release.challenge, sizeof(c.challenge));
	c.epoch = u.device.epoch;
	answer(&u, &c);
	assert_int_equal(verify(f, &f->line1, &u, &c, &d), ERR_CHALLENGE);
	/* and the other way round, of a unit that is not finished */
	c = answered(f, &u);
	fixture_release(f, "o1", "A3", &other);
	memcpy(other.release.challenge, c.challenge, sizeof(c.challenge));
	assert_int_equal(fixture_confirm(f, &f->line1, &other, PROOF_MEDIUM,
	    &d), ERR_CHALLENGE);
}

static void
who_may_not_verify_uses_nothing_up(void **state)
{
	struct fixture *f = *state;
	struct caller stranger;
	struct confirm c;
	struct device d;
	struct unit u;

	fixture_burn(f, "o1", "A1", &u);
	fixture_caller(f, "line-3", ROLE_STATION, NULL, &stranger);
	c = answered(f, &u);
	assert_int_equal(challenge(f, &stranger, "m1-A1", &c), ERR_STATION);
	assert_int_equal(challenge(f, &f->admin, "m1-A1", &c), ERR_STATION);
	assert_int_equal(challenge(f, &f->line1, "m1-A9", &c),
	    ERR_NOT_FOUND);
	assert_int_equal(challenge(f, &f->line1, "..", &c), ERR_NOT_FOUND);
	assert_int_equal(verify(f, &stranger, &u, &c, &d), ERR_STATION);
	assert_int_equal(fixture_audited(f, "device.verify",
	    "wrong_station"), 1);
	assert_int_equal(verify(f, &f->line1, &u, &c, &d), ERR_OK);
}

static void
what_is_not_in_service_does_not_pass(void **state)
{
	struct fixture *f = *state;
	struct confirm c;
	struct device d;
	struct unit u, half;

	fixture_release(f, "o1", "A2", &half);
	assert_int_equal(challenge(f, &f->line1, "m1-A2", &c),
	    ERR_WRONG_STATE);
	fixture_burn(f, "o1", "A1", &u);
	c = answered(f, &u);
	assert_int_equal(fixture_effect(f, "m1-A1", EFFECT_BLOCK, 0), ERR_OK);
	assert_int_equal(verify(f, &f->line1, &u, &c, &d),
	    ERR_DEVICE_SUSPENDED);
	assert_int_equal(fixture_effect(f, "m1-A1", EFFECT_LIFT, 0), ERR_OK);
	c = answered(f, &u);
	assert_int_equal(fixture_effect(f, "m1-A1", EFFECT_BLOCK, 1), ERR_OK);
	assert_int_equal(verify(f, &f->line1, &u, &c, &d),
	    ERR_DEVICE_REVOKED);
	assert_int_equal(challenge(f, &f->line1, "m1-A1", &c),
	    ERR_DEVICE_REVOKED);
}

static void
a_proof_that_the_order_does_not_take_is_none(void **state)
{
	struct fixture *f = *state;
	struct device d;
	struct confirm c;
	struct order o;
	struct unit u;

	fixture_order(f, "strict", 5, &o);
	o.min_proof = PROOF_DEVICE;
	fixture_add_order(f, &o);
	fixture_release(f, "strict", "A1", &u);
	assert_int_equal(fixture_confirm(f, &f->line1, &u, PROOF_DEVICE,
	    &u.device), ERR_OK);
	c = answered(f, &u);
	assert_int_equal(verify(f, &f->line1, &u, &c, &d), ERR_PROOF);
	c = answered(f, &u);
	c.proof = PROOF_DEVICE_MADE; /* nobody's signature */
	assert_int_equal(verify(f, &f->line1, &u, &c, &d), ERR_PROOF);
	c = answered(f, &u);
	c.proof = PROOF_DEVICE;
	assert_int_equal(verify(f, &f->line1, &u, &c, &d), ERR_OK);
}

#define T(f) cmocka_unit_test_setup_teardown(f, fixture_open, fixture_close)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(a_finished_unit_is_proven_again_and_nothing_of_it_changes),
	    T(a_wrong_answer_is_refused_and_changes_nothing),
	    T(an_answer_that_was_heard_is_not_taken_twice),
	    T(a_challenge_is_for_its_unit_station_and_purpose_only),
	    T(who_may_not_verify_uses_nothing_up),
	    T(what_is_not_in_service_does_not_pass),
	    T(a_proof_that_the_order_does_not_take_is_none),
	};

	return cmocka_run_group_tests_name("core: verify", tests, NULL, NULL);
}
