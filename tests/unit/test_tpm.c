/*
 * A root key in a TPM 2.0: it is used with its auth value, and nobody reads,
 * duplicates or loses it; a run that is killed at any command leaves a TPM
 * in which the next one ends with exactly one key.
 */
#include "tests/helpers/chip.h"
#include "tests/unit/unit.h"

#include <sys/wait.h>
#include <unistd.h>

#include "lib/crypt/digest.h"
#include "lib/tpm/tpm_int.h"

#define KILLED 77
#define CUTS_MAX 60
#define OTHER_HANDLE 0x81000042u

static struct chip_place place;
static struct key32 one, two;

/* The process ends before or after the n-th command that changes the TPM. */
static int kill_at, ops;

static TSS2_RC
cut(TSS2_RC rc)
{
	if (kill_at > 0 && ++ops == kill_at)
		_exit(KILLED);
	return rc;
}

#define WRAP(name, params, args) \
	TSS2_RC __real_##name params; \
	TSS2_RC __wrap_##name params; \
	TSS2_RC __wrap_##name params \
	{ \
		(void)cut(0); \
		return cut(__real_##name args); \
	}
WRAP(Esys_CreatePrimary, (ESYS_CONTEXT *c, ESYS_TR h, ESYS_TR a, ESYS_TR b,
    ESYS_TR d, const TPM2B_SENSITIVE_CREATE *s, const TPM2B_PUBLIC *p,
    const TPM2B_DATA *o, const TPML_PCR_SELECTION *r, ESYS_TR *out,
    TPM2B_PUBLIC **q, TPM2B_CREATION_DATA **cd, TPM2B_DIGEST **cg,
    TPMT_TK_CREATION **t), (c, h, a, b, d, s, p, o, r, out, q, cd, cg, t))
WRAP(Esys_Create, (ESYS_CONTEXT *c, ESYS_TR h, ESYS_TR a, ESYS_TR b,
    ESYS_TR d, const TPM2B_SENSITIVE_CREATE *s, const TPM2B_PUBLIC *p,
    const TPM2B_DATA *o, const TPML_PCR_SELECTION *r, TPM2B_PRIVATE **priv,
    TPM2B_PUBLIC **q, TPM2B_CREATION_DATA **cd, TPM2B_DIGEST **cg,
    TPMT_TK_CREATION **t), (c, h, a, b, d, s, p, o, r, priv, q, cd, cg, t))
WRAP(Esys_Load, (ESYS_CONTEXT *c, ESYS_TR h, ESYS_TR a, ESYS_TR b, ESYS_TR d,
    const TPM2B_PRIVATE *priv, const TPM2B_PUBLIC *p, ESYS_TR *out),
    (c, h, a, b, d, priv, p, out))
WRAP(Esys_EvictControl, (ESYS_CONTEXT *c, ESYS_TR h, ESYS_TR o, ESYS_TR a,
    ESYS_TR b, ESYS_TR d, TPMI_DH_PERSISTENT p, ESYS_TR *out),
    (c, h, o, a, b, d, p, out))
WRAP(Esys_FlushContext, (ESYS_CONTEXT *c, ESYS_TR h), (c, h))
WRAP(Esys_HMAC, (ESYS_CONTEXT *c, ESYS_TR h, ESYS_TR a, ESYS_TR b, ESYS_TR d,
    const TPM2B_MAX_BUFFER *in, TPMI_ALG_HASH g, TPM2B_DIGEST **out),
    (c, h, a, b, d, in, g, out))

static int
set_up(void **state)
{
	(void)state;
	chip_open(&place);
	memset(&one, 0x11, sizeof(one));
	memset(&two, 0x22, sizeof(two));
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	chip_close(&place);
	return 0;
}

static enum err
at(uint32_t handle, const char *auth, struct tpm **out, struct detail *d)
{
	struct secret a = {0};
	const struct tpm_conf conf = {.tcti = place.tcti, .auth = &a,
	    .handle = handle};
	enum err e;

	assert_int_equal(secret_set(&a, auth, strlen(auth)), ERR_OK);
	e = tpm_open(&conf, out, d);
	secret_free(&a);
	return e;
}

#define AUTH "an auth value of the key"
static struct tpm *
open_at(uint32_t handle)
{
	struct detail d = {""};
	struct tpm *t = NULL;

	if (at(handle, AUTH, &t, &d) != ERR_OK)
		fail_msg("open: %s", d.text);
	return t;
}

static void
holds(uint32_t handle, const struct key32 *k)
{
	unsigned char theirs[32], ours[32];
	struct detail d = {""};
	struct tpm *t = open_at(handle);

	if (tpm_hmac(t, "text", 4, theirs, &d) != ERR_OK)
		fail_msg("hmac: %s", d.text);
	assert_int_equal(hmac_sha256(k->b, 32, "text", 4, ours), ERR_OK);
	assert_memory_equal(ours, theirs, 32);
	tpm_close(&t);
}

static void
put(uint32_t handle, const struct key32 *k, int replace)
{
	struct detail d = {""};
	struct tpm *t = open_at(handle);

	if (tpm_put(t, k, replace, &d) != ERR_OK)
		fail_msg("put: %s", d.text);
	tpm_close(&t);
}

static unsigned
objects(uint32_t first)
{
	TPML_HANDLE found = {.count = 0};
	struct tpm *t = open_at(TPM_HANDLE);
	unsigned n = 0, i;

	assert_int_equal(tpm_handles(t, first, 32, &found, NULL), ERR_OK);
	for (i = 0; i < found.count; i++)
		n += found.handle[i] >> 24 == first >> 24;
	tpm_close(&t);
	return n;
}

static void
a_key_is_there_after_the_power_was_away(void **state)
{
	unsigned char out[32];
	struct tpm *t = open_at(TPM_HANDLE);

	(void)state;
	assert_int_equal(tpm_hmac(t, "x", 1, out, NULL), ERR_NOT_FOUND);
	tpm_close(&t);
	put(TPM_HANDLE, &one, 0);
	put(TPM_HANDLE, &one, 0); /* again is the same */
	chip_cycle(&place);
	holds(TPM_HANDLE, &one);
	assert_int_equal(objects(PERSISTENTS_FIRST), 1);
}

static void
a_handle_in_use_is_lost_only_by_name(void **state)
{
	struct detail d = {""};
	struct tpm *t = open_at(TPM_HANDLE);
	ESYS_TR new = ESYS_TR_NONE;
	unsigned char out[32];

	(void)state;
	assert_int_equal(tpm_put(t, &two, 0, &d), ERR_EXISTS);
	assert_non_null(strstr(d.text, "replace=yes"));
	tpm_close(&t);
	holds(TPM_HANDLE, &one);
	put(TPM_HANDLE, &two, 1);
	holds(TPM_HANDLE, &two);
	/* by who goes on with the same connection, too */
	t = open_at(TPM_HANDLE);
	assert_int_equal(tpm_put(t, &one, 1, NULL), ERR_OK);
	assert_int_equal(tpm_hmac(t, "x", 1, out, NULL), ERR_OK);
	assert_int_equal(tpm_put(t, &two, 1, NULL), ERR_OK);
	tpm_close(&t);
	/* another kind of object is neither asked nor taken for a key */
	t = open_at(OTHER_HANDLE);
	assert_int_equal(Esys_EvictControl(t->esys, ESYS_TR_RH_OWNER,
	    t->primary, t->session, ESYS_TR_NONE, ESYS_TR_NONE, OTHER_HANDLE,
	    &new), TSS2_RC_SUCCESS);
	assert_int_equal(Esys_TR_Close(t->esys, &new), TSS2_RC_SUCCESS);
	assert_int_equal(tpm_put(t, &one, 0, &d), ERR_EXISTS);
	assert_int_equal(tpm_hmac(t, "x", 1, out, NULL), ERR_EXISTS);
	tpm_close(&t);
}

static void
the_auth_value_is_needed_and_long(void **state)
{
	struct detail d = {""};
	struct tpm *t = NULL;
	unsigned char out[32];

	(void)state;
	assert_int_equal(at(TPM_HANDLE, "short", &t, &d), ERR_REQUEST);
	assert_int_equal(at(TPM_HANDLE, "another auth value!!", &t, &d),
	    ERR_OK);
	memset(&d, 0, sizeof(d));
	assert_int_equal(tpm_hmac(t, "x", 1, out, &d), ERR_REQUEST);
	assert_non_null(strstr(d.text, "wrong auth value"));
	/* and so nobody can tell whether it is his key */
	assert_int_equal(tpm_put(t, &two, 0, NULL), ERR_EXISTS);
	tpm_close(&t);
	holds(TPM_HANDLE, &two);
}

static void
the_key_cannot_be_read_or_duplicated(void **state)
{
	struct tpm *t = open_at(TPM_HANDLE);
	TPM2B_SENSITIVE_DATA *data = NULL;
	TPM2B_PRIVATE *private = NULL;
	TPM2B_ENCRYPTED_SECRET *seed = NULL;
	TPM2B_PUBLIC *public = NULL;
	TPMT_SYM_DEF_OBJECT none = {.algorithm = TPM2_ALG_NULL};
	TPM2B_DATA *key_out = NULL;
	unsigned char octets[sizeof(TPM2B_PUBLIC)];
	ESYS_TR key;

	(void)state;
	assert_int_equal(Esys_TR_FromTPMPublic(t->esys, TPM_HANDLE,
	    ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &key),
	    TSS2_RC_SUCCESS);
	assert_int_equal(Esys_TR_SetAuth(t->esys, key, &t->auth),
	    TSS2_RC_SUCCESS);
	assert_int_not_equal(Esys_Unseal(t->esys, key, t->session,
	    ESYS_TR_NONE, ESYS_TR_NONE, &data), TSS2_RC_SUCCESS);
	assert_int_not_equal(Esys_Duplicate(t->esys, key, ESYS_TR_RH_NULL,
	    t->session, ESYS_TR_NONE, ESYS_TR_NONE, NULL, &none, &key_out,
	    &private, &seed), TSS2_RC_SUCCESS);
	assert_int_equal(Esys_ReadPublic(t->esys, key, ESYS_TR_NONE,
	    ESYS_TR_NONE, ESYS_TR_NONE, &public, NULL, NULL),
	    TSS2_RC_SUCCESS);
	memcpy(octets, public, sizeof(octets));
	assert_null(memmem(octets, sizeof(octets), two.b, 8));
	Esys_Free(public);
	assert_int_equal(Esys_TR_Close(t->esys, &key), TSS2_RC_SUCCESS);
	tpm_close(&t);
}

/* The TPM has little room for what is persistent. */
static void
make_room(uint32_t handle)
{
	struct tpm *t = open_at(handle);
	ESYS_TR key, none = ESYS_TR_NONE;

	assert_int_equal(Esys_TR_FromTPMPublic(t->esys, handle, ESYS_TR_NONE,
	    ESYS_TR_NONE, ESYS_TR_NONE, &key), TSS2_RC_SUCCESS);
	assert_int_equal(Esys_EvictControl(t->esys, ESYS_TR_RH_OWNER, key,
	    t->session, ESYS_TR_NONE, ESYS_TR_NONE, handle, &none),
	    TSS2_RC_SUCCESS);
	(void)Esys_TR_Close(t->esys, &key);
	tpm_close(&t);
}

/* In a process that ends at the n-th point; whether it came so far. */
static int
killed_at(int n, uint32_t handle, const struct key32 *k)
{
	int status = 0;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		kill_at = n;
		put(handle, k, 0);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_true(WEXITSTATUS(status) == KILLED ||
	    WEXITSTATUS(status) == 0);
	return WEXITSTATUS(status) == KILLED;
}

static void
killed_at_any_command_it_comes_to_exactly_one_key(void **state)
{
	struct key32 k;
	int n, going = 1;

	(void)state;
	for (n = 1; going && n < CUTS_MAX; n++) {
		memset(&k, n, sizeof(k));
		going = killed_at(n, 0x81010000u + (unsigned)n, &k);
		put(0x81010000u + (unsigned)n, &k, 0);
		holds(0x81010000u + (unsigned)n, &k);
		/* what is there while it is open: its own primary key */
		assert_int_equal(objects(TRANSIENTS_FIRST), 1);
		make_room(0x81010000u + (unsigned)n);
	}
	assert_false(going);
	assert_true(n > 10);
	print_message("# %d cuts\n", n - 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_key_is_there_after_the_power_was_away),
	    cmocka_unit_test(a_handle_in_use_is_lost_only_by_name),
	    cmocka_unit_test(the_auth_value_is_needed_and_long),
	    cmocka_unit_test(the_key_cannot_be_read_or_duplicated),
	    cmocka_unit_test(
		killed_at_any_command_it_comes_to_exactly_one_key),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
