#include "lib/crypt/kdf.h"

#include <string.h>

#include "lib/crypt/algs.h"
#include "lib/crypt/digest.h"
#include "lib/model/names.h"

#define PURPOSE_MAX 32
#define CONTEXT_MAX 255
#define WHAT_MAX 16
#define CHALLENGE_MAX 64

/*
 * HKDF-Expand for L = 32: T(1) = HMAC(PRK, info || 01). info has one octet
 * of room behind len.
 */
static enum err
expand(const struct key32 *prk, unsigned char *info, size_t len,
       struct key32 *out)
{
	struct key32 t;
	enum err e;

	info[len] = 1;
	e = hmac_sha256(prk->b, sizeof(prk->b), info, len + 1, t.b);
	if (e == ERR_OK)
		*out = t;
	key32_wipe(&t);
	return e;
}

enum err
kdf_derive(const struct key32 *root, const char *purpose, const char *device_id,
	   uint32_t epoch, const char *context, struct key32 *out)
{
	unsigned char
	    info[10 + PURPOSE_MAX + 1 + NAME_MAX_LEN + 1 + 4 + CONTEXT_MAX + 1];
	unsigned char *p = info;

	if (*purpose == '\0' || strlen(purpose) > PURPOSE_MAX ||
	    !name_is_device_id(device_id) || strlen(context) > CONTEXT_MAX)
		return ERR_NAME;
	p = put_text(p, "fealty v1");
	*p++ = 0;
	p = put_text(p, purpose);
	*p++ = 0;
	p = put_text(p, device_id);
	*p++ = 0;
	p = put_u32(p, epoch);
	p = put_text(p, context);
	return expand(root, info, (size_t)(p - info), out);
}

enum err
kdf_model_root(const struct key32 *master, const char *tenant_name,
	       const char *device_id, uint32_t epoch, struct key32 *out)
{
	unsigned char info[15 + 2 * (NAME_MAX_LEN + 1) + 4 + 1];
	unsigned char *p = info;

	if (!name_is_tenant(tenant_name) || !name_is_device_id(device_id))
		return ERR_NAME;
	p = put_text(p, "fealty v1 root");
	*p++ = 0;
	p = put_text(p, tenant_name);
	*p++ = 0;
	p = put_text(p, device_id);
	*p++ = 0;
	p = put_u32(p, epoch);
	return expand(master, info, (size_t)(p - info), out);
}

enum err
kdf_audience_key(const struct key32 *kid_key, uint32_t tenant,
		 const char *audience, struct key32 *out)
{
	unsigned char info[18 + 4 + 1 + NAME_MAX_LEN + 1];
	unsigned char *p = info;

	if (!name_is_audience(audience))
		return ERR_NAME;
	/* One listener serves all tenants before it knows which one it is. */
	if (strcmp(audience, AUDIENCE_AUTHORITY) == 0)
		tenant = 0;
	p = put_text(p, "fealty psk-id key");
	*p++ = 0;
	p = put_u32(p, tenant);
	*p++ = 0;
	p = put_text(p, audience);
	return expand(kid_key, info, (size_t)(p - info), out);
}

enum err
kdf_proof(const struct key32 *root, const char *device_id, uint32_t epoch,
	  const char *what, const void *challenge, size_t len,
	  unsigned char answer[32])
{
	unsigned char text[WHAT_MAX + 1 + CHALLENGE_MAX], *p = text;
	struct key32 key;
	enum err e;

	if ((strcmp(what, "burn") != 0 && strcmp(what, "rotate") != 0) ||
	    len < 1 || len > CHALLENGE_MAX)
		return ERR_REQUEST;
	e = kdf_derive(root, PURPOSE_PROOF, device_id, epoch, "", &key);
	if (e != ERR_OK)
		return e;
	p = put_text(p, what);
	*p++ = 0;
	memcpy(p, challenge, len);
	p += len;
	e = hmac_sha256(key.b, sizeof(key.b), text, (size_t)(p - text), answer);
	key32_wipe(&key);
	return e;
}
