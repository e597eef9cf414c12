#include "tests/unit/gateway_feedd.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/b64url.h"
#include "lib/crypt/digest.h"
#include "lib/jose/token.h"
#include "lib/wire/feed.h"
#include "lib/wire/problem.h"

#define EVENTS 4096
#define MESSAGES 16384
#define FIRST 2 /* position of the first event: 1 is before any */

struct feedd {
	struct MHD_Daemon *http;
	char url[64], enrolment[64];
	pthread_mutex_t lock;
	pthread_cond_t said;
	struct event events[EVENTS];
	size_t n;
	char *message[MESSAGES];
	size_t messages;
	unsigned generation; /* streams of an older one end */
	uint64_t floor, version;
	int64_t off_ms;
	int beating, streams, down, stopping, no_snapshots;
	enum err refusal; /* of receipts */
	unsigned refused;
	unsigned stream_requests, snapshot_requests;
	struct feedd_receipt receipt;
	struct signer *root, *feed, *token;
	pthread_t ticker;
};
struct listener {
	struct feedd *f;
	size_t at;
	unsigned generation;
	struct buf own; /* said before anything else */
	size_t own_at, offset;
};

int64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ((int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000);
}

static int64_t
now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ((int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000);
}

void
nap(void)
{
	struct timespec ts = {.tv_nsec = 1000000};

	nanosleep(&ts, NULL);
}

static int64_t
wall_ms(const struct feedd *f)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return ((int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000 +
	    f->off_ms);
}

static uint64_t
head(const struct feedd *f)
{
	return (f->n > 0 ? f->events[f->n - 1].pos : FIRST - 1);
}

/* ---- signed texts; under the lock ---- */

static void
sign_set(struct feedd *f, uint64_t first, uint64_t last,
    const struct signer *by, struct buf *out)
{
	struct set_run r = {
		.after = first == FIRST ? 0 : first - 1,
		.head = head(f),
		.events = f->events + (first - FIRST),
		.n = (size_t)(last - first + 1),
	};

	assert_int_equal(set_sign(by, f->url, wall_ms(f) / 1000, &r, out),
	    ERR_OK);
}

static void
sign_beat(struct feedd *f, const struct heartbeat *h,
    const struct signer *by, struct buf *out)
{
	assert_int_equal(heartbeat_sign(by, f->url, h, out), ERR_OK);
}

static struct jwks *
keys_of(const struct signer *s)
{
	struct es256_public pub;
	struct jwks *k;

	assert_int_equal(jwks_new(&k), ERR_OK);
	signer_public(s, &pub);
	assert_int_equal(jwks_add(k, &pub), ERR_OK);
	return (k);
}

static void
sign_keys(struct feedd *f, uint64_t version, const struct signer *by,
    struct buf *out)
{
	struct keyset k = {.version = version, .iat = wall_ms(f) / 1000};

	k.feed = keys_of(f->feed);
	k.token = keys_of(f->token);
	assert_int_equal(keyset_sign(by, f->url, &k, out), ERR_OK);
	jwks_free(&k.feed);
	jwks_free(&k.token);
}

static void
beat_now(struct feedd *f, struct buf *out)
{
	struct heartbeat h = {head(f), f->floor, wall_ms(f)};

	sign_beat(f, &h, f->feed, out);
}

/* ---- the stream ---- */

static void
frame(struct buf *out, uint64_t id, const char *event, const char *data)
{
	assert_int_equal(buf_fmt(out, "id: %llu\nevent: %s\ndata: ",
	    (unsigned long long)id, event), ERR_OK);
	assert_int_equal(buf_str(out, data), ERR_OK);
	assert_int_equal(buf_str(out, "\n\n"), ERR_OK);
}

static void
say(struct feedd *f, const char *event, const char *data)
{
	struct buf b = {.max = 1 << 20};

	assert_true(f->messages < MESSAGES);
	frame(&b, head(f), event, data);
	f->message[f->messages++] = b.p;
	pthread_cond_broadcast(&f->said);
}

static ssize_t
more(void *arg, uint64_t pos, char *to, size_t max)
{
	struct listener *l = arg;
	struct feedd *f = l->f;
	const char *m;
	ssize_t n;

	(void)pos;
	pthread_mutex_lock(&f->lock);
	while (l->own_at >= l->own.len && l->at >= f->messages &&
	    l->generation == f->generation && !f->stopping)
		pthread_cond_wait(&f->said, &f->lock);
	if (l->generation != f->generation || f->stopping)
		n = MHD_CONTENT_READER_END_OF_STREAM;
	else if (l->own_at < l->own.len) {
		n = (ssize_t)(l->own.len - l->own_at < max ?
		    l->own.len - l->own_at : max);
		memcpy(to, l->own.p + l->own_at, (size_t)n);
		l->own_at += (size_t)n;
	} else {
		m = f->message[l->at] + l->offset;
		n = (ssize_t)(strlen(m) < max ? strlen(m) : max);
		memcpy(to, m, (size_t)n);
		l->offset += (size_t)n;
		if (f->message[l->at][l->offset] == '\0') {
			l->at++;
			l->offset = 0;
		}
	}
	pthread_mutex_unlock(&f->lock);
	return (n);
}

static void
listener_free(void *arg)
{
	struct listener *l = arg;

	buf_free(&l->own);
	free(l);
}

/* Key set, what came after, a heartbeat. */
static struct listener *
listener_new(struct feedd *f, uint64_t after)
{
	struct listener *l = calloc(1, sizeof(*l));
	struct buf text = {.max = SET_MAX};

	l->f = f;
	l->generation = f->generation;
	l->at = f->messages;
	l->own.max = 8 << 20;
	sign_keys(f, f->version, f->root, &text);
	frame(&l->own, after, "keys", text.p);
	for (uint64_t from = after + 1 < FIRST ? FIRST : after + 1;
	    from <= head(f); from += SET_EVENTS_MAX) {
		uint64_t last = from + SET_EVENTS_MAX - 1;

		buf_reset(&text);
		if (last > head(f))
			last = head(f);
		sign_set(f, from, last, f->feed, &text);
		frame(&l->own, last, "revocations", text.p);
	}
	if (f->beating) {
		buf_reset(&text);
		beat_now(f, &text);
		frame(&l->own, head(f), "heartbeat", text.p);
	}
	buf_free(&text);
	return (l);
}

static struct MHD_Response *
answer_stream(struct feedd *f, struct MHD_Connection *c, uint64_t after)
{
	struct MHD_Response *r;
	const char *seen;

	f->stream_requests++;
	seen = MHD_lookup_connection_value(c, MHD_HEADER_KIND,
	    "Fealty-Seen");
	if (seen != NULL)
		snprintf(f->receipt.seen, sizeof(f->receipt.seen), "%s",
		    seen);
	r = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 65536, more,
	    listener_new(f, after), listener_free);
	MHD_add_response_header(r, "Content-Type", "text/event-stream");
	return (r);
}

/* ---- questions ---- */

static void
answer_page(struct feedd *f, uint64_t after, struct buf *out)
{
	struct buf set = {.max = SET_MAX}, beat = {.max = 4096};
	uint64_t first = after + 1 < FIRST ? FIRST : after + 1, last;

	last = head(f) - after > SET_EVENTS_MAX ? after + SET_EVENTS_MAX :
	    head(f);
	if (first <= last)
		sign_set(f, first, last, f->feed, &set);
	if (f->beating)
		beat_now(f, &beat);
	assert_int_equal(buf_fmt(out, "{\"events\":[],\"head\":%llu,"
	    "\"floor\":%llu,\"time\":1,\"set\":",
	    (unsigned long long)head(f), (unsigned long long)f->floor),
	    ERR_OK);
	assert_int_equal(set.len > 0 ? buf_fmt(out, "\"%s\"", set.p) :
	    buf_str(out, "null"), ERR_OK);
	assert_int_equal(beat.len > 0 ? buf_fmt(out,
	    ",\"heartbeat\":\"%s\"}", beat.p) :
	    buf_str(out, ",\"heartbeat\":null}"), ERR_OK);
	buf_free(&set);
	buf_free(&beat);
}

/* All events above the floor, and blocks: 100 in a part. */
static void
answer_snapshot(struct feedd *f, struct buf *out)
{
	struct snapshot_part p = {.head = head(f), .floor = f->floor};
	struct buf text = {.max = SET_MAX};
	struct event *live = calloc(f->n + 1, sizeof(*live));
	size_t n = 0;

	for (size_t i = 0; i < f->n; i++)
		if (f->events[i].pos > f->floor ||
		    f->events[i].effect == EFFECT_BLOCK)
			live[n++] = f->events[i];
	p.parts = (uint32_t)(n / 100 + 1);
	f->snapshot_requests++;
	if (f->no_snapshots) {
		free(live);
		assert_int_equal(buf_str(out, "{}"), ERR_OK);
		return;
	}
	assert_int_equal(buf_fmt(out, "{\"head\":%llu,\"floor\":%llu,"
	    "\"parts\":[", (unsigned long long)p.head,
	    (unsigned long long)p.floor), ERR_OK);
	for (p.part = 1; p.part <= p.parts; p.part++) {
		p.events = live + (p.part - 1) * 100;
		p.n = p.part < p.parts ? 100 : n % 100;
		buf_reset(&text);
		assert_int_equal(snapshot_sign(f->feed, f->url,
		    wall_ms(f) / 1000, &p, &text), ERR_OK);
		assert_int_equal(buf_fmt(out, "%s\"%s\"",
		    p.part > 1 ? "," : "", text.p), ERR_OK);
	}
	assert_int_equal(buf_str(out, "]}"), ERR_OK);
	buf_free(&text);
	free(live);
}

static enum err
take_receipt(struct feedd *f, const struct buf *body)
{
	struct feedd_receipt *r = &f->receipt;
	uint64_t closed = 0, took = 0;
	char kind[16] = "";
	struct jin in;

	if (f->refusal != ERR_OK) {
		f->refused++;
		return (f->refusal);
	}
	jin_open(&in, body->p, body->len, NULL);
	jin_str(&in, "instance", r->instance, sizeof(r->instance));
	jin_u64(&in, "position", NUMBER_MAX, &r->position);
	jin_str(&in, "enforced", kind, sizeof(kind));
	jin_u64(&in, "closed", NUMBER_MAX, &closed);
	jin_u64(&in, "took_us", NUMBER_MAX, &took);
	assert_int_equal(jin_done(&in), ERR_OK);
	r->sessions = strcmp(kind, "sessions") == 0;
	r->closed += closed;
	r->took_us = (int64_t)took;
	r->at_us = now_us();
	r->n++;
	return (ERR_OK);
}

static enum err
answer(struct feedd *f, const char *path, uint64_t after,
    const struct buf *body, struct buf *out)
{
	struct identity_keys k = {.audience = FEED_AUDIENCE,
	    .tenant = FEED_TENANT, .n = 1, .kid = {3}};
	struct buf text = {.max = 65536};

	if (f->down)
		return (ERR_NOT_READY);
	if (strcmp(path, "/v1/receipts") == 0)
		return (take_receipt(f, body));
	if (strcmp(path, "/v1/audiences/" FEED_AUDIENCE "/identity-keys") ==
	    0)
		return (wire_identity_keys_encode(&k, out));
	if (strcmp(path, "/v1/revocations/snapshot") == 0)
		answer_snapshot(f, out);
	else if (strcmp(path, "/v1/revocations") == 0) {
		if (after > head(f))
			return (ERR_BACKWARDS);
		answer_page(f, after, out);
	} else if (strcmp(path, "/.well-known/fealty-keys") == 0) {
		sign_keys(f, f->version, f->root, &text);
		assert_int_equal(buf_fmt(out, "{\"keys\":\"%s\"}", text.p),
		    ERR_OK);
		buf_free(&text);
	} else
		return (ERR_NOT_FOUND);
	return (ERR_OK);
}

static struct MHD_Response *
respond(struct feedd *f, struct MHD_Connection *c, const char *path,
    const struct buf *body, unsigned *status)
{
	struct buf out = {.max = 8 << 20};
	const char *after, *accept;
	struct MHD_Response *r;
	uint64_t from;
	enum err e;

	after = MHD_lookup_connection_value(c, MHD_GET_ARGUMENT_KIND,
	    "after");
	accept = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Accept");
	from = after != NULL ? strtoull(after, NULL, 10) : 0;
	*status = 200;
	if (strcmp(path, "/v1/revocations") == 0 && accept != NULL &&
	    strcmp(accept, "text/event-stream") == 0 && f->streams &&
	    !f->down && from <= head(f))
		return (answer_stream(f, c, from));
	e = answer(f, path, from, body, &out);
	if (e == ERR_OK && accept != NULL && !f->streams &&
	    strcmp(accept, "text/event-stream") == 0)
		e = ERR_NOT_FOUND;
	if (e != ERR_OK) {
		*status = (unsigned)err_status(e);
		buf_reset(&out);
		assert_int_equal(wire_problem_encode(e, NULL, "0", &out),
		    ERR_OK);
	}
	r = MHD_create_response_from_buffer(out.len, out.p,
	    MHD_RESPMEM_MUST_COPY);
	buf_free(&out);
	return (r);
}

static enum MHD_Result
handler(void *arg, struct MHD_Connection *c, const char *path,
    const char *method, const char *version, const char *data, size_t *size,
    void **state)
{
	struct buf *body = *state;
	struct MHD_Response *r;
	struct feedd *f = arg;
	enum MHD_Result sent;
	unsigned status;

	(void)method;
	(void)version;
	if (body == NULL) {
		body = calloc(1, sizeof(*body));
		body->max = 65536;
		*state = body;
		return (MHD_YES);
	}
	if (*size > 0) {
		assert_int_equal(buf_add(body, data, *size), ERR_OK);
		*size = 0;
		return (MHD_YES);
	}
	pthread_mutex_lock(&f->lock);
	r = respond(f, c, path, body, &status);
	pthread_mutex_unlock(&f->lock);
	sent = MHD_queue_response(c, status, r);
	MHD_destroy_response(r);
	return (sent);
}

static void
completed(void *arg, struct MHD_Connection *c, void **state,
    enum MHD_RequestTerminationCode how)
{
	(void)arg;
	(void)c;
	(void)how;
	if (*state != NULL)
		buf_free(*state);
	free(*state);
	*state = NULL;
}

static void *
tick(void *arg)
{
	struct timespec ts = {.tv_nsec = 50000000};
	struct buf text = {.max = 4096};
	struct feedd *f = arg;
	int go = 1;

	while (go) {
		nanosleep(&ts, NULL);
		pthread_mutex_lock(&f->lock);
		if (f->beating && !f->down) {
			buf_reset(&text);
			beat_now(f, &text);
			say(f, "heartbeat", text.p);
		}
		go = !f->stopping;
		pthread_mutex_unlock(&f->lock);
	}
	buf_free(&text);
	return (NULL);
}

static void
write_enrolment(struct feedd *f)
{
	struct es256_public pub;
	char x[48], y[48];
	FILE *file;
	int fd;

	signer_public(f->root, &pub);
	b64url_encode(pub.x, 32, x);
	b64url_encode(pub.y, 32, y);
	snprintf(f->enrolment, sizeof(f->enrolment), "%s",
	    "/tmp/fealty-test-XXXXXX");
	fd = mkstemp(f->enrolment);
	assert_true(fd >= 0);
	file = fdopen(fd, "w");
	fprintf(file, "{\"issuer\":\"%s\",\"urls\":[\"%s\"],"
	    "\"gateway\":\"gateway-1\",\"audiences\":[\"%s\"],"
	    "\"credential\":\"fc_0123456789012345678901234567890123456789012"
	    "\",\"root\":{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"%s\","
	    "\"y\":\"%s\"}}\n", f->url, f->url, FEED_AUDIENCE, x, y);
	fclose(file);
}

struct feedd *
feedd_start(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET};
	struct feedd *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->said, NULL);
	f->version = 1;
	f->beating = f->streams = 1;
	assert_int_equal(signer_generate(&f->root), ERR_OK);
	assert_int_equal(signer_generate(&f->feed), ERR_OK);
	assert_int_equal(signer_generate(&f->token), ERR_OK);
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	f->http = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD |
	    MHD_USE_THREAD_PER_CONNECTION, 0, NULL, NULL, handler, f,
	    MHD_OPTION_SOCK_ADDR, (struct sockaddr *)&at,
	    MHD_OPTION_NOTIFY_COMPLETED, completed, NULL, MHD_OPTION_END);
	assert_non_null(f->http);
	snprintf(f->url, sizeof(f->url), "http://127.0.0.1:%u",
	    (unsigned)MHD_get_daemon_info(f->http,
	    MHD_DAEMON_INFO_BIND_PORT)->port);
	write_enrolment(f);
	assert_int_equal(pthread_create(&f->ticker, NULL, tick, f), 0);
	return (f);
}

void
feedd_stop(struct feedd **fp)
{
	struct feedd *f = *fp;

	pthread_mutex_lock(&f->lock);
	f->stopping = 1;
	pthread_cond_broadcast(&f->said);
	pthread_mutex_unlock(&f->lock);
	pthread_join(f->ticker, NULL);
	MHD_stop_daemon(f->http);
	unlink(f->enrolment);
	for (size_t i = 0; i < f->messages; i++)
		free(f->message[i]);
	signer_free(&f->root);
	signer_free(&f->feed);
	signer_free(&f->token);
	pthread_cond_destroy(&f->said);
	pthread_mutex_destroy(&f->lock);
	free(f);
	*fp = NULL;
}

struct fealty_options
feedd_options(struct feedd *f)
{
	struct fealty_options o = FEALTY_OPTIONS_INIT;

	o.enrolment_file = f->enrolment;
	o.poll_ms = 20;
	return (o);
}

const char *
feedd_enrolment(const struct feedd *f)
{
	return (f->enrolment);
}

uint64_t
feedd_quiet_event(struct feedd *f, enum event_kind kind, uint64_t id,
    enum event_effect effect)
{
	struct event *e;
	uint64_t pos;

	pthread_mutex_lock(&f->lock);
	assert_true(f->n < EVENTS);
	e = &f->events[f->n];
	memset(e, 0, sizeof(*e));
	e->pos = pos = FIRST + f->n++;
	e->kind = kind;
	e->effect = effect;
	e->at = wall_ms(f) / 1000;
	snprintf(e->id, sizeof(e->id), "%llu", (unsigned long long)id);
	pthread_mutex_unlock(&f->lock);
	return (pos);
}

uint64_t
feedd_event(struct feedd *f, enum event_kind kind, uint64_t id,
    enum event_effect effect)
{
	uint64_t pos = feedd_quiet_event(f, kind, id, effect);
	struct buf text = {.max = SET_MAX};

	feedd_set(f, pos, pos, NULL, &text);
	feedd_say(f, "revocations", text.p);
	buf_free(&text);
	return (pos);
}

#define LOCKED(f, what) \
	do { \
		pthread_mutex_lock(&(f)->lock); \
		what; \
		pthread_mutex_unlock(&(f)->lock); \
	} while (0)

uint64_t
feedd_head(struct feedd *f)
{
	uint64_t h;

	LOCKED(f, h = head(f));
	return (h);
}

void
feedd_set(struct feedd *f, uint64_t first, uint64_t last,
    const struct signer *by, struct buf *out)
{
	LOCKED(f, sign_set(f, first, last, by != NULL ? by : f->feed, out));
}

void
feedd_beat(struct feedd *f, uint64_t at, uint64_t floor, int64_t time_ms,
    const struct signer *by, struct buf *out)
{
	struct heartbeat h = {at, floor, time_ms};

	LOCKED(f, sign_beat(f, &h, by != NULL ? by : f->feed, out));
}

void
feedd_keyset(struct feedd *f, uint64_t version, const struct signer *by,
    struct buf *out)
{
	LOCKED(f, sign_keys(f, version, by != NULL ? by : f->root, out));
}

void
feedd_say(struct feedd *f, const char *event, const char *data)
{
	LOCKED(f, say(f, event, data));
}

const struct signer *
feedd_feed_key(struct feedd *f)
{
	return (f->feed);
}

void
feedd_new_feed_key(struct feedd *f)
{
	struct buf text = {.max = 65536};

	pthread_mutex_lock(&f->lock);
	signer_free(&f->feed);
	assert_int_equal(signer_generate(&f->feed), ERR_OK);
	sign_keys(f, ++f->version, f->root, &text);
	say(f, "keys", text.p);
	pthread_mutex_unlock(&f->lock);
	buf_free(&text);
}

void
feedd_beating(struct feedd *f, int on)
{
	LOCKED(f, f->beating = on);
}

void
feedd_floor(struct feedd *f, uint64_t floor)
{
	LOCKED(f, f->floor = floor);
}

void
feedd_clock_off(struct feedd *f, int64_t ms)
{
	LOCKED(f, f->off_ms = ms);
}

void
feedd_streams(struct feedd *f, int on)
{
	LOCKED(f, f->streams = on);
	feedd_end_streams(f);
}

void
feedd_snapshots(struct feedd *f, int on)
{
	LOCKED(f, f->no_snapshots = !on);
}

void
feedd_down(struct feedd *f, int down)
{
	LOCKED(f, f->down = down);
	feedd_end_streams(f);
}

void
feedd_end_streams(struct feedd *f)
{
	LOCKED(f, f->generation++; pthread_cond_broadcast(&f->said));
}

unsigned
feedd_stream_requests(struct feedd *f)
{
	unsigned n;

	LOCKED(f, n = f->stream_requests);
	return (n);
}

unsigned
feedd_snapshot_requests(struct feedd *f)
{
	unsigned n;

	LOCKED(f, n = f->snapshot_requests);
	return (n);
}

void
feedd_receipt(struct feedd *f, struct feedd_receipt *out)
{
	LOCKED(f, *out = f->receipt);
}

void
feedd_refuse_receipts(struct feedd *f, enum err e)
{
	LOCKED(f, f->refusal = e);
}

unsigned
feedd_refused_receipts(struct feedd *f)
{
	unsigned n;

	LOCKED(f, n = f->refused);
	return (n);
}

void
feedd_token(struct feedd *f, uint64_t dn, uint64_t pos, char *out,
    size_t size)
{
	struct token_claims c = {.naud = 1, .tid = FEED_TENANT, .dn = dn,
	    .ep = 1, .ngrp = 1, .pos = pos};
	struct buf b = {.max = TOKEN_MAX};
	unsigned char octets[16];

	snprintf(c.iss, sizeof(c.iss), "%s", f->url);
	snprintf(c.sub, sizeof(c.sub), "dev-%d", (int)dn);
	snprintf(c.aud[0], sizeof(c.aud[0]), "%s", FEED_AUDIENCE);
	snprintf(c.scope, sizeof(c.scope), "device");
	c.iat = time(NULL);
	c.exp = c.iat + TOKEN_LIFE;
	c.grp[0] = (uint32_t)dn + 10;
	assert_int_equal(random_bytes(octets, sizeof(octets)), ERR_OK);
	b64url_encode(octets, sizeof(octets), c.jti);
	LOCKED(f, assert_int_equal(token_sign(f->token, &c, &b), ERR_OK));
	snprintf(out, size, "%s", b.p);
	buf_free(&b);
}
