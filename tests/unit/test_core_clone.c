/*
 * Who would turn rotation against its purpose: floods of alarms and epochs,
 * reports that hide a proof, and a database that has forgotten a rotation.
 */
#include "tests/unit/rotate_kit.h"

#include "authd/core/core_internal.h"
#include "tests/helpers/fake_store.h"

/* Of epoch 3 at the end; old and older hold the keys of 2 and 1. */
static void
rotate_twice(struct fixture *f, const char *order, struct unit *older,
    struct unit *old, struct unit *now)
{
	static struct record r[2];

	fixture_burn(f, order, "A1", older);
	assert_int_equal(rotate(f, older, 1, &r[0]), ERR_OK);
	*old = renewed(older, &r[0]);
	assert_int_equal(handshake(f, old, 1), ERR_OK);
	assert_int_equal(rotate(f, old, 2, &r[1]), ERR_OK);
	*now = renewed(old, &r[1]);
	assert_int_equal(handshake(f, now, 1), ERR_OK);
	assert_int_equal(row(f, now).epoch, 3);
}

/* Threat: two dead keys by turns fill the log and the audit. */
static void
dead_keys_by_turns_raise_one_alarm_a_minute(void **state)
{
	struct fixture *f = *state;
	struct unit older, old, now;
	uint32_t known = 0;
	int i;

	rotate_twice(f, "o1", &older, &old, &now);
	for (i = 0; i < 8; i++) {
		assert_int_equal(handshake(f, &older, 1), ERR_OK);
		assert_int_equal(handshake(f, &old, 1), ERR_OK);
		assert_int_equal(tell_used(f, &f->gateway,
		    unit_identity(i % 2 ? &old : &older, "edge"), &known),
		    ERR_OK);
		if (i == 3) /* what memory knows is over */
			fixture_pass(f, 11000);
	}
	assert_int_equal(row(f, &now).clones, 1);
	assert_int_equal(fixture_audited(f, "device.possible_clone", "ok"),
	    1);
	fixture_pass(f, 61000);
	assert_int_equal(handshake(f, &older, 1), ERR_OK);
	assert_int_equal(row(f, &now).clones, 2);
}

/* Threat: a gateway that has been opened shields the clone. */
static void
a_report_does_not_hide_a_proof_seen_here(void **state)
{
	struct token_answer t = {.token = {.p = NULL}};
	struct fixture *f = *state;
	struct unit older, old, now;
	uint32_t known = 0;

	policy_order(f, "strict", 0, CLONE_SUSPEND);
	rotate_twice(f, "strict", &older, &old, &now);
	assert_int_equal(tell_used(f, &f->gateway, unit_identity(&old,
	    "edge"), &known), ERR_OK);
	assert_int_equal(row(f, &now).state, DEV_ACTIVE);
	assert_int_equal(handshake(f, &old, 1), ERR_OK);
	assert_int_equal(row(f, &now).state, DEV_SUSPENDED);
	assert_int_equal(fixture_token(f, &now, &t), ERR_DEVICE_SUSPENDED);
	/* suspended, it is not told again and again */
	assert_int_equal(handshake(f, &old, 1), ERR_OK);
	assert_int_equal(row(f, &now).clones, 2);
	buf_free(&t.token);
}

/* What was learnt of a dead epoch says nothing of one that is pending. */
static void
an_alarm_does_not_hold_up_a_first_use(void **state)
{
	struct fixture *f = *state;
	struct unit older, old, now, next;
	struct record r;

	rotate_twice(f, "o1", &older, &old, &now);
	assert_int_equal(handshake(f, &old, 1), ERR_OK);
	assert_int_equal(rotate(f, &now, 3, &r), ERR_OK);
	next = renewed(&now, &r);
	assert_int_equal(handshake(f, &old, 1), ERR_OK);
	assert_int_equal(handshake(f, &next, 1), ERR_OK);
	assert_int_equal(row(f, &now).epoch, 4);
}

static unsigned
keys_of(struct fixture *f, const struct unit *u, uint32_t upto)
{
	struct device_key_row k;
	struct store *st = NULL;
	unsigned n = 0;
	uint32_t i;

	assert_int_equal(store_acquire(f->core->pool, 1000, &st), ERR_OK);
	assert_int_equal(store_begin(st, f->tenant->number, STORE_READ),
	    ERR_OK);
	for (i = 1; i <= upto; i++)
		n += store_device_key_get(st, u->device.dn, i, &k) == ERR_OK;
	store_rollback(st);
	store_release(&st);
	return n;
}

/* Threat: who asks for ever and never switches fills the table of keys. */
static void
epochs_that_were_never_used_are_forgotten(void **state)
{
	struct fixture *f = *state;
	struct unit u, v;
	struct record r;
	unsigned i;

	fixture_burn(f, "o1", "A1", &u);
	for (i = 0; i < 40; i++) {
		if (i % 12 == 0)
			fixture_pass(f, 61000);
		assert_int_equal(rotate(f, &u, (unsigned char)i, &r), ERR_OK);
	}
	assert_int_equal(r.epoch, 41);
	/* the one in use, that a station had, and the last ones */
	assert_in_range(keys_of(f, &u, 41), 2, 10);
	assert_int_equal(handshake(f, &u, 1), ERR_OK);
	v = renewed(&u, &r);
	assert_int_equal(handshake(f, &v, 1), ERR_OK);
	assert_int_equal(row(f, &u).epoch, 41);
	assert_int_equal(handshake(f, &u, 1), ERR_OK);
	assert_int_equal(row(f, &u).clones, 1);
}

/* Threat: approvals without end, of a unit that is never burned. */
static void
epochs_that_were_only_approved_are_forgotten(void **state)
{
	struct fixture *f = *state;
	struct core_call call = fixture_call(f, &f->admin);
	struct device d = {.pending = 0};
	struct order o;
	struct unit u;
	int i;

	fixture_order(f, "back", 2, &o);
	o.reburn = REBURN_APPROVAL;
	fixture_add_order(f, &o);
	fixture_burn(f, "back", "B1", &u);
	for (i = 0; i < 40; i++)
		assert_int_equal(core_device_approve(&call,
		    u.device.device_id, "lost again", &d), ERR_OK);
	assert_int_equal(d.pending, 41);
	assert_in_range(keys_of(f, &u, 41), 2, 10);
	assert_int_equal(handshake(f, &u, 1), ERR_OK);
	assert_int_equal(row(f, &u).epoch, 1);
}

/* What other devices have spent, of one tenant and of another. */
static void
spend(struct fixture *f, const struct unit *u, unsigned n)
{
	struct pskid id = {.tenant = f->tenant->number};
	struct ration_slot *s;
	unsigned i;

	(void)pthread_mutex_lock(&f->core->ration_lock);
	for (i = 0; i < n; i++) {
		id.dn = u->device.dn + 1 + i / 2;
		id.tenant = f->tenant->number + i % 2;
		s = ration_slot(f->core, &id);
		if (s == NULL)
			continue;
		s->rotations = RATION_ROTATIONS;
		s->tokens = RATION_TOKENS;
		s->cuts = 1;
	}
	(void)pthread_mutex_unlock(&f->core->ration_lock);
}

/* Threat: who rotates or revokes without end takes it from others. */
static void
nobody_spends_the_ration_of_another(void **state)
{
	struct token_answer t = {.token = {.p = NULL}};
	struct fixture *f = *state;
	struct core_call call = device_call(f);
	struct record r;
	struct unit u;

	fixture_burn(f, "o1", "A1", &u);
	assert_int_equal(fixture_token(f, &u, &t), ERR_OK);
	spend(f, &u, 2048);
	assert_int_equal(rotate(f, &u, 1, &r), ERR_OK);
	assert_int_equal(core_token_revoke(&call, u.identity,
	    (char *)t.token.p, t.token.len), ERR_OK);
	assert_int_equal(fixture_introspect(f, &t), ERR_TOKEN_REVOKED);
	buf_free(&t.token);
}

/* Threat: with enough others' names a device gets rid of what it spent. */
static void
what_was_spent_stays_spent_whoever_comes_between(void **state)
{
	struct fixture *f = *state;
	struct record r;
	struct unit u;
	unsigned i;

	fixture_burn(f, "o1", "A1", &u);
	for (i = 0; i < RATION_ROTATIONS; i++)
		assert_int_equal(rotate(f, &u, (unsigned char)i, &r), ERR_OK);
	spend(f, &u, 16 * RATION_SLOTS);
	assert_int_equal(rotate(f, &u, 99, &r), ERR_RATE);
	/* the places of others whose minute is over are free */
	fixture_pass(f, 61000);
	assert_int_equal(rotate(f, &u, 99, &r), ERR_OK);
}

/* Threat: a restored database hands out epochs and keys it has given. */
static void
while_events_are_lost_no_key_is_given_or_put_to_use(void **state)
{
	struct fixture *f = *state;
	struct core_call call = device_call(f);
	struct core_tenant *t = tenant_writable(f->tenant);
	struct record r, other;
	struct psk_answer a;
	struct confirm c;
	uint32_t known = 0;
	struct unit u, v;

	fixture_burn(f, "o1", "A1", &u);
	assert_int_equal(rotate(f, &u, 1, &r), ERR_OK);
	v = renewed(&u, &r);
	atomic_store(&t->lost, NUMBER_MAX);
	assert_int_equal(rotate(f, &u, 1, &other), ERR_NOT_READY);
	assert_int_equal(rotate(f, &u, 2, &other), ERR_NOT_READY);
	assert_int_equal(core_rotate_challenge(&call, u.identity, &c.epoch,
	    c.challenge), ERR_NOT_READY);
	assert_int_equal(resolve(f, unit_identity(&u, "edge"), &a),
	    ERR_NOT_READY);
	assert_int_equal(tell_used(f, &f->gateway, unit_identity(&v, "edge"),
	    &known), ERR_NOT_READY);
	assert_int_equal(handshake(f, &v, 1), ERR_OK);
	atomic_store(&t->lost, 0);
	assert_int_equal(row(f, &u).epoch, 1);
	assert_int_equal(row(f, &u).pending, 2);
	assert_int_equal(handshake(f, &v, 1), ERR_OK);
	assert_int_equal(row(f, &u).epoch, 2);
}

/* The lost events of a rotation of u, epochs up to ep_max, taken back. */
static void
recover_rotation(struct fixture *f, const struct unit *u, uint32_t ep_max)
{
	struct core_tenant *t = tenant_writable(f->tenant);
	struct core_call admin = fixture_call(f, &f->admin);
	uint64_t pos = core_tenant_position(t);
	struct event ev = {.kind = EV_DEVICE, .effect = EFFECT_CUT,
	    .ep_max = ep_max, .pos = pos + 1};
	struct set_run run = {.after = pos, .head = pos + 1, .events = &ev,
	    .n = 1};
	const struct heartbeat h = {pos + 1, 0, 1};
	struct buf beat = {.max = 4096}, set = {.max = 65536};
	const char *sets[1];
	struct recovery in = {.sets = sets, .n = 1};
	struct recovered out = {0};

	(void)snprintf(ev.id, sizeof(ev.id), "%llu",
	    (unsigned long long)u->device.dn);
	assert_int_equal(heartbeat_sign(t->keys->feed,
	    core_tenant_issuer(t), &h, &beat), ERR_OK);
	assert_int_equal(set_sign(t->keys->feed, core_tenant_issuer(t),
	    clock_wall_s(f->core->clock), &run, &set), ERR_OK);
	in.seen = beat.p;
	sets[0] = set.p;
	assert_int_equal(core_recover(&admin, &in, &out), ERR_OK);
	assert_int_equal(out.imported, 1);
	buf_free(&beat);
	buf_free(&set);
}

/* Threat: a restore gives a key that a station kept its life back. */
static void
a_key_that_a_lost_rotation_ended_opens_nothing_again(void **state)
{
	struct token_answer t = {.token = {.p = NULL}};
	struct fixture *f = *state;
	struct unit u, w, v;
	struct record r;

	fixture_burn(f, "o1", "A1", &u);
	fixture_burn(f, "o1", "A2", &w);
	assert_int_equal(rotate(f, &w, 1, &r), ERR_OK);
	v = renewed(&w, &r);
	/* the key that took its place is lost with the rest */
	recover_rotation(f, &u, 1);
	assert_int_equal(row(f, &u).state, DEV_SUSPENDED);
	assert_int_equal(fixture_token(f, &u, &t), ERR_DEVICE_SUSPENDED);
	/* here its first use alone is */
	recover_rotation(f, &w, 1);
	assert_int_equal(row(f, &w).state, DEV_ACTIVE);
	assert_int_equal(row(f, &w).epoch, 2);
	assert_int_equal(row(f, &w).pending, 0);
	assert_int_equal(fixture_token(f, &w, &t), ERR_EPOCH_DEAD);
	assert_int_equal(fixture_token(f, &v, &t), ERR_OK);
	buf_free(&t.token);
}

int
main(void)
{
#define CASE(t) cmocka_unit_test_setup_teardown(t, fixture_open, fixture_close)
	const struct CMUnitTest tests[] = {
	    CASE(dead_keys_by_turns_raise_one_alarm_a_minute),
	    CASE(a_report_does_not_hide_a_proof_seen_here),
	    CASE(an_alarm_does_not_hold_up_a_first_use),
	    CASE(epochs_that_were_never_used_are_forgotten),
	    CASE(epochs_that_were_only_approved_are_forgotten),
	    CASE(nobody_spends_the_ration_of_another),
	    CASE(what_was_spent_stays_spent_whoever_comes_between),
	    CASE(while_events_are_lost_no_key_is_given_or_put_to_use),
	    CASE(a_key_that_a_lost_rotation_ended_opens_nothing_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
