#include "provision-tool/target.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "provision-tool/journal.h"

static const struct target_ops *const kinds[] = {
    &target_file,
    &target_esp_nvs,
    &target_image,
    &target_exec,
    &target_serial,
#ifdef HAVE_P11
    &target_pkcs11,
#endif
#ifdef HAVE_TPM
    &target_tpm2,
#endif
};

static const struct target_absent absent[] = {
#ifndef HAVE_P11
    {"pkcs11", "p11-kit"},
#endif
#ifndef HAVE_TPM
    {"tpm2", "tpm2-tss"},
#endif
    {NULL, NULL},
};

struct target {
	const struct target_ops *ops;
	void *state;
	char name[JOURNAL_TARGET_MAX + 1];
};

#define NKINDS (sizeof(kinds) / sizeof(kinds[0]))

static const struct target_ops *
find_kind(const char *spec, size_t len)
{
	size_t i;

	for (i = 0; i < NKINDS; i++) {
		if (strlen(kinds[i]->kind) == len &&
		    memcmp(kinds[i]->kind, spec, len) == 0)
			return kinds[i];
	}
	return NULL;
}

static void
say_absent(const char *spec, size_t len, struct detail *d)
{
	const struct target_absent *a;

	for (a = absent; a->library != NULL; a++) {
		if (strlen(a->kind) == len && memcmp(a->kind, spec, len) == 0)
			detail_set(d, "this provision-tool was built without "
				      "%s", a->library);
	}
}

enum err
target_open(const char *spec, struct target **out, struct detail *d)
{
	const char *colon = strchr(spec, ':');
	struct target *t = NULL;
	enum err e = ERR_REQUEST;
	int n;

	t = calloc(1, sizeof(*t));
	if (t == NULL)
		return ERR_NOMEM;
	if (colon != NULL)
		t->ops = find_kind(spec, (size_t)(colon - spec));
	if (t->ops == NULL && colon != NULL)
		say_absent(spec, (size_t)(colon - spec), d);
	if (t->ops == NULL) {
		detail_set(d, "unknown kind of target; "
			      "provision-tool targets lists them");
		goto out;
	}
	if ((e = t->ops->open(colon + 1, &t->state, d)) != ERR_OK)
		goto out;
	n = snprintf(t->name, sizeof(t->name), "%s:%s", t->ops->kind,
		     t->ops->name(t->state));
	if (n < 0 || (size_t)n >= sizeof(t->name)) {
		detail_set(d, "the target's name is too long");
		e = ERR_REQUEST;
		goto out;
	}
	*out = t;
	t = NULL;
	e = ERR_OK;
out:
	target_close(&t);
	return e;
}

const char *
target_name(const struct target *t)
{
	return t->name;
}

const struct target_ops *
target_kind(size_t i)
{
	return i < NKINDS ? kinds[i] : NULL;
}

const struct target_absent *
target_absent(size_t i)
{
	return absent[i].kind == NULL ? NULL : &absent[i];
}

unsigned
target_can(const struct target *t)
{
	return t->ops->can == NULL ? TARGET_READS : t->ops->can(t->state);
}

enum proof
target_proof(const struct target *t)
{
	if ((target_can(t) & TARGET_PROVES) != 0)
		return PROOF_DEVICE;
	return t->ops->proof;
}

int
target_is_many(const struct target *t)
{
	return t->ops->places == PLACE_MANY ||
	       (t->ops->places == PLACE_BY_DEVICE &&
		strstr(t->name, "{device_id}") != NULL);
}

enum err
target_ready(struct target *t, struct detail *d)
{
	return t->ops->ready == NULL ? ERR_OK : t->ops->ready(t->state, d);
}

enum err
target_write(struct target *t, const char *device_id,
	     const struct secret *record, struct detail *d)
{
	return t->ops->write(t->state, device_id, record, d);
}

enum err
target_read(struct target *t, const char *device_id, struct secret *record,
	    struct detail *d)
{
	return t->ops->read(t->state, device_id, record, d);
}

enum err
target_prove(struct target *t, const char *device_id,
	     const unsigned char challenge[CHALLENGE_LEN],
	     unsigned char answer[32], struct detail *d)
{
	if (t->ops->prove == NULL)
		return ERR_INTERNAL;
	return t->ops->prove(t->state, device_id, challenge, answer, d);
}

enum err
target_lock(struct target *t, const char *device_id, struct detail *d)
{
	if (t->ops->lock == NULL)
		return ERR_INTERNAL;
	return t->ops->lock(t->state, device_id, d);
}

enum err
target_public_key(struct target *t, const char *device_id,
		  struct es256_public *out, struct detail *d)
{
	if (t->ops->public_key == NULL)
		return ERR_INTERNAL;
	return t->ops->public_key(t->state, device_id, out, d);
}

enum err
target_sign(struct target *t, const void *msg, size_t len,
	    unsigned char sig[ES256_SIG_LEN], struct detail *d)
{
	if (t->ops->sign == NULL)
		return ERR_INTERNAL;
	return t->ops->sign(t->state, msg, len, sig, d);
}

void
target_close(struct target **t)
{
	if (t == NULL || *t == NULL)
		return;
	if ((*t)->state != NULL)
		(*t)->ops->close((*t)->state);
	free(*t);
	*t = NULL;
}
