/*
 * Units that are scrapped at the station, and those that nobody has seen
 * authenticate yet, in real processes.
 */
#include "tests/scenario/world.h"

#include <sys/stat.h>
#include <unistd.h>

#define LIMIT 60
#define MORE_MAX 8

static struct world w;
static char place[ROOM + 8]; /* the target with the records */

static int
set_up(void **state)
{
	char path[ROOM];

	(void)state;
	world_open(&w, NULL);
	world_order(&w, 50);
	CTL(&w, "order", "create", "once", "--model", "m1", "--quantity", "2",
	    "--expires", "1h", "--stations", "line1", "--peers", "hub",
	    "--device-id", "once-{serial}", "--reburn", "never");
	(void)snprintf(place, sizeof(place), "file:%s",
	    world_file(&w, "burned", path));
	(void)mkdir(path, 0700);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	world_close(&w);
	return 0;
}

static int
tool(const char *verb, const char *order, const char *const *more)
{
	char url[ROOM], cred[ROOM], journal[ROOM];
	const char *argv[11 + MORE_MAX] = {
	    "build:provision-tool/provision-tool", verb, "--order", order,
	    "--journal", world_file(&w, "journal", journal), "--url",
	    world_url(&w, url), "--credential-file",
	    world_file(&w, "station", cred)};
	size_t n = 10;

	for (; *more != NULL && n < COUNT(argv) - 1; more++)
		argv[n++] = *more;
	return process_run(argv, NULL, LIMIT, &w.r);
}
#define TOOL(verb, order, ...) \
	tool(verb, order, (const char *const[]){__VA_ARGS__, NULL})

static int
issued(const char *order, const char *is)
{
	char path[ROOM], text[ROOM];

	(void)snprintf(path, sizeof(path), "/v1/orders/%s", order);
	assert_int_equal(world_http(&w, "GET", path, w.admin, NULL), 200);
	(void)snprintf(text, sizeof(text), "\"issued\":%s,", is);
	return strstr(w.a.body, text) != NULL;
}

static void
a_scrapped_unit_s_place_is_given_back_and_its_reason_told(void **state)
{
	(void)state;
	assert_int_equal(TOOL("burn", "first", "--serial", "SN0001",
	    "--target", "exec:false"), 1);
	assert_true(issued("first", "1"));
	assert_int_equal(TOOL("void", "first", "--serial", "SN0001"), 2);
	assert_int_equal(TOOL("void", "first", "--serial", "SN0001",
	    "--reason", "\xff"), 2);
	assert_true(issued("first", "1"));
	if (TOOL("void", "first", "--serial", "SN0001", "--reason",
	    "no power \x1b[31m") != 0)
		fail_msg("%s", w.r.err);
	assert_non_null(strstr(w.r.out, "void SN0001 (serial SN0001"));
	assert_true(issued("first", "0"));
	/* once more there is nothing to scrap */
	assert_int_equal(TOOL("void", "first", "--serial", "SN0001",
	    "--reason", "no power"), 1);
	assert_non_null(strstr(w.r.err, "SN0001 is void (not_found)"));
	/* of another journal, by name */
	assert_int_equal(TOOL("burn", "first", "--serial", "SN0002",
	    "--target", "exec:false"), 1);
	assert_int_equal(TOOL("void", "first", "--serial", "SN0009",
	    "--reason", "x"), 1);
	assert_non_null(strstr(w.r.err, "--device-id"));
	assert_int_equal(TOOL("void", "first", "--serial", "SN0002",
	    "--device-id", "SN0002", "--reason", "scratched", "--json"), 0);
	assert_non_null(strstr(w.r.out, "\"state\":\"void\""));
	if (TOOL("report", "first", "--reason", "x") != 2 ||
	    tool("report", "first", (const char *const[]){NULL}) != 0)
		fail_msg("%s", w.r.err);
	assert_non_null(strstr(w.r.out, " 2 void,"));
	assert_non_null(strstr(w.r.out, "1        no power ?[31m\n"));
	assert_non_null(strstr(w.r.out, "1        scratched\n"));
	/* the same serial number begins anew, behind what was scrapped */
	assert_int_equal(TOOL("burn", "first", "--serial", "SN0001",
	    "--target", place), 0);
	assert_non_null(strstr(w.r.out, "epoch 2"));
}

static void
what_is_finished_is_not_scrapped(void **state)
{
	(void)state;
	world_burn(&w, "SN0011");
	assert_int_equal(TOOL("void", "first", "--serial", "SN0011",
	    "--reason", "scratched"), 1);
	assert_non_null(strstr(w.r.err, "(wrong_state)"));
	assert_non_null(strstr(w.r.err, "revoke"));
	assert_int_equal(TOOL("verify", "first", "--serial", "SN0011",
	    "--target", place), 0);
}

static void
an_order_that_never_burns_again_holds_to_it(void **state)
{
	(void)state;
	assert_int_equal(TOOL("burn", "once", "--serial", "A1", "--target",
	    "exec:false"), 1);
	assert_int_equal(TOOL("burn", "once", "--serial", "A1", "--target",
	    place), 1);
	assert_non_null(strstr(w.r.err, "(serial_used)"));
	assert_int_equal(TOOL("void", "once", "--serial", "A1", "--reason",
	    "scratched"), 0);
	assert_true(issued("once", "1"));
	assert_int_equal(TOOL("burn", "once", "--serial", "A1", "--target",
	    place), 1);
	assert_non_null(strstr(w.r.err, "(serial_used)"));
	/* a burn without a mishap is as any other, and found done again */
	assert_int_equal(TOOL("burn", "once", "--serial", "A2", "--target",
	    place), 0);
	assert_int_equal(TOOL("burn", "once", "--serial", "A2", "--target",
	    place), 0);
	assert_int_equal(TOOL("burn", "once", "--serial", "A3", "--target",
	    place), 1);
	assert_non_null(strstr(w.r.err, "(order_full)"));
}

static int
show(const char *path)
{
	const char *argv[] = {"build:provision-tool/provision-tool", "show",
	    path, NULL};

	return process_run(argv, NULL, LIMIT, &w.r);
}

static void
show_says_which_cause_it_is(void **state)
{
	char path[ROOM];
	FILE *f;

	(void)state;
	assert_int_equal(show("/etc/passwd"), 1);
	assert_non_null(strstr(w.r.err, "others may read it"));
	assert_null(strstr(w.r.err, "no file"));
	assert_int_equal(show("/etc"), 1);
	assert_non_null(strstr(w.r.err, "it is no file"));
	assert_null(strstr(w.r.err, "others"));
	assert_int_equal(show("/none"), 1);
	assert_non_null(strstr(w.r.err, "no such file"));
	f = fopen(world_file(&w, "large", path), "we");
	assert_non_null(f);
	assert_int_equal(ftruncate(fileno(f), 1 << 20), 0);
	assert_int_equal(fchmod(fileno(f), 0600), 0);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(show(path), 1);
	assert_non_null(strstr(w.r.err, "larger than any identity record"));
}

static void
verify_manifest(const char *file, const char *root)
{
	CTL(&w, "manifest", "get", "first", "--out", file, "--root-out",
	    root);
	CTL(&w, "manifest", "verify", file, "--root", root);
}

static void
a_unit_is_shown_as_unproven_until_it_has_authenticated(void **state)
{
	char token[TOKEN_ROOM], file[ROOM], root[ROOM];

	(void)state;
	(void)world_file(&w, "manifest", file);
	(void)world_file(&w, "root", root);
	world_burn(&w, "SN0021");
	assert_non_null(strstr(w.r.out, "unproven until"));
	CTL(&w, "device", "show", "SN0021", "--json");
	assert_non_null(strstr(w.r.out, "\"unproven\":true"));
	CTL(&w, "device", "list", "--prefix", "SN0021");
	assert_non_null(strstr(w.r.out, "UNPROVEN"));
	assert_non_null(strstr(w.r.out, "yes"));
	verify_manifest(file, root);
	assert_non_null(strstr(w.r.out, "of them unproven"));
	/* what the station reads back is no authentication of the device */
	assert_int_equal(TOOL("verify", "first", "--serial", "SN0021",
	    "--target", place), 0);
	CTL(&w, "device", "show", "SN0021", "--json");
	assert_non_null(strstr(w.r.out, "\"unproven\":true"));
	world_token(&w, "SN0021", token);
	CTL(&w, "device", "show", "SN0021", "--json");
	assert_null(strstr(w.r.out, "unproven"));
	CTL(&w, "device", "list", "--prefix", "SN0021");
	assert_null(strstr(w.r.out, "yes"));
	CTL(&w, "audit", "--limit", "1000");
	assert_non_null(strstr(w.r.out, "device.proven"));
}

/* The gateway tells what it has seen, be the token what it may. */
static void
a_handshake_at_a_gateway_proves_it_too(void **state)
{
	long deadline = process_deadline(LIMIT);

	(void)state;
	world_gateway(&w, NULL);
	world_burn(&w, "SN0031");
	(void)world_show(&w, "SN0031", "none");
	do {
		assert_true(process_left(deadline));
		process_pause();
		CTL(&w, "device", "show", "SN0031", "--json");
	} while (strstr(w.r.out, "unproven") != NULL);
	CTL(&w, "audit", "--limit", "1000");
	assert_non_null(strstr(w.r.out, "a handshake, says gateway hub1"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(
		a_scrapped_unit_s_place_is_given_back_and_its_reason_told),
	    cmocka_unit_test(what_is_finished_is_not_scrapped),
	    cmocka_unit_test(an_order_that_never_burns_again_holds_to_it),
	    cmocka_unit_test(show_says_which_cause_it_is),
	    cmocka_unit_test(
		a_unit_is_shown_as_unproven_until_it_has_authenticated),
	    cmocka_unit_test(a_handshake_at_a_gateway_proves_it_too),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
