/*
 * Devices that make their own key pair in a token, from the factory to the
 * authority: nothing but ciphertext and a public key leaves them, each power
 * cut comes to one live identity, and only the key that was registered signs.
 */
#include "tests/scenario/world.h"

#include <sys/stat.h>
#include <fealty/device_openssl.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/b64url.h"
#include "lib/p11/p11.h"
#include "lib/wire/sealed.h"
#include "tests/helpers/token.h"

#define LIMIT 60
#define CUTS_MAX 60

static struct world w;
static struct tokens tokens;
static char faulty[ROOM];

static int
set_up(void **state)
{
	const char *build = getenv("FEALTY_BUILD_DIR");
	char cwd[200];

	(void)state;
	assert_non_null(getcwd(cwd, sizeof(cwd)));
	(void)snprintf(faulty, sizeof(faulty), "%.200s/.libs/p11_faulty.so",
	    build == NULL ? cwd : build);
	tokens_open(&tokens);
	world_open(&w, NULL);
	world_order(&w, 100);
	CTL(&w, "order", "create", "own", "--model", "m1", "--quantity",
	    "100", "--expires", "1h", "--stations", "line1",
	    "--peers", "hub", "--min-proof", "device-made", "--device-id",
	    "own-{serial}");
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	world_close(&w);
	tokens_close(&tokens);
	return 0;
}

/* The unit of serial, whose token has its name, through module. */
static int
station(const char *verb, const char *order, const char *serial,
    const char *module)
{
	char url[ROOM], cred[ROOM], journal[ROOM], uri[TOKEN_URI];
	char query[TOKEN_URI];
	const char *argv[] = {"build:provision-tool/provision-tool", verb,
	    "--order", order, "--serial", serial, "--target", uri,
	    "--journal", world_file(&w, "journal", journal), "--url",
	    world_url(&w, url), "--credential-file",
	    world_file(&w, "station", cred), NULL};

	token_uri(&tokens, serial, token_query(&tokens, module, query), uri);
	return process_run(argv, NULL, LIMIT, &w.r);
}

static int
burn_by(const char *order, const char *serial, const char *module)
{
	return station("burn", order, serial, module);
}

static void
burn(const char *serial)
{
	token_make(&tokens, serial);
	if (burn_by("own", serial, SOFTHSM) != 0)
		fail_msg("burn of %s: %s", serial, w.r.err);
}

static void
active_and_device_made(const char *serial)
{
	char path[ROOM], is[ROOM];

	(void)snprintf(path, sizeof(path), "/v1/devices/own-%s", serial);
	assert_int_equal(world_http(&w, "GET", path, w.admin, NULL), 200);
	assert_int_equal(http_member(&w.a, "state", is, sizeof(is)), 0);
	assert_string_equal(is, "active");
	assert_int_equal(http_member(&w.a, "proof", is, sizeof(is)), 0);
	assert_string_equal(is, "device-made");
}

static struct p11 *
token(const char *serial)
{
	struct detail d = {""};
	char uri[TOKEN_URI];
	struct p11 *p = NULL;

	if (p11_open(token_uri(&tokens, serial, NULL, uri), &p, &d) != ERR_OK)
		fail_msg("%s: %s", serial, d.text);
	return p;
}

static int
es256(void *ctx, const uint8_t *msg, size_t len, uint8_t sig[64])
{
	return p11_sign(ctx, msg, len, sig, NULL) == ERR_OK ? 0 : -1;
}

/* The record that the device of serial makes of what its token holds. */
static void
unseal(const char *serial, char path[ROOM])
{
	char uri[TOKEN_URI], name[ROOM];
	const char *argv[] = {"build:provision-tool/provision-tool", "unseal",
	    uri, path, NULL};

	(void)snprintf(name, sizeof(name), "burned/%.64s.cbor", serial);
	(void)world_file(&w, name, path);
	(void)mkdir(world_file(&w, "burned", name), 0700);
	token_uri(&tokens, serial, NULL, uri);
	if (process_run(argv, NULL, LIMIT, &w.r) != 0)
		fail_msg("unseal of %s: %s", serial, w.r.err);
}

/* An assertion of the device of serial, signed by the key of signer. */
static void
assertion(const char *serial, const char *signer, char out[ASSERTION_ROOM])
{
	struct p11 *p = token(signer);
	const struct fealty_signer own = {es256, p};
	const struct fealty_assertion a = {.now = time(NULL), .life = 60,
	    .own = &own};
	char path[ROOM], octets[FEALTY_RECORD_MAX + 1];
	struct fealty_record r;
	ssize_t n;
	size_t len;

	unseal(serial, path);
	n = file_text(path, octets, sizeof(octets));
	assert_true(n > 0);
	assert_int_equal(fealty_record_read(octets, (size_t)n, &r),
	    FEALTY_OK);
	r.key = NULL; /* ES256 needs no K */
	assert_int_equal(fealty_assertion(&fealty_device_port_openssl, &r, &a,
	    out, ASSERTION_ROOM, &len), FEALTY_OK);
	p11_close(&p);
}

static void
a_device_proves_itself_by_the_key_it_has_made(void **state)
{
	char jwt[ASSERTION_ROOM], path[ROOM], at_token[TOKEN_ROOM];
	struct assertion_of hs = {"D1", 0, NULL};

	(void)state;
	burn("D1");
	assert_non_null(strstr(w.r.out, "proof device-made"));
	active_and_device_made("D1");
	assertion("D1", "D1", jwt);
	assert_int_equal(world_redeem(&w, jwt), 200);
	assert_int_equal(world_redeem(&w, jwt), 401);
	assert_true(world_code(&w, "assertion_used"));
	/* K reached the device: what is derived from it works as well */
	unseal("D1", path);
	world_token(&w, "D1", at_token);
	hs.now = time(NULL);
	world_assertion(&w, &hs, jwt);
	assert_int_equal(world_redeem(&w, jwt), 200);
}

static void
another_key_signs_nothing_for_it(void **state)
{
	char jwt[ASSERTION_ROOM], other[ASSERTION_ROOM], mix[ASSERTION_ROOM];
	struct assertion_of hs = {"E1", 0, NULL};
	char path[ROOM];

	(void)state;
	burn("E1");
	burn("E2");
	assertion("E1", "E2", jwt);
	assert_int_equal(world_redeem(&w, jwt), 401);
	assert_true(world_code(&w, "assertion_signature"));
	/* the header of one kind over the signature of the other */
	assertion("E1", "E1", jwt);
	unseal("E1", path);
	hs.now = time(NULL);
	world_assertion(&w, &hs, other);
	(void)snprintf(mix, sizeof(mix), "%.*s%s",
	    (int)(strchr(other, '.') - other), other, strchr(jwt, '.'));
	assert_int_equal(world_redeem(&w, mix), 401);
	(void)snprintf(mix, sizeof(mix), "%.*s%s",
	    (int)(strchr(jwt, '.') - jwt), jwt, strchr(other, '.'));
	assert_int_equal(world_redeem(&w, mix), 401);
	assert_int_equal(world_redeem(&w, jwt), 200);
}

static void
a_token_is_one_device(void **state)
{
	char uri[TOKEN_URI], url[ROOM], cred[ROOM], journal[ROOM];
	const char *argv[] = {"build:provision-tool/provision-tool", "burn",
	    "--order", "own", "--serial", "F2", "--target", uri,
	    "--journal", world_file(&w, "journal", journal), "--url",
	    world_url(&w, url), "--credential-file",
	    world_file(&w, "station", cred), NULL};

	(void)state;
	burn("F1");
	token_uri(&tokens, "F1", NULL, uri);
	assert_int_equal(process_run(argv, NULL, LIMIT, &w.r), 1);
	assert_non_null(strstr(w.r.err, "own-F1"));
	/* nor for an authority that is told of the same key once more */
	assert_int_equal(burn_by("own", "F1", SOFTHSM), 0);
	active_and_device_made("F1");
	/* its token signs for it again, and no other token does */
	if (station("verify", "own", "F1", SOFTHSM) != 0)
		fail_msg("%s", w.r.err);
	assert_non_null(strstr(w.r.out, "active, proof device-made"));
}

static void
an_order_of_device_made_keys_takes_no_other_target(void **state)
{
	char url[ROOM], cred[ROOM], journal[ROOM], target[ROOM + 8];
	const char *argv[] = {"build:provision-tool/provision-tool", "burn",
	    "--order", "own", "--serial", "G1", "--target", target,
	    "--journal", world_file(&w, "journal", journal), "--url",
	    world_url(&w, url), "--credential-file",
	    world_file(&w, "station", cred), NULL};

	(void)state;
	(void)snprintf(target, sizeof(target), "file:%s", w.dir);
	assert_int_equal(process_run(argv, NULL, LIMIT, &w.r), 1);
	assert_non_null(strstr(w.r.err, "release"));
	assert_non_null(strstr(w.r.err, "proof_wrong"));
}

/* The token's identity is the one that is active. */
static void
holds_its_identity(const char *serial)
{
	struct buf text = {.max = SEALED_TEXT_MAX};
	struct p11 *p = token(serial);
	struct sealed s;
	char id[80];

	assert_int_equal(p11_data_read(p, &text, NULL), ERR_OK);
	assert_int_equal(wire_sealed_decode(text.p, text.len, &s, NULL),
	    ERR_OK);
	(void)snprintf(id, sizeof(id), "own-%s", serial);
	assert_string_equal(s.device_id, id);
	buf_free(&text);
	p11_close(&p);
}

static void
a_power_cut_at_any_call_comes_to_one_live_identity(void **state)
{
	char serial[16], n[16], jwt[ASSERTION_ROOM];
	int i, status = TOKEN_CUT;

	(void)state;
	for (i = 1; status == TOKEN_CUT && i < CUTS_MAX; i++) {
		(void)snprintf(serial, sizeof(serial), "C%d", i);
		(void)snprintf(n, sizeof(n), "%d", i);
		token_make(&tokens, serial);
		assert_int_equal(setenv("FEALTY_TEST_CUT", n, 1), 0);
		status = burn_by("own", serial, faulty);
		assert_int_equal(unsetenv("FEALTY_TEST_CUT"), 0);
		if (status != 0 && status != TOKEN_CUT)
			fail_msg("cut %d: %s", i, w.r.err);
		if (burn_by("own", serial, SOFTHSM) != 0)
			fail_msg("after cut %d: %s", i, w.r.err);
		active_and_device_made(serial);
		holds_its_identity(serial);
	}
	assert_int_equal(status, 0);
	assert_true(i > 8);
	print_message("# %d cuts\n", i - 2);
	/* and the last of them works */
	assertion(serial, serial, jwt);
	assert_int_equal(world_redeem(&w, jwt), 200);
}

static void
no_pin_and_no_key_in_what_is_left_behind(void **state)
{
	char journal[ROOM], octets[FEALTY_RECORD_MAX + 1], path[ROOM];
	const char *argv[] = {"grep", "-rqa", TOKEN_PIN, journal, NULL};
	struct fealty_record r;
	char key[B64URL_LEN(32) + 1];
	ssize_t n;

	(void)state;
	burn("H1");
	assert_null(strstr(w.r.out, TOKEN_PIN));
	assert_null(strstr(w.r.err, TOKEN_PIN));
	(void)world_file(&w, "journal", journal);
	assert_int_equal(process_run(argv, NULL, LIMIT, &w.r), 1);
	unseal("H1", path);
	n = file_text(path, octets, sizeof(octets));
	assert_int_equal(fealty_record_read(octets, (size_t)n, &r),
	    FEALTY_OK);
	b64url_encode(r.key, 32, key);
	argv[2] = key;
	assert_int_equal(process_run(argv, NULL, LIMIT, &w.r), 1);
	/* nor in the token's own files, in which only ciphertext is */
	(void)snprintf(journal, sizeof(journal), "%s/store", tokens.dir);
	assert_int_equal(process_run(argv, NULL, LIMIT, &w.r), 1);
	argv[2] = "own-H1"; /* that what is looked for would be found */
	assert_int_equal(process_run(argv, NULL, LIMIT, &w.r), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_device_proves_itself_by_the_key_it_has_made),
	    cmocka_unit_test(another_key_signs_nothing_for_it),
	    cmocka_unit_test(a_token_is_one_device),
	    cmocka_unit_test(
		an_order_of_device_made_keys_takes_no_other_target),
	    cmocka_unit_test(
		a_power_cut_at_any_call_comes_to_one_live_identity),
	    cmocka_unit_test(no_pin_and_no_key_in_what_is_left_behind),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
