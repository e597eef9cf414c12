#include "tests/unit/core_fixture.h"

#include <time.h>
#include <unistd.h>

#include "lib/base/b64url.h"
#include "lib/base/file.h"
#include "lib/crypt/digest.h"
#include "lib/crypt/kdf.h"
#include "lib/jose/release_key.h"
#include "lib/wire/wire.h"
#include "tests/helpers/fake_store.h"

#define START INT64_C(1795370000000)
#define DEADLINE_S 20

static int64_t
wall(const struct clock *c)
{
	return atomic_load(&((const struct turned_clock *)c)->wall);
}

static int64_t
mono(const struct clock *c)
{
	return atomic_load(&((const struct turned_clock *)c)->mono);
}

static void
open_core(struct fixture *f)
{
	struct detail d = {""};
	enum err e;

	f->conf = (struct core_conf){.issuer = "https://id.example",
	    .conninfo = f->db, .kek_file = f->kek, .device_host = "dev.example",
	    .device_port = 8884, .sessions = 8, .token_life = 600,
	    .device_cache = 64, .token_cache = 64, .poll_ms = 20,
	    .clock = &f->time.clock};
	e = core_open(&f->conf, &f->core, &d);
	if (e != ERR_OK)
		fail_msg("core_open: %s %s", err_name(e), d.text);
	f->tenant = core_tenant_find(f->core, TENANT_DEFAULT);
	assert_non_null(f->tenant);
}

struct core_call
fixture_call(struct fixture *f, const struct caller *who)
{
	return (struct core_call){.core = f->core, .tenant = f->tenant,
	    .caller = who, .may_block = 1, .request_id = "r"};
}

void
fixture_caller(struct fixture *f, const char *name, enum role role,
    const char *audience, struct caller *out)
{
	struct core_call call = fixture_call(f, &f->admin);
	struct secret credential = {0};

	memset(out, 0, sizeof(*out));
	(void)snprintf(out->name, sizeof(out->name), "%s", name);
	out->role = role;
	if (audience != NULL) {
		(void)snprintf(out->audiences[0], sizeof(name_t), "%s",
		    audience);
		out->naudiences = 1;
	}
	assert_int_equal(core_caller_create(&call, out, &credential), ERR_OK);
	assert_int_equal(credential.len, CREDENTIAL_LEN);
	secret_free(&credential);
}

static void
add_audience(struct fixture *f, const char *name)
{
	struct core_call call = fixture_call(f, &f->admin);
	struct audience a = {.port = 8883};

	(void)snprintf(a.name, sizeof(a.name), "%s", name);
	(void)snprintf(a.host, sizeof(a.host), "%s.example", name);
	assert_int_equal(core_audience_put(&call, &a), ERR_OK);
}

void
fixture_order(struct fixture *f, const char *name, uint32_t quantity,
    struct order *out)
{
	*out = (struct order){.model = "m1", .quantity = quantity,
	    .reburn = REBURN_UNTIL_CONFIRMED, .min_proof = PROOF_MEDIUM,
	    .serial_pattern = "[A-Z][0-9]+", .id_template = "{model}-{serial}",
	    .scope = "telemetry commands", .stations = {"line-1", "line-2"},
	    .nstations = 2, .peers = {"edge", "depot"}, .npeers = 2};
	out->expires_at = wall(&f->time.clock) / 1000 + 86400;
	(void)snprintf(out->name, sizeof(out->name), "%s", name);
}

void
fixture_add_order(struct fixture *f, struct order *o)
{
	struct core_call call = fixture_call(f, &f->admin);

	assert_int_equal(core_order_create(&call, o), ERR_OK);
}

static enum err
keep(void *arg, const struct secret *credential)
{
	struct fixture *f = arg;

	return secret_set(&f->admin_credential, credential->p,
	    credential->len);
}

static void
populate(struct fixture *f)
{
	struct core_call call = fixture_call(f, NULL);
	struct order o;
	int made = 0;

	assert_int_equal(core_first_admin(f->core, keep, f, &made), ERR_OK);
	assert_int_equal(made, 1);
	assert_int_equal(core_authn(&call,
	    (const char *)f->admin_credential.p, f->admin_credential.len,
	    &f->admin), ERR_OK);
	add_audience(f, "edge");
	add_audience(f, "depot");
	fixture_caller(f, "line-1", ROLE_STATION, NULL, &f->line1);
	fixture_caller(f, "line-2", ROLE_STATION, NULL, &f->line2);
	fixture_caller(f, "gw", ROLE_GATEWAY, "edge", &f->gateway);
	fixture_caller(f, "gw2", ROLE_GATEWAY, "elsewhere",
	    &f->other_gateway);
	fixture_order(f, "o1", 100, &o);
	fixture_add_order(f, &o);
}

int
fixture_open(void **state)
{
	static const char key[] = "000102030405060708090a0b0c0d0e0f"
	    "101112131415161718191a1b1c1d1e1f\n";
	static unsigned count;
	struct fixture *f = calloc(1, sizeof(*f));
	struct detail d;

	assert_non_null(f);
	wire_init();
	f->time.clock = (struct clock){wall, mono};
	atomic_store(&f->time.wall, START);
	atomic_store(&f->time.mono, 5000);
	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/fealty-core-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	(void)snprintf(f->kek, sizeof(f->kek), "%s/kek", f->dir);
	(void)snprintf(f->db, sizeof(f->db), "test %u", ++count);
	assert_int_equal(file_write_atomic(f->kek, 0600, key,
	    sizeof(key) - 1), ERR_OK);
	fake_store_fail_at(0, ERR_OK);
	fake_store_away(0);
	fake_store_clock(&f->time.clock);
	assert_int_equal(store_migrate(f->db, f->dir, &d), ERR_OK);
	open_core(f);
	populate(f);
	*state = f;
	return 0;
}

int
fixture_close(void **state)
{
	struct fixture *f = *state;

	fake_store_fail_at(0, ERR_OK);
	fake_store_away(0);
	core_close(&f->core);
	fake_store_clock(NULL);
	secret_free(&f->admin_credential);
	(void)unlink(f->kek);
	(void)rmdir(f->dir);
	free(f);
	return 0;
}

void
fixture_ready(struct fixture *f)
{
	time_t until = time(NULL) + DEADLINE_S;
	struct timespec ts = {0, 1000000};

	while (core_ready(f->core) != ERR_OK && time(NULL) < until)
		(void)nanosleep(&ts, NULL);
	assert_int_equal(core_ready(f->core), ERR_OK);
}

void
fixture_pass(struct fixture *f, int64_t ms)
{
	atomic_fetch_add(&f->time.wall, ms);
	atomic_fetch_add(&f->time.mono, ms);
	fixture_ready(f);
}

static void
open_key(const struct jwe_key *pair, struct unit *u)
{
	name_t id;
	uint32_t epoch;

	assert_int_equal(release_key_open(pair, u->release.key,
	    strlen(u->release.key), id, &epoch, &u->k), ERR_OK);
	assert_string_equal(id, u->device.device_id);
	assert_int_equal(epoch, u->device.epoch);
}

void
fixture_release(struct fixture *f, const char *order, const char *serial,
    struct unit *u)
{
	struct core_call call = fixture_call(f, &f->line1);
	struct release_request req = {.epoch = 0};
	struct jwe_key *pair = NULL;
	struct buf jwk = {.max = 511};
	int created;

	memset(u, 0, sizeof(*u));
	assert_int_equal(core_reserve(&call, order, serial, &u->device,
	    &created), ERR_OK);
	if (u->device.state != DEV_RESERVED && u->device.state != DEV_BURNING)
		u->device.epoch = u->device.pending; /* it came back */
	req.epoch = u->device.epoch;
	assert_int_equal(jwe_key_generate(&pair), ERR_OK);
	assert_int_equal(jwe_key_public(pair, &jwk), ERR_OK);
	memcpy(req.station_key, jwk.p, jwk.len + 1);
	assert_int_equal(core_release(&call, u->device.device_id, &req,
	    &u->release), ERR_OK);
	open_key(pair, u);
	u->identity = unit_identity(u, AUDIENCE_AUTHORITY);
	jwe_key_free(&pair);
	buf_free(&jwk);
}

enum err
fixture_confirm(struct fixture *f, const struct caller *station,
    const struct unit *u, enum proof proof, struct device *out)
{
	struct core_call call = fixture_call(f, station);
	struct confirm c = {.epoch = u->device.epoch, .proof = proof};

	memcpy(c.challenge, u->release.challenge, sizeof(c.challenge));
	assert_int_equal(kdf_proof(&u->k, u->device.device_id, c.epoch, "burn",
	    c.challenge, sizeof(c.challenge), c.answer), ERR_OK);
	return core_confirm(&call, u->device.device_id, &c, out);
}

void
fixture_burn(struct fixture *f, const char *order, const char *serial,
    struct unit *u)
{
	fixture_release(f, order, serial, u);
	assert_int_equal(fixture_confirm(f, &f->line1, u, PROOF_MEDIUM,
	    &u->device), ERR_OK);
	assert_int_equal(u->device.state, DEV_ACTIVE);
}

const char *
unit_identity(const struct unit *u, const char *audience)
{
	uint32_t i;

	for (i = 0; i < u->release.npeers; i++)
		if (strcmp(u->release.peers[i].audience, audience) == 0)
			return u->release.peers[i].identity;
	fail_msg("no peer %s", audience);
	return NULL;
}

static void
append(char *out, size_t size, const void *p, size_t len)
{
	size_t n = strlen(out);

	assert_true(n + B64URL_LEN(len) + 2 < size);
	b64url_encode(p, len, out + n);
}

void
fixture_assertion(struct fixture *f, const struct unit *u,
    const struct statement *s, char *out, size_t size)
{
	const char *iss = s->iss != NULL ? s->iss : u->device.device_id;
	int64_t now = wall(&f->time.clock) / 1000;
	unsigned char sig[ES256_SIG_LEN];
	struct key32 key;
	char text[1024], head[256];

	(void)snprintf(head, sizeof(head),
	    "{\"alg\":\"%s\",\"typ\":\"JWT\",\"kid\":\"%s\"}",
	    s->own != NULL ? "ES256" : "HS256", s->kid != NULL ? s->kid : u->identity);
	if (s->nonce != NULL)
		(void)snprintf(text, sizeof(text), "{\"iss\":\"%s\",\"sub\":"
		    "\"%s\",\"aud\":\"%s\",\"jti\":\"%s\",\"nonce\":\"%s\"}",
		    iss, iss, s->aud != NULL ? s->aud : "https://id.example",
		    s->jti, s->nonce);
	else
		(void)snprintf(text, sizeof(text), "{\"iss\":\"%s\",\"sub\":"
		    "\"%s\",\"aud\":\"%s\",\"jti\":\"%s\",\"iat\":%lld,"
		    "\"exp\":%lld}", iss, iss,
		    s->aud != NULL ? s->aud : "https://id.example", s->jti,
		    (long long)(s->iat != 0 ? s->iat : now),
		    (long long)(s->exp != 0 ? s->exp : now + 60));
	assert_int_equal(kdf_derive(&u->k, PURPOSE_ASSERTION,
	    u->device.device_id, u->device.epoch, "", &key), ERR_OK);
	key.b[0] ^= s->wrong_key ? 1 : 0;
	*out = '\0';
	append(out, size, head, strlen(head));
	strcat(out, ".");
	append(out, size, text, strlen(text));
	if (s->own != NULL)
		assert_int_equal(signer_sign(s->own, out, strlen(out), sig),
		    ERR_OK);
	else
		assert_int_equal(hmac_sha256(key.b, 32, out, strlen(out),
		    sig), ERR_OK);
	strcat(out, ".");
	append(out, size, sig, s->own != NULL ? sizeof(sig) : 32);
}

enum err
fixture_token(struct fixture *f, const struct unit *u,
    struct token_answer *out)
{
	struct core_call call = fixture_call(f, NULL);
	struct token_request req = {.naudience = 0};

	buf_free(&out->token);
	out->token = (struct buf){.max = TOKEN_MAX};
	return core_token_psk(&call, u->identity, &req, out);
}

enum err
fixture_introspect(struct fixture *f, const struct token_answer *t)
{
	struct core_call call = fixture_call(f, &f->gateway);
	struct buf json = {.max = 4096};
	enum err e;

	e = core_introspect(&call, t->token.p, t->token.len, &json);
	if (e == ERR_OK)
		assert_non_null(strstr(json.p, "\"active\":true"));
	else
		assert_int_equal(json.len, 0);
	buf_free(&json);
	return e;
}

unsigned
fixture_audited(struct fixture *f, const char *action, const char *outcome)
{
	struct core_call call = fixture_call(f, &f->admin);
	struct audit *rows = calloc(CORE_LIST_MAX, sizeof(*rows));
	unsigned hits = 0;
	size_t i, n;

	assert_non_null(rows);
	assert_int_equal(core_audit_list(&call, 0, CORE_LIST_MAX, rows, &n),
	    ERR_OK);
	for (i = 0; i < n; i++)
		hits += strcmp(rows[i].action, action) == 0 &&
		    strcmp(rows[i].outcome, outcome) == 0;
	free(rows);
	return hits;
}

enum err
fixture_effect(struct fixture *f, const char *device_id,
    enum event_effect effect, int revoke)
{
	struct core_call call = fixture_call(f, &f->admin);
	struct device d;
	uint64_t pos;

	return core_device_effect(&call, device_id, effect, revoke, "test",
	    &d, &pos);
}
