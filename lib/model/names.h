#ifndef MODEL_NAMES_H
#define MODEL_NAMES_H

#include <stdint.h>
#include "lib/base/err.h"

/*
 * The words of the system as value structs: libc only, no ownership, copied
 * by assignment. Every part of Fealty speaks in these; each text is
 * NUL-terminated in a fixed array. See docs/words.md.
 */
#define NAME_MAX_LEN 64
typedef char name_t[NAME_MAX_LEN + 1];

#define NUMBER_MAX ((UINT64_C(1) << 53) - 1) /* device numbers, positions */
#define POS_GENERATION_SHIFT 40

/* 1 if s is a well-formed ..., else 0. */
int name_is_tenant(const char *s);    /* ^[a-z0-9-]{1,64}$ */
int name_is_device_id(const char *s); /* ^[A-Za-z0-9._:-]{1,64}$ */
int name_is_audience(const char *s);  /* ^[a-z0-9.-]{1,64}$ */
int name_is_order(const char *s);     /* ^[A-Za-z0-9._-]{1,64}$; callers,
					 models and groups too */
int name_is_serial(const char *s);    /* ^[A-Za-z0-9._:/+-]{1,64}$ */
int name_is_ticket(const char *s);    /* ^[A-Za-z0-9_-]{22}$ */
int name_is_host(const char *s);      /* host name or IP address, 1 to 253 */
int name_is_scope(const char *s);     /* RFC 6749 scope-token list, <= 255 */

/* Lengths that several formats share; NUL not counted. */
#define ISSUER_MAX 255	 /* an issuer URL */
#define PSKID_LEN 44	 /* a PSK identity text */
#define KID_LEN 43	 /* RFC 7638 thumbprint, base64url */
#define CHALLENGE_LEN 32 /* octets */
/* Index of s in names[0..n), or -1; NULL entries are holes. */
int name_find(const char *const *names, int n, const char *s);

#define AUDIENCE_AUTHORITY "authority"
#define TENANT_DEFAULT "default"

#endif
