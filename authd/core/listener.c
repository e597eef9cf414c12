#include "authd/core/core_internal.h"

#include <string.h>

#include "lib/base/parse.h"
#include "lib/crypt/digest.h"

const struct core_tenant *
core_identity_tenant(struct core *c, const char *identity, size_t len)
{
	struct pskid id;

	if (identity_open_own(c, identity, len, &id) != ERR_OK)
		return NULL;
	return tenant_by_number(c, id.tenant);
}

/*
 * Who holds the key of a device that is out of service has still proven which
 * device it is, so it gets its handshake here and then, at every request, the
 * reason (device_authenticate). Gateways are not so kind.
 */
static enum err
may_listen(enum device_state s)
{
	switch (s) {
	case DEV_BURNING:
	case DEV_ACTIVE:
	case DEV_SUSPENDED:
	case DEV_REVOKED:
		return ERR_OK;
	default:
		return device_state_refusal(s);
	}
}

/*
 * A handshake grants nothing: each request is judged anew, under a confirmed
 * head. So while there is none a device in memory still gets in, and is told
 * why it has to wait; and the loop that runs its handshake does not wait for
 * a database that is away.
 */
static enum err
listener_lookup(struct core *c, const struct core_tenant *t,
    const struct pskid *id, struct device_entry *d)
{
	uint64_t pos = 0;

	if (core_ready(c) == ERR_OK)
		return device_lookup(c, t, id, 1, d, &pos);
	return device_cache_get(c->devices, clock_mono_ms(c->clock),
	    id->tenant, id->dn, id->epoch, d) ? ERR_OK : ERR_NOT_READY;
}

enum err
core_listener_psk(struct core *c, const char *identity, size_t len, int tls,
    struct key32 *out, int *news)
{
	const struct core_tenant *t;
	struct device_entry d;
	struct pskid id;
	enum err e;

	if (tls != 12 && tls != 13)
		return ERR_REQUEST;
	e = identity_open_own(c, identity, len, &id);
	if (e != ERR_OK)
		return e;
	t = tenant_by_number(c, id.tenant);
	if (t == NULL)
		return ERR_IDENTITY;
	e = listener_lookup(c, t, &id, &d);
	if (e == ERR_OK)
		e = may_listen(d.device.state);
	if (e == ERR_OK) {
		*out = tls == 13 ? d.tls13 : d.tls12;
		*news = epoch_is_news(&d.device, d.epoch);
	}
	wipe(&d, sizeof(d));
	return e;
}

/* Always the same for an identity, as a real one's key would be. */
void
core_decoy(struct core *c, const char *identity, size_t len,
    struct key32 *out)
{
	static const char label[] = "fealty decoy v1";
	unsigned char text[sizeof(label) + 32];

	memcpy(text, label, sizeof(label));
	if (sha256(identity, len, text + sizeof(label)) == ERR_OK &&
	    hmac_sha256(c->authority.nonce.b, KEY32_LEN, text, sizeof(text),
		out->b) == ERR_OK)
		return;
	/* Nobody has this key either, and it does not leave by a handshake. */
	*out = c->authority.nonce;
}

static enum err
self(struct core_call *call, const char *identity, struct device_entry *d,
    uint64_t *pos)
{
	struct pskid id;
	enum err e;

	e = identity_open_own(call->core, identity, strlen(identity), &id);
	if (e == ERR_OK)
		e = device_admit(call, &id, d, pos);
	return e == ERR_IDENTITY ? ERR_CLIENT : e;
}

enum err
core_device_self(struct core_call *call, const char *identity,
    struct device *out, uint64_t *pos)
{
	struct device_entry d;
	uint64_t p = 0;
	enum err e;

	e = self(call, identity, &d, &p);
	if (e == ERR_OK) {
		*out = d.device;
		*pos = p;
	}
	wipe(&d, sizeof(d));
	return e;
}

enum err
audience_peers(struct core *c, const struct pskid *of,
    const struct audience *a, uint32_t n, struct peer *out, uint32_t *nout)
{
	struct peer *p = out;
	uint32_t i;
	enum err e;

	for (i = 0; i < n && i < ORDER_PEERS_MAX; i++, p++) {
		memcpy(p->audience, a[i].name, sizeof(p->audience));
		memcpy(p->host, a[i].host, sizeof(p->host));
		p->port = a[i].port;
		e = identity_make(c, of->tenant, of->dn, of->epoch, a[i].name,
		    p->identity);
		if (e != ERR_OK)
			return e;
	}
	/* The authority itself is a peer of each device. */
	pthread_mutex_lock(&c->endpoint_lock);
	memcpy(p->host, c->device_host, sizeof(p->host));
	p->port = c->device_port;
	pthread_mutex_unlock(&c->endpoint_lock);
	e = copy_str(p->audience, sizeof(p->audience), AUDIENCE_AUTHORITY);
	if (e == ERR_OK)
		e = identity_make(c, of->tenant, of->dn, of->epoch,
		    AUDIENCE_AUTHORITY, p->identity);
	if (e == ERR_OK)
		*nout = i + 1;
	return e;
}

enum err
device_peers(struct core *c, struct store *st, uint32_t tenant, uint64_t dn,
    uint32_t epoch, const name_t *names, uint32_t n, struct peer *out,
    uint32_t *nout)
{
	const struct pskid of = {.tenant = tenant, .dn = dn, .epoch = epoch};
	struct audience a[ORDER_PEERS_MAX];
	uint32_t i, got = 0;
	enum err e;

	for (i = 0; i < n && i < ORDER_PEERS_MAX; i++) {
		e = store_audience_get(st, names[i], &a[got]);
		if (e == ERR_OK && !a[got].retired)
			got++;
		else if (e != ERR_OK && e != ERR_NOT_FOUND)
			return e;
	}
	return audience_peers(c, &of, a, got, out, nout);
}

struct peering {
	struct core *c;
	const struct device_entry *d;
	struct peer peers[RECORD_PEERS_MAX];
	uint32_t n;
};

static enum err
peers_txn(struct store *st, void *arg)
{
	struct peering *p = arg;

	return device_peers(p->c, st, p->d->tenant, p->d->device.dn,
	    p->d->epoch, p->d->peers, p->d->npeers, p->peers, &p->n);
}

enum err
core_device_peers(struct core_call *call, const char *identity,
    struct peer *peers, uint32_t *n)
{
	struct device_entry d;
	struct peering p = {.c = call->core, .d = &d};
	uint64_t pos = 0;
	enum err e;

	e = self(call, identity, &d, &pos);
	if (e == ERR_OK && !call->may_block)
		e = ERR_WOULD_BLOCK;
	if (e == ERR_OK)
		e = store_run(call->core, d.tenant, STORE_READ, peers_txn,
		    &p);
	if (e == ERR_OK) {
		memcpy(peers, p.peers, sizeof(p.peers));
		*n = p.n;
	}
	wipe(&d, sizeof(d));
	return e;
}
