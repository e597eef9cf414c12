#include "lib/tpm/tpm_int.h"

#include <string.h>
#include <tss2/tss2_sys.h>

/*
 * A TPM has room for three objects and three sessions or so, and keeps those
 * of a program that was killed, unless a resource manager stands before it.
 */
#define LEFT_MAX 16

/* What kind of object a killed run has left; NULL: any. */
typedef int wanted_fn(const TPMT_PUBLIC *p, const TPM2B_NAME *name,
    const void *arg);

static void
flush(struct tpm *t, TPM2_HANDLE h)
{
	TSS2_SYS_CONTEXT *sys = NULL;

	if (Esys_GetSysContext(t->esys, &sys) == TSS2_RC_SUCCESS)
		(void)Tss2_Sys_FlushContext(sys, h);
}

static int
look(struct tpm *t, TPM2_HANDLE h, wanted_fn *wanted, const void *arg)
{
	TPM2B_PUBLIC pub = {.size = 0};
	TPM2B_NAME name = {.size = sizeof(name.name)};
	TPM2B_NAME qualified = {.size = sizeof(qualified.name)};
	TSS2_SYS_CONTEXT *sys = NULL;

	return Esys_GetSysContext(t->esys, &sys) == TSS2_RC_SUCCESS &&
	    Tss2_Sys_ReadPublic(sys, h, NULL, &pub, &name, &qualified,
	    NULL) == TSS2_RC_SUCCESS && wanted(&pub.publicArea, &name, arg);
}

static enum err
flush_left(struct tpm *t, uint32_t first, wanted_fn *wanted, const void *arg,
    struct detail *d)
{
	TPML_HANDLE found = {.count = 0};
	enum err e;
	UINT32 i;

	e = tpm_handles(t, first, LEFT_MAX, &found, d);
	for (i = 0; e == ERR_OK && i < found.count; i++)
		if (wanted == NULL || look(t, found.handle[i], wanted, arg))
			flush(t, found.handle[i]);
	return e;
}

static int
is_root_key(const TPMT_PUBLIC *p, const TPM2B_NAME *name, const void *arg)
{
	(void)name;
	(void)arg;
	return tpm_is_key(p);
}

static int
is_named(const TPMT_PUBLIC *p, const TPM2B_NAME *name, const void *arg)
{
	const TPM2B_NAME *want = arg;

	(void)p;
	return name->size == want->size &&
	    memcmp(name->name, want->name, name->size) == 0;
}

/* The template of a storage root key on P-256 (TCG's for ECC). */
static void
primary_template(TPM2B_PUBLIC *out)
{
	TPMS_ECC_PARMS *ecc = &out->publicArea.parameters.eccDetail;

	memset(out, 0, sizeof(*out));
	out->publicArea.type = TPM2_ALG_ECC;
	out->publicArea.nameAlg = TPM2_ALG_SHA256;
	out->publicArea.objectAttributes = TPMA_OBJECT_RESTRICTED |
	    TPMA_OBJECT_DECRYPT | TPMA_OBJECT_USERWITHAUTH |
	    TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT |
	    TPMA_OBJECT_SENSITIVEDATAORIGIN | TPMA_OBJECT_NODA;
	ecc->symmetric.algorithm = TPM2_ALG_AES;
	ecc->symmetric.keyBits.aes = 128;
	ecc->symmetric.mode.aes = TPM2_ALG_CFB;
	ecc->scheme.scheme = TPM2_ALG_NULL;
	ecc->kdf.scheme = TPM2_ALG_NULL;
	ecc->curveID = TPM2_ECC_NIST_P256;
}

static enum err
make_primary(struct tpm *t, struct detail *d)
{
	TPM2B_SENSITIVE_CREATE none = {.size = 0};
	TPM2B_DATA outside = {.size = 0};
	TPML_PCR_SELECTION pcr = {.count = 0};
	TPM2B_PUBLIC want;

	primary_template(&want);
	return tpm_result(Esys_CreatePrimary(t->esys, ESYS_TR_RH_OWNER,
	    ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &none, &want,
	    &outside, &pcr, &t->primary, NULL, NULL, NULL, NULL),
	    "primary key", d);
}

/*
 * The same template gives the same key: a second one by its name is what a
 * killed run has left. All of them go, and ours is made again, since handles
 * are not told apart here.
 */
static enum err
only_primary(struct tpm *t, struct detail *d)
{
	TPM2B_NAME *name = NULL;
	TPML_HANDLE found = {.count = 0};
	enum err e;

	e = tpm_handles(t, TRANSIENTS_FIRST, LEFT_MAX, &found, d);
	if (e != ERR_OK || found.count < 2)
		return e;
	e = tpm_result(Esys_TR_GetName(t->esys, t->primary, &name),
	    "primary key", d);
	if (e == ERR_OK)
		e = tpm_result(Esys_FlushContext(t->esys, t->primary),
		    "primary key", d);
	if (e == ERR_OK) {
		t->primary = ESYS_TR_NONE;
		e = flush_left(t, TRANSIENTS_FIRST, is_named, name, d);
	}
	if (e == ERR_OK)
		e = make_primary(t, d);
	Esys_Free(name);
	return e;
}

static TSS2_RC
start(struct tpm *t)
{
	const TPMT_SYM_DEF sym = {.algorithm = TPM2_ALG_AES,
	    .keyBits = {.aes = 128}, .mode = {.aes = TPM2_ALG_CFB}};
	TSS2_RC rc;

	rc = Esys_StartAuthSession(t->esys, t->primary, ESYS_TR_NONE,
	    ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, NULL, TPM2_SE_HMAC,
	    &sym, TPM2_ALG_SHA256, &t->session);
	if (rc == TSS2_RC_SUCCESS)
		rc = Esys_TRSess_SetAttributes(t->esys, t->session,
		    TPMA_SESSION_DECRYPT | TPMA_SESSION_ENCRYPT |
		    TPMA_SESSION_CONTINUESESSION, 0xff);
	return rc;
}

/* Sessions do not say whose they are: they go when there is no room left. */
enum err
tpm_session_open(struct tpm *t, struct detail *d)
{
	TSS2_RC rc;
	enum err e;

	e = flush_left(t, TRANSIENTS_FIRST, is_root_key, NULL, d);
	if (e == ERR_OK)
		e = make_primary(t, d);
	if (e == ERR_OK)
		e = only_primary(t, d);
	if (e != ERR_OK)
		return e;
	rc = start(t);
	if (rc == TPM2_RC_SESSION_MEMORY || rc == TPM2_RC_SESSION_HANDLES) {
		e = flush_left(t, SESSIONS_FIRST, NULL, NULL, d);
		rc = e == ERR_OK ? start(t) : rc;
	}
	return tpm_result(rc, "session", d);
}

void
tpm_session_close(struct tpm *t)
{
	if (t->session != ESYS_TR_NONE)
		(void)Esys_FlushContext(t->esys, t->session);
	if (t->primary != ESYS_TR_NONE)
		(void)Esys_FlushContext(t->esys, t->primary);
	t->session = t->primary = ESYS_TR_NONE;
}
