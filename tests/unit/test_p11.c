/*
 * A PKCS#11 token: its key pair is made there, once, and never leaves it; a
 * PIN is in no command line; and what a power cut leaves is mended.
 */
#include "tests/helpers/token.h"
#include "tests/unit/unit.h"

#include <sys/stat.h>
#include <unistd.h>

#include "lib/crypt/digest.h"
#include "lib/jose/release_key.h"
#include "lib/p11/p11_int.h"

static struct tokens tokens;

static int
set_up(void **state)
{
	(void)state;
	tokens_open(&tokens);
	token_make(&tokens, "one");
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	tokens_close(&tokens);
	return 0;
}

static struct p11 *
at(const char *label)
{
	struct detail d = {""};
	char uri[TOKEN_URI];
	struct p11 *p = NULL;

	if (p11_open(token_uri(&tokens, label, NULL, uri), &p, &d) != ERR_OK)
		fail_msg("%s: %s", uri, d.text);
	return p;
}

static void
refused(const char *query, const char *why)
{
	struct detail d = {""};
	char uri[TOKEN_URI];
	struct p11 *p = NULL;
	enum err e;

	e = p11_open(token_uri(&tokens, "one", query, uri), &p, &d);
	if (e != ERR_REQUEST || strstr(d.text, why) == NULL)
		fail_msg("%s: %s, \"%s\"", uri, err_name(e), d.text);
	assert_null(p);
}

static void
a_pin_comes_from_a_private_file_or_a_descriptor_only(void **state)
{
	char right[TOKEN_URI], query[TOKEN_URI + 100], path[128];
	struct detail d = {""};
	struct p11 *p = NULL;
	char uri[TOKEN_URI];
	int fd[2];

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/pin", tokens.dir);
	refused("module-path=" SOFTHSM, "pin-source=");
	refused("module-path=" SOFTHSM "&pin-value=" TOKEN_PIN, "pin-value");
	refused("module-path=" SOFTHSM "&pin-source=/nowhere", "not there");
	refused("module-path=" SOFTHSM "&pin-source=fd:x", "fd:N");
	refused("module-path=/nowhere.so&pin-source=fd:0", "module");
	assert_int_equal(chmod(path, 0644), 0);
	refused(token_query(&tokens, SOFTHSM, right), "0600");
	assert_int_equal(chmod(path, 0600), 0);
	assert_int_equal(pipe(fd), 0);
	assert_int_equal(write(fd[1], TOKEN_PIN "\n", 11), 11);
	assert_int_equal(close(fd[1]), 0);
	(void)snprintf(query, sizeof(query), "module-path=" SOFTHSM
	    "&pin-source=fd:%d", fd[0]);
	assert_int_equal(p11_open(token_uri(&tokens, "one", query, uri), &p,
	    &d), ERR_OK);
	p11_close(&p);
}

static void
a_wrong_pin_is_refused_and_not_shown(void **state)
{
	char query[TOKEN_URI];
	struct detail d = {""};
	struct p11 *p = NULL;
	char uri[TOKEN_URI];
	int fd[2];

	(void)state;
	assert_int_equal(pipe(fd), 0);
	assert_int_equal(write(fd[1], "11112222", 8), 8);
	assert_int_equal(close(fd[1]), 0);
	(void)snprintf(query, sizeof(query), "module-path=" SOFTHSM
	    "&pin-source=fd:%d", fd[0]);
	assert_int_equal(p11_open(token_uri(&tokens, "one", query, uri), &p,
	    &d), ERR_REQUEST);
	assert_non_null(strstr(d.text, "refuses the PIN"));
	assert_null(strstr(d.text, "1111"));
}

static void
a_uri_names_exactly_one_token(void **state)
{
	struct detail d = {""};
	char uri[TOKEN_URI], query[TOKEN_URI];
	struct p11 *p = NULL;

	(void)state;
	assert_int_equal(p11_open(token_uri(&tokens, "none", NULL, uri), &p,
	    &d), ERR_REQUEST);
	assert_non_null(strstr(d.text, "no initialised token"));
	token_make(&tokens, "two");
	(void)snprintf(uri, sizeof(uri), "pkcs11:?%s",
	    token_query(&tokens, SOFTHSM, query));
	memset(&d, 0, sizeof(d));
	assert_int_equal(p11_open(uri, &p, &d), ERR_REQUEST);
	assert_non_null(strstr(d.text, "more than one"));
	memset(&d, 0, sizeof(d));
	assert_int_equal(p11_open("pkcs12:token=one", &p, &d), ERR_REQUEST);
	assert_non_null(strstr(d.text, "RFC 7512"));
}

static void
a_key_pair_is_made_once_and_never_leaves(void **state)
{
	struct es256_public a, b;
	struct p11 *p = at("one");
	CK_OBJECT_HANDLE key;
	unsigned char value[64];
	CK_ATTRIBUTE v = {CKA_VALUE, value, sizeof(value)};
	CK_BBOOL yes = CK_TRUE;
	CK_ATTRIBUTE loosen = {CKA_EXTRACTABLE, &yes, sizeof(yes)};
	size_t n;

	(void)state;
	assert_int_equal(p11_key_find(p, &a, NULL), ERR_NOT_FOUND);
	assert_int_equal(p11_key_make(p, &a, NULL), ERR_OK);
	assert_int_equal(p11_key_make(p, &b, NULL), ERR_REQUEST);
	p11_close(&p);
	p = at("one");
	assert_int_equal(p11_key_find(p, &b, NULL), ERR_OK);
	assert_memory_equal(&a, &b, sizeof(a));
	assert_int_equal(p11_find(p, CKO_PRIVATE_KEY, &key, 1, &n, NULL),
	    ERR_OK);
	assert_int_equal(n, 1);
	assert_int_equal(p->f->C_GetAttributeValue(p->session, key, &v, 1),
	    CKR_ATTRIBUTE_SENSITIVE);
	assert_int_not_equal(p->f->C_SetAttributeValue(p->session, key,
	    &loosen, 1), CKR_OK);
	p11_close(&p);
}

static void
what_it_signs_verifies(void **state)
{
	struct p11 *p = at("one");
	unsigned char sig[ES256_SIG_LEN];
	struct es256_public pub;
	struct verifier *v = NULL;

	(void)state;
	assert_int_equal(p11_key_find(p, &pub, NULL), ERR_OK);
	assert_int_equal(verifier_new(&pub, &v), ERR_OK);
	assert_int_equal(p11_sign(p, "text", 4, sig, NULL), ERR_OK);
	assert_int_equal(verifier_verify(v, "text", 4, sig), ERR_OK);
	assert_int_equal(verifier_verify(v, "texT", 4, sig),
	    ERR_TOKEN_SIGNATURE);
	verifier_free(&v);
	p11_close(&p);
}

static enum err
agree(void *ctx, const struct es256_public *peer, struct key32 *z)
{
	return p11_agree(ctx, peer, z, NULL);
}

static void
an_envelope_opens_by_its_token_alone(void **state)
{
	struct buf jwk = {.max = 512}, jwe = {.max = 1024};
	struct p11 *p = at("one"), *other = at("two");
	struct jwe_agreement how = {agree, p};
	struct secret plain = {0};
	struct es256_public pub;
	struct key32 k;
	size_t i;

	(void)state;
	memset(&k, 0x5a, sizeof(k));
	assert_int_equal(p11_key_find(p, &pub, NULL), ERR_OK);
	assert_int_equal(public_jwk_write(&pub, &jwk), ERR_OK);
	assert_int_equal(release_key_seal(jwk.p, "sn-1", 1, &k, &jwe), ERR_OK);
	assert_int_equal(jwe_open_agreed(&how, jwe.p, jwe.len, &plain),
	    ERR_OK);
	assert_non_null(memmem(plain.p, plain.len, "\"sn-1\"", 6));
	assert_int_equal(p11_key_make(other, &pub, NULL), ERR_OK);
	how.ctx = other;
	assert_int_equal(jwe_open_agreed(&how, jwe.p, jwe.len, &plain),
	    ERR_CRYPTO);
	how.ctx = p;
	for (i = 0; i < jwe.len; i += 7) { /* no octet may be another */
		jwe.p[i] ^= 1;
		assert_int_equal(jwe_open_agreed(&how, jwe.p, jwe.len,
		    &plain), ERR_CRYPTO);
		jwe.p[i] ^= 1;
	}
	secret_free(&plain);
	buf_free(&jwk);
	buf_free(&jwe);
	p11_close(&p);
	p11_close(&other);
}

/* One object of class goes, as a power cut between two would have it. */
static void
lose(struct p11 *p, CK_OBJECT_CLASS class)
{
	CK_OBJECT_HANDLE o;
	size_t n;

	assert_int_equal(p11_find(p, class, &o, 1, &n, NULL), ERR_OK);
	assert_int_equal(n, 1);
	assert_int_equal(p->f->C_DestroyObject(p->session, o), CKR_OK);
}

static void
half_a_key_pair_is_made_anew_unless_an_identity_is_beside_it(void **state)
{
	static const CK_OBJECT_CLASS halves[] = {CKO_PRIVATE_KEY,
	    CKO_PUBLIC_KEY};
	struct es256_public pub;
	struct p11 *p;
	size_t i;

	(void)state;
	token_make(&tokens, "three");
	p = at("three");
	assert_int_equal(p11_key_make(p, &pub, NULL), ERR_OK);
	for (i = 0; i < COUNT(halves); i++) {
		lose(p, halves[i]);
		assert_int_equal(p11_key_find(p, &pub, NULL), ERR_REQUEST);
		assert_int_equal(p11_key_make(p, &pub, NULL), ERR_OK);
		assert_int_equal(p11_key_find(p, &pub, NULL), ERR_OK);
	}
	assert_int_equal(p11_data_write(p, "x", 1, NULL), ERR_OK);
	lose(p, CKO_PUBLIC_KEY);
	assert_int_equal(p11_key_make(p, &pub, NULL), ERR_REQUEST);
	p11_close(&p);
}

static void
a_key_from_outside_is_refused(void **state)
{
	struct detail d = {""};
	struct es256_public pub;
	struct signer *s = NULL;
	CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
	CK_KEY_TYPE type = CKK_EC;
	CK_BBOOL yes = CK_TRUE;
	unsigned char p256[] = {6, 8, 42, 134, 72, 206, 61, 3, 1, 7};
	unsigned char octets[3] = {0x04, 0x01, 0x00};
	struct key32 scalar;
	CK_OBJECT_HANDLE o;
	struct p11 *p;

	(void)state;
	token_make(&tokens, "four");
	p = at("four");
	assert_int_equal(p11_key_make(p, &pub, NULL), ERR_OK);
	lose(p, CKO_PRIVATE_KEY);
	assert_int_equal(signer_generate(&s), ERR_OK);
	assert_int_equal(signer_export(s, &scalar), ERR_OK);
	CK_ATTRIBUTE t[] = {{CKA_CLASS, &class, sizeof(class)},
	    {CKA_KEY_TYPE, &type, sizeof(type)},
	    {CKA_TOKEN, &yes, sizeof(yes)}, {CKA_PRIVATE, &yes, sizeof(yes)},
	    {CKA_SENSITIVE, &yes, sizeof(yes)},
	    {CKA_SIGN, &yes, sizeof(yes)}, {CKA_DERIVE, &yes, sizeof(yes)},
	    {CKA_EC_PARAMS, p256, sizeof(p256)},
	    {CKA_VALUE, scalar.b, sizeof(scalar.b)},
	    {CKA_ID, octets, sizeof(octets)},
	    {CKA_LABEL, p->label, strlen(p->label)}};
	assert_int_equal(p->f->C_CreateObject(p->session, t, COUNT(t), &o),
	    CKR_OK);
	assert_int_equal(p11_key_find(p, &pub, &d), ERR_REQUEST);
	assert_non_null(strstr(d.text, "made there"));
	signer_free(&s);
	p11_close(&p);
}

static void
an_identity_replaces_an_older_one_whatever_a_crash_left(void **state)
{
	struct buf got = {.max = 64};
	CK_OBJECT_HANDLE o;
	struct p11 *p = at("two");
	CK_OBJECT_CLASS class = CKO_DATA;
	CK_BBOOL yes = CK_TRUE;
	char stray[] = "stray";
	CK_ATTRIBUTE t[] = {{CKA_CLASS, &class, sizeof(class)},
	    {CKA_TOKEN, &yes, sizeof(yes)}, {CKA_VALUE, stray, 5},
	    {CKA_LABEL, p->label, strlen(p->label)}};

	(void)state;
	assert_int_equal(p11_data_read(p, &got, NULL), ERR_NOT_FOUND);
	assert_int_equal(p11_data_write(p, "first", 5, NULL), ERR_OK);
	assert_int_equal(p11_data_write(p, "second", 6, NULL), ERR_OK);
	assert_int_equal(p11_data_read(p, &got, NULL), ERR_OK);
	assert_string_equal(got.p, "second");
	assert_int_equal(p->f->C_CreateObject(p->session, t, COUNT(t), &o),
	    CKR_OK);
	buf_reset(&got);
	assert_int_equal(p11_data_read(p, &got, NULL), ERR_RECORD);
	assert_int_equal(p11_data_write(p, "third", 5, NULL), ERR_OK);
	assert_int_equal(p11_data_read(p, &got, NULL), ERR_OK);
	assert_string_equal(got.p, "third");
	buf_free(&got);
	p11_close(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(
		a_pin_comes_from_a_private_file_or_a_descriptor_only),
	    cmocka_unit_test(a_wrong_pin_is_refused_and_not_shown),
	    cmocka_unit_test(a_uri_names_exactly_one_token),
	    cmocka_unit_test(a_key_pair_is_made_once_and_never_leaves),
	    cmocka_unit_test(
		what_it_signs_verifies),
	    cmocka_unit_test(an_envelope_opens_by_its_token_alone),
	    cmocka_unit_test(
		half_a_key_pair_is_made_anew_unless_an_identity_is_beside_it),
	    cmocka_unit_test(a_key_from_outside_is_refused),
	    cmocka_unit_test(
		an_identity_replaces_an_older_one_whatever_a_crash_left),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
