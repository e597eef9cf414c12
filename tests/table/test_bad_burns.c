/*
 * What a line engineer meets at two in the morning, a row each, over real
 * processes: one line names the unit, the step and what to do, the exit
 * status is the one of the manual, nothing is lost; and when the cause is
 * gone the same command succeeds.
 */
#include "tests/table/attempt.h"

#include <sys/stat.h>
#include <unistd.h>

#define LIMIT 60 /* seconds, of a line */
#define SHORT_TIME ",timeout=400ms"

static struct attempt a;

/* --- what is wrong, and how it is mended --------------------------------- */

static void
scan_badly(void)
{
	(void)strcpy(a.serial, "SN 0\a01");
}

static void
scan_another_product(void)
{
	(void)strcpy(a.serial, "XY0001");
}

static void
take_another_serial(void)
{
	attempt_next(&a);
}

static void
use_it_up(void)
{
	attempt_well(&a, "used");
	attempt_aim(&a, "file:^");
}

static void
close_order(void)
{
	attempt_order(&a, "closed", "10", "line1", "medium");
	CTL(&a.w, "order", "close", "closed");
}

static void
fill_devices(void)
{
	a.full = "burned";
	a.full_at = 1;
}

/* Before it has been opened, and after. */
static void
fill_before_journal(void)
{
	a.full = "journal";
	a.full_at = 1;
}

static void
fill_journal(void)
{
	a.full = "journal";
	a.full_at = 3;
}

static void
empty_disk(void)
{
	a.full = NULL;
}

/* Its place is taken and its key not released: it is not under way. */
static void
close_order_behind_it(void)
{
	char body[64];

	attempt_order(&a, "closing", "10", "line1", "medium");
	(void)snprintf(body, sizeof(body), "{\"serial\":\"%s\"}", a.serial);
	assert_int_equal(world_http(&a.w, "POST", "/v1/orders/closing/devices",
	    a.w.station, body), 201);
	CTL(&a.w, "order", "close", "closing");
}

static void
open_order_again(void)
{
	char sql[200];

	(void)snprintf(sql, sizeof(sql), "UPDATE fealty.production_order "
	    "SET closed = false WHERE name = '%s'", a.order);
	world_sql(&a.w, sql);
}

static void
let_it_expire(void)
{
	attempt_order(&a, "expired", "10", "line1", "medium");
	world_sql(&a.w, "UPDATE fealty.production_order SET expires_at = 1 "
	    "WHERE name = 'expired'");
}

static void
fill_order(void)
{
	attempt_order(&a, "full", "1", "line1", "medium");
	attempt_well(&a, "the last one");
	attempt_next(&a);
}

static void
take_another_order(void)
{
	(void)strcpy(a.order, "first");
}

static void
name_no_order(void)
{
	(void)strcpy(a.order, "frist");
}

static void
order_of_another_station(void)
{
	attempt_order(&a, "theirs", "10", "line2", "medium");
}

static void
go_to_that_station(void)
{
	(void)world_file(&a.w, "station2", a.credential);
}

static void
order_of_proofs(void)
{
	attempt_order(&a, "proofs", "10", "line1", "device");
}

static void
take_a_proving_target(void)
{
	attempt_aim(&a, "exec:^/tool write,prove=^/tool prove");
}

static void
forget_credential(void)
{
	char path[ROOM];

	attempt_put(&a, "stranger", "fc_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
	(void)chmod(world_file(&a.w, "stranger", path), 0600);
	(void)strcpy(a.credential, path);
}

static void
ask_the_right_one(void)
{
	(void)world_url(&a.w, a.url);
	(void)world_file(&a.w, "station", a.credential);
}

static void
cut_network(void)
{
	(void)strcpy(a.url, "http://127.0.0.1:1");
}

static void
device_file(const char *suffix, char out[ROOM])
{
	char name[ROOM];

	(void)snprintf(name, sizeof(name), "burned/%s%s", a.serial, suffix);
	(void)world_file(&a.w, name, out);
}

static void
put_folder_in_its_place(void)
{
	char path[ROOM];

	device_file(".cbor", path);
	assert_int_equal(mkdir(path, 0700), 0);
}

static void
take_folder_away(void)
{
	char path[ROOM];

	device_file(".cbor", path);
	assert_int_equal(rmdir(path), 0);
}

static void
make_folder(void)
{
	char path[ROOM];

	assert_int_equal(mkdir(world_file(&a.w, "late", path), 0700), 0);
}

static void
take_whole_image(void)
{
	attempt_aim(&a, "image:^/image.bin:%/{device_id}.bin@0x100,size=1024");
}

static void
write_whole_entries(void)
{
	attempt_put(&a, "entries.csv", "key,type,encoding,value\n"
	    "vendor,namespace,,\nlimit,data,u8,7\n");
}

/* A unit that was done, and its file torn since. */
static void
tear(const char *suffix)
{
	char path[ROOM];

	attempt_well(&a, "torn");
	device_file(suffix, path);
	assert_int_equal(truncate(path, 290), 0);
}

static void
tear_image(void)
{
	tear(".bin");
}

static void
tear_partition(void)
{
	tear(".nvs");
}

static void
mood(const char *m)
{
	char name[64];

	(void)snprintf(name, sizeof(name), "mood-%s", a.serial);
	attempt_put(&a, name, m);
}

#define MOOD(name, text)      \
	static void           \
	name(void)            \
	{                     \
		mood(text);   \
	}
MOOD(write_fails, "write-fails")
MOOD(write_is_late, "write-late")
MOOD(read_fails, "read-fails")
MOOD(read_is_late, "read-late")
MOOD(read_is_short, "read-short")
MOOD(read_is_another_s, "read-other")
MOOD(prove_fails, "prove-fails")
MOOD(prove_is_late, "prove-late")
MOOD(prove_is_short, "prove-short")
MOOD(prove_is_another_s, "prove-other")
MOOD(good_mood, "good")

#define LIE(name, what)           \
	static void               \
	name(void)                \
	{                         \
		a.wire.lie = what;  \
	}
LIE(silent, SILENT)
LIE(of_another_version, OTHER_VERSION)
LIE(greets_badly, BAD_HELLO)
LIE(out_of_memory, FULL)
LIE(proves_wrongly, WRONG_PROOF)
LIE(proves_shortly, SHORT_PROOF)
LIE(proves_late, NO_PROOF)

/* The next unit's board: empty. */
static void
honest(void)
{
	a.wire.lie = HONEST;
}

static void
new_board(void)
{
	wire_unplug(&a.wire);
	wire_plug_in(&a.wire, NONE, -1, HONEST);
}

/* --- the table ----------------------------------------------------------- */

static const struct row {
	const char *name, *target;
	void (*spoil)(void);
	int status;
	const char *step, *why, *todo;
	unsigned taken; /* places of the order, by the attempt */
	void (*mend)(void);
} rows[] = {
#define FILES "file:%"
#define IMAGE "image:^/image.bin:%/{device_id}.bin@0x100,size=1024"
#define NVS "esp-nvs:%/{device_id}.nvs"
#define AGAIN "run the same command again"
#define CHECK "check the target and run the same command again"
#define SPEC "correct --target or what it names"
#define SCAN "scan again"
#define OTHER_ORDER "burn it for that (--order)"
    {"no serial number", FILES, scan_badly, 1, "serial",
	"that is no serial number", SCAN, 0, take_another_serial},
    {"another product's serial number", FILES, scan_another_product, 1,
	"reserve", "(serial_refused)", SCAN, 0, take_another_serial},
    {"used serial number", FILES, use_it_up, 1, "reserve", "is active",
	"give the unit another serial number", 0, take_another_serial},
    {"unknown order", FILES, name_no_order, 1, "reserve", "(not_found)",
	"check --order", 0, take_another_order},
    {"closed order", FILES, close_order, 1, "reserve", "(order_closed)",
	"for an order that is open (--order)", 0, take_another_order},
    {"order closed behind the unit", FILES, close_order_behind_it, 1,
	"release", "(order_closed)", "for an order that is open (--order)", 0,
	open_order_again},
    {"expired order", FILES, let_it_expire, 1, "reserve",
	"(order_expired)", OTHER_ORDER, 0, take_another_order},
    {"full order", FILES, fill_order, 1, "reserve", "(order_full)",
	OTHER_ORDER, 0, take_another_order},
    {"wrong station", FILES, order_of_another_station, 1, "reserve",
	"(wrong_station)", "burn it at one of them", 0, go_to_that_station},
    {"too little proof", FILES, order_of_proofs, 1, "confirm",
	"this order demands \"device\"", "provision-tool targets", 1,
	take_a_proving_target},
    {"unknown credential", FILES, forget_credential, 1, "reserve",
	"(invalid_credential)", "check --credential-file", 0,
	ask_the_right_one},
    {"no network", FILES, cut_network, 3, "reserve", "(network)", AGAIN, 0,
	ask_the_right_one},

    {"no folder", "file:^/late", NULL, 2, "target",
	"No such file or directory", SPEC, 0, make_folder},
    {"no kind of target", "flie:%", NULL, 2, "target",
	"unknown kind of target", SPEC, 0, take_whole_image},
    {"unreadable file", FILES, put_folder_in_its_place, 1, "write",
	"irectory", CHECK, 1, take_folder_away},
    {"full disk", FILES, fill_devices, 1, "write",
	"No space left on device", CHECK, 1, empty_disk},
    {"full disk, text", "file:%,form=text", fill_devices, 1, "write",
	"No space left on device", CHECK, 1, empty_disk},
    {"full disk, image", IMAGE, fill_devices, 1, "write",
	"No space left on device", CHECK, 1, empty_disk},
    {"full disk, partition", NVS, fill_devices, 1, "write",
	"No space left on device", CHECK, 1, empty_disk},
    {"full disk before the journal", FILES, fill_before_journal, 1,
	"journal", "No space left on device", AGAIN, 0, empty_disk},
    {"full disk under the journal", FILES, fill_journal, 1, "journal",
	"the journal cannot be written: No space left on device", AGAIN, 1,
	empty_disk},

    {"no image", "image:^/none.bin:%/{device_id}.bin@0x100", NULL, 2,
	"target", "No such file or directory", SPEC, 0, take_whole_image},
    {"truncated image", "image:^/image-cut.bin:%/{device_id}.bin@0x100",
	NULL, 2, "target", "truncated", SPEC, 0, take_whole_image},
    {"truncated Intel HEX", "image:^/image.hex:%/{device_id}.bin@0x100",
	NULL, 2, "target", "image.hex: it is truncated", SPEC, 0, take_whole_image},
    {"truncated entries", NVS ",csv=^/entries.csv", NULL, 2, "target",
	"line 2", SPEC, 0, write_whole_entries},
    {"image torn afterwards", IMAGE, tear_image, 1, "reserve", "is active",
	"have that device revoked (authctl revoke)", 0, take_another_serial},
    {"partition torn afterwards", NVS, tear_partition, 1, "reserve",
	"is active", "have that device revoked (authctl revoke)", 0, take_another_serial},

#define TOOL "exec:^/tool write,verify=^/tool read" SHORT_TIME
#define PROVING "exec:^/tool write,prove=^/tool prove" SHORT_TIME
    {"no tool", "exec:^/no-tool write", NULL, 1, "write",
	"No such file or directory", CHECK, 1, take_a_proving_target},
    {"tool fails", TOOL, write_fails, 1, "write",
	"ended with status 7: \"no chip found\"", CHECK, 1, good_mood},
    {"tool is late", TOOL, write_is_late, 3, "write",
	"had not ended after 400 ms", CHECK, 1, good_mood},
    {"verify= fails", TOOL, read_fails, 1, "read-back",
	"ended with status 7: \"no chip found\"", CHECK, 1, good_mood},
    {"verify= is late", TOOL, read_is_late, 3, "read-back",
	"had not ended after 400 ms", CHECK, 1, good_mood},
    {"verify= gives a part", TOOL, read_is_short, 1, "read-back",
	"read back other than was written", CHECK, 1, good_mood},
    {"verify= gives another's", TOOL, read_is_another_s, 1, "read-back",
	"read back other than was written", CHECK, 1, good_mood},
    {"prove= fails", PROVING, prove_fails, 1, "prove",
	"ended with status 7: \"no chip found\"", CHECK, 1, good_mood},
    {"prove= is late", PROVING, prove_is_late, 3, "prove",
	"had not ended after 400 ms", CHECK, 1, good_mood},
    {"prove= gives a part", PROVING, prove_is_short, 1, "prove",
	"neither 32 octets nor 64 hexadecimal digits", CHECK, 1, good_mood},
    {"prove= gives another's", PROVING, prove_is_another_s, 1, "prove",
	"(proof_wrong)", CHECK, 1, good_mood},

#define LINE "serial:~,timeout=50ms"
    {"no serial line", "serial:/dev/fealty-none", NULL, 2, "target",
	"/dev/fealty-none: No such file", SPEC, 0, take_whole_image},
    {"no serial line that", "serial:/dev/null", NULL, 2, "target",
	"/dev/null is no serial line", SPEC, 0, take_whole_image},
    {"board is silent", LINE, silent, 3, "target",
	"check power and cable", CHECK, 0, honest},
    {"board of another version", LINE, of_another_version, 1, "target",
	"speaks version 7", CHECK, 0, honest},
    {"board greets badly", LINE, greets_badly, 1, "target",
	"answers HELLO wrongly: check its firmware", CHECK, 0, honest},
    {"board has no room", LINE, out_of_memory, 1, "write",
	"its memory failed", CHECK, 1, honest},
    {"board proves wrongly", LINE, proves_wrongly, 1, "prove",
	"(proof_wrong)", CHECK, 1, honest},
    {"board proves by a part", LINE, proves_shortly, 1, "prove",
	"answers 8 octets, not 32", CHECK, 1, honest},
    {"board is late with its proof", LINE, proves_late, 3, "prove",
	"does not answer", CHECK, 1, honest},
};

/* One line, and only on standard error. */
static void
says_one_line(const struct row *r)
{
	const char *err = a.w.r.err;
	char begin_with[100], shown[32];
	size_t i;

	(void)snprintf(shown, sizeof(shown), "%s", a.serial);
	for (i = 0; shown[i] != '\0'; i++)
		if (shown[i] <= ' ')
			shown[i] = '?';
	(void)snprintf(begin_with, sizeof(begin_with),
	    "provision-tool: unit %s: %s: ", shown, r->step);
	if (strncmp(err, begin_with, strlen(begin_with)) != 0 ||
	    strstr(err, r->why) == NULL || strstr(err, r->todo) == NULL ||
	    strchr(err, '\n') != err + strlen(err) - 1 || a.w.r.out[0] != '\0')
		fail_msg("%s: not \"%s... %s ... %s\" alone:\n%s%s", r->name,
		    begin_with, r->why, r->todo, err, a.w.r.out);
}

/* The attempt has cost the places that are said, and nothing else. */
static void
has_lost_nothing(const struct row *r, const struct holding *was)
{
	static struct holding is;

	attempt_stock(&a, &is);
	assert_case(is.issued == was->issued + r->taken, r->name);
	assert_case(is.rows == was->rows + r->taken, r->name);
	assert_case(is.serials == is.rows, r->name);
	assert_case(is.active == was->active, r->name);
	assert_case(strncmp(is.journal, was->journal,
	    strlen(was->journal)) == 0, r->name);
	if (r->spoil != fill_journal && r->spoil != order_of_proofs)
		assert_case(strcmp(is.files, was->files) == 0, r->name);
}

/* The cause is gone: one live identity more, in one place of one order. */
static void
succeeds_then(const struct row *r, const struct holding *was)
{
	static struct holding is;
	char sql[200];

	r->mend();
	attempt_well(&a, r->name);
	(void)snprintf(sql, sizeof(sql), "SELECT count(*) FROM fealty.device "
	    "WHERE serial = '%s' AND state = 2", a.serial);
	world_sql(&a.w, sql);
	assert_case(strcmp(a.w.r.out, "1\n") == 0, r->name);
	attempt_stock(&a, &is);
	assert_case(is.active == was->active + 1, r->name);
	assert_case(is.serials == is.rows && is.issued == is.rows, r->name);
}

static void
each_fault_is_told_in_one_line_and_costs_nothing(void **state)
{
	static struct holding was;
	const struct row *r;
	int status;

	(void)state;
	for (r = rows; r < rows + COUNT(rows); r++) {
		attempt_begin(&a);
		new_board();
		attempt_aim(&a, r->target);
		if (r->spoil != NULL)
			r->spoil();
		attempt_stock(&a, &was);
		if ((status = attempt_burn(&a)) != r->status)
			fail_msg("%s: %d, not %d: %s", r->name, status,
			    r->status, a.w.r.err);
		says_one_line(r);
		has_lost_nothing(r, &was);
		succeeds_then(r, &was);
	}
}

/* --- many side by side --------------------------------------------------- */

static int
run_line(const char *list)
{
	char journal[ROOM], serials[ROOM];
	const char *argv[] = {"build:provision-tool/provision-tool", "run",
	    "--order", a.order, "--serials",
	    world_file(&a.w, list, serials), "--slots", "3", "--target",
	    a.target, "--journal", world_file(&a.w, "journal", journal),
	    "--url", a.url, "--credential-file", a.credential, NULL};

	return process_run(argv, NULL, LIMIT, &a.w.r);
}

static void
expect_line(const char *serial, const char *step, const char *why)
{
	char text[200];

	(void)snprintf(text, sizeof(text), "unit %s: %s: ", serial, step);
	assert_true(world_says(&a.w, text));
	assert_true(world_says(&a.w, why));
}

/* A board that is dead or late is no reason to stop the line. */
static void
in_a_line_each_is_named_and_the_others_go_on(void **state)
{
	static const char *const bad[] = {"write-fails", "write-late",
	    "read-other", "read-late"};
	char list[400] = "SN?\n", serial[COUNT(bad)][32];
	size_t i;

	(void)state;
	attempt_begin(&a);
	attempt_aim(&a, "exec:^/tool write {slot},verify=^/tool read" SHORT_TIME);
	for (i = 0; i < 12; i++) {
		attempt_next(&a);
		(void)sprintf(list + strlen(list), "%s\n", a.serial);
		if (i < COUNT(bad)) {
			(void)strcpy(serial[i], a.serial);
			mood(bad[i]);
		}
	}
	attempt_put(&a, "list", list);
	assert_int_equal(run_line("list"), 1);
	expect_line("SN?", "serial", "that is no serial number: scan again");
	expect_line(serial[0], "write", "no chip found");
	expect_line(serial[1], "write", "had not ended after 400 ms");
	expect_line(serial[2], "read-back", "read back other than");
	expect_line(serial[3], "read-back", "had not ended after 400 ms");
	assert_true(world_says(&a.w, "8 done (0 before), 3 refused, 2 to try "
	    "again"));
	for (i = 0; i < COUNT(bad); i++) {
		(void)strcpy(a.serial, serial[i]);
		mood("good");
	}
	attempt_put(&a, "list", list + strlen("SN?\n"));
	assert_int_equal(run_line("list"), 0);
	assert_true(world_says(&a.w, "12 done (8 before), 0 refused, 0 to try "
	    "again"));
}

static int
set_up(void **state)
{
	(void)state;
	attempt_open(&a);
	return 0;
}

static int
tear_down(void **state)
{
	attempt_close(&a);
	return *state != NULL;
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_fault_is_told_in_one_line_and_costs_nothing),
	    cmocka_unit_test(in_a_line_each_is_named_and_the_others_go_on),
	};

	if (argc == 3 && strcmp(argv[1], "--prove") == 0)
		return attempt_prove(argv[2]);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
