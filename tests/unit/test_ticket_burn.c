/*
 * The station's side of a ticket, without any authority: an identity is
 * taken once, a burn is signed once, and what was signed is there after a
 * loss of power at any write. Nothing is burned that could not be pushed.
 */
#include "tests/unit/unit.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/file.h"
#include "lib/crypt/ticket_burn.h"
#include "lib/jose/release_key.h"
#include "provision-tool/burn.h"
#include "provision-tool/station_key.h"
#include "provision-tool/ticket_book.h"
#include "provision-tool/ticket_burn.h"

#define ID "AAAAAAAAAAAAAAAAAAAAAA"
#define UNITS 4
#define KILLED 77

static int ops, kill_at; /* fsyncs and renames; 0: never */

static void
op(void)
{
	if (kill_at > 0 && ++ops == kill_at)
		_exit(KILLED);
}

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __real_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to);

int
__wrap_fsync(int fd)
{
	op();
	return __real_fsync(fd);
}

int
__wrap_rename(const char *from, const char *to)
{
	int r;

	op();
	r = __real_rename(from, to);
	op();
	return r;
}

/* Nobody is asked. */
enum err
client_call(struct client *c, const char *method, const char *path,
    const char *key, const struct buf *body, struct buf *answer,
    struct problem *why)
{
	(void)c, (void)method, (void)key, (void)body, (void)answer, (void)why;
	fail_msg("%s is asked for", path);
	return ERR_INTERNAL;
}

struct world {
	char dir[64], station[80], target[96], journal[80];
	struct signer *key;
	struct burn_ticket by;
	struct ticket t;
	struct key32 k;
};

static void
fill_unit(struct world *w, uint32_t i, const char *jwk)
{
	struct ticket_unit *u = &w->t.units[i];
	struct buf jwe = {.max = 1024};

	(void)snprintf(u->device_id, sizeof(u->device_id), "far-%u", i + 1);
	u->dn = 70 + i;
	u->epoch = 1;
	memset(u->challenge, (int)i + 1, sizeof(u->challenge));
	assert_int_equal(release_key_seal(jwk, u->device_id, 1, &w->k, &jwe),
	    ERR_OK);
	memcpy(u->key, jwe.p, jwe.len + 1);
	buf_free(&jwe);
	strcpy(u->peers[0].audience, AUDIENCE_AUTHORITY);
	strcpy(u->peers[0].host, "fealty.example");
	u->peers[0].port = 8444;
	memset(u->peers[0].identity, 'A', PSKID_LEN);
	u->npeers = 1;
}

static int
set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct buf jwk = {.max = 511};
	struct es256_public pub;
	uint32_t i;

	assert_non_null(w);
	strcpy(w->dir, "/tmp/fealty-ticket-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	(void)snprintf(w->station, sizeof(w->station), "%s/key", w->dir);
	(void)snprintf(w->journal, sizeof(w->journal), "%s/journal", w->dir);
	(void)snprintf(w->target, sizeof(w->target), "file:%s/units", w->dir);
	assert_int_equal(mkdir(w->target + strlen("file:"), 0700), 0);
	assert_int_equal(station_key_make(w->station, &w->key), ERR_OK);
	assert_int_equal(jwe_key_of(w->key, &w->by.open), ERR_OK);
	w->by.ticket = &w->t;
	w->by.key = w->key;
	w->by.dir = w->journal;
	memset(w->k.b, 0xc3, sizeof(w->k.b));
	strcpy(w->t.id, ID);
	strcpy(w->t.issuer, "https://fealty.example");
	strcpy(w->t.order, "far");
	strcpy(w->t.model, "m1");
	strcpy(w->t.serial_pattern, "SN[0-9]+");
	w->t.min_proof = PROOF_MEDIUM;
	w->t.expires_at = clock_wall_s(&clock_system) + 3600;
	w->t.n = UNITS;
	w->t.units = calloc(UNITS, sizeof(*w->t.units));
	assert_non_null(w->t.units);
	signer_public(w->key, &pub);
	assert_int_equal(public_jwk_write(&pub, &jwk), ERR_OK);
	for (i = 0; i < UNITS; i++)
		fill_unit(w, i, jwk.p);
	buf_free(&jwk);
	*state = w;
	return 0;
}

static int
tear_down(void **state)
{
	struct world *w = *state;
	char cmd[96];

	(void)snprintf(cmd, sizeof(cmd), "rm -rf %s", w->dir);
	assert_int_equal(system(cmd), 0);
	ticket_free(&w->t);
	jwe_key_free(&w->by.open);
	signer_free(&w->key);
	free(w);
	return 0;
}

/* One whole run of the tool, as far as it gets. */
static enum err
run(struct world *w, const char *serial, const char *target, char id[64])
{
	struct burn b = {.order = "ticket-" ID, .serial = serial,
	    .ticket = &w->by};
	enum err e;

	e = target_open(target, &b.target, &b.detail);
	if (e == ERR_OK)
		e = journal_open(w->journal, b.order, &b.journal, &b.detail);
	if (e == ERR_OK)
		e = burn_run(&b);
	if (e == ERR_OK)
		(void)snprintf(id, 64, "%.63s", b.device.device_id);
	else
		print_message("%s: %s: %s\n", serial, err_code(e),
		    b.detail.text);
	journal_close(&b.journal);
	target_close(&b.target);
	return e;
}

static void
look(struct world *w, const char *serial, struct ticket_entry *out)
{
	struct ticket_entry *row;
	struct ticket_book book;
	struct detail d = {""};

	assert_int_equal(ticket_book_open(w->journal, ID, &book, &d), ERR_OK);
	row = ticket_book_serial(&book, serial);
	memset(out, 0, sizeof(*out));
	if (row != NULL)
		*out = *row;
	ticket_book_close(&book);
}

static size_t
taken(struct world *w)
{
	struct ticket_book book;
	struct detail d = {""};
	size_t n;

	assert_int_equal(ticket_book_open(w->journal, ID, &book, &d), ERR_OK);
	n = book.n;
	ticket_book_close(&book);
	return n;
}

/* The burn is what the key of the ticket says. */
static void
is_signed(const struct world *w, const struct ticket_entry *row)
{
	struct es256_public pub;
	struct proof_message m;

	assert_true(row->burned);
	signer_public(w->key, &pub);
	assert_int_equal(ticket_message(ID, &row->burn, &m), ERR_OK);
	assert_int_equal(proof_check(&pub, &m, row->burn.signature), ERR_OK);
}

static void
a_burn_is_signed_once_and_with_a_nonce_of_its_own(void **state)
{
	struct ticket_entry one, two, again;
	struct world *w = *state;
	char id[64], other[64];

	assert_int_equal(run(w, "SN1", w->target, id), ERR_OK);
	assert_int_equal(run(w, "SN2", w->target, other), ERR_OK);
	assert_string_not_equal(id, other);
	look(w, "SN1", &one);
	look(w, "SN2", &two);
	is_signed(w, &one);
	is_signed(w, &two);
	assert_memory_not_equal(one.burn.nonce, two.burn.nonce,
	    sizeof(one.burn.nonce));
	assert_int_equal(run(w, "SN1", w->target, other), ERR_OK);
	assert_string_equal(id, other);
	look(w, "SN1", &again);
	assert_memory_equal(&again.burn, &one.burn, sizeof(one.burn));
	assert_int_equal(taken(w), 2);
}

/*
 * Threat: a station is copied while a unit is under way. Both finish it, and
 * that has to be seen: the nonce is of the finished burn.
 */
static void
a_station_copied_under_way_gives_itself_away(void **state)
{
	struct ticket_entry mine, theirs;
	struct world *w = *state;
	char id[64], copied[80], cmd[256];

	/* taken, and not written */
	assert_int_not_equal(run(w, "SN1", "exec:/bin/false", id), ERR_OK);
	assert_int_equal(taken(w), 1);
	(void)snprintf(copied, sizeof(copied), "%s/copied", w->dir);
	(void)snprintf(cmd, sizeof(cmd), "cp -r %s %s", w->journal, copied);
	assert_int_equal(system(cmd), 0);
	assert_int_equal(run(w, "SN1", w->target, id), ERR_OK);
	look(w, "SN1", &mine);
	(void)snprintf(w->journal, sizeof(w->journal), "%s", copied);
	assert_int_equal(run(w, "SN1", w->target, id), ERR_OK);
	look(w, "SN1", &theirs);
	assert_int_equal(mine.dn, theirs.dn);
	assert_memory_not_equal(mine.burn.nonce, theirs.burn.nonce,
	    sizeof(mine.burn.nonce));
}

static void
a_finished_unit_is_not_burned_into_a_second_target(void **state)
{
	struct world *w = *state;
	char id[64], second[96];

	assert_int_equal(run(w, "SN1", w->target, id), ERR_OK);
	(void)snprintf(second, sizeof(second), "file:%s/second", w->dir);
	assert_int_equal(mkdir(second + strlen("file:"), 0700), 0);
	assert_int_equal(run(w, "SN1", second, id), ERR_SERIAL_USED);
	/* nothing is in it */
	assert_int_equal(rmdir(second + strlen("file:")), 0);
}

/* A unit that was begun in time is not finished out of time. */
static void
an_expired_ticket_begins_nothing_and_finishes_nothing(void **state)
{
	struct ticket_entry row;
	struct world *w = *state;
	char id[64];

	assert_int_equal(run(w, "SN1", w->target, id), ERR_OK);
	assert_int_not_equal(run(w, "SN2", "exec:/bin/false", id), ERR_OK);
	w->t.expires_at = clock_wall_s(&clock_system);
	assert_int_equal(run(w, "SN2", w->target, id), ERR_TICKET_EXPIRED);
	assert_int_equal(run(w, "SN3", w->target, id), ERR_TICKET_EXPIRED);
	look(w, "SN2", &row);
	assert_false(row.burned);
	assert_int_equal(taken(w), 2);
	/* what is signed already may be looked at again, and pushed */
	assert_int_equal(run(w, "SN1", w->target, id), ERR_OK);
}

static void
it_can_be_finished_no_more_when_it_expires_on_the_way(void **state)
{
	struct ticket_entry row;
	struct world *w = *state;
	struct burn b = {.order = "ticket-" ID, .serial = "SN1",
	    .ticket = &w->by};

	assert_int_equal(target_open(w->target, &b.target, &b.detail), ERR_OK);
	assert_int_equal(ticket_reserve(&b), ERR_OK);
	assert_int_equal(ticket_release(&b), ERR_OK);
	w->t.expires_at = clock_wall_s(&clock_system);
	assert_int_equal(ticket_confirm(&b), ERR_TICKET_EXPIRED);
	look(w, "SN1", &row);
	assert_false(row.burned);
	secret_free(&b.record);
	target_close(&b.target);
}

/* Killed at any sync or rename: one identity, and no signature is lost. */
static void
killed_anywhere_it_takes_one_identity_and_signs_one_burn(void **state)
{
	struct ticket_entry before, after;
	struct world *w = *state;
	char id[64];
	int at, status = KILLED << 8;
	pid_t pid;

	for (at = 1; status == KILLED << 8 && at < 100; at++) {
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0) {
			kill_at = at;
			_exit(run(w, "SN1", w->target, id) != ERR_OK);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		look(w, "SN1", &before);
		assert_true(taken(w) <= 1);
		assert_int_equal(run(w, "SN1", w->target, id), ERR_OK);
		look(w, "SN1", &after);
		is_signed(w, &after);
		assert_string_equal(after.burn.device_id, "far-1");
		if (before.burned)
			assert_memory_equal(&before.burn, &after.burn,
			    sizeof(after.burn));
		assert_int_equal(taken(w), 1);
		if (status == KILLED << 8) { /* the next one from the start */
			char cmd[200];

			(void)snprintf(cmd, sizeof(cmd), "rm -rf %s %s/*",
			    w->journal, w->target + strlen("file:"));
			assert_int_equal(system(cmd), 0);
		}
	}
	assert_int_equal(status, 0);
	assert_true(at > 8);
}

static mode_t
mode_of(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_mode & 07777;
}

static int
holds(const char *path, const void *p, size_t len)
{
	struct buf text = {.max = 1 << 20};
	int found;

	assert_int_equal(file_read(path, text.max, &text), ERR_OK);
	found = memmem(text.p, text.len, p, len) != NULL;
	buf_free(&text);
	return found;
}

static void
key_and_book_are_the_stations_alone_and_the_book_has_no_key(void **state)
{
	struct world *w = *state;
	char id[64], book[160], text[2 * KEY32_LEN + 1] = "";
	size_t i;

	assert_int_equal(run(w, "SN1", w->target, id), ERR_OK);
	(void)snprintf(book, sizeof(book), "%s/ticket-" ID ".book",
	    w->journal);
	assert_int_equal(mode_of(w->station), 0600);
	assert_int_equal(mode_of(book), 0600);
	assert_int_equal(mode_of(w->journal), 0700);
	for (i = 0; i < KEY32_LEN; i++)
		(void)snprintf(text + 2 * i, 3, "%02x", w->k.b[i]);
	assert_false(holds(book, text, 2 * KEY32_LEN));
	assert_false(holds(book, w->k.b, KEY32_LEN));
	/* 0xc3c3c3 in base64, wherever it begins */
	assert_false(holds(book, "w8PDw8PD", 8));
	assert_true(holds(book, "signature", 9));
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(a_burn_is_signed_once_and_with_a_nonce_of_its_own),
	    T(a_station_copied_under_way_gives_itself_away),
	    T(a_finished_unit_is_not_burned_into_a_second_target),
	    T(an_expired_ticket_begins_nothing_and_finishes_nothing),
	    T(it_can_be_finished_no_more_when_it_expires_on_the_way),
	    T(killed_anywhere_it_takes_one_identity_and_signs_one_burn),
	    T(key_and_book_are_the_stations_alone_and_the_book_has_no_key),
	};

	return cmocka_run_group_tests_name("ticket: station", tests, NULL,
	    NULL);
}
