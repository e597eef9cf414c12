/*
 * A device's root key, and every key derived from it, is found nowhere but in
 * the record of the device: in no output, no log, no command line, no
 * environment, no journal, no file and no dump of the database.
 */
#include "tests/scenario/world.h"

#include <sys/stat.h>
#include <ctype.h>
#include <dirent.h>
#include <ftw.h>
#include <time.h>
#include <unistd.h>
#include <fealty/device_openssl.h>

#include "lib/base/b64url.h"

#define NEEDLES_MAX 400
#define KEYS_MAX 32
#define FILE_MAX ((size_t)64 << 20)

struct needle {
	unsigned char octets[72];
	size_t len;
	char what[48];
};

static struct world w;
static struct needle needles[NEEDLES_MAX];
static size_t nneedles;
static char *seen; /* command lines and environments, while programs ran */
static size_t seen_len, seen_max, samples;

static void
needle(const void *p, size_t len, const char *what, const char *how)
{
	struct needle *n = &needles[nneedles++];

	assert_true(nneedles < NEEDLES_MAX && len <= sizeof(n->octets));
	memcpy(n->octets, p, len);
	n->len = len;
	(void)snprintf(n->what, sizeof(n->what), "%.24s as %.16s", what, how);
}

/*
 * Base64 of 32 octets that stand anywhere in a longer text: the characters
 * that depend on these octets alone, for each of three alignments.
 */
static void
base64_needles(const unsigned char key[32], const char *what)
{
	unsigned char padded[2 + 32] = {0};
	char text[64];
	size_t shift, i, from, to;

	for (shift = 0; shift < 3; shift++) {
		memcpy(padded + shift, key, 32);
		b64url_encode(padded, shift + 32, text);
		from = (shift * 8 + 5) / 6;
		to = (shift + 32) * 8 / 6;
		needle(text + from, to - from, what, "base64url");
		for (i = from; i < to; i++)
			text[i] = text[i] == '-' ? '+' :
			    text[i] == '_' ? '/' : text[i];
		needle(text + from, to - from, what, "base64");
	}
}

static void
key_needles(const unsigned char key[32], const char *what)
{
	char text[65];
	size_t i;

	needle(key, 32, what, "octets");
	hex_encode(key, 32, text);
	needle(text, 64, what, "hex");
	for (i = 0; i < 64; i++)
		text[i] = (char)toupper((unsigned char)text[i]);
	needle(text, 64, what, "HEX");
	base64_needles(key, what);
}

static void
derived_needles(const struct fealty_record *r)
{
	static const struct {
		const char *purpose, *context;
	} all[] = {{"assertion", ""}, {"proof", ""}, {"payload", "service"},
	    {"payload", "hub"}};
	unsigned char key[32];
	size_t i;
	int tls;

	for (i = 0; i < COUNT(all); i++) {
		assert_int_equal(fealty_derive(&fealty_device_port_openssl,
		    r, all[i].purpose, all[i].context,
		    strlen(all[i].context), key), FEALTY_OK);
		key_needles(key, all[i].purpose);
	}
	for (i = 0; i < r->npeers; i++) {
		for (tls = FEALTY_TLS13; tls <= FEALTY_DTLS13; tls++) {
			assert_int_equal(fealty_psk(
			    &fealty_device_port_openssl, r, &r->peers[i],
			    (enum fealty_tls)tls, key), FEALTY_OK);
			key_needles(key, "psk");
		}
	}
}

static void
learn_keys(const char *serial)
{
	char name[ROOM], path[ROOM], octets[FEALTY_RECORD_MAX + 1];
	struct fealty_record r;
	ssize_t n;

	(void)snprintf(name, sizeof(name), "burned/%s.cbor", serial);
	n = file_text(world_file(&w, name, path), octets, sizeof(octets));
	assert_true(n > 0);
	assert_int_equal(fealty_record_read(octets, (size_t)n, &r),
	    FEALTY_OK);
	assert_int_equal(r.npeers, 2);
	key_needles(r.key, "K");
	derived_needles(&r);
}

/* The needle that stands at p, len octets before the end, or NULL. */
static const struct needle *
needle_at(const unsigned char *p, size_t len)
{
	size_t i;

	for (i = 0; i < nneedles; i++)
		if (needles[i].len <= len &&
		    memcmp(p, needles[i].octets, needles[i].len) == 0)
			return &needles[i];
	return NULL;
}

/* The first needle in text, or NULL; one pass, by their first two octets. */
static const struct needle *
find(const char *text, size_t len)
{
	static unsigned char begins[65536];
	const unsigned char *p = (const unsigned char *)text;
	const struct needle *n = NULL;
	size_t i;

	memset(begins, 0, sizeof(begins));
	for (i = 0; i < nneedles; i++)
		begins[needles[i].octets[0] << 8 | needles[i].octets[1]] = 1;
	for (i = 0; i + 1 < len && n == NULL; i++)
		if (begins[p[i] << 8 | p[i + 1]])
			n = needle_at(p + i, len - i);
	return n;
}

static void
search(const char *where, const char *text, size_t len)
{
	const struct needle *n = find(text, len);

	if (n != NULL)
		fail_msg("%s in %s", n->what, where);
}

/* All of a file, also one of /proc; its length, 0 when it cannot be read. */
static size_t
slurp(const char *path, char **out)
{
	struct stat sb;
	size_t size = 65536;
	ssize_t n;
	char *buf;

	if (stat(path, &sb) == 0 && S_ISREG(sb.st_mode))
		size += (size_t)sb.st_size;
	assert_true(size < FILE_MAX);
	buf = malloc(size);
	assert_non_null(buf);
	n = file_text(path, buf, size);
	*out = buf;
	return n > 0 ? (size_t)n : 0;
}

static void
keep(const char *path)
{
	char *text;
	size_t n = slurp(path, &text);

	if (seen_len + n > seen_max) {
		seen_max = 2 * seen_max + n + 65536;
		seen = realloc(seen, seen_max);
		assert_non_null(seen);
	}
	memcpy(seen + seen_len, text, n);
	seen_len += n;
	free(text);
}

/* What anyone on the machine may see of a process, and its owner. */
static void
sample(pid_t pid)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%ld/cmdline", (long)pid);
	keep(path);
	(void)snprintf(path, sizeof(path), "/proc/%ld/environ", (long)pid);
	keep(path);
	samples++;
}

static void
watched(const char *const *argv)
{
	char out[ROOM], err[ROOM];
	const struct timespec moment = {0, 1000000};
	pid_t pid;
	int status = -1;

	pid = process_start(argv, world_file(&w, "watched.out", out),
	    world_file(&w, "watched.err", err));
	assert_true(pid > 0);
	do {
		sample(pid);
		(void)nanosleep(&moment, NULL);
	} while (!process_ended(&pid, &status));
	assert_int_equal(status, 0);
}

static void
burn(const char *serial)
{
	char url[ROOM], cred[ROOM], journal[ROOM], dir[ROOM];
	char target[ROOM + 8];
	const char *argv[] = {"build:provision-tool/provision-tool", "burn",
	    "--order", "first", "--serial", serial, "--target", target,
	    "--journal", world_file(&w, "journal", journal), "--url",
	    world_url(&w, url), "--credential-file",
	    world_file(&w, "station", cred), "--json", NULL};

	(void)snprintf(target, sizeof(target), "file:%s",
	    world_file(&w, "burned", dir));
	watched(argv);
}

static void
device(const char *serial, const char *tls, const char *command)
{
	char name[ROOM], record[ROOM];
	const char *argv[] = {"build:examples/device", "--record", record,
	    "--tls", tls, command, "--audience", "hub", NULL};

	(void)snprintf(name, sizeof(name), "burned/%s.cbor", serial);
	(void)world_file(&w, name, record);
	watched(argv);
}

/* Everything that handles a key at some time, at the highest log level. */
static int
set_up(void **state)
{
	static const char *const extra[] = {"--log-level", "debug", NULL};
	char record[ROOM];
	const char *show[] = {"build:provision-tool/provision-tool", "show",
	    record, "--json", NULL};

	(void)state;
	world_open(&w, extra);
	world_order(&w, 5);
	world_gateway(&w, NULL);
	burn("SN0001");
	burn("SN0002");
	(void)world_file(&w, "burned/SN0001.cbor", record);
	watched(show);
	device("SN0001", "1.3", "token");
	device("SN0001", "1.2", "token");
	device("SN0001", "1.3", "connect");
	device("SN0001", "1.2", "connect");
	device("SN0001", "1.3", "assertion");
	device("SN0001", "1.3", "peers");
	device("SN0002", "1.3", "status");
	learn_keys("SN0001");
	learn_keys("SN0002");
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	world_close(&w);
	free(seen);
	return 0;
}

static void
the_search_finds_what_is_there(void **state)
{
	char path[ROOM], text[8 * 72], *record;
	unsigned char *key = needles[0].octets;
	size_t n = slurp(world_file(&w, "burned/SN0001.cbor", path), &record);
	size_t shift;

	(void)state;
	assert_non_null(find(record, n));
	free(record);
	for (shift = 0; shift < 6; shift++) {
		memset(text, 7, sizeof(text));
		memcpy(text + 64 + shift, key, 32);
		b64url_encode(text + 64, 40, text + 128);
		assert_non_null(find(text + 128, 60));
	}
}

static void
no_command_line_or_environment_has_a_key(void **state)
{
	struct dirent *d;
	DIR *proc;

	(void)state;
	assert_true(samples > 10 && seen_len > 0);
	/* what runs now: authd, its database, the gateway, and any other */
	proc = opendir("/proc");
	assert_non_null(proc);
	while ((d = readdir(proc)) != NULL)
		if (isdigit((unsigned char)d->d_name[0]))
			sample((pid_t)strtol(d->d_name, NULL, 10));
	(void)closedir(proc);
	search("a command line or environment", seen, seen_len);
}

static size_t files_read;

static int
visit(const char *path, const struct stat *sb, int type, struct FTW *f)
{
	char *text;
	size_t n, len = strlen(path);

	(void)f;
	if (type != FTW_F || !S_ISREG(sb->st_mode))
		return 0;
	if (len > 5 && strcmp(path + len - 5, ".cbor") == 0)
		return 0; /* the device itself */
	n = slurp(path, &text);
	files_read++;
	search(path, text, n);
	free(text);
	return 0;
}

static void
no_output_log_or_journal_has_a_key(void **state)
{
	char path[2 * ROOM];

	(void)state;
	files_read = 0;
	assert_int_equal(nftw(w.dir, visit, 16, FTW_PHYS), 0);
	assert_true(files_read > 6);
	(void)snprintf(path, sizeof(path), "%s/run",
	    authd_fixture_dir(w.authd));
	assert_int_equal(nftw(path, visit, 16, FTW_PHYS), 0);
	files_read = 0;
	assert_int_equal(nftw(authd_fixture_log(w.authd), visit, 16,
	    FTW_PHYS), 0);
	assert_int_equal(files_read, 1);
}

static void
no_dump_of_the_database_has_a_key(void **state)
{
	char path[ROOM + 100], socket[ROOM];
	const char *argv[] = {"/usr/lib/postgresql/15/bin/pg_dump", "-h",
	    socket, "-U", "fealty_super", "--inserts", "fealty", NULL};

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/run/socket-dir",
	    authd_fixture_dir(w.authd));
	assert_true(file_text(path, socket, sizeof(socket)) > 0);
	socket[strcspn(socket, "\n")] = '\0';
	if (process_run(argv, NULL, 120, &w.r) != 0)
		fail_msg("pg_dump: %s", w.r.err);
	assert_non_null(strstr(w.r.out, "SN0001"));
	assert_non_null(strstr(w.r.out, "PostgreSQL database dump complete"));
	search("a dump", w.r.out, w.r.out_len);
	assert_null(strstr(w.r.out, w.admin));
	assert_null(strstr(w.r.out, w.hub));
}

static void
no_file_of_the_database_has_a_key(void **state)
{
	char path[2 * ROOM];

	(void)state;
	assert_int_equal(authd_fixture_end(w.authd), 0);
	(void)snprintf(path, sizeof(path), "%s/db",
	    authd_fixture_dir(w.authd));
	files_read = 0;
	assert_int_equal(nftw(path, visit, 16, FTW_PHYS), 0);
	assert_true(files_read > 100);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_search_finds_what_is_there),
	    cmocka_unit_test(no_command_line_or_environment_has_a_key),
	    cmocka_unit_test(no_output_log_or_journal_has_a_key),
	    cmocka_unit_test(no_dump_of_the_database_has_a_key),
	    cmocka_unit_test(no_file_of_the_database_has_a_key),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
