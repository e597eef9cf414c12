/*
 * Tokens and key sets: what is good passes, also by the independent word of
 * libjwt and libcjose, and whatever is not is refused with its code.
 * Malformed ones are made systematically: each member absent, doubled and of
 * each wrong kind, each header, each octet changed, each length.
 */
#include "tests/unit/jose_kit.h"

#include <cjose/cjose.h>
#include <jwt.h>

#include "lib/base/b64url.h"
#include "lib/crypt/digest.h"

static const struct token_rules rules = {
    .iss = ISS, .aud = "broker.eu", .now = NOW, .leeway = 5};

static enum err
verify(const struct buf *t)
{
	struct token_claims c;
	struct detail d = {""};

	return token_verify(keys, &rules, t->p, t->len, &c, &d);
}

static struct token_claims
sample(void)
{
	struct token_claims c = {.iss = ISS, .sub = "dev-1",
	    .aud = {"broker.eu", "other"}, .naud = 2, .exp = NOW + 600,
	    .iat = NOW, .jti = "abcDEF_-012345678901", .scope = "device",
	    .tid = 3, .dn = 77, .ep = 1, .grp = {1, 4000000000}, .ngrp = 2,
	    .pos = 12};

	return c;
}

static void
what_is_signed_is_verified_member_by_member(void **state)
{
	struct buf t = {.max = TOKEN_MAX};
	struct token_claims c = sample(), got;
	char kid[KID_LEN + 1];

	(void)state;
	assert_int_equal(token_sign(signer, &c, &t), ERR_OK);
	assert_int_equal(token_verify(keys, &rules, t.p, t.len, &got, NULL),
	    ERR_OK);
	assert_string_equal(got.kid, signer_kid(signer));
	memset(got.kid, 0, sizeof(got.kid));
	assert_memory_equal(&c, &got, sizeof(c));
	assert_int_equal(token_kid(t.p, t.len, kid), ERR_OK);
	assert_string_equal(kid, signer_kid(signer));
	buf_free(&t);
}

/* libcjose's word on the token as it is: libjwt takes only typ JWT. */
static void
libcjose_takes_our_tokens(void **state)
{
	char x[B64URL_LEN(32) + 1], y[B64URL_LEN(32) + 1], text[256];
	struct buf t = {.max = TOKEN_MAX};
	struct token_claims c = sample();
	struct es256_public pub;
	cjose_jwk_t *jwk;
	cjose_jws_t *jws;
	cjose_err err;

	(void)state;
	assert_int_equal(token_sign(signer, &c, &t), ERR_OK);
	signer_public(signer, &pub);
	b64url_encode(pub.x, 32, x);
	b64url_encode(pub.y, 32, y);
	(void)snprintf(text, sizeof(text), "{\"kty\":\"EC\",\"crv\":"
	    "\"P-256\",\"x\":\"%s\",\"y\":\"%s\"}", x, y);
	jwk = cjose_jwk_import(text, strlen(text), &err);
	jws = cjose_jws_import(t.p, t.len, &err);
	assert_non_null(jwk);
	assert_non_null(jws);
	assert_true(cjose_jws_verify(jws, jwk, &err));
	cjose_jws_release(jws);
	cjose_jwk_release(jwk);
	buf_free(&t);
}

static void
libjwt_takes_our_tokens_and_we_take_its(void **state)
{
	struct buf t = {.max = TOKEN_MAX};
	struct buf claims = {.max = 4096};
	char header[256], text[1024], *theirs, *dot;
	unsigned char sig[ES256_SIG_LEN];
	jwt_t *j = NULL;
	size_t n;

	(void)state;
	make_object(good_claims, COUNT(good_claims), 99, NULL, 0, &claims);
	(void)snprintf(header, sizeof(header),
	    "{\"alg\":\"ES256\",\"typ\":\"JWT\",\"kid\":\"%s\"}",
	    signer_kid(signer));
	make_jws(header, claims.p, 0, &t);
	n = pem(0, text, sizeof(text));
	assert_int_equal(jwt_decode(&j, t.p, (unsigned char *)text, (int)n),
	    0);
	assert_int_equal(jwt_get_alg(j), JWT_ALG_ES256);
	assert_string_equal(jwt_get_grant(j, "sub"), "dev-1");
	assert_int_equal(jwt_get_grant_int(j, "pos"), 12);
	jwt_free(j);

	n = pem(1, text, sizeof(text));
	make_object(good_claims, COUNT(good_claims), 99, NULL, 0, &claims);
	assert_int_equal(jwt_new(&j), 0);
	assert_int_equal(jwt_add_grants_json(j, claims.p), 0);
	assert_int_equal(jwt_add_header(j, "typ", "at+jwt"), 0);
	assert_int_equal(jwt_add_header(j, "kid", signer_kid(signer)), 0);
	assert_int_equal(jwt_set_alg(j, JWT_ALG_ES256, (unsigned char *)text,
	    (int)n), 0);
	theirs = jwt_encode_str(j);
	assert_non_null(theirs);
	/* It writes its own typ, which token_verify would refuse. */
	dot = strrchr(theirs, '.');
	assert_int_equal(b64url_decode_exact(dot + 1, strlen(dot + 1), sig,
	    sizeof(sig)), ERR_OK);
	assert_int_equal(verifier_verify(jwks_find(keys, signer_kid(signer),
	    KID_LEN), theirs, (size_t)(dot - theirs), sig), ERR_OK);
	free(theirs);
	jwt_free(j);
	buf_free(&t);
	buf_free(&claims);
}

static void
each_claim_in_each_wrong_way_is_refused(void **state)
{
	struct buf claims = {.max = 8192}, t = {.max = 16384};
	char header[256];
	size_t i, j, n = 0;

	(void)state;
	token_header(header, sizeof(header));
	for (i = 0; i < COUNT(good_claims); i++) {
		for (j = 0; j <= COUNT(wrong_values); j++) {
			const char *v = j < COUNT(wrong_values) ?
			    wrong_values[j] : NULL;
			int fine = v != NULL &&
			    ((strcmp(good_claims[i].name, "scope") == 0 &&
			    strcmp(v, "\"\"") == 0) ||
			    (strcmp(good_claims[i].name, "grp") == 0 &&
			    strcmp(v, "[]") == 0));

			make_object(good_claims, COUNT(good_claims), i, v,
			    j == COUNT(wrong_values), &claims);
			make_jws(header, claims.p, 0, &t);
			assert_case(verify(&t) ==
			    (fine ? ERR_OK : ERR_TOKEN), claims.p);
			n++;
		}
	}
	print_message("%zu tokens\n", n);
	assert_true(n > 100);
	buf_free(&claims);
	buf_free(&t);
}

static void
claims_that_are_false_are_told_apart(void **state)
{
	static const struct {
		size_t at;
		const char *value;
		enum err want;
	} cases[] = {{0, "\"https://id.example\"", ERR_TOKEN_ISSUER},
	    {0, "\"" ISS "/\"", ERR_TOKEN_ISSUER},
	    {1, "\"dev 1\"", ERR_TOKEN}, {1, "\"dev-2\"", ERR_TOKEN},
	    {2, "[\"else\"]", ERR_TOKEN_AUDIENCE},
	    {2, "\"broker.eu\"", ERR_OK}, {2, "\"Broker\"", ERR_TOKEN},
	    {2, "[\"a\",\"b\",\"c\",\"d\",\"e\",\"f\",\"g\",\"broker.eu\"]",
	     ERR_OK},
	    {2, "[\"a\",\"b\",\"c\",\"d\",\"e\",\"f\",\"g\",\"h\","
	        "\"broker.eu\"]", ERR_TOKEN},
	    {3, "1799999990", ERR_TOKEN}, {3, "1800000000", ERR_TOKEN},
	    {3, "1800003601", ERR_TOKEN_LIFE}, {3, "1800003600", ERR_OK},
	    {4, "1800000006", ERR_TOKEN_FUTURE}, {4, "1800000005", ERR_OK},
	    {4, "1799990000", ERR_TOKEN_LIFE}, {5, "\"a b\"", ERR_TOKEN},
	    {5, "\"a/b\"", ERR_TOKEN}, {7, "\"a  b\"", ERR_TOKEN},
	    {7, "\"a b\"", ERR_OK}, {9, "0", ERR_TOKEN},
	    {10, "0", ERR_TOKEN}, {10, "4294967296", ERR_TOKEN},
	    {11, "[1,2,3,4,5,6,7,8]", ERR_OK},
	    {11, "[1,2,3,4,5,6,7,8,9]", ERR_TOKEN},
	    {11, "[4294967296]", ERR_TOKEN}, {11, "[-1]", ERR_TOKEN},
	    {12, "9007199254740991", ERR_OK}};
	struct buf claims = {.max = 8192}, t = {.max = 16384};
	char header[256];
	size_t i;

	(void)state;
	token_header(header, sizeof(header));
	for (i = 0; i < COUNT(cases); i++) {
		make_object(good_claims, COUNT(good_claims), cases[i].at,
		    cases[i].value, 0, &claims);
		make_jws(header, claims.p, 0, &t);
		assert_case(verify(&t) == cases[i].want, claims.p);
	}
	buf_free(&claims);
	buf_free(&t);
}

static void
the_time_of_a_token_has_edges(void **state)
{
	struct token_claims c = sample();
	struct token_rules r = rules;

	(void)state;
	r.now = NOW + 604;
	assert_int_equal(token_check_time(&c, &r), ERR_OK);
	r.now = NOW + 605;
	assert_int_equal(token_check_time(&c, &r), ERR_TOKEN_EXPIRED);
	r.now = NOW - 5;
	assert_int_equal(token_check_time(&c, &r), ERR_OK);
	r.now = NOW - 6;
	assert_int_equal(token_check_time(&c, &r), ERR_TOKEN_FUTURE);
	r.now = NOW;
	r.aud = "othe";
	assert_int_equal(token_check_time(&c, &r), ERR_TOKEN_AUDIENCE);
	r.aud = NULL;
	assert_int_equal(token_check_time(&c, &r), ERR_OK);
}

/* Headers: %s is the right kid. */
static const struct {
	const char *text;
	enum err want;
} headers[] = {
    {"{\"alg\":\"ES256\",\"typ\":\"at+jwt\"," K "}", ERR_OK},
    {"{\"alg\":\"none\",\"typ\":\"at+jwt\"," K "}", ERR_TOKEN},
    {"{\"alg\":\"None\",\"typ\":\"at+jwt\"," K "}", ERR_TOKEN},
    {"{\"alg\":\"HS256\",\"typ\":\"at+jwt\"," K "}", ERR_TOKEN},
    {"{\"alg\":\"HS512\",\"typ\":\"at+jwt\"," K "}", ERR_TOKEN},
    {"{\"alg\":\"RS256\",\"typ\":\"at+jwt\"," K "}", ERR_TOKEN},
    {"{\"alg\":\"ES384\",\"typ\":\"at+jwt\"," K "}", ERR_TOKEN},
    {"{\"alg\":\"es256\",\"typ\":\"at+jwt\"," K "}", ERR_TOKEN},
    {"{\"alg\":\"\",\"typ\":\"at+jwt\"," K "}", ERR_TOKEN},
    {"{\"alg\":[\"ES256\"],\"typ\":\"at+jwt\"," K "}", ERR_TOKEN},
    {"{\"alg\":256,\"typ\":\"at+jwt\"," K "}", ERR_TOKEN},
    {"{\"alg\":null,\"typ\":\"at+jwt\"," K "}", ERR_TOKEN},
    {"{\"typ\":\"at+jwt\"," K "}", ERR_TOKEN},
    {"{\"alg\":\"ES256\"," K "}", ERR_TOKEN},
    {"{\"alg\":\"ES256\",\"typ\":\"at+jwt\"}", ERR_TOKEN},
    {"{\"alg\":\"ES256\",\"typ\":\"JWT\"," K "}", ERR_TOKEN},
    {"{\"alg\":\"ES256\",\"typ\":\"secevent+jwt\"," K "}", ERR_TOKEN},
    {"{\"alg\":\"ES256\",\"typ\":\"AT+JWT\"," K "}", ERR_TOKEN},
    {"{\"alg\":\"ES256\",\"typ\":\"\"," K "}", ERR_TOKEN},
    {"{\"alg\":\"ES256\",\"typ\":7," K "}", ERR_TOKEN},
    {"{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"\"}", ERR_TOKEN},
    {"{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"x\"}", ERR_TOKEN},
    {"{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":"
     "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}", ERR_TOKEN_KEY},
    {"{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"../../../../etc/"
     "passwd\"}", ERR_TOKEN},
    {"{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"" LONG300 "\"}",
     ERR_TOKEN},
    {"{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"crit\":[\"exp\"]," K "}",
     ERR_TOKEN},
    {"{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"b64\":false," K "}",
     ERR_TOKEN},
    {"{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"jku\":\"https://evil\"," K
     "}", ERR_TOKEN},
    {"{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"jwk\":{}," K "}", ERR_TOKEN},
    {"{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"x5u\":\"https://evil\"," K
     "}", ERR_TOKEN},
    {"{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"x5c\":[]," K "}", ERR_TOKEN},
    {"{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"zip\":\"DEF\"," K "}",
     ERR_TOKEN},
    {"{\"alg\":\"ES256\",\"alg\":\"ES256\",\"typ\":\"at+jwt\"," K "}",
     ERR_TOKEN},
    {"{\"alg\":\"none\",\"alg\":\"ES256\",\"typ\":\"at+jwt\"," K "}",
     ERR_TOKEN},
    {"{\"alg\":\"ES256\\u0000\",\"typ\":\"at+jwt\"," K "}", ERR_TOKEN},
    {"{\"alg\":\"ES256\",\"typ\":\"at+jwt\"," K "} ", ERR_OK},
    {"{\"alg\":\"ES256\",\"typ\":\"at+jwt\"," K "}x", ERR_TOKEN},
    {"{\"alg\":\"ES256\",\"typ\":\"at+jwt\"," K "}}", ERR_TOKEN},
    {"{\"alg\":\"ES256\",\"typ\":\"at+jwt\"," K ",}", ERR_TOKEN},
    {"{\"alg\":\"ES256\",\"typ\":\"at+jwt\"," K ",\"a\":1}", ERR_TOKEN},
    {"{" K ",\"typ\":\"at+jwt\",\"alg\":\"ES256\"}", ERR_OK},
    {"{ \"alg\":\"ES256\",\"typ\":\"at+jwt\"," K "}", ERR_OK},
    {"{\"alg\":\"ES\\u0032\\u0035\\u0036\",\"typ\":\"at+jwt\"," K "}",
     ERR_OK},
    {"{\"alg\":\"ES256\\\"\",\"typ\":\"at+jwt\"," K "}", ERR_TOKEN},
    {"{\"alg\":\"ES256\",\"typ\":\"at+jwt\"," K, ERR_TOKEN},
    {"[\"ES256\"]", ERR_TOKEN}, {"\"ES256\"", ERR_TOKEN},
    {"null", ERR_TOKEN}, {"{}", ERR_TOKEN}, {"x", ERR_TOKEN},
};

static void
no_header_but_ours_reaches_a_key(void **state)
{
	struct buf claims = {.max = 8192}, t = {.max = 16384};
	char header[1024];
	size_t i;

	(void)state;
	make_object(good_claims, COUNT(good_claims), 99, NULL, 0, &claims);
	for (i = 0; i < COUNT(headers); i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-security"
		(void)snprintf(header, sizeof(header), headers[i].text,
		    signer_kid(signer));
#pragma GCC diagnostic pop
		make_jws(header, claims.p, 0, &t);
		assert_case(verify(&t) == headers[i].want, header);
	}
	buf_free(&claims);
	buf_free(&t);
}

static void
a_public_key_is_no_mac_key(void **state)
{
	struct buf claims = {.max = 8192}, t = {.max = 16384};
	unsigned char mac[32];
	char text[1024], header[256];
	size_t n;

	(void)state;
	n = pem(0, text, sizeof(text));
	make_object(good_claims, COUNT(good_claims), 99, NULL, 0, &claims);
	(void)snprintf(header, sizeof(header),
	    "{\"alg\":\"HS256\",\"typ\":\"at+jwt\",\"kid\":\"%s\"}",
	    signer_kid(signer));
	add_part(&t, header, strlen(header));
	assert_int_equal(buf_str(&t, SEP), ERR_OK);
	add_part(&t, claims.p, claims.len);
	assert_int_equal(hmac_sha256(text, n, t.p, t.len, mac), ERR_OK);
	assert_int_equal(buf_str(&t, SEP), ERR_OK);
	add_part(&t, mac, sizeof(mac));
	assert_int_equal(verify(&t), ERR_TOKEN);
	buf_free(&claims);
	buf_free(&t);
}

static void
any_octet_changed_and_any_length_is_refused(void **state)
{
	struct buf t = {.max = TOKEN_MAX};
	struct token_claims c = sample(), got;
	static const char other[] = "A.=+/ ";
	char *copy;
	size_t i, j;

	(void)state;
	assert_int_equal(token_sign(signer, &c, &t), ERR_OK);
	copy = malloc(t.len);
	assert_non_null(copy);
	for (i = 0; i < t.len; i++) {
		for (j = 0; j < sizeof(other); j++) {
			memcpy(copy, t.p, t.len);
			if (copy[i] == other[j])
				continue;
			copy[i] = other[j]; /* the NUL as well */
			assert_int_not_equal(token_verify(keys, &rules, copy,
			    t.len, &got, NULL), ERR_OK);
		}
		/* In exact memory, so that a read beyond shows. */
		char *cut = malloc(i + 1);
		assert_non_null(cut);
		memcpy(cut, t.p, i);
		assert_int_not_equal(token_verify(keys, &rules, cut, i, &got,
		    NULL), ERR_OK);
		free(cut);
	}
	free(copy);
	buf_free(&t);
}

static void
odd_forms_are_refused(void **state)
{
	static const char *const forms[] = {"", ".", "..", "...", "a.b",
	    "a.b.c.d", "e30.e30.", ".e30.e30", "e30..e30", "e30.e30.e30",
	    "e30=.e30.e30", " e30.e30.e30", "e30.e30.e30\n"};
	struct buf t = {.max = 8192};
	char kid[KID_LEN + 1];
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(forms); i++) {
		buf_reset(&t);
		assert_int_equal(buf_str(&t, forms[i]), ERR_OK);
		assert_case(verify(&t) == ERR_TOKEN, forms[i]);
		assert_int_equal(token_kid(t.p, t.len, kid), ERR_TOKEN);
	}
	buf_reset(&t);
	for (i = 0; i <= TOKEN_MAX; i++)
		assert_int_equal(buf_str(&t, "a"), ERR_OK);
	assert_int_equal(verify(&t), ERR_TOKEN);
	buf_free(&t);
}

static void
nothing_is_signed_that_would_not_verify(void **state)
{
	struct buf t = {.max = TOKEN_MAX};
	struct token_claims c;
	int i;

	(void)state;
	for (i = 0; i < 10; i++) {
		c = sample();
		switch (i) {
		case 0: memcpy(c.sub, "a\"b", 4); break;
		case 1: c.naud = 0; break;
		case 2: c.naud = TOKEN_AUD_MAX + 1; break;
		case 3: memcpy(c.jti, "a b", 4); break;
		case 4: memcpy(c.scope, "a\\b", 4); break;
		case 5: memcpy(c.iss, "a\"b", 4); break;
		case 6: c.exp = c.iat; break;
		case 7: c.dn = 0; break;
		case 8: c.pos = NUMBER_MAX + 1; break;
		default: c.ngrp = DEVICE_GROUPS_MAX + 1; break;
		}
		assert_int_equal(token_sign(signer, &c, &t), ERR_REQUEST);
		assert_int_equal(token_introspection(&c, &t), ERR_REQUEST);
		assert_int_equal(t.len, 0);
	}
	buf_free(&t);
}

static void
introspection_says_the_claims_and_that_it_is_active(void **state)
{
	struct token_claims c = sample();
	struct buf t = {.max = 4096};

	(void)state;
	assert_int_equal(token_introspection(&c, &t), ERR_OK);
	assert_string_equal(t.p, "{\"active\":true,\"token_type\":\"Bearer\","
	    "\"iss\":\"" ISS "\",\"sub\":\"dev-1\",\"aud\":[\"broker.eu\","
	    "\"other\"],\"exp\":1800000600,\"iat\":1800000000,\"jti\":"
	    "\"abcDEF_-012345678901\",\"client_id\":\"dev-1\",\"scope\":"
	    "\"device\",\"tid\":3,\"dn\":77,\"ep\":1,\"grp\":[1,4000000000],"
	    "\"pos\":12}");
	buf_free(&t);
}

static void
a_key_set_passes_over_what_it_does_not_use(void **state)
{
	static const char *const bad[] = {"", "[]", "{}", "{\"keys\":{}}",
	    "{\"keys\":[1]}", "{\"keys\":[],\"keys\":[]}",
	    "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\"}]}",
	    "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AA\","
	    "\"y\":\"AA\"}]}",
	    "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":"
	    "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\",\"y\":"
	    "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}]}"};
	static const char other[] = "{\"keys\":[{\"kty\":\"RSA\",\"n\":\"AA\","
	    "\"e\":\"AQAB\"},{\"kty\":\"EC\",\"crv\":\"P-384\"},"
	    "{\"kty\":\"EC\",\"crv\":\"P-256\",\"use\":\"enc\"}]}";
	struct buf t = {.max = 4096}, again = {.max = 4096};
	struct jwks *set = NULL;
	size_t i;

	(void)state;
	assert_int_equal(jwks_format(keys, &t), ERR_OK);
	assert_int_equal(jwks_parse(t.p, t.len, &set), ERR_OK);
	assert_non_null(jwks_find(set, signer_kid(signer), KID_LEN));
	assert_null(jwks_find(set, signer_kid(signer), KID_LEN - 1));
	assert_int_equal(jwks_format(set, &again), ERR_OK);
	assert_string_equal(t.p, again.p);
	jwks_free(&set);
	for (i = 0; i < COUNT(bad); i++) {
		assert_case(jwks_parse(bad[i], strlen(bad[i]), &set) ==
		    ERR_REQUEST, bad[i]);
		assert_null(set);
	}
	assert_int_equal(jwks_parse(other, strlen(other), &set), ERR_OK);
	buf_reset(&t);
	assert_int_equal(jwks_format(set, &t), ERR_OK);
	assert_string_equal(t.p, "{\"keys\":[]}");
	jwks_free(&set);
	buf_free(&t);
	buf_free(&again);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_signed_is_verified_member_by_member),
	    cmocka_unit_test(libcjose_takes_our_tokens),
	    cmocka_unit_test(libjwt_takes_our_tokens_and_we_take_its),
	    cmocka_unit_test(each_claim_in_each_wrong_way_is_refused),
	    cmocka_unit_test(claims_that_are_false_are_told_apart),
	    cmocka_unit_test(the_time_of_a_token_has_edges),
	    cmocka_unit_test(no_header_but_ours_reaches_a_key),
	    cmocka_unit_test(a_public_key_is_no_mac_key),
	    cmocka_unit_test(any_octet_changed_and_any_length_is_refused),
	    cmocka_unit_test(odd_forms_are_refused),
	    cmocka_unit_test(nothing_is_signed_that_would_not_verify),
	    cmocka_unit_test(
		introspection_says_the_claims_and_that_it_is_active),
	    cmocka_unit_test(a_key_set_passes_over_what_it_does_not_use),
	};

	return cmocka_run_group_tests(tests, jose_setup, jose_teardown);
}
