/*
 * Store call n fails, for every n, in each decision that gives something
 * away: no credential is issued, no half of a change stays, nothing leaks,
 * and the same command run again comes to the right end.
 */
#include "tests/unit/core_fixture.h"

#include "lib/crypt/kdf.h"
#include "lib/jose/release_key.h"
#include "tests/helpers/fake_store.h"

#define CALLS_MAX 200 /* no decision makes so many */

struct step {
	struct fixture *f;
	unsigned n;
	struct unit u;
	struct token_answer t;
	struct record next; /* of a rotation */
};

/* One decision under fault n; out of it must come nothing or all. */
typedef enum err (*decision)(struct step *s);
typedef void (*check)(struct step *s, enum err e);

static void
arm(struct step *s, enum err e)
{
	fake_store_fail_at(s->n, e);
}

/* Disarmed; 1 if the fault was reached. */
static int
disarm(const struct step *s)
{
	unsigned made = fake_store_calls();

	fake_store_fail_at(0, ERR_OK);
	return made >= s->n;
}

static const char *
serial(const struct step *s)
{
	static char text[16];

	(void)snprintf(text, sizeof(text), "B%u", s->n);
	return text;
}

/* Each n with a state of its own, until a run ends before call n. */
static void
for_every_call(struct fixture *f, void (*prepare)(struct step *),
    decision act, check after)
{
	struct step s = {.f = f};
	int reached = 1;
	enum err e;

	for (s.n = 1; reached && s.n < CALLS_MAX; s.n++) {
		prepare(&s);
		arm(&s, ERR_STORE);
		e = act(&s);
		reached = disarm(&s);
		assert_true(e == ERR_OK || e == ERR_STORE);
		after(&s, e);
		assert_int_equal(act(&s), ERR_OK); /* again, undisturbed */
		after(&s, ERR_OK);
	}
	assert_true(s.n < CALLS_MAX);
	assert_true(s.n > 4);
	buf_free(&s.t.token);
}

static struct device
device_of(struct step *s)
{
	struct core_call call = fixture_call(s->f, &s->f->admin);
	struct device d;

	assert_int_equal(core_device_get(&call, s->u.device.device_id, &d),
	    ERR_OK);
	return d;
}

/* ---- reserve ---- */

static void
nothing(struct step *s)
{
	memset(&s->u, 0, sizeof(s->u));
}

static enum err
do_reserve(struct step *s)
{
	struct core_call call = fixture_call(s->f, &s->f->line1);
	int created;

	return core_reserve(&call, "o1", serial(s), &s->u.device, &created);
}

static void
places_and_devices_agree(struct step *s, enum err e)
{
	struct core_call call = fixture_call(s->f, &s->f->admin);
	struct device_filter q = {.order = "o1", .limit = CORE_LIST_MAX};
	struct device *rows = calloc(CORE_LIST_MAX, sizeof(*rows));
	struct order o;
	size_t n, i;

	assert_non_null(rows);
	assert_int_equal(core_order_get(&call, "o1", &o), ERR_OK);
	assert_int_equal(core_device_list(&call, &q, rows, &n), ERR_OK);
	assert_int_equal(o.issued, n);
	for (i = 0; i < n; i++)
		assert_int_equal(rows[i].ngroups, 2);
	if (e != ERR_OK)
		assert_int_equal(s->u.device.dn, 0);
	free(rows);
}

static void
a_reservation_takes_a_place_with_a_device_or_none(void **state)
{
	for_every_call(*state, nothing, do_reserve, places_and_devices_agree);
}

/* ---- release ---- */

static void
reserved(struct step *s)
{
	nothing(s);
	assert_int_equal(do_reserve(s), ERR_OK);
}

static enum err
do_release(struct step *s)
{
	struct core_call call = fixture_call(s->f, &s->f->line1);
	struct release_request req = {.epoch = 1};
	struct jwe_key *pair = NULL;
	struct buf jwk = {.max = 511};
	uint32_t epoch;
	name_t id;
	enum err e;

	memset(&s->u.release, 0, sizeof(s->u.release));
	assert_int_equal(jwe_key_generate(&pair), ERR_OK);
	assert_int_equal(jwe_key_public(pair, &jwk), ERR_OK);
	memcpy(req.station_key, jwk.p, jwk.len + 1);
	e = core_release(&call, s->u.device.device_id, &req, &s->u.release);
	if (e == ERR_OK)
		assert_int_equal(release_key_open(pair, s->u.release.key,
		    strlen(s->u.release.key), id, &epoch, &s->u.k), ERR_OK);
	jwe_key_free(&pair);
	buf_free(&jwk);
	return e;
}

static void
no_key_without_its_row(struct step *s, enum err e)
{
	static const struct release empty;
	struct device d = device_of(s);

	if (e == ERR_OK) {
		assert_int_equal(d.state, DEV_BURNING);
		return;
	}
	assert_memory_equal(&s->u.release, &empty, sizeof(empty));
	assert_int_equal(d.state, DEV_RESERVED);
}

static void
a_key_leaves_only_with_its_release_recorded(void **state)
{
	for_every_call(*state, reserved, do_release, no_key_without_its_row);
	assert_true(fixture_audited(*state, "device.release", "ok") > 4);
}

/* ---- confirm ---- */

static void
released(struct step *s)
{
	reserved(s);
	assert_int_equal(do_release(s), ERR_OK);
	s->u.identity = unit_identity(&s->u, AUDIENCE_AUTHORITY);
}

static enum err
do_confirm(struct step *s)
{
	struct device d;

	return fixture_confirm(s->f, &s->f->line1, &s->u, PROOF_MEDIUM, &d);
}

static void
active_or_not_at_all(struct step *s, enum err e)
{
	struct device d = device_of(s);

	assert_int_equal(d.state, e == ERR_OK ? DEV_ACTIVE : DEV_BURNING);
	assert_int_equal(fixture_token(s->f, &s->u, &s->t),
	    e == ERR_OK ? ERR_OK : ERR_DEVICE_INACTIVE);
}

static void
a_confirmation_activates_whole_or_not(void **state)
{
	for_every_call(*state, released, do_confirm, active_or_not_at_all);
}

/* ---- revoke ---- */

static void
active(struct step *s)
{
	released(s);
	assert_int_equal(do_confirm(s), ERR_OK);
	assert_int_equal(fixture_token(s->f, &s->u, &s->t), ERR_OK);
}

static enum err
do_revoke(struct step *s)
{
	return fixture_effect(s->f, s->u.device.device_id, EFFECT_BLOCK, 1);
}

static void
state_and_event_agree(struct step *s, enum err e)
{
	struct device d = device_of(s);

	if (e == ERR_OK) {
		assert_int_equal(d.state, DEV_REVOKED);
		assert_int_equal(fixture_introspect(s->f, &s->t),
		    ERR_DEVICE_BLOCKED);
		return;
	}
	assert_int_equal(d.state, DEV_ACTIVE);
	assert_int_equal(fixture_introspect(s->f, &s->t), ERR_OK);
}

static void
a_revocation_is_state_and_event_or_neither(void **state)
{
	for_every_call(*state, active, do_revoke, state_and_event_agree);
}

/* ---- tokens ---- */

static enum err
do_assertion(struct step *s)
{
	static unsigned count;
	struct core_call call = fixture_call(s->f, NULL);
	struct token_request req = {.naudience = 0};
	char jwt[2048], jti[16];

	(void)snprintf(jti, sizeof(jti), "j%u", ++count);
	fixture_assertion(s->f, &s->u, &(struct statement){.jti = jti}, jwt,
	    sizeof(jwt));
	buf_free(&s->t.token);
	s->t.token = (struct buf){.max = TOKEN_MAX};
	return core_token_assertion(&call, jwt, strlen(jwt), &req, &s->t);
}

static void
no_token_on_an_error(struct step *s, enum err e)
{
	if (e != ERR_OK)
		assert_int_equal(s->t.token.len, 0);
	else
		assert_int_equal(fixture_introspect(s->f, &s->t), ERR_OK);
}

static void
burned(struct step *s)
{
	released(s);
	assert_int_equal(do_confirm(s), ERR_OK);
}

static void
a_token_is_issued_only_after_its_mark(void **state)
{
	for_every_call(*state, burned, do_assertion, no_token_on_an_error);
}

/* ---- callers ---- */

static enum err
do_caller(struct step *s)
{
	struct core_call call = fixture_call(s->f, &s->f->admin);
	struct caller c = {.role = ROLE_AUDITOR};
	struct secret credential = {0};
	enum err e;

	(void)snprintf(c.name, sizeof(c.name), "c%s", serial(s));
	e = core_caller_create(&call, &c, &credential);
	if (e != ERR_OK)
		assert_int_equal(credential.len, 0);
	secret_free(&credential);
	/* The second run finds what an undisturbed first one made. */
	return e == ERR_EXISTS && s->u.device.dn != 0 ? ERR_OK : e;
}

static void
remember(struct step *s, enum err e)
{
	s->u.device.dn = e == ERR_OK;
}

static void
a_credential_is_given_only_with_its_row(void **state)
{
	for_every_call(*state, nothing, do_caller, remember);
}

/* ---- a lost race is run again ---- */

static void
a_conflict_anywhere_is_run_again(void **state)
{
	struct step s = {.f = *state};
	int reached = 1;

	for (s.n = 1; reached && s.n < CALLS_MAX; s.n++) {
		nothing(&s);
		arm(&s, ERR_CONFLICT);
		assert_int_equal(do_reserve(&s), ERR_OK);
		reached = disarm(&s);
		places_and_devices_agree(&s, ERR_OK);
	}
	assert_true(s.n > 4);
}

/* ---- opening ---- */

static void
an_authority_opens_whole_or_not(void **state)
{
	struct fixture *f = *state;
	struct core_conf conf = f->conf;
	struct core *c = NULL;
	char db[32];
	unsigned n;
	int reached = 1;
	enum err e;

	core_close(&f->core); /* its follower would take some of the faults */
	for (n = 1; reached && n < CALLS_MAX; n++) {
		struct step s = {.f = f, .n = n};
		struct detail d = {""};

		(void)snprintf(db, sizeof(db), "opening %u", n);
		conf.conninfo = db;
		arm(&s, ERR_STORE);
		e = core_open(&conf, &c, &d);
		reached = disarm(&s);
		if (e != ERR_OK) {
			assert_null(c);
			assert_int_equal(core_open(&conf, &c, &d), ERR_OK);
		}
		core_close(&c);
	}
	assert_true(n > 10 && n < CALLS_MAX);
}

/* ---- rotation ---- */

static enum err
do_rotate(struct step *s)
{
	static const unsigned char request[ROTATE_REQUEST_LEN] = {1};
	struct core_call call = fixture_call(s->f, NULL);

	return core_rotate(&call, s->u.identity, request, &s->next);
}

static void
the_old_epoch_goes_on(struct step *s, enum err e)
{
	struct device d = device_of(s);

	assert_int_equal(d.epoch, 1);
	assert_true(d.pending == 0 || d.pending == 2);
	assert_int_equal(fixture_introspect(s->f, &s->t), ERR_OK);
	if (e == ERR_OK)
		assert_int_equal(s->next.epoch, d.pending);
}

static void
a_rotation_that_fails_costs_no_key(void **state)
{
	for_every_call(*state, active, do_rotate, the_old_epoch_goes_on);
}

static void
given_the_next(struct step *s)
{
	active(s);
	assert_int_equal(do_rotate(s), ERR_OK);
}

static enum err
do_use(struct step *s)
{
	struct core_call call = fixture_call(s->f, NULL);
	struct psk_used used = {.audience = "edge", .n = 1};
	uint32_t i, known;

	call.caller = &s->f->gateway;
	for (i = 0; i < s->next.npeers; i++)
		if (strcmp(s->next.peers[i].audience, "edge") == 0)
			memcpy(used.identity[0], s->next.peers[i].identity,
			    sizeof(used.identity[0]));
	return core_psk_used(&call, &used, &known);
}

static void
one_epoch_or_the_other(struct step *s, enum err e)
{
	struct device d = device_of(s);

	assert_int_equal(d.pending, d.epoch == 1 ? 2 : 0);
	assert_int_equal(fixture_introspect(s->f, &s->t),
	    d.epoch == 1 ? ERR_OK : ERR_TOKEN_CUT);
	if (e == ERR_OK)
		assert_int_equal(d.epoch, 2);
}

static void
a_first_use_is_a_switch_and_its_event_or_neither(void **state)
{
	for_every_call(*state, given_the_next, do_use,
	    one_epoch_or_the_other);
}

#define T(f) cmocka_unit_test_setup_teardown(f, fixture_open, fixture_close)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(a_reservation_takes_a_place_with_a_device_or_none),
	    T(a_key_leaves_only_with_its_release_recorded),
	    T(a_confirmation_activates_whole_or_not),
	    T(a_revocation_is_state_and_event_or_neither),
	    T(a_token_is_issued_only_after_its_mark),
	    T(a_credential_is_given_only_with_its_row),
	    T(a_conflict_anywhere_is_run_again),
	    T(an_authority_opens_whole_or_not),
	    T(a_rotation_that_fails_costs_no_key),
	    T(a_first_use_is_a_switch_and_its_event_or_neither),
	};

	return cmocka_run_group_tests_name("core: faults", tests, NULL, NULL);
}
