/*
 * Rotation as the authority decides it: two epochs beside each other until
 * the new one is proven to be used, and what a dead key is still good for,
 * which is to be found out.
 */
#include "tests/unit/rotate_kit.h"

#include "lib/crypt/kdf.h"
#include "lib/crypt/pskid.h"

static void
two_epochs_are_valid_and_a_look_up_ends_neither(void **state)
{
	struct token_answer t = {.token = {.p = NULL}};
	struct fixture *f = *state;
	struct psk_answer a;
	struct record r;
	struct unit u, v;
	int i;

	fixture_burn(f, "o1", "A1", &u);
	assert_int_equal(rotate(f, &u, 1, &r), ERR_OK);
	assert_int_equal(r.epoch, 2);
	assert_string_equal(r.device_id, u.device.device_id);
	assert_string_equal(r.issuer, "https://id.example");
	assert_memory_not_equal(r.key.b, u.k.b, sizeof(u.k.b));
	assert_int_equal(r.npeers, u.release.npeers);
	v = renewed(&u, &r);
	for (i = 0; i < 3; i++) {
		assert_int_equal(handshake(f, &v, 0), ERR_OK);
		assert_int_equal(resolve(f, record_identity(&r, "edge"), &a),
		    ERR_OK);
		assert_int_equal(a.epoch, 2);
		assert_int_equal(a.pending, 1);
		assert_int_equal(resolve(f, unit_identity(&u, "edge"), &a),
		    ERR_OK);
		assert_int_equal(a.pending, 0);
		assert_int_equal(handshake(f, &u, 1), ERR_OK);
		assert_int_equal(fixture_token(f, &u, &t), ERR_OK);
		assert_int_equal(fixture_introspect(f, &t), ERR_OK);
	}
	assert_int_equal(row(f, &u).epoch, 1);
	assert_int_equal(row(f, &u).pending, 2);
	assert_int_equal(fixture_audited(f, "device.rotated", "ok"), 0);
	buf_free(&t.token);
}

/* By then u is the old, *v the new device, and t what the old one had. */
static void
expect_switched(struct fixture *f, const struct unit *u, const struct unit *v,
    const struct token_answer *old)
{
	struct token_answer t = {.token = {.p = NULL}};
	struct psk_answer a;

	assert_int_equal(row(f, u).epoch, v->device.epoch);
	assert_int_equal(row(f, u).pending, 0);
	assert_int_equal(fixture_audited(f, "device.rotated", "ok"), 1);
	assert_int_equal(fixture_introspect(f, old), ERR_TOKEN_CUT);
	assert_int_equal(fixture_token(f, u, &t), ERR_EPOCH_DEAD);
	assert_int_equal(resolve(f, unit_identity(u, "edge"), &a),
	    ERR_EPOCH_DEAD);
	assert_int_equal(fixture_token(f, v, &t), ERR_OK);
	assert_int_equal(fixture_introspect(f, &t), ERR_OK);
	assert_int_equal(resolve(f, unit_identity(v, "edge"), &a), ERR_OK);
	assert_int_equal(a.pending, 0);
	/* To be refused is not yet to have proven anything. */
	assert_int_equal(row(f, u).clones, 0);
	buf_free(&t.token);
}

enum first { HANDSHAKE, REQUEST, ASSERTION, GATEWAY, PROOF };

static void
use_first(struct fixture *f, const struct unit *u, const struct unit *v,
    enum first how)
{
	struct token_answer t = {.token = {.p = NULL}};
	struct core_call call = device_call(f);
	struct confirm c = {.epoch = 0};
	struct device d;
	uint32_t known = 0;

	switch (how) {
	case HANDSHAKE:
		assert_int_equal(handshake(f, v, 1), ERR_OK);
		break;
	case REQUEST: /* of a connection whose completion was not noted */
		assert_int_equal(fixture_token(f, v, &t), ERR_OK);
		break;
	case ASSERTION:
		assert_int_equal(assertion(f, v, "first"), ERR_OK);
		break;
	case GATEWAY:
		assert_int_equal(tell_used(f, &f->gateway,
		    unit_identity(v, "edge"), &known), ERR_OK);
		assert_int_equal(known, 1);
		break;
	case PROOF:
		assert_int_equal(core_rotate_challenge(&call, u->identity,
		    &c.epoch, c.challenge), ERR_OK);
		assert_int_equal(c.epoch, v->device.epoch);
		assert_int_equal(core_rotate_prove(&call, u->identity, &c,
		    &d), ERR_PROOF);
		assert_int_equal(row(f, u).epoch, 1);
		assert_int_equal(kdf_proof(&v->k, v->device.device_id,
		    c.epoch, "rotate", c.challenge, sizeof(c.challenge),
		    c.answer), ERR_OK);
		assert_int_equal(core_rotate_prove(&call, u->identity, &c,
		    &d), ERR_OK);
		assert_int_equal(d.epoch, v->device.epoch);
		/* its answer was lost: asked again under the new key */
		assert_int_equal(core_rotate_prove(&call, v->identity, &c,
		    &d), ERR_OK);
		break;
	}
	buf_free(&t.token);
}

static void
each_proven_use_ends_the_old_epoch(void **state)
{
	struct fixture *f = *state;
	struct token_answer old = {.token = {.p = NULL}};
	struct unit u, v, next;
	struct record r, r2;
	name_t serial;
	int how;

	for (how = HANDSHAKE; how <= PROOF; how++) {
		(void)snprintf(serial, sizeof(serial), "A%d", how);
		fixture_burn(f, "o1", serial, &u);
		assert_int_equal(fixture_token(f, &u, &old), ERR_OK);
		assert_int_equal(rotate(f, &u, 1, &r), ERR_OK);
		v = renewed(&u, &r);
		use_first(f, &u, &v, (enum first)how);
		expect_switched(f, &u, &v, &old);
		/* and on from there */
		assert_int_equal(rotate(f, &v, 1, &r2), ERR_OK);
		assert_int_equal(r2.epoch, 3);
		next = renewed(&v, &r2);
		assert_int_equal(handshake(f, &next, 1), ERR_OK);
		assert_int_equal(row(f, &u).epoch, 3);
		buf_free(&old.token);
		assert_int_equal(fixture_close(state), 0);
		assert_int_equal(fixture_open(state), 0);
		f = *state;
	}
}

static void
the_same_request_gets_the_same_key_again(void **state)
{
	struct fixture *f = *state;
	struct record a, b;
	struct unit u, v;

	fixture_burn(f, "o1", "A1", &u);
	assert_int_equal(rotate(f, &u, 1, &a), ERR_OK);
	assert_int_equal(rotate(f, &u, 1, &b), ERR_OK);
	assert_int_equal(b.epoch, 2);
	assert_memory_equal(a.key.b, b.key.b, sizeof(a.key.b));
	v = renewed(&u, &b);
	assert_int_equal(handshake(f, &v, 1), ERR_OK);
	assert_int_equal(row(f, &u).epoch, 2);
}

/*
 * What a station kept of K it may use to ask for the next key before the
 * device does. It then holds a key that dies as soon as the device asks.
 */
static void
no_two_that_hold_a_key_get_the_same_next_one(void **state)
{
	struct fixture *f = *state;
	struct unit u, thief, genuine;
	struct record stolen, r;
	struct psk_answer a;

	fixture_burn(f, "o1", "A1", &u);
	assert_int_equal(rotate(f, &u, 66, &stolen), ERR_OK);
	assert_int_equal(resolve(f, record_identity(&stolen, "edge"), &a),
	    ERR_OK);
	assert_int_equal(rotate(f, &u, 1, &r), ERR_OK);
	assert_int_equal(r.epoch, 3);
	assert_memory_not_equal(stolen.key.b, r.key.b, sizeof(r.key.b));
	thief = renewed(&u, &stolen);
	genuine = renewed(&u, &r);
	assert_int_equal(handshake(f, &genuine, 1), ERR_OK);
	assert_int_equal(row(f, &u).epoch, 3);
	assert_int_equal(resolve(f, record_identity(&stolen, "edge"), &a),
	    ERR_EPOCH_DEAD);
	assert_int_equal(row(f, &u).clones, 0);
	assert_int_equal(handshake(f, &thief, 1), ERR_OK);
	assert_int_equal(row(f, &u).clones, 1);
	assert_int_equal(row(f, &u).clone_epoch, 2);
	assert_int_equal(row(f, &u).state, DEV_ACTIVE);
}

static void
a_use_of_a_dead_key_is_a_possible_clone(void **state)
{
	struct token_answer t = {.token = {.p = NULL}};
	struct fixture *f = *state;
	struct core_figures n;
	struct unit u, v;
	struct record r;

	fixture_burn(f, "o1", "A1", &u);
	assert_int_equal(rotate(f, &u, 1, &r), ERR_OK);
	v = renewed(&u, &r);
	assert_int_equal(handshake(f, &v, 1), ERR_OK);
	/* its identity travels in clear: a look-up proves nothing */
	assert_int_equal(handshake(f, &u, 0), ERR_OK);
	assert_int_equal(row(f, &u).clones, 0);
	assert_int_equal(assertion(f, &u, "dead"), ERR_EPOCH_DEAD);
	assert_int_equal(row(f, &u).clones, 1);
	assert_int_equal(row(f, &u).clone_epoch, 1);
	assert_true(row(f, &u).clone_at > 0);
	/* one that comes again and again is told once a minute */
	assert_int_equal(assertion(f, &u, "dead2"), ERR_EPOCH_DEAD);
	assert_int_equal(handshake(f, &u, 1), ERR_OK);
	assert_int_equal(row(f, &u).clones, 1);
	fixture_pass(f, 61000);
	assert_int_equal(handshake(f, &u, 1), ERR_OK);
	assert_int_equal(row(f, &u).clones, 2);
	assert_int_equal(fixture_token(f, &u, &t), ERR_EPOCH_DEAD);
	assert_int_equal(fixture_audited(f, "device.possible_clone", "ok"),
	    2);
	core_figures(f->core, &n);
	assert_int_equal(n.possible_clones, 2);
	assert_int_equal(n.rotations, 1);
	/* who is genuine nobody can tell: the one in use goes on */
	assert_int_equal(fixture_token(f, &v, &t), ERR_OK);
	assert_int_equal(fixture_introspect(f, &t), ERR_OK);
	buf_free(&t.token);
}

static void
a_wrong_signature_under_a_dead_epoch_is_no_alarm(void **state)
{
	struct statement s = {.jti = "x", .wrong_key = 1};
	struct token_answer t = {.token = {.max = TOKEN_MAX}};
	struct token_request req = {.naudience = 0};
	struct fixture *f = *state;
	struct core_call call = device_call(f);
	char jwt[2048];
	struct unit u, v;
	struct record r;

	fixture_burn(f, "o1", "A1", &u);
	assert_int_equal(rotate(f, &u, 1, &r), ERR_OK);
	v = renewed(&u, &r);
	fixture_assertion(f, &v, &s, jwt, sizeof(jwt));
	assert_int_equal(core_token_assertion(&call, jwt, strlen(jwt), &req,
	    &t), ERR_ASSERTION_SIGNATURE);
	assert_int_equal(row(f, &u).epoch, 1);
	assert_int_equal(handshake(f, &v, 1), ERR_OK);
	fixture_assertion(f, &u, &s, jwt, sizeof(jwt));
	assert_int_equal(core_token_assertion(&call, jwt, strlen(jwt), &req,
	    &t), ERR_ASSERTION_SIGNATURE);
	assert_int_equal(row(f, &u).clones, 0);
	buf_free(&t.token);
}

/* Whoever has read it, before the rotation or since, can say it again. */
static void
an_assertion_said_again_is_no_alarm(void **state)
{
	const struct statement old = {.jti = "old"}, dead = {.jti = "dead"};
	struct token_answer t = {.token = {.max = TOKEN_MAX}};
	struct token_request req = {.naudience = 0};
	struct fixture *f = *state;
	struct core_call call = device_call(f);
	char jwt[2048], late[2048];
	struct unit u, v;
	struct record r;

	fixture_burn(f, "o1", "A1", &u);
	fixture_assertion(f, &u, &old, jwt, sizeof(jwt));
	assert_int_equal(core_token_assertion(&call, jwt, strlen(jwt), &req,
	    &t), ERR_OK);
	assert_int_equal(rotate(f, &u, 1, &r), ERR_OK);
	v = renewed(&u, &r);
	assert_int_equal(handshake(f, &v, 1), ERR_OK);
	assert_int_equal(core_token_assertion(&call, jwt, strlen(jwt), &req,
	    &t), ERR_ASSERTION_USED);
	assert_int_equal(row(f, &u).clones, 0);
	fixture_assertion(f, &u, &dead, late, sizeof(late));
	assert_int_equal(core_token_assertion(&call, late, strlen(late),
	    &req, &t), ERR_EPOCH_DEAD);
	assert_int_equal(row(f, &u).clones, 1);
	assert_int_equal(core_token_assertion(&call, late, strlen(late),
	    &req, &t), ERR_ASSERTION_USED);
	buf_free(&t.token);
}

static void
an_order_may_want_a_rotation_before_anything_else(void **state)
{
	struct token_answer t = {.token = {.p = NULL}};
	struct fixture *f = *state;
	struct core_call call = device_call(f);
	struct psk_answer a;
	struct unit u, v;
	struct record r;
	struct device d;
	uint64_t pos;

	policy_order(f, "first", 1, CLONE_REPORT);
	fixture_burn(f, "first", "A1", &u);
	assert_int_equal(fixture_token(f, &u, &t), ERR_ROTATION);
	assert_int_equal(assertion(f, &u, "a"), ERR_ROTATION);
	assert_int_equal(resolve(f, unit_identity(&u, "edge"), &a),
	    ERR_ROTATION);
	assert_int_equal(core_device_self(&call, u.identity, &d, &pos),
	    ERR_OK);
	assert_int_equal(rotate(f, &u, 1, &r), ERR_OK);
	assert_int_equal(fixture_token(f, &u, &t), ERR_ROTATION);
	v = renewed(&u, &r);
	assert_int_equal(resolve(f, unit_identity(&v, "edge"), &a), ERR_OK);
	assert_int_equal(fixture_token(f, &v, &t), ERR_OK);
	assert_int_equal(fixture_introspect(f, &t), ERR_OK);
	assert_int_equal(row(f, &u).epoch, 2);
	/* the station's answer to its confirmation was lost */
	assert_int_equal(fixture_confirm(f, &f->line1, &u, PROOF_MEDIUM, &d),
	    ERR_OK);
	assert_int_equal(d.epoch, 2);
	buf_free(&t.token);
}

/* What a gateway says is its word, not a proof that this authority saw. */
static void
only_a_proof_seen_here_suspends(void **state)
{
	struct token_answer t = {.token = {.p = NULL}};
	struct fixture *f = *state;
	uint32_t known = 0;
	struct unit u, v;
	struct record r;

	policy_order(f, "strict", 0, CLONE_SUSPEND);
	fixture_burn(f, "strict", "A1", &u);
	assert_int_equal(rotate(f, &u, 1, &r), ERR_OK);
	v = renewed(&u, &r);
	assert_int_equal(handshake(f, &v, 1), ERR_OK);
	assert_int_equal(tell_used(f, &f->gateway, unit_identity(&u, "edge"),
	    &known), ERR_OK);
	assert_int_equal(row(f, &u).clones, 1);
	assert_int_equal(row(f, &u).state, DEV_ACTIVE);
	fixture_pass(f, 61000);
	assert_int_equal(handshake(f, &u, 1), ERR_OK);
	assert_int_equal(row(f, &u).clones, 2);
	assert_int_equal(row(f, &u).state, DEV_SUSPENDED);
	assert_int_equal(fixture_token(f, &v, &t), ERR_DEVICE_SUSPENDED);
	buf_free(&t.token);
}

static void
a_gateway_speaks_for_devices_of_its_audience_only(void **state)
{
	struct fixture *f = *state;
	struct core_call call = fixture_call(f, &f->other_gateway);
	struct psk_used used = {.audience = "edge", .n = 1};
	struct pskid id = {.epoch = 2};
	char forged[PSKID_LEN + 1];
	struct identity_keys keys;
	uint32_t known = 9;
	struct unit u, v;
	struct record r;
	struct order o;

	fixture_order(f, "elsewhere", 10, &o);
	o.npeers = 1;
	memcpy(o.peers[0], "depot", 6);
	fixture_add_order(f, &o);
	fixture_burn(f, "elsewhere", "A1", &u);
	assert_int_equal(rotate(f, &u, 1, &r), ERR_OK);
	v = renewed(&u, &r);
	memcpy(used.identity[0], unit_identity(&v, "depot"),
	    sizeof(used.identity[0]));
	/* not its audience; not an identity of the audience */
	assert_int_equal(core_psk_used(&call, &used, &known), ERR_SCOPE);
	assert_int_equal(tell_used(f, &f->gateway, unit_identity(&v, "depot"),
	    &known), ERR_OK);
	assert_int_equal(known, 0);
	/* whoever has the audience's identity key can make one of any device */
	call = fixture_call(f, &f->gateway);
	assert_int_equal(core_identity_keys(&call, "edge", &keys), ERR_OK);
	id.kid = keys.kid[0];
	id.dn = u.device.dn;
	id.tenant = keys.tenant;
	assert_int_equal(pskid_make(&keys.key[0], "edge", &id, forged),
	    ERR_OK);
	assert_int_equal(tell_used(f, &f->gateway, forged, &known), ERR_OK);
	assert_int_equal(known, 0);
	assert_int_equal(row(f, &u).epoch, 1);
}

static void
who_is_out_of_service_rotates_nothing(void **state)
{
	struct fixture *f = *state;
	struct record r, other;
	struct unit u, v;

	fixture_burn(f, "o1", "A1", &u);
	assert_int_equal(rotate(f, &u, 1, &r), ERR_OK);
	v = renewed(&u, &r);
	assert_int_equal(fixture_effect(f, u.device.device_id, EFFECT_BLOCK,
	    0), ERR_OK);
	assert_int_equal(rotate(f, &u, 2, &other), ERR_DEVICE_SUSPENDED);
	assert_int_equal(handshake(f, &v, 1), ERR_OK);
	assert_int_equal(row(f, &u).epoch, 1);
	assert_int_equal(fixture_effect(f, u.device.device_id, EFFECT_LIFT,
	    0), ERR_OK);
	assert_int_equal(handshake(f, &v, 1), ERR_OK);
	assert_int_equal(row(f, &u).epoch, 2);
	assert_int_equal(fixture_effect(f, u.device.device_id, EFFECT_BLOCK,
	    1), ERR_OK);
	assert_int_equal(rotate(f, &v, 1, &other), ERR_DEVICE_REVOKED);
	assert_int_equal(rotate(f, &u, 1, &other), ERR_DEVICE_REVOKED);
}

static void
rotations_are_rationed(void **state)
{
	struct fixture *f = *state;
	struct record r;
	struct unit u;
	unsigned i;

	fixture_burn(f, "o1", "A1", &u);
	for (i = 0; i < 12; i++)
		assert_int_equal(rotate(f, &u, (unsigned char)i, &r), ERR_OK);
	assert_int_equal(rotate(f, &u, 99, &r), ERR_RATE);
	fixture_pass(f, 61000);
	assert_int_equal(rotate(f, &u, 99, &r), ERR_OK);
	assert_int_equal(row(f, &u).pending, 14);
}

/* K = HKDF(M, ...) can be computed again while M lives; the next one not. */
static void
a_derived_key_is_left_for_a_random_one(void **state)
{
	struct fixture *f = *state;
	struct unit u, v;
	struct record r;
	struct order o;

	fixture_order(f, "derived", 10, &o);
	o.derived = 1;
	memcpy(o.model, "m-derived", 10);
	fixture_add_order(f, &o);
	fixture_burn(f, "derived", "A1", &u);
	assert_int_equal(rotate(f, &u, 1, &r), ERR_OK);
	v = renewed(&u, &r);
	assert_int_equal(handshake(f, &v, 1), ERR_OK);
	assert_int_equal(handshake(f, &u, 1), ERR_OK);
	assert_int_equal(row(f, &u).clones, 1);
}

int
main(void)
{
#define CASE(t) cmocka_unit_test_setup_teardown(t, fixture_open, fixture_close)
	const struct CMUnitTest tests[] = {
	    CASE(two_epochs_are_valid_and_a_look_up_ends_neither),
	    CASE(each_proven_use_ends_the_old_epoch),
	    CASE(the_same_request_gets_the_same_key_again),
	    CASE(no_two_that_hold_a_key_get_the_same_next_one),
	    CASE(a_use_of_a_dead_key_is_a_possible_clone),
	    CASE(a_wrong_signature_under_a_dead_epoch_is_no_alarm),
	    CASE(an_assertion_said_again_is_no_alarm),
	    CASE(an_order_may_want_a_rotation_before_anything_else),
	    CASE(only_a_proof_seen_here_suspends),
	    CASE(a_gateway_speaks_for_devices_of_its_audience_only),
	    CASE(who_is_out_of_service_rotates_nothing),
	    CASE(rotations_are_rationed),
	    CASE(a_derived_key_is_left_for_a_random_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
