/*
 * After the work is done, no key is left in memory: not on the stack, not in
 * freed heap, neither as octets nor as the base64url text it travelled in.
 */
#include "tests/unit/unit.h"

#include <fealty/device_openssl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/b64url.h"
#include "lib/base/file.h"
#include "lib/crypt/digest.h"
#include "lib/crypt/kdf.h"
#include "lib/crypt/seal.h"
#include "lib/crypt/signer.h"
#include "lib/jose/jwe.h"
#include "lib/jose/release_key.h"
#include "lib/wire/feed.h"
#include "lib/wire/record.h"
#include "tests/unit/memory_scan.h"

#define TEXT_LEN B64URL_LEN(KEY32_LEN)

/* What is looked for, inverted: the key and its text but the last letter. */
struct sought {
	unsigned char raw[KEY32_LEN];
	unsigned char text[TEXT_LEN - 1];
};

static void
seek(const struct key32 *k, struct sought *s)
{
	char text[TEXT_LEN + 1];

	b64url_encode(k->b, KEY32_LEN, text);
	memory_invert(k->b, KEY32_LEN, s->raw);
	memory_invert(text, sizeof(s->text), s->text);
	wipe(text, sizeof(text));
}

static void
assert_gone(const struct sought *s)
{
	assert_int_equal(memory_find(s->raw, sizeof(s->raw)), 0);
	assert_int_equal(memory_find(s->text, sizeof(s->text)), 0);
}

static void
scan_finds_a_key_that_is_there(void **state)
{
	struct sought s;
	struct key32 k;

	(void)state;
	assert_int_equal(random_key32(&k), ERR_OK);
	seek(&k, &s);
	assert_true(memory_find(s.raw, sizeof(s.raw)) > 0);
	key32_wipe(&k);
	assert_gone(&s);
}

/* Another process seals, so that only the opening is looked at here. */
static void
seal_elsewhere(const char *jwk, char *jwe, size_t size)
{
	struct buf out = {.max = 4096};
	struct key32 k;
	int fd[2], status;
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe(fd), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (random_key32(&k) != ERR_OK ||
		    release_key_seal(jwk, "d-1", 1, &k, &out) != ERR_OK ||
		    write(fd[1], out.p, out.len) != (ssize_t)out.len)
			_exit(1);
		_exit(0);
	}
	(void)close(fd[1]);
	n = read(fd[0], jwe, size - 1);
	assert_true(n > 0);
	jwe[n] = '\0';
	(void)close(fd[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void
station_keeps_no_copy_of_a_released_key(void **state)
{
	struct jwe_key *station = NULL;
	struct buf jwk = {.max = 1024};
	char jwe[2048];
	struct sought s;
	struct key32 k;
	uint32_t epoch;
	name_t id;

	(void)state;
	assert_int_equal(jwe_key_generate(&station), ERR_OK);
	assert_int_equal(jwe_key_public(station, &jwk), ERR_OK);
	seal_elsewhere(jwk.p, jwe, sizeof(jwe));
	assert_int_equal(release_key_open(station, jwe, strlen(jwe), id,
	    &epoch, &k), ERR_OK);
	seek(&k, &s);
	key32_wipe(&k);
	jwe_key_free(&station);
	buf_free(&jwk);
	assert_gone(&s);
}

static void
authority_keeps_no_copy_of_a_key_it_released(void **state)
{
	struct jwe_key *station = NULL;
	struct buf jwk = {.max = 1024}, jwe = {.max = 2048};
	struct sought s;
	struct key32 k;

	(void)state;
	assert_int_equal(jwe_key_generate(&station), ERR_OK);
	assert_int_equal(jwe_key_public(station, &jwk), ERR_OK);
	assert_int_equal(random_key32(&k), ERR_OK);
	seek(&k, &s);
	assert_int_equal(release_key_seal(jwk.p, "d-1", 1, &k, &jwe), ERR_OK);
	key32_wipe(&k);
	jwe_key_free(&station);
	buf_free(&jwk);
	buf_free(&jwe);
	assert_gone(&s);
}

static void
key_schedule_and_seal_keep_no_copy(void **state)
{
	struct seal_row row = {"device_key", 1, 2, 3};
	unsigned char sealed[KEY32_LEN + SEAL_OVERHEAD], answer[32];
	struct key32 data, k, out;
	struct sought s, d, o;
	size_t n;

	(void)state;
	assert_int_equal(random_key32(&data), ERR_OK);
	assert_int_equal(random_key32(&k), ERR_OK);
	seek(&k, &s);
	seek(&data, &d);
	assert_int_equal(seal(&data, &row, k.b, KEY32_LEN, sealed,
	    sizeof(sealed), &n), ERR_OK);
	assert_int_equal(unseal_key32(&data, &row, sealed, n, &k), ERR_OK);
	assert_int_equal(kdf_derive(&k, PURPOSE_TLS13, "d-1", 1, "mqtt",
	    &out), ERR_OK);
	seek(&out, &o);
	assert_int_equal(kdf_proof(&k, "d-1", 1, "burn", "challenge", 9,
	    answer), ERR_OK);
	key32_wipe(&data);
	key32_wipe(&k);
	key32_wipe(&out);
	assert_gone(&s);
	assert_gone(&d);
	assert_gone(&o);
}

static void
signing_key_leaves_no_copy(void **state)
{
	struct signer *signer = NULL, *again = NULL;
	unsigned char sig[ES256_SIG_LEN];
	struct sought s;
	struct key32 d;

	(void)state;
	assert_int_equal(signer_generate(&signer), ERR_OK);
	assert_int_equal(signer_export(signer, &d), ERR_OK);
	seek(&d, &s);
	assert_int_equal(signer_import(&d, &again), ERR_OK);
	key32_wipe(&d);
	assert_int_equal(signer_sign(again, "x", 1, sig), ERR_OK);
	signer_free(&signer);
	signer_free(&again);
	assert_gone(&s);
}

static void
identity_record_leaves_no_copy(void **state)
{
	static const char id[] = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
	struct record r = {.issuer = "https://a.example", .device_id = "d-1",
	    .epoch = 1, .npeers = 1};
	struct fealty_record dev;
	struct secret octets = {0};
	unsigned char psk[32];
	struct sought s;

	(void)state;
	memcpy(r.peers[0].audience, "authority", 10);
	memcpy(r.peers[0].host, "a.example", 10);
	memcpy(r.peers[0].identity, id, sizeof(id));
	r.peers[0].port = 1;
	assert_int_equal(random_key32(&r.key), ERR_OK);
	seek(&r.key, &s);
	assert_int_equal(record_encode(&r, &octets), ERR_OK);
	record_wipe(&r);
	assert_int_equal(record_decode(octets.p, octets.len, &r, NULL),
	    ERR_OK);
	assert_int_equal(fealty_record_read(octets.p, octets.len, &dev),
	    FEALTY_OK);
	assert_int_equal(fealty_psk(&fealty_device_port_openssl, &dev,
	    &dev.peers[0], FEALTY_TLS13, psk), FEALTY_OK);
	record_wipe(&r);
	secret_free(&octets);
	assert_gone(&s);
}

static void
psk_answer_leaves_no_copy(void **state)
{
	struct psk_answer a = {.device_id = "d-1", .dn = 1, .epoch = 1,
	    .pos = 1}, back;
	struct buf text = {.max = 4096};
	struct sought s;

	(void)state;
	assert_int_equal(random_key32(&a.key), ERR_OK);
	seek(&a.key, &s);
	assert_int_equal(wire_psk_answer_encode(&a, &text), ERR_OK);
	assert_int_equal(wire_psk_answer_decode(text.p, text.len, &back,
	    NULL), ERR_OK);
	buf_free(&text);
	wipe(&a, sizeof(a));
	wipe(&back, sizeof(back));
	assert_gone(&s);
}

static void
secret_file_leaves_no_copy(void **state)
{
	char path[64];
	struct secret back = {0};
	struct sought s;
	struct key32 k;
	int fd;

	(void)state;
	(void)snprintf(path, sizeof(path), "memory-%d.XXXXXX", (int)getpid());
	fd = mkstemp(path);
	assert_true(fd >= 0);
	(void)close(fd);
	assert_int_equal(random_key32(&k), ERR_OK);
	seek(&k, &s);
	assert_int_equal(file_write_atomic(path, 0600, k.b, KEY32_LEN),
	    ERR_OK);
	assert_int_equal(file_read_secret(path, 64, &back), ERR_OK);
	assert_memory_equal(back.p, k.b, KEY32_LEN);
	secret_free(&back);
	key32_wipe(&k);
	(void)unlink(path);
	assert_gone(&s);
}

/*
 * A function of another library is bound at its first call, and the dynamic
 * linker then saves all vector registers, with whatever was last copied
 * through them, on the stack. That is not what is looked for here.
 */
static void
bind_now(char **argv)
{
	if (getenv("LD_BIND_NOW") != NULL)
		return;
	(void)setenv("LD_BIND_NOW", "1", 1);
	(void)execv("/proc/self/exe", argv);
}

int
main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(scan_finds_a_key_that_is_there),
	    cmocka_unit_test(station_keeps_no_copy_of_a_released_key),
	    cmocka_unit_test(authority_keeps_no_copy_of_a_key_it_released),
	    cmocka_unit_test(key_schedule_and_seal_keep_no_copy),
	    cmocka_unit_test(signing_key_leaves_no_copy),
	    cmocka_unit_test(identity_record_leaves_no_copy),
	    cmocka_unit_test(psk_answer_leaves_no_copy),
	    cmocka_unit_test(secret_file_leaves_no_copy),
	};

	(void)argc;
	bind_now(argv);
	wire_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
