/*
 * The authority, killed at every call of a burn and at random, and its
 * database: the same command again brings every unit to exactly one live
 * identity, which a device holds; and while it cannot, it says "try again".
 *   CRASH_ROUNDS, CRASH_SEED: see burn.sh
 */
#include "tests/crash/station.h"

#include <sys/socket.h>
#include <arpa/inet.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#define SECONDS 90
#define TRY_AGAIN 3
#define UNITS_A_DISK 6
#define SAY_EVERY 50

static struct world w;		       /* its authd is the one that is killed */
static struct authd_fixture *embedded; /* has the database, stays */
static struct cut *authd_cut;
static char authd_cut_path[ROOM];
static uint64_t seed;
static unsigned serial_number, retried;
static struct station s;
static char story[600];

/* A port that is free, and stays authd's own through all its lives. */
static void
free_port(char out[ROOM])
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	(void)close(fd);
	(void)snprintf(out, ROOM, "127.0.0.1:%u", ntohs(a.sin_port));
}

static int
set_up(void **state)
{
	static char listen[ROOM];
	static const char *const extra[] = {"--listen", listen, NULL};
	char path[ROOM];

	(void)state;
	seed = crash_seed();
	world_open(&w, NULL);
	embedded = w.authd;
	free_port(listen);
	authd_cut = cut_new(world_file(&w, "authd.cut", authd_cut_path),
	    "authd");
	preload(authd_cut_path);
	assert_int_equal(authd_fixture_second(embedded, extra, &w.authd), 0);
	preload(NULL);
	CTL(&w, "caller", "create", "line1", "--role", "station",
	    "--credential-out", world_file(&w, "station", path));
	CTL(&w, "audience", "set", "hub", "127.0.0.1:1");
	CTL(&w, "order", "create", "first", "--model", "m1", "--quantity",
	    "100000", "--expires", "24h", "--peers", "hub", "--stations",
	    "line1");
	station_open(&s, &w, kind_find("file"), "line1", "first", &seed);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	station_close(&s);
	authd_fixture_stop(&w.authd);
	w.authd = embedded;
	world_close(&w);
	return 0;
}

static void
arm_authd(enum cut_action action, unsigned at)
{
	authd_cut->action = action;
	authd_cut->at = at;
	authd_cut->scope = CUT_SOCKET;
	atomic_store(&authd_cut->calls, 0);
	atomic_store(&authd_cut->hit, 0);
}

static int
authd_is_gone(void)
{
	return kill(authd_fixture_pid(w.authd), 0) != 0 ||
	    atomic_load(&authd_cut->hit);
}

/* A server process of old may still answer authd: a new one has to. */
static void
wait_for_database(void)
{
	long deadline = process_deadline(SECONDS);

	while (world_sql_status(&w, "SELECT 1") != 0) {
		if (!process_left(deadline))
			fail_msg("%s: the database does not come back", story);
		process_pause();
	}
}

static void
wait_for_authd(void)
{
	long deadline = process_deadline(SECONDS);

	wait_for_database();
	while (world_http(&w, "GET", "/v1/orders/first", w.admin, NULL) != 200) {
		if (!process_left(deadline))
			fail_msg("%s: authd does not come back", story);
		process_pause();
	}
}

/* It dies, or is dead, and is started again: by who has a database. */
static void
revive_authd(void)
{
	authd_fixture_crash(w.authd);
	arm_authd(CUT_NOTHING, 0);
	wait_for_database();
	preload(authd_cut_path);
	if (authd_fixture_restart(w.authd) != 0)
		fail_msg("%s: authd does not start again", story);
	preload(NULL);
}

/* Its supervisor buries it and starts it again, which is not waited for. */
static void
kill_database(void)
{
	long deadline = process_deadline(SECONDS);
	pid_t p = world_postmaster(&w);

	assert_true(p > 1);
	assert_int_equal(kill(p, SIGKILL), 0);
	while (kill(p, 0) == 0) {
		if (!process_left(deadline))
			fail_msg("%s: nobody buries PostgreSQL", story);
		process_pause();
	}
}

static void
expect_sound(int done)
{
	char finding[ROOM];

	if (station_finding(&s, done, finding))
		fail_msg("%s: %s", story, finding);
}

/* A run that is disturbed does it, or says that it is to be tried again. */
static void
expect_patience(int status)
{
	if (status != 0 && status != TRY_AGAIN)
		fail_msg("%s: %d %s", story, status, s.said);
	retried += status != 0;
}

static void
burn_in_the_end(const char *serial)
{
	long deadline = process_deadline(SECONDS);
	int status;

	station_arm(&s, CUT_NOTHING, 0, 0);
	while ((status = station_burn(&s, serial)) != 0) {
		expect_patience(status);
		if (!process_left(deadline))
			fail_msg("%s: never again: %s", story, s.said);
	}
}

/* Until the tool has ended; authd is raised whenever it is found dead. */
static int
attend(pid_t pid)
{
	const struct timespec pause = {0, 2000000};
	long deadline = process_deadline(SECONDS);
	int status = -1;

	while (!station_ended(&s, &pid, &status)) {
		if (authd_is_gone())
			revive_authd();
		if (!process_left(deadline))
			fail_msg("%s: the tool hangs", story);
		(void)nanosleep(&pause, NULL);
	}
	return status;
}

/* authd kills itself before one of its own sends or receives. */
static int
cut_within_authd(const char *serial, unsigned calls, double where)
{
	unsigned at = 1 + (unsigned)(where * calls);

	(void)snprintf(story, sizeof(story), "authd killed before its call "
	    "%u of %u, unit %s", at, calls, serial);
	station_arm(&s, CUT_NOTHING, 0, 0);
	arm_authd(CUT_KILL, at);
	return attend(station_start(&s, serial));
}

static void
wait_for_pause(pid_t *pid, int *status)
{
	const struct timespec pause = {0, 1000000};

	while (atomic_load(&s.cut->state) != CUT_PAUSED &&
	    !station_ended(&s, pid, status))
		(void)nanosleep(&pause, NULL);
}

/* The tool is held before a call of its own, and authd or PostgreSQL dies. */
static int
cut_between(const char *serial, unsigned calls, double where, int database)
{
	unsigned at = 1 + (unsigned)(where * calls);
	int status = -1;
	pid_t pid;

	(void)snprintf(story, sizeof(story), "%s killed at the tool's call "
	    "%u of %u, unit %s", database ? "PostgreSQL" : "authd", at, calls,
	    serial);
	station_arm(&s, CUT_PAUSE, CUT_SOCKET, at);
	pid = station_start(&s, serial);
	wait_for_pause(&pid, &status);
	if (database)
		kill_database();
	else
		revive_authd();
	atomic_store(&s.cut->state, CUT_GO);
	return pid == 0 ? status : attend(pid);
}

/* Both at once: the line's mains fails, and takes the server with it. */
static int
cut_both(const char *serial, unsigned calls, double where)
{
	unsigned at = 1 + (unsigned)(where * calls);
	int status = -1;
	pid_t pid;

	(void)snprintf(story, sizeof(story), "all killed at the tool's call "
	    "%u of %u, unit %s", at, calls, serial);
	station_arm(&s, CUT_PAUSE, CUT_SOCKET, at);
	pid = station_start(&s, serial);
	wait_for_pause(&pid, &status);
	kill_database();
	(void)process_stop(&pid, SIGKILL);
	disk_cut(&s.disk, POWER_DROPS, &seed);
	revive_authd();
	return 0;
}

struct both {
	unsigned tool, authd; /* calls of one burn */
};

static void
one_round(unsigned i, double where, const struct both *n)
{
	char serial[16];
	int status;

	if (s.nunits >= UNITS_A_DISK)
		station_new_disk(&s);
	(void)snprintf(serial, sizeof(serial), "SN%06u", ++serial_number);
	switch (i % 8) {
	case 3:
		status = cut_between(serial, n->tool, where, 1);
		break;
	case 5:
		status = cut_between(serial, n->tool, where, 0);
		break;
	case 7:
		status = cut_both(serial, n->tool, where);
		break;
	default:
		status = cut_within_authd(serial, n->authd, where);
		break;
	}
	expect_patience(status);
	if (authd_is_gone())
		revive_authd();
	arm_authd(CUT_NOTHING, 0);
	wait_for_authd();
	expect_sound(status == 0 && i % 8 != 7);
	burn_in_the_end(serial);
	expect_sound(1);
}

static struct both
count_calls(void)
{
	struct both n;

	station_arm(&s, CUT_NOTHING, CUT_SOCKET, 0);
	arm_authd(CUT_NOTHING, 0);
	assert_int_equal(station_burn(&s, "SN000000"), 0);
	n.tool = atomic_load(&s.cut->calls);
	n.authd = atomic_load(&authd_cut->calls);
	assert_true(n.tool >= 9 && n.authd >= 9);
	return n;
}

static void
authd_killed_anywhere_every_unit_ends_with_one_live_identity(void **state)
{
	unsigned rounds = crash_rounds(25), i;
	struct both n = count_calls();
	char finding[ROOM];

	(void)state;
	for (i = 0; i < rounds; i++) {
		one_round(i, (double)chance(&seed, 10000) / 10000, &n);
		if ((i + 1) % SAY_EVERY == 0)
			print_message("# authd: %u of %u rounds\n", i + 1,
			    rounds);
	}
	print_message("# %u calls of authd a burn, %u of the tool; %u runs "
	    "were told to try again\n", n.authd, n.tool, retried);
	if (order_finding(&w, "first", finding))
		fail_msg("%s", finding);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(
		authd_killed_anywhere_every_unit_ends_with_one_live_identity),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
