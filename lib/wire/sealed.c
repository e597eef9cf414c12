#include "lib/wire/sealed.h"

#include <stdlib.h>
#include <string.h>

#define VERSION 1

enum err
wire_sealed_encode(const struct sealed *s, struct buf *out)
{
	return jout(json_pack("{si ss ss sI so ss}", "version", VERSION,
	    "issuer", s->issuer, "device_id", s->device_id,
	    "epoch", (json_int_t)s->epoch,
	    "peers", wire_peers_json(s->peers, s->npeers), "key", s->key),
	    out);
}

static enum err
read_members(const char *s, size_t len, struct sealed *r, struct detail *d)
{
	uint32_t version = 0;
	struct jin in;

	jin_open(&in, s, len, d);
	jin_u32(&in, "version", VERSION, &version);
	if (in.err == ERR_OK && version != VERSION)
		jin_fail(&in, ERR_JSON, "member version: %d", VERSION);
	jin_str(&in, "issuer", r->issuer, sizeof(r->issuer));
	jin_str(&in, "device_id", r->device_id, sizeof(r->device_id));
	if (in.err == ERR_OK && !name_is_device_id(r->device_id))
		jin_fail(&in, ERR_NAME, "member device_id: not a name");
	jin_u32(&in, "epoch", UINT32_MAX, &r->epoch);
	if (in.err == ERR_OK && r->epoch == 0)
		jin_fail(&in, ERR_JSON, "member epoch: from 1");
	wire_peers_read(&in, r->peers, &r->npeers);
	jin_str(&in, "key", r->key, sizeof(r->key));
	return jin_done(&in);
}

/* One identity has one text: what is written again must be what was read. */
enum err
wire_sealed_decode(const char *s, size_t len, struct sealed *out,
    struct detail *d)
{
	struct buf again = {.max = SEALED_TEXT_MAX};
	struct sealed *r;
	enum err e;

	r = calloc(1, sizeof(*r));
	if (r == NULL)
		return ERR_NOMEM;
	e = read_members(s, len, r, d);
	if (e == ERR_OK)
		e = wire_sealed_encode(r, &again);
	if (e == ERR_OK && (again.len != len ||
	    memcmp(again.p, s, len) != 0)) {
		detail_set(d, "not in its one form");
		e = ERR_RECORD;
	}
	if (e == ERR_OK)
		*out = *r;
	else if (e != ERR_NOMEM)
		e = ERR_RECORD;
	buf_free(&again);
	free(r);
	return e;
}
