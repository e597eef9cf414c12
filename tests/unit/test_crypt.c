/*
 * lib/crypt against the vectors in tests/vectors, RFC examples, and an
 * adversary who flips, cuts and swaps octets.
 */
#include "tests/unit/unit.h"

#include <jansson.h>

#include "lib/base/b64url.h"
#include "lib/base/parse.h"
#include "lib/crypt/digest.h"
#include "lib/crypt/kdf.h"
#include "lib/crypt/pskid.h"
#include "lib/crypt/seal.h"

static json_t *
vectors(const char *name)
{
	const char *top = getenv("srcdir");
	char path[4096];
	json_error_t why;
	json_t *j;

	(void)snprintf(path, sizeof(path), "%s/tests/vectors/%s",
		       top != NULL ? top : ".", name);
	j = json_load_file(path, 0, &why);
	if (j == NULL)
		fail_msg("%s: %s", path, why.text);
	return j;
}

static const char *
text(const json_t *v, const char *name)
{
	const char *s = json_string_value(json_object_get(v, name));

	if (s == NULL)
		fail_msg("no member %s", name);
	return s;
}

static uint32_t
number(const json_t *v, const char *name)
{
	return (uint32_t)json_integer_value(json_object_get(v, name));
}

static struct key32
key(const json_t *v, const char *name)
{
	const char *s = text(v, name);
	struct key32 k;

	assert_int_equal(hex_decode_exact(s, strlen(s), k.b, sizeof(k.b)),
			 ERR_OK);
	return k;
}

static void
assert_key(const struct key32 *k, const json_t *v, const char *name)
{
	char hex[65];

	hex_encode(k->b, sizeof(k->b), hex);
	assert_string_equal(hex, text(v, name));
}

static void
key_schedule_vectors(void **state)
{
	json_t *all = vectors("key-schedule.json"), *v;
	struct key32 k, out;
	size_t i;

	json_array_foreach(json_object_get(all, "derive"), i, v)
	{
		k = key(v, "root");
		assert_int_equal(
		    kdf_derive(&k, text(v, "purpose"), text(v, "device_id"),
			       number(v, "epoch"), text(v, "context"), &out),
		    ERR_OK);
		assert_key(&out, v, "key");
	}
	assert_true(i >= 40);
	json_array_foreach(json_object_get(all, "model_derived_root"), i, v)
	{
		k = key(v, "model_master");
		assert_int_equal(kdf_model_root(&k, text(v, "tenant"),
						text(v, "device_id"),
						number(v, "epoch"), &out),
				 ERR_OK);
		assert_key(&out, v, "root");
	}
	assert_true(i >= 3);
	json_decref(all);
}

static void
proof_and_audience_key_vectors(void **state)
{
	json_t *all = vectors("key-schedule.json"), *v;
	unsigned char challenge[64];
	struct key32 k, out;
	const char *c;
	size_t i, n;

	json_array_foreach(json_object_get(all, "proof"), i, v)
	{
		k = key(v, "root");
		c = text(v, "challenge");
		n = strlen(c) / 2;
		assert_int_equal(hex_decode_exact(c, 2 * n, challenge, n),
				 ERR_OK);
		assert_int_equal(kdf_proof(&k, text(v, "device_id"),
					   number(v, "epoch"), text(v, "what"),
					   challenge, n, out.b),
				 ERR_OK);
		assert_key(&out, v, "answer");
	}
	assert_true(i >= 2);
	json_array_foreach(json_object_get(all, "audience_identity_key"), i, v)
	{
		k = key(v, "kid_key");
		assert_int_equal(kdf_audience_key(&k, number(v, "tenant"),
						  text(v, "audience"), &out),
				 ERR_OK);
		assert_key(&out, v, "key");
	}
	assert_true(i >= 4);
	json_decref(all);
}

static void
psk_identity_vectors(void **state)
{
	json_t *all = vectors("psk-identity.json"), *v;
	struct pskid id, back;
	char made[PSKID_LEN + 1];
	struct key32 kid, k;
	uint8_t n;
	size_t i;

	json_array_foreach(json_object_get(all, "identities"), i, v)
	{
		const char *aud = text(v, "audience");
		const char *want = text(v, "identity");

		id.kid = (uint8_t)number(v, "kid");
		id.tenant = number(v, "tenant");
		id.epoch = number(v, "epoch");
		assert_int_equal(
		    parse_u64(text(v, "device_number"), NUMBER_MAX, &id.dn),
		    ERR_OK);
		kid = key(v, "kid_key");
		assert_int_equal(kdf_audience_key(&kid, id.tenant, aud, &k),
				 ERR_OK);
		assert_key(&k, v, "audience_key");
		assert_int_equal(pskid_make(&k, aud, &id, made), ERR_OK);
		assert_string_equal(made, want);
		assert_int_equal(pskid_kid(want, PSKID_LEN, &n), ERR_OK);
		assert_int_equal(n, id.kid);
		assert_int_equal(pskid_open(&k, aud, want, PSKID_LEN, &back),
				 ERR_OK);
		assert_int_equal(back.kid, id.kid);
		assert_int_equal(back.tenant, id.tenant);
		assert_true(back.dn == id.dn);
		assert_int_equal(back.epoch, id.epoch);
	}
	assert_true(i >= 6);
	json_decref(all);
}

static void
digests_are_what_the_standards_say(void **state)
{
	struct key32 d;
	char hex[65];

	assert_int_equal(sha256("abc", 3, d.b), ERR_OK);
	hex_encode(d.b, 32, hex);
	assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223"
				 "b00361a396177a9cb410ff61f20015ad");
	/* RFC 4231 test case 2 */
	assert_int_equal(
	    hmac_sha256("Jefe", 4, "what do ya want for nothing?", 28, d.b),
	    ERR_OK);
	hex_encode(d.b, 32, hex);
	assert_string_equal(hex, "5bdcc146bf60754e6a042426089575c7"
				 "5a003f089d2739839dec58b964ec3843");
	/* the empty key: not whatever key was there before */
	assert_int_equal(hmac_sha256(NULL, 0, "", 0, d.b), ERR_OK);
	hex_encode(d.b, 32, hex);
	assert_string_equal(hex, "b613679a0814d9ec772f95d778c35fc5"
				 "ff1697c493715653c6c712144292c5ad");
}

static void
malformed_derivations_are_refused(void **state)
{
	struct key32 k = {{1}}, out = {{9}};
	unsigned char c[65] = {0}, answer[32];
	char big[300];

	memset(big, 'a', sizeof(big));
	big[299] = '\0';
	assert_int_equal(kdf_derive(&k, "", "d", 1, "", &out), ERR_NAME);
	assert_int_equal(kdf_derive(&k, big, "d", 1, "", &out), ERR_NAME);
	assert_int_equal(kdf_derive(&k, "p", "", 1, "", &out), ERR_NAME);
	assert_int_equal(kdf_derive(&k, "p", "a b", 1, "", &out), ERR_NAME);
	assert_int_equal(kdf_derive(&k, "p", big, 1, "", &out), ERR_NAME);
	assert_int_equal(kdf_derive(&k, "p", "d", 1, big, &out), ERR_NAME);
	assert_int_equal(kdf_model_root(&k, "T", "d", 1, &out), ERR_NAME);
	assert_int_equal(kdf_model_root(&k, "t", "", 1, &out), ERR_NAME);
	assert_int_equal(kdf_audience_key(&k, 1, "", &out), ERR_NAME);
	assert_int_equal(kdf_audience_key(&k, 1, "A", &out), ERR_NAME);
	assert_int_equal(out.b[0], 9);
	assert_int_equal(kdf_proof(&k, "d", 1, "lock", c, 32, answer),
			 ERR_REQUEST);
	assert_int_equal(kdf_proof(&k, "d", 1, "burn", c, 0, answer),
			 ERR_REQUEST);
	assert_int_equal(kdf_proof(&k, "d", 1, "burn", c, 65, answer),
			 ERR_REQUEST);
	assert_int_equal(kdf_proof(&k, "", 1, "burn", c, 32, answer), ERR_NAME);
}

static void
keys_of_purposes_epochs_and_audiences_differ(void **state)
{
	struct key32 k = {{1}}, a, b;

	assert_int_equal(kdf_derive(&k, PURPOSE_TLS13, "d", 1, "x", &a),
			 ERR_OK);
	assert_int_equal(kdf_derive(&k, PURPOSE_TLS12, "d", 1, "x", &b),
			 ERR_OK);
	assert_false(ct_equal(&a, &b, sizeof(a)));
	assert_int_equal(kdf_derive(&k, PURPOSE_TLS13, "d", 2, "x", &b),
			 ERR_OK);
	assert_false(ct_equal(&a, &b, sizeof(a)));
	assert_int_equal(kdf_derive(&k, PURPOSE_TLS13, "d", 1, "y", &b),
			 ERR_OK);
	assert_false(ct_equal(&a, &b, sizeof(a)));
}

static void
forged_psk_identities_are_refused(void **state)
{
	static const char *const junk[] = {
	    "",
	    "a",
	    "anonymous",
	    "Client_identity",
	    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
	    "____________________________________________",
	    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
	    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
	    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
	    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA+/",
	    "AAAAAAAAAAAAAAAAAAAAA\nAAAAAAAAAAAAAAAAAAAAAA"};
	struct pskid id = {1, 1, 5, 1}, out = {7, 7, 7, 7};
	struct key32 k = {{3}}, other = {{4}};
	char t[PSKID_LEN + 1], c;
	int i;

	for (i = 0; i < (int)COUNT(junk); i++)
		assert_case(pskid_open(&k, "a", junk[i], strlen(junk[i]),
				       &out) == ERR_IDENTITY,
			    junk[i]);
	assert_int_equal(pskid_make(&k, "a", &id, t), ERR_OK);
	for (i = 2; i < PSKID_LEN; i++) {
		c = t[i];
		t[i] = c == 'A' ? 'B' : 'A';
		assert_int_equal(pskid_open(&k, "a", t, PSKID_LEN, &out),
				 ERR_IDENTITY);
		t[i] = c;
		assert_int_equal(pskid_open(&k, "a", t, (size_t)i, &out),
				 ERR_IDENTITY);
	}
	assert_int_equal(pskid_open(&k, "b", t, PSKID_LEN, &out), ERR_IDENTITY);
	assert_int_equal(pskid_open(&other, "a", t, PSKID_LEN, &out),
			 ERR_IDENTITY);
	assert_int_equal(pskid_open(&k, "", t, PSKID_LEN, &out), ERR_NAME);
	assert_int_equal(out.kid, 7);
	assert_int_equal(pskid_kid(t, 43, &out.kid), ERR_IDENTITY);
	assert_int_equal(pskid_open(&k, "a", t, PSKID_LEN, &out), ERR_OK);
}

static void
impossible_psk_identities_are_not_made(void **state)
{
	struct pskid zero = {1, 1, 0, 1}, big = {1, 1, NUMBER_MAX + 1, 1},
		     epoch = {1, 1, 1, 0}, good = {1, 1, 1, 1};
	char t[PSKID_LEN + 1];
	struct key32 k = {{3}};

	assert_int_equal(pskid_make(&k, "a", &zero, t), ERR_REQUEST);
	assert_int_equal(pskid_make(&k, "a", &big, t), ERR_REQUEST);
	assert_int_equal(pskid_make(&k, "a", &epoch, t), ERR_REQUEST);
	assert_int_equal(pskid_make(&k, "A b", &good, t), ERR_NAME);
}

static void
sealed_keys_come_back_and_never_look_alike(void **state)
{
	const struct seal_row row = {"device_key", 1, 2, 3};
	unsigned char a[600], b[600], plain[SEAL_PLAIN_MAX + 1];
	struct secret s = {0};
	struct key32 k = {{5}}, out;
	size_t lens[] = {0, 1, 32, SEAL_PLAIN_MAX}, i, n, m;

	memset(plain, 0xa5, sizeof(plain));
	for (i = 0; i < COUNT(lens); i++) {
		assert_int_equal(
		    seal(&k, &row, plain, lens[i], a, sizeof(a), &n), ERR_OK);
		assert_int_equal(
		    seal(&k, &row, plain, lens[i], b, sizeof(b), &m), ERR_OK);
		assert_int_equal(n, lens[i] + SEAL_OVERHEAD);
		assert_memory_not_equal(a, b, n);
		assert_int_equal(unseal(&k, &row, a, n, &s), ERR_OK);
		assert_int_equal(s.len, lens[i]);
		assert_memory_equal(s.p, plain, s.len);
		assert_int_equal(unseal_key32(&k, &row, a, n, &out),
				 lens[i] == 32 ? ERR_OK : ERR_CRYPTO);
	}
	assert_int_equal(
	    seal(&k, &row, plain, SEAL_PLAIN_MAX + 1, a, sizeof(a), &n),
	    ERR_TOO_LARGE);
	assert_int_equal(seal(&k, &row, plain, 32, a, 60, &n), ERR_TOO_LARGE);
	secret_free(&s);
}

static void
sealed_rows_cannot_be_swapped(void **state)
{
	const struct seal_row row = {"device_key", 1, 2, 3};
	const struct seal_row other[] = {
	    {"secret_key", 1, 2, 3},
	    {"device_key", 2, 2, 3},
	    {"device_key", 1, 3, 3},
	    {"device_key", 1, 2, 4},
	    {"", 1, 2, 3},
	    {NULL, 1, 2, 3},
	    {"device_key", 1, UINT64_C(1) << 32 | 2, 3},
	    {"device_ke", 1, 2, 3}};
	struct key32 k = {{5}}, k2 = {{6}}, out = {{9}};
	unsigned char a[100];
	size_t i, n;

	assert_int_equal(seal(&k, &row, k2.b, 32, a, sizeof(a), &n), ERR_OK);
	for (i = 0; i < COUNT(other); i++)
		assert_int_equal(unseal_key32(&k, &other[i], a, n, &out),
				 ERR_CRYPTO);
	assert_int_equal(unseal_key32(&k2, &row, a, n, &out), ERR_CRYPTO);
	assert_int_equal(out.b[0], 9);
	assert_int_equal(unseal_key32(&k, &row, a, n, &out), ERR_OK);
	assert_int_equal(seal(&k, &other[4], k2.b, 32, a, sizeof(a), &n),
			 ERR_NAME);
}

static void
sealed_octets_flipped_or_cut_are_refused(void **state)
{
	const struct seal_row row = {"device_key", 1, 2, 3};
	struct key32 k = {{5}}, out = {{9}};
	struct secret s = {0};
	unsigned char a[700];
	size_t i, n;

	assert_int_equal(seal(&k, &row, k.b, 32, a, sizeof(a), &n), ERR_OK);
	for (i = 0; i < n; i++) {
		a[i] ^= 1;
		assert_int_equal(unseal_key32(&k, &row, a, n, &out),
				 ERR_CRYPTO);
		assert_int_equal(unseal(&k, &row, a, n, &s), ERR_CRYPTO);
		a[i] ^= 1;
		assert_int_equal(unseal(&k, &row, a, i, &s), ERR_CRYPTO);
	}
	assert_int_equal(unseal(&k, &row, a, n + 1, &s), ERR_CRYPTO);
	assert_int_equal(unseal(&k, &row, a, sizeof(a), &s), ERR_CRYPTO);
	assert_null(s.p);
	assert_int_equal(out.b[0], 9);
}

static void
sealed_vector_opens(void **state)
{
	json_t *all = vectors("at-rest.json"), *v;
	unsigned char blob[SEAL_PLAIN_MAX + SEAL_OVERHEAD];
	struct secret s = {0};
	struct seal_row row;
	struct key32 k;
	char hex[200];
	const char *c;
	size_t i, n;

	json_array_foreach(json_object_get(all, "sealed"), i, v)
	{
		k = key(v, "key");
		row.table = text(v, "table");
		row.tenant = number(v, "tenant");
		row.epoch = number(v, "epoch");
		assert_int_equal(
		    parse_u64(text(v, "row"), UINT64_MAX, &row.row), ERR_OK);
		c = text(v, "octets");
		n = strlen(c) / 2;
		assert_int_equal(hex_decode_exact(c, 2 * n, blob, n), ERR_OK);
		assert_int_equal(unseal(&k, &row, blob, n, &s), ERR_OK);
		assert_true(s.len < 100);
		hex_encode(s.p, s.len, hex);
		assert_string_equal(hex, text(v, "plain"));
	}
	assert_true(i >= 2);
	secret_free(&s);
	json_decref(all);
}

static void
random_keys_differ(void **state)
{
	struct key32 a, b;

	assert_int_equal(random_key32(&a), ERR_OK);
	assert_int_equal(random_key32(&b), ERR_OK);
	assert_false(ct_equal(&a, &b, sizeof(a)));
	assert_int_equal(random_bytes(&a, (size_t)1 << 40), ERR_CRYPTO);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(key_schedule_vectors),
	    cmocka_unit_test(proof_and_audience_key_vectors),
	    cmocka_unit_test(psk_identity_vectors),
	    cmocka_unit_test(digests_are_what_the_standards_say),
	    cmocka_unit_test(malformed_derivations_are_refused),
	    cmocka_unit_test(keys_of_purposes_epochs_and_audiences_differ),
	    cmocka_unit_test(forged_psk_identities_are_refused),
	    cmocka_unit_test(impossible_psk_identities_are_not_made),
	    cmocka_unit_test(sealed_keys_come_back_and_never_look_alike),
	    cmocka_unit_test(sealed_rows_cannot_be_swapped),
	    cmocka_unit_test(sealed_octets_flipped_or_cut_are_refused),
	    cmocka_unit_test(sealed_vector_opens),
	    cmocka_unit_test(random_keys_differ),
	};

	return cmocka_run_group_tests_name("crypt", tests, NULL, NULL);
}
