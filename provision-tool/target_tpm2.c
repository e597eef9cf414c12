#include "provision-tool/target.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fealty/device.h>
#include "lib/base/parse.h"
#include "lib/base/source.h"
#include "lib/crypt/digest.h"
#include "lib/tpm/tpm.h"
#include "lib/wire/record.h"
#include "provision-tool/out.h"
#include "provision-tool/spec.h"

/*
 * The root key in a TPM, and the rest of the record in a file beside it, its
 * key all zeros (docs/targets.md).
 */
struct chip {
	char *tcti, *record;
	struct secret auth, owner;
	uint32_t handle;
	int replace;
	struct tpm *tpm;
	char name[1024];
};

enum { RECORD, AUTH, OWNER, HANDLE, REPLACE, NOPTS };

static void
tpm2_close(void *state)
{
	struct chip *c = state;

	tpm_close(&c->tpm);
	secret_free(&c->auth);
	secret_free(&c->owner);
	free(c->tcti);
	free(c->record);
	free(c);
}

static enum err
take_secret(const struct spec_opt *o, struct secret *out, struct detail *d)
{
	enum err e;

	e = source_read(o->value, TPM_AUTH_MAX, out);
	if (e == ERR_OK || e == ERR_NOMEM)
		return e;
	detail_set(d, "%s=%.100s: %s", o->name, o->value, source_fault(e));
	return ERR_REQUEST;
}

static enum err
take_options(struct chip *c, const struct spec_opt *o, struct detail *d)
{
	uint64_t handle = TPM_HANDLE;
	enum err e;

	if (o[RECORD].value == NULL || o[AUTH].value == NULL) {
		detail_set(d, "record=FILE and auth=FILE are needed");
		return ERR_REQUEST;
	}
	if (o[HANDLE].value != NULL &&
	    spec_number(o[HANDLE].value, UINT32_MAX, &handle) != ERR_OK) {
		detail_set(d, "handle= is a number such as 0x%08x",
			   TPM_HANDLE);
		return ERR_REQUEST;
	}
	c->handle = (uint32_t)handle;
	if ((e = spec_yes(&o[REPLACE], &c->replace, d)) != ERR_OK)
		return e;
	e = out_resolve(o[RECORD].value, &c->record, d);
	if (e == ERR_OK)
		e = take_secret(&o[AUTH], &c->auth, d);
	if (e == ERR_OK && o[OWNER].value != NULL)
		e = take_secret(&o[OWNER], &c->owner, d);
	return e;
}

static enum err
connect_tpm(struct chip *c, struct detail *d)
{
	const struct tpm_conf conf = {.tcti = c->tcti, .auth = &c->auth,
				      .owner = &c->owner,
				      .handle = c->handle};
	int n;

	n = snprintf(c->name, sizeof(c->name), "%s,handle=0x%08x,record=%s",
		     c->tcti, c->handle, c->record);
	if (n < 0 || (size_t)n >= sizeof(c->name)) {
		detail_set(d, "the target's name is too long");
		return ERR_REQUEST;
	}
	return tpm_open(&conf, &c->tpm, d);
}

static enum err
tpm2_open(const char *rest, void **state, struct detail *d)
{
	struct spec_opt opts[NOPTS] = {
	    [RECORD] = {"record", NULL},
	    [AUTH] = {"auth", NULL},
	    [OWNER] = {"owner-auth", NULL},
	    [HANDLE] = {"handle", NULL},
	    [REPLACE] = {"replace", NULL},
	};
	struct chip *c = calloc(1, sizeof(*c));
	enum err e = ERR_NOMEM;

	if (c == NULL)
		return ERR_NOMEM;
	if ((c->tcti = strdup(rest)) == NULL)
		goto out;
	if ((e = spec_split(c->tcti, opts, NOPTS, d)) != ERR_OK)
		goto out;
	if ((e = take_options(c, opts, d)) != ERR_OK)
		goto out;
	if ((e = connect_tpm(c, d)) != ERR_OK)
		goto out;
	*state = c;
	c = NULL;
	e = ERR_OK;
out:
	if (c != NULL)
		tpm2_close(c);
	return e;
}

static const char *
tpm2_name(const void *state)
{
	const struct chip *c = state;

	return c->name;
}

static unsigned
tpm2_can(const void *state)
{
	(void)state;
	return TARGET_PROVES;
}

/* The record as the file has it: everything but the key. */
static enum err
write_rest(const struct chip *c, struct record *r, struct detail *d)
{
	struct secret rest = {0};
	char path[PATH_MAX];
	enum err e;

	key32_wipe(&r->key);
	e = spec_path(c->record, r->device_id, path, sizeof(path), d);
	if (e == ERR_OK)
		e = record_encode(r, &rest);
	if (e == ERR_OK)
		e = out_write(path, rest.p, rest.len, d);
	secret_free(&rest);
	return e;
}

static enum err
tpm2_write(void *state, const char *device_id, const struct secret *record,
	   struct detail *d)
{
	struct chip *c = state;
	struct record r;
	enum err e;

	(void)device_id;
	memset(&r, 0, sizeof(r));
	e = record_decode(record->p, record->len, &r, d);
	if (e == ERR_OK)
		e = tpm_put(c->tpm, &r.key, c->replace, d);
	if (e == ERR_OK)
		e = write_rest(c, &r, d);
	record_wipe(&r);
	return e;
}

static enum err
tpm2_read(void *state, const char *device_id, struct secret *record,
	  struct detail *d)
{
	(void)state;
	(void)device_id;
	(void)record;
	detail_set(d, "a key in a TPM cannot be read");
	return ERR_INTERNAL;
}

struct proving {
	struct chip *c;
	struct detail *d;
	enum err e;
};

/* Under the root key the TPM does it, under a derived one this does. */
static int
port_hmac(void *ctx, const uint8_t *key, size_t keylen, const uint8_t *msg,
	  size_t len, uint8_t out[32])
{
	struct proving *p = ctx;

	p->e = key == NULL ? tpm_hmac(p->c->tpm, msg, len, out, p->d)
			   : hmac_sha256(key, keylen, msg, len, out);
	return p->e == ERR_OK ? 0 : -1;
}

static int
port_random(void *ctx, uint8_t *out, size_t len)
{
	(void)ctx;
	return random_bytes(out, len) == ERR_OK ? 0 : -1;
}

static enum err
prove_by(struct proving *p, const struct fealty_record *r,
	 const unsigned char challenge[CHALLENGE_LEN],
	 unsigned char answer[32])
{
	const struct fealty_device_port port = {port_hmac, port_random, p};

	if (fealty_proof(&port, r, "burn", challenge, CHALLENGE_LEN,
			 answer) == FEALTY_OK)
		return ERR_OK;
	return p->e == ERR_OK ? ERR_CRYPTO : p->e;
}

static enum err
tpm2_prove(void *state, const char *device_id,
	   const unsigned char challenge[CHALLENGE_LEN],
	   unsigned char answer[32], struct detail *d)
{
	struct chip *c = state;
	struct proving p = {c, d, ERR_OK};
	struct buf file = {.max = RECORD_MAX};
	struct fealty_record r;
	char path[PATH_MAX];
	enum err e;

	e = spec_path(c->record, device_id, path, sizeof(path), d);
	if (e == ERR_OK)
		e = out_read(path, RECORD_MAX, &file, d);
	if (e == ERR_OK &&
	    (fealty_record_read(file.p, file.len, &r) != FEALTY_OK ||
	     r.device_id.len != strlen(device_id) ||
	     memcmp(r.device_id.p, device_id, r.device_id.len) != 0)) {
		detail_set(d, "%.100s is not this device's record", path);
		e = ERR_RECORD;
	}
	if (e == ERR_OK) {
		r.key = NULL; /* it is in the TPM */
		e = prove_by(&p, &r, challenge, answer);
	}
	buf_free(&file);
	return e;
}

const struct target_ops target_tpm2 = {
    .kind = "tpm2",
    .rest = "TCTI,record=FILE,auth=FILE[,owner-auth=FILE][,handle=0x…][,replace=yes]",
    .about = "a TPM 2.0 that keeps the root key; the rest in a file",
    .open = tpm2_open,
    .name = tpm2_name,
    .write = tpm2_write,
    .read = tpm2_read,
    .prove = tpm2_prove,
    .can = tpm2_can,
    .close = tpm2_close,
    .proof = PROOF_DEVICE,
};
