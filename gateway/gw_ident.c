#include <stdlib.h>
#include <string.h>
#include "gateway/gw_int.h"
#include "lib/base/rwlock.h"
#include "lib/crypt/digest.h"

/*
 * The audience's identity keys. Opening an identity with one proves that the
 * authority made it, so made-up ones end here.
 */
struct gw_ident {
	pthread_rwlock_t lock;
	struct identity_keys keys;
	struct key32 decoy; /* this process's own */
};

enum err
gw_ident_new(struct gw_ident **out)
{
	struct gw_ident *i;
	enum err e;

	if ((i = calloc(1, sizeof(*i))) == NULL)
		return (ERR_NOMEM);
	if ((e = random_key32(&i->decoy)) != ERR_OK ||
	    (e = rwlock_init(&i->lock)) != ERR_OK) {
		free(i);
		return (e);
	}
	*out = i;
	return (ERR_OK);
}

void
gw_ident_free(struct gw_ident **i)
{
	if (*i == NULL)
		return;
	pthread_rwlock_destroy(&(*i)->lock);
	wipe(*i, sizeof(**i));
	free(*i);
	*i = NULL;
}

void
gw_ident_set(struct gw_ident *i, const struct identity_keys *k)
{
	pthread_rwlock_wrlock(&i->lock);
	i->keys = *k;
	pthread_rwlock_unlock(&i->lock);
}

enum err
gw_ident_open(struct gw_ident *i, const char *identity, size_t len,
    struct pskid *out)
{
	enum err e = ERR_NOT_FOUND;
	struct pskid id;
	uint8_t kid;

	if (pskid_kid(identity, len, &kid) != ERR_OK)
		return (ERR_IDENTITY);
	pthread_rwlock_rdlock(&i->lock);
	for (uint32_t k = 0; k < i->keys.n; k++) {
		if (i->keys.kid[k] != kid)
			continue;
		e = pskid_open(&i->keys.key[k], i->keys.audience, identity,
		    len, &id);
		if (e == ERR_OK && id.tenant != i->keys.tenant)
			e = ERR_IDENTITY;
		break;
	}
	pthread_rwlock_unlock(&i->lock);
	if (e == ERR_OK)
		*out = id;
	return (e);
}

void
gw_ident_decoy(struct gw_ident *i, int tls, const void *identity, size_t len,
    struct key32 *out)
{
	unsigned char text[1 + 256];
	size_t n = len < 256 ? len : 256;

	text[0] = (unsigned char)tls;
	memcpy(text + 1, identity, n);
	/* where even that fails a random key does: it only has to be wrong */
	if (hmac_sha256(i->decoy.b, sizeof(i->decoy.b), text, n + 1,
	    out->b) != ERR_OK && random_key32(out) != ERR_OK)
		*out = i->decoy;
}
