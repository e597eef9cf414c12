/*
 * Tickets: identities for burns without network. What a station is given,
 * what it may say afterwards, and what two burns of one identity lead to.
 */
#include <unistd.h>

#include "tests/unit/core_fixture.h"

#include "lib/crypt/digest.h"
#include "lib/crypt/kdf.h"
#include "lib/crypt/ticket_burn.h"
#include "lib/jose/release_key.h"
#include "lib/model/ticket.h"
#include "tests/helpers/fake_store.h"

#define ID "AAAAAAAAAAAAAAAAAAAAA"

struct site {
	struct signer *key;
	struct jwe_key *open;
	struct ticket_request req;
	struct ticket t;
};

static void
add_order(struct fixture *f, uint32_t quantity)
{
	struct order o;

	fixture_order(f, "far", quantity, &o);
	memcpy(o.id_template, "far-{n}", 8);
	fixture_add_order(f, &o);
}

static void
site_open(struct fixture *f, struct site *s, char letter, uint32_t count)
{
	struct buf jwk = {.max = 511};
	struct es256_public pub;

	memset(s, 0, sizeof(*s));
	assert_int_equal(signer_generate(&s->key), ERR_OK);
	assert_int_equal(jwe_key_of(s->key, &s->open), ERR_OK);
	signer_public(s->key, &pub);
	assert_int_equal(public_jwk_write(&pub, &jwk), ERR_OK);
	memcpy(s->req.station_key, jwk.p, jwk.len + 1);
	(void)snprintf(s->req.id, sizeof(s->req.id), "%s%c", ID, letter);
	s->req.count = count;
	s->req.life = 3600;
	buf_free(&jwk);
	if (letter == 'A')
		add_order(f, 10);
}

static void
site_close(struct site *s)
{
	ticket_free(&s->t);
	jwe_key_free(&s->open);
	signer_free(&s->key);
}

static enum err
pull_as(struct fixture *f, struct site *s, const struct caller *who,
    const char *order)
{
	struct core_call call = fixture_call(f, who);

	ticket_free(&s->t);
	return core_ticket_pull(&call, order, &s->req, &s->t);
}

static enum err
pull(struct fixture *f, struct site *s)
{
	return pull_as(f, s, &f->line1, "far");
}

static void
sign(const struct site *s, struct ticket_burn *b)
{
	struct proof_message m;

	assert_int_equal(ticket_message(s->t.id, b, &m), ERR_OK);
	assert_int_equal(signer_sign(s->key, m.p, m.len, b->signature),
	    ERR_OK);
}

/* The burn of the ticket's identity i as unit serial. */
static void
burn(const struct site *s, uint32_t i, const char *serial,
    struct ticket_burn *b)
{
	const struct ticket_unit *u = &s->t.units[i];
	struct key32 k;
	uint32_t epoch;
	name_t id;

	memset(b, 0, sizeof(*b));
	assert_int_equal(release_key_open(s->open, u->key, strlen(u->key), id,
	    &epoch, &k), ERR_OK);
	assert_string_equal(id, u->device_id);
	b->dn = u->dn;
	memcpy(b->device_id, id, sizeof(id));
	(void)snprintf(b->serial, sizeof(b->serial), "%s", serial);
	b->confirm.epoch = epoch;
	b->confirm.proof = PROOF_MEDIUM;
	memcpy(b->confirm.challenge, u->challenge, CHALLENGE_LEN);
	assert_int_equal(kdf_proof(&k, id, epoch, "burn", u->challenge,
	    CHALLENGE_LEN, b->confirm.answer), ERR_OK);
	assert_int_equal(random_bytes(b->nonce, sizeof(b->nonce)), ERR_OK);
	sign(s, b);
}

static enum err
push_as(struct fixture *f, const struct site *s, const struct caller *who,
    const struct ticket_burn *b)
{
	struct core_call call = fixture_call(f, who);
	struct ticket_result r;
	enum err e;

	memset(&r, 0, sizeof(r));
	e = core_ticket_push(&call, s->t.id, b, 1, &r);
	if (e == ERR_OK)
		assert_int_equal(r.dn, b->dn);
	return e == ERR_OK ? r.outcome : e;
}

static enum err
push(struct fixture *f, const struct site *s, const struct ticket_burn *b)
{
	return push_as(f, s, &f->line1, b);
}

static enum device_state
state_of(struct fixture *f, const char *device_id)
{
	struct core_call call = fixture_call(f, &f->admin);
	struct device d;

	assert_int_equal(core_device_get(&call, device_id, &d), ERR_OK);
	return d.state;
}

static uint32_t
issued(struct fixture *f)
{
	struct core_call call = fixture_call(f, &f->admin);
	struct order o;

	assert_int_equal(core_order_get(&call, "far", &o), ERR_OK);
	return o.issued;
}

static void
a_ticket_is_places_of_the_order_with_each_release_audited(void **state)
{
	struct fixture *f = *state;
	struct ticket_burn b;
	struct site s;

	site_open(f, &s, 'A', 3);
	assert_int_equal(pull(f, &s), ERR_OK);
	assert_int_equal(s.t.n, 3);
	assert_int_equal(issued(f), 3);
	assert_int_equal(fixture_audited(f, "device.release", "ok"), 3);
	assert_int_equal(fixture_audited(f, "ticket.pull", "ok"), 1);
	assert_int_equal(s.t.units[0].npeers, 3);
	assert_int_equal(state_of(f, s.t.units[2].device_id), DEV_BURNING);
	burn(&s, 1, "B7", &b);
	assert_int_equal(push(f, &s, &b), ERR_OK);
	assert_int_equal(state_of(f, b.device_id), DEV_ACTIVE);
	assert_int_equal(push(f, &s, &b), ERR_OK); /* again: the same */
	assert_int_equal(state_of(f, s.t.units[0].device_id), DEV_BURNING);
	site_close(&s);
}

static void
the_same_pull_gives_the_same_identities_and_takes_no_place(void **state)
{
	struct fixture *f = *state;
	struct ticket_burn b;
	struct site s, other;
	name_t first;

	site_open(f, &s, 'A', 3);
	assert_int_equal(pull(f, &s), ERR_OK);
	memcpy(first, s.t.units[0].device_id, sizeof(first));
	assert_int_equal(pull(f, &s), ERR_OK);
	assert_int_equal(s.t.n, 3);
	assert_string_equal(s.t.units[0].device_id, first);
	assert_int_equal(issued(f), 3);
	burn(&s, 0, "A1", &b);
	assert_int_equal(push(f, &s, &b), ERR_OK);
	assert_int_equal(pull_as(f, &s, &f->line2, "far"), ERR_EXISTS);
	site_open(f, &other, 'B', 3); /* its key is another */
	memcpy(other.req.id, s.req.id, sizeof(other.req.id));
	assert_int_equal(pull(f, &other), ERR_EXISTS);
	assert_int_equal(pull(f, &s), ERR_OK);
	assert_int_equal(s.t.n, 2); /* what is burned is not given again */
	site_close(&s);
	site_close(&other);
}

static void
a_ticket_never_exceeds_the_order_and_is_whole_or_not_at_all(void **state)
{
	struct fixture *f = *state;
	struct core_call call = fixture_call(f, &f->admin);
	struct order o;
	struct site s;

	site_open(f, &s, 'A', 11);
	fake_store_fail_at(0, ERR_OK);
	assert_int_equal(pull(f, &s), ERR_ORDER_FULL);
	assert_true(fake_store_calls() < 11); /* before any unit is made */
	assert_int_equal(issued(f), 0);
	assert_int_equal(pull_as(f, &s, &f->line1, "o1"), ERR_REQUEST);
	assert_int_equal(pull_as(f, &s, &f->gateway, "far"), ERR_STATION);
	assert_int_equal(pull_as(f, &s, &f->line1, "none"), ERR_NOT_FOUND);
	s.req.life = TICKET_LIFE_MAX;
	s.req.count = 1;
	assert_int_equal(pull(f, &s), ERR_OK);
	assert_int_equal(core_order_get(&call, "far", &o), ERR_OK);
	assert_int_equal(s.t.expires_at, o.expires_at);
	site_close(&s);
	site_open(f, &s, 'C', 1);
	assert_int_equal(core_order_close(&call, "far", &o), ERR_OK);
	assert_int_equal(pull(f, &s), ERR_ORDER_CLOSED);
	site_close(&s);
}

/* Threat: whoever holds a ticket's answer, but not the station's key. */
static void
a_forged_or_changed_burn_is_refused_and_harms_nothing(void **state)
{
	struct fixture *f = *state;
	struct ticket_burn b, x;
	struct site s, other;

	site_open(f, &s, 'A', 3);
	site_open(f, &other, 'B', 3);
	assert_int_equal(pull(f, &s), ERR_OK);
	assert_int_equal(pull(f, &other), ERR_OK);
	burn(&s, 0, "A1", &b);
	assert_int_equal(push(f, &s, &b), ERR_OK);
	x = b; /* a forged nonce must not revoke */
	x.nonce[0] ^= 1;
	assert_int_equal(push(f, &s, &x), ERR_TICKET_SIGNATURE);
	x = b;
	(void)snprintf(x.serial, sizeof(x.serial), "A2");
	assert_int_equal(push(f, &s, &x), ERR_TICKET_SIGNATURE);
	x = b;
	x.signature[5] ^= 1;
	assert_int_equal(push(f, &s, &x), ERR_TICKET_SIGNATURE);
	assert_int_equal(state_of(f, b.device_id), DEV_ACTIVE);
	/* of another ticket's, signed by the right key */
	burn(&other, 0, "A3", &x);
	sign(&s, &x);
	assert_int_equal(push(f, &s, &x), ERR_NOT_FOUND);
	/* a wrong answer, signed by the right key */
	burn(&s, 1, "A4", &x);
	x.confirm.answer[0] ^= 1;
	sign(&s, &x);
	assert_int_equal(push(f, &s, &x), ERR_PROOF);
	burn(&s, 1, "A4", &x);
	x.confirm.challenge[31] ^= 1;
	sign(&s, &x);
	assert_int_equal(push(f, &s, &x), ERR_CHALLENGE);
	burn(&s, 1, "nope", &x);
	assert_int_equal(push(f, &s, &x), ERR_SERIAL_PATTERN);
	burn(&s, 1, "A4", &x);
	assert_int_equal(push_as(f, &s, &f->line2, &x), ERR_STATION);
	assert_int_equal(state_of(f, x.device_id), DEV_BURNING);
	assert_int_equal(push(f, &s, &x), ERR_OK);
	site_close(&s);
	site_close(&other);
}

static void
a_serial_number_is_one_device_whoever_was_first(void **state)
{
	struct fixture *f = *state;
	struct ticket_burn b;
	struct site s;

	site_open(f, &s, 'A', 3);
	assert_int_equal(pull(f, &s), ERR_OK);
	burn(&s, 0, "A1", &b);
	assert_int_equal(push(f, &s, &b), ERR_OK);
	burn(&s, 1, "A1", &b);
	assert_int_equal(push(f, &s, &b), ERR_SERIAL_USED);
	assert_int_equal(state_of(f, b.device_id), DEV_BURNING);
	assert_int_equal(fixture_audited(f, "ticket.serial_used", "ok"), 1);
	assert_int_equal(push(f, &s, &b), ERR_SERIAL_USED); /* told again */
	assert_int_equal(state_of(f, b.device_id), DEV_BURNING);
	assert_int_equal(pull(f, &s), ERR_OK); /* a unit has its key */
	assert_int_equal(s.t.n, 1);
	assert_int_not_equal(s.t.units[0].dn, b.dn);
	burn(&s, 0, "A2", &b);
	assert_int_equal(push(f, &s, &b), ERR_OK);
	site_close(&s);
}

/* The ticket's first is "A1"; its second, too, whose place is free at last. */
static void
told_in_vain(struct fixture *f, struct site *s, struct ticket_burn *b,
    struct ticket_burn *twin)
{
	site_open(f, s, 'A', 2);
	assert_int_equal(pull(f, s), ERR_OK);
	burn(s, 0, "A1", b);
	assert_int_equal(push(f, s, b), ERR_OK);
	burn(s, 1, "A1", b);
	burn(s, 1, "A2", twin);
	assert_int_equal(push(f, s, b), ERR_SERIAL_USED);
}

/* Threat: a copy hides behind a serial number that another device has. */
static void
a_burn_told_in_vain_still_shows_that_there_is_a_second(void **state)
{
	struct fixture *f = *state;
	struct ticket_burn b, twin;
	struct site s;

	told_in_vain(f, &s, &b, &twin);
	assert_int_equal(push(f, &s, &twin), ERR_TICKET_TWICE);
	assert_int_equal(state_of(f, b.device_id), DEV_REVOKED);
	assert_int_equal(push(f, &s, &b), ERR_TICKET_TWICE);
	assert_int_equal(fixture_audited(f, "ticket.twice", "ok"), 1);
	site_close(&s);
}

static void
what_was_told_in_vain_is_void_at_expiry(void **state)
{
	struct fixture *f = *state;
	struct ticket_burn b, twin;
	struct site s;
	int i;

	told_in_vain(f, &s, &b, &twin);
	fixture_pass(f, INT64_C(3601) * 1000);
	for (i = 0; i < 3000 && issued(f) != 1; i++)
		(void)usleep(10000);
	assert_int_equal(issued(f), 1);
	assert_int_equal(push(f, &s, &b), ERR_SERIAL_USED);
	assert_int_equal(push(f, &s, &twin), ERR_TICKET_TWICE);
	assert_int_equal(issued(f), 1);
	site_close(&s);
}

/* Threat: a ticket is copied with its key, and burned at two places. */
static void
one_identity_with_two_nonces_is_revoked_for_both(void **state)
{
	struct fixture *f = *state;
	struct ticket_burn b, twin;
	struct site s;

	site_open(f, &s, 'A', 2);
	assert_int_equal(pull(f, &s), ERR_OK);
	burn(&s, 0, "A1", &b);
	burn(&s, 0, "A2", &twin);
	assert_int_equal(push(f, &s, &b), ERR_OK);
	/* from any station of the order: what it shows is what counts */
	assert_int_equal(push_as(f, &s, &f->line2, &twin), ERR_TICKET_TWICE);
	assert_int_equal(state_of(f, b.device_id), DEV_REVOKED);
	assert_int_equal(push(f, &s, &b), ERR_TICKET_TWICE);
	assert_int_equal(push(f, &s, &twin), ERR_TICKET_TWICE);
	assert_int_equal(fixture_audited(f, "ticket.twice", "ok"), 1);
	/* of the same serial number, too */
	burn(&s, 1, "A5", &b);
	burn(&s, 1, "A5", &twin);
	assert_int_equal(push(f, &s, &twin), ERR_OK);
	fixture_pass(f, INT64_C(3601) * 1000); /* the ticket's expiry or not */
	assert_int_equal(push(f, &s, &b), ERR_TICKET_TWICE);
	assert_int_equal(state_of(f, b.device_id), DEV_REVOKED);
	site_close(&s);
}

/* Threat: what is in a ticket is burned with network as well. */
static void
an_identity_in_a_ticket_is_burned_by_no_other_way(void **state)
{
	struct fixture *f = *state;
	struct core_call call = fixture_call(f, &f->line1);
	struct release_request req = {.epoch = 1};
	struct confirm c = {.epoch = 1, .proof = PROOF_MEDIUM};
	struct release *rel = calloc(1, sizeof(*rel));
	struct ticket_burn b;
	struct device d;
	struct site s;

	assert_non_null(rel);
	site_open(f, &s, 'A', 1);
	assert_int_equal(pull(f, &s), ERR_OK);
	memcpy(req.station_key, s.req.station_key, sizeof(req.station_key));
	assert_int_equal(core_release(&call, s.t.units[0].device_id, &req,
	    rel), ERR_WRONG_STATE);
	burn(&s, 0, "A1", &b);
	c = b.confirm;
	assert_int_equal(core_confirm(&call, b.device_id, &c, &d),
	    ERR_CHALLENGE);
	assert_int_equal(state_of(f, b.device_id), DEV_BURNING);
	free(rel);
	site_close(&s);
}

static void
what_is_not_burned_at_expiry_is_void_and_its_place_free(void **state)
{
	struct fixture *f = *state;
	struct core_call call = fixture_call(f, &f->admin);
	struct ticket_burn b, late;
	struct device d;
	struct site s;
	int i;

	site_open(f, &s, 'A', 3);
	assert_int_equal(pull(f, &s), ERR_OK);
	burn(&s, 0, "A1", &b);
	burn(&s, 1, "A2", &late);
	assert_int_equal(push(f, &s, &b), ERR_OK);
	fixture_pass(f, INT64_C(3601) * 1000);
	assert_int_equal(push(f, &s, &late), ERR_TICKET_EXPIRED);
	for (i = 0; i < 3000 && issued(f) != 1; i++)
		(void)usleep(10000);
	assert_int_equal(issued(f), 1);
	assert_int_equal(core_device_get(&call, late.device_id, &d),
	    ERR_NOT_FOUND);
	assert_int_equal(state_of(f, b.device_id), DEV_ACTIVE);
	assert_int_equal(push(f, &s, &late), ERR_TICKET_EXPIRED);
	assert_int_equal(push(f, &s, &b), ERR_OK);
	assert_int_equal(pull(f, &s), ERR_TICKET_EXPIRED);
	assert_int_equal(fixture_audited(f, "ticket.expire", "ok"), 1);
	site_close(&s);
}

/* What is burned with network and without: one serial number, one device. */
static void
a_serial_number_is_one_device_with_network_and_without(void **state)
{
	struct fixture *f = *state;
	struct core_call call = fixture_call(f, &f->line1);
	struct ticket_burn b;
	struct device d;
	struct site s;
	int created;

	site_open(f, &s, 'A', 2);
	assert_int_equal(pull(f, &s), ERR_OK);
	burn(&s, 0, "A1", &b);
	assert_int_equal(push(f, &s, &b), ERR_OK);
	assert_int_equal(core_reserve(&call, "far", "A1", &d, &created),
	    ERR_SERIAL_USED);
	burn(&s, 1, "A2", &b); /* but with network first */
	assert_int_equal(core_reserve(&call, "far", "A2", &d, &created),
	    ERR_OK);
	assert_int_not_equal(d.dn, b.dn);
	assert_int_equal(push(f, &s, &b), ERR_SERIAL_USED);
	assert_int_equal(state_of(f, b.device_id), DEV_BURNING);
	assert_int_equal(issued(f), 3);
	/* nobody reserves, by its serial number, what is in a ticket */
	assert_int_equal(core_reserve(&call, "far", "~2", &d, &created),
	    ERR_SERIAL_PATTERN);
	site_close(&s);
}

/* Call n of the store fails, for every n; and it is asked again. */
static void
a_pull_that_fails_anywhere_takes_all_places_or_none(void **state)
{
	struct fixture *f = *state;
	uint32_t before = 0, after;
	unsigned n = 1, reached = 1;
	struct site s;
	enum err e;

	site_open(f, &s, 'Z', 2);
	add_order(f, 4000);
	for (; reached && n < 400; n++) {
		(void)snprintf(s.req.id, sizeof(s.req.id), "%.18s%04u", ID, n);
		fake_store_fail_at(n, ERR_STORE);
		e = pull(f, &s);
		reached = fake_store_calls() >= n;
		fake_store_fail_at(0, ERR_OK);
		assert_true(e == ERR_OK || e == ERR_STORE);
		after = issued(f);
		assert_int_equal(after - before, e == ERR_OK ? 2 : 0);
		assert_int_equal(s.t.n, e == ERR_OK ? 2 : 0);
		assert_int_equal(pull(f, &s), ERR_OK);
		assert_int_equal(s.t.n, 2);
		assert_int_equal(issued(f), before + 2);
		before += 2;
	}
	assert_true(n > 20 && n < 400);
	site_close(&s);
}

/* Cut anywhere, with no more said than that: all is told again, and right. */
static void
a_push_that_fails_anywhere_is_taken_up_again(void **state)
{
	struct fixture *f = *state;
	struct core_call call = fixture_call(f, &f->line1);
	struct ticket_result r[2];
	struct ticket_burn b[2];
	unsigned n = 1, reached = 1, i;
	char serial[16];
	struct site s;
	enum err e;

	site_open(f, &s, 'Z', 2);
	add_order(f, 4000);
	for (; reached && n < 200; n++) {
		(void)snprintf(s.req.id, sizeof(s.req.id), "%.18s%04u", ID, n);
		assert_int_equal(pull(f, &s), ERR_OK);
		for (i = 0; i < 2; i++) {
			(void)snprintf(serial, sizeof(serial), "C%u",
			    2 * n + i);
			burn(&s, i, serial, &b[i]);
		}
		fake_store_fail_at(n, ERR_STORE);
		e = core_ticket_push(&call, s.t.id, b, 2, r);
		reached = fake_store_calls() >= n;
		fake_store_fail_at(0, ERR_OK);
		assert_true(e == ERR_OK || e == ERR_STORE);
		assert_int_equal(core_ticket_push(&call, s.t.id, b, 2, r),
		    ERR_OK);
		for (i = 0; i < 2; i++) {
			assert_int_equal(r[i].outcome, ERR_OK);
			assert_int_equal(state_of(f, b[i].device_id),
			    DEV_ACTIVE);
		}
	}
	assert_true(n > 10 && n < 200);
	site_close(&s);
}

/* The unit is void by hand: it lives no more, and its place is free once. */
static void
what_was_made_void_by_hand_is_no_unit_at_the_push(void **state)
{
	struct fixture *f = *state;
	struct core_call call = fixture_call(f, &f->line1);
	struct ticket_burn b;
	struct device d;
	struct site s;
	int i;

	site_open(f, &s, 'A', 2);
	assert_int_equal(pull(f, &s), ERR_OK);
	burn(&s, 0, "A1", &b);
	assert_int_equal(core_void(&call, b.device_id, "dropped", &d), ERR_OK);
	assert_int_equal(issued(f), 1);
	assert_int_equal(push(f, &s, &b), ERR_WRONG_STATE);
	assert_int_equal(pull(f, &s), ERR_OK);
	assert_int_equal(s.t.n, 1);
	fixture_pass(f, INT64_C(3601) * 1000);
	for (i = 0; i < 3000 && issued(f) != 0; i++)
		(void)usleep(10000);
	assert_int_equal(issued(f), 0);
	site_close(&s);
}

#define CASE(name) \
	cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(a_ticket_is_places_of_the_order_with_each_release_audited),
	    CASE(the_same_pull_gives_the_same_identities_and_takes_no_place),
	    CASE(a_ticket_never_exceeds_the_order_and_is_whole_or_not_at_all),
	    CASE(a_forged_or_changed_burn_is_refused_and_harms_nothing),
	    CASE(a_serial_number_is_one_device_whoever_was_first),
	    CASE(a_burn_told_in_vain_still_shows_that_there_is_a_second),
	    CASE(what_was_told_in_vain_is_void_at_expiry),
	    CASE(one_identity_with_two_nonces_is_revoked_for_both),
	    CASE(an_identity_in_a_ticket_is_burned_by_no_other_way),
	    CASE(what_is_not_burned_at_expiry_is_void_and_its_place_free),
	    CASE(a_serial_number_is_one_device_with_network_and_without),
	    CASE(a_pull_that_fails_anywhere_takes_all_places_or_none),
	    CASE(a_push_that_fails_anywhere_is_taken_up_again),
	    CASE(what_was_made_void_by_hand_is_no_unit_at_the_push),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
