/*
 * Burns without network, over real processes: a station pulls a ticket, its
 * authority goes away, units are burned, killed at and burned again, and
 * told of when the authority is back. Thieves copy tickets and change them.
 */
#include "tests/scenario/world.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LIMIT 60

static struct world w;

static int
set_up(void **state)
{
	char path[ROOM];

	(void)state;
	world_open(&w, NULL);
	world_order(&w, 5);
	CTL(&w, "caller", "create", "line2", "--role", "station",
	    "--credential-out", world_file(&w, "station2", path));
	CTL(&w, "order", "create", "far", "--model", "m1", "--quantity", "40",
	    "--expires", "24h", "--peers", "hub", "--stations", "line1,line2",
	    "--serial-pattern", "SN[0-9]{4}", "--device-id", "far-{n}");
	world_gateway(&w, NULL);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	world_close(&w);
	return 0;
}

#define TOOL(...) \
	tool((const char *const[]){"build:provision-tool/provision-tool", \
	    __VA_ARGS__, NULL})
static int
tool(const char *const *argv)
{
	return process_run(argv, NULL, LIMIT, &w.r);
}

static void
says(const char *text)
{
	if (strstr(w.r.out, text) == NULL && strstr(w.r.err, text) == NULL)
		fail_msg("no \"%s\" in: %s%s", text, w.r.out, w.r.err);
}

/* A station's own folder, with its key, ticket and journal. */
struct site {
	char dir[ROOM], key[ROOM], ticket[ROOM], journal[ROOM], target[ROOM];
	char credential[ROOM];
};

static void
site_open(struct site *s, const char *name, const char *credential)
{
	char file[ROOM];

	(void)world_file(&w, name, s->dir);
	assert_int_equal(mkdir(s->dir, 0700), 0);
#define IN(member, leaf) \
	do { \
		(void)snprintf(file, sizeof(file), "%.80s/" leaf, name); \
		(void)world_file(&w, file, s->member); \
	} while (0)
	IN(key, "key");
	IN(ticket, "ticket");
	IN(journal, "journal");
	(void)world_file(&w, "burned", file);
	(void)snprintf(s->target, sizeof(s->target), "file:%.390s", file);
	(void)world_file(&w, credential, s->credential);
	assert_int_equal(TOOL("station-key", s->key), 0);
}

static int
pull(const struct site *s, const char *order, const char *n, const char *life)
{
	char url[ROOM];

	return TOOL("ticket", "pull", s->ticket, "--order", order, "--count",
	    n, "--life", life, "--station-key", s->key, "--url",
	    world_url(&w, url), "--credential-file", s->credential);
}

static int
push(const struct site *s)
{
	char url[ROOM];

	return TOOL("ticket", "push", s->ticket, "--station-key", s->key,
	    "--journal", s->journal, "--url", world_url(&w, url),
	    "--credential-file", s->credential);
}

static int
burn(const struct site *s, const char *serial)
{
	return TOOL("burn", "--ticket", s->ticket, "--station-key", s->key,
	    "--serial", serial, "--target", s->target, "--journal",
	    s->journal);
}

/* The device_id that the last burn printed. */
static void
burned(char out[64])
{
	assert_int_equal(sscanf(w.r.out, "burned %63s", out), 1);
}

/* What the device gets when it asks for a token: 0 is one. */
static int
token_of(const char *device_id)
{
	char at[ROOM];

	(void)snprintf(at, sizeof(at), "127.0.0.1:%u",
	    authd_fixture_device(w.authd));
	return DEVICE(&w, device_id, "1.3", "token", "--at", at);
}

static void
copy_file(const char *from, const char *to)
{
	static char octets[1 << 20];
	ssize_t n;
	int fd = open(from, O_RDONLY);

	assert_true(fd >= 0);
	n = read(fd, octets, sizeof(octets));
	assert_true(n > 0);
	(void)close(fd);
	fd = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, octets, (size_t)n), n);
	assert_int_equal(close(fd), 0);
}

static void
stop_authd(void)
{
	assert_int_equal(authd_fixture_end(w.authd), 0);
}

static void
start_authd(void)
{
	assert_int_equal(authd_fixture_restart(w.authd), 0);
	/* its ports are others: the gateway has to look there */
	(void)process_stop(&w.gateway, SIGTERM);
	world_gateway(&w, NULL);
}

static void
units_are_burned_without_network_and_work_once_pushed(void **state)
{
	char a[64], b[64], c[64], token[TOKEN_ROOM];
	struct site s;

	(void)state;
	site_open(&s, "away", "station");
	assert_int_equal(pull(&s, "far", "5", "12h"), 0);
	says("5 identities of order far");
	stop_authd();
	assert_int_equal(burn(&s, "SN0001"), 0);
	burned(a);
	assert_int_equal(burn(&s, "SN0002"), 0);
	burned(b);
	assert_int_equal(burn(&s, "SN0003"), 0);
	burned(c);
	assert_string_not_equal(a, b);
	assert_string_not_equal(b, c);
	/* the same unit again is the same identity, and changes nothing */
	assert_int_equal(burn(&s, "SN0002"), 0);
	says(b);
	assert_int_equal(burn(&s, "nonsense"), 1);
	says("serial_refused");
	start_authd();
	assert_int_not_equal(token_of(a), 0);
	assert_int_equal(push(&s), 0);
	says("3 of 3 active, 0 refused");
	assert_int_equal(push(&s), 0); /* and again, without harm */
	says("3 of 3 active, 0 refused");
	world_token(&w, a, token);
	world_token(&w, c, token);
	CTL(&w, "device", "show", b);
	says("SN0002");
	assert_int_equal(TOOL("ticket", "show", s.ticket, "--station-key",
	    s.key, "--journal", s.journal), 0);
	says("identities 5, 3 taken, 3 burned, 3 active, 0 refused");
}

/* How many files of that folder are records. */
static unsigned
records(const struct site *s)
{
	DIR *d = opendir(s->target + strlen("file:"));
	const struct dirent *e;
	unsigned n = 0;

	assert_non_null(d);
	while ((e = readdir(d)) != NULL)
		n += strncmp(e->d_name, "far-", 4) == 0 &&
		    strlen(e->d_name) < 16;
	(void)closedir(d);
	return n;
}

static void
a_station_killed_anywhere_uses_no_identity_twice(void **state)
{
	char id[6][64], serial[16], out[ROOM];
	struct site s;
	unsigned before, i, j;
	pid_t pid;

	(void)state;
	site_open(&s, "killed", "station");
	(void)world_file(&w, "killed/out", out);
	assert_int_equal(pull(&s, "far", "6", "12h"), 0);
	before = records(&s);
	for (i = 0; i < 6; i++) {
		(void)snprintf(serial, sizeof(serial), "SN10%02u", i);
		const char *argv[] = {"build:provision-tool/provision-tool",
		    "burn", "--ticket", s.ticket, "--station-key", s.key,
		    "--serial", serial, "--target", s.target, "--journal",
		    s.journal, NULL};

		pid = process_start(argv, out, out);
		assert_true(pid > 0);
		(void)usleep(20000 + 25000 * i);
		(void)process_stop(&pid, SIGKILL);
		assert_int_equal(burn(&s, serial), 0);
		burned(id[i]);
		for (j = 0; j < i; j++)
			assert_string_not_equal(id[i], id[j]);
	}
	assert_int_equal(records(&s), before + 6);
	assert_int_equal(burn(&s, "SN1099"), 1);
	says("identities of the ticket are taken");
	assert_int_equal(push(&s), 0);
	says("6 of 6 active");
}

static void
a_copied_ticket_burned_twice_revokes_both_units(
    void **state)
{
	char mine[64], theirs[64], token[TOKEN_ROOM], path[ROOM];
	struct site s, t;

	(void)state;
	site_open(&s, "victim", "station");
	site_open(&t, "thief", "station2");
	assert_int_equal(pull(&s, "far", "2", "12h"), 0);
	copy_file(s.ticket, t.ticket);
	copy_file(s.key, t.key);
	assert_int_equal(burn(&s, "SN2001"), 0);
	burned(mine);
	(void)snprintf(t.target, sizeof(t.target), "file:%.390s",
	    world_file(&w, "stolen", path));
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(burn(&t, "SN2002"), 0);
	burned(theirs);
	assert_string_equal(mine, theirs);
	assert_int_equal(push(&s), 0);
	world_token(&w, mine, token);
	world_shown(&w, mine, token, "OK device=");
	assert_true(world_active(&w, token));
	assert_int_equal(push(&t), 1);
	says("ticket_burned_twice");
	says("SN2002");
	assert_false(world_active(&w, token));
	assert_int_not_equal(token_of(mine), 0);
	CTL(&w, "device", "show", mine);
	says("revoked");
	/* and the first hears of it when it asks again */
	assert_int_equal(push(&s), 1);
	says("ticket_burned_twice");
	CTL(&w, "audit");
	says("ticket.twice");
}

static void
a_changed_ticket_and_another_station_s_key_are_refused(void **state)
{
	static char text[1 << 20];
	struct site s, t;
	char *peer;
	ssize_t n;
	int fd;

	(void)state;
	site_open(&s, "honest", "station");
	site_open(&t, "other", "station2");
	assert_int_equal(pull(&s, "far", "1", "12h"), 0);
	copy_file(s.ticket, t.ticket);
	assert_int_equal(burn(&t, "SN3001"), 1);
	says("ticket_signature");
	n = file_text(s.ticket, text, sizeof(text));
	assert_true(n > 0);
	peer = strstr(text, "127.0.0.1");
	assert_non_null(peer);
	peer[8] = '2';
	fd = open(s.ticket, O_WRONLY | O_TRUNC);
	assert_int_equal(write(fd, text, (size_t)n), n);
	assert_int_equal(close(fd), 0);
	assert_int_equal(burn(&s, "SN3001"), 1);
	says("ticket_signature");
	assert_int_equal(chmod(s.key, 0644), 0);
	assert_int_equal(burn(&s, "SN3001"), 1);
	says("chmod 600");
}

/* How many keys the authority has of the ticket of so many units. */
static int
keys_of(const char *units)
{
	char q[ROOM];

	(void)snprintf(q, sizeof(q), "SELECT count(*) FROM fealty.device_key k "
	    "JOIN fealty.ticket_unit u ON u.device = k.device JOIN "
	    "fealty.ticket t ON t.id = u.ticket WHERE t.units = %s", units);
	world_sql(&w, q);
	return atoi(w.r.out);
}

static void
an_expired_ticket_burns_nothing_and_its_places_come_back(void **state)
{
	long deadline = process_deadline(LIMIT);
	char id[64], path[ROOM];
	struct site s, t;
	time_t until;

	(void)state;
	site_open(&s, "late", "station");
	site_open(&t, "later", "station");
	assert_int_equal(pull(&s, "far", "3", "1h"), 0);
	assert_int_equal(burn(&s, "SN4001"), 0);
	world_sql(&w, "SELECT max(d.device_id) FROM fealty.device d JOIN "
	    "fealty.ticket_unit u ON u.device = d.number JOIN fealty.ticket t "
	    "ON t.id = u.ticket WHERE t.units = 3");
	assert_int_equal(sscanf(w.r.out, "%63s", id), 1);
	(void)snprintf(path, sizeof(path), "/v1/devices/%s/void", id);
	assert_int_equal(world_http(&w, "POST", path, w.admin,
	    "{\"reason\":\"dropped\"}"), 200);
	assert_int_equal(keys_of("3"), 3);
	/* in time for the station, too late for the authority */
	world_sql(&w, "UPDATE fealty.ticket SET expires_at = 1 "
	    "WHERE units = 3");
	do {
		process_pause();
		world_sql(&w, "SELECT count(*) FROM fealty.ticket "
		    "WHERE units = 3 AND swept");
	} while (atoi(w.r.out) == 0 && process_left(deadline));
	assert_int_equal(atoi(w.r.out), 1);
	assert_int_equal(push(&s), 1);
	says("ticket_expired");
	assert_int_equal(keys_of("3"), 0);
	world_sql(&w, "SELECT issued - (SELECT count(*) FROM fealty.device d "
	    "WHERE d.order_name = 'far' AND d.state <> 6) "
	    "FROM fealty.production_order WHERE name = 'far'");
	assert_int_equal(atoi(w.r.out), 0);
	/* and too late for the station */
	assert_int_equal(pull(&t, "far", "1", "1s"), 0);
	until = time(NULL) + 2;
	while (time(NULL) < until)
		process_pause();
	assert_int_equal(burn(&t, "SN4002"), 1);
	says("ticket_expired");
}

/* What a pull that was cut off before its answer leaves. */
static void
was_pulling(const struct site *s)
{
	static const char id[] = "PulledBeforeTheAnswer0";
	char path[ROOM];
	int fd;

	(void)snprintf(path, sizeof(path), "%.390s.pull", s->ticket);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, id, 22), 22);
	assert_int_equal(close(fd), 0);
}

/* As many as a ticket can hold; cut off, it is asked for again. */
static void
a_whole_ticket_is_pulled_and_pushed(void **state)
{
	struct site s;
	char id[64];

	(void)state;
	CTL(&w, "order", "create", "big", "--model", "m1", "--quantity", "250",
	    "--expires", "24h", "--peers", "hub", "--stations", "line1",
	    "--serial-pattern", "SN[0-9]{4}", "--device-id", "far-b{n}");
	site_open(&s, "big", "station");
	was_pulling(&s);
	assert_int_equal(pull(&s, "big", "250", "12h"), 0);
	says("250 identities of order big");
	assert_int_equal(unlink(s.ticket), 0);
	was_pulling(&s);
	assert_int_equal(pull(&s, "big", "1", "12h"), 1);
	says("ask as it did");
	assert_int_equal(pull(&s, "big", "250", "12h"), 0);
	says("250 identities of order big");
	assert_int_equal(burn(&s, "SN5001"), 0);
	burned(id);
	assert_int_equal(push(&s), 0);
	says("1 of 1 active");
	/* the file is lost: the order has no place for another ticket */
	assert_int_equal(unlink(s.ticket), 0);
	assert_int_equal(pull(&s, "big", "1", "12h"), 1);
	says("order_full");
}

static void
what_cannot_be_pulled_is_said_so(void **state)
{
	struct site s;

	(void)state;
	site_open(&s, "asks", "station");
	assert_int_equal(pull(&s, "first", "1", "1h"), 1);
	says("{n}");
	assert_int_equal(pull(&s, "none", "1", "1h"), 1);
	says("not_found");
	assert_int_equal(pull(&s, "far", "100", "1h"), 1);
	says("order_full");
	assert_int_equal(pull(&s, "far", "251", "1h"), 2);
	assert_int_equal(pull(&s, "far", "1", "1000h"), 2);
	/* another pull than the one whose answer was lost */
	assert_int_equal(pull(&s, "far", "1", "1h"), 0);
	assert_int_equal(pull(&s, "far", "1", "1h"), 1);
	says("left alone");
	(void)unlink(s.key);
	assert_int_equal(pull(&s, "far", "1", "1h"), 1);
	says("provision-tool station-key");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(
		units_are_burned_without_network_and_work_once_pushed),
	    cmocka_unit_test(a_station_killed_anywhere_uses_no_identity_twice),
	    cmocka_unit_test(
		a_copied_ticket_burned_twice_revokes_both_units),
	    cmocka_unit_test(
		a_changed_ticket_and_another_station_s_key_are_refused),
	    cmocka_unit_test(
		an_expired_ticket_burns_nothing_and_its_places_come_back),
	    cmocka_unit_test(a_whole_ticket_is_pulled_and_pushed),
	    cmocka_unit_test(what_cannot_be_pulled_is_said_so),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
