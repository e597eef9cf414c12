#ifndef TPM_TPM_INT_H
#define TPM_TPM_INT_H

#include <tss2/tss2_esys.h>
#include <tss2/tss2_tctildr.h>

#include "lib/tpm/tpm.h"

/* Handles (TPM 2.0 Part 2, section 7); the library's shift a signed 1. */
#define SESSIONS_FIRST 0x02000000u
#define TRANSIENTS_FIRST 0x80000000u
#define PERSISTENTS_FIRST 0x81000000u
#define PERSISTENTS_END 0x81800000u /* from here on the platform's */

struct tpm {
	TSS2_TCTI_CONTEXT *tcti;
	ESYS_CONTEXT *esys;
	ESYS_TR primary, session;
	uint32_t handle;
	TPM2B_AUTH auth, owner;
};

/* ERR_OK for success; else an error with d saying what failed and how. */
enum err tpm_result(TSS2_RC rc, const char *what, struct detail *d) MUST_CHECK;
/* The public area of a root key, whose name the TPM computes. */
void tpm_key_template(TPM2B_PUBLIC *out);
/* 1 if the public area is that of a root key. */
int tpm_is_key(const TPMT_PUBLIC *p);
/* Where the first of count handles from first on are; *n of them. */
enum err tpm_handles(struct tpm *t, uint32_t first, uint32_t count,
    TPML_HANDLE *out, struct detail *d) MUST_CHECK;

/* tpm_session.c: the primary key and the session salted to it. */
enum err tpm_session_open(struct tpm *t, struct detail *d) MUST_CHECK;
void tpm_session_close(struct tpm *t);

#endif
