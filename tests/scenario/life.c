#include "tests/scenario/life.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <fcntl.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>
#include <fealty/device.h>

#include "lib/base/b64url.h"
#include "tests/helpers/leak.h"

#define TARGET_ROOM (4 * ROOM)

struct world life_world;
int life_cores;

/* --- programs ------------------------------------------------------------ */

static int
ended_with(pid_t pid)
{
	long deadline = process_deadline(120);
	int status = -1;

	while (!process_ended(&pid, &status)) {
		assert_true(process_left(deadline));
		process_pause();
	}
	return status;
}

static pid_t
begun(const char *const *argv)
{
	char out[ROOM], err[ROOM];
	pid_t pid;

	pid = process_start(argv, world_file(&life_world, "watched.out", out),
	    world_file(&life_world, "watched.err", err));
	assert_true(pid > 0);
	return pid;
}

int
life_run(const char *const *argv)
{
	return ended_with(begun(argv));
}

/* It must have succeeded; else with what was said last. */
static void
well(int status, const char *what)
{
	static char text[1 << 20];
	char path[ROOM];
	ssize_t n;

	if (status == 0)
		return;
	n = file_text(world_file(&life_world, "watched.err", path), text,
	    sizeof(text));
	fail_msg("%s: %d: %s", what, status, n > 400 ? text + n - 400 : text);
}

#define RUN(...) \
	life_run((const char *const[]){__VA_ARGS__, NULL})
#define TOOL "build:provision-tool/provision-tool"

/* In target % is the folder of devices, ^ the one above. */
static void
aim(const char *text, char out[TARGET_ROOM])
{
	const char *p;
	size_t n = 0;

	for (p = text; *p != '\0'; p++) {
		if (*p == '%')
			n += (size_t)snprintf(out + n, TARGET_ROOM - n,
			    "%s/burned", life_world.dir);
		else if (*p == '^')
			n += (size_t)snprintf(out + n, TARGET_ROOM - n, "%s",
			    life_world.dir);
		else
			n += (size_t)snprintf(out + n, TARGET_ROOM - n, "%c",
			    *p);
		assert_true(n < TARGET_ROOM);
	}
}

static pid_t
burn_begun(const char *serial, const char *text)
{
	char url[ROOM], cred[ROOM], journal[ROOM], target[TARGET_ROOM];
	const char *argv[] = {TOOL, "burn", "--order", "first", "--serial",
	    serial, "--target", target, "--journal",
	    world_file(&life_world, "journal", journal), "--url",
	    world_url(&life_world, url),
	    "--credential-file", world_file(&life_world, "station", cred), "--label",
	    "zpl", "--label-dir", life_world.dir, "--json", NULL};

	aim(text, target);
	return begun(argv);
}

static void
burn(const char *serial, const char *target)
{
	well(ended_with(burn_begun(serial, target)), serial);
}

static void
not_burned(const char *serial, const char *target)
{
	assert_case(ended_with(burn_begun(serial, target)) != 0, serial);
}

static int
device(const char *serial, const char *tls, const char *command)
{
	char name[ROOM], record[ROOM], at[ROOM];

	(void)snprintf(at, sizeof(at), "127.0.0.1:%u",
	    authd_fixture_device(life_world.authd));
	(void)snprintf(name, sizeof(name), "burned/%s.cbor", serial);
	(void)world_file(&life_world, name, record);
	if (strcmp(command, "connect") == 0)
		return RUN("build:examples/device", "--record", record,
		    "--tls", tls, command, "--audience", "hub");
	if (strcmp(command, "assertion") == 0)
		return RUN("build:examples/device", "--record", record,
		    "--tls", tls, command);
	return RUN("build:examples/device", "--record", record, "--at", at,
	    "--tls", tls, command);
}

/* --- keys ---------------------------------------------------------------- */

static void
learn_as(const char *serial, const char *kind)
{
	static char file[65536];
	char name[ROOM], path[ROOM], octets[FEALTY_RECORD_MAX];
	const struct kind *k = kind_find(kind);
	ssize_t n;
	size_t len;

	assert_non_null(k);
	(void)snprintf(name, sizeof(name), "burned/%s%s", serial, k->suffix);
	n = file_text(world_file(&life_world, name, path), file, sizeof(file));
	assert_true(n > 0);
	len = k->record(file, (size_t)n, octets);
	assert_case(len > 0, path);
	leak_record(octets, len);
}

static void
learn_kek(void)
{
	char path[2 * ROOM], hex[100];
	unsigned char key[32];
	unsigned octet;
	size_t i;

	(void)snprintf(path, sizeof(path), "%s/keys/kek",
	    authd_fixture_dir(life_world.authd));
	assert_int_equal(file_text(path, hex, sizeof(hex)), 64);
	for (i = 0; i < 32; i++) {
		assert_int_equal(sscanf(hex + 2 * i, "%2x", &octet), 1);
		key[i] = (unsigned char)octet;
	}
	leak_key(LEAK_REAL, key, "the key-encryption key");
}

/* It opens every key of a station's tickets. */
static void
learn_station_key(const char *path)
{
	unsigned char key[32];
	char text[128];
	ssize_t n = file_text(path, text, sizeof(text));

	assert_true(n > 44);
	assert_int_equal(b64url_decode_exact(text + n - 44, 43, key, 32),
	    ERR_OK);
	leak_key(LEAK_REAL, key, "a station's key");
}

/* --- what happens -------------------------------------------------------- */

static void
put(const char *name, const void *octets, size_t len)
{
	char path[ROOM];
	int fd = open(world_file(&life_world, name, path),
	    O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, octets, len), (ssize_t)len);
	assert_int_equal(close(fd), 0);
}

/* A tool that says on its output what it should never, in the form $1. */
static const char chatterer[] =
    "#!/bin/sh\n"
    "sleep 0.05\n"
    "case $1 in\n"
    "raw) cat <&3 >&2 ;;\n"
    "hex) od -An -v -tx1 <&3 | tr -d ' \\n' >&2 ;;\n"
    "base64) base64 -w0 <&3 >&2 ;;\n"
    "hold) while ! [ -e \"${0%/*}/go\" ]; do\n"
    "\techo held >\"${0%/*}/held\"; sleep 0.02; done ;;\n"
    "esac\n"
    "exit 9\n";

static const char image_target[] =
    "image:^/image.in:%/{device_id}.bin@0x100,size=1024";
static const char exec_target[] = "exec:sh -c \"sleep 0.05; cat <&3 "
    ">%/$FEALTY_DEVICE_ID.dev\",verify=cat %/{device_id}.dev,log=^/exec.log";

static void
burn_into_everything(void)
{
	static char image[8192];
	char path[ROOM];

	memset(image, 0xff, sizeof(image));
	put("image.in", image, sizeof(image));
	burn("SN0001", "file:%");
	burn("SN0002", "file:%");
	burn("SN0003", "file:%,form=env");
	burn("SN0004", "file:%,form=text");
	burn("SN0005", image_target);
	burn("SN0006", "esp-nvs:%/{device_id}.nvs,id-key=id");
	burn("SN0007", exec_target);
	burn("SN0001", "file:%"); /* again: nothing is asked for */
	assert_int_equal(RUN(TOOL, "show", world_file(&life_world,
	    "burned/SN0001.cbor", path), "--json"), 0);
	assert_int_equal(RUN(TOOL, "show", world_file(&life_world,
	    "burned/SN0003.env", path)), 0);
}

static void
a_whole_line(void)
{
	char url[ROOM], cred[ROOM], journal[ROOM], list[ROOM], dir[ROOM + 8];
	char path[ROOM];

	put("list", "SN0011\nSN0012\nSN0013\nSN 14\n", 27);
	(void)snprintf(dir, sizeof(dir), "file:%s",
	    world_file(&life_world, "burned", path));
	assert_int_equal(RUN(TOOL, "run", "--order", "first", "--serials",
	    world_file(&life_world, "list", list), "--slots", "3", "--target", dir,
	    "--journal", world_file(&life_world, "journal", journal), "--url",
	    world_url(&life_world, url), "--credential-file",
	    world_file(&life_world, "station", cred), "--json"), 1);
}

static void
without_network(void)
{
	char url[ROOM], cred[ROOM], journal[ROOM], key[ROOM], ticket[ROOM];
	char path[ROOM], dir[ROOM + 8];

	(void)world_file(&life_world, "station-key", key);
	(void)world_file(&life_world, "ticket", ticket);
	(void)world_file(&life_world, "journal-far", journal);
	(void)world_url(&life_world, url);
	(void)world_file(&life_world, "station", cred);
	(void)snprintf(dir, sizeof(dir), "file:%s",
	    world_file(&life_world, "burned", path));
	CTL(&life_world, "order", "create", "far", "--model", "m1", "--quantity", "5",
	    "--expires", "24h", "--peers", "hub", "--stations", "line1",
	    "--device-id", "far-{n}");
	assert_int_equal(RUN(TOOL, "station-key", key), 0);
	learn_station_key(key);
	assert_int_equal(RUN(TOOL, "ticket", "pull", ticket, "--order", "far",
	    "--count", "2", "--life", "1h", "--station-key", key, "--url",
	    url, "--credential-file", cred), 0);
	assert_int_equal(RUN(TOOL, "burn", "--ticket", ticket,
	    "--station-key", key, "--serial", "SN0021", "--target", dir,
	    "--journal", journal), 0);
	assert_int_equal(RUN(TOOL, "ticket", "push", ticket, "--station-key",
	    key, "--journal", journal, "--url", url, "--credential-file",
	    cred), 0);
}

static void
devices_speak(void)
{
	static const char *const all[] = {"token", "connect", "assertion",
	    "peers", "status"};
	size_t i;

	for (i = 0; i < COUNT(all); i++) {
		well(device("SN0001", "1.3", all[i]), all[i]);
		well(device("SN0001", "1.2", all[i]), all[i]);
	}
}

static void
devices_rotate(void)
{
	well(device("SN0002", "1.3", "rotate"), "rotate");
	learn_as("SN0002", "file");
	well(device("SN0002", "1.2", "rotate"), "rotate");
	well(device("SN0002", "1.3", "token"), "token");
}

static void
tools_fail(void)
{
	put("chatter", chatterer, strlen(chatterer));
	not_burned("SN0031", "exec:^/chatter raw,log=^/exec.log");
	not_burned("SN0031", "exec:^/chatter hex,log=^/exec.log");
	not_burned("SN0031", "exec:^/chatter base64,log=^/exec.log");
	not_burned("SN0031", "exec:^/chatter none,log=^/exec.log");
	burn("SN0031", "file:%");
	not_burned("SN0032", "exec:cat /dev/fd/3,prove=sh -c \"cat <&3; "
	    "cat <&3 >&2\",log=^/exec.log");
	burn("SN0032", "file:%");
	not_burned("SN0001", "file:^"); /* used */
}

/*
 * The database writes down whatever it is told and whatever fails, with the
 * parameters; each table that a key's way leads through refuses a while.
 */
static void
database_chatters_and_fails(void)
{
	static const char *const tables[] = {"device_key", "device", "audit",
	    "assertion_mark"};
	const struct assertion_of by = {"SN0001", time(NULL), NULL};
	char sql[300], assertion[ASSERTION_ROOM];
	size_t i;

	world_sql(&life_world, "ALTER DATABASE fealty SET log_statement = 'all'; "
	    "ALTER DATABASE fealty SET log_min_error_statement = 'error'; "
	    "ALTER DATABASE fealty SET log_parameter_max_length = -1; "
	    "ALTER DATABASE fealty SET log_parameter_max_length_on_error = "
	    "-1; ALTER DATABASE fealty SET log_error_verbosity = 'verbose'");
	authd_fixture_crash(life_world.authd);
	assert_int_equal(authd_fixture_restart(life_world.authd), 0);
	learn_as("SN0012", "file");
	for (i = 0; i < COUNT(tables); i++) {
		(void)snprintf(sql, sizeof(sql), "ALTER TABLE fealty.%s "
		    "ADD CONSTRAINT out_of_order CHECK (false) NOT VALID",
		    tables[i]);
		world_sql(&life_world, sql);
		(void)ended_with(burn_begun("SN0041", "file:%"));
		(void)device("SN0012", "1.3", "rotate");
		world_assertion(&life_world, &by, assertion);
		(void)world_redeem(&life_world, assertion);
		(void)snprintf(sql, sizeof(sql), "ALTER TABLE fealty.%s "
		    "DROP CONSTRAINT out_of_order", tables[i]);
		world_sql(&life_world, sql);
	}
	burn("SN0041", "file:%");
	burn("SN0042", exec_target);
	learn_as("SN0013", "file");
	well(device("SN0013", "1.3", "rotate"), "rotate");
}

/* What a program that is aborted leaves: 1 when that was a core. */
static int
dumps_core(pid_t pid)
{
	siginfo_t how;

	assert_int_equal(kill(pid, SIGABRT), 0);
	memset(&how, 0, sizeof(how));
	assert_int_equal(waitid(P_PID, (id_t)pid, &how, WEXITED | WNOWAIT), 0);
	assert_int_equal(how.si_status, SIGABRT);
	return how.si_code == CLD_DUMPED;
}

static void
programs_abort(void)
{
	char path[ROOM];
	pid_t pid;

	pid = burn_begun("SN0051", "exec:^/chatter hold");
	assert_int_equal(file_wait(world_file(&life_world, "held", path), "held", 60),
	    0);
	/* who holds a key now, and who has been given it */
	assert_true(leak_seen("exec:"));
	assert_true(leak_seen("FEALTY_DEVICE_ID=SN0051"));
	life_cores += dumps_core(pid);
	(void)ended_with(pid);
	put("go", "", 0); /* the tool it left behind */
	burn("SN0051", "file:%");
	life_cores += dumps_core(authd_fixture_pid(life_world.authd));
	authd_fixture_crash(life_world.authd);
	assert_int_equal(authd_fixture_restart(life_world.authd), 0);
	burn("SN0052", "file:%");
	well(device("SN0001", "1.3", "token"), "token");
}

static void
learn_all(void)
{
	static const char *const files[] = {"SN0001", "SN0002", "SN0011",
	    "SN0012", "SN0013", "far-1", "SN0031", "SN0032", "SN0041",
	    "SN0051", "SN0052"};
	size_t i;

	for (i = 0; i < COUNT(files); i++)
		learn_as(files[i], "file");
	learn_as("SN0003", "env");
	learn_as("SN0004", "text");
	learn_as("SN0005", "image");
	learn_as("SN0006", "esp-nvs");
	learn_as("SN0007", "exec");
	learn_as("SN0042", "exec");
	learn_kek();
}

/* Cores are allowed to everybody; a sanitizer is told so. */
static void
allow_cores(void)
{
	const struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
	const char *asan = getenv("ASAN_OPTIONS");
	char options[600];

	if (setrlimit(RLIMIT_CORE, &all) != 0)
		print_message("# no cores: this user may not raise the "
		    "limit\n");
	(void)snprintf(options, sizeof(options), "%.500s:disable_coredump=0",
	    asan == NULL ? "" : asan);
	assert_int_equal(setenv("ASAN_OPTIONS", options, 1), 0);
}

/* Everything that handles a key at some time, at the highest log level. */
/* Everything that handles a key at some time, at the highest log level. */
void
life_lead(void)
{
	static const char *const extra[] = {"--log-level", "debug",
	    "--issuer", ISSUER, NULL};

	allow_cores();
	world_open(&life_world, extra);
	world_order(&life_world, 50);
	world_gateway(&life_world, ISSUER);
	burn_into_everything();
	devices_speak();
	learn_as("SN0002", "file");
	devices_rotate();
	a_whole_line();
	without_network();
	tools_fail();
	database_chatters_and_fails();
	programs_abort();
	learn_all();
}
