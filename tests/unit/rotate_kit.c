#include "tests/unit/rotate_kit.h"

#include "lib/crypt/kdf.h"

struct core_call
device_call(struct fixture *f)
{
	return fixture_call(f, NULL);
}

enum err
rotate(struct fixture *f, const struct unit *u, unsigned char request,
    struct record *out)
{
	unsigned char r[ROTATE_REQUEST_LEN] = {request};
	struct core_call call = device_call(f);

	return core_rotate(&call, u->identity, r, out);
}

const char *
record_identity(const struct record *r, const char *audience)
{
	uint32_t i;

	for (i = 0; i < r->npeers; i++)
		if (strcmp(r->peers[i].audience, audience) == 0)
			return r->peers[i].identity;
	fail_msg("no peer %s", audience);
	return NULL;
}

/* The device once it has put the record in the place of its old one. */
struct unit
renewed(const struct unit *u, const struct record *r)
{
	struct unit v = *u;

	v.device.epoch = r->epoch;
	v.k = r->key;
	memcpy(v.release.peers, r->peers, sizeof(r->peers));
	v.release.npeers = r->npeers;
	/* into r, which outlives it here */
	v.identity = record_identity(r, AUDIENCE_AUTHORITY);
	return v;
}

struct device
row(struct fixture *f, const struct unit *u)
{
	struct core_call call = fixture_call(f, &f->admin);
	struct device d;

	assert_int_equal(core_device_get(&call, u->device.device_id, &d),
	    ERR_OK);
	return d;
}

/* A handshake at the device listener: the look-up, and its completion. */
enum err
handshake(struct fixture *f, const struct unit *u, int complete)
{
	struct key32 got, want;
	int news = 0;
	enum err e;

	e = core_listener_psk(f->core, u->identity, strlen(u->identity), 13,
	    &got, &news);
	if (e != ERR_OK)
		return e;
	assert_int_equal(kdf_derive(&u->k, PURPOSE_TLS13,
	    u->device.device_id, u->device.epoch, AUDIENCE_AUTHORITY, &want),
	    ERR_OK);
	assert_memory_equal(got.b, want.b, sizeof(want.b));
	if (complete && news)
		core_listener_used(f->core, u->identity, "r1");
	return ERR_OK;
}

enum err
resolve(struct fixture *f, const char *identity, struct psk_answer *a)
{
	struct core_call call = fixture_call(f, &f->gateway);
	struct psk_request req = {.audience = "edge", .tls = 13};

	memcpy(req.identity, identity, sizeof(req.identity));
	return core_psk_resolve(&call, &req, a);
}

enum err
tell_used(struct fixture *f, const struct caller *gateway,
    const char *identity, uint32_t *known)
{
	struct core_call call = fixture_call(f, gateway);
	struct psk_used used = {.audience = "edge", .n = 1};

	assert_int_equal(strlen(identity), PSKID_LEN);
	memcpy(used.identity[0], identity, sizeof(used.identity[0]));
	return core_psk_used(&call, &used, known);
}

enum err
assertion(struct fixture *f, const struct unit *u, const char *jti)
{
	const struct statement s = {.jti = jti};
	struct token_answer t = {.token = {.max = TOKEN_MAX}};
	struct token_request req = {.naudience = 0};
	struct core_call call = device_call(f);
	char jwt[2048];
	enum err e;

	fixture_assertion(f, u, &s, jwt, sizeof(jwt));
	e = core_token_assertion(&call, jwt, strlen(jwt), &req, &t);
	buf_free(&t.token);
	return e;
}

void
policy_order(struct fixture *f, const char *name, int rotate_first,
    enum on_clone on_clone)
{
	struct order o;

	fixture_order(f, name, 10, &o);
	o.rotate_first = rotate_first;
	o.on_clone = on_clone;
	fixture_add_order(f, &o);
}
