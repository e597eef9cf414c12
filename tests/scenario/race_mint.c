#include "tests/scenario/race.h"

#include <jansson.h>
#include <time.h>
#include <unistd.h>
#include <fealty/device_openssl.h>

#include "lib/base/b64url.h"

#define NONCE_S 60

int64_t
race_now(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

void
race_check(const struct race *r, unsigned gateway, const struct minted *t,
    struct verdict *out)
{
	struct fealty_decision d;

	out->before = fealty_gateway_position(r->gateway[gateway]);
	out->accepted = fealty_token_check(r->gateway[gateway], t->jwt,
	    t->len, NULL, 500, &d);
	(void)snprintf(out->code, sizeof(out->code), "%s", d.code);
}

/* ---- what a token says, without the code under test ---- */

static json_t *
part(const char *from, const char *to)
{
	static _Thread_local char text[TOKEN_ROOM];
	size_t n = sizeof(text);

	if (b64url_decode(from, (size_t)(to - from), text, &n) != ERR_OK)
		return NULL;
	return json_loadb(text, n, 0, NULL);
}

static int
text_of(const json_t *o, const char *name, char out[FEALTY_NAME])
{
	const char *s = json_string_value(json_object_get(o, name));

	if (s == NULL || strlen(s) >= FEALTY_NAME)
		return -1;
	(void)snprintf(out, FEALTY_NAME, "%s", s);
	return 0;
}

static int
claims(const json_t *head, const json_t *o, struct minted *t)
{
	const json_t *groups = json_object_get(o, "grp");
	size_t i, n = json_array_size(groups);

	t->pos = (uint64_t)json_integer_value(json_object_get(o, "pos"));
	t->dn = (uint64_t)json_integer_value(json_object_get(o, "dn"));
	if (t->pos == 0 || t->dn == 0 || n == 0 || n > FEALTY_GROUPS)
		return -1;
	for (i = 0; i < n; i++)
		t->groups[i] = (uint64_t)json_integer_value(
		    json_array_get(groups, i));
	t->ngroups = (unsigned)n;
	return text_of(o, "jti", t->jti) == 0 &&
	    text_of(head, "kid", t->kid) == 0 ? 0 : -1;
}

static int
read_claims(struct minted *t)
{
	const char *a = strchr(t->jwt, '.');
	const char *b = a == NULL ? NULL : strchr(a + 1, '.');
	json_t *head, *o;
	int r = -1;

	if (b == NULL)
		return -1;
	head = part(t->jwt, a);
	o = part(a + 1, b);
	if (head != NULL && o != NULL)
		r = claims(head, o, t);
	json_decref(head);
	json_decref(o);
	return r;
}

/* ---- the two ways to a token ---- */

static int
by_listener(struct minter *m, unsigned device)
{
	const struct psk_how how = {.audience = FEALTY_AUTHORITY,
	    .port = authd_fixture_device(m->race->w[m->by]->authd),
	    .tls = device % 2 ? FEALTY_TLS12 : FEALTY_TLS13};
	struct psk_client *c = &m->link[device];
	int status;

	if (c->ssl == NULL &&
	    psk_client_open(c, &m->race->device[device].key, &how) != 0)
		return -1;
	status = psk_client_http(c, "/oauth2/token",
	    "grant_type=client_credentials", &m->a);
	if (status < 0)
		psk_client_close(c);
	return status;
}

static int
fresh_nonce(struct minter *m)
{
	uint16_t port = authd_fixture_api(m->race->w[m->by]->authd);

	if (race_now() < m->nonce_until)
		return 0;
	if (http_ask(port, "GET", "/oauth2/nonce", NULL, NULL, NULL, -1,
	    &m->a) != 0 || m->a.status != 200 ||
	    http_member(&m->a, "nonce", m->nonce, sizeof(m->nonce)) != 0)
		return -1;
	m->nonce_until = race_now() + NONCE_S * (int64_t)1000000000;
	return 0;
}

static int
by_assertion(struct minter *m, unsigned device)
{
	const struct fealty_assertion of = {.life = 60, .nonce = m->nonce};
	char jwt[ASSERTION_ROOM], form[2000];
	size_t len;

	if (fresh_nonce(m) != 0 ||
	    fealty_assertion(&fealty_device_port_openssl,
	    &m->race->device[device].key.record, &of, jwt, sizeof(jwt),
	    &len) != FEALTY_OK)
		return -1;
	world_grant(jwt, form, sizeof(form));
	if (http_ask(authd_fixture_api(m->race->w[m->by]->authd), "POST",
	    "/oauth2/token", NULL, TYPE_FORM, form, -1, &m->a) != 0)
		return -1;
	return m->a.status;
}

static int
fault(struct minter *m, const char *what)
{
	(void)snprintf(m->fault, sizeof(m->fault), "%s: %d %.200s", what,
	    m->a.status, m->a.body);
	return -1;
}

/* Refused is a device only while a block that names it may be seen. */
static int
no_token(struct minter *m, unsigned device, int status)
{
	if (status == 503 || status < 0) {
		m->away++;
		/* a dead key gives no connection, nor says why */
		if (status < 0 && !m->assertions && m->race->may_refuse)
			m->refused++;
		return 0;
	}
	if ((status != 400 && status != 403) || !m->race->may_refuse ||
	    !(m->race->named & 1U << device))
		return fault(m, "refused");
	m->refused++;
	return 0;
}

int
minter_mint(struct minter *m, unsigned device)
{
	struct minted *t = &m->got[m->n];
	int status;

	if (m->n == RACE_TRIES)
		return 0;
	memset(t, 0, sizeof(*t));
	t->by = m->by;
	t->device = device;
	t->round = m->race->round;
	t->asked = race_now();
	status = m->assertions ? by_assertion(m, device) :
	    by_listener(m, device);
	t->got = race_now();
	if (status != 200)
		return no_token(m, device, status);
	if (http_member(&m->a, "access_token", t->jwt, sizeof(t->jwt)) != 0 ||
	    read_claims(t) != 0 || t->dn != m->race->device[device].dn)
		return fault(m, "no token of ours");
	t->len = strlen(t->jwt);
	m->n++;
	return 1;
}

static unsigned
pick(struct minter *m)
{
	unsigned d = (unsigned)rand_r(&m->seed) % RACE_DEVICES, i;

	if (rand_r(&m->seed) % 4 == 0)
		return d;
	for (i = 0; i < RACE_DEVICES; i++)
		if (m->race->named & 1U << (d + i) % RACE_DEVICES)
			return (d + i) % RACE_DEVICES;
	return d;
}

void
minter_round(struct minter *m)
{
	unsigned tries, other = 1 - m->by;
	int late = 0, r;

	m->n = 0;
	for (tries = 0; tries < RACE_TRIES && !late; tries++) {
		/* the last one is for whom the admin has his answer */
		while (tries == RACE_TRIES - 1 &&
		    !atomic_load(&m->race->acked))
			(void)usleep(100);
		late = tries > 0 && atomic_load(&m->race->acked);
		r = minter_mint(m, pick(m));
		if (r < 0)
			return;
		if (r == 0)
			continue;
		/* at the one behind the other authd first: it may know more */
		race_check(m->race, other, &m->got[m->n - 1],
		    &m->got[m->n - 1].first[other]);
		race_check(m->race, m->by, &m->got[m->n - 1],
		    &m->got[m->n - 1].first[m->by]);
	}
}

void
minter_close(struct minter *m)
{
	unsigned i;

	for (i = 0; i < RACE_DEVICES; i++)
		if (m->link[i].ssl != NULL)
			psk_client_close(&m->link[i]);
}
