/*
 * lib/crypt/signer: ES256 as the RFCs' examples have it; what is forged or no
 * key at all is refused; one key serves many threads.
 */
#include "tests/unit/unit.h"

#include <openssl/err.h>
#include <pthread.h>

#include "lib/base/b64url.h"
#include "lib/crypt/digest.h"
#include "lib/crypt/signer.h"

/* RFC 7515 appendix A.3: an ES256 key and signature of others. */
static const char a3_x[] = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
static const char a3_y[] = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";
static const char a3_d[] = "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI";
static const char a3_text[] =
    "eyJhbGciOiJFUzI1NiJ9"
    ".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFt"
    "cGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
static const char a3_sig[] = "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXF"
			     "CgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";

static void
decode(const char *s, void *out, size_t len)
{
	assert_int_equal(b64url_decode_exact(s, strlen(s), out, len), ERR_OK);
}

static void
es256_of_rfc_7515_verifies(void **state)
{
	struct es256_public pub, mine;
	struct verifier *v = NULL;
	struct signer *s = NULL;
	unsigned char sig[64];
	struct key32 d;

	decode(a3_x, pub.x, 32);
	decode(a3_y, pub.y, 32);
	decode(a3_d, d.b, 32);
	decode(a3_sig, sig, 64);
	assert_int_equal(verifier_new(&pub, &v), ERR_OK);
	assert_int_equal(verifier_verify(v, a3_text, strlen(a3_text), sig),
			 ERR_OK);
	assert_int_equal(signer_import(&d, &s), ERR_OK);
	signer_public(s, &mine);
	assert_memory_equal(&mine, &pub, sizeof(pub));
	assert_string_equal(signer_kid(s), verifier_kid(v));
	assert_int_equal(signer_sign(s, a3_text, strlen(a3_text), sig), ERR_OK);
	assert_int_equal(verifier_verify(v, a3_text, strlen(a3_text), sig),
			 ERR_OK);
	signer_free(&s);
	verifier_free(&v);
}

static void
forged_signatures_are_refused(void **state)
{
	/* the order of P-256: r or s at it is out of range */
	static const char order[] = "ffffffff00000000ffffffffffffffff"
				    "bce6faada7179e84f3b9cac2fc632551";
	struct es256_public pub;
	struct verifier *v = NULL;
	struct signer *s = NULL;
	unsigned char sig[64], bad[64];
	size_t i;

	assert_int_equal(signer_generate(&s), ERR_OK);
	signer_public(s, &pub);
	assert_int_equal(verifier_new(&pub, &v), ERR_OK);
	assert_int_equal(signer_sign(s, "abc", 3, sig), ERR_OK);
	assert_int_equal(verifier_verify(v, "abc", 3, sig), ERR_OK);
	assert_int_equal(verifier_verify(v, "abd", 3, sig),
			 ERR_TOKEN_SIGNATURE);
	for (i = 0; i < 64; i++) {
		sig[i] ^= 0x80;
		assert_int_equal(verifier_verify(v, "abc", 3, sig),
				 ERR_TOKEN_SIGNATURE);
		sig[i] ^= 0x80;
	}
	memset(bad, 0, 64);
	assert_int_equal(verifier_verify(v, "abc", 3, bad),
			 ERR_TOKEN_SIGNATURE);
	memcpy(bad, sig, 32);
	assert_int_equal(verifier_verify(v, "abc", 3, bad),
			 ERR_TOKEN_SIGNATURE);
	memset(bad, 0xff, 64);
	assert_int_equal(verifier_verify(v, "abc", 3, bad),
			 ERR_TOKEN_SIGNATURE);
	memcpy(bad, sig, 64);
	assert_int_equal(hex_decode_exact(order, 64, bad, 32), ERR_OK);
	assert_int_equal(verifier_verify(v, "abc", 3, bad),
			 ERR_TOKEN_SIGNATURE);
	signer_free(&s);
	verifier_free(&v);
}

static void
impossible_keys_are_refused(void **state)
{
	static const char order[] = "ffffffff00000000ffffffffffffffff"
				    "bce6faada7179e84f3b9cac2fc632551";
	struct es256_public pub = {{0}, {0}};
	struct verifier *v = NULL;
	struct signer *s = NULL;
	struct key32 d = {{0}};

	assert_int_equal(signer_import(&d, &s), ERR_CRYPTO);
	assert_int_equal(hex_decode_exact(order, 64, d.b, 32), ERR_OK);
	assert_int_equal(signer_import(&d, &s), ERR_CRYPTO);
	memset(d.b, 0xff, 32);
	assert_int_equal(signer_import(&d, &s), ERR_CRYPTO);
	assert_null(s);
	assert_int_equal(verifier_new(&pub, &v), ERR_CRYPTO);
	decode(a3_x, pub.x, 32);
	decode(a3_y, pub.y, 32);
	pub.y[31] ^= 1;
	assert_int_equal(verifier_new(&pub, &v), ERR_CRYPTO);
	memset(&pub, 0xff, sizeof(pub));
	assert_int_equal(verifier_new(&pub, &v), ERR_CRYPTO);
	assert_null(v);
	/* a host's own TLS must not find our errors in its queue */
	assert_int_equal(ERR_peek_error(), 0);
	signer_free(&s);
	signer_free(NULL);
	verifier_free(NULL);
}

static void
exported_key_signs_as_the_same(void **state)
{
	struct signer *a = NULL, *b = NULL;
	struct key32 d;
	int i;

	for (i = 0; i < 20; i++) {
		assert_int_equal(signer_generate(&a), ERR_OK);
		assert_int_equal(signer_export(a, &d), ERR_OK);
		assert_int_equal(signer_import(&d, &b), ERR_OK);
		assert_string_equal(signer_kid(a), signer_kid(b));
		assert_int_equal(strlen(signer_kid(a)), KID_LEN);
		signer_free(&a);
		signer_free(&b);
	}
}

static void
thumbprint_of_rfc_7638_form(void **state)
{
	static const char jwk[] =
	    "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":"
	    "\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\",\"y\":"
	    "\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}";
	char want[KID_LEN + 1], kid[KID_LEN + 1];
	struct es256_public pub;
	unsigned char md[32];

	decode(a3_x, pub.x, 32);
	decode(a3_y, pub.y, 32);
	assert_int_equal(es256_thumbprint(&pub, kid), ERR_OK);
	assert_int_equal(sha256(jwk, strlen(jwk), md), ERR_OK);
	b64url_encode(md, 32, want);
	assert_string_equal(kid, want);
}

struct shared {
	struct signer *s;
	struct verifier *v;
	int failed;
};

static void *
sign_and_verify(void *arg)
{
	struct shared *sh = arg;
	unsigned char sig[64], mac[32];
	struct key32 k = {{1}};
	int i, bad = 0;

	for (i = 0; i < 100; i++) {
		bad |= signer_sign(sh->s, &i, sizeof(i), sig) != ERR_OK;
		bad |= verifier_verify(sh->v, &i, sizeof(i), sig) != ERR_OK;
		/* What was refused leaves nothing behind for the next. */
		sig[i % 64] ^= 1;
		bad |= verifier_verify(sh->v, &i, sizeof(i), sig) !=
		       ERR_TOKEN_SIGNATURE;
		memset(sig, 0, sizeof(sig));
		bad |= verifier_verify(sh->v, &i, sizeof(i), sig) !=
		       ERR_TOKEN_SIGNATURE;
		bad |= hmac_sha256(k.b, 32, &i, sizeof(i), mac) != ERR_OK;
	}
	if (bad)
		__atomic_store_n(&sh->failed, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

static void
one_key_serves_many_threads(void **state)
{
	struct shared sh = {0};
	struct es256_public pub;
	pthread_t t[4];
	int i;

	assert_int_equal(signer_generate(&sh.s), ERR_OK);
	signer_public(sh.s, &pub);
	assert_int_equal(verifier_new(&pub, &sh.v), ERR_OK);
	for (i = 0; i < 4; i++)
		assert_int_equal(
		    pthread_create(&t[i], NULL, sign_and_verify, &sh), 0);
	for (i = 0; i < 4; i++)
		assert_int_equal(pthread_join(t[i], NULL), 0);
	assert_int_equal(sh.failed, 0);
	signer_free(&sh.s);
	verifier_free(&sh.v);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(es256_of_rfc_7515_verifies),
	    cmocka_unit_test(forged_signatures_are_refused),
	    cmocka_unit_test(impossible_keys_are_refused),
	    cmocka_unit_test(exported_key_signs_as_the_same),
	    cmocka_unit_test(thumbprint_of_rfc_7638_form),
	    cmocka_unit_test(one_key_serves_many_threads),
	};

	return cmocka_run_group_tests_name("signer", tests, NULL, NULL);
}
