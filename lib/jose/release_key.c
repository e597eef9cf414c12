#include "lib/jose/release_key.h"

#include "lib/wire/burn.h"

enum err
release_key_seal(const char *jwk, const char *device_id, uint32_t epoch,
    const struct key32 *k, struct buf *out)
{
	struct secret plain = {0};
	enum err e;

	e = wire_key_encode(device_id, epoch, k, &plain);
	if (e == ERR_OK)
		e = jwe_seal(jwk, plain.p, plain.len, out);
	secret_free(&plain);
	return e;
}

enum err
release_key_open(const struct jwe_key *station, const char *jwe, size_t len,
    name_t device_id, uint32_t *epoch, struct key32 *k)
{
	struct secret plain = {0};
	enum err e;

	e = jwe_open(station, jwe, len, &plain);
	if (e == ERR_OK)
		e = wire_key_decode(&plain, device_id, epoch, k);
	secret_free(&plain);
	return e;
}
