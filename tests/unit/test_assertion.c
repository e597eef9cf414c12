/*
 * Client assertions, and the release of keys to stations: what is good
 * passes, whatever is not is refused with its code.
 */
#include "tests/unit/jose_kit.h"

#include <jwt.h>

#include "lib/jose/assertion.h"
#include "lib/jose/jwe.h"

static enum err
verify_at(const char *s, size_t len, const struct key32 *key, int64_t now,
    struct assertion *a, struct detail *d)
{
	static const char *const aud[] = {ISS, ISS "/oauth2/token"};
	struct assertion_keys with = {.mac = key};
	struct assertion_form f;
	enum err e;

	e = assertion_open(s, len, &f, d);
	return e == ERR_OK ? assertion_verify(&f, &with, aud, 2, now, a, d) :
	    e;
}

static enum err
verify_assertion(const struct buf *t)
{
	struct assertion a;
	struct detail d = {""};

	return verify_at(t->p, t->len, &hs_key, NOW, &a, &d);
}

static void
odd_forms_are_refused(void **state)
{
	static const char *const forms[] = {"", ".", "..", "a.b", "a.b.c.d",
	    "e30.e30.", ".e30.e30", "e30..e30", "e30.e30.e30",
	    "e30=.e30.e30", " e30.e30.e30", "e30.e30.e30\n"};
	struct buf t = {.max = 8192};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(forms); i++) {
		buf_reset(&t);
		assert_int_equal(buf_str(&t, forms[i]), ERR_OK);
		assert_case(verify_assertion(&t) == ERR_ASSERTION, forms[i]);
	}
	buf_reset(&t);
	for (i = 0; i <= ASSERTION_MAX; i++)
		assert_int_equal(buf_str(&t, "a"), ERR_OK);
	assert_int_equal(verify_assertion(&t), ERR_ASSERTION);
	buf_free(&t);
}

static void
assertions_of_libjwt_and_of_our_own_typ_are_taken(void **state)
{
	struct buf claims = {.max = 8192}, t = {.max = 16384};
	char header[256], *theirs;
	struct assertion_form f;
	jwt_t *j = NULL;

	(void)state;
	make_object(good_assertion, COUNT(good_assertion), 99, NULL, 0,
	    &claims);
	assert_int_equal(jwt_new(&j), 0);
	assert_int_equal(jwt_add_grants_json(j, claims.p), 0);
	assert_int_equal(jwt_add_header(j, "kid", identity), 0);
	assert_int_equal(jwt_set_alg(j, JWT_ALG_HS256, hs_key.b, 32), 0);
	theirs = jwt_encode_str(j);
	assert_int_equal(buf_str(&t, theirs), ERR_OK);
	assert_int_equal(verify_assertion(&t), ERR_OK);
	assert_int_equal(assertion_open(t.p, t.len, &f, NULL), ERR_OK);
	assert_string_equal(f.header.kid, identity);
	(void)snprintf(header, sizeof(header), "{\"alg\":\"HS256\",\"typ\":"
	    "\"fealty-assertion+jwt\",\"kid\":\"%s\"}", identity);
	make_jws(header, claims.p, 1, &t);
	assert_int_equal(verify_assertion(&t), ERR_OK);
	t.p[t.len - 2] ^= 1;
	assert_int_equal(verify_assertion(&t), ERR_ASSERTION_SIGNATURE);
	free(theirs);
	jwt_free(j);
	buf_free(&claims);
	buf_free(&t);
}

static void
each_member_of_an_assertion_in_each_wrong_way_is_refused(void **state)
{
	struct buf claims = {.max = 8192}, t = {.max = 16384};
	char header[256];
	size_t i, j, n = 0;
	enum err e;

	(void)state;
	assertion_header(header, sizeof(header));
	for (i = 0; i < COUNT(good_assertion); i++) {
		for (j = 0; j <= COUNT(wrong_values); j++) {
			make_object(good_assertion, COUNT(good_assertion), i,
			    j < COUNT(wrong_values) ? wrong_values[j] : NULL,
			    j == COUNT(wrong_values), &claims);
			make_jws(header, claims.p, 1, &t);
			e = verify_assertion(&t);
			/* A text as aud is well formed, but not ours. */
			assert_case(e == ERR_ASSERTION || (i == 2 &&
			    e == ERR_ASSERTION_AUDIENCE), claims.p);
			n++;
		}
	}
	print_message("%zu assertions\n", n);
	buf_free(&claims);
	buf_free(&t);
}

static void
false_assertions_are_told_apart(void **state)
{
	static const struct {
		size_t at;
		const char *value;
		enum err want;
	} cases[] = {{99, NULL, ERR_OK}, {0, "\"dev-2\"", ERR_ASSERTION},
	    {2, "\"https://evil\"", ERR_ASSERTION_AUDIENCE},
	    {2, "[\"" ISS "\"]", ERR_OK},
	    {2, "\"" ISS "/oauth2/token\"", ERR_OK},
	    {2, "[\"" ISS "\",\"" ISS "\"]", ERR_ASSERTION},
	    {4, "1800000006", ERR_ASSERTION_TIME},
	    {4, "1800000005", ERR_OK},
	    {4, "1799999999", ERR_ASSERTION_TIME},
	    {5, "1800000061", ERR_ASSERTION_TIME},
	    {5, "1800000000", ERR_ASSERTION},
	    {5, "1800000060,\"nbf\":1800000006", ERR_ASSERTION_TIME},
	    {5, "1800000060,\"nbf\":\"x\"", ERR_ASSERTION},
	    {5, "1800000060,\"nonce\":\"n\"", ERR_OK},
	    {5, "1,\"nonce\":\"n\"", ERR_OK},
	    {5, "1,\"nonce\":\"\"", ERR_ASSERTION},
	    {5, "1,\"nonce\":5", ERR_ASSERTION},
	    {3, "\"a b\"", ERR_ASSERTION},
	    {3, "\"" LONG50 "aaaaaaaaaaaaaa\"", ERR_OK},
	    {3, "\"" LONG50 "aaaaaaaaaaaaaaa\"", ERR_ASSERTION}};
	struct buf claims = {.max = 8192}, t = {.max = 16384};
	char header[256];
	size_t i;

	(void)state;
	assertion_header(header, sizeof(header));
	for (i = 0; i < COUNT(cases); i++) {
		make_object(good_assertion, COUNT(good_assertion),
		    cases[i].at, cases[i].value, 0, &claims);
		make_jws(header, claims.p, 1, &t);
		assert_case(verify_assertion(&t) == cases[i].want, claims.p);
	}
	buf_free(&claims);
	buf_free(&t);
}

static void
past_assertions_name_the_time(void **state)
{
	struct buf claims = {.max = 8192}, t = {.max = 16384};
	struct assertion a;
	struct detail d = {""};
	char header[256];

	(void)state;
	assertion_header(header, sizeof(header));
	make_object(good_assertion, COUNT(good_assertion), 99, NULL, 0,
	    &claims);
	make_jws(header, claims.p, 1, &t);
	assert_int_equal(verify_at(t.p, t.len, &hs_key, NOW + 59, &a,
	    &d), ERR_OK);
	assert_string_equal(a.device_id, "dev-1");
	assert_string_equal(a.jti, "one");
	assert_int_equal(a.exp, NOW + 60);
	assert_int_equal(verify_at(t.p, t.len, &hs_key, NOW + 60, &a,
	    &d), ERR_ASSERTION_TIME);
	assert_string_equal(d.text, "exp: past");
	buf_free(&claims);
	buf_free(&t);
}

static void
assertion_headers_are_pinned_before_the_key(void **state)
{
	static const char *const bad[] = {
	    "{\"alg\":\"none\",\"typ\":\"JWT\"," K "}",
	    "{\"alg\":\"ES256\",\"typ\":\"JWT\"," K "}",
	    "{\"alg\":\"HS512\",\"typ\":\"JWT\"," K "}",
	    "{\"alg\":\"hs256\",\"typ\":\"JWT\"," K "}",
	    "{\"alg\":\"HS256\",\"typ\":\"at+jwt\"," K "}",
	    "{\"alg\":\"HS256\"," K "}",
	    "{\"alg\":\"HS256\",\"typ\":\"JWT\",\"crit\":[]," K "}",
	    "{\"alg\":\"HS256\",\"typ\":\"JWT\",\"b64\":false," K "}",
	    "{\"alg\":\"HS256\",\"typ\":\"JWT\",\"jwk\":{}," K "}",
	    "{\"alg\":\"HS256\",\"typ\":\"JWT\",\"jku\":\"x\"," K "}",
	    "{\"alg\":\"HS256\",\"alg\":\"HS256\",\"typ\":\"JWT\"," K "}",
	    "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"};
	struct buf claims = {.max = 8192}, t = {.max = 16384};
	char header[512];
	struct assertion_form f;
	size_t i;

	(void)state;
	make_object(good_assertion, COUNT(good_assertion), 99, NULL, 0,
	    &claims);
	for (i = 0; i < COUNT(bad); i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-security"
		(void)snprintf(header, sizeof(header), bad[i], identity);
#pragma GCC diagnostic pop
		make_jws(header, claims.p, 1, &t);
		assert_case(assertion_open(t.p, t.len, &f, NULL) ==
		    ERR_ASSERTION, header);
		assert_case(verify_assertion(&t) == ERR_ASSERTION, header);
	}
	make_jws("{\"alg\":\"HS256\",\"typ\":\"JWT\",\"kid\":\"someone\"}",
	    claims.p, 1, &t);
	assert_int_equal(assertion_open(t.p, t.len, &f, NULL),
	    ERR_ASSERTION_KID);
	buf_free(&claims);
	buf_free(&t);
}

static void
any_octet_of_an_assertion_changed_is_refused(void **state)
{
	struct buf claims = {.max = 8192}, t = {.max = 16384};
	struct key32 wrong = {.b = {9}};
	struct assertion a;
	char header[256];
	size_t i;

	(void)state;
	assertion_header(header, sizeof(header));
	make_object(good_assertion, COUNT(good_assertion), 99, NULL, 0,
	    &claims);
	make_jws(header, claims.p, 1, &t);
	assert_int_equal(verify_at(t.p, t.len, &wrong, NOW, &a, NULL),
	    ERR_ASSERTION_SIGNATURE);
	for (i = 0; i < t.len; i++) {
		char was = t.p[i];

		t.p[i] = was == 'A' ? 'B' : 'A';
		assert_int_not_equal(verify_assertion(&t), ERR_OK);
		t.p[i] = '\0';
		assert_int_not_equal(verify_assertion(&t), ERR_OK);
		t.p[i] = was;
		assert_int_not_equal(verify_at(t.p, i, &hs_key, NOW, &a,
		    NULL), ERR_OK);
	}
	assert_int_equal(verify_assertion(&t), ERR_OK);
	buf_free(&claims);
	buf_free(&t);
}

static void
only_the_station_opens_what_is_sealed_to_it(void **state)
{
	struct jwe_key *station = NULL, *other = NULL;
	struct buf pub = {.max = 512}, jwe = {.max = 1024};
	struct secret got = {0};
	size_t i;

	(void)state;
	assert_int_equal(jwe_key_generate(&station), ERR_OK);
	assert_int_equal(jwe_key_generate(&other), ERR_OK);
	assert_int_equal(jwe_key_public(station, &pub), ERR_OK);
	assert_null(strstr(pub.p, "\"d\""));
	assert_int_equal(jwe_seal(pub.p, "the key", 7, &jwe), ERR_OK);
	assert_int_equal(jwe_open(station, jwe.p, jwe.len, &got), ERR_OK);
	assert_int_equal(got.len, 7);
	assert_memory_equal(got.p, "the key", 7);
	assert_int_equal(jwe_open(other, jwe.p, jwe.len, &got), ERR_CRYPTO);
	for (i = 0; i < jwe.len; i++) {
		char was = jwe.p[i];

		jwe.p[i] = was == 'A' ? 'B' : 'A';
		assert_int_not_equal(jwe_open(station, jwe.p, jwe.len, &got),
		    ERR_OK);
		jwe.p[i] = was;
		assert_int_not_equal(jwe_open(station, jwe.p, i, &got),
		    ERR_OK);
	}
	assert_int_equal(jwe_open(station, jwe.p, jwe.len, &got), ERR_OK);
	secret_free(&got);
	jwe_key_free(&station);
	jwe_key_free(&other);
	buf_free(&pub);
	buf_free(&jwe);
}

static void
nothing_is_sealed_to_what_is_no_key(void **state)
{
	static const char *const bad[] = {"", "{}", "[]", "x",
	    "{\"kty\":\"RSA\",\"n\":\"AA\",\"e\":\"AQAB\"}",
	    "{\"kty\":\"oct\",\"k\":\"AA\"}",
	    "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":"
	    "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\",\"y\":"
	    "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}"};
	struct buf jwe = {.max = 1024};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(bad); i++)
		assert_case(jwe_seal(bad[i], "x", 1, &jwe) == ERR_REQUEST,
		    bad[i]);
	assert_int_equal(jwe.len, 0);
	buf_free(&jwe);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(odd_forms_are_refused),
	    cmocka_unit_test(assertions_of_libjwt_and_of_our_own_typ_are_taken),
	    cmocka_unit_test(
		each_member_of_an_assertion_in_each_wrong_way_is_refused),
	    cmocka_unit_test(false_assertions_are_told_apart),
	    cmocka_unit_test(past_assertions_name_the_time),
	    cmocka_unit_test(assertion_headers_are_pinned_before_the_key),
	    cmocka_unit_test(any_octet_of_an_assertion_changed_is_refused),
	    cmocka_unit_test(only_the_station_opens_what_is_sealed_to_it),
	    cmocka_unit_test(nothing_is_sealed_to_what_is_no_key),
	};

	return cmocka_run_group_tests(tests, jose_setup, jose_teardown);
}
