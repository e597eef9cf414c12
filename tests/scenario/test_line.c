/*
 * A line of a factory, in real processes: many units side by side, and what
 * interrupts them. However it goes, in the end each unit is one live
 * identity, and the order has given no place more.
 */
#include "tests/scenario/world.h"

#include <sys/socket.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#define UNITS 200

static struct world w;
static char list[ROOM], out[ROOM], err[ROOM], dir_target[ROOM + 8];

/* Its address stays, so that a line finds it again after a restart. */
static void
free_address(char text[32])
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	(void)snprintf(text, 32, "127.0.0.1:%u", ntohs(a.sin_port));
	assert_int_equal(close(fd), 0);
}

static int
set_up(void **state)
{
	static char address[32];
	static const char *const extra[] = {"--listen", address, NULL};
	char path[ROOM];

	(void)state;
	free_address(address);
	world_open(&w, extra);
	world_order(&w, 1000);
	(void)world_file(&w, "list", list);
	(void)world_file(&w, "line.out", out);
	(void)world_file(&w, "line.err", err);
	(void)snprintf(dir_target, sizeof(dir_target), "file:%s",
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

static void
write_list(unsigned from, unsigned to, const char *in_the_middle)
{
	FILE *f = fopen(list, "we");
	unsigned i;

	assert_non_null(f);
	for (i = from; i <= to; i++) {
		(void)fprintf(f, "SN%04u\n", i);
		if (i == (from + to) / 2 && in_the_middle != NULL)
			(void)fprintf(f, "%s\n", in_the_middle);
	}
	assert_int_equal(fclose(f), 0);
}

/* Started in the background, with more options behind. */
static pid_t
start_with(const char *target, const char *slots, const char *more,
    const char *yet_more)
{
	char url[ROOM], cred[ROOM], journal[ROOM];
	const char *argv[] = {"build:provision-tool/provision-tool", "run",
	    "--order", "first", "--serials", list, "--slots", slots,
	    "--target", target, "--journal",
	    world_file(&w, "journal", journal), "--url", world_url(&w, url),
	    "--credential-file", world_file(&w, "station", cred), "--json",
	    more, yet_more, NULL};
	pid_t pid;

	(void)unlink(out);
	(void)unlink(err);
	pid = process_start(argv, out, err);
	assert_true(pid > 0);
	return pid;
}

static pid_t
start_line(const char *target, const char *slots, const char *more)
{
	return start_with(target, slots, more, NULL);
}

static int
end_of(pid_t pid)
{
	long deadline = process_deadline(120);
	int status = -2;

	while (!process_ended(&pid, &status)) {
		assert_true(process_left(deadline));
		process_pause();
	}
	return status;
}

static int
run_line(const char *target, const char *slots, const char *more)
{
	return end_of(start_line(target, slots, more));
}

/* Lines of the output that hold text; each has to be an object of its own. */
static unsigned
lines_with(const char *text)
{
	static char all[262144];
	char *line, *rest;
	unsigned n = 0;
	ssize_t len = file_text(out, all, sizeof(all));

	assert_true(len >= 0 && (size_t)len < sizeof(all) - 1);
	for (line = strtok_r(all, "\n", &rest); line != NULL;
	     line = strtok_r(NULL, "\n", &rest)) {
		assert_true(line[0] == '{' && line[strlen(line) - 1] == '}');
		n += strstr(line, text) != NULL;
	}
	return n;
}

static int
said(const char *text)
{
	static char all[65536];

	return file_text(err, all, sizeof(all)) > 0 &&
	       strstr(all, text) != NULL;
}

/* Tries of the unit in what the report is made of, and code of them. */
static unsigned
tries_of(const char *serial, const char *code)
{
	static char all[1 << 20];
	char path[ROOM], unit[64], end[64], *line, *rest;
	unsigned n = 0;

	(void)world_file(&w, "journal/first.stats.jsonl", path);
	assert_true(file_text(path, all, sizeof(all)) > 0);
	(void)snprintf(unit, sizeof(unit), "\"serial\":\"%s\"", serial);
	(void)snprintf(end, sizeof(end), "\"code\":\"%s\"", code);
	for (line = strtok_r(all, "\n", &rest); line != NULL;
	     line = strtok_r(NULL, "\n", &rest))
		n += strstr(line, unit) != NULL && strstr(line, end) != NULL;
	return n;
}

static void
assert_counts(const char *active, const char *issued)
{
	char want[64];

	world_sql(&w, "SELECT (SELECT count(DISTINCT serial) FROM fealty.device "
	    "WHERE state = 2), (SELECT count(*) FROM fealty.device), "
	    "(SELECT issued FROM fealty.production_order)");
	(void)snprintf(want, sizeof(want), "%s|%s|%s\n", active, issued,
	    issued);
	assert_string_equal(w.r.out, want);
}

static void
one_bad_serial_number_among_many_is_named_and_holds_up_nothing(void **state)
{
	(void)state;
	write_list(1, UNITS, "SN12 34");
	assert_int_equal(run_line(dir_target, "8", NULL), 1);
	assert_int_equal(lines_with("\"result\":\"done\""), UNITS);
	assert_int_equal(lines_with("\"state\":\"active\""), UNITS);
	assert_int_equal(lines_with("\"result\":\"refused\""), 1);
	assert_true(said("unit SN12: serial: "));
	assert_true(said("200 done (0 before), 1 refused"));
	assert_counts("200", "200");
}

static void
same_list_again_goes_on_from_the_journal_and_asks_nobody(void **state)
{
	char before[64];

	(void)state;
	write_list(1, UNITS, NULL);
	world_sql(&w, "SELECT count(*) FROM fealty.audit");
	(void)snprintf(before, sizeof(before), "%.60s", w.r.out);
	assert_int_equal(run_line(dir_target, "8", NULL), 0);
	world_sql(&w, "SELECT count(*) FROM fealty.audit");
	assert_string_equal(w.r.out, before);
	assert_true(said("200 done (200 before), 0 refused"));
	assert_int_equal(lines_with("\"before\":true"), UNITS);
	assert_int_equal(lines_with("\"resumed\""), 0);
	assert_int_equal(lines_with("\"ms\""), 0);
	assert_int_equal(run_line(dir_target, "4", "--again"), 0);
	assert_int_equal(lines_with("\"state\":\"active\""), UNITS);
	assert_counts("200", "200");
}

static void
same_serial_number_twice_in_a_list_is_one_identity(void **state)
{
	(void)state;
	write_list(300, 305, "SN0300\nSN0301\nSN0303\nSN0303");
	assert_int_equal(run_line(dir_target, "8", NULL), 0);
	assert_int_equal(lines_with("\"result\":\"done\""), 10);
	assert_counts("206", "206");
}

static void
authority_that_dies_and_comes_back_costs_time_and_no_unit(void **state)
{
	pid_t line;

	(void)state;
	write_list(400, 479, NULL);
	line = start_line(dir_target, "8", NULL);
	assert_int_equal(file_wait(out, "SN0405", 60), 0);
	authd_fixture_crash(w.authd);
	assert_int_equal(authd_fixture_restart(w.authd), 0);
	assert_int_equal(end_of(line), 0);
	assert_int_equal(lines_with("\"result\":\"done\""), 80);
	assert_counts("286", "286");
}

static void
authority_that_stays_away_stops_the_line_which_goes_on_later(void **state)
{
	(void)state;
	write_list(500, 520, NULL);
	assert_int_equal(authd_fixture_end(w.authd), 0);
	assert_int_equal(run_line(dir_target, "2", "--wait=2s"), 3);
	assert_true(said("the trouble does not pass"));
	assert_int_equal(lines_with("\"result\":\"done\""), 0);
	/* each try of the one in hand is in the report */
	assert_true(tries_of("SN0500", "network") > 1);
	assert_int_equal(authd_fixture_restart(w.authd), 0);
	assert_int_equal(run_line(dir_target, "2", NULL), 0);
	assert_counts("307", "307");
}

/* A tool that takes its time in one slot, until the file go is there. */
static void
write_tool(char target[3 * ROOM])
{
	char tool[ROOM], text[4 * ROOM];
	FILE *f;

	(void)world_file(&w, "tool", tool);
	(void)snprintf(text, sizeof(text), "#!/bin/sh\n"
	    "while [ \"$1\" = 1 ] && ! [ -e '%s/go' ]; do\n"
	    "\techo held >'%s/held'; sleep 0.02\ndone\n"
	    "cat <&3 >'%s/chip-'\"$1\"\n", w.dir, w.dir, w.dir);
	f = fopen(tool, "we");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(tool, 0700), 0);
	(void)snprintf(target, 3 * ROOM, "exec:%s {slot},verify=cat "
	    "%s/chip-{slot}", tool, w.dir);
}

/* Makes that file; its name goes to path. */
static void
let_go(char path[ROOM])
{
	FILE *f = fopen(world_file(&w, "go", path), "we");

	assert_non_null(f);
	assert_int_equal(fclose(f), 0);
}

static void
slow_tool_in_one_slot_holds_up_no_other(void **state)
{
	char target[3 * ROOM], go[ROOM];
	pid_t line;

	(void)state;
	write_tool(target);
	write_list(600, 615, NULL);
	line = start_line(target, "4", NULL);
	/* fifteen of them are done while slot 1 stands still */
	for (int i = 0; i < 6000 && lines_with("\"done\"") < 15; i++)
		process_pause();
	assert_int_equal(lines_with("\"done\""), 15);
	assert_int_equal(lines_with("\"slot\":1,"), 0);
	let_go(go);
	assert_int_equal(end_of(line), 0);
	assert_int_equal(lines_with("\"done\""), 16);
	assert_int_equal(unlink(go), 0);
	assert_counts("323", "323");
}

/* A line of one slot whose first unit is held at its target by the tool. */
static pid_t
start_held(char target[3 * ROOM])
{
	char path[ROOM];
	pid_t line;

	write_tool(target);
	(void)unlink(world_file(&w, "held", path));
	line = start_line(target, "1", NULL);
	assert_int_equal(file_wait(path, "held", 60), 0);
	return line;
}

static void
interrupted_line_finishes_what_it_has_in_hand(void **state)
{
	char target[3 * ROOM], path[ROOM];
	pid_t line;

	(void)state;
	write_list(700, 703, NULL);
	line = start_held(target);
	assert_int_equal(kill(line, SIGINT), 0);
	assert_int_equal(file_wait(err, "finishing 1 in hand", 60), 0);
	let_go(path);
	assert_int_equal(end_of(line), 3);
	assert_int_equal(lines_with("\"done\""), 1);
	assert_counts("324", "324");
	assert_int_equal(run_line(target, "1", NULL), 0);
	assert_true(said("4 done (1 before)"));
	assert_int_equal(unlink(path), 0);
	assert_counts("327", "327");
}

static void
second_signal_rolls_back_what_is_not_alive(void **state)
{
	char target[3 * ROOM], path[ROOM];
	pid_t line;

	(void)state;
	write_list(800, 801, NULL);
	line = start_held(target);
	assert_int_equal(kill(line, SIGTERM), 0);
	assert_int_equal(file_wait(err, "finishing 1 in hand", 60), 0);
	assert_int_equal(kill(line, SIGTERM), 0);
	assert_int_equal(file_wait(err, "rolling back", 60), 0);
	let_go(path);
	assert_int_equal(end_of(line), 3);
	assert_int_equal(lines_with("\"result\":\"stopped\""), 1);
	assert_counts("327", "328"); /* its place, and nothing alive */
	assert_int_equal(run_line(target, "1", NULL), 0);
	assert_counts("329", "329");
}

static int
check_slots(const char *order, const char *target, const char *url,
    const char *slots)
{
	char cred[ROOM], journal[ROOM], room[ROOM];
	const char *argv[] = {"build:provision-tool/provision-tool", "check",
	    "--order", order, "--target", target, "--slots", slots,
	    "--journal", world_file(&w, "journal", journal), "--url",
	    url == NULL ? world_url(&w, room) : url, "--credential-file",
	    world_file(&w, "station", cred), NULL};

	return process_run(argv, NULL, 60, &w.r);
}

static int
check(const char *order, const char *target, const char *url)
{
	return check_slots(order, target, url, "2");
}

static void
check_before_a_shift_says_what_is_wrong_and_changes_nothing(void **state)
{
	(void)state;
	assert_int_equal(check("first", dir_target, NULL), 0);
	assert_true(world_says(&w, "671 of 1000 places left"));
	assert_true(world_says(&w, "clock      ok: "));
	assert_true(world_says(&w, "target 2   ok: file:"));
	assert_true(world_says(&w, ", fsync "));
	assert_null(strstr(w.r.out, "NOT OK"));
	assert_int_equal(check("other", dir_target, NULL), 1);
	assert_true(world_says(&w, "authority  NOT OK: "));
	assert_int_equal(check("first", "file:/nowhere", NULL), 1);
	assert_true(world_says(&w, "target 1   NOT OK: "));
	assert_int_equal(check("first", dir_target, "http://127.0.0.1:1"), 3);
	assert_true(world_says(&w, "(network)"));
	assert_counts("329", "329");
}

static void
slots_that_are_the_same_place_are_refused(void **state)
{
	(void)state;
	write_list(900, 901, NULL);
	assert_int_equal(run_line("exec:/bin/true", "2", NULL), 2);
	assert_true(said("slots 1 and 2 are the same place"));
	/* and check says so beforehand */
	assert_int_equal(check("first", "exec:/bin/true", NULL), 1);
	assert_true(world_says(&w, "target 1   ok: "));
	assert_true(world_says(&w, "target 2   NOT OK: "));
	assert_int_equal(check_slots("first", dir_target, NULL, "0"), 2);
	assert_counts("329", "329");
}

/* Of three units two are for slot 1, where the tool never ends. */
static void
dead_unit_in_one_slot_does_not_end_the_line(void **state)
{
	char target[3 * ROOM], go[ROOM];
	FILE *f;

	(void)state;
	write_tool(target);
	(void)unlink(world_file(&w, "go", go));
	(void)snprintf(target + strlen(target),
	    sizeof(target) - strlen(target), ",timeout=2s");
	f = fopen(list, "we");
	assert_non_null(f);
	assert_true(fputs("SN0950 1\nSN0951 1\nSN0952 2\n", f) >= 0);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(run_line(target, "2", "--wait=100ms"), 3);
	assert_true(said("1 done (0 before), 0 refused, 2 to try again"));
	assert_false(said("stopped before the end"));
	assert_int_equal(lines_with("\"result\":\"done\""), 1);
	assert_int_equal(tries_of("SN0951", "timeout"), 1);
	assert_counts("330", "332");
}

static void
same_command_again_makes_the_label_that_failed(void **state)
{
	char dir[ROOM], option[ROOM + 32], path[ROOM];

	(void)state;
	(void)world_file(&w, "labels", dir);
	(void)snprintf(option, sizeof(option), "--label-dir=%s", dir);
	write_list(960, 961, NULL);
	assert_int_equal(end_of(start_with(dir_target, "2", "--label=zpl",
	    option)), 1);
	assert_int_equal(lines_with("\"step\":\"label\""), 2);
	assert_counts("332", "334");
	assert_int_equal(mkdir(dir, 0700), 0);
	assert_int_equal(end_of(start_with(dir_target, "2", "--label=zpl",
	    option)), 0);
	assert_true(said("2 done (2 before)"));
	(void)world_file(&w, "labels/SN0960.zpl", path);
	assert_int_equal(access(path, F_OK), 0);
	assert_int_equal(tries_of("SN0960", "ok"), 1);
	assert_counts("332", "334");
}

static void
report_counts_units_once_and_every_try(void **state)
{
	char cred[ROOM], journal[ROOM], url[ROOM];
	const char *argv[] = {"build:provision-tool/provision-tool", "report",
	    "--order", "first", "--journal", world_file(&w, "journal", journal),
	    "--url", world_url(&w, url), "--credential-file",
	    world_file(&w, "station", cred), "--json", NULL};

	(void)state;
	assert_int_equal(process_run(argv, NULL, 60, &w.r), 0);
	assert_true(world_says(&w, "\"issued\":334,\"left\":666,"));
	assert_true(world_says(&w, "\"begun\":334,\"done\":332,"));
	assert_true(world_says(&w,
	    "{\"step\":\"write\",\"code\":\"timeout\",\"tries\":2}"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(
		one_bad_serial_number_among_many_is_named_and_holds_up_nothing),
	    cmocka_unit_test(
		same_list_again_goes_on_from_the_journal_and_asks_nobody),
	    cmocka_unit_test(
		same_serial_number_twice_in_a_list_is_one_identity),
	    cmocka_unit_test(
		authority_that_dies_and_comes_back_costs_time_and_no_unit),
	    cmocka_unit_test(
		authority_that_stays_away_stops_the_line_which_goes_on_later),
	    cmocka_unit_test(slow_tool_in_one_slot_holds_up_no_other),
	    cmocka_unit_test(
		interrupted_line_finishes_what_it_has_in_hand),
	    cmocka_unit_test(second_signal_rolls_back_what_is_not_alive),
	    cmocka_unit_test(
		check_before_a_shift_says_what_is_wrong_and_changes_nothing),
	    cmocka_unit_test(slots_that_are_the_same_place_are_refused),
	    cmocka_unit_test(dead_unit_in_one_slot_does_not_end_the_line),
	    cmocka_unit_test(same_command_again_makes_the_label_that_failed),
	    cmocka_unit_test(report_counts_units_once_and_every_try),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
