/*
 * The manifest of an order, which a customer checks without the authority:
 * whatever octet, field, line or key is another, it is not believed.
 */
#include "tests/unit/jose_kit.h"

#include <jansson.h>

#include "lib/base/b64url.h"
#include "lib/jose/manifest.h"
#include "lib/wire/wire.h"

#define LINES 5

static struct verifier *root;
static char *line[LINES]; /* keys, three pages, keys of a newer version */
enum { KEYS, FIRST, SECOND, THIRD, NEWER };

static struct device
unit(uint64_t dn)
{
	struct device u = {.dn = dn, .epoch = 1, .proof = PROOF_MEDIUM,
	    .state = DEV_ACTIVE, .created_at = NOW - 60,
	    .changed_at = NOW - 50};

	(void)snprintf(u.serial, sizeof(u.serial), "SN-%05u", (unsigned)dn);
	(void)snprintf(u.device_id, sizeof(u.device_id), "m1-%u",
	    (unsigned)dn);
	return u;
}

static struct manifest_page
page(struct device *u, size_t n, uint64_t after, uint64_t upto, int end)
{
	struct manifest_page p = {.iat = NOW, .order = "o-7", .model = "m1",
	    .quantity = 10, .after = after, .upto = upto, .end = end,
	    .units = u, .n = n};

	return p;
}

static char *
sign(const struct manifest_page *p)
{
	struct buf b = {.max = SET_MAX + 16};

	assert_int_equal(buf_str(&b, "page "), ERR_OK);
	assert_int_equal(manifest_sign(signer, ISS, p, &b), ERR_OK);
	return b.p;
}

static char *
keyset(uint64_t version)
{
	const struct keyset ks = {version, NOW, keys, keys};
	struct buf b = {.max = SET_MAX + 16};

	assert_int_equal(buf_str(&b, "keys "), ERR_OK);
	assert_int_equal(keyset_sign(signer, ISS, &ks, &b), ERR_OK);
	return b.p;
}

static int
setup(void **state)
{
	struct device u[4] = {unit(3), unit(4), unit(9), unit(12)};
	struct manifest_page p;
	struct es256_public pub;

	if (jose_setup(state) != 0)
		return -1;
	signer_public(signer, &pub);
	if (verifier_new(&pub, &root) != ERR_OK)
		return -1;
	line[KEYS] = keyset(3);
	p = page(u, 2, 0, 6, 0);
	line[FIRST] = sign(&p);
	p = page(u + 2, 1, 6, 11, 0);
	line[SECOND] = sign(&p);
	p = page(u + 3, 1, 11, 12, 1);
	line[THIRD] = sign(&p);
	line[NEWER] = keyset(4);
	return 0;
}

static int
teardown(void **state)
{
	int i;

	for (i = 0; i < LINES; i++)
		free(line[i]);
	verifier_free(&root);
	return jose_teardown(state);
}

/* The lines named (-1: the end) as a file; by whom. */
static enum err
read_by(const struct verifier *v, const char *iss, char *const *lines,
    const int *which, struct detail *d)
{
	struct manifest_reader r = {.root = v, .iss = iss};
	enum err e = ERR_OK;

	for (; e == ERR_OK && *which >= 0; which++)
		e = manifest_read(&r, lines[*which], strlen(lines[*which]),
		    d);
	if (e == ERR_OK)
		e = manifest_read_end(&r, d);
	manifest_reader_free(&r);
	return e;
}

static enum err
read_lines(const int *which)
{
	struct detail d = {""};

	return read_by(root, ISS, line, which, &d);
}

static const int whole[] = {KEYS, FIRST, SECOND, THIRD, -1};

static void
what_was_signed_is_read(void **state)
{
	static const int rotated[] = {KEYS, FIRST, SECOND, NEWER, THIRD, -1};
	struct manifest_reader r = {.root = root};
	struct detail d = {""};
	int i;

	assert_int_equal(read_lines(whole), ERR_OK);
	assert_int_equal(read_lines(rotated), ERR_OK);
	for (i = KEYS; i <= FIRST; i++)
		assert_int_equal(manifest_read(&r, line[i], strlen(line[i]),
		    &d), ERR_OK);
	assert_int_equal(r.units, 2);
	assert_string_equal(r.last.order, "o-7");
	assert_int_equal(r.last.quantity, 10);
	assert_string_equal(r.last.units[1].serial, "SN-00004");
	assert_string_equal(r.last.units[1].device_id, "m1-4");
	assert_int_equal(r.last.units[1].dn, 4);
	assert_int_equal(r.last.units[1].epoch, 1);
	assert_int_equal(r.last.units[1].proof, PROOF_MEDIUM);
	assert_int_equal(r.last.units[1].created_at, NOW - 60);
	manifest_reader_free(&r);
}

static void
an_order_without_units_has_a_manifest_too(void **state)
{
	struct manifest_page p = page(NULL, 0, 0, 0, 1);
	char *lines[] = {line[KEYS], sign(&p)};
	static const int both[] = {0, 1, -1};

	assert_int_equal(read_by(root, ISS, lines, both, NULL), ERR_OK);
	free(lines[1]);
}

static void
a_page_of_the_greatest_size_fits(void **state)
{
	struct device *u = calloc(MANIFEST_UNITS_MAX, sizeof(*u));
	struct manifest_page p = page(u, MANIFEST_UNITS_MAX, 0,
	    NUMBER_MAX, 1), got;
	struct buf b = {.max = SET_MAX};
	size_t i;

	assert_non_null(u);
	for (i = 0; i < MANIFEST_UNITS_MAX; i++) {
		u[i] = unit(NUMBER_MAX - MANIFEST_UNITS_MAX + i);
		u[i].epoch = UINT32_MAX;
		u[i].proof = PROOF_DEVICE_MADE;
		u[i].state = DEV_SUSPENDED;
		memset(u[i].serial, 's', NAME_MAX_LEN);
		memset(u[i].device_id, 'd', NAME_MAX_LEN);
	}
	assert_int_equal(manifest_sign(signer, ISS, &p, &b), ERR_OK);
	assert_int_equal(manifest_verify(keys, ISS, b.p, b.len, &got, NULL),
	    ERR_OK);
	assert_int_equal(got.n, MANIFEST_UNITS_MAX);
	manifest_page_free(&got);
	buf_free(&b);
	free(u);
}

static void
an_octet_changed_anywhere_is_refused(void **state)
{
	int i, bit;
	char *at;

	for (i = 0; whole[i] >= 0; i++) {
		for (at = line[whole[i]]; *at != '\0'; at++) {
			bit = 1 << (at - line[whole[i]]) % 7;
			*at = (char)(*at ^ bit);
			if (*at != '\0')
				assert_int_not_equal(read_lines(whole),
				    ERR_OK);
			*at = (char)(*at ^ bit);
		}
	}
	assert_int_equal(read_lines(whole), ERR_OK);
}

/* The page with another payload under the old signature. */
static void
swap_payload(const char *jws, json_t *claims, char *out, size_t size)
{
	char *text = json_dumps(claims, JSON_COMPACT);
	char b64[4096];
	const char *dot = strchr(jws, '.');

	assert_non_null(text);
	assert_true(B64URL_LEN(strlen(text)) < sizeof(b64));
	b64url_encode(text, strlen(text), b64);
	(void)snprintf(out, size, "%.*s.%s%s", (int)(dot - jws), jws, b64,
	    strrchr(jws, '.'));
	free(text);
}

static json_t *
claims_of(const char *jws)
{
	const char *p = strchr(jws, '.') + 1;
	char text[4096];
	size_t n = sizeof(text);
	json_t *o;

	assert_int_equal(b64url_decode(p, strcspn(p, "."), text, &n),
	    ERR_OK);
	o = json_loadb(text, n, 0, NULL);
	assert_true(json_is_object(o));
	return o;
}

static size_t
change_each(json_t *claims, json_t *o)
{
	static const int one[] = {0, 1, -1};
	char changed[8192], *lines[] = {line[KEYS], changed};
	json_t *value, *keep;
	const char *name;
	struct detail d;
	void *next;
	size_t n = 0;

	json_object_foreach_safe(o, next, name, value) {
		keep = json_deep_copy(value);
		if (json_is_string(value))
			(void)json_string_set(value, "other");
		else if (json_is_integer(value))
			(void)json_integer_set(value,
			    json_integer_value(value) + 1);
		else if (json_is_array(value))
			(void)json_array_clear(value);
		else
			(void)json_object_set_new(o, name,
			    json_boolean(json_is_false(value)));
		swap_payload(line[FIRST], claims, changed, sizeof(changed));
		assert_case(read_by(root, ISS, lines, one, &d) ==
		    ERR_TOKEN_SIGNATURE, name);
		(void)json_object_set_new(o, name, keep);
		n++;
	}
	return n;
}

static void
a_field_changed_is_refused(void **state)
{
	json_t *claims = claims_of(line[FIRST]);
	json_t *units = json_object_get(claims, "units");

	assert_int_equal(change_each(claims, json_array_get(units, 1)), 8);
	assert_int_equal(change_each(claims, claims), 10);
	json_decref(claims);
}

static void
a_line_missing_doubled_or_moved_is_refused(void **state)
{
	static const int wrong[][6] = {
	    {-1}, {KEYS, -1}, {KEYS, FIRST, -1}, {KEYS, FIRST, SECOND, -1},
	    {KEYS, SECOND, THIRD, -1}, {KEYS, FIRST, THIRD, -1},
	    {KEYS, THIRD, -1}, {KEYS, FIRST, FIRST, SECOND, THIRD, -1},
	    {KEYS, SECOND, FIRST, THIRD, -1}, {FIRST, SECOND, THIRD, -1},
	    {FIRST, KEYS, SECOND, THIRD, -1},
	    {KEYS, FIRST, SECOND, THIRD, THIRD, -1},
	    {NEWER, FIRST, KEYS, SECOND, THIRD, -1},
	};
	size_t i;

	for (i = 0; i < COUNT(wrong); i++)
		assert_int_equal(read_lines(wrong[i]), ERR_TOKEN);
}

static void
pages_of_two_manifests_are_not_one(void **state)
{
	static const int all[] = {0, 1, 2, -1};
	struct device u[2] = {unit(3), unit(9)};
	struct manifest_page p = page(u, 1, 0, 6, 0), q;
	char *lines[] = {line[KEYS], sign(&p), NULL};
	size_t i;

	for (i = 0; i < 6; i++) {
		q = page(u + 1, 1, 6, 9, 1);
		if (i == 1)
			q.iat = NOW - 1;
		if (i == 2)
			q.iat = NOW + MANIFEST_SPAN + 1;
		if (i == 3)
			(void)snprintf(q.order, sizeof(q.order), "o-8");
		if (i == 4)
			q.quantity++;
		if (i == 5)
			(void)snprintf(q.model, sizeof(q.model), "m2");
		lines[2] = sign(&q);
		assert_int_equal(read_by(root, ISS, lines, all, NULL),
		    i == 0 ? ERR_OK : ERR_TOKEN);
		free(lines[2]);
	}
	free(lines[1]);
}

static void
another_root_key_or_issuer_is_refused(void **state)
{
	struct signer *other = NULL, *ours = signer;
	struct verifier *v = NULL;
	struct es256_public pub;
	struct detail d = {""};
	struct manifest_page p;
	struct device u = unit(3);
	char *lines[2];
	static const int both[] = {0, 1, -1};

	assert_int_equal(signer_generate(&other), ERR_OK);
	signer_public(other, &pub);
	assert_int_equal(verifier_new(&pub, &v), ERR_OK);
	assert_int_equal(read_by(v, ISS, line, whole, &d), ERR_TOKEN_KEY);
	assert_int_equal(read_by(root, "https://other", line, whole, &d),
	    ERR_TOKEN_ISSUER);
	assert_int_equal(read_by(root, NULL, line, whole, &d), ERR_OK);
	/* A page under a key that no key set of the root has. */
	p = page(&u, 1, 0, 3, 1);
	signer = other;
	lines[1] = sign(&p);
	signer = ours;
	lines[0] = line[KEYS];
	assert_int_equal(read_by(root, ISS, lines, both, &d), ERR_TOKEN_KEY);
	free(lines[1]);
	verifier_free(&v);
	signer_free(&other);
}

static void
what_has_no_proof_is_not_signed_for(void **state)
{
	struct buf b = {.max = SET_MAX};
	struct device u = unit(3);
	struct manifest_page p = page(&u, 1, 0, 3, 1);

	u.state = DEV_BURNING;
	assert_int_equal(manifest_sign(signer, ISS, &p, &b), ERR_REQUEST);
	u.state = DEV_ACTIVE;
	u.proof = PROOF_NONE;
	assert_int_equal(manifest_sign(signer, ISS, &p, &b), ERR_REQUEST);
	u.proof = PROOF_DEVICE;
	p.upto = 2;
	assert_int_equal(manifest_sign(signer, ISS, &p, &b), ERR_REQUEST);
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_was_signed_is_read),
	    cmocka_unit_test(an_order_without_units_has_a_manifest_too),
	    cmocka_unit_test(a_page_of_the_greatest_size_fits),
	    cmocka_unit_test(an_octet_changed_anywhere_is_refused),
	    cmocka_unit_test(a_field_changed_is_refused),
	    cmocka_unit_test(a_line_missing_doubled_or_moved_is_refused),
	    cmocka_unit_test(pages_of_two_manifests_are_not_one),
	    cmocka_unit_test(another_root_key_or_issuer_is_refused),
	    cmocka_unit_test(what_has_no_proof_is_not_signed_for),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
