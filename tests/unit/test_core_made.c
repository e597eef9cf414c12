/*
 * Devices that have made their own key pair: K is encrypted to it, the proof
 * and client assertions are signed by it, and no key of another kind, or of
 * another device, passes for it.
 */
#include "tests/unit/core_fixture.h"

#include "lib/base/b64url.h"
#include "lib/crypt/digest.h"
#include "lib/crypt/kdf.h"
#include "lib/crypt/proof.h"
#include "lib/jose/release_key.h"

struct made {
	struct unit u;
	struct signer *own;
};

static void
jwk_of(const struct signer *s, char out[512])
{
	struct buf b = {.max = 511};
	struct es256_public pub;

	signer_public(s, &pub);
	assert_int_equal(public_jwk_write(&pub, &b), ERR_OK);
	memcpy(out, b.p, b.len + 1);
	buf_free(&b);
}

static enum err
release_to(struct fixture *f, struct made *m, const struct signer *s)
{
	struct core_call call = fixture_call(f, &f->line1);
	struct release_request req = {.epoch = m->u.device.epoch};

	jwk_of(s, req.device_key);
	return core_release(&call, m->u.device.device_id, &req,
	    &m->u.release);
}

static void
reserve(struct fixture *f, const char *order, const char *serial,
    struct made *m)
{
	struct core_call call = fixture_call(f, &f->line1);
	int created;

	memset(m, 0, sizeof(*m));
	assert_int_equal(signer_generate(&m->own), ERR_OK);
	assert_int_equal(core_reserve(&call, order, serial, &m->u.device,
	    &created), ERR_OK);
}

static void
released(struct fixture *f, const char *order, const char *serial,
    struct made *m)
{
	reserve(f, order, serial, m);
	assert_int_equal(release_to(f, m, m->own), ERR_OK);
	m->u.identity = unit_identity(&m->u, AUDIENCE_AUTHORITY);
}

/* The proof by s, as if for what and device_id. */
static enum err
confirm_as(struct fixture *f, struct made *m, const struct signer *s,
    const char *what, const char *device_id)
{
	struct core_call call = fixture_call(f, &f->line1);
	struct confirm c = {.epoch = m->u.device.epoch,
	    .proof = PROOF_DEVICE_MADE};
	struct proof_message msg;

	memcpy(c.challenge, m->u.release.challenge, sizeof(c.challenge));
	assert_int_equal(proof_message(what, device_id, c.epoch, c.challenge,
	    sizeof(c.challenge), &msg), ERR_OK);
	assert_int_equal(signer_sign(s, msg.p, msg.len, c.answer), ERR_OK);
	return core_confirm(&call, m->u.device.device_id, &c, &m->u.device);
}

static enum err
confirm(struct fixture *f, struct made *m)
{
	return confirm_as(f, m, m->own, "burn", m->u.device.device_id);
}

static void
burned(struct fixture *f, const char *serial, struct made *m)
{
	released(f, "o1", serial, m);
	assert_int_equal(confirm(f, m), ERR_OK);
	assert_int_equal(m->u.device.state, DEV_ACTIVE);
}

static enum err
redeem(struct fixture *f, const char *jwt)
{
	struct core_call call = fixture_call(f, NULL);
	struct token_request req = {.naudience = 0};
	struct token_answer t = {.token = {.max = TOKEN_MAX}};
	enum err e;

	e = core_token_assertion(&call, jwt, strlen(jwt), &req, &t);
	buf_free(&t.token);
	return e;
}

static enum err
assert_by(struct fixture *f, const struct made *m, const char *jti,
    const struct signer *s)
{
	char jwt[2048];

	fixture_assertion(f, &m->u,
	    &(struct statement){.jti = jti, .own = s}, jwt, sizeof(jwt));
	return redeem(f, jwt);
}

static void
a_device_that_made_its_key_gets_tokens_by_it_once_each(void **state)
{
	struct fixture *f = *state;
	struct made m;
	char jwt[2048];

	burned(f, "A1", &m);
	assert_int_equal(m.u.device.proof, PROOF_DEVICE_MADE);
	fixture_assertion(f, &m.u,
	    &(struct statement){.jti = "j", .own = m.own}, jwt, sizeof(jwt));
	assert_int_equal(redeem(f, jwt), ERR_OK);
	assert_int_equal(redeem(f, jwt), ERR_ASSERTION_USED);
	/* another signature of the same statement is no other statement */
	assert_int_equal(assert_by(f, &m, "j", m.own), ERR_ASSERTION_USED);
	assert_int_equal(assert_by(f, &m, "k", m.own), ERR_OK);
	signer_free(&m.own);
}

static void
the_key_of_another_device_signs_nothing_for_this_one(void **state)
{
	struct fixture *f = *state;
	struct made a, b;

	burned(f, "A1", &a);
	released(f, "o1", "A2", &b);
	assert_int_equal(confirm_as(f, &b, a.own, "burn",
	    b.u.device.device_id), ERR_PROOF);
	assert_int_equal(confirm(f, &b), ERR_OK);
	assert_int_equal(assert_by(f, &b, "j", a.own),
	    ERR_ASSERTION_SIGNATURE);
	assert_int_equal(assert_by(f, &b, "j", b.own), ERR_OK);
	signer_free(&a.own);
	signer_free(&b.own);
}

static void
one_key_pair_is_one_device_even_when_that_is_revoked(void **state)
{
	struct fixture *f = *state;
	struct made a, b;

	burned(f, "A1", &a);
	reserve(f, "o1", "A2", &b);
	assert_int_equal(release_to(f, &b, a.own), ERR_EXISTS);
	assert_int_equal(fixture_effect(f, a.u.device.device_id,
	    EFFECT_BLOCK, 1), ERR_OK);
	assert_int_equal(release_to(f, &b, a.own), ERR_EXISTS);
	signer_free(&a.own);
	signer_free(&b.own);
}

static void
a_proof_is_of_this_burn_and_this_device(void **state)
{
	struct fixture *f = *state;
	struct made m;

	released(f, "o1", "A1", &m);
	assert_int_equal(confirm_as(f, &m, m.own, "rotate",
	    m.u.device.device_id), ERR_PROOF);
	assert_int_equal(confirm_as(f, &m, m.own, "burn", "m1-A2"),
	    ERR_PROOF);
	m.u.release.challenge[0] ^= 1;
	assert_int_equal(confirm(f, &m), ERR_CHALLENGE);
	m.u.release.challenge[0] ^= 1;
	assert_int_equal(confirm(f, &m), ERR_OK);
	/* said twice, it is the same */
	assert_int_equal(confirm(f, &m), ERR_OK);
	signer_free(&m.own);
}

static void
what_the_key_went_to_decides_what_proves(void **state)
{
	struct fixture *f = *state;
	struct signer *own = NULL;
	struct made m;
	struct unit u;

	/* released to a station: no signature proves it */
	fixture_release(f, "o1", "A1", &u);
	m.u = u;
	assert_int_equal(signer_generate(&own), ERR_OK);
	m.own = own;
	assert_int_equal(confirm(f, &m), ERR_PROOF);
	signer_free(&own);
	/* released to the device: the K of a release to a station does not */
	released(f, "o1", "A2", &m);
	fixture_release(f, "o1", "A2", &u);
	assert_int_equal(release_to(f, &m, m.own), ERR_OK);
	u.release = m.u.release;
	assert_int_equal(fixture_confirm(f, &f->line1, &u, PROOF_MEDIUM,
	    &u.device), ERR_PROOF);
	assert_int_equal(confirm(f, &m), ERR_OK);
	signer_free(&m.own);
}

/* A station that takes the key for itself after all takes the key pair back. */
static void
the_last_release_counts(void **state)
{
	struct fixture *f = *state;
	struct signer *other = NULL;
	struct made m;
	struct unit u;

	released(f, "o1", "A1", &m);
	assert_int_equal(signer_generate(&other), ERR_OK);
	assert_int_equal(release_to(f, &m, other), ERR_OK);
	assert_int_equal(confirm(f, &m), ERR_PROOF);
	fixture_release(f, "o1", "A1", &u);
	m.u.release = u.release;
	assert_int_equal(confirm_as(f, &m, other, "burn",
	    m.u.device.device_id), ERR_PROOF);
	assert_int_equal(fixture_confirm(f, &f->line1, &u, PROOF_MEDIUM,
	    &u.device), ERR_OK);
	assert_int_equal(u.device.proof, PROOF_MEDIUM);
	assert_int_equal(assert_by(f, &m, "j", other),
	    ERR_ASSERTION_SIGNATURE);
	signer_free(&other);
	signer_free(&m.own);
}

/* To a key pair that can be opened here: a device's, or the station's. */
static struct key32
k_for(struct fixture *f, const struct made *m, const struct jwe_key *pair,
    int device)
{
	struct core_call call = fixture_call(f, &f->line1);
	struct release_request req = {.epoch = 1};
	struct buf jwk = {.max = 511};
	struct release r;
	struct key32 k;
	uint32_t epoch;
	name_t id;

	assert_int_equal(jwe_key_public(pair, &jwk), ERR_OK);
	memcpy(device ? req.device_key : req.station_key, jwk.p,
	    jwk.len + 1);
	assert_int_equal(core_release(&call, m->u.device.device_id, &req,
	    &r), ERR_OK);
	assert_int_equal(release_key_open(pair, r.key, strlen(r.key), id,
	    &epoch, &k), ERR_OK);
	assert_string_equal(id, m->u.device.device_id);
	buf_free(&jwk);
	return k;
}

static void
what_a_station_had_for_itself_is_not_what_the_device_gets(void **state)
{
	struct jwe_key *a = NULL, *b = NULL;
	struct fixture *f = *state;
	struct key32 k[5];
	struct made m;
	size_t i;

	assert_int_equal(jwe_key_generate(&a), ERR_OK);
	assert_int_equal(jwe_key_generate(&b), ERR_OK);
	reserve(f, "o1", "A1", &m);
	k[0] = k_for(f, &m, a, 0); /* the station's one-time key */
	k[1] = k_for(f, &m, b, 0); /* another: it has had K anyway */
	assert_memory_equal(k[0].b, k[1].b, sizeof(k[0].b));
	k[1] = k_for(f, &m, a, 1); /* a "device", of the station's making */
	k[2] = k_for(f, &m, b, 1);
	k[3] = k_for(f, &m, b, 1);
	assert_memory_equal(k[2].b, k[3].b, sizeof(k[0].b));
	k[3] = k_for(f, &m, a, 0);
	for (i = 1; i < 4; i++)
		assert_memory_not_equal(k[i - 1].b, k[i].b, sizeof(k[0].b));
	/* what it holds last is what the authority derives from */
	m.u.k = k[3];
	k[4] = k_for(f, &m, b, 0);
	assert_memory_equal(k[4].b, k[3].b, sizeof(k[0].b));
	jwe_key_free(&a);
	jwe_key_free(&b);
	signer_free(&m.own);
}

/* Its key pair is not the new K, nor the proof that somebody has that. */
static void
es256_puts_no_pending_epoch_to_use(void **state)
{
	unsigned char request[ROTATE_REQUEST_LEN] = {1};
	struct fixture *f = *state;
	struct core_call call = fixture_call(f, NULL);
	struct made m, next;
	struct record r;
	struct device d;
	uint64_t pos;

	burned(f, "A1", &m);
	assert_int_equal(core_rotate(&call, m.u.identity, request, &r),
	    ERR_OK);
	next = m;
	memcpy(next.u.release.peers, r.peers, sizeof(r.peers));
	next.u.identity = unit_identity(&next.u, AUDIENCE_AUTHORITY);
	assert_int_equal(assert_by(f, &next, "n", m.own), ERR_ASSERTION_KID);
	assert_int_equal(core_device_self(&call, m.u.identity, &d, &pos),
	    ERR_OK);
	assert_int_equal(d.epoch, 1);
	assert_int_equal(assert_by(f, &m, "o", m.own), ERR_OK);
	/* HS256 under the new K does, and then the key pair is good for it */
	next.u.k = r.key;
	next.u.device.epoch = r.epoch;
	assert_int_equal(assert_by(f, &next, "h", NULL), ERR_OK);
	assert_int_equal(assert_by(f, &next, "n", m.own), ERR_OK);
	assert_int_equal(assert_by(f, &m, "p", m.own), ERR_EPOCH_DEAD);
	signer_free(&m.own);
}

/*
 * That a key pair is a device's own is the station's word alone: what is
 * demanded of a key that a station has had is demanded of this one, too.
 */
static void
rotation_first_is_demanded_of_a_device_made_key_too(void **state)
{
	unsigned char request[ROTATE_REQUEST_LEN] = {1};
	struct fixture *f = *state;
	struct core_call call = fixture_call(f, NULL);
	struct made m;
	struct record r;
	struct order o;

	fixture_order(f, "first", 5, &o);
	o.rotate_first = 1;
	fixture_add_order(f, &o);
	released(f, "first", "A1", &m);
	assert_int_equal(confirm(f, &m), ERR_OK);
	assert_int_equal(assert_by(f, &m, "a", m.own), ERR_ROTATION);
	assert_int_equal(core_rotate(&call, m.u.identity, request, &r),
	    ERR_OK);
	assert_int_equal(assert_by(f, &m, "b", m.own), ERR_ROTATION);
	memcpy(m.u.release.peers, r.peers, sizeof(r.peers));
	m.u.identity = unit_identity(&m.u, AUDIENCE_AUTHORITY);
	m.u.k = r.key;
	m.u.device.epoch = r.epoch;
	assert_int_equal(assert_by(f, &m, "c", NULL), ERR_OK);
	assert_int_equal(assert_by(f, &m, "d", m.own), ERR_OK);
	signer_free(&m.own);
}

static void
an_order_of_device_made_keys_gives_none_to_a_station(void **state)
{
	struct fixture *f = *state;
	struct core_call call = fixture_call(f, &f->line1);
	struct release_request req = {.epoch = 1};
	struct order o;
	struct made m;

	fixture_order(f, "own", 5, &o);
	o.min_proof = PROOF_DEVICE_MADE;
	memcpy(o.id_template, "own-{serial}", 13);
	fixture_add_order(f, &o);
	reserve(f, "own", "A1", &m);
	jwk_of(m.own, req.station_key);
	assert_int_equal(core_release(&call, m.u.device.device_id, &req,
	    &m.u.release), ERR_PROOF);
	assert_int_equal(release_to(f, &m, m.own), ERR_OK);
	assert_int_equal(confirm(f, &m), ERR_OK);
	signer_free(&m.own);
}

/* HS256 keyed by what everybody may know of an ES256 key. */
static void
a_public_key_is_no_secret_of_a_mac(void **state)
{
	struct fixture *f = *state;
	struct made m;
	struct es256_public pub;
	unsigned char mac[32];
	char jwt[2048], jwk[512], *dot;
	int i;

	burned(f, "A1", &m);
	signer_public(m.own, &pub);
	jwk_of(m.own, jwk);
	for (i = 0; i < 2; i++) {
		fixture_assertion(f, &m.u, &(struct statement){.jti = "j"},
		    jwt, sizeof(jwt));
		dot = strrchr(jwt, '.');
		assert_int_equal(hmac_sha256(i == 0 ? (void *)&pub : jwk,
		    i == 0 ? sizeof(pub) : strlen(jwk), jwt,
		    (size_t)(dot - jwt), mac), ERR_OK);
		b64url_encode(mac, sizeof(mac), dot + 1);
		assert_int_equal(redeem(f, jwt), ERR_ASSERTION_SIGNATURE);
	}
	signer_free(&m.own);
}

/* A header that says one kind, a signature of the other. */
static void
the_algorithm_is_of_the_key_s_kind(void **state)
{
	struct fixture *f = *state;
	char es[2048], hs[2048], mix[2048];
	struct made m;
	struct unit u;

	burned(f, "A1", &m);
	fixture_burn(f, "o1", "A2", &u);
	fixture_assertion(f, &m.u,
	    &(struct statement){.jti = "j", .own = m.own}, es, sizeof(es));
	fixture_assertion(f, &m.u, &(struct statement){.jti = "j"}, hs,
	    sizeof(hs));
	(void)snprintf(mix, sizeof(mix), "%.*s%s",
	    (int)(strchr(hs, '.') - hs), hs, strchr(es, '.'));
	assert_int_equal(redeem(f, mix), ERR_ASSERTION);
	(void)snprintf(mix, sizeof(mix), "%.*s%s",
	    (int)(strchr(es, '.') - es), es, strchr(hs, '.'));
	assert_int_equal(redeem(f, mix), ERR_ASSERTION);
	/* a device without a key pair has no ES256, whoever signs */
	fixture_assertion(f, &u,
	    &(struct statement){.jti = "j", .own = m.own}, es, sizeof(es));
	assert_int_equal(redeem(f, es), ERR_ASSERTION_SIGNATURE);
	signer_free(&m.own);
}

static void
a_key_that_is_none_is_refused(void **state)
{
	static const char *const bad[] = {"{}", "[]", "{\"kty\":\"EC\"}",
	    "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AAAAAAAAAAAAAAAAAAAAAAAA"
	    "AAAAAAAAAAAAAAAAAAA\",\"y\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	    "AAAAAAAAA\"}"};
	struct fixture *f = *state;
	struct core_call call = fixture_call(f, &f->line1);
	struct release_request req = {.epoch = 1};
	struct made m;
	size_t i;

	reserve(f, "o1", "A1", &m);
	for (i = 0; i < COUNT(bad); i++) {
		(void)snprintf(req.device_key, sizeof(req.device_key), "%s",
		    bad[i]);
		assert_case(core_release(&call, m.u.device.device_id, &req,
		    &m.u.release) == ERR_REQUEST, bad[i]);
	}
	signer_free(&m.own);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, fixture_open, fixture_close)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(a_device_that_made_its_key_gets_tokens_by_it_once_each),
	    CASE(the_key_of_another_device_signs_nothing_for_this_one),
	    CASE(one_key_pair_is_one_device_even_when_that_is_revoked),
	    CASE(a_proof_is_of_this_burn_and_this_device),
	    CASE(what_the_key_went_to_decides_what_proves),
	    CASE(the_last_release_counts),
	    CASE(what_a_station_had_for_itself_is_not_what_the_device_gets),
	    CASE(es256_puts_no_pending_epoch_to_use),
	    CASE(rotation_first_is_demanded_of_a_device_made_key_too),
	    CASE(an_order_of_device_made_keys_gives_none_to_a_station),
	    CASE(a_public_key_is_no_secret_of_a_mac),
	    CASE(the_algorithm_is_of_the_key_s_kind),
	    CASE(a_key_that_is_none_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
