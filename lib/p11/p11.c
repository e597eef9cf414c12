#include "lib/p11/p11_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/parse.h"

#define SLOTS_MAX 64

enum err
p11_result(CK_RV rv, const char *what, struct detail *d)
{
	if (rv == CKR_OK)
		return ERR_OK;
	detail_set(d, "token: %s: %s", what, p11_kit_strerror(rv));
	return rv == CKR_HOST_MEMORY ? ERR_NOMEM : ERR_IO;
}

static enum err
load(struct p11 *p, const char *path, struct detail *d)
{
	const char *why;
	CK_RV rv;

	if (path == NULL) {
		p->modules = p11_kit_modules_load_and_initialize(0);
		if (p->modules != NULL)
			return ERR_OK;
	} else {
		p->one = p11_kit_module_load(path, P11_KIT_MODULE_CRITICAL);
		rv = p->one == NULL ? CKR_GENERAL_ERROR :
		    p11_kit_module_initialize(p->one);
		if (rv == CKR_OK)
			return ERR_OK;
		if (p->one != NULL)
			p11_kit_module_release(p->one);
		p->one = NULL;
	}
	why = p11_kit_message();
	detail_set(d, "PKCS#11 module %.80s: %.80s",
	    path == NULL ? "(p11-kit's)" : path,
	    why == NULL ? "cannot be loaded" : why);
	return ERR_REQUEST;
}

/* The slot of a token that the URI fits; *hits counts them. */
static void
look_in(struct p11 *p, CK_FUNCTION_LIST *f, P11KitUri *uri, unsigned *hits)
{
	CK_SLOT_ID slots[SLOTS_MAX];
	CK_ULONG n = SLOTS_MAX, i;
	CK_TOKEN_INFO info;

	if (f->C_GetSlotList(CK_TRUE, slots, &n) != CKR_OK)
		return;
	for (i = 0; i < n; i++) {
		if (f->C_GetTokenInfo(slots[i], &info) != CKR_OK ||
		    (info.flags & CKF_TOKEN_INITIALIZED) == 0 ||
		    p11_kit_uri_match_token_info(uri, &info) != 1)
			continue;
		p->f = f;
		p->slot = slots[i];
		(*hits)++;
	}
}

static enum err
find_token(struct p11 *p, P11KitUri *uri, struct detail *d)
{
	unsigned hits = 0;
	size_t i;

	if (p->one != NULL)
		look_in(p, p->one, uri, &hits);
	for (i = 0; p->modules != NULL && p->modules[i] != NULL; i++)
		look_in(p, p->modules[i], uri, &hits);
	if (hits == 1)
		return ERR_OK;
	detail_set(d, hits == 0 ? "no initialised token fits the URI" :
	    "the URI fits more than one token: add token= or serial=");
	return ERR_REQUEST;
}

/* Of the URI; the label of the objects. */
static enum err
take_label(struct p11 *p, P11KitUri *uri, struct detail *d)
{
	CK_ATTRIBUTE_PTR a = p11_kit_uri_get_attribute(uri, CKA_LABEL);

	if (a == NULL)
		return copy_str(p->label, sizeof(p->label), "fealty");
	if (a->pValue == NULL || a->ulValueLen == 0 ||
	    a->ulValueLen > LABEL_MAX ||
	    memchr(a->pValue, 0, a->ulValueLen) != NULL) {
		detail_set(d, "object= is 1 to %d characters", LABEL_MAX);
		return ERR_REQUEST;
	}
	memcpy(p->label, a->pValue, a->ulValueLen);
	p->label[a->ulValueLen] = '\0';
	return ERR_OK;
}

/* As p11-kit writes the token's own words, and the label. */
static enum err
set_name(struct p11 *p, struct detail *d)
{
	P11KitUri *uri = p11_kit_uri_new();
	CK_ATTRIBUTE label = {CKA_LABEL, p->label, strlen(p->label)};
	char *text = NULL;
	enum err e = ERR_NOMEM;

	if (uri == NULL)
		return e;
	e = p11_result(p->f->C_GetTokenInfo(p->slot,
	    p11_kit_uri_get_token_info(uri)), "information", d);
	if (e == ERR_OK && (p11_kit_uri_set_attribute(uri, &label) !=
	    P11_KIT_URI_OK || p11_kit_uri_format(uri,
	    P11_KIT_URI_FOR_OBJECT_ON_TOKEN, &text) != P11_KIT_URI_OK))
		e = ERR_NOMEM;
	if (e == ERR_OK)
		e = copy_str(p->name, sizeof(p->name), text);
	if (e != ERR_OK)
		detail_set(d, "the token's name cannot be told");
	free(text);
	p11_kit_uri_free(uri);
	return e;
}

/*
 * A wrong PIN costs a try, and the last one the token: that one is not taken
 * here, where a line of units would repeat it.
 */
static enum err
log_in(struct p11 *p, P11KitUri *uri, struct detail *d)
{
	const char *source = p11_kit_uri_get_pin_source(uri);
	struct secret pin = {0};
	CK_TOKEN_INFO info;
	enum err e;
	CK_RV rv;

	e = p11_result(p->f->C_GetTokenInfo(p->slot, &info), "information", d);
	if (e != ERR_OK || (info.flags & CKF_LOGIN_REQUIRED) == 0)
		return e;
	if ((info.flags & (CKF_USER_PIN_LOCKED | CKF_USER_PIN_FINAL_TRY)) !=
	    0) {
		detail_set(d, "the token's PIN is locked, or has one try "
		    "left: set that right with the token's own tool");
		return ERR_REQUEST;
	}
	if ((e = p11_pin(source, &pin, d)) != ERR_OK)
		return e;
	rv = p->f->C_Login(p->session, CKU_USER, pin.p, pin.len);
	secret_free(&pin);
	if (rv == CKR_USER_ALREADY_LOGGED_IN)
		return ERR_OK;
	if (rv == CKR_PIN_INCORRECT || rv == CKR_PIN_LEN_RANGE ||
	    rv == CKR_PIN_LOCKED) {
		detail_set(d, "the token refuses the PIN");
		return ERR_REQUEST;
	}
	return p11_result(rv, "login", d);
}

static enum err
parse(const char *text, P11KitUri *uri, struct detail *d)
{
	if (p11_kit_uri_parse(text, P11_KIT_URI_FOR_ANY, uri) !=
	    P11_KIT_URI_OK || p11_kit_uri_any_unrecognized(uri)) {
		detail_set(d, "no PKCS#11 URI (RFC 7512)");
		return ERR_REQUEST;
	}
	if (p11_kit_uri_get_pin_value(uri) != NULL) {
		detail_set(d, "pin-value= shows the PIN to everybody: use "
		    "pin-source=");
		return ERR_REQUEST;
	}
	return ERR_OK;
}

enum err
p11_open(const char *text, struct p11 **out, struct detail *d)
{
	P11KitUri *uri = p11_kit_uri_new();
	struct p11 *p = calloc(1, sizeof(*p));
	enum err e = ERR_NOMEM;

	if (uri == NULL || p == NULL)
		goto out;
	if ((e = parse(text, uri, d)) != ERR_OK)
		goto out;
	if ((e = take_label(p, uri, d)) != ERR_OK)
		goto out;
	e = load(p, p11_kit_uri_get_module_path(uri), d);
	if (e != ERR_OK)
		goto out;
	if ((e = find_token(p, uri, d)) != ERR_OK)
		goto out;
	if ((e = set_name(p, d)) != ERR_OK)
		goto out;
	e = p11_result(p->f->C_OpenSession(p->slot, CKF_SERIAL_SESSION |
	    CKF_RW_SESSION, NULL, NULL, &p->session), "session", d);
	if (e != ERR_OK)
		goto out;
	p->has_session = 1;
	if ((e = log_in(p, uri, d)) != ERR_OK)
		goto out;
	*out = p;
	p = NULL;
	e = ERR_OK;
out:
	p11_close(&p);
	p11_kit_uri_free(uri);
	return e;
}

const char *
p11_name(const struct p11 *p)
{
	return p->name;
}

void
p11_close(struct p11 **pp)
{
	struct p11 *p = *pp;

	if (p == NULL)
		return;
	if (p->has_session)
		(void)p->f->C_CloseSession(p->session);
	if (p->one != NULL) {
		(void)p11_kit_module_finalize(p->one);
		p11_kit_module_release(p->one);
	}
	if (p->modules != NULL)
		p11_kit_modules_finalize_and_release(p->modules);
	free(p);
	*pp = NULL;
}

enum err
p11_find(struct p11 *p, CK_OBJECT_CLASS class, CK_OBJECT_HANDLE *out,
    size_t max, size_t *n, struct detail *d)
{
	CK_BBOOL yes = CK_TRUE;
	CK_ATTRIBUTE want[] = {{CKA_CLASS, &class, sizeof(class)},
	    {CKA_TOKEN, &yes, sizeof(yes)},
	    {CKA_LABEL, p->label, strlen(p->label)}};
	CK_ULONG got = 0;
	enum err e;

	e = p11_result(p->f->C_FindObjectsInit(p->session, want, 3), "search",
	    d);
	if (e != ERR_OK)
		return e;
	e = p11_result(p->f->C_FindObjects(p->session, out, max, &got),
	    "search", d);
	(void)p->f->C_FindObjectsFinal(p->session);
	if (e == ERR_OK)
		*n = got;
	return e;
}
