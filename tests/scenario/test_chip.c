/*
 * Devices whose root key is in a TPM 2.0: burned, proven and used there, and
 * nowhere else.
 */
#include "tests/scenario/world.h"

#include <time.h>
#include <fealty/device_openssl.h>

#include "lib/crypt/digest.h"
#include "lib/tpm/tpm.h"
#include "tests/helpers/chip.h"

#define LIMIT 60
#define AUTH "a1b2c3d4e5f6a7b8c9d0"

static struct world w;
static struct chip_place place;
static char auth[CHIP_PATH];

static int
set_up(void **state)
{
	(void)state;
	chip_open(&place);
	chip_file(&place, "auth", AUTH "\n", auth);
	world_open(&w, NULL);
	world_order(&w, 20);
	CTL(&w, "order", "create", "chips", "--model", "m1", "--quantity",
	    "20", "--expires", "1h", "--stations", "line1", "--peers", "hub",
	    "--min-proof", "device", "--device-id", "chip-{serial}");
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	world_close(&w);
	chip_close(&place);
	return 0;
}

static int
station(const char *verb, const char *serial, const char *handle,
    const char *more)
{
	char url[ROOM], cred[ROOM], journal[ROOM], target[3 * ROOM];
	const char *argv[] = {"build:provision-tool/provision-tool", verb,
	    "--order", "chips", "--serial", serial, "--target", target,
	    "--journal", world_file(&w, "journal", journal), "--url",
	    world_url(&w, url), "--credential-file",
	    world_file(&w, "station", cred), NULL};

	(void)snprintf(target, sizeof(target),
	    "tpm2:%s,record=%s/{device_id}.cbor,auth=%s,handle=%s%s",
	    place.tcti, place.dir, auth, handle, more);
	return process_run(argv, NULL, LIMIT, &w.r);
}

static int
burn(const char *serial, const char *handle, const char *more)
{
	return station("burn", serial, handle, more);
}

static struct tpm *
open_chip(uint32_t handle)
{
	struct secret a = {0};
	const struct tpm_conf conf = {.tcti = place.tcti, .auth = &a,
	    .handle = handle};
	struct detail d = {""};
	struct tpm *t = NULL;

	assert_int_equal(secret_set(&a, AUTH, strlen(AUTH)), ERR_OK);
	if (tpm_open(&conf, &t, &d) != ERR_OK)
		fail_msg("%s", d.text);
	secret_free(&a);
	return t;
}

/* As a device's firmware would: K by the TPM, derived keys by itself. */
static int
chip_hmac(void *ctx, const uint8_t *key, size_t keylen, const uint8_t *msg,
    size_t len, uint8_t out[32])
{
	return (key == NULL ? tpm_hmac(ctx, msg, len, out, NULL) :
	    hmac_sha256(key, keylen, msg, len, out)) == ERR_OK ? 0 : -1;
}

static int
chip_random(void *ctx, uint8_t *out, size_t len)
{
	(void)ctx;
	return random_bytes(out, len) == ERR_OK ? 0 : -1;
}

static void
read_record(const char *serial, char *octets, struct fealty_record *r)
{
	char path[ROOM];
	ssize_t n;

	(void)snprintf(path, sizeof(path), "%s/chip-%s.cbor", place.dir,
	    serial);
	n = file_text(path, octets, FEALTY_RECORD_MAX + 1);
	assert_true(n > 0);
	assert_int_equal(fealty_record_read(octets, (size_t)n, r), FEALTY_OK);
}

static int
redeem(const char *serial, uint32_t handle)
{
	const struct fealty_assertion a = {.now = time(NULL), .life = 60};
	char octets[FEALTY_RECORD_MAX + 1], jwt[ASSERTION_ROOM];
	struct tpm *t = open_chip(handle);
	const struct fealty_device_port port = {chip_hmac, chip_random, t};
	struct fealty_record r;
	size_t len;

	read_record(serial, octets, &r);
	r.key = NULL;
	assert_int_equal(fealty_assertion(&port, &r, &a, jwt, sizeof(jwt),
	    &len), FEALTY_OK);
	tpm_close(&t);
	return world_redeem(&w, jwt);
}

static void
a_device_lives_by_a_key_that_only_its_tpm_has(void **state)
{
	static const uint8_t zeros[FEALTY_KEY_LEN];
	char octets[FEALTY_RECORD_MAX + 1];
	struct fealty_record r;

	(void)state;
	if (burn("A1", "0x81000001", "") != 0)
		fail_msg("%s", w.r.err);
	assert_non_null(strstr(w.r.out, "proof device"));
	read_record("A1", octets, &r);
	assert_memory_equal(r.key, zeros, sizeof(zeros));
	assert_int_equal(redeem("A1", 0x81000001), 200);
	/* after a loss of power, too */
	chip_cycle(&place);
	assert_int_equal(redeem("A1", 0x81000001), 200);
	/* the same command again finds it done */
	assert_int_equal(burn("A1", "0x81000001", ""), 0);
	assert_int_equal(redeem("A1", 0x81000001), 200);
	/* and proves itself again, which another one's key does not */
	if (station("verify", "A1", "0x81000001", "") != 0)
		fail_msg("%s", w.r.err);
	assert_non_null(strstr(w.r.out, "verified chip-A1 "));
	assert_non_null(strstr(w.r.out, "active, proof device"));
	assert_int_equal(burn("A2", "0x81000005", ""), 0);
	assert_int_equal(station("verify", "A1", "0x81000005", ""), 1);
	assert_non_null(strstr(w.r.err, "proof_wrong"));
}

static void
another_unit_s_key_is_lost_only_by_name(void **state)
{
	(void)state;
	if (burn("B1", "0x81000002", "") != 0)
		fail_msg("%s", w.r.err);
	assert_int_equal(burn("B2", "0x81000002", ""), 1);
	assert_non_null(strstr(w.r.err, "unit B2: write"));
	assert_non_null(strstr(w.r.err, "replace=yes"));
	assert_int_equal(redeem("B1", 0x81000002), 200);
	if (burn("B2", "0x81000002", ",replace=yes") != 0)
		fail_msg("%s", w.r.err);
	assert_int_equal(redeem("B2", 0x81000002), 200);
	/* one device's record by the other's key is nobody */
	assert_int_equal(redeem("B1", 0x81000002), 401);
}

static void
what_is_wrong_is_said_before_a_key_is_released(void **state)
{
	static const struct {
		const char *handle, *more, *why;
	} cases[] = {
	    {"0x81000003", ",replace=maybe", "replace="},
	    {"0x01000003", "", "0x81000000"},
	    {"0x81800000", "", "0x81000000"},
	    {"x", "", "handle="},
	    {"0x81000003", ",owner-auth=/nowhere", "owner-auth="},
	    {"0x81000003", ",pin=1", "pin"},
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		assert_int_equal(burn("C1", cases[i].handle, cases[i].more),
		    2);
		assert_case(strstr(w.r.err, cases[i].why) != NULL, w.r.err);
	}
	assert_int_equal(world_http(&w, "GET", "/v1/devices/chip-C1",
	    w.admin, NULL), 404);
}

static void
no_auth_value_is_in_what_is_left_behind(void **state)
{
	char journal[ROOM];
	const char *argv[] = {"grep", "-rqa", AUTH, journal, NULL};

	(void)state;
	if (burn("D1", "0x81000004", "") != 0)
		fail_msg("%s", w.r.err);
	assert_null(strstr(w.r.out, AUTH));
	assert_null(strstr(w.r.err, AUTH));
	(void)world_file(&w, "journal", journal);
	assert_int_equal(process_run(argv, NULL, LIMIT, &w.r), 1);
	argv[2] = "chip-D1"; /* that what is looked for would be found */
	assert_int_equal(process_run(argv, NULL, LIMIT, &w.r), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_device_lives_by_a_key_that_only_its_tpm_has),
	    cmocka_unit_test(another_unit_s_key_is_lost_only_by_name),
	    cmocka_unit_test(what_is_wrong_is_said_before_a_key_is_released),
	    cmocka_unit_test(no_auth_value_is_in_what_is_left_behind),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
