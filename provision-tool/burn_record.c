#include "provision-tool/burn_record.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/parse.h"
#include "lib/wire/burn.h"
#include "lib/wire/record.h"
#include "lib/wire/sealed.h"

#define JWK_MAX 512

int
burn_segment_ok(const char *s)
{
	return strcmp(s, ".") != 0 && strcmp(s, "..") != 0;
}

int
burn_made(const struct burn *b)
{
	return (target_can(b->target) & TARGET_MAKES) != 0;
}

static enum err
device_key(struct burn *b, struct buf *jwk)
{
	struct es256_public pub;
	enum err e;

	e = target_public_key(b->target, b->unit.device_id, &pub, &b->detail);
	return e == ERR_OK ? public_jwk_write(&pub, jwk) : e;
}

enum err
burn_release_request(struct burn *b, struct jwe_key **station,
		     struct release_request *req)
{
	struct buf jwk = {.max = JWK_MAX};
	int made = burn_made(b);
	enum err e;

	memset(req, 0, sizeof(*req));
	req->epoch = b->unit.epoch;
	if (made) {
		e = device_key(b, &jwk);
	} else {
		e = jwe_key_generate(station);
		if (e == ERR_OK)
			e = jwe_key_public(*station, &jwk);
	}
	if (e == ERR_OK)
		e = copy_str(made ? req->device_key : req->station_key,
			     sizeof(req->station_key), jwk.p);
	buf_free(&jwk);
	return e;
}

static enum err
check_peers(struct burn *b, const struct release *rel)
{
	uint32_t i;

	for (i = 0; i < rel->npeers; i++) {
		if (strcmp(rel->peers[i].audience, AUDIENCE_AUTHORITY) == 0)
			return ERR_OK;
	}
	detail_set(&b->detail, "the peers lack the authority");
	return ERR_INTERNAL;
}

/* The key stays in its envelope, which only the device can open. */
static enum err
make_sealed(struct burn *b, const struct release *rel)
{
	struct buf text = {.max = SEALED_TEXT_MAX};
	struct sealed *s = calloc(1, sizeof(*s));
	enum err e;

	if (s == NULL)
		return ERR_NOMEM;
	memcpy(s->issuer, rel->issuer, sizeof(s->issuer));
	memcpy(s->device_id, b->unit.device_id, sizeof(s->device_id));
	s->epoch = b->unit.epoch;
	memcpy(s->peers, rel->peers, sizeof(s->peers));
	s->npeers = rel->npeers;
	memcpy(s->key, rel->key, sizeof(s->key));
	e = wire_sealed_encode(s, &text);
	if (e == ERR_OK)
		e = secret_set(&b->record, text.p, text.len);
	buf_free(&text);
	free(s);
	return e;
}

/* The key out of its envelope, into the record to be burned. */
static enum err
make_record(struct burn *b, const struct jwe_key *station,
	    const struct release *rel)
{
	struct secret plain = {0};
	struct record r;
	enum err e;

	memset(&r, 0, sizeof(r));
	e = jwe_open(station, rel->key, strlen(rel->key), &plain);
	if (e == ERR_OK)
		e = wire_key_decode(&plain, r.device_id, &r.epoch, &r.key);
	if (e != ERR_OK) {
		detail_set(&b->detail, "the released key cannot be opened");
		goto out;
	}
	memcpy(r.issuer, rel->issuer, sizeof(r.issuer));
	memcpy(r.peers, rel->peers, sizeof(r.peers));
	r.npeers = rel->npeers;
	if (strcmp(r.device_id, b->unit.device_id) != 0 ||
	    r.epoch != b->unit.epoch) {
		detail_set(&b->detail, "the key is of another device");
		e = ERR_INTERNAL;
		goto out;
	}
	e = record_encode(&r, &b->record);
out:
	record_wipe(&r);
	secret_free(&plain);
	return e;
}

enum err
burn_record(struct burn *b, const struct jwe_key *station,
	    const struct release *rel)
{
	enum err e;

	if (rel->device.epoch != b->unit.epoch &&
	    rel->device.pending != b->unit.epoch) {
		detail_set(&b->detail, "the key is of another device");
		return ERR_INTERNAL;
	}
	if ((e = check_peers(b, rel)) != ERR_OK)
		return e;
	return burn_made(b) ? make_sealed(b, rel)
			    : make_record(b, station, rel);
}
