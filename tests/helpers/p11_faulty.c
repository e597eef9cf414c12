/*
 * A PKCS#11 module that is SoftHSM, but for a power cut: with
 * FEALTY_TEST_CUT=N the process ends at the N-th point before or after a call
 * that counts.
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

#include <p11-kit/pkcs11.h>

#include "tests/helpers/token.h"

static CK_FUNCTION_LIST *real;
static long left = -1;

__attribute__((visibility("default"))) CK_RV
C_GetFunctionList(CK_FUNCTION_LIST **out);

static CK_RV
cut(CK_RV rv)
{
	if (left > 0 && --left == 0)
		_exit(TOKEN_CUT);
	return rv;
}

static CK_RV
generate(CK_SESSION_HANDLE s, CK_MECHANISM *m, CK_ATTRIBUTE *pub,
    CK_ULONG npub, CK_ATTRIBUTE *priv, CK_ULONG npriv, CK_OBJECT_HANDLE *a,
    CK_OBJECT_HANDLE *b)
{
	(void)cut(CKR_OK);
	return cut(real->C_GenerateKeyPair(s, m, pub, npub, priv, npriv, a,
	    b));
}

static CK_RV
create(CK_SESSION_HANDLE s, CK_ATTRIBUTE *t, CK_ULONG n,
    CK_OBJECT_HANDLE *out)
{
	(void)cut(CKR_OK);
	return cut(real->C_CreateObject(s, t, n, out));
}

static CK_RV
destroy(CK_SESSION_HANDLE s, CK_OBJECT_HANDLE o)
{
	(void)cut(CKR_OK);
	return cut(real->C_DestroyObject(s, o));
}

static CK_RV
sign(CK_SESSION_HANDLE s, CK_BYTE *p, CK_ULONG n, CK_BYTE *sig, CK_ULONG *len)
{
	(void)cut(CKR_OK);
	return cut(real->C_Sign(s, p, n, sig, len));
}

static CK_RV
find(CK_SESSION_HANDLE s, CK_OBJECT_HANDLE *o, CK_ULONG max, CK_ULONG *n)
{
	return cut(real->C_FindObjects(s, o, max, n));
}

CK_RV
C_GetFunctionList(CK_FUNCTION_LIST **out)
{
	static CK_FUNCTION_LIST list;
	CK_RV (*get)(CK_FUNCTION_LIST **);
	const char *n = getenv("FEALTY_TEST_CUT");
	void *lib = dlopen(SOFTHSM, RTLD_NOW);

	if (lib == NULL)
		return CKR_GENERAL_ERROR;
	*(void **)&get = dlsym(lib, "C_GetFunctionList");
	if (get == NULL || get(&real) != CKR_OK)
		return CKR_GENERAL_ERROR;
	left = n == NULL ? -1 : strtol(n, NULL, 10);
	list = *real;
	list.C_GenerateKeyPair = generate;
	list.C_CreateObject = create;
	list.C_DestroyObject = destroy;
	list.C_Sign = sign;
	list.C_FindObjects = find;
	*out = &list;
	return CKR_OK;
}
