#include "lib/tpm/tpm_int.h"

#include <stdlib.h>
#include <string.h>
#include <tss2/tss2_rc.h>

enum err
tpm_result(TSS2_RC rc, const char *what, struct detail *d)
{
	TSS2_RC plain = rc & TPM2_RC_FMT1 ? rc & 0xbf : rc;

	if (rc == TSS2_RC_SUCCESS)
		return ERR_OK;
	if (plain == TPM2_RC_AUTH_FAIL || plain == TPM2_RC_BAD_AUTH) {
		detail_set(d, "TPM: %s: wrong auth value", what);
		return ERR_REQUEST;
	}
	detail_set(d, "TPM: %s: %.120s", what, Tss2_RC_Decode(rc));
	return rc == TSS2_ESYS_RC_MEMORY ? ERR_NOMEM : ERR_IO;
}

static void
take_auth(TPM2B_AUTH *out, const struct secret *s)
{
	out->size = s == NULL ? 0 : (UINT16)s->len;
	if (out->size > 0)
		memcpy(out->buffer, s->p, out->size);
}

static int
conf_ok(const struct tpm_conf *c, struct detail *d)
{
	if (c->auth->len < TPM_AUTH_MIN || c->auth->len > TPM_AUTH_MAX) {
		detail_set(d, "the key's auth value is %d to %d octets",
		    TPM_AUTH_MIN, TPM_AUTH_MAX);
		return 0;
	}
	if (c->owner != NULL && c->owner->len > TPM_AUTH_MAX) {
		detail_set(d, "the owner's auth value is at most %d octets",
		    TPM_AUTH_MAX);
		return 0;
	}
	if (c->handle < PERSISTENTS_FIRST ||
	    c->handle >= PERSISTENTS_END) {
		detail_set(d, "the handle is 0x81000000 to 0x817fffff");
		return 0;
	}
	return 1;
}

enum err
tpm_open(const struct tpm_conf *conf, struct tpm **out, struct detail *d)
{
	struct tpm *t;
	enum err e;

	if (!conf_ok(conf, d))
		return ERR_REQUEST;
	t = calloc(1, sizeof(*t));
	if (t == NULL)
		return ERR_NOMEM;
	t->primary = t->session = ESYS_TR_NONE;
	t->handle = conf->handle;
	take_auth(&t->auth, conf->auth);
	take_auth(&t->owner, conf->owner);
	/* else it prints its own story to standard error */
	(void)setenv("TSS2_LOG", "all+NONE", 0);
	if (Tss2_TctiLdr_Initialize(conf->tcti, &t->tcti) != TSS2_RC_SUCCESS ||
	    Esys_Initialize(&t->esys, t->tcti, NULL) != TSS2_RC_SUCCESS) {
		detail_set(d, "no TPM at %.120s", conf->tcti);
		tpm_close(&t);
		return ERR_REQUEST;
	}
	e = tpm_result(Esys_TR_SetAuth(t->esys, ESYS_TR_RH_OWNER, &t->owner),
	    "auth value", d);
	if (e == ERR_OK)
		e = tpm_session_open(t, d);
	if (e != ERR_OK) {
		tpm_close(&t);
		return e;
	}
	*out = t;
	return ERR_OK;
}

void
tpm_close(struct tpm **pt)
{
	struct tpm *t = *pt;

	if (t == NULL)
		return;
	if (t->esys != NULL) {
		tpm_session_close(t);
		Esys_Finalize(&t->esys);
	}
	if (t->tcti != NULL)
		Tss2_TctiLdr_Finalize(&t->tcti);
	wipe(t, sizeof(*t));
	free(t);
	*pt = NULL;
}

void
tpm_key_template(TPM2B_PUBLIC *out)
{
	TPMT_PUBLIC *p = &out->publicArea;

	memset(out, 0, sizeof(*out));
	p->type = TPM2_ALG_KEYEDHASH;
	p->nameAlg = TPM2_ALG_SHA256;
	/*
	 * Outside the lock-out against guessing: a device whose power is cut
	 * as it likes would lock itself out; so the auth value has to be long.
	 */
	p->objectAttributes = TPMA_OBJECT_SIGN_ENCRYPT |
	    TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_FIXEDTPM |
	    TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_NODA;
	p->parameters.keyedHashDetail.scheme.scheme = TPM2_ALG_HMAC;
	p->parameters.keyedHashDetail.scheme.details.hmac.hashAlg =
	    TPM2_ALG_SHA256;
}

int
tpm_is_key(const TPMT_PUBLIC *p)
{
	TPM2B_PUBLIC want;
	const TPMT_KEYEDHASH_SCHEME *a = &p->parameters.keyedHashDetail.scheme;

	tpm_key_template(&want);
	return p->type == want.publicArea.type &&
	    p->nameAlg == want.publicArea.nameAlg &&
	    p->objectAttributes == want.publicArea.objectAttributes &&
	    p->authPolicy.size == 0 && a->scheme == TPM2_ALG_HMAC &&
	    a->details.hmac.hashAlg == TPM2_ALG_SHA256;
}

enum err
tpm_handles(struct tpm *t, uint32_t first, uint32_t count, TPML_HANDLE *out,
    struct detail *d)
{
	TPMS_CAPABILITY_DATA *data = NULL;
	TPMI_YES_NO more;
	enum err e;

	e = tpm_result(Esys_GetCapability(t->esys, ESYS_TR_NONE, ESYS_TR_NONE,
	    ESYS_TR_NONE, TPM2_CAP_HANDLES, first, count, &more, &data),
	    "handles", d);
	if (e == ERR_OK)
		*out = data->data.handles;
	Esys_Free(data);
	return e;
}
