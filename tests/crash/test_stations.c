/*
 * Eight stations race for the last hundred identities of an order. Their
 * clocks are wrong, their journals are deleted and copied from one to the
 * other, they are killed, they fight for the same serial numbers: exactly a
 * hundred are made, never one more.
 */
#include "tests/crash/station.h"

#include <sys/stat.h>
#include <fcntl.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#define STATIONS 8
#define EARLIER 3 /* made before the race */
#define LAST 100
#define SERIALS 150 /* more than there is room for */
#define SECONDS 150

static struct world w;
static uint64_t seed;
static struct station line[STATIONS];
static pid_t tool[STATIONS];
static char on[STATIONS][16]; /* the serial number in hand */
/* of a serial number: the stations' verdicts */
static enum { OPEN, BURNED, REFUSED } fate[SERIALS];
static unsigned tries[SERIALS];

/* Seconds by which a station's clock is wrong. */
static const int64_t clocks[STATIONS] = {0, 3600, -3600,
    INT64_C(10) * 365 * 86400, INT64_C(-10) * 365 * 86400,
    INT64_C(-1790000000), 86400, INT64_C(1) << 33};

static int
set_up(void **state)
{
	char name[16], names[200] = "", path[ROOM], quantity[16];
	unsigned i;

	(void)state;
	seed = crash_seed();
	world_open(&w, NULL);
	CTL(&w, "audience", "set", "hub", "127.0.0.1:1");
	for (i = 0; i < STATIONS; i++) {
		(void)snprintf(name, sizeof(name), "line%u", i);
		(void)snprintf(names + strlen(names),
		    sizeof(names) - strlen(names), "%s%s", i ? "," : "", name);
		CTL(&w, "caller", "create", name, "--role", "station",
		    "--credential-out", world_file(&w, name, path));
	}
	(void)snprintf(quantity, sizeof(quantity), "%u", EARLIER + LAST);
	CTL(&w, "order", "create", "race", "--model", "m1", "--quantity",
	    quantity, "--expires", "24h", "--peers", "hub", "--stations",
	    names);
	for (i = 0; i < STATIONS; i++) {
		(void)snprintf(name, sizeof(name), "line%u", i);
		station_open(&line[i], &w, kind_find("file"), name, "race",
		    &seed);
		(void)world_file(&w, name, line[i].credential);
		line[i].cut->clock_s = clocks[i];
	}
	return 0;
}

static int
tear_down(void **state)
{
	unsigned i;

	(void)state;
	for (i = 0; i < STATIONS; i++) {
		if (tool[i] > 0)
			(void)process_stop(&tool[i], SIGKILL);
		station_close(&line[i]);
	}
	world_close(&w);
	return 0;
}

static void
journal_of(const struct station *s, char path[CUT_PATH + 64])
{
	(void)snprintf(path, CUT_PATH + 64, "%s/var/journal/race.jsonl",
	    s->disk.root);
}

static void
copy_journal(const struct station *from, const struct station *to)
{
	static char text[1 << 20];
	char a[CUT_PATH + 64], b[CUT_PATH + 64];
	ssize_t len;
	int fd;

	journal_of(from, a);
	journal_of(to, b);
	if ((len = file_text(a, text, sizeof(text))) < 0)
		return;
	fd = open(b, O_WRONLY | O_TRUNC | O_CLOEXEC);
	if (fd < 0) /* it has had none yet */
		return;
	assert_int_equal(write(fd, text, (size_t)len), len);
	assert_int_equal(close(fd), 0);
}

/* Between two units, somebody meddles with the station. */
static void
meddle(unsigned i)
{
	char path[CUT_PATH + 64];

	switch (chance(&seed, 6)) {
	case 0:
		journal_of(&line[i], path);
		(void)unlink(path);
		break;
	case 1:
		copy_journal(&line[chance(&seed, STATIONS)], &line[i]);
		break;
	default:
		break;
	}
}

/* A serial number that is still open, mostly each station's own. */
static int
pick(unsigned i)
{
	unsigned at = (unsigned)chance(&seed, SERIALS), n;

	if (chance(&seed, 3) != 0)
		at = at / STATIONS * STATIONS + i;
	for (n = 0; n < SERIALS; n++, at++)
		if (fate[at % SERIALS] == OPEN)
			return (int)(at % SERIALS);
	return -1;
}

static void
start_one(unsigned i)
{
	int n = pick(i);

	if (n < 0)
		return;
	meddle(i);
	(void)snprintf(on[i], sizeof(on[i]), "R%03u", (unsigned)n);
	tries[n]++;
	line[i].nunits = 0;
	if (chance(&seed, 6) == 0)
		station_arm(&line[i], CUT_KILL, CUT_FILE | CUT_SOCKET,
		    1 + (unsigned)chance(&seed, 37));
	else
		station_arm(&line[i], CUT_NOTHING, 0, 0);
	tool[i] = station_start(&line[i], on[i]);
}

/* Killed, or in another station's hands: it may come up again. */
static void
judge(unsigned i, int status)
{
	static const char *const final[] = {"order_full", "serial_used",
	    "wrong_station", "wrong_state"};
	unsigned n = (unsigned)strtoul(on[i] + 1, NULL, 10);
	size_t k;

	if (status == 0) {
		fate[n] = BURNED;
		return;
	}
	if (status < 0 || status == 3)
		return;
	for (k = 0; k < COUNT(final); k++)
		if (strstr(line[i].said, final[k]) != NULL)
			break;
	if (k == COUNT(final))
		fail_msg("%s on %s: %d %s", on[i], line[i].name, status,
		    line[i].said);
	/* who has it must be let finish; a full order stays full */
	if (k < 2 && fate[n] == OPEN && strstr(line[i].said, final[0]) != NULL)
		fate[n] = REFUSED;
	else if (k == 1 && fate[n] == OPEN)
		fate[n] = BURNED; /* and the journal of that was lost */
}

static void
race(void)
{
	const struct timespec pause = {0, 2000000};
	long deadline = process_deadline(SECONDS);
	unsigned i, busy = 1;
	int status;

	while (busy) {
		if (!process_left(deadline))
			fail_msg("the race does not end");
		busy = 0;
		for (i = 0; i < STATIONS; i++) {
			if (tool[i] > 0 &&
			    station_ended(&line[i], &tool[i], &status))
				judge(i, status);
			if (tool[i] == 0)
				start_one(i);
			busy += tool[i] > 0;
		}
		(void)nanosleep(&pause, NULL);
	}
}

/* How many devices of that condition the order has. */
static unsigned
count_of(const char *condition)
{
	char sql[300];

	(void)snprintf(sql, sizeof(sql), "SELECT count(*) FROM fealty.device "
	    "WHERE order_name = 'race' AND %s", condition);
	world_sql(&w, sql);
	return (unsigned)strtoul(w.r.out, NULL, 10);
}

/* In how many stations' folders the unit's record lies. */
static unsigned
holders(const char *serial)
{
	char path[CUT_PATH + 64];
	unsigned i, n = 0;

	for (i = 0; i < STATIONS; i++) {
		(void)snprintf(path, sizeof(path), "%s/burned/%s.cbor",
		    line[i].disk.root, serial);
		n += access(path, F_OK) == 0;
	}
	return n;
}

static void
of_the_last_hundred_exactly_a_hundred_are_made(void **state)
{
	char serial[16], sql[300], finding[ROOM];
	unsigned n, burned = 0, most = 0;

	(void)state;
	for (n = 0; n < EARLIER; n++) {
		(void)snprintf(serial, sizeof(serial), "EARLIER%u", n);
		station_arm(&line[0], CUT_NOTHING, 0, 0);
		assert_int_equal(station_burn(&line[0], serial), 0);
	}
	race();
	for (n = 0; n < SERIALS; n++) {
		(void)snprintf(serial, sizeof(serial), "R%03u", n);
		burned += fate[n] == BURNED;
		most = tries[n] > most ? tries[n] : most;
		assert_case(holders(serial) == (fate[n] == BURNED), serial);
	}
	print_message("# %u burned of %u, one was tried %u times\n", burned,
	    SERIALS, most);
	assert_int_equal(burned, LAST);
	assert_int_equal(count_of("true"), EARLIER + LAST);
	assert_int_equal(count_of("state = 2"), EARLIER + LAST);
	if (order_finding(&w, "race", finding))
		fail_msg("%s", finding);
	(void)snprintf(sql, sizeof(sql), "SELECT issued FROM "
	    "fealty.production_order WHERE name = 'race'");
	world_sql(&w, sql);
	assert_int_equal(strtoul(w.r.out, NULL, 10), EARLIER + LAST);
}

/* The station itself cannot take more, whatever its clock and journal say. */
static void
and_no_station_gets_one_more(void **state)
{
	char serial[16], path[CUT_PATH + 64];
	unsigned i;

	(void)state;
	for (i = 0; i < STATIONS; i++) {
		journal_of(&line[i], path);
		(void)unlink(path);
		(void)snprintf(serial, sizeof(serial), "MORE%u", i);
		station_arm(&line[i], CUT_NOTHING, 0, 0);
		assert_int_equal(station_burn(&line[i], serial), 1);
		assert_case(strstr(line[i].said, "order_full") != NULL,
		    line[i].said);
	}
	assert_int_equal(count_of("true"), EARLIER + LAST);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(of_the_last_hundred_exactly_a_hundred_are_made),
	    cmocka_unit_test(and_no_station_gets_one_more),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
