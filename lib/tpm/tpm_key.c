#include "lib/tpm/tpm_int.h"

#include <stdlib.h>
#include <string.h>

#include "lib/crypt/digest.h"

#define MESSAGE_MAX 512
#define NONCE_LEN 32

/* What is at the handle. *out ESYS_TR_NONE: nothing. */
static enum err
find(struct tpm *t, ESYS_TR *out, struct detail *d)
{
	TPML_HANDLE found = {.count = 0};
	enum err e;

	*out = ESYS_TR_NONE;
	e = tpm_handles(t, t->handle, 1, &found, d);
	if (e != ERR_OK || found.count == 0 || found.handle[0] != t->handle)
		return e;
	return tpm_result(Esys_TR_FromTPMPublic(t->esys, t->handle,
	    ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, out),
	    "object at the handle", d);
}

/* ERR_EXISTS for what is no root key: it is not asked for anything. */
static enum err
check_key(struct tpm *t, ESYS_TR key, struct detail *d)
{
	TPM2B_PUBLIC *pub = NULL;
	enum err e;

	e = tpm_result(Esys_ReadPublic(t->esys, key, ESYS_TR_NONE,
	    ESYS_TR_NONE, ESYS_TR_NONE, &pub, NULL, NULL), "public area", d);
	if (e == ERR_OK && !tpm_is_key(&pub->publicArea)) {
		detail_set(d, "TPM: handle 0x%08x holds something else",
		    t->handle);
		e = ERR_EXISTS;
	}
	Esys_Free(pub);
	return e;
}

static enum err
hmac(struct tpm *t, ESYS_TR key, const void *msg, size_t len,
    unsigned char out[32], struct detail *d)
{
	TPM2B_MAX_BUFFER in = {.size = (UINT16)len};
	TPM2B_DIGEST *mac = NULL;
	enum err e;

	memcpy(in.buffer, msg, len);
	e = tpm_result(Esys_TR_SetAuth(t->esys, key, &t->auth), "auth value",
	    d);
	if (e == ERR_OK)
		e = tpm_result(Esys_HMAC(t->esys, key, t->session,
		    ESYS_TR_NONE, ESYS_TR_NONE, &in, TPM2_ALG_SHA256, &mac),
		    "HMAC", d);
	if (e == ERR_OK && mac->size != 32)
		e = ERR_IO;
	if (e == ERR_OK)
		memcpy(out, mac->buffer, 32);
	if (mac != NULL)
		wipe(mac, sizeof(*mac));
	Esys_Free(mac);
	return e;
}

enum err
tpm_hmac(struct tpm *t, const void *msg, size_t len, unsigned char out[32],
    struct detail *d)
{
	ESYS_TR key;
	enum err e;

	if (len > MESSAGE_MAX)
		return ERR_TOO_LARGE;
	if ((e = find(t, &key, d)) != ERR_OK)
		return e;
	if (key == ESYS_TR_NONE) {
		detail_set(d, "TPM: no key at handle 0x%08x", t->handle);
		return ERR_NOT_FOUND;
	}
	e = check_key(t, key, d);
	if (e == ERR_OK)
		e = hmac(t, key, msg, len, out, d);
	(void)Esys_TR_Close(t->esys, &key);
	return e;
}

/* The TPM says the same over something new: the key is there. */
static enum err
is_it(struct tpm *t, ESYS_TR key, const struct key32 *k, struct detail *d)
{
	unsigned char nonce[NONCE_LEN], theirs[32], ours[32];
	enum err e;

	if ((e = check_key(t, key, d)) != ERR_OK)
		return e;
	e = random_bytes(nonce, sizeof(nonce));
	if (e == ERR_OK)
		e = hmac_sha256(k->b, sizeof(k->b), nonce, sizeof(nonce),
		    ours);
	if (e == ERR_OK)
		e = hmac(t, key, nonce, sizeof(nonce), theirs, NULL);
	if (e == ERR_REQUEST || (e == ERR_OK &&
	    !ct_equal(ours, theirs, sizeof(ours)))) {
		detail_set(d, "TPM: handle 0x%08x holds another key: "
		    "replace=yes to lose it", t->handle);
		e = ERR_EXISTS;
	}
	return e;
}

/* The key under the primary one, loaded. */
static enum err
create(struct tpm *t, const struct key32 *k, ESYS_TR *out, struct detail *d)
{
	TPM2B_SENSITIVE_CREATE *in = calloc(1, sizeof(*in));
	TPM2B_DATA outside = {.size = 0};
	TPML_PCR_SELECTION pcr = {.count = 0};
	TPM2B_PRIVATE *private = NULL;
	TPM2B_PUBLIC *public = NULL, want;
	enum err e;

	if (in == NULL)
		return ERR_NOMEM;
	tpm_key_template(&want);
	in->sensitive.userAuth = t->auth;
	in->sensitive.data.size = sizeof(k->b);
	memcpy(in->sensitive.data.buffer, k->b, sizeof(k->b));
	e = tpm_result(Esys_Create(t->esys, t->primary, t->session,
	    ESYS_TR_NONE, ESYS_TR_NONE, in, &want, &outside, &pcr, &private,
	    &public, NULL, NULL, NULL), "import", d);
	wipe(in, sizeof(*in));
	free(in);
	if (e == ERR_OK)
		e = tpm_result(Esys_Load(t->esys, t->primary, t->session,
		    ESYS_TR_NONE, ESYS_TR_NONE, private, public, out), "load",
		    d);
	Esys_Free(private);
	Esys_Free(public);
	return e;
}

static enum err
evict(struct tpm *t, ESYS_TR object, struct detail *d)
{
	ESYS_TR new = ESYS_TR_NONE;
	enum err e;

	e = tpm_result(Esys_EvictControl(t->esys, ESYS_TR_RH_OWNER, object,
	    t->session, ESYS_TR_NONE, ESYS_TR_NONE, t->handle, &new),
	    "persistent handle", d);
	if (new != ESYS_TR_NONE)
		(void)Esys_TR_Close(t->esys, &new);
	return e;
}

static enum err
persist(struct tpm *t, const struct key32 *k, struct detail *d)
{
	ESYS_TR key = ESYS_TR_NONE;
	enum err e;

	e = create(t, k, &key, d);
	if (e == ERR_OK)
		e = evict(t, key, d);
	if (key != ESYS_TR_NONE)
		(void)Esys_FlushContext(t->esys, key);
	return e;
}

enum err
tpm_put(struct tpm *t, const struct key32 *k, int replace, struct detail *d)
{
	ESYS_TR there;
	int again = 0;
	enum err e;

	if ((e = find(t, &there, d)) != ERR_OK)
		return e;
	if (there == ESYS_TR_NONE)
		return persist(t, k, d);
	e = is_it(t, there, k, replace ? NULL : d);
	if (e == ERR_EXISTS && replace) {
		e = evict(t, there, d);
		again = e == ERR_OK;
	}
	/* the library goes on knowing the name of what was there, otherwise */
	(void)Esys_TR_Close(t->esys, &there);
	return again ? persist(t, k, d) : e;
}
