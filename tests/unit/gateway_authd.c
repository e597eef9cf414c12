#include "tests/unit/gateway_authd.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <pthread.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/b64url.h"
#include "lib/crypt/digest.h"
#include "lib/crypt/kdf.h"
#include "lib/wire/problem.h"

#define EVENTS 256
#define KID_OCTET 3

struct authd {
	struct MHD_Daemon *http;
	char url[64], credential[64];
	pthread_mutex_t lock;
	pthread_cond_t opened;
	struct event events[EVENTS];
	size_t n;
	uint64_t floor;
	int held, down, pending;
	enum err used_refusal;
	unsigned used, used_requests;
	enum err refusal[DEVICES];
	unsigned psk_requests, jwks_requests, feed_requests;
	size_t page; /* events in an answer at most; 0: all */
	struct signer *signer;
	struct jwks *jwks;
};

static const struct key32 audience_key = {"an audience's identity key....."};

int64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ((int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000);
}

void
nap(void)
{
	struct timespec ts = {.tv_nsec = 2000000};

	nanosleep(&ts, NULL);
}

void
device_identity(uint64_t dn, char out[PSKID_LEN + 1])
{
	struct pskid id = {.kid = KID_OCTET, .tenant = TENANT, .dn = dn,
	    .epoch = 1};

	assert_int_equal(pskid_make(&audience_key, AUDIENCE, &id, out),
	    ERR_OK);
}

void
device_key(uint64_t dn, int tls, struct key32 *out)
{
	char text[64];

	snprintf(text, sizeof(text), "key of %d for TLS %d", (int)dn, tls);
	assert_int_equal(sha256(text, strlen(text), out->b), ERR_OK);
}

static enum err
answer_psk(struct authd *a, const char *body, size_t len, struct buf *out)
{
	struct psk_answer p = {.epoch = 1, .ngroups = 1};
	struct psk_request r;
	struct pskid id;
	enum err e;

	a->psk_requests++;
	if ((e = wire_psk_request_decode(body, len, &r, NULL)) != ERR_OK)
		return (e);
	if (strcmp(r.audience, AUDIENCE) != 0)
		return (ERR_SCOPE);
	e = pskid_open(&audience_key, AUDIENCE, r.identity,
	    strlen(r.identity), &id);
	if (e != ERR_OK || id.dn >= DEVICES)
		return (ERR_IDENTITY);
	if (a->refusal[id.dn] != ERR_OK)
		return (a->refusal[id.dn]);
	device_key(id.dn, r.tls, &p.key);
	p.dn = id.dn;
	p.pending = a->pending;
	p.groups[0] = (uint32_t)id.dn + 10;
	p.pos = a->n > 0 ? a->events[a->n - 1].pos : 1;
	snprintf(p.device_id, sizeof(p.device_id), "dev-%d", (int)id.dn);
	e = wire_psk_answer_encode(&p, out);
	/* what was read under one position leaves under another */
	while (a->held)
		pthread_cond_wait(&a->opened, &a->lock);
	return (e);
}

static enum err
answer_used(struct authd *a, const struct buf *body, struct buf *out)
{
	struct psk_used u;
	enum err e;

	a->used_requests++;
	if ((e = wire_psk_used_decode(body->p, body->len, &u, NULL)) !=
	    ERR_OK)
		return (e);
	if (a->used_refusal != ERR_OK)
		return (a->used_refusal);
	a->used += u.n;
	return (buf_fmt(out, "{\"known\":%u}", u.n));
}

static enum err
answer_feed(struct authd *a, uint64_t after, struct buf *out)
{
	struct feed_page p = {.floor = a->floor, .time = time(NULL)};
	size_t i = 0;

	a->feed_requests++;
	p.head = a->n > 0 ? a->events[a->n - 1].pos : 1;
	if (after > p.head)
		return (ERR_BACKWARDS);
	while (i < a->n && a->events[i].pos <= after)
		i++;
	p.events = a->events + i;
	p.n = a->n - i;
	if (a->page != 0 && p.n > a->page)
		p.n = a->page;
	return (wire_feed_encode(&p, out));
}

static enum err
answer(struct authd *a, struct MHD_Connection *c, const char *path,
    const struct buf *body, struct buf *out)
{
	struct identity_keys k = {.audience = AUDIENCE, .tenant = TENANT,
	    .n = 1, .kid = {KID_OCTET}, .key = {audience_key}};
	const char *after;

	if (a->down)
		return (ERR_NOT_READY);
	if (strcmp(path, "/v1/psk") == 0)
		return (answer_psk(a, body->p, body->len, out));
	if (strcmp(path, "/v1/psk/used") == 0)
		return (answer_used(a, body, out));
	if (strcmp(path, "/v1/audiences/" AUDIENCE "/identity-keys") == 0)
		return (wire_identity_keys_encode(&k, out));
	if (strcmp(path, "/.well-known/jwks.json") == 0) {
		a->jwks_requests++;
		return (jwks_format(a->jwks, out));
	}
	if (strcmp(path, "/v1/revocations") != 0)
		return (ERR_NOT_FOUND);
	after = MHD_lookup_connection_value(c, MHD_GET_ARGUMENT_KIND,
	    "after");
	return (answer_feed(a, after ? strtoull(after, NULL, 10) : 0, out));
}

static enum MHD_Result
handler(void *arg, struct MHD_Connection *c, const char *path,
    const char *method, const char *version, const char *data, size_t *size,
    void **state)
{
	struct buf out = {.max = 1 << 20}, *body = *state;
	struct MHD_Response *r;
	struct authd *a = arg;
	enum MHD_Result sent;
	enum err e;

	if (body == NULL) {
		body = calloc(1, sizeof(*body));
		body->max = 65536;
		*state = body;
		return (MHD_YES);
	}
	if (*size > 0) {
		e = buf_add(body, data, *size);
		*size = 0;
		return (e == ERR_OK ? MHD_YES : MHD_NO);
	}
	pthread_mutex_lock(&a->lock);
	e = answer(a, c, path, body, &out);
	pthread_mutex_unlock(&a->lock);
	if (e != ERR_OK) {
		buf_reset(&out);
		if (wire_problem_encode(e, NULL, "0", &out) != ERR_OK)
			return (MHD_NO);
	}
	r = MHD_create_response_from_buffer(out.len, out.p,
	    MHD_RESPMEM_MUST_COPY);
	sent = MHD_queue_response(c, (unsigned)err_status(e), r);
	MHD_destroy_response(r);
	buf_free(&out);
	(void)method;
	(void)version;
	return (sent);
}

static void
completed(void *arg, struct MHD_Connection *c, void **state,
    enum MHD_RequestTerminationCode how)
{
	if (*state != NULL)
		buf_free(*state);
	free(*state);
	*state = NULL;
	(void)arg;
	(void)c;
	(void)how;
}

struct authd *
authd_start(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET};
	struct authd *a = calloc(1, sizeof(*a));
	static const char text[] =
	    "fc_0123456789012345678901234567890123456789012\n";
	int fd;

	assert_non_null(a);
	pthread_mutex_init(&a->lock, NULL);
	pthread_cond_init(&a->opened, NULL);
	snprintf(a->credential, sizeof(a->credential), "%s",
	    "/tmp/fealty-test-XXXXXX");
	fd = mkstemp(a->credential);
	assert_true(fd >= 0 && write(fd, text, sizeof(text) - 1) ==
	    sizeof(text) - 1);
	close(fd);
	authd_new_key(a);
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	a->http = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD |
	    MHD_USE_THREAD_PER_CONNECTION, 0, NULL, NULL, handler, a,
	    MHD_OPTION_SOCK_ADDR, (struct sockaddr *)&at,
	    MHD_OPTION_NOTIFY_COMPLETED, completed, NULL, MHD_OPTION_END);
	assert_non_null(a->http);
	snprintf(a->url, sizeof(a->url), "http://127.0.0.1:%u",
	    (unsigned)MHD_get_daemon_info(a->http,
	    MHD_DAEMON_INFO_BIND_PORT)->port);
	return (a);
}

void
authd_stop(struct authd **a)
{
	authd_hold_psk(*a, 0);
	MHD_stop_daemon((*a)->http);
	unlink((*a)->credential);
	signer_free(&(*a)->signer);
	jwks_free(&(*a)->jwks);
	pthread_cond_destroy(&(*a)->opened);
	pthread_mutex_destroy(&(*a)->lock);
	free(*a);
	*a = NULL;
}

const char *
authd_url(const struct authd *a)
{
	return (a->url);
}

const char *
authd_credential(const struct authd *a)
{
	return (a->credential);
}

struct fealty_options
authd_options(const struct authd *a)
{
	struct fealty_options o = FEALTY_OPTIONS_INIT;
	static const char *url;

	url = a->url;
	o.urls = &url;
	o.nurls = 1;
	o.audience = AUDIENCE;
	o.credential_file = a->credential;
	o.poll_ms = 20;
	o.failures_burst = 1000;
	o.log = log_to_memory;
	return (o);
}

uint64_t
authd_event_text(struct authd *a, enum event_kind kind, const char *id,
    enum event_effect effect)
{
	struct event *e;
	uint64_t pos;

	pthread_mutex_lock(&a->lock);
	assert_true(a->n < EVENTS);
	e = &a->events[a->n++];
	memset(e, 0, sizeof(*e));
	e->pos = a->n + 1; /* from 2: position 1 is before any */
	e->kind = kind;
	e->effect = effect;
	e->at = time(NULL);
	e->exp = kind == EV_TOKEN ? e->at + 600 : 0;
	snprintf(e->id, sizeof(e->id), "%s", id);
	pos = e->pos;
	pthread_mutex_unlock(&a->lock);
	return (pos);
}

uint64_t
authd_event(struct authd *a, enum event_kind kind, uint64_t id,
    enum event_effect effect)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)id);
	return (authd_event_text(a, kind, text, effect));
}

void
authd_floor(struct authd *a, uint64_t floor)
{
	pthread_mutex_lock(&a->lock);
	a->floor = floor;
	pthread_mutex_unlock(&a->lock);
}

void
authd_page(struct authd *a, size_t events)
{
	pthread_mutex_lock(&a->lock);
	a->page = events;
	pthread_mutex_unlock(&a->lock);
}

unsigned
authd_feed_requests(struct authd *a)
{
	unsigned n;

	pthread_mutex_lock(&a->lock);
	n = a->feed_requests;
	pthread_mutex_unlock(&a->lock);
	return (n);
}

uint64_t
authd_head(struct authd *a)
{
	uint64_t head;

	pthread_mutex_lock(&a->lock);
	head = a->n > 0 ? a->events[a->n - 1].pos : 1;
	pthread_mutex_unlock(&a->lock);
	return (head);
}

void
authd_refuse(struct authd *a, uint64_t dn, enum err err)
{
	pthread_mutex_lock(&a->lock);
	a->refusal[dn] = err;
	pthread_mutex_unlock(&a->lock);
}

void
authd_hold_psk(struct authd *a, int shut)
{
	pthread_mutex_lock(&a->lock);
	a->held = shut;
	pthread_cond_broadcast(&a->opened);
	pthread_mutex_unlock(&a->lock);
}

void
authd_down(struct authd *a, int down)
{
	pthread_mutex_lock(&a->lock);
	a->down = down;
	pthread_mutex_unlock(&a->lock);
}

void
authd_pending(struct authd *a, int pending, enum err used)
{
	pthread_mutex_lock(&a->lock);
	a->pending = pending;
	a->used_refusal = used;
	pthread_mutex_unlock(&a->lock);
}

unsigned
authd_used(struct authd *a, unsigned *requests)
{
	unsigned n;

	pthread_mutex_lock(&a->lock);
	n = a->used;
	*requests = a->used_requests;
	pthread_mutex_unlock(&a->lock);
	return (n);
}

void
authd_new_key(struct authd *a)
{
	struct es256_public pub;

	pthread_mutex_lock(&a->lock);
	signer_free(&a->signer);
	assert_int_equal(signer_generate(&a->signer), ERR_OK);
	if (a->jwks == NULL)
		assert_int_equal(jwks_new(&a->jwks), ERR_OK);
	signer_public(a->signer, &pub);
	assert_int_equal(jwks_add(a->jwks, &pub), ERR_OK);
	pthread_mutex_unlock(&a->lock);
}

unsigned
authd_psk_requests(struct authd *a)
{
	unsigned n;

	pthread_mutex_lock(&a->lock);
	n = a->psk_requests;
	pthread_mutex_unlock(&a->lock);
	return (n);
}

unsigned
authd_jwks_requests(struct authd *a)
{
	unsigned n;

	pthread_mutex_lock(&a->lock);
	n = a->jwks_requests;
	pthread_mutex_unlock(&a->lock);
	return (n);
}

void
authd_claims(struct authd *a, uint64_t dn, struct token_claims *c)
{
	unsigned char octets[16];

	memset(c, 0, sizeof(*c));
	snprintf(c->iss, sizeof(c->iss), "%s", a->url);
	snprintf(c->sub, sizeof(c->sub), "dev-%d", (int)dn);
	snprintf(c->aud[0], sizeof(c->aud[0]), "%s", AUDIENCE);
	c->naud = 1;
	c->iat = time(NULL);
	c->exp = c->iat + TOKEN_LIFE;
	assert_int_equal(random_bytes(octets, sizeof(octets)), ERR_OK);
	b64url_encode(octets, sizeof(octets), c->jti);
	snprintf(c->scope, sizeof(c->scope), "device");
	c->tid = TENANT;
	c->dn = dn;
	c->ep = 1;
	c->grp[0] = (uint32_t)dn + 10;
	c->ngrp = 1;
	c->pos = authd_head(a);
}

void
authd_sign(struct authd *a, const struct token_claims *c, char *out,
    size_t size)
{
	struct buf b = {.max = TOKEN_MAX};

	assert_int_equal(token_sign(a->signer, c, &b), ERR_OK);
	snprintf(out, size, "%s", b.p);
	buf_free(&b);
}
