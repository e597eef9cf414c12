#include "lib/p11/p11_int.h"

#include <string.h>

#define APPLICATION "fealty"
#define DATA_MAX 16384
#define OLD_MAX 8 /* what crashes can have left is one; more is looked into */

enum err
p11_data_read(struct p11 *p, struct buf *out, struct detail *d)
{
	CK_OBJECT_HANDLE found[2];
	unsigned char octets[DATA_MAX];
	CK_ATTRIBUTE value = {CKA_VALUE, octets, sizeof(octets)};
	size_t n = 0;
	enum err e;

	if ((e = p11_find(p, CKO_DATA, found, 2, &n, d)) != ERR_OK)
		return e;
	if (n == 0) {
		detail_set(d, "the token holds no identity");
		return ERR_NOT_FOUND;
	}
	if (n > 1) {
		detail_set(d, "the token holds two identities");
		return ERR_RECORD;
	}
	e = p11_result(p->f->C_GetAttributeValue(p->session, found[0], &value,
	    1), "read", d);
	if (e == ERR_OK)
		e = buf_add(out, octets, value.ulValueLen);
	return e;
}

/* Nothing in it is secret: whoever has the token may read it without a PIN. */
static enum err
create(struct p11 *p, const void *octets, size_t len, CK_OBJECT_HANDLE *made,
    struct detail *d)
{
	CK_OBJECT_CLASS class = CKO_DATA;
	CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
	unsigned char copy[DATA_MAX];
	char application[] = APPLICATION;
	CK_ATTRIBUTE t[] = {{CKA_CLASS, &class, sizeof(class)},
	    {CKA_TOKEN, &yes, sizeof(yes)}, {CKA_PRIVATE, &no, sizeof(no)},
	    {CKA_LABEL, p->label, strlen(p->label)},
	    {CKA_APPLICATION, application, sizeof(application) - 1},
	    {CKA_VALUE, copy, len}};

	memcpy(copy, octets, len);
	return p11_result(p->f->C_CreateObject(p->session, t,
	    sizeof(t) / sizeof(t[0]), made), "write", d);
}

enum err
p11_data_write(struct p11 *p, const void *octets, size_t len,
    struct detail *d)
{
	CK_OBJECT_HANDLE old[OLD_MAX], made = 0;
	size_t n = 0, i;
	enum err e;

	if (len == 0 || len > DATA_MAX)
		return ERR_TOO_LARGE;
	e = p11_find(p, CKO_DATA, old, OLD_MAX, &n, d);
	if (e == ERR_OK)
		e = create(p, octets, len, &made, d);
	for (i = 0; e == ERR_OK && i < n; i++)
		e = p11_result(p->f->C_DestroyObject(p->session, old[i]),
		    "removal of an earlier identity", d);
	return e;
}
