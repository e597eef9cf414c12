#include "lib/p11/p11_int.h"

#include <string.h>

#include "lib/crypt/digest.h"

#define POINT_LEN 65 /* 04 || x || y */
#define HALVES_MAX 4

/* RFC 5480: the curve's name as DER. */
static unsigned char p256[] = {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d,
    0x03, 0x01, 0x07};

struct halves {
	CK_OBJECT_HANDLE private[2], public[2];
	size_t nprivate, npublic;
};

static enum err
look(struct p11 *p, struct halves *h, struct detail *d)
{
	enum err e;

	e = p11_find(p, CKO_PRIVATE_KEY, h->private, 2, &h->nprivate, d);
	if (e == ERR_OK)
		e = p11_find(p, CKO_PUBLIC_KEY, h->public, 2, &h->npublic, d);
	return e;
}

/* Made in the token, and never to leave it. */
static enum err
fit(struct p11 *p, CK_OBJECT_HANDLE key, struct detail *d)
{
	CK_BBOOL local = 0, sensitive = 0, never = 0, extractable = 1;
	unsigned char curve[sizeof(p256) + 1];
	CK_KEY_TYPE type = 0;
	CK_ATTRIBUTE a[] = {{CKA_LOCAL, &local, sizeof(local)},
	    {CKA_ALWAYS_SENSITIVE, &sensitive, sizeof(sensitive)},
	    {CKA_NEVER_EXTRACTABLE, &never, sizeof(never)},
	    {CKA_EXTRACTABLE, &extractable, sizeof(extractable)},
	    {CKA_KEY_TYPE, &type, sizeof(type)},
	    {CKA_EC_PARAMS, curve, sizeof(curve)}};
	CK_RV rv;

	rv = p->f->C_GetAttributeValue(p->session, key, a,
	    sizeof(a) / sizeof(a[0]));
	if (rv == CKR_OK && local && sensitive && never && !extractable &&
	    type == CKK_EC && a[5].ulValueLen == sizeof(p256) &&
	    memcmp(curve, p256, sizeof(p256)) == 0)
		return ERR_OK;
	detail_set(d, "the token's key \"%.64s\" is no P-256 key that was "
	    "made there and cannot leave it", p->label);
	return ERR_REQUEST;
}

/* The point as an octet string in DER, or bare as some modules have it. */
static enum err
read_point(struct p11 *p, CK_OBJECT_HANDLE key, struct es256_public *out,
    struct detail *d)
{
	unsigned char der[POINT_LEN + 8], *q = der;
	CK_ATTRIBUTE a = {CKA_EC_POINT, der, sizeof(der)};
	size_t len;
	enum err e;

	e = p11_result(p->f->C_GetAttributeValue(p->session, key, &a, 1),
	    "public key", d);
	if (e != ERR_OK)
		return e;
	len = a.ulValueLen;
	if (len == POINT_LEN + 2 && der[0] == 0x04 && der[1] == POINT_LEN) {
		q += 2;
		len -= 2;
	}
	if (len != POINT_LEN || q[0] != 0x04) {
		detail_set(d, "the token's public key is no point of P-256");
		return ERR_REQUEST;
	}
	memcpy(out->x, q + 1, sizeof(out->x));
	memcpy(out->y, q + 33, sizeof(out->y));
	return ERR_OK;
}

enum err
p11_key_find(struct p11 *p, struct es256_public *out, struct detail *d)
{
	struct verifier *on_curve = NULL;
	struct es256_public pub;
	struct halves h;
	enum err e;

	if ((e = look(p, &h, d)) != ERR_OK)
		return e;
	if (h.nprivate == 0 && h.npublic == 0)
		return ERR_NOT_FOUND;
	if (h.nprivate != 1 || h.npublic != 1) {
		detail_set(d, "the token has more or less than one key pair "
		    "\"%.64s\"", p->label);
		return ERR_REQUEST;
	}
	if ((e = fit(p, h.private[0], d)) != ERR_OK)
		return e;
	if ((e = read_point(p, h.public[0], &pub, d)) != ERR_OK)
		return e;
	e = verifier_new(&pub, &on_curve);
	verifier_free(&on_curve);
	if (e == ERR_OK)
		*out = pub;
	return e;
}

static enum err
generate(struct p11 *p, struct detail *d)
{
	CK_MECHANISM how = {CKM_EC_KEY_PAIR_GEN, NULL, 0};
	CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
	CK_ATTRIBUTE public[] = {{CKA_TOKEN, &yes, sizeof(yes)},
	    {CKA_PRIVATE, &no, sizeof(no)},
	    {CKA_VERIFY, &yes, sizeof(yes)},
	    {CKA_EC_PARAMS, p256, sizeof(p256)},
	    {CKA_LABEL, p->label, strlen(p->label)},
	    {CKA_ID, p->label, strlen(p->label)}};
	CK_ATTRIBUTE private[] = {{CKA_TOKEN, &yes, sizeof(yes)},
	    {CKA_PRIVATE, &yes, sizeof(yes)},
	    {CKA_SENSITIVE, &yes, sizeof(yes)},
	    {CKA_EXTRACTABLE, &no, sizeof(no)},
	    {CKA_SIGN, &yes, sizeof(yes)},
	    {CKA_DERIVE, &yes, sizeof(yes)},
	    {CKA_LABEL, p->label, strlen(p->label)},
	    {CKA_ID, p->label, strlen(p->label)}};
	CK_OBJECT_HANDLE pub, priv;

	return p11_result(p->f->C_GenerateKeyPair(p->session, &how, public,
	    sizeof(public) / sizeof(public[0]), private,
	    sizeof(private) / sizeof(private[0]), &pub, &priv),
	    "making of a key pair", d);
}

/*
 * A power cut between the two objects leaves one; it was never told to
 * anybody. Unless an identity is beside it: then somebody took the other.
 */
static enum err
clear_half(struct p11 *p, struct detail *d)
{
	CK_OBJECT_HANDLE data;
	struct halves h;
	size_t n = 0;
	enum err e;

	if ((e = look(p, &h, d)) != ERR_OK || h.nprivate + h.npublic == 0)
		return e;
	if ((e = p11_find(p, CKO_DATA, &data, 1, &n, d)) != ERR_OK)
		return e;
	if (h.nprivate + h.npublic > 1 || n > 0) {
		detail_set(d, "the token has keys \"%.64s\" already",
		    p->label);
		return ERR_REQUEST;
	}
	return p11_result(p->f->C_DestroyObject(p->session,
	    h.nprivate == 1 ? h.private[0] : h.public[0]),
	    "removal of half a key pair", d);
}

enum err
p11_key_make(struct p11 *p, struct es256_public *out, struct detail *d)
{
	enum err e;

	e = clear_half(p, d);
	if (e == ERR_OK)
		e = generate(p, d);
	return e == ERR_OK ? p11_key_find(p, out, d) : e;
}

static enum err
private_key(struct p11 *p, CK_OBJECT_HANDLE *out, struct detail *d)
{
	CK_OBJECT_HANDLE found[2];
	size_t n = 0;
	enum err e;

	e = p11_find(p, CKO_PRIVATE_KEY, found, 2, &n, d);
	if (e != ERR_OK)
		return e;
	if (n != 1) {
		detail_set(d, "the token has not one key \"%.64s\"",
		    p->label);
		return ERR_NOT_FOUND;
	}
	*out = found[0];
	return ERR_OK;
}

enum err
p11_sign(struct p11 *p, const void *msg, size_t len,
    unsigned char sig[ES256_SIG_LEN], struct detail *d)
{
	CK_MECHANISM how = {CKM_ECDSA, NULL, 0};
	CK_ULONG n = ES256_SIG_LEN;
	CK_OBJECT_HANDLE key;
	unsigned char hash[32];
	enum err e;

	if ((e = sha256(msg, len, hash)) != ERR_OK)
		return e;
	if ((e = private_key(p, &key, d)) != ERR_OK)
		return e;
	e = p11_result(p->f->C_SignInit(p->session, &how, key), "signature",
	    d);
	if (e == ERR_OK)
		e = p11_result(p->f->C_Sign(p->session, hash, sizeof(hash),
		    sig, &n), "signature", d);
	if (e == ERR_OK && n != ES256_SIG_LEN) {
		detail_set(d, "the token's signature has %lu octets", n);
		e = ERR_IO;
	}
	return e;
}

enum err
p11_agree(struct p11 *p, const struct es256_public *peer, struct key32 *z,
    struct detail *d)
{
	unsigned char point[POINT_LEN] = {0x04};
	CK_ECDH1_DERIVE_PARAMS params = {CKD_NULL, 0, NULL, sizeof(point),
	    point};
	CK_MECHANISM how = {CKM_ECDH1_DERIVE, &params, sizeof(params)};
	CK_OBJECT_CLASS class = CKO_SECRET_KEY;
	CK_KEY_TYPE type = CKK_GENERIC_SECRET;
	CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
	CK_ULONG len = sizeof(z->b);
	CK_ATTRIBUTE t[] = {{CKA_CLASS, &class, sizeof(class)},
	    {CKA_KEY_TYPE, &type, sizeof(type)},
	    {CKA_TOKEN, &no, sizeof(no)},
	    {CKA_SENSITIVE, &no, sizeof(no)},
	    {CKA_EXTRACTABLE, &yes, sizeof(yes)},
	    {CKA_VALUE_LEN, &len, sizeof(len)}};
	CK_ATTRIBUTE value = {CKA_VALUE, z->b, sizeof(z->b)};
	CK_OBJECT_HANDLE key, secret;
	enum err e;

	memcpy(point + 1, peer->x, sizeof(peer->x));
	memcpy(point + 33, peer->y, sizeof(peer->y));
	if ((e = private_key(p, &key, d)) != ERR_OK)
		return e;
	e = p11_result(p->f->C_DeriveKey(p->session, &how, key, t,
	    sizeof(t) / sizeof(t[0]), &secret), "key agreement", d);
	if (e != ERR_OK)
		return e;
	e = p11_result(p->f->C_GetAttributeValue(p->session, secret, &value,
	    1), "agreed secret", d);
	if (e == ERR_OK && value.ulValueLen != sizeof(z->b))
		e = ERR_IO;
	(void)p->f->C_DestroyObject(p->session, secret);
	if (e != ERR_OK)
		key32_wipe(z);
	return e;
}
