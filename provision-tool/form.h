#ifndef PROVISION_FORM_H
#define PROVISION_FORM_H

#include "lib/base/secret.h"

/*
 * The forms an identity record can have in a file (docs/identity-record.md,
 * "Forms for Linux devices"). Each has one way only to write a record, so
 * that what was read back tells a torn or changed file in any of them.
 */
enum form { FORM_CBOR, FORM_ENV, FORM_TEXT };
#define FORM_MAX 8192

enum err form_parse(const char *s, enum form *out) MUST_CHECK;
const char *form_name(enum form f);   /* "cbor", "env", "text" */
const char *form_suffix(enum form f); /* ".cbor", ".env", ".txt" */
/* By its first octets; what is nothing else counts as CBOR. */
enum form form_detect(const struct secret *octets);
/* ERR_RECORD with d for what is no record, or none that this form can hold. */
enum err form_encode(enum form f, const struct secret *record,
		     struct secret *out, struct detail *d) MUST_CHECK;
/* ERR_RECORD with d for anything that form_encode would not have made. */
enum err form_decode(enum form f, const struct secret *octets,
		     struct secret *record, struct detail *d) MUST_CHECK;

#endif
