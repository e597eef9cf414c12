/*
 * device/: the key schedule and the proof against the vectors, assertions
 * against libjwt as an independent reader, and every way to fail.
 */
#include "tests/unit/unit.h"

#include <jansson.h>
#include <jwt.h>
#include <fealty/device.h>
#include <fealty/device_openssl.h>
#include "lib/base/b64url.h"
#include "lib/jose/assertion.h"

#define HS(k) ((struct assertion_keys){.mac = &(k)})

#define PORT (&fealty_device_port_openssl)

static json_t *schedule, *records;

static int
load(void **state)
{
	(void)state;
	schedule = json_load_file(VECTORS "/key-schedule.json", 0, NULL);
	records = json_load_file(VECTORS "/identity-record.json", 0, NULL);
	return schedule == NULL || records == NULL ? -1 : 0;
}

static int
unload(void **state)
{
	(void)state;
	json_decref(schedule);
	json_decref(records);
	return 0;
}

static const char *
str(json_t *o, const char *name)
{
	const char *s = json_string_value(json_object_get(o, name));

	assert_non_null(s);
	return s;
}

static void
key_of(const char *hex, uint8_t out[32])
{
	assert_int_equal(hex_decode_exact(hex, 64, out, 32), ERR_OK);
}

/* The golden record of that number; its octets in mem. */
static void
golden(size_t i, uint8_t mem[4096], struct fealty_record *r)
{
	const char *hex =
	    str(json_array_get(json_object_get(records, "records"), i), "cbor");

	assert_int_equal(
	    hex_decode_exact(hex, strlen(hex), mem, strlen(hex) / 2), ERR_OK);
	assert_int_equal(
	    fealty_record_read(mem, strlen(hex) / 2, r), FEALTY_OK);
}

static void
bare(json_t *v, uint8_t root[32], struct fealty_record *r)
{
	memset(r, 0, sizeof(*r));
	key_of(str(v, "root"), root);
	r->key = root;
	r->device_id.p = str(v, "device_id");
	r->device_id.len = strlen(r->device_id.p);
	r->epoch = (uint32_t)json_integer_value(json_object_get(v, "epoch"));
}

/* The function a firmware calls for that purpose, where there is one. */
static enum fealty_status
named(const struct fealty_record *r, const char *purpose, const char *context,
    uint8_t out[32])
{
	static const char *const tls[] = {
	    [FEALTY_TLS13] = "tls13-psk",
	    [FEALTY_TLS12] = "tls12-psk",
	    [FEALTY_DTLS12] = "dtls12-psk",
	    [FEALTY_DTLS13] = "dtls13-psk",
	};
	struct fealty_peer peer = {.audience = {context, strlen(context)}};
	int i;

	for (i = 0; i < 4; i++) {
		if (strcmp(tls[i], purpose) == 0)
			return fealty_psk(
			    PORT, r, &peer, (enum fealty_tls)i, out);
	}
	if (strcmp(purpose, "payload") == 0)
		return fealty_payload_key(PORT, r, context, out);
	return fealty_derive(PORT, r, purpose, context, strlen(context), out);
}

static void
key_schedule_gives_the_vectors(void **state)
{
	struct fealty_record r;
	uint8_t root[32], want[32], got[32];
	const char *context;
	json_t *v;
	size_t i;

	(void)state;
	json_array_foreach(json_object_get(schedule, "derive"), i, v)
	{
		bare(v, root, &r);
		context = str(v, "context");
		key_of(str(v, "key"), want);
		assert_int_equal(fealty_derive(PORT, &r, str(v, "purpose"),
				     context, strlen(context), got),
		    FEALTY_OK);
		assert_memory_equal(got, want, 32);
		assert_int_equal(
		    named(&r, str(v, "purpose"), context, got), FEALTY_OK);
		assert_memory_equal(got, want, 32);
	}
	assert_true(i > 0);
}

static void
proof_gives_the_vectors(void **state)
{
	struct fealty_record r;
	uint8_t root[32], challenge[64], want[32], got[32];
	const char *hex;
	json_t *v;
	size_t i;

	(void)state;
	json_array_foreach(json_object_get(schedule, "proof"), i, v)
	{
		bare(v, root, &r);
		hex = str(v, "challenge");
		assert_true(strlen(hex) <= 128);
		assert_int_equal(hex_decode_exact(hex, strlen(hex), challenge,
				     strlen(hex) / 2),
		    ERR_OK);
		key_of(str(v, "answer"), want);
		assert_int_equal(fealty_proof(PORT, &r, str(v, "what"),
				     challenge, strlen(hex) / 2, got),
		    FEALTY_OK);
		assert_memory_equal(got, want, 32);
	}
	assert_true(i > 0);
}

static void
out_of_range_arguments_give_no_key(void **state)
{
	static const uint8_t zero[32], big[65];
	struct fealty_record r;
	uint8_t mem[4096], out[32];

	(void)state;
	golden(0, mem, &r);
	memset(out, 0xaa, sizeof(out));
	assert_int_equal(
	    fealty_derive(PORT, &r, "", NULL, 0, out), FEALTY_E_ARG);
	assert_memory_equal(out, zero, 32);
	assert_int_equal(
	    fealty_derive(PORT, &r, "0123456789abcdef", NULL, 0, out),
	    FEALTY_E_ARG);
	assert_int_equal(
	    fealty_derive(PORT, &r, "proof", big, 65, out), FEALTY_E_ARG);
	assert_int_equal(
	    fealty_psk(PORT, &r, NULL, FEALTY_TLS13, out), FEALTY_E_ARG);
	assert_int_equal(fealty_payload_key(PORT, &r, "", out), FEALTY_E_ARG);
	memset(out, 0xaa, sizeof(out));
	assert_int_equal(
	    fealty_proof(PORT, &r, "burn", big, 0, out), FEALTY_E_ARG);
	assert_memory_equal(out, zero, 32);
	assert_int_equal(
	    fealty_proof(PORT, &r, "burn", big, 65, out), FEALTY_E_ARG);
	assert_int_equal(fealty_proof(PORT, &r, "", big, 8, out), FEALTY_E_ARG);
	assert_int_equal(
	    fealty_proof(PORT, &r, "burnburnb", big, 8, out), FEALTY_E_ARG);
	memset(&r, 0, sizeof(r));
	assert_int_equal(
	    fealty_derive(PORT, &r, "proof", NULL, 0, out), FEALTY_E_ARG);
}

/* Decoded and its HS256 checked by libjwt under the vectors' way to K. */
static jwt_t *
check_jwt(const struct fealty_record *r, const char *text)
{
	uint8_t key[32];
	jwt_t *jwt = NULL;

	assert_int_equal(
	    fealty_derive(PORT, r, "assertion", NULL, 0, key), FEALTY_OK);
	assert_int_equal(jwt_decode(&jwt, text, key, sizeof(key)), 0);
	assert_int_equal(jwt_get_alg(jwt), JWT_ALG_HS256);
	assert_string_equal(jwt_get_header(jwt, "typ"), "JWT");
	return jwt;
}

static void
assert_claim(jwt_t *jwt, const char *name, const struct fealty_text *t)
{
	const char *s = jwt_get_grant(jwt, name);

	assert_non_null(s);
	assert_int_equal(strlen(s), t->len);
	assert_memory_equal(s, t->p, t->len);
}

static void
assertion_with_clock_is_read_by_libjwt(void **state)
{
	struct fealty_assertion a = {.now = 1795000000, .life = 60};
	struct fealty_record r;
	char out[FEALTY_ASSERTION_SIZE], identity[45];
	uint8_t mem[4096];
	jwt_t *jwt;
	size_t i, len;

	(void)state;
	for (i = 0; i < 3; i += 2) {
		golden(i, mem, &r);
		assert_int_equal(
		    fealty_assertion(PORT, &r, &a, out, sizeof(out), &len),
		    FEALTY_OK);
		assert_int_equal(strlen(out), len);
		jwt = check_jwt(&r, out);
		assert_claim(jwt, "iss", &r.device_id);
		assert_claim(jwt, "sub", &r.device_id);
		assert_claim(jwt, "aud", &r.issuer);
		assert_int_equal(jwt_get_grant_int(jwt, "iat"), 1795000000);
		assert_int_equal(jwt_get_grant_int(jwt, "exp"), 1795000060);
		assert_null(jwt_get_grant(jwt, "nonce"));
		assert_int_equal(fealty_text_copy(&r.peers[0].identity,
				     identity, sizeof(identity)),
		    FEALTY_OK);
		assert_string_equal(jwt_get_header(jwt, "kid"), identity);
		jwt_free(jwt);
	}
}

static void
assertion_without_clock_carries_the_nonce(void **state)
{
	struct fealty_assertion a = {.nonce = "abc_DEF-123.~"};
	struct fealty_record r;
	char out[FEALTY_ASSERTION_SIZE];
	uint8_t mem[4096];
	jwt_t *jwt;
	size_t len;

	(void)state;
	golden(0, mem, &r);
	assert_int_equal(
	    fealty_assertion(PORT, &r, &a, out, sizeof(out), &len), FEALTY_OK);
	jwt = check_jwt(&r, out);
	assert_string_equal(jwt_get_grant(jwt, "nonce"), a.nonce);
	assert_int_equal(jwt_get_grant_int(jwt, "iat"), -1); /* none */
	assert_int_equal(jwt_get_grant_int(jwt, "exp"), -1);
	jwt_free(jwt);
}

/* The authority's reader takes it, within its time and for its issuer. */
static void
assertion_is_taken_by_the_authority_within_its_time(void **state)
{
	static const char *const aud[] = {"https://fealty.example"};
	static const char *const other[] = {"https://other.example"};
	struct fealty_assertion a = {.now = 1795000000, .life = 60};
	struct fealty_record r;
	struct assertion got;
	struct key32 key;
	char out[FEALTY_ASSERTION_SIZE];
	struct assertion_form form;
	uint8_t mem[4096];
	size_t len;

	(void)state;
	golden(0, mem, &r);
	assert_int_equal(
	    fealty_derive(PORT, &r, "assertion", NULL, 0, key.b), FEALTY_OK);
	assert_int_equal(
	    fealty_assertion(PORT, &r, &a, out, sizeof(out), &len), FEALTY_OK);
	assert_int_equal(assertion_open(out, len, &form, NULL), ERR_OK);
	assert_memory_equal(form.header.kid, r.peers[0].identity.p,
	    PSKID_LEN);
	assert_int_equal(
	    assertion_verify(&form, &HS(key), aud, 1, a.now + 59, &got, NULL),
	    ERR_OK);
	assert_string_equal(got.device_id, "sn-000001");
	assert_int_equal(got.exp, a.now + 60);
	assert_int_equal(
	    assertion_verify(&form, &HS(key), aud, 1, a.now + 60, &got, NULL),
	    ERR_ASSERTION_TIME);
	assert_int_equal(
	    assertion_verify(&form, &HS(key), other, 1, a.now, &got, NULL),
	    ERR_ASSERTION_AUDIENCE);
	key.b[0] ^= 1;
	assert_int_equal(
	    assertion_verify(&form, &HS(key), aud, 1, a.now, &got, NULL),
	    ERR_ASSERTION_SIGNATURE);
}

static void
no_two_assertions_have_the_same_jti(void **state)
{
	struct fealty_assertion a = {.now = 1, .life = 1};
	struct fealty_record r;
	char out[FEALTY_ASSERTION_SIZE], jti[64][65];
	uint8_t mem[4096];
	jwt_t *jwt;
	size_t i, j, len;

	(void)state;
	golden(0, mem, &r);
	for (i = 0; i < 64; i++) {
		assert_int_equal(
		    fealty_assertion(PORT, &r, &a, out, sizeof(out), &len),
		    FEALTY_OK);
		jwt = check_jwt(&r, out);
		assert_true(strlen(jwt_get_grant(jwt, "jti")) >= 22);
		assert_true(strlen(jwt_get_grant(jwt, "jti")) <= 64);
		strcpy(jti[i], jwt_get_grant(jwt, "jti"));
		for (j = 0; j < i; j++)
			assert_string_not_equal(jti[i], jti[j]);
		jwt_free(jwt);
	}
}

static void
assertion_refuses_what_authd_would_or_json_breaks(void **state)
{
	static const struct fealty_assertion bad[] = {
	    {.now = 0, .life = 60},
	    {.now = -1, .life = 60},
	    {.now = INT64_MAX, .life = 60},
	    {.now = 1795000000, .life = 0},
	    {.now = 1795000000, .life = 61},
	    {.nonce = ""},
	    {.nonce = "a\"b"},
	    {.nonce = "a\\b"},
	    {.nonce = "a b"},
	    {.nonce = "a\nb"},
	    {.nonce = "\xc3\xa4"},
	    {.nonce = "0123456789abcdef0123456789abcdef0123456789abcdef"
		      "0123456789abcdef0123456789abcdef0123456789abcdef"
		      "0123456789abcdef0123456789abcdef0"},
	};
	struct fealty_record r;
	char out[FEALTY_ASSERTION_SIZE];
	uint8_t mem[4096];
	size_t i, len;

	(void)state;
	golden(0, mem, &r);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(
		    fealty_assertion(PORT, &r, &bad[i], out, sizeof(out), &len),
		    FEALTY_E_ARG);
		assert_int_equal(out[0], '\0');
	}
	golden(1, mem, &r); /* has no peer "authority" */
	assert_int_equal(fealty_assertion(PORT, &r,
			     &(struct fealty_assertion){.now = 1, .life = 1},
			     out, sizeof(out), &len),
	    FEALTY_E_PEER);
}

/* The longest record that has an authority, and the longest nonce. */
static void
longest_assertion_fits_and_no_smaller_buffer_overflows(void **state)
{
	static char issuer[255], id[64], nonce[FEALTY_NONCE_MAX + 1];
	struct fealty_assertion a = {.nonce = nonce};
	struct fealty_record r;
	uint8_t mem[4096];
	char *out;
	size_t need, len = 0, size, i;

	(void)state;
	golden(0, mem, &r);
	memset(issuer, 'i', sizeof(issuer));
	memset(id, 'd', sizeof(id));
	memset(nonce, 'n', sizeof(nonce) - 1);
	r.issuer = (struct fealty_text){issuer, sizeof(issuer)};
	r.device_id = (struct fealty_text){id, sizeof(id)};
	out = malloc(FEALTY_ASSERTION_SIZE);
	assert_non_null(out);
	assert_int_equal(
	    fealty_assertion(PORT, &r, &a, out, FEALTY_ASSERTION_SIZE, &need),
	    FEALTY_OK);
	free(out);
	for (size = 0; size <= need; size++) {
		out = malloc(size == 0 ? 1 : size);
		assert_non_null(out);
		assert_int_equal(
		    fealty_assertion(PORT, &r, &a, out, size, &len),
		    FEALTY_E_SPACE);
		for (i = 0; i < size; i++)
			assert_int_equal(out[i], 0);
		free(out);
	}
	assert_int_equal(len, 0); /* written only on success */
	out = malloc(need + 1);
	assert_non_null(out);
	assert_int_equal(
	    fealty_assertion(PORT, &r, &a, out, need + 1, &len), FEALTY_OK);
	assert_int_equal(len, need);
	free(out);
}

/* A port whose call n fails, after it has written half of its output. */
struct failing {
	int left;
};

static int
failing_hmac(void *ctx, const uint8_t *key, size_t keylen, const uint8_t *msg,
    size_t len, uint8_t out[32])
{
	struct failing *f = ctx;

	if (f->left-- == 0) {
		memset(out, 0xee, 16);
		return -1;
	}
	return PORT->hmac_sha256(NULL, key, keylen, msg, len, out);
}

static int
failing_random(void *ctx, uint8_t *out, size_t len)
{
	struct failing *f = ctx;

	return f->left-- == 0 ? -1 : PORT->random(NULL, out, len);
}

static void
failing_port_at_any_call_gives_nothing(void **state)
{
	static const uint8_t zero[FEALTY_ASSERTION_SIZE];
	struct failing f;
	struct fealty_device_port port = {failing_hmac, failing_random, &f};
	struct fealty_assertion a = {.now = 1, .life = 1};
	struct fealty_record r;
	char out[FEALTY_ASSERTION_SIZE];
	uint8_t mem[4096], key[32];
	size_t len;
	int n;

	(void)state;
	golden(0, mem, &r);
	for (n = 0; n < 3; n++) { /* random, derive, sign */
		f.left = n;
		memset(out, 0, sizeof(out));
		assert_int_equal(
		    fealty_assertion(&port, &r, &a, out, sizeof(out), &len),
		    FEALTY_E_PORT);
		assert_memory_equal(out, zero, sizeof(out));
	}
	f.left = 3;
	assert_int_equal(
	    fealty_assertion(&port, &r, &a, out, sizeof(out), &len), FEALTY_OK);
	for (n = 0; n < 2; n++) {
		f.left = n;
		assert_int_equal(fealty_proof(&port, &r, "burn", "c", 1, key),
		    FEALTY_E_PORT);
		assert_memory_equal(key, zero, 32);
	}
	f.left = 0;
	assert_int_equal(fealty_psk(&port, &r, &r.peers[0], FEALTY_TLS12, key),
	    FEALTY_E_PORT);
	assert_memory_equal(key, zero, 32);
}

static int
hardware_hmac(void *ctx, const uint8_t *key, size_t keylen, const uint8_t *msg,
    size_t len, uint8_t out[32])
{
	if (key == NULL) {
		key = ctx;
		keylen = 32;
	}
	return PORT->hmac_sha256(NULL, key, keylen, msg, len, out);
}

static void
key_kept_in_hardware_gives_the_same_answers(void **state)
{
	struct fealty_device_port port = {hardware_hmac, NULL, NULL};
	struct fealty_record r;
	uint8_t mem[4096], root[32], soft[32], hard[32];

	(void)state;
	golden(0, mem, &r);
	assert_int_equal(
	    fealty_proof(PORT, &r, "rotate", "c", 1, soft), FEALTY_OK);
	memcpy(root, r.key, 32);
	port.ctx = root;
	r.key = NULL;
	assert_int_equal(
	    fealty_proof(&port, &r, "rotate", "c", 1, hard), FEALTY_OK);
	assert_memory_equal(soft, hard, 32);
	/* and the host's port has no such key */
	assert_int_equal(
	    fealty_proof(PORT, &r, "rotate", "c", 1, hard), FEALTY_E_PORT);
}

static void
texts_are_copied_whole_or_not(void **state)
{
	struct fealty_text t = {"abc", 3};
	char out[4];

	(void)state;
	assert_int_equal(fealty_text_copy(&t, out, 4), FEALTY_OK);
	assert_string_equal(out, "abc");
	assert_int_equal(fealty_text_copy(&t, out, 3), FEALTY_E_SPACE);
	assert_string_equal(out, "");
	assert_int_equal(fealty_text_copy(&t, out, 0), FEALTY_E_SPACE);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(key_schedule_gives_the_vectors),
	    cmocka_unit_test(proof_gives_the_vectors),
	    cmocka_unit_test(out_of_range_arguments_give_no_key),
	    cmocka_unit_test(assertion_with_clock_is_read_by_libjwt),
	    cmocka_unit_test(assertion_without_clock_carries_the_nonce),
	    cmocka_unit_test(
		assertion_is_taken_by_the_authority_within_its_time),
	    cmocka_unit_test(no_two_assertions_have_the_same_jti),
	    cmocka_unit_test(assertion_refuses_what_authd_would_or_json_breaks),
	    cmocka_unit_test(
		longest_assertion_fits_and_no_smaller_buffer_overflows),
	    cmocka_unit_test(failing_port_at_any_call_gives_nothing),
	    cmocka_unit_test(key_kept_in_hardware_gives_the_same_answers),
	    cmocka_unit_test(texts_are_copied_whole_or_not),
	};

	return cmocka_run_group_tests_name("device", tests, load, unload);
}
