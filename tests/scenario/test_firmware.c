/*
 * A real device end to end: examples/firmware on an emulated Cortex-M3 is
 * provisioned over its UART, loses its power in the middle of a write, starts
 * with its clock at 1970, and gets a token.
 */
#include "tests/scenario/world.h"

#include <signal.h>
#include <unistd.h>

#include "provision-tool/serial_line.h"
#include "tests/helpers/board.h"

#define ASSERT FEALTY_S_OWN
#define FETCH (FEALTY_S_OWN + 1)
#define STATUS (FEALTY_S_OWN + 2)
#define STACK_MAX 1536
#define CUT_SECONDS 20

static struct world w;
static struct board *b; /* SN0001 */

static int
set_up(void **state)
{
	(void)state;
	world_open(&w, NULL);
	world_order(&w, 100);
	b = board_new(w.dir, "SN0001");
	return b == NULL ? -1 : 0;
}

static int
tear_down(void **state)
{
	(void)state;
	board_free(&b);
	world_close(&w);
	return 0;
}

#define BURN_ARGS 20
static void
burn_argv(const char *serial, char target[300], const struct board *at,
    const char *options, char room[3][ROOM], const char *argv[BURN_ARGS])
{
	const char *const all[] = {"build:provision-tool/provision-tool",
	    "burn", "--order", "first", "--serial", serial, "--target",
	    target, "--journal", world_file(&w, "journal", room[0]), "--url",
	    world_url(&w, room[1]), "--credential-file",
	    world_file(&w, "station", room[2]), NULL};

	(void)snprintf(target, 300, "serial:%s%s", board_tty(at), options);
	memcpy(argv, all, sizeof(all));
}

/* The exit status; what was said is in w.r. */
static int
burn(const char *serial, const struct board *at, const char *options)
{
	const char *argv[BURN_ARGS];
	char target[300], room[3][ROOM];

	burn_argv(serial, target, at, options, room, argv);
	return process_run(argv, NULL, 60, &w.r);
}

static int
verify(const char *serial, const struct board *at)
{
	const char *argv[BURN_ARGS];
	char target[300], room[3][ROOM];

	burn_argv(serial, target, at, "", room, argv);
	argv[1] = "verify";
	return process_run(argv, NULL, 60, &w.r);
}

static void
must_burn(const char *serial, const struct board *at, const char *options)
{
	if (burn(serial, at, options) != 0)
		fail_msg("burn of %s: %s", serial, w.r.err);
}

/* A session with the board, as its owner's own tool would have one. */
static struct serial_line *
talk_to(const struct board *at, struct serial_hello *h)
{
	const struct serial_conf conf = {board_tty(at), 115200, 2000};
	struct serial_line *l = NULL;
	struct detail d = {""};

	if (serial_open(&conf, &l, &d) != ERR_OK ||
	    serial_hello(l, h, &d) != ERR_OK)
		fail_msg("%s", d.text);
	return l;
}

static size_t
ask(struct serial_line *l, int type, const void *p, size_t len,
    uint8_t out[FEALTY_PAYLOAD_MAX])
{
	struct serial_answer a;
	struct detail d = {""};

	if (serial_ask(l, (enum fealty_serial_type)type, p, len, &a, &d) !=
	    ERR_OK)
		fail_msg("%s", d.text);
	assert_int_equal(a.status, FEALTY_S_OK);
	memcpy(out, a.octets, a.len);
	return a.len;
}

static void
fetch_assertion(const struct board *at, const char *nonce,
    char out[ASSERTION_ROOM])
{
	uint8_t piece[FEALTY_PAYLOAD_MAX], where[2];
	struct serial_hello h;
	struct serial_line *l = talk_to(at, &h);
	size_t len, n, i;

	assert_int_equal(ask(l, ASSERT, nonce, strlen(nonce), piece), 2);
	len = (size_t)(piece[0] << 8 | piece[1]);
	assert_true(len > 0 && len < ASSERTION_ROOM);
	for (i = 0; i < len; i += n) {
		where[0] = (uint8_t)(i >> 8);
		where[1] = (uint8_t)i;
		n = ask(l, FETCH, where, 2, piece);
		assert_true(n > 0 && i + n <= len);
		memcpy(out + i, piece, n);
	}
	out[len] = '\0';
	serial_close(&l);
}

struct status {
	uint32_t starts, clock, stack;
};

static struct status
status_of(const struct board *at)
{
	uint8_t o[FEALTY_PAYLOAD_MAX];
	struct serial_hello h;
	struct serial_line *l = talk_to(at, &h);
	uint32_t v[3];
	size_t i;

	assert_int_equal(ask(l, STATUS, "", 0, o), 12);
	for (i = 0; i < 3; i++)
		v[i] = (uint32_t)o[4 * i] << 24 | (uint32_t)o[4 * i + 1] << 16
		    | (uint32_t)o[4 * i + 2] << 8 | o[4 * i + 3];
	serial_close(&l);
	return (struct status){v[0], v[1], v[2]};
}

/* device_id: "" for none. */
static void
assert_holds(const struct board *at, const char *device_id)
{
	struct serial_hello h;
	struct serial_line *l = talk_to(at, &h);

	assert_string_equal(h.device_id, device_id);
	serial_close(&l);
}

static void
token_with_nonce(const struct board *at)
{
	char nonce[ROOM], jwt[ASSERTION_ROOM];

	world_nonce(&w, nonce);
	fetch_assertion(at, nonce, jwt);
	if (world_redeem(&w, jwt) != 200)
		fail_msg("%d %s", w.a.status, w.a.body);
	assert_non_null(strstr(w.a.body, "\"access_token\""));
	assert_int_equal(world_redeem(&w, jwt), 401);
	assert_true(world_code(&w, "assertion_used"));
}

static void
another_unit_than_scanned_is_refused_before_a_key_is_released(void **state)
{
	(void)state;
	assert_int_equal(burn("SN0001", b, ",unit=SN0002"), 1);
	assert_non_null(strstr(w.r.err, "unit SN0001: target: "));
	assert_non_null(strstr(w.r.err, "is unit \"SN0001\""));
	assert_int_equal(world_http(&w, "GET", "/v1/orders/first", w.admin,
	    NULL), 200);
	assert_non_null(strstr(w.a.body, "\"issued\":0"));
}

static void
burned_over_its_uart_it_has_proven_itself(void **state)
{
	(void)state;
	must_burn("SN0001", b, ",unit=SN0001");
	assert_non_null(strstr(w.r.out, "active, proof device"));
	assert_holds(b, "SN0001");
	/* the same command again changes nothing */
	must_burn("SN0001", b, ",unit=SN0001");
	CTL(&w, "device", "list", "--state", "active", "--json");
	assert_non_null(strstr(w.r.out, "SN0001"));
}

static void
with_its_clock_at_1970_it_gets_a_token_by_a_nonce(void **state)
{
	char jwt[ASSERTION_ROOM];

	(void)state;
	assert_true(status_of(b).clock < 3600);
	fetch_assertion(b, "", jwt);
	assert_int_equal(world_redeem(&w, jwt), 401);
	assert_true(world_code(&w, "assertion_time"));
	token_with_nonce(b);
}

/* Counted starts make its jti: none comes twice, whenever the power goes. */
static void
identity_outlasts_the_power_and_no_assertion_comes_twice(void **state)
{
	static char all[4][ASSERTION_ROOM];
	char nonce[ROOM];
	uint32_t starts = status_of(b).starts;
	size_t i, k;

	(void)state;
	world_nonce(&w, nonce);
	for (i = 0; i < COUNT(all); i++) {
		fetch_assertion(b, nonce, all[i]);
		for (k = 0; k < i; k++)
			assert_string_not_equal(all[i], all[k]);
		assert_int_equal(world_redeem(&w, all[i]), 200);
		if (i % 2 == 0)
			continue;
		board_power_off(b);
		assert_int_equal(board_power_on(b), 0);
		assert_int_equal(status_of(b).starts, ++starts);
	}
	assert_holds(b, "SN0001");
	token_with_nonce(b);
}

static void
board_without_power_is_told_in_one_line_and_to_try_again(void **state)
{
	const char *line;

	(void)state;
	board_power_off(b);
	assert_int_equal(burn("SN0002", b, ",timeout=50ms"), 3);
	assert_non_null(strstr(w.r.err, "unit SN0002: target: "));
	assert_non_null(strstr(w.r.err, "does not answer: check power"));
	assert_non_null(strstr(w.r.err, "run the same command again"));
	line = strchr(w.r.err, '\n');
	assert_true(line != NULL && line[1] == '\0');
	assert_int_equal(board_power_on(b), 0);
}

/* Where the power goes: when that octet is touched for the n-th time. */
enum which { IN_USE, OTHER };
struct cut {
	enum which slot;
	uint32_t at;
	unsigned n;
	const char *what;
};

static int
slot_in_use(const struct board *at)
{
	char head[4];

	assert_int_equal(board_psram(at, BOARD_SLOT(1), head, 4), 0);
	return memcmp(head, "FSL1", 4) == 0;
}

/* The same command, in the background, and the power taken under it. */
static void
burn_and_cut(struct board *at, const char *serial, const struct cut *c,
    const char *options)
{
	const char *argv[BURN_ARGS];
	char target[300], room[3][ROOM], log[ROOM];
	int status = 0, slot;
	pid_t pid;

	burn_argv(serial, target, at, options, room, argv);
	slot = slot_in_use(at) ^ (c->slot == OTHER);
	assert_int_equal(board_cut_begin(at, BOARD_SLOT(slot) + c->at, c->n),
	    0);
	(void)world_file(&w, "cut.log", log);
	pid = process_start(argv, log, log);
	assert_true(pid > 0);
	if (!board_cut_wait(at, CUT_SECONDS))
		fail_msg("%s: it was never touched", c->what);
	while (!process_ended(&pid, &status))
		process_pause();
	assert_case(status == 3, c->what);
}

static void
count_active(const char *serial, int want)
{
	char quoted[40];
	const char *p;
	int n = 0;

	(void)snprintf(quoted, sizeof(quoted), "\"serial\":\"%s\"", serial);
	CTL(&w, "device", "list", "--state", "active", "--json");
	for (p = w.r.out; (p = strstr(p, quoted)) != NULL; p++)
		n++;
	assert_int_equal(n, want);
}

/* An empty board: afterwards it has none, and the same command mends it. */
static void
power_lost_anywhere_in_a_first_burn_leaves_none_or_a_whole_one(void **state)
{
	static const struct cut cuts[] = {
	    {IN_USE, 0, 1, "the erase begins"},
	    {IN_USE, 200, 1, "in the erase"},
	    {IN_USE, 16, 2, "the first octet"},
	    {IN_USE, 16 + 100, 2, "in the first chunk"},
	    {IN_USE, 16 + 239, 2, "the end of the first chunk"},
	    {IN_USE, 0, 2, "the head begins"},
	    {IN_USE, 12, 2, "the head's sum"},
	};
	struct board *fresh;
	char serial[16];
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cuts); i++) {
		(void)snprintf(serial, sizeof(serial), "SN10%02zu", i);
		fresh = board_new(w.dir, serial);
		assert_non_null(fresh);
		burn_and_cut(fresh, serial, &cuts[i], ",timeout=50ms");
		count_active(serial, 0);
		assert_int_equal(board_power_on(fresh), 0);
		assert_holds(fresh, "");
		must_burn(serial, fresh, "");
		assert_holds(fresh, serial);
		count_active(serial, 1);
		token_with_nonce(fresh);
		board_free(&fresh);
	}
}

/* A board that has one: the old one is used until the new one is whole. */
static void
power_lost_in_a_replacement_leaves_the_old_or_the_new_one(void **state)
{
	static const struct cut cuts[] = {
	    {OTHER, 16 + 50, 2, "in the new record"},
	    {OTHER, 4, 2, "in its head"},
	    {IN_USE, 0, 1, "the old one's end begins"},
	    {IN_USE, 500, 1, "in the old one's end"},
	};
	struct board *at = board_new(w.dir, "SN2000");
	const char *old = "SN2000";
	static char serial[COUNT(cuts)][16];
	struct serial_hello h;
	struct serial_line *l;
	size_t i;

	(void)state;
	assert_non_null(at);
	must_burn("SN2000", at, "");
	assert_int_equal(burn("SN2999", at, ""), 1);
	assert_non_null(strstr(w.r.err, "is already SN2000; replace=yes"));
	for (i = 0; i < COUNT(cuts); i++) {
		(void)snprintf(serial[i], sizeof(serial[i]), "SN20%02zu",
		    i + 1);
		burn_and_cut(at, serial[i], &cuts[i],
		    ",timeout=50ms,replace=yes");
		assert_int_equal(board_power_on(at), 0);
		l = talk_to(at, &h);
		serial_close(&l);
		assert_string_equal(h.device_id,
		    i < 2 ? old : serial[i]);
		if (i < 2)
			token_with_nonce(at);
		must_burn(serial[i], at, ",replace=yes");
		assert_holds(at, serial[i]);
		old = serial[i];
		token_with_nonce(at);
	}
	board_free(&at);
}

/* At any time: kill -9 while the burn is under way, until one is through. */
static void
power_lost_at_random_ends_with_one_live_identity(void **state)
{
	struct board *at = board_new(w.dir, "SN3000");
	const char *argv[BURN_ARGS];
	char target[300], room[3][ROOM], log[ROOM];
	unsigned i, k;
	int status;
	pid_t pid;

	(void)state;
	assert_non_null(at);
	(void)world_file(&w, "random.log", log);
	for (i = 0; i < 5; i++) {
		burn_argv("SN3000", target, at, ",timeout=50ms", room, argv);
		pid = process_start(argv, log, log);
		assert_true(pid > 0);
		for (k = 0; k < 2 + 3 * i; k++)
			process_pause();
		board_power_off(at);
		while (!process_ended(&pid, &status))
			process_pause();
		assert_true(status == 0 || status == 3);
		assert_int_equal(board_power_on(at), 0);
	}
	must_burn("SN3000", at, "");
	count_active("SN3000", 1);
	token_with_nonce(at);
	board_free(&at);
}

static void
locked_it_takes_no_other_identity_and_still_proves_its_own(void **state)
{
	(void)state;
	must_burn("SN0001", b, ",lock=yes");
	board_power_off(b);
	assert_int_equal(board_power_on(b), 0);
	assert_int_equal(burn("SN0003", b, ",replace=yes"), 1);
	assert_non_null(strstr(w.r.err, "unit SN0003: write: "));
	assert_non_null(strstr(w.r.err, "is locked and is SN0001"));
	must_burn("SN0001", b, ",lock=yes");
	token_with_nonce(b);
	if (verify("SN0001", b) != 0)
		fail_msg("%s", w.r.err);
	assert_non_null(strstr(w.r.out, "active, proof device"));
}

/* Painted, on the board itself; scripts/device-size adds it up. */
static void
stack_it_used_is_within_the_limit(void **state)
{
	struct status s;

	(void)state;
	board_power_off(b);
	assert_int_equal(board_power_on(b), 0);
	token_with_nonce(b);
	must_burn("SN0001", b, ",lock=yes");
	s = status_of(b);
	print_message("# stack used: %u octets\n", s.stack);
	assert_true(s.stack > 200);
	assert_true(s.stack <= STACK_MAX);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(
	another_unit_than_scanned_is_refused_before_a_key_is_released),
	    cmocka_unit_test(burned_over_its_uart_it_has_proven_itself),
	    cmocka_unit_test(
		with_its_clock_at_1970_it_gets_a_token_by_a_nonce),
	    cmocka_unit_test(
		identity_outlasts_the_power_and_no_assertion_comes_twice),
	    cmocka_unit_test(
		board_without_power_is_told_in_one_line_and_to_try_again),
	    cmocka_unit_test(
	power_lost_anywhere_in_a_first_burn_leaves_none_or_a_whole_one),
	    cmocka_unit_test(
		power_lost_in_a_replacement_leaves_the_old_or_the_new_one),
	    cmocka_unit_test(
		power_lost_at_random_ends_with_one_live_identity),
	    cmocka_unit_test(
		locked_it_takes_no_other_identity_and_still_proves_its_own),
	    cmocka_unit_test(stack_it_used_is_within_the_limit),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
