/*
 * Rotation end to end: two authd on one database, a gateway, devices in
 * files. A device's folder holds two records for a moment, as a device's
 * flash does; a clone is a copy of the older one.
 */
#include "tests/scenario/world.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>
#include <fealty/device.h>

#include "device/crc.h"

#define LIMIT 60

static struct world w, w2; /* w2: the same by the second authd */

static int
set_up(void **state)
{
	static char url[ROOM];
	static const char *extra[] = {"--issuer", url, NULL};

	(void)state;
	world_open(&w, NULL);
	world_order(&w, 20);
	(void)world_url(&w, url);
	w2 = w;
	w2.owner = 0;
	w2.authd = NULL;
	assert_int_equal(authd_fixture_second(w.authd, extra, &w2.authd), 0);
	world_gateway(&w, NULL);
	return 0;
}

static int
tear_down(void **state)
{
	int status = authd_fixture_end(w2.authd);

	(void)state;
	authd_fixture_stop(&w2.authd);
	world_close(&w);
	assert_int_equal(status, 0);
	return 0;
}

static void
path_of(const char *serial, const char *suffix, char out[ROOM])
{
	char name[ROOM];

	(void)snprintf(name, sizeof(name), "burned/%.64s.cbor%.16s", serial,
	    suffix);
	(void)world_file(&w, name, out);
}

static void
copy(const char *from, const char *to)
{
	char octets[FEALTY_RECORD_MAX];
	ssize_t n;
	int fd = open(from, O_RDONLY);

	assert_true(fd >= 0);
	n = read(fd, octets, sizeof(octets));
	(void)close(fd);
	assert_true(n > 0);
	fd = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, octets, (size_t)n), n);
	assert_int_equal(close(fd), 0);
}

/* Another that holds what the device holds now, under a name of its own. */
static void
clone_as(const char *serial, const char *name)
{
	char from[ROOM], to[ROOM];

	path_of(serial, "", from);
	path_of(name, "", to);
	copy(from, to);
}

static uint32_t
epoch_of(const char *serial, const char *suffix)
{
	char path[ROOM], octets[FEALTY_RECORD_MAX + 1];
	struct fealty_record r;
	ssize_t n;

	path_of(serial, suffix, path);
	n = file_text(path, octets, sizeof(octets));
	if (n <= 0 || fealty_record_read(octets, (size_t)n, &r) != FEALTY_OK)
		return 0;
	return r.epoch;
}

static const char *
at(const struct world *to)
{
	static char text[2][ROOM];
	char *out = text[to == &w2];

	(void)snprintf(out, ROOM, "127.0.0.1:%u",
	    authd_fixture_device(to->authd));
	return out;
}

static void
rotate(struct world *by, const char *serial)
{
	if (DEVICE(by, serial, "1.3", "rotate", "--at", at(by)) != 0)
		fail_msg("rotation of %s: %s", serial, by->r.err);
}

static int
store_only(struct world *by, const char *serial)
{
	return DEVICE(by, serial, "1.3", "rotate", "--store-only", "--at",
	    at(by));
}

/* The device's member as authd has it now; "" when it is not there. */
static const char *
member(struct world *by, const char *serial, const char *name)
{
	static char value[ROOM];
	char path[ROOM], key[80];
	const char *p;

	(void)snprintf(path, sizeof(path), "/v1/devices/%s", serial);
	assert_int_equal(world_http(by, "GET", path, w.admin, NULL), 200);
	(void)snprintf(key, sizeof(key), "\"%s\":", name);
	value[0] = '\0';
	if ((p = strstr(by->a.body, key)) != NULL)
		(void)snprintf(value, sizeof(value), "%.*s",
		    (int)strcspn(p + strlen(key), ",}"), p + strlen(key));
	return value;
}

static void
until_epoch(const char *serial, const char *epoch)
{
	long deadline = process_deadline(LIMIT);

	while (strcmp(member(&w, serial, "epoch"), epoch) != 0) {
		assert_true(process_left(deadline));
		process_pause();
	}
}

/* Its handshake and PING at the gateway. */
static int
connects(const char *serial, const char *tls)
{
	return DEVICE(&w, serial, tls, "connect", "--audience", "hub") == 0;
}

static int
is_active(struct world *by, const char *token)
{
	char form[TOKEN_ROOM + 16];

	(void)snprintf(form, sizeof(form), "token=%s", token);
	assert_int_equal(world_form(by, "/oauth2/introspect", w.hub, form),
	    200);
	return strstr(by->a.body, "\"active\":true") != NULL;
}

static void
until_inactive(struct world *by, const char *token)
{
	long deadline = process_deadline(LIMIT);

	while (is_active(by, token)) {
		assert_true(process_left(deadline));
		process_pause();
	}
}

static pid_t
hold(const char *serial, const char *log)
{
	char record[ROOM], out[ROOM];
	const char *argv[] = {"build:examples/device", "--record", record,
	    "--tls", "1.3", "connect", "--audience", "hub", "--hold", NULL};
	pid_t pid;

	path_of(serial, "", record);
	(void)world_file(&w, log, out);
	pid = process_start(argv, out, out);
	assert_true(pid > 0);
	assert_int_equal(file_wait(out, "PONG", LIMIT), 0);
	return pid;
}

static void
the_old_key_dies_with_all_it_had_and_the_new_one_goes_on(void **state)
{
	char old[TOKEN_ROOM], fresh[TOKEN_ROOM], out[ROOM], text[1000];
	pid_t before, after;

	(void)state;
	world_burn(&w, "SN0001");
	world_token(&w, "SN0001", old);
	before = hold("SN0001", "before");
	clone_as("SN0001", "copy1");
	rotate(&w, "SN0001");
	assert_int_equal(epoch_of("SN0001", ""), 2);
	assert_string_equal(member(&w2, "SN0001", "epoch"), "2");
	assert_int_equal(file_wait(world_file(&w, "before", out), "CLOSED",
	    LIMIT), 0);
	(void)process_stop(&before, SIGKILL);
	until_inactive(&w2, old);
	after = hold("SN0001", "after");
	world_token(&w, "SN0001", fresh);
	assert_int_equal(world_show(&w, "SN0001", fresh), 0);
	assert_true(is_active(&w2, fresh));
	/* what was kept of the old one opens nothing, anywhere */
	assert_false(connects("copy1", "1.3"));
	assert_false(connects("copy1", "1.2"));
	assert_int_not_equal(DEVICE(&w2, "copy1", "1.3", "token", "--at",
	    at(&w2)), 0);
	assert_non_null(strstr(w2.r.err, "epoch_dead"));
	/* twice in a row; the session of epoch 2 ends with it */
	assert_true(file_text(world_file(&w, "after", out), text,
	    sizeof(text)) > 0);
	assert_null(strstr(text, "CLOSED"));
	rotate(&w2, "SN0001");
	assert_string_equal(member(&w, "SN0001", "epoch"), "3");
	assert_int_equal(file_wait(world_file(&w, "after", out), "CLOSED",
	    LIMIT), 0);
	(void)process_stop(&after, SIGKILL);
	assert_true(connects("SN0001", "1.2"));
}

static void
cut_off_between_its_two_records_a_device_goes_on_with_either(void **state)
{
	char token[TOKEN_ROOM], from[ROOM], to[ROOM];

	(void)state;
	world_burn(&w, "SN0002");
	assert_int_equal(store_only(&w, "SN0002"), 0);
	assert_int_equal(epoch_of("SN0002", ".next"), 2);
	assert_string_equal(member(&w, "SN0002", "pending_epoch"), "2");
	/* the power failed before the new one was used: the old one goes on */
	world_token(&w2, "SN0002", token);
	assert_true(connects("SN0002", "1.3"));
	assert_true(is_active(&w, token));
	assert_string_equal(member(&w, "SN0002", "epoch"), "1");
	/* and failed once more, with the new one torn and lost */
	path_of("SN0002", ".next", to);
	/* its request is stored, so it gets the same again */
	assert_int_equal(unlink(to), 0);
	assert_int_equal(store_only(&w2, "SN0002"), 0);
	assert_int_equal(epoch_of("SN0002", ".next"), 2);
	/* the request lost as well: another one, and the first is dead */
	assert_int_equal(unlink(to), 0);
	path_of("SN0002", ".ask", to);
	assert_int_equal(unlink(to), 0);
	assert_int_equal(store_only(&w2, "SN0002"), 0);
	assert_int_equal(epoch_of("SN0002", ".next"), 3);
	world_token(&w2, "SN0002", token);
	/* found at boot, the new one is used, where the device goes first */
	path_of("SN0002", ".next", from);
	path_of("SN0002", "", to);
	copy(from, to);
	assert_true(connects("SN0002", "1.3"));
	until_epoch("SN0002", "3");
	assert_string_equal(member(&w, "SN0002", "pending_epoch"), "");
	until_inactive(&w, token);
	world_token(&w, "SN0002", token);
	assert_true(connects("SN0002", "1.2"));
	assert_null(strstr(w.a.body, "possible_clone"));
}

/*
 * Its new key is in use and its old one dead, and it does not know: whatever
 * it is told then, or is not told, it must not throw the new one away.
 */
static void
a_device_cut_off_after_the_first_use_keeps_the_new_key(void **state)
{
	char from[ROOM], to[ROOM], api[ROOM], token[TOKEN_ROOM];

	(void)state;
	world_burn(&w, "SN0005");
	assert_int_equal(store_only(&w, "SN0005"), 0);
	path_of("SN0005", ".next", from);
	path_of("SN0005-2", "", to);
	copy(from, to);
	world_token(&w, "SN0005-2", token); /* its first use */
	assert_string_equal(member(&w, "SN0005", "epoch"), "2");
	path_of("SN0005", ".ask", to);
	assert_int_equal(unlink(to), 0);
	/* somebody on the way breaks the handshake */
	(void)snprintf(api, sizeof(api), "127.0.0.1:%u",
	    authd_fixture_api(w.authd));
	assert_int_equal(DEVICE(&w, "SN0005", "1.3", "rotate", "--at", api),
	    3);
	assert_int_equal(epoch_of("SN0005", ".next"), 2);
	CTL(&w, "device", "suspend", "SN0005");
	assert_int_equal(DEVICE(&w, "SN0005", "1.3", "rotate", "--at",
	    at(&w)), 1);
	assert_int_equal(epoch_of("SN0005", ".next"), 2);
	CTL(&w, "device", "reinstate", "SN0005");
	rotate(&w, "SN0005");
	assert_int_equal(epoch_of("SN0005", ""), 2);
	assert_string_equal(member(&w, "SN0005", "possible_clone"), "");
	/* what was superseded by another's request is let go */
	clone_as("SN0005", "SN0005-3");
	assert_int_equal(store_only(&w, "SN0005"), 0);
	assert_int_equal(store_only(&w2, "SN0005-3"), 0);
	assert_int_equal(DEVICE(&w, "SN0005", "1.3", "rotate", "--at",
	    at(&w)), 3);
	assert_int_equal(epoch_of("SN0005", ".next"), 5);
	rotate(&w, "SN0005");
	assert_string_equal(member(&w, "SN0005", "epoch"), "5");
}

/* The record at serial's suffix, with another key, under a name of its own. */
static void
forge_as(const char *serial, const char *suffix, const char *name)
{
	char path[ROOM], octets[FEALTY_RECORD_MAX + 1];
	struct fealty_record r;
	uint32_t sum;
	ssize_t n;
	int fd, i;

	path_of(serial, suffix, path);
	n = file_text(path, octets, sizeof(octets));
	assert_true(n > 4);
	assert_int_equal(fealty_record_read(octets, (size_t)n, &r),
	    FEALTY_OK);
	octets[(const char *)r.key - octets] ^= 1;
	sum = fealty_crc32(0, octets, (size_t)n - 4);
	for (i = 0; i < 4; i++)
		octets[n - 4 + i] = (char)(sum >> (24 - 8 * i) & 0xff);
	assert_int_equal(fealty_record_read(octets, (size_t)n, &r),
	    FEALTY_OK);
	path_of(name, "", path);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, octets, (size_t)n), n);
	assert_int_equal(close(fd), 0);
}

/* An identity travels in clear: without its key it is no use of anything. */
static void
an_identity_without_its_key_is_no_use_of_anything(void **state)
{
	const char *const tls[] = {"1.2", "1.3"};
	int i;

	(void)state;
	world_burn(&w, "SN0007");
	assert_int_equal(store_only(&w, "SN0007"), 0);
	forge_as("SN0007", "", "old-name");
	forge_as("SN0007", ".next", "next-name");
	for (i = 0; i < 2; i++) {
		assert_int_not_equal(DEVICE(&w, "next-name", tls[i],
		    "status", "--at", at(&w)), 0);
		assert_false(connects("next-name", tls[i]));
	}
	assert_string_equal(member(&w, "SN0007", "epoch"), "1");
	rotate(&w, "SN0007");
	for (i = 0; i < 2; i++)
		assert_int_not_equal(DEVICE(&w, "old-name", tls[i],
		    "status", "--at", at(&w)), 0);
	assert_string_equal(member(&w, "SN0007", "epoch"), "2");
	assert_string_equal(member(&w, "SN0007", "possible_clone"), "");
}

static void
a_look_up_at_a_gateway_ends_no_key(void **state)
{
	char path[ROOM], octets[FEALTY_RECORD_MAX + 1], token[TOKEN_ROOM];
	char body[ROOM], name[FEALTY_IDENTITY_LEN + 1];
	const struct fealty_peer *peer;
	struct fealty_record r;
	ssize_t n;
	int i;

	(void)state;
	world_burn(&w, "SN0003");
	assert_int_equal(store_only(&w, "SN0003"), 0);
	path_of("SN0003", ".next", path);
	n = file_text(path, octets, sizeof(octets));
	assert_true(n > 0);
	assert_int_equal(fealty_record_read(octets, (size_t)n, &r),
	    FEALTY_OK);
	peer = fealty_record_peer(&r, "hub");
	assert_non_null(peer);
	assert_int_equal(fealty_text_copy(&peer->identity, name,
	    sizeof(name)), FEALTY_OK);
	(void)snprintf(body, sizeof(body), "{\"identity\":\"%s\","
	    "\"audience\":\"hub\",\"tls\":\"1.3\"}", name);
	for (i = 0; i < 3; i++) {
		assert_int_equal(world_http(i % 2 ? &w : &w2, "POST",
		    "/v1/psk", w.hub, body), 200);
		assert_non_null(strstr((i % 2 ? &w : &w2)->a.body,
		    "\"pending\":true"));
		world_token(&w, "SN0003", token);
		assert_true(is_active(&w2, token));
	}
	assert_string_equal(member(&w, "SN0003", "epoch"), "1");
}

static int
ended(pid_t *pid)
{
	long deadline = process_deadline(LIMIT);
	int status = -1;

	while (!process_ended(pid, &status)) {
		assert_true(process_left(deadline));
		process_pause();
	}
	return status;
}

static void
asked_of_two_authorities_there_is_one_pending_epoch(void **state)
{
	char record[ROOM], log[ROOM];
	const char *argv[] = {"build:examples/device", "--record", record,
	    "rotate", "--store-only", "--at", NULL, NULL};
	char name[16];
	pid_t pid[4];
	int i;

	(void)state;
	world_burn(&w, "SN0004");
	for (i = 0; i < 4; i++) {
		(void)snprintf(name, sizeof(name), "twin%d", i);
		clone_as("SN0004", name);
		path_of(name, "", record);
		argv[6] = at(i % 2 ? &w : &w2);
		(void)world_file(&w, name, log);
		pid[i] = process_start(argv, log, log);
		assert_true(pid[i] > 0);
	}
	for (i = 0; i < 4; i++)
		assert_int_equal(ended(&pid[i]), 0);
	/* one is pending; the others' are dead, each of its own number */
	assert_string_equal(member(&w, "SN0004", "pending_epoch"), "5");
	assert_string_equal(member(&w, "SN0004", "epoch"), "1");
	for (i = 0; i < 4; i++) {
		(void)snprintf(name, sizeof(name), "twin%d", i);
		assert_true(epoch_of(name, ".next") >= 2);
	}
}

static void
strict_order(const char *name)
{
	CTL(&w, "order", "create", name, "--model", "m1", "--quantity", "9",
	    "--expires", "24h", "--peers", "hub", "--stations", "line1",
	    "--rotate-first");
}

static void
burn_in(const char *order, const char *serial)
{
	char url[ROOM], cred[ROOM], journal[ROOM], path[ROOM];
	char target[ROOM + 8];
	const char *argv[] = {"build:provision-tool/provision-tool", "burn",
	    "--order", order, "--serial", serial, "--target", target,
	    "--journal", world_file(&w, "journal2", journal), "--url",
	    world_url(&w, url), "--credential-file",
	    world_file(&w, "station", cred), NULL};

	(void)snprintf(target, sizeof(target), "file:%s",
	    world_file(&w, "burned", path));
	if (process_run(argv, NULL, LIMIT, &w.r) != 0)
		fail_msg("burn of %s: %s", serial, w.r.err);
}

static void
a_device_rotates_before_it_gets_anything(void **state)
{
	char token[TOKEN_ROOM];

	(void)state;
	strict_order("strict");
	burn_in("strict", "R1");
	clone_as("R1", "kept-by-station");
	assert_int_not_equal(DEVICE(&w, "R1", "1.3", "token", "--at", at(&w)),
	    0);
	assert_non_null(strstr(w.r.err, "rotation_required"));
	assert_false(connects("R1", "1.3"));
	CTL(&w, "explain", "R1");
	assert_non_null(strstr(w.r.out, "rotation_required"));
	rotate(&w, "R1");
	world_token(&w, "R1", token);
	assert_int_equal(world_show(&w, "R1", token), 0);
	/* what the station kept is worth a warning and no more */
	assert_int_not_equal(DEVICE(&w2, "kept-by-station", "1.3", "rotate",
	    "--at", at(&w2)), 0);
	assert_non_null(strstr(w2.r.err, "epoch_dead"));
	CTL(&w, "device", "show", "R1");
	assert_non_null(strstr(w.r.out, "possible clone"));
	assert_non_null(strstr(w.r.out, "count 1"));
	assert_true(is_active(&w, token));
	assert_int_equal(world_http(&w2, "GET", "/metrics", w.admin, NULL),
	    200);
	assert_non_null(strstr(w2.a.body, "\nfealty_possible_clones_total "));
	assert_null(strstr(w2.a.body, "\nfealty_possible_clones_total 0"));
	CTL(&w, "audit", "--limit", "1000");
	assert_non_null(strstr(w.r.out, "device.possible_clone"));
}

/* The clone was faster: the device is the one that comes with a dead key. */
static void
a_clone_that_comes_first_is_found_when_the_device_comes(void **state)
{
	char token[TOKEN_ROOM];

	(void)state;
	burn_in("strict", "R2");
	clone_as("R2", "clone");
	rotate(&w2, "clone");
	assert_string_equal(member(&w, "R2", "epoch"), "2");
	assert_string_equal(member(&w, "R2", "possible_clone"), "");
	assert_int_not_equal(DEVICE(&w, "R2", "1.3", "rotate", "--at",
	    at(&w)), 0);
	assert_non_null(strstr(w.r.err, "epoch_dead"));
	CTL(&w, "explain", "R2");
	assert_non_null(strstr(w.r.out, "possible clone"));
	/* it cannot be said who is genuine, so nobody is blocked */
	assert_string_equal(member(&w, "R2", "state"), "\"active\"");
	world_token(&w2, "clone", token);
	assert_true(is_active(&w, token));
}

static void
who_is_suspended_or_revoked_does_not_rotate(void **state)
{
	(void)state;
	world_burn(&w, "SN0006");
	CTL(&w, "device", "suspend", "SN0006");
	assert_int_not_equal(store_only(&w, "SN0006"), 0);
	assert_non_null(strstr(w.r.err, "device_suspended"));
	CTL(&w, "device", "reinstate", "SN0006");
	assert_int_equal(store_only(&w, "SN0006"), 0);
	assert_int_equal(world_http(&w, "POST", "/v1/devices/SN0006/revoke",
	    w.admin, "{}"), 200);
	assert_int_not_equal(DEVICE(&w, "SN0006", "1.3", "rotate", "--at",
	    at(&w)), 0);
	assert_string_equal(member(&w, "SN0006", "epoch"), "1");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(
		the_old_key_dies_with_all_it_had_and_the_new_one_goes_on),
	    cmocka_unit_test(
		cut_off_between_its_two_records_a_device_goes_on_with_either),
	    cmocka_unit_test(
		a_device_cut_off_after_the_first_use_keeps_the_new_key),
	    cmocka_unit_test(
		an_identity_without_its_key_is_no_use_of_anything),
	    cmocka_unit_test(a_look_up_at_a_gateway_ends_no_key),
	    cmocka_unit_test(
		asked_of_two_authorities_there_is_one_pending_epoch),
	    cmocka_unit_test(a_device_rotates_before_it_gets_anything),
	    cmocka_unit_test(
		a_clone_that_comes_first_is_found_when_the_device_comes),
	    cmocka_unit_test(who_is_suspended_or_revoked_does_not_rotate),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
