#include "tests/unit/jose_kit.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>

#include "lib/base/b64url.h"
#include "lib/crypt/digest.h"
#include "lib/crypt/pskid.h"

const struct member good_claims[GOOD_CLAIMS] = {
    {"iss", "\"" ISS "\""}, {"sub", "\"dev-1\""},
    {"aud", "[\"broker.eu\",\"other\"]"}, {"exp", "1800000600"},
    {"iat", "1800000000"}, {"jti", "\"abcDEF_-012345678901\""},
    {"client_id", "\"dev-1\""}, {"scope", "\"device\""}, {"tid", "3"},
    {"dn", "77"}, {"ep", "1"}, {"grp", "[1,4000000000]"}, {"pos", "12"}};
const struct member good_assertion[GOOD_ASSERTION] = {{"iss", "\"dev-1\""},
    {"sub", "\"dev-1\""}, {"aud", "\"" ISS "\""}, {"jti", "\"one\""},
    {"iat", "1800000000"}, {"exp", "1800000060"}};

struct signer *signer;
struct jwks *keys;
struct key32 hs_key = {.b = {1, 2, 3, 4}};
char identity[PSKID_LEN + 1];

/* Ways in which a member can be wrong whatever it means. NULL: absent. */
const char *const wrong_values[WRONG_VALUES] = {NULL, "null", "true", "-1", "1.5",
    "9007199254740992", "99999999999999999999999", "{}", "[]", "\"\"",
    "\"a\\u0000b\"", "\"\\ud800\"", "\"" LONG300 "\"", "[[]]", "[null]"};

/*
 * The members as an object; that of index at has value instead, or is
 * doubled when twice.
 */
void
make_object(const struct member *m, size_t n, size_t at, const char *value,
    int twice, struct buf *out)
{
	const char *comma = "";
	size_t i;

	buf_reset(out);
	assert_int_equal(buf_str(out, "{"), ERR_OK);
	for (i = 0; i < n; i++) {
		const char *v = i == at && !twice ? value : m[i].value;

		if (v == NULL)
			continue;
		assert_int_equal(buf_fmt(out, "%s\"%s\":%s", comma, m[i].name,
		    v), ERR_OK);
		comma = ",";
		if (i == at && twice)
			assert_int_equal(buf_fmt(out, ",\"%s\":%s", m[i].name,
			    v), ERR_OK);
	}
	assert_int_equal(buf_str(out, "}"), ERR_OK);
}

void
add_part(struct buf *out, const void *p, size_t len)
{
	char *text = malloc(B64URL_LEN(len) + 1);

	assert_non_null(text);
	b64url_encode(p, len, text);
	assert_int_equal(buf_str(out, text), ERR_OK);
	free(text);
}

/* Signed by our key (or the MAC), whatever header and claims say. */
void
make_jws(const char *header, const char *claims, int hs, struct buf *out)
{
	unsigned char sig[64];

	buf_reset(out);
	add_part(out, header, strlen(header));
	assert_int_equal(buf_str(out, SEP), ERR_OK);
	add_part(out, claims, strlen(claims));
	if (hs)
		assert_int_equal(hmac_sha256(hs_key.b, 32, out->p, out->len,
		    sig), ERR_OK);
	else
		assert_int_equal(signer_sign(signer, out->p, out->len, sig),
		    ERR_OK);
	assert_int_equal(buf_str(out, SEP), ERR_OK);
	add_part(out, sig, hs ? 32 : 64);
}

void
token_header(char *out, size_t size)
{
	(void)snprintf(out, size,
	    "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"%s\"}",
	    signer_kid(signer));
}

void
assertion_header(char *out, size_t size)
{
	(void)snprintf(out, size,
	    "{\"alg\":\"HS256\",\"typ\":\"JWT\",\"kid\":\"%s\"}", identity);
}

static EVP_PKEY *
openssl_key(void)
{
	struct es256_public pub;
	struct key32 d;
	unsigned char point[65] = {4};
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	OSSL_PARAM_BLD *b = OSSL_PARAM_BLD_new();
	OSSL_PARAM *params;
	EVP_PKEY *key = NULL;
	BIGNUM *bn;

	signer_public(signer, &pub);
	assert_int_equal(signer_export(signer, &d), ERR_OK);
	memcpy(point + 1, pub.x, 32);
	memcpy(point + 33, pub.y, 32);
	bn = BN_bin2bn(d.b, 32, NULL);
	OSSL_PARAM_BLD_push_utf8_string(b, OSSL_PKEY_PARAM_GROUP_NAME,
	    "P-256", 0);
	OSSL_PARAM_BLD_push_octet_string(b, OSSL_PKEY_PARAM_PUB_KEY, point,
	    65);
	OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_PRIV_KEY, bn);
	params = OSSL_PARAM_BLD_to_param(b);
	assert_int_equal(EVP_PKEY_fromdata_init(ctx), 1);
	assert_int_equal(EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEYPAIR,
	    params), 1);
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(b);
	BN_free(bn);
	EVP_PKEY_CTX_free(ctx);
	return key;
}

size_t
pem(int private, char *out, size_t size)
{
	EVP_PKEY *key = openssl_key();
	BIO *bio = BIO_new(BIO_s_mem());
	int n;

	assert_int_equal(private ? PEM_write_bio_PrivateKey(bio, key, NULL,
	    NULL, 0, NULL, NULL) : PEM_write_bio_PUBKEY(bio, key), 1);
	n = BIO_read(bio, out, (int)size - 1);
	assert_true(n > 0);
	out[n] = '\0';
	BIO_free(bio);
	EVP_PKEY_free(key);
	return (size_t)n;
}

int
jose_setup(void **state)
{
	struct pskid id = {.kid = 1, .tenant = 1, .dn = 77, .epoch = 1};
	struct key32 kid_key = {.b = {7}};
	struct es256_public pub;

	(void)state;
	if (signer_generate(&signer) != ERR_OK || jwks_new(&keys) != ERR_OK ||
	    pskid_make(&kid_key, AUDIENCE_AUTHORITY, &id, identity) != ERR_OK)
		return -1;
	signer_public(signer, &pub);
	return jwks_add(keys, &pub) == ERR_OK ? 0 : -1;
}

int
jose_teardown(void **state)
{
	(void)state;
	signer_free(&signer);
	jwks_free(&keys);
	return 0;
}
