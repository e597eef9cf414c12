#include "lib/wire/burn.h"
#include "lib/wire/registry.h"

#include <string.h>

#define EITHER "station_key or device_key"

enum err
wire_serial_decode(const char *s, size_t len, name_t serial, struct detail *d)
{
	name_t v = "";
	struct jin in;
	enum err e;

	jin_open(&in, s, len, d);
	jin_str(&in, "serial", v, sizeof(v));
	if (in.err == ERR_OK && !name_is_serial(v))
		jin_fail(&in, ERR_NAME, "member serial: 1 to 64 of "
		    "A-Za-z0-9._:/+-");
	e = jin_done(&in);
	if (e == ERR_OK)
		memcpy(serial, v, sizeof(v));
	return e;
}

enum err
wire_serial_encode(const char *serial, struct buf *out)
{
	return jout(json_pack("{ss}", "serial", serial), out);
}

static void
read_epoch(struct jin *in, uint32_t *epoch)
{
	jin_u32(in, "epoch", UINT32_MAX, epoch);
	if (in->err == ERR_OK && *epoch == 0)
		jin_fail(in, ERR_JSON, "member epoch: from 1");
}

/* The member's JSON text; the key itself is looked at by who uses it. */
static void
read_jwk(struct jin *in, json_t *v, const char *name, char *out, size_t size)
{
	size_t n;

	if (!json_is_object(v)) {
		jin_fail(in, ERR_JSON, "member %s: a JWK", name);
		return;
	}
	n = json_dumpb(v, out, size, JSON_COMPACT);
	if (n == 0 || n >= size) {
		jin_fail(in, ERR_JSON, "member %s: at most %zu octets", name,
		    size - 1);
		return;
	}
	out[n] = '\0';
}

void
wire_jwk_read(struct jin *in, const char *name, char *out, size_t size)
{
	read_jwk(in, jin_any(in, name), name, out, size);
}

enum err
wire_release_request_decode(const char *s, size_t len,
    struct release_request *out, struct detail *d)
{
	struct release_request r;
	struct jin in;
	json_t *own;
	enum err e;

	memset(&r, 0, sizeof(r));
	jin_open(&in, s, len, d);
	read_epoch(&in, &r.epoch);
	own = jin_any(&in, "device_key");
	if (own != NULL)
		read_jwk(&in, own, "device_key", r.device_key,
		    sizeof(r.device_key));
	else
		read_jwk(&in, jin_any(&in, "station_key"), EITHER,
		    r.station_key, sizeof(r.station_key));
	e = jin_done(&in);
	if (e == ERR_OK)
		*out = r;
	return e;
}

enum err
wire_release_request_encode(const struct release_request *r, struct buf *out)
{
	int own = r->device_key[0] != '\0';
	json_t *key = json_loads(own ? r->device_key : r->station_key,
	    JSON_REJECT_DUPLICATES, NULL);

	if (key == NULL)
		return ERR_REQUEST;
	return jout(json_pack("{sI so}", "epoch", (json_int_t)r->epoch,
	    own ? "device_key" : "station_key", key), out);
}

static void
read_peer(json_t *o, struct peer *p, struct jin *parent)
{
	uint32_t port = 0;
	struct jin in;

	jin_value(&in, o, parent->d);
	jin_str(&in, "audience", p->audience, sizeof(p->audience));
	if (in.err == ERR_OK && !name_is_audience(p->audience))
		jin_fail(&in, ERR_NAME, "member audience: not a name");
	jin_str(&in, "host", p->host, sizeof(p->host));
	if (in.err == ERR_OK && !name_is_host(p->host))
		jin_fail(&in, ERR_NAME, "member host: not a host");
	jin_u32(&in, "port", UINT16_MAX, &port);
	if (in.err == ERR_OK && port == 0)
		jin_fail(&in, ERR_JSON, "member port: 1 to 65535");
	p->port = (uint16_t)port;
	jin_str(&in, "identity", p->identity, sizeof(p->identity));
	if (in.err == ERR_OK && strlen(p->identity) != PSKID_LEN)
		jin_fail(&in, ERR_JSON, "member identity: %d characters",
		    PSKID_LEN);
	jin_close(parent, &in);
}

void
wire_peers_read(struct jin *in, struct peer *peers, uint32_t *npeers)
{
	size_t i, n;
	json_t *a = jin_array(in, "peers", RECORD_PEERS_MAX, &n);

	for (i = 0; in->err == ERR_OK && i < n; i++)
		read_peer(json_array_get(a, i), &peers[i], in);
	if (in->err == ERR_OK)
		*npeers = (uint32_t)n;
}

enum err
wire_release_decode(const char *s, size_t len, struct release *out,
    struct detail *d)
{
	struct release r;
	struct jin in;
	json_t *dev;
	enum err e;

	memset(&r, 0, sizeof(r));
	jin_open(&in, s, len, d);
	jin_str(&in, "key", r.key, sizeof(r.key));
	dev = jin_any(&in, "device");
	if (in.err == ERR_OK && !json_is_object(dev))
		jin_fail(&in, ERR_JSON, "member device: an object");
	if (in.err == ERR_OK)
		in.err = wire_device_decode_json(dev, &r.device, d);
	jin_octets(&in, "challenge", r.challenge, sizeof(r.challenge));
	jin_str(&in, "issuer", r.issuer, sizeof(r.issuer));
	if (in.err == ERR_OK && r.issuer[0] == '\0')
		jin_fail(&in, ERR_JSON, "member issuer: empty");
	wire_peers_read(&in, r.peers, &r.npeers);
	e = jin_done(&in);
	if (e == ERR_OK)
		*out = r;
	return e;
}

json_t *
wire_peers_json(const struct peer *peers, uint32_t n)
{
	json_t *a = json_array();
	uint32_t i;

	for (i = 0; a != NULL && i < n; i++) {
		if (json_array_append_new(a, json_pack("{ss ss si ss}",
		    "audience", peers[i].audience, "host", peers[i].host,
		    "port", (int)peers[i].port, "identity",
		    peers[i].identity)) != 0) {
			json_decref(a);
			return NULL;
		}
	}
	return a;
}

enum err
wire_release_encode(const struct release *r, struct buf *out)
{
	return jout(json_pack("{ss so so ss so}", "key", r->key,
	    "device", wire_device_json(&r->device),
	    "challenge", jout_octets(r->challenge, sizeof(r->challenge)),
	    "issuer", r->issuer,
	    "peers", wire_peers_json(r->peers, r->npeers)), out);
}

enum err
wire_key_decode(const struct secret *s, name_t device_id, uint32_t *epoch,
    struct key32 *k)
{
	uint32_t ep = 0;
	struct key32 key;
	name_t id = "";
	struct jin in;
	enum err e;

	jin_open(&in, (const char *)s->p, s->len, NULL);
	jin_str(&in, "device_id", id, sizeof(id));
	if (in.err == ERR_OK && !name_is_device_id(id))
		jin_fail(&in, ERR_NAME, "member device_id: not a name");
	read_epoch(&in, &ep);
	jin_octets(&in, "k", key.b, sizeof(key.b));
	e = jin_done(&in);
	if (e == ERR_OK) {
		memcpy(device_id, id, sizeof(id));
		*epoch = ep;
		*k = key;
	}
	key32_wipe(&key);
	return e;
}

enum err
wire_key_encode(const char *device_id, uint32_t epoch, const struct key32 *k,
    struct secret *out)
{
	struct buf b = {.max = 512};
	enum err e;

	e = jout(json_pack("{ss sI so}", "device_id", device_id,
	    "epoch", (json_int_t)epoch, "k", jout_octets(k->b, sizeof(k->b))),
	    &b);
	if (e == ERR_OK)
		e = secret_set(out, b.p, b.len);
	buf_free(&b);
	return e;
}

enum err
wire_confirm_decode(const char *s, size_t len, struct confirm *out,
    struct detail *d)
{
	struct confirm c;
	char proof[16] = "";
	struct jin in;
	enum err e;

	memset(&c, 0, sizeof(c));
	jin_open(&in, s, len, d);
	read_epoch(&in, &c.epoch);
	jin_octets(&in, "challenge", c.challenge, sizeof(c.challenge));
	jin_str(&in, "proof", proof, sizeof(proof));
	if (in.err == ERR_OK && (proof_parse(proof, &c.proof) != ERR_OK ||
	    c.proof == PROOF_NONE))
		jin_fail(&in, ERR_JSON, "member proof: medium, device or "
		    "device-made");
	jin_octets(&in, "answer", c.answer, answer_len(c.proof));
	e = jin_done(&in);
	if (e == ERR_OK)
		*out = c;
	wipe(c.answer, sizeof(c.answer));
	return e;
}

enum err
wire_confirm_encode(const struct confirm *c, struct buf *out)
{
	return jout(json_pack("{sI so so ss}", "epoch", (json_int_t)c->epoch,
	    "challenge", jout_octets(c->challenge, sizeof(c->challenge)),
	    "answer", jout_octets(c->answer, answer_len(c->proof)),
	    "proof", proof_name(c->proof)), out);
}

json_t *
wire_challenge_json(uint32_t epoch,
    const unsigned char challenge[CHALLENGE_LEN])
{
	return json_pack("{s:I, s:o}", "epoch", (json_int_t)epoch,
	    "challenge", jout_octets(challenge, CHALLENGE_LEN));
}

enum err
wire_challenge_decode(const char *s, size_t len, uint32_t *epoch,
    unsigned char challenge[CHALLENGE_LEN], struct detail *d)
{
	unsigned char octets[CHALLENGE_LEN];
	uint32_t ep = 0;
	struct jin in;
	enum err e;

	jin_open(&in, s, len, d);
	read_epoch(&in, &ep);
	jin_octets(&in, "challenge", octets, sizeof(octets));
	e = jin_done(&in);
	if (e == ERR_OK) {
		*epoch = ep;
		memcpy(challenge, octets, CHALLENGE_LEN);
	}
	return e;
}

enum err
wire_rotate_request_decode(const char *s, size_t len, unsigned char *request,
    size_t octets, struct detail *d)
{
	struct jin in;

	jin_open(&in, s, len, d);
	jin_octets(&in, "request", request, octets);
	return jin_done(&in);
}

enum err
wire_rotate_proof_decode(const char *s, size_t len, struct confirm *out,
    struct detail *d)
{
	struct confirm c;
	struct jin in;
	enum err e;

	memset(&c, 0, sizeof(c));
	jin_open(&in, s, len, d);
	read_epoch(&in, &c.epoch);
	jin_octets(&in, "challenge", c.challenge, sizeof(c.challenge));
	c.proof = PROOF_DEVICE;
	jin_octets(&in, "answer", c.answer, answer_len(c.proof));
	e = jin_done(&in);
	if (e == ERR_OK)
		*out = c;
	wipe(&c, sizeof(c));
	return e;
}
