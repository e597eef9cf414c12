#ifndef P11_P11_INT_H
#define P11_P11_INT_H

#include <p11-kit/p11-kit.h>
#include <p11-kit/uri.h>

#include "lib/p11/p11.h"

#define LABEL_MAX 64

struct p11 {
	CK_FUNCTION_LIST **modules; /* all that were loaded, NULL behind */
	CK_FUNCTION_LIST *one;	    /* the one of module-path, or NULL */
	CK_FUNCTION_LIST *f;	    /* the one that has the token */
	CK_SLOT_ID slot;
	CK_SESSION_HANDLE session;
	int has_session;
	char label[LABEL_MAX + 1];
	char name[P11_NAME_MAX + 1];
};

/* ERR_OK for CKR_OK; else ERR_IO, with d saying what failed and how. */
enum err p11_result(CK_RV rv, const char *what, struct detail *d) MUST_CHECK;
/* The objects of class with our label, at most max; *n of them. */
enum err p11_find(struct p11 *p, CK_OBJECT_CLASS class,
    CK_OBJECT_HANDLE *out, size_t max, size_t *n, struct detail *d)
    MUST_CHECK;

/* The PIN from its source. */
#define PIN_MAX 255
enum err p11_pin(const char *source, struct secret *out, struct detail *d)
    MUST_CHECK;

#endif
