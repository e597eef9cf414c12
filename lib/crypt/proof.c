#include "lib/crypt/proof.h"

#include <stdint.h>
#include <string.h>

#define LABEL "fealty v1"
#define CHALLENGE_MAX 64

static void
put(struct proof_message *m, const void *p, size_t len)
{
	memcpy(m->p + m->len, p, len);
	m->len += len;
}

enum err
proof_message(const char *what, const char *device_id, uint32_t epoch,
    const void *challenge, size_t len, struct proof_message *out)
{
	const unsigned char be[4] = {(unsigned char)(epoch >> 24),
	    (unsigned char)(epoch >> 16), (unsigned char)(epoch >> 8),
	    (unsigned char)epoch};

	if ((strcmp(what, "burn") != 0 && strcmp(what, "rotate") != 0 &&
	    strcmp(what, "ticket") != 0) || len < 1 || len > CHALLENGE_MAX)
		return ERR_REQUEST;
	if (!name_is_device_id(device_id))
		return ERR_NAME;
	out->len = 0;
	put(out, LABEL, sizeof(LABEL));
	put(out, what, strlen(what) + 1);
	put(out, device_id, strlen(device_id) + 1);
	put(out, be, sizeof(be));
	put(out, challenge, len);
	return ERR_OK;
}

enum err
proof_check(const struct es256_public *pub, const struct proof_message *m,
    const unsigned char sig[ES256_SIG_LEN])
{
	struct verifier *v = NULL;
	enum err e;

	e = verifier_new(pub, &v);
	if (e == ERR_OK)
		e = verifier_verify(v, m->p, m->len, sig);
	verifier_free(&v);
	return e == ERR_TOKEN_SIGNATURE ? ERR_PROOF : e;
}
