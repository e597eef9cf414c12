/*
 * The burn as a transaction, against an authority in memory (docs/api.md,
 * "The burn"): killed at any system call or request, with any request or
 * answer lost, the same call again ends with exactly one live identity.
 */
#include "tests/unit/unit.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include "lib/base/b64url.h"
#include "lib/base/file.h"
#include "lib/crypt/digest.h"
#include "lib/crypt/kdf.h"
#include "lib/jose/jwe.h"
#include "lib/wire/burn.h"
#include "lib/wire/record.h"
#include "lib/wire/registry.h"
#include "provision-tool/burn.h"

#define ORDER "o-1"
#define SERIAL "SN-1"
#define KILLED 77

/*
 * The authority, in memory that the killed processes share. Its only device
 * number 0 is not there yet.
 */
static struct authority {
	struct device dev;
	struct key32 k;
	unsigned char challenge[CHALLENGE_LEN];
	int requests, releases, confirms;
	int syncs, synced; /* of files; those before the last confirm */
	int expired;		       /* confirm knows no challenge any more */
	int lose_request, lose_answer; /* of that request, from 1; 0 none */
	enum { HONEST, OTHER_DEVICE, OTHER_EPOCH, OTHER_KEY, NO_AUTHORITY } lie;
	int ops, kill_at; /* system calls and requests; 0: never */
	enum proof proof; /* that is to be recorded; NONE: medium */
	int tear;	  /* octet to change behind the station's back, + 1 */
} * a;

static void
op(void)
{
	if (a != NULL && a->kill_at > 0 && ++a->ops == a->kill_at)
		_exit(KILLED);
}

ssize_t __real_write(int fd, const void *p, size_t len);
ssize_t __wrap_write(int fd, const void *p, size_t len);
int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __real_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to);

/* Killed before the write, or with half of it done. */
ssize_t
__wrap_write(int fd, const void *p, size_t len)
{
	op();
	if (a != NULL && a->kill_at > 0 && a->ops + 1 == a->kill_at)
		(void)__real_write(fd, p, len / 2);
	op();
	return __real_write(fd, p, len);
}

int
__wrap_fsync(int fd)
{
	struct stat st;

	op();
	if (a != NULL && fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		a->syncs++;
	return __real_fsync(fd);
}

int
__wrap_rename(const char *from, const char *to)
{
	unsigned char octet;
	int fd, r;

	op();
	r = __real_rename(from, to);
	if (a->tear == 0)
		return r;
	fd = open(to, O_RDWR);
	if (pread(fd, &octet, 1, a->tear - 1) == 1) {
		octet ^= 1;
		(void)!pwrite(fd, &octet, 1, a->tear - 1);
	}
	(void)close(fd);
	return r;
}

static enum err
answer_device(struct buf *out)
{
	return jout(wire_device_json(&a->dev), out);
}

static enum err
do_reserve(const struct buf *body, struct buf *out)
{
	name_t serial;

	assert_int_equal(wire_serial_decode(body->p, body->len, serial, NULL),
			 ERR_OK);
	assert_string_equal(serial, SERIAL);
	if (a->dev.dn == 0) {
		a->dev.dn = 7;
		strcpy(a->dev.device_id, "sn:1");
		strcpy(a->dev.serial, serial);
		strcpy(a->dev.order, ORDER);
		strcpy(a->dev.model, "m");
		a->dev.state = DEV_RESERVED;
		a->dev.epoch = 1;
		a->dev.created_at = a->dev.changed_at = 1795000000;
		memset(a->k.b, 0xc3, sizeof(a->k.b));
	} else if (a->dev.state != DEV_RESERVED &&
		   a->dev.state != DEV_BURNING) {
		return ERR_SERIAL_USED;
	}
	return answer_device(out);
}

static void
fill_release(struct release *rel)
{
	strcpy(rel->issuer, "https://fealty.example");
	rel->device = a->dev;
	memcpy(rel->challenge, a->challenge, sizeof(rel->challenge));
	strcpy(rel->peers[0].audience,
	       a->lie == NO_AUTHORITY ? "another" : "authority");
	strcpy(rel->peers[0].host, "fealty.example");
	rel->peers[0].port = 8444;
	memset(rel->peers[0].identity, 'A', PSKID_LEN);
	rel->npeers = 1;
	if (a->lie == OTHER_DEVICE)
		strcpy(rel->device.device_id, "sn:2");
}

static enum err
do_release(const struct buf *body, struct buf *out)
{
	struct release_request req;
	struct release rel;
	struct secret plain = {0};
	struct buf jwe = {.max = 4096};
	enum err e;

	assert_int_equal(
	    wire_release_request_decode(body->p, body->len, &req, NULL),
	    ERR_OK);
	assert_int_equal(req.epoch, a->dev.epoch);
	if (a->dev.state != DEV_RESERVED && a->dev.state != DEV_BURNING)
		return ERR_WRONG_STATE;
	a->dev.state = DEV_BURNING;
	a->releases++;
	memset(a->challenge, a->releases, sizeof(a->challenge));
	memset(&rel, 0, sizeof(rel));
	fill_release(&rel);
	assert_int_equal(
	    wire_key_encode(a->lie == OTHER_KEY ? "sn:2" : a->dev.device_id,
			    a->lie == OTHER_EPOCH ? 2 : a->dev.epoch, &a->k,
			    &plain),
	    ERR_OK);
	assert_int_equal(jwe_seal(req.station_key, plain.p, plain.len, &jwe),
			 ERR_OK);
	assert_true(jwe.len < sizeof(rel.key));
	memcpy(rel.key, jwe.p, jwe.len);
	e = wire_release_encode(&rel, out);
	secret_free(&plain);
	buf_free(&jwe);
	return e;
}

static enum err
do_confirm(const struct buf *body, struct buf *out)
{
	unsigned char want[32];
	struct confirm c;

	a->synced = a->syncs;
	assert_int_equal(wire_confirm_decode(body->p, body->len, &c, NULL),
			 ERR_OK);
	if (a->expired)
		return ERR_CHALLENGE;
	assert_int_equal(kdf_proof(&a->k, a->dev.device_id, a->dev.epoch,
				   "burn", a->challenge, sizeof(a->challenge),
				   want),
			 ERR_OK);
	if (memcmp(c.challenge, a->challenge, sizeof(c.challenge)) != 0 ||
	    memcmp(c.answer, want, sizeof(want)) != 0)
		return ERR_PROOF;
	assert_int_equal(c.proof, a->proof == PROOF_NONE ? PROOF_MEDIUM
							 : a->proof);
	if (a->dev.state != DEV_BURNING && a->dev.state != DEV_ACTIVE)
		return ERR_WRONG_STATE;
	a->dev.state = DEV_ACTIVE;
	a->dev.proof = c.proof;
	a->confirms++;
	return answer_device(out);
}

static enum err
route(const char *method, const char *path, const struct buf *body,
      struct buf *out)
{
	if (strcmp(method, "GET") == 0) {
		assert_string_equal(path, "/v1/devices/sn:1");
		return a->dev.dn == 0 ? ERR_NOT_FOUND : answer_device(out);
	}
	assert_string_equal(method, "POST");
	if (strcmp(path, "/v1/orders/" ORDER "/devices") == 0)
		return do_reserve(body, out);
	if (strcmp(path, "/v1/devices/sn:1/release") == 0)
		return do_release(body, out);
	assert_string_equal(path, "/v1/devices/sn:1/confirm");
	return do_confirm(body, out);
}

/* In lib/client's place. */
enum err
client_call(struct client *c, const char *method, const char *path,
	    const char *type, const struct buf *body, struct buf *answer,
	    struct problem *why)
{
	enum err e;
	int n = ++a->requests;

	op();
	buf_reset(answer);
	if (n == a->lose_request)
		return ERR_NETWORK;
	e = route(method, path, body, answer);
	op();
	return n == a->lose_answer ? ERR_NETWORK : e;
}

struct place {
	char root[64], spec[96], dir[80], other[80], journals[80];
};

static int
setup(void **state)
{
	struct place *p = calloc(1, sizeof(*p));
	const char *tmp = getenv("FEALTY_TEST_DIR");

	if (p == NULL)
		return -1;
	(void)snprintf(p->root, sizeof(p->root), "%s/b.XXXXXX",
		       tmp == NULL || strlen(tmp) > 40 ? "/tmp" : tmp);
	if (mkdtemp(p->root) == NULL)
		return -1;
	(void)snprintf(p->dir, sizeof(p->dir), "%s/unit", p->root);
	(void)snprintf(p->other, sizeof(p->other), "%s/other", p->root);
	(void)snprintf(p->spec, sizeof(p->spec), "file:%s", p->dir);
	(void)snprintf(p->journals, sizeof(p->journals), "%s/journal", p->root);
	a = mmap(NULL, sizeof(*a), PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (a == MAP_FAILED || dir_make(p->dir, 0700) != ERR_OK ||
	    dir_make(p->other, 0700) != ERR_OK)
		return -1;
	*state = p;
	return 0;
}

static int
each_file(const char *dir, int (*fn)(const char *, void *), void *arg)
{
	const struct dirent *ent;
	char path[512];
	int n = 0;
	DIR *all = opendir(dir);

	while (all != NULL && (ent = readdir(all)) != NULL) {
		if (strcmp(ent->d_name, ".") == 0 ||
		    strcmp(ent->d_name, "..") == 0)
			continue;
		(void)snprintf(path, sizeof(path), "%s/%s", dir, ent->d_name);
		n += fn(path, arg);
	}
	if (all != NULL)
		(void)closedir(all);
	return n;
}

static int
delete_file(const char *path, void *arg)
{
	(void)arg;
	return unlink(path) == 0;
}

static int
count_file(const char *path, void *arg)
{
	(void)path;
	(void)arg;
	return 1;
}

static void
clean(const struct place *p)
{
	(void)each_file(p->dir, delete_file, NULL);
	(void)each_file(p->journals, delete_file, NULL);
	memset(a, 0, sizeof(*a));
}

static int
teardown(void **state)
{
	struct place *p = *state;

	clean(p);
	(void)each_file(p->other, delete_file, NULL);
	(void)rmdir(p->dir);
	(void)rmdir(p->other);
	(void)rmdir(p->journals);
	(void)rmdir(p->root);
	(void)munmap(a, sizeof(*a));
	a = NULL;
	free(p);
	return 0;
}

/* One run of the command, with everything opened anew. */
static enum err
burn_into(const struct place *p, const char *spec, const char **step,
	  int *resumed)
{
	struct burn b = {.order = ORDER, .serial = SERIAL};
	struct detail d = {""};
	enum err e;

	if (target_open(spec, &b.target, &d) != ERR_OK)
		fail_msg("%s", d.text);
	if (journal_open(p->journals, ORDER, &b.journal, &d) != ERR_OK)
		fail_msg("%s", d.text);
	e = burn_run(&b);
	assert_null(b.record.p);
	if (step != NULL)
		*step = b.step;
	if (resumed != NULL)
		*resumed = b.resumed;
	if (e == ERR_OK)
		assert_int_equal(b.device.state, DEV_ACTIVE);
	journal_close(&b.journal);
	target_close(&b.target);
	return e;
}

static enum err
burn(const struct place *p)
{
	return burn_into(p, p->spec, NULL, NULL);
}

/* The unit holds, once, what the authority holds as active. */
static void
assert_one_live_identity(const struct place *p)
{
	struct secret octets = {0};
	struct record r;
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/sn:1.cbor", p->dir);
	assert_int_equal(each_file(p->dir, count_file, NULL), 1);
	assert_int_equal(file_read_secret(path, RECORD_MAX, &octets), ERR_OK);
	assert_int_equal(record_decode(octets.p, octets.len, &r, NULL), ERR_OK);
	assert_string_equal(r.device_id, a->dev.device_id);
	assert_int_equal(r.epoch, a->dev.epoch);
	assert_memory_equal(r.key.b, a->k.b, 32);
	assert_int_equal(a->dev.state, DEV_ACTIVE);
	secret_free(&octets);
}

static void
burn_of_a_new_unit_gives_one_live_identity(void **state)
{
	struct place *p = *state;

	assert_int_equal(burn(p), ERR_OK);
	assert_one_live_identity(p);
	assert_int_equal(a->requests, 3);
	assert_int_equal(a->releases, 1);
	assert_int_equal(a->confirms, 1);
}

static void
same_command_again_changes_nothing_and_releases_no_key(void **state)
{
	struct place *p = *state;
	int resumed;

	assert_int_equal(burn(p), ERR_OK);
	assert_int_equal(burn_into(p, p->spec, NULL, &resumed), ERR_OK);
	assert_int_equal(resumed, 1);
	assert_one_live_identity(p);
	assert_int_equal(a->releases, 1);
	assert_int_equal(a->confirms, 1);
}

/* Returns 0 when it was killed at a->kill_at, 1 when it came to its end. */
static int
run_to_be_killed(const struct place *p)
{
	int status;
	pid_t pid;

	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(burn(p) == ERR_OK ? 0 : 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == KILLED)
		return 0;
	assert_int_equal(WEXITSTATUS(status), 0);
	return 1;
}

static void
killed_anywhere_the_same_command_ends_with_one_live_identity(void **state)
{
	struct place *p = *state;
	int n;

	for (n = 1;; n++) {
		clean(p);
		a->kill_at = n;
		if (run_to_be_killed(p))
			break;
		a->kill_at = 0;
		assert_int_equal(burn(p), ERR_OK);
		assert_one_live_identity(p);
	}
	assert_one_live_identity(p);
	assert_true(n > 20);
}

static void
killed_twice_the_same_command_ends_with_one_live_identity(void **state)
{
	struct place *p = *state;
	int first, second, ended;

	for (first = 1;; first += 3) {
		for (second = 1;; second += 5) {
			clean(p);
			a->kill_at = first;
			if (run_to_be_killed(p))
				return;
			a->ops = 0;
			a->kill_at = second;
			ended = run_to_be_killed(p);
			a->kill_at = 0;
			assert_int_equal(burn(p), ERR_OK);
			assert_one_live_identity(p);
			if (ended)
				break;
		}
	}
}

static void
lost_request_is_tried_again_by_the_same_command(void **state)
{
	struct place *p = *state;
	int n;

	for (n = 1; n <= 3; n++) {
		clean(p);
		a->lose_request = n;
		assert_int_equal(burn(p), ERR_NETWORK);
		assert_true(err_retryable(ERR_NETWORK));
		assert_int_not_equal(a->dev.state, DEV_ACTIVE);
		assert_int_equal(burn(p), ERR_OK);
		assert_one_live_identity(p);
	}
}

static void
lost_answer_is_made_up_for_by_the_same_command(void **state)
{
	struct place *p = *state;
	int n;

	for (n = 1; n <= 3; n++) {
		clean(p);
		a->lose_answer = n;
		assert_int_equal(burn(p), ERR_NETWORK);
		assert_int_equal(burn(p), ERR_OK);
		assert_one_live_identity(p);
		assert_int_equal(a->releases, n == 2 ? 2 : 1);
	}
}

static void
confirm_heard_but_expired_before_the_next_run_is_found_done(void **state)
{
	struct place *p = *state;

	a->lose_answer = 3;
	assert_int_equal(burn(p), ERR_NETWORK);
	a->expired = 1;
	assert_int_equal(burn(p), ERR_OK);
	assert_one_live_identity(p);
	assert_int_equal(a->releases, 1);
}

static void
challenge_expired_unheard_is_replaced_by_a_new_release(void **state)
{
	struct place *p = *state;
	const char *step;

	a->lose_request = 3;
	assert_int_equal(burn(p), ERR_NETWORK);
	a->expired = 1;
	assert_int_equal(burn_into(p, p->spec, &step, NULL), ERR_CHALLENGE);
	assert_string_equal(step, "confirm");
	assert_int_equal(a->releases, 2);
	a->expired = 0;
	assert_int_equal(burn(p), ERR_OK);
	assert_one_live_identity(p);
}

static void
answers_for_another_device_are_never_burned(void **state)
{
	struct place *p = *state;
	const char *step;

	for (a->lie = OTHER_DEVICE; a->lie <= NO_AUTHORITY; a->lie++) {
		assert_int_equal(burn_into(p, p->spec, &step, NULL),
				 ERR_INTERNAL);
		assert_string_equal(step, "release");
		assert_int_equal(each_file(p->dir, count_file, NULL), 0);
	}
	assert_int_equal(a->confirms, 0);
}

static void
octet_changed_on_the_medium_is_never_confirmed(void **state)
{
	struct place *p = *state;
	const char *step;

	for (a->tear = 1; a->tear < 100; a->tear += 7) {
		assert_int_equal(burn_into(p, p->spec, &step, NULL),
				 ERR_RECORD);
		assert_string_equal(step, "read-back");
		assert_int_equal(a->confirms, 0);
	}
	a->tear = 0;
	assert_int_equal(burn(p), ERR_OK);
	assert_one_live_identity(p);
}

/* Between two runs: torn, gone, or of another unit. */
static void
record_spoiled_between_runs_is_written_again(void **state)
{
	struct place *p = *state;
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/sn:1.cbor", p->dir);
	a->lose_request = 3;
	assert_int_equal(burn(p), ERR_NETWORK);
	assert_int_equal(truncate(path, 20), 0);
	assert_int_equal(burn(p), ERR_OK);
	assert_one_live_identity(p);
	clean(p);
	a->lose_request = 3;
	assert_int_equal(burn(p), ERR_NETWORK);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(burn(p), ERR_OK);
	assert_one_live_identity(p);
}

static void
second_medium_gets_no_copy_of_a_live_identity(void **state)
{
	struct place *p = *state;
	char spec[96];
	const char *step;

	assert_int_equal(burn(p), ERR_OK);
	(void)snprintf(spec, sizeof(spec), "file:%s", p->other);
	assert_int_equal(burn_into(p, spec, &step, NULL), ERR_SERIAL_USED);
	assert_string_equal(step, "reserve");
	assert_int_equal(each_file(p->other, count_file, NULL), 0);
	assert_one_live_identity(p);
}

static void
revoked_unit_is_not_reported_as_burned(void **state)
{
	struct place *p = *state;

	assert_int_equal(burn(p), ERR_OK);
	a->dev.state = DEV_REVOKED;
	assert_int_equal(burn(p), ERR_SERIAL_USED);
}

/* It rotates itself, or came back for repair: reserve tells, if it answers. */
static void
unit_with_a_next_key_is_done_only_if_the_authority_says_so(void **state)
{
	struct place *p = *state;
	const char *step;

	assert_int_equal(burn(p), ERR_OK);
	a->dev.pending = 2;
	assert_int_equal(burn(p), ERR_OK);
	a->lose_request = a->requests + 2; /* behind the look-up */
	assert_int_equal(burn_into(p, p->spec, &step, NULL), ERR_NETWORK);
	assert_string_equal(step, "reserve");
	assert_int_equal(burn(p), ERR_OK);
	assert_int_equal(a->releases, 1);
}

static int
finds_key(const char *path, void *arg)
{
	struct buf b = {.max = 1 << 20};
	char hex[65], b64[44];
	int found;

	(void)arg;
	hex_encode(a->k.b, 32, hex);
	b64url_encode(a->k.b, 32, b64);
	assert_int_equal(file_read(path, 1 << 20, &b), ERR_OK);
	found = memmem(b.p, b.len, a->k.b, 8) != NULL ||
		memmem(b.p, b.len, hex, 16) != NULL ||
		memmem(b.p, b.len, b64, 10) != NULL;
	buf_free(&b);
	return found;
}

static void
journal_never_holds_the_key(void **state)
{
	struct place *p = *state;

	assert_int_equal(burn(p), ERR_OK);
	assert_int_equal(each_file(p->journals, count_file, NULL), 1);
	assert_int_equal(each_file(p->journals, finds_key, NULL), 0);
	assert_int_equal(each_file(p->dir, finds_key, NULL), 1);
}

static void
targets_that_cannot_be_used_are_refused_with_a_reason(void **state)
{
	static const char *const bad[] = {
	    "",
	    ":",
	    "file",
	    "file:",
	    "file:/dev/null",
	    "file:/no/such/dir",
	    "disk:/tmp",
	    "files:/tmp",
	    "fil:/tmp",
	};
	struct target *t = NULL;
	struct detail d;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(bad); i++) {
		d.text[0] = '\0';
		assert_int_equal(target_open(bad[i], &t, &d), ERR_REQUEST);
		assert_null(t);
		assert_case(d.text[0] != '\0', bad[i]);
	}
}

/* A device with a name like it, and what operators put beside a record. */
static void
only_what_a_killed_write_left_is_removed(void **state)
{
	static const char *const others[] = {".b.cbor", ".backup", ".sha256",
					     ".aB3xYz"};
	struct place *p = *state;
	char path[160];
	size_t i;

	for (i = 0; i <= COUNT(others); i++) {
		(void)snprintf(path, sizeof(path), "%s/sn:1.cbor%s", p->dir,
			       i < COUNT(others) ? others[i] : FILE_DRAFT);
		assert_int_equal(file_write_atomic(path, 0600, "x", 1),
				 ERR_OK);
	}
	assert_int_equal(burn(p), ERR_OK);
	assert_int_not_equal(access(path, F_OK), 0);
	for (i = 0; i < COUNT(others); i++) {
		(void)snprintf(path, sizeof(path), "%s/sn:1.cbor%s", p->dir,
			       others[i]);
		assert_int_equal(access(path, F_OK), 0);
	}
}

/* Threat: a line that can be read, but was never on the disk, is lost. */
static void
what_is_confirmed_later_is_first_on_the_disk_anew(void **state)
{
	struct place *p = *state;
	int resumed;

	a->lose_request = 3; /* confirm */
	assert_int_equal(burn(p), ERR_NETWORK);
	a->lose_request = 0;
	a->syncs = 0;
	assert_int_equal(burn_into(p, p->spec, NULL, &resumed), ERR_OK);
	assert_int_equal(resumed, 1);
	assert_int_equal(a->confirms, 1);
	assert_true(a->synced >= 1);
}

/*
 * Two boards under one label, or a board changed half-way: the first, cut off
 * behind its write, must not pass for the device when the second is live.
 */
static void
unit_burned_into_another_target_since_is_no_second_identity(void **state)
{
	struct place *p = *state;
	const char *step;
	char spec[96];

	(void)snprintf(spec, sizeof(spec), "file:%s", p->other);
	a->lose_request = 3; /* confirm */
	assert_int_equal(burn(p), ERR_NETWORK);
	a->lose_request = 0;
	assert_int_equal(burn_into(p, spec, NULL, NULL), ERR_OK);
	assert_int_equal(a->confirms, 1);
	assert_int_equal(burn_into(p, p->spec, &step, NULL), ERR_SERIAL_USED);
	assert_string_equal(step, "reserve");
	assert_int_equal(a->confirms, 1);
	/* while the live one's own command is as good as ever */
	assert_int_equal(burn_into(p, spec, NULL, NULL), ERR_OK);
}

/* Void and reserved again: same name and epoch, another number and key. */
static void
record_of_a_void_identity_does_not_pass_for_its_successor(void **state)
{
	struct place *p = *state;
	int resumed;

	a->lose_request = 3;
	assert_int_equal(burn(p), ERR_NETWORK);
	a->lose_request = 0;
	a->dev.dn = 8;
	a->dev.state = DEV_ACTIVE;
	a->expired = 1;
	memset(a->k.b, 0x11, sizeof(a->k.b));
	assert_int_equal(burn_into(p, p->spec, NULL, &resumed),
			 ERR_SERIAL_USED);
	assert_int_equal(resumed, 0);
}

static void
two_runs_do_not_burn_one_unit_at_a_time(void **state)
{
	struct place *p = *state;
	struct journal *j = NULL;
	struct detail d = {""};

	assert_int_equal(journal_open(p->journals, ORDER, &j, &d), ERR_OK);
	assert_int_equal(journal_claim(j, "SN-2"), ERR_OK);
	assert_int_equal(journal_claim(j, SERIAL), ERR_OK);
	assert_int_equal(burn(p), ERR_CONFLICT);
	assert_int_equal(a->requests, 0);
	journal_close(&j);
	assert_int_equal(burn(p), ERR_OK);
}

/* A tool that reads nothing back: only the authority knows how it ended. */
static void
unit_that_cannot_be_read_back_is_burned_once(void **state)
{
	struct place *p = *state;
	char spec[256];
	int resumed;

	(void)snprintf(spec, sizeof(spec),
		       "exec:sh -c \"cat <&3 >%s/sn:1.cbor; chmod 600 "
		       "%s/sn:1.cbor\"", p->dir, p->dir);
	a->lose_answer = 3;
	assert_int_equal(burn_into(p, spec, NULL, NULL), ERR_NETWORK);
	assert_int_equal(burn_into(p, spec, NULL, &resumed), ERR_OK);
	assert_int_equal(resumed, 1);
	assert_one_live_identity(p);
	assert_int_equal(a->releases, 1);
	assert_int_equal(a->confirms, 1);
	clean(p);
	a->lose_request = 3;
	assert_int_equal(burn_into(p, spec, NULL, NULL), ERR_NETWORK);
	assert_int_equal(burn_into(p, spec, NULL, &resumed), ERR_OK);
	assert_int_equal(resumed, 0);
	assert_one_live_identity(p);
}

/* What a device with that key answers to the n-th challenge. */
static void
put_answer(const struct place *p, int octet, int n)
{
	unsigned char challenge[CHALLENGE_LEN], answer[32];
	struct key32 k;
	char path[128];

	memset(k.b, octet, sizeof(k.b));
	memset(challenge, n, sizeof(challenge));
	assert_int_equal(kdf_proof(&k, "sn:1", 1, "burn", challenge,
				   sizeof(challenge), answer), ERR_OK);
	(void)snprintf(path, sizeof(path), "%s/answer", p->other);
	assert_int_equal(file_write_atomic(path, 0600, answer, 32), ERR_OK);
}

static void
device_that_answers_itself_is_recorded_so_a_wrong_one_not(void **state)
{
	struct place *p = *state;
	const char *step;
	char spec[256];
	int resumed;

	(void)snprintf(spec, sizeof(spec), "exec:true,prove=cat %s/answer",
		       p->other);
	a->proof = PROOF_DEVICE;
	put_answer(p, 0x11, 1);
	assert_int_equal(burn_into(p, spec, &step, NULL), ERR_PROOF);
	assert_string_equal(step, "prove");
	assert_int_equal(a->confirms, 0);
	put_answer(p, 0x11, 2); /* the same to a run that goes on */
	assert_int_equal(burn_into(p, spec, &step, NULL), ERR_PROOF);
	assert_int_equal(a->confirms, 0);
	put_answer(p, 0xc3, 3);
	a->lose_answer = a->requests + 4; /* of the confirmation */
	assert_int_equal(burn_into(p, spec, &step, NULL), ERR_NETWORK);
	put_answer(p, 0xc3, a->releases);
	a->lose_answer = 0;
	assert_int_equal(burn_into(p, spec, &step, &resumed), ERR_OK);
	assert_int_equal(a->dev.proof, PROOF_DEVICE);
	/* another device in the fixture, later */
	put_answer(p, 0x11, a->releases);
	assert_int_not_equal(burn_into(p, spec, &step, NULL), ERR_OK);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
	    CASE(unit_that_cannot_be_read_back_is_burned_once),
	    CASE(device_that_answers_itself_is_recorded_so_a_wrong_one_not),
	    CASE(only_what_a_killed_write_left_is_removed),
	    CASE(unit_burned_into_another_target_since_is_no_second_identity),
	    CASE(record_of_a_void_identity_does_not_pass_for_its_successor),
	    CASE(two_runs_do_not_burn_one_unit_at_a_time),
	    CASE(burn_of_a_new_unit_gives_one_live_identity),
	    CASE(same_command_again_changes_nothing_and_releases_no_key),
	    CASE(killed_anywhere_the_same_command_ends_with_one_live_identity),
	    CASE(killed_twice_the_same_command_ends_with_one_live_identity),
	    CASE(lost_request_is_tried_again_by_the_same_command),
	    CASE(lost_answer_is_made_up_for_by_the_same_command),
	    CASE(confirm_heard_but_expired_before_the_next_run_is_found_done),
	    CASE(challenge_expired_unheard_is_replaced_by_a_new_release),
	    CASE(answers_for_another_device_are_never_burned),
	    CASE(octet_changed_on_the_medium_is_never_confirmed),
	    CASE(record_spoiled_between_runs_is_written_again),
	    CASE(second_medium_gets_no_copy_of_a_live_identity),
	    CASE(revoked_unit_is_not_reported_as_burned),
	    CASE(unit_with_a_next_key_is_done_only_if_the_authority_says_so),
	    CASE(what_is_confirmed_later_is_first_on_the_disk_anew),
	    CASE(journal_never_holds_the_key),
	    CASE(targets_that_cannot_be_used_are_refused_with_a_reason),
	};

	return cmocka_run_group_tests_name("burn", tests, NULL, NULL);
}
