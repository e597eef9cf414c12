#include "lib/wire/feed.h"

#include <string.h>

/* What gateways ask for and get: PSKs and the identity keys of audiences. */

static void
read_audience(struct jin *in, name_t out)
{
	jin_str(in, "audience", out, sizeof(name_t));
	if (in->err == ERR_OK && !name_is_audience(out))
		jin_fail(in, ERR_NAME, "member audience: not a name");
}

enum err
wire_psk_request_decode(const char *s, size_t len, struct psk_request *out,
    struct detail *d)
{
	struct psk_request r;
	char tls[8] = "";
	struct jin in;
	enum err e;

	memset(&r, 0, sizeof(r));
	jin_open(&in, s, len, d);
	jin_str(&in, "identity", r.identity, sizeof(r.identity));
	read_audience(&in, r.audience);
	jin_str(&in, "tls", tls, sizeof(tls));
	if (strcmp(tls, "1.3") == 0)
		r.tls = 13;
	else if (strcmp(tls, "1.2") == 0)
		r.tls = 12;
	else
		jin_fail(&in, ERR_JSON, "member tls: \"1.3\" or \"1.2\"");
	e = jin_done(&in);
	if (e == ERR_OK)
		*out = r;
	return e;
}

enum err
wire_psk_request_encode(const struct psk_request *r, struct buf *out)
{
	return jout(json_pack("{ss ss ss}", "identity", r->identity,
	    "audience", r->audience, "tls", r->tls == 13 ? "1.3" : "1.2"),
	    out);
}

/* "pending" is there only when it is true: gateways of before know it not. */
enum err
wire_psk_answer_encode(const struct psk_answer *a, struct buf *out)
{
	return jout(json_pack("{so ss sI sI so so* sI}",
	    "key", jout_octets(a->key.b, sizeof(a->key.b)),
	    "device_id", a->device_id, "device_number", (json_int_t)a->dn,
	    "epoch", (json_int_t)a->epoch,
	    "groups", jout_u32s(a->groups, a->ngroups),
	    "pending", a->pending ? json_true() : NULL,
	    "position", (json_int_t)a->pos), out);
}

enum err
wire_psk_answer_decode(const char *s, size_t len, struct psk_answer *out,
    struct detail *d)
{
	struct psk_answer a;
	struct jin in;
	enum err e;

	memset(&a, 0, sizeof(a));
	jin_open(&in, s, len, d);
	jin_octets(&in, "key", a.key.b, sizeof(a.key.b));
	jin_str(&in, "device_id", a.device_id, sizeof(a.device_id));
	if (in.err == ERR_OK && !name_is_device_id(a.device_id))
		jin_fail(&in, ERR_NAME, "member device_id: not a name");
	jin_u64(&in, "device_number", NUMBER_MAX, &a.dn);
	jin_u32(&in, "epoch", UINT32_MAX, &a.epoch);
	jin_u32s(&in, "groups", a.groups, DEVICE_GROUPS_MAX, &a.ngroups);
	jin_opt_bool(&in, "pending", &a.pending);
	jin_u64(&in, "position", NUMBER_MAX, &a.pos);
	e = jin_done(&in);
	if (e == ERR_OK)
		*out = a;
	wipe(&a, sizeof(a));
	return e;
}

enum err
wire_psk_used_encode(const struct psk_used *u, struct buf *out)
{
	return jout(json_pack("{ss so}", "audience", u->audience,
	    "identities", jout_strs(u->identity, sizeof(u->identity[0]),
	    u->n)), out);
}

enum err
wire_psk_used_decode(const char *s, size_t len, struct psk_used *out,
    struct detail *d)
{
	struct psk_used u;
	struct jin in;
	uint32_t i;
	enum err e;

	memset(&u, 0, sizeof(u));
	jin_open(&in, s, len, d);
	read_audience(&in, u.audience);
	jin_opt_strs(&in, "identities", u.identity, sizeof(u.identity[0]),
	    PSK_USED_MAX, &u.n);
	if (in.err == ERR_OK && u.n == 0)
		jin_fail(&in, ERR_JSON, "member identities: 1 to %d",
		    PSK_USED_MAX);
	for (i = 0; in.err == ERR_OK && i < u.n; i++)
		if (strlen(u.identity[i]) != PSKID_LEN)
			jin_fail(&in, ERR_JSON, "member identities: each of "
			    "%d characters", PSKID_LEN);
	e = jin_done(&in);
	if (e == ERR_OK)
		*out = u;
	return e;
}

enum err
wire_identity_keys_encode(const struct identity_keys *k, struct buf *out)
{
	json_t *a = json_array();
	uint32_t i;

	for (i = 0; a != NULL && i < k->n; i++) {
		if (json_array_append_new(a, json_pack("{si so}",
		    "kid", (int)k->kid[i], "key",
		    jout_octets(k->key[i].b, sizeof(k->key[i].b)))) != 0) {
			json_decref(a);
			a = NULL;
		}
	}
	return jout(json_pack("{ss sI so}", "audience", k->audience,
	    "tenant", (json_int_t)k->tenant, "keys", a), out);
}

static void
read_key(json_t *o, uint8_t *kid, struct key32 *key, struct jin *parent)
{
	uint32_t id = 0;
	struct jin in;

	jin_value(&in, o, parent->d);
	jin_u32(&in, "kid", UINT8_MAX, &id);
	jin_octets(&in, "key", key->b, sizeof(key->b));
	*kid = (uint8_t)id;
	jin_close(parent, &in);
}

enum err
wire_identity_keys_decode(const char *s, size_t len,
    struct identity_keys *out, struct detail *d)
{
	struct identity_keys k;
	size_t i, n = 0;
	struct jin in;
	json_t *a;
	enum err e;

	memset(&k, 0, sizeof(k));
	jin_open(&in, s, len, d);
	read_audience(&in, k.audience);
	jin_u32(&in, "tenant", UINT32_MAX, &k.tenant);
	a = jin_array(&in, "keys", IDENTITY_KEYS_MAX, &n);
	for (i = 0; in.err == ERR_OK && i < n; i++)
		read_key(json_array_get(a, i), &k.kid[i], &k.key[i], &in);
	k.n = (uint32_t)n;
	e = jin_done(&in);
	if (e == ERR_OK)
		*out = k;
	wipe(&k, sizeof(k));
	return e;
}
