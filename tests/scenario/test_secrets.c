/*
 * A device's root key, and every key derived from it, is found nowhere but in
 * the record of the device: in no output, no log (of a database that writes
 * down all it is told, failures too), no command line, no environment, no
 * journal, no file, no core and no dump of the database; through burns of
 * every kind, rotations, failures and crashes. A key that was planted is found
 * in each of these places.
 */
#include "tests/scenario/life.h"

#include <ctype.h>
#include <signal.h>

#include "lib/base/b64url.h"
#include "tests/helpers/leak.h"

static unsigned char planted[32];
static char planted_hex[65], planted_HEX[65];

static int
set_up(void **state)
{
	size_t i;

	(void)state;
	memset(planted, 0xe7, sizeof(planted));
	memcpy(planted, "planted to be found", 19);
	hex_encode(planted, 32, planted_hex);
	for (i = 0; i < 64; i++)
		planted_HEX[i] = (char)toupper((unsigned char)planted_hex[i]);
	leak_key(LEAK_PLANTED, planted, "planted");
	leak_watch();
	life_lead();
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	world_close(&life_world);
	return 0;
}

/* --- that it would be found ---------------------------------------------- */

static void
run_dir(char out[2 * ROOM])
{
	(void)snprintf(out, 2 * ROOM, "%s/run", authd_fixture_dir(life_world.authd));
}

static void
dump(void)
{
	char path[ROOM + 100], socket[ROOM];
	const char *argv[] = {"/usr/lib/postgresql/15/bin/pg_dump", "-h",
	    socket, "-U", "fealty_super", "--inserts", "fealty", NULL};

	(void)snprintf(path, sizeof(path), "%s/run/socket-dir",
	    authd_fixture_dir(life_world.authd));
	assert_true(file_text(path, socket, sizeof(socket)) > 0);
	socket[strcspn(socket, "\n")] = '\0';
	if (process_run(argv, NULL, 120, &life_world.r) != 0)
		fail_msg("pg_dump: %s", life_world.r.err);
	assert_non_null(strstr(life_world.r.out, "SN0001"));
	assert_non_null(strstr(life_world.r.out, "PostgreSQL database dump complete"));
}

static void
a_key_is_found_in_each_form(void **state)
{
	char text[8 * 72], path[ROOM];
	size_t shift, i;

	(void)state;
	assert_non_null(leak_in_file(LEAK_REAL, world_file(&life_world,
	    "burned/SN0001.cbor", path)));
	assert_non_null(leak_in_file(LEAK_REAL, world_file(&life_world,
	    "burned/SN0003.env", path)));
	assert_string_equal(leak_find(LEAK_PLANTED, planted_hex, 64),
	    "planted as hex");
	assert_string_equal(leak_find(LEAK_PLANTED, planted_HEX, 64),
	    "planted as HEX");
	for (shift = 0; shift < 6; shift++) {
		memset(text, 7, sizeof(text));
		memcpy(text + 64 + shift, planted, 32);
		assert_string_equal(leak_find(LEAK_PLANTED, text, 128),
		    "planted as octets");
		b64url_encode(text + 64, 40, text + 128);
		assert_string_equal(leak_find(LEAK_PLANTED, text + 128, 60),
		    "planted as base64url");
		for (i = 128; i < 188; i++)
			text[i] = text[i] == '-' ? '+' :
			    text[i] == '_' ? '/' : text[i];
		assert_non_null(leak_find(LEAK_PLANTED, text + 128, 60));
		text[128 + 30] ^= 1;
		assert_null(leak_find(LEAK_PLANTED, text + 128, 60));
	}
}

static void
a_planted_key_is_found_in_each_place(void **state)
{
	char sql[300], path[2 * ROOM], script[3 * ROOM];
	const char *found;

	(void)state;
	/* a log of the database, by a statement that fails; its dump */
	(void)snprintf(sql, sizeof(sql), "SELECT '%s'::int", planted_hex);
	assert_int_not_equal(world_sql_status(&life_world, sql), 0);
	run_dir(path);
	assert_true(leak_below(LEAK_PLANTED, path, NULL, &found) > 1);
	assert_non_null(found);
	(void)snprintf(sql, sizeof(sql), "CREATE TABLE fealty.planted AS "
	    "SELECT decode('%s', 'hex') AS key", planted_hex);
	world_sql(&life_world, sql);
	dump();
	assert_non_null(leak_find(LEAK_PLANTED, life_world.r.out,
	    life_world.r.out_len));
	world_sql(&life_world, "DROP TABLE fealty.planted");
	/* a core, if one can be */
	(void)snprintf(script, sizeof(script), "mkdir '%s/cores' && "
	    "cd '%s/cores' && PLANT=%s sh -c 'kill -ABRT $$'",
	    life_world.dir, life_world.dir, planted_hex);
	(void)life_run((const char *const[]){"sh", "-c", script, NULL});
	assert_true(leak_below(LEAK_PLANTED, life_world.dir, NULL,
	    &found) > 10);
	if (found == NULL)
		print_message("# no core was made here\n");
	/* an output, last because it stays */
	(void)life_run((const char *const[]){"sh", "-c", "echo $0",
	    planted_hex, NULL});
	assert_non_null(leak_in_file(LEAK_PLANTED, world_file(&life_world,
	    "watched.out", path)));
}

static void
no_command_line_or_environment_has_a_key(void **state)
{
	const char *argv[] = {"sh", "-c", "sleep 100; :", planted_hex, NULL};
	const char *text, *found;
	pid_t pid;
	size_t len;

	(void)state;
	/* planted in both, it is found */
	assert_int_equal(setenv("PLANT", planted_HEX, 1), 0);
	pid = process_start(argv, "/dev/null", "/dev/null");
	assert_int_equal(unsetenv("PLANT"), 0);
	assert_true(leak_seen(planted_hex));
	assert_true(leak_seen(planted_HEX));
	(void)process_stop(&pid, SIGKILL);
	assert_true(leak_seen("authd/authd"));
	assert_true(leak_seen("postgres"));
	assert_true(leak_watched(&text, &len) > 10);
	assert_non_null(leak_find(LEAK_PLANTED, text, len));
	if ((found = leak_find(LEAK_REAL, text, len)) != NULL)
		fail_msg("%s in a command line or environment", found);
}

/* --- and is not ---------------------------------------------------------- */

/* The devices themselves, and a station's key pair. */
static int
is_a_device(const char *path)
{
	size_t len = strlen(path);

	if (len > 12 && strcmp(path + len - 12, "/station-key") == 0)
		return 1;
	return strstr(path, "/burned/") != NULL &&
	       strstr(path, ".zpl") == NULL;
}

static void
no_output_log_or_journal_has_a_key(void **state)
{
	char path[2 * ROOM];

	(void)state;
	assert_true(leak_below(LEAK_REAL, life_world.dir, is_a_device,
	    NULL) > 10);
	run_dir(path);
	assert_true(leak_below(LEAK_REAL, path, NULL, NULL) > 1);
	assert_int_equal(leak_below(LEAK_REAL,
	    authd_fixture_log(life_world.authd), NULL, NULL), 1);
}

/* That they failed, with what they were given, is in the log. */
static void
statements_did_fail_and_were_logged(void **state)
{
	static const char *const said[] = {"parameters: $1 = '",
	    "STATEMENT:  ", "\"device_key\" violates check", "\"device\" "
	    "violates check", "\"audit\" violates check",
	    "\"assertion_mark\" violates check"};
	static char text[32 << 20];
	char path[3 * ROOM], dir[2 * ROOM];
	size_t i;

	(void)state;
	run_dir(dir);
	(void)snprintf(path, sizeof(path), "%s/postgres.log", dir);
	assert_true(file_text(path, text, sizeof(text)) > 1000);
	for (i = 0; i < COUNT(said); i++)
		assert_case(strstr(text, said[i]) != NULL, said[i]);
}

static void
no_program_that_holds_keys_leaves_a_core(void **state)
{
	(void)state;
	assert_int_equal(life_cores, 0);
}

static void
no_dump_of_the_database_has_a_key(void **state)
{
	const char *found;

	(void)state;
	dump();
	found = leak_find(LEAK_REAL, life_world.r.out, life_world.r.out_len);
	if (found != NULL)
		fail_msg("%s in a dump", found);
	assert_null(strstr(life_world.r.out, life_world.admin));
	assert_null(strstr(life_world.r.out, life_world.hub));
}

static void
no_file_of_the_database_has_a_key(void **state)
{
	char path[2 * ROOM];

	(void)state;
	assert_int_equal(authd_fixture_end(life_world.authd), 0);
	(void)snprintf(path, sizeof(path), "%s/db",
	    authd_fixture_dir(life_world.authd));
	assert_true(leak_below(LEAK_REAL, path, NULL, NULL) > 100);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_key_is_found_in_each_form),
	    cmocka_unit_test(a_planted_key_is_found_in_each_place),
	    cmocka_unit_test(no_command_line_or_environment_has_a_key),
	    cmocka_unit_test(no_output_log_or_journal_has_a_key),
	    cmocka_unit_test(statements_did_fail_and_were_logged),
	    cmocka_unit_test(no_program_that_holds_keys_leaves_a_core),
	    cmocka_unit_test(no_dump_of_the_database_has_a_key),
	    cmocka_unit_test(no_file_of_the_database_has_a_key),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
