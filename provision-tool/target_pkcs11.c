#include "provision-tool/target.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/p11/p11.h"
#include "lib/wire/sealed.h"

/*
 * A token that makes the device's key pair (docs/targets.md): what is written
 * beside it is the identity with its root key encrypted to that pair.
 */
struct token {
	struct p11 *p;
	char name[P11_NAME_MAX + 1];
};

static void
pkcs11_close(void *state)
{
	struct token *t = state;

	p11_close(&t->p);
	free(t);
}

#define SCHEME "pkcs11:"

static enum err
pkcs11_open(const char *rest, void **state, struct detail *d)
{
	struct token *t = calloc(1, sizeof(*t));
	char *uri = NULL;
	enum err e = ERR_NOMEM;

	if (t == NULL || asprintf(&uri, SCHEME "%s", rest) < 0) {
		free(t);
		return ERR_NOMEM;
	}
	e = p11_open(uri, &t->p, d);
	free(uri);
	if (e != ERR_OK) {
		pkcs11_close(t);
		return e;
	}
	/* the name begins with the kind already */
	(void)snprintf(t->name, sizeof(t->name), "%s",
		       p11_name(t->p) + strlen(SCHEME));
	*state = t;
	return ERR_OK;
}

static const char *
pkcs11_name(const void *state)
{
	const struct token *t = state;

	return t->name;
}

static unsigned
pkcs11_can(const void *state)
{
	(void)state;
	return TARGET_READS | TARGET_MAKES;
}

static enum err
pkcs11_read(void *state, const char *device_id, struct secret *record,
	    struct detail *d)
{
	struct token *t = state;
	struct buf text = {.max = SEALED_TEXT_MAX};
	enum err e;

	(void)device_id;
	e = p11_data_read(t->p, &text, d);
	if (e == ERR_OK)
		e = secret_set(record, text.p, text.len);
	buf_free(&text);
	return e;
}

/* ERR_OK when the token holds no identity, or an older one of this device. */
static enum err
may_hold(struct token *t, const char *device_id, struct detail *d)
{
	struct buf text = {.max = SEALED_TEXT_MAX};
	struct sealed *held = calloc(1, sizeof(*held));
	enum err e;

	if (held == NULL)
		return ERR_NOMEM;
	e = p11_data_read(t->p, &text, NULL);
	if (e == ERR_OK)
		e = wire_sealed_decode(text.p, text.len, held, NULL);
	if (e == ERR_OK && strcmp(held->device_id, device_id) != 0) {
		detail_set(d, "the token is device %s: initialise it anew to "
			      "give it to another", held->device_id);
		e = ERR_CONFLICT;
	}
	/* nothing, or what a crash left: two of ours, which a write clears */
	if (e == ERR_NOT_FOUND || e == ERR_RECORD)
		e = ERR_OK;
	if (e == ERR_CONFLICT)
		e = ERR_EXISTS;
	buf_free(&text);
	free(held);
	return e;
}

static enum err
pkcs11_public_key(void *state, const char *device_id,
		  struct es256_public *out, struct detail *d)
{
	struct token *t = state;
	enum err e;

	if ((e = may_hold(t, device_id, d)) != ERR_OK)
		return e;
	e = p11_key_find(t->p, out, d);
	return e == ERR_NOT_FOUND ? p11_key_make(t->p, out, d) : e;
}

static enum err
pkcs11_write(void *state, const char *device_id, const struct secret *record,
	     struct detail *d)
{
	struct token *t = state;
	enum err e;

	e = may_hold(t, device_id, d);
	return e == ERR_OK ? p11_data_write(t->p, record->p, record->len, d)
			   : e;
}

static enum err
pkcs11_sign(void *state, const void *msg, size_t len,
	    unsigned char sig[ES256_SIG_LEN], struct detail *d)
{
	struct token *t = state;

	return p11_sign(t->p, msg, len, sig, d);
}

const struct target_ops target_pkcs11 = {
    .kind = "pkcs11",
    .rest = "token=LABEL[;serial=…][;object=NAME]?pin-source=FILE[&module-path=…]",
    .about = "a PKCS#11 token that makes the device's own key pair",
    .open = pkcs11_open,
    .name = pkcs11_name,
    .write = pkcs11_write,
    .read = pkcs11_read,
    .public_key = pkcs11_public_key,
    .sign = pkcs11_sign,
    .can = pkcs11_can,
    .close = pkcs11_close,
    .proof = PROOF_DEVICE_MADE,
};
