/*
 * The tool, cut off at every call and at random, on a disk that keeps only
 * what was synced, or is full, or fails: the same command again brings every
 * unit to exactly one live identity, which a device holds.
 * So a line of units side by side.
 *   CRASH_ROUNDS, CRASH_SEED, CRASH_KIND: see burn.sh
 */
#include "tests/crash/station.h"

#include <sys/stat.h>
#include <fcntl.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#define ALL (CUT_FILE | CUT_SOCKET)
#define UNITS_A_DISK 6
#define SAY_EVERY 50
#define LINE_UNITS 6
#define LINE_SLOTS 3
#define LONGEST 120000000 /* ns of a burn, of a line more */

static struct world w;
static uint64_t seed;
static unsigned serial_number;

/* One round's story, for when it ends badly. */
static char story[2000];

static void
tell(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void
tell(const char *format, ...)
{
	size_t n = strlen(story);
	va_list ap;

	va_start(ap, format);
	(void)vsnprintf(story + n, sizeof(story) - n, format, ap);
	va_end(ap);
}

static void
put(const char *name, const char *octets, size_t len)
{
	char path[ROOM];
	int fd = open(world_file(&w, name, path), O_WRONLY | O_CREAT, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, octets, len), (ssize_t)len);
	assert_int_equal(close(fd), 0);
}

/* A device that is torn when its command is. */
static const char device_write[] =
    "cat <&3 >\"${0%/*}/$FEALTY_DEVICE_ID.dev\"\n";
static const char device_read[] =
    "cat \"${0%/*}/$FEALTY_DEVICE_ID.dev\"\n";

static int
set_up(void **state)
{
	static char image[8192];
	char path[ROOM];
	size_t i;

	(void)state;
	seed = crash_seed();
	world_open(&w, NULL);
	CTL(&w, "caller", "create", "line1", "--role", "station",
	    "--credential-out", world_file(&w, "station", path));
	CTL(&w, "audience", "set", "hub", "127.0.0.1:1");
	for (i = 0; i < nkinds; i++)
		CTL(&w, "order", "create", kinds[i].name, "--model", "m1",
		    "--quantity", "100000", "--expires", "24h", "--peers", "hub",
		    "--stations", "line1");
	memset(image, 0xff, sizeof(image));
	put("image.in", image, sizeof(image));
	put("device-write", device_write, strlen(device_write));
	put("device-read", device_read, strlen(device_read));
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	world_close(&w);
	return 0;
}

/* The next unit, or the first of the next line. */
static void
next_serial(const struct station *s, char out[16])
{
	(void)snprintf(out, 16, "SN%06u", serial_number + 1);
	serial_number += s->line > 0 ? s->line : 1;
}

static void
expect_sound(struct station *s, int done)
{
	char finding[ROOM];

	if (station_finding(s, done, finding))
		fail_msg("%s\n%s: %s", story, s->kind->name, finding);
}

/* The tool, not disturbed, must do it. */
static void
burn_well(struct station *s, const char *serial)
{
	int status;

	station_arm(s, CUT_NOTHING, 0, 0);
	if ((status = station_burn(s, serial)) != 0)
		fail_msg("%s\n%s: again: %d %s", story, s->kind->name, status,
		    s->said);
}

/* How many calls a burn makes. */
static struct calls
count_calls(struct station *s)
{
	struct calls n;
	char serial[16];

	next_serial(s, serial);
	station_arm(s, CUT_NOTHING, ALL, 0);
	assert_int_equal(station_burn(s, serial), 0);
	n.all = atomic_load(&s->cut->calls);
	next_serial(s, serial);
	station_arm(s, CUT_NOTHING, CUT_SPACE, 0);
	assert_int_equal(station_burn(s, serial), 0);
	n.space = atomic_load(&s->cut->calls);
	assert_true(n.space >= 6 && n.all > n.space);
	return n;
}

static void
cut_power(struct station *s, enum power how)
{
	static const char *const names[] = {"stays", "drops", "chances"};

	tell(", power %s", names[how]);
	disk_cut(&s->disk, how, s->seed);
}

static enum power
some_power(void)
{
	static const enum power often[] = {POWER_DROPS, POWER_DROPS,
	    POWER_CHANCES, POWER_CHANCES, POWER_STAYS};

	return often[chance(&seed, COUNT(often))];
}

/* Killed from outside, at any moment. */
static int
burn_killed(struct station *s, const char *serial)
{
	const struct timespec ts = {0, (long)chance(&seed,
	    s->line > 0 ? 3 * LONGEST : LONGEST)};
	pid_t pid;

	station_arm(s, CUT_NOTHING, 0, 0);
	pid = station_start(s, serial);
	(void)nanosleep(&ts, NULL);
	tell("\n killed after %ld us", ts.tv_nsec / 1000);
	return process_stop(&pid, SIGKILL);
}

/* Of how the run is spoilt, and where: where is 0 to 1 of its calls. */
static int
burn_spoilt(struct station *s, const char *serial, const struct calls *n,
    double where)
{
	static const enum cut_action often[] = {CUT_KILL, CUT_KILL, CUT_KILL,
	    CUT_TEAR, CUT_FULL, CUT_FAIL};
	static const char *const names[] = {[CUT_KILL] = "killed",
	    [CUT_TEAR] = "torn", [CUT_FULL] = "full", [CUT_FAIL] = "failed"};
	enum cut_action a = often[chance(&seed, COUNT(often))];
	int all = a == CUT_KILL || a == CUT_FAIL, status;
	unsigned of = all ? n->all : n->space;
	unsigned at = 1 + (unsigned)(where * of);

	if (chance(&seed, 8) == 0)
		return burn_killed(s, serial);
	station_arm(s, a, a == CUT_KILL ? ALL : all ? CUT_FILE : CUT_SPACE, at);
	status = station_burn(s, serial);
	tell("\n %s at %u of %u (%s): %d", names[a], at, of, s->cut->what,
	    status);
	if (status >= 0 && (a == CUT_KILL || a == CUT_TEAR) &&
	    atomic_load(&s->cut->hit))
		fail_msg("%s: a killed tool ended by itself", story);
	return status;
}

static void
round_of(struct station *s, const struct calls *n, double where)
{
	unsigned cuts = 1 + (unsigned)chance(&seed, 3), c;
	char serial[16];
	int status;

	if (s->nunits >= UNITS_A_DISK)
		station_new_disk(s);
	next_serial(s, serial);
	for (c = 0; c < cuts; c++) {
		status = burn_spoilt(s, serial, n, c == 0 ? where :
		    (double)chance(&seed, 1000) / 1000);
		if (status < 0 || chance(&seed, 2) == 0)
			cut_power(s, some_power());
		expect_sound(s, 0);
	}
	burn_well(s, serial);
	cut_power(s, POWER_DROPS); /* what is done is done */
	expect_sound(s, 1);
	if (chance(&seed, 4) == 0) {
		burn_well(s, serial);
		expect_sound(s, 1);
	}
}

static int
is_chosen(const char *name)
{
	const char *only = getenv("CRASH_KIND");

	return only == NULL || strcmp(only, name) == 0;
}

static void
rounds_at(struct station *s)
{
	unsigned rounds = crash_rounds(25), i;
	struct calls n = count_calls(s);
	char finding[ROOM];

	for (i = 0; i < rounds; i++) {
		(void)snprintf(story, sizeof(story), "round %u", i);
		round_of(s, &n, (i + (double)chance(&seed, 1000) / 1000) /
		    rounds);
		if ((i + 1) % SAY_EVERY == 0)
			print_message("# %s: %u of %u rounds\n", s->name,
			    i + 1, rounds);
	}
	if (order_finding(&w, s->order, finding))
		fail_msg("%s", finding);
}

static void
rounds_of(const char *kind)
{
	struct station s;

	if (!is_chosen(kind))
		return;
	station_open(&s, &w, kind_find(kind), kind, kind, &seed);
	rounds_at(&s);
	station_close(&s);
}

/* What one slot loses when another is cut off in the middle of its step. */
static void
so_every_unit_of_a_line(void **state)
{
	struct station s;

	(void)state;
	if (!is_chosen("line"))
		return;
	station_open(&s, &w, kind_find("file"), "line", "file", &seed);
	s.line = LINE_UNITS;
	s.slots = LINE_SLOTS;
	rounds_at(&s);
	station_close(&s);
}

#define ROUNDS(name, kind)             \
	static void                    \
	name(void **state)             \
	{                              \
		(void)state;           \
		rounds_of(kind);       \
	}
ROUNDS(a_file_burn_cut_anywhere_ends_with_one_live_identity, "file")
ROUNDS(so_in_the_form_for_systemd, "env")
ROUNDS(so_in_the_form_for_people, "text")
ROUNDS(so_a_firmware_image, "image")
ROUNDS(so_an_nvs_partition, "esp-nvs")
ROUNDS(so_what_a_tool_writes, "exec")

/* No call is left out: each in turn, and only what was synced is there. */
static void
killed_before_every_call_it_goes_on(void **state)
{
	struct station s;
	struct calls n;
	char serial[16];
	unsigned at;

	(void)state;
	if (!is_chosen("file"))
		return;
	station_open(&s, &w, kind_find("file"), "every", "file", &seed);
	n = count_calls(&s);
	for (at = 1; at <= n.all; at++) {
		(void)snprintf(story, sizeof(story), "call %u of %u", at,
		    n.all);
		/* an empty disk has folders to be made */
		station_new_disk(&s);
		next_serial(&s, serial);
		station_arm(&s, CUT_KILL, ALL, at);
		assert_int_equal(station_burn(&s, serial), -1);
		cut_power(&s, POWER_DROPS);
		expect_sound(&s, 0);
		burn_well(&s, serial);
		cut_power(&s, POWER_DROPS);
		expect_sound(&s, 1);
	}
	station_close(&s);
}

#define REPORT_WRITES 2 /* its file is made, its line written */

static void
full_at_every_write_it_says_so_and_goes_on(void **state)
{
	struct station s;
	struct calls n;
	char serial[16];
	unsigned at;

	(void)state;
	if (!is_chosen("file"))
		return;
	station_open(&s, &w, kind_find("file"), "full", "file", &seed);
	n = count_calls(&s);
	for (at = 1; at <= n.space; at++) {
		(void)snprintf(story, sizeof(story), "write %u of %u", at,
		    n.space);
		station_new_disk(&s);
		next_serial(&s, serial);
		station_arm(&s, CUT_FULL, CUT_SPACE, at);
		if (at > n.space - REPORT_WRITES) {
			/* The last are the report's: the burn is done. */
			assert_int_equal(station_burn(&s, serial), 0);
			cut_power(&s, POWER_DROPS);
			expect_sound(&s, 1);
			continue;
		}
		assert_int_equal(station_burn(&s, serial), 1);
		assert_case(strstr(s.said, serial) != NULL, s.said);
		assert_case(strstr(s.said, "No space left") != NULL, s.said);
		assert_case(strstr(s.said, "same command again") != NULL,
		    s.said);
		cut_power(&s, POWER_DROPS);
		expect_sound(&s, 0);
		burn_well(&s, serial);
		expect_sound(&s, 1);
	}
	station_close(&s);
}

/* --- what is lost after it was done --------------------------------------- */

static void
burn_and_lose(struct station *s, const char *folder, const char *suffix)
{
	char serial[16], path[CUT_PATH + 128];

	next_serial(s, serial);
	burn_well(s, serial);
	(void)snprintf(path, sizeof(path), "%s/%s/%s%s", s->disk.root, folder,
	    strcmp(suffix, ".jsonl") == 0 ? s->order : serial, suffix);
	assert_int_equal(unlink(path), 0);
	station_arm(s, CUT_NOTHING, 0, 0);
	assert_int_equal(station_burn(s, serial), 1);
	assert_case(strstr(s->said, "serial_used") != NULL, s->said);
	(void)snprintf(path, sizeof(path), "device %s is active", serial);
	assert_case(strstr(s->said, path) != NULL, s->said);
	assert_case(strstr(s->said, "have that device revoked") != NULL,
	    s->said);
	assert_case(strchr(s->said, '\n')[1] == '\0', s->said);
}

/* No second identity is made of it, and the line says what to do. */
static void
a_medium_that_dies_when_all_is_done_is_explained(void **state)
{
	struct station s;

	(void)state;
	story[0] = '\0';
	station_open(&s, &w, kind_find("file"), "dies", "file", &seed);
	burn_and_lose(&s, "burned", ".cbor");
	station_close(&s);
}

static void
a_journal_that_is_lost_when_all_is_done_makes_no_second_one(void **state)
{
	struct station s;

	(void)state;
	story[0] = '\0';
	station_open(&s, &w, kind_find("file"), "lost", "file", &seed);
	burn_and_lose(&s, "var/journal", ".jsonl");
	station_close(&s);
}

/* A run that ended before its journal was synced; the next asks nobody. */
static void
what_a_line_passes_over_is_on_the_disk(void **state)
{
	struct station s;
	char serial[16];

	(void)state;
	story[0] = '\0';
	station_open(&s, &w, kind_find("file"), "over", "file", &seed);
	s.line = LINE_UNITS;
	s.slots = LINE_SLOTS;
	(void)snprintf(s.cut->lie, sizeof(s.cut->lie), ".jsonl");
	next_serial(&s, serial);
	burn_well(&s, serial);
	s.cut->lie[0] = '\0';
	burn_well(&s, serial);
	cut_power(&s, POWER_DROPS);
	expect_sound(&s, 1);
	station_close(&s);
}

/* --- that it would be found ----------------------------------------------- */

/*
 * A disk on which the sync of this does nothing; the finding, or "". Of one
 * unit, or of a line of so many.
 */
static void
burn_on_a_liar(const char *lie, unsigned line, char finding[ROOM])
{
	struct station s;
	char serial[16];

	finding[0] = '\0';
	station_open(&s, &w, kind_find("file"), "liar", "file", &seed);
	(void)snprintf(s.cut->lie, sizeof(s.cut->lie), "%s", lie);
	s.line = line;
	s.slots = LINE_SLOTS;
	next_serial(&s, serial);
	station_arm(&s, CUT_NOTHING, 0, 0);
	assert_int_equal(station_burn(&s, serial), 0);
	disk_cut(&s.disk, POWER_DROPS, &seed);
	if (station_finding(&s, 1, finding))
		print_message("# %s not synced: %s\n", lie, finding);
	station_close(&s);
}

static void
a_journal_that_is_not_synced_is_found(void **state)
{
	char finding[ROOM];

	(void)state;
	burn_on_a_liar("/journal", 0, finding);
	assert_non_null(strstr(finding, "the journal says less"));
	burn_on_a_liar(".jsonl", 0, finding);
	assert_non_null(strstr(finding, "the journal says less"));
	burn_on_a_liar(".jsonl", LINE_UNITS, finding);
	assert_non_null(strstr(finding, "the journal says less"));
}

static void
a_record_that_is_not_synced_is_found(void **state)
{
	char finding[ROOM];

	(void)state;
	burn_on_a_liar(".cbor", 0, finding);
	assert_non_null(strstr(finding, "no device holds it"));
	burn_on_a_liar("/burned", 0, finding);
	assert_non_null(strstr(finding, "no device holds it"));
	burn_on_a_liar(".cbor", LINE_UNITS, finding);
	assert_non_null(strstr(finding, "no device holds it"));
}

static void
a_disk_that_tells_the_truth_is_not_blamed(void **state)
{
	char finding[ROOM];

	(void)state;
	burn_on_a_liar("", 0, finding);
	assert_string_equal(finding, "");
	burn_on_a_liar("", LINE_UNITS, finding);
	assert_string_equal(finding, "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_disk_that_tells_the_truth_is_not_blamed),
	    cmocka_unit_test(a_journal_that_is_not_synced_is_found),
	    cmocka_unit_test(a_record_that_is_not_synced_is_found),
	    cmocka_unit_test(killed_before_every_call_it_goes_on),
	    cmocka_unit_test(full_at_every_write_it_says_so_and_goes_on),
	    cmocka_unit_test(a_medium_that_dies_when_all_is_done_is_explained),
	    cmocka_unit_test(
		a_journal_that_is_lost_when_all_is_done_makes_no_second_one),
	    cmocka_unit_test(what_a_line_passes_over_is_on_the_disk),
	    cmocka_unit_test(
		a_file_burn_cut_anywhere_ends_with_one_live_identity),
	    cmocka_unit_test(so_in_the_form_for_systemd),
	    cmocka_unit_test(so_in_the_form_for_people),
	    cmocka_unit_test(so_a_firmware_image),
	    cmocka_unit_test(so_an_nvs_partition),
	    cmocka_unit_test(so_what_a_tool_writes),
	    cmocka_unit_test(so_every_unit_of_a_line),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
