#include <sys/socket.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "bench/sim_gw.h"
#include "bench/stats.h"
#include "lib/base/file.h"
#include "lib/base/parse.h"
#include "lib/jose/jwk.h"

/* One simulated gateway: what libfealty-gateway does, without its threads. */

static int
say(const char *what, const char *detail)
{
	fprintf(stderr, "simulated gateway: %s: %s\n", what, detail);
	return -1;
}

/* ---- the session and the receipt ---- */

static void
session_close(struct gw *g)
{
	int i;

	for (i = 0; i < 2; i++) {
		if (g->session[i] >= 0)
			(void)close(g->session[i]);
		g->session[i] = -1;
	}
}

static int
session_open(struct gw *g)
{
	if (g->session[0] >= 0)
		return 0;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, g->session) !=
	    0) {
		g->session[0] = g->session[1] = -1;
		return say("session", strerror(errno));
	}
	g->device = atomic_load(&g->sim->device);
	g->session_pos = revset_position(g->set);
	return 0;
}

/* 1: it was named, and is closed now. */
static int
session_judge(struct gw *g)
{
	const struct claim c = {
	    .dn = g->device, .epoch = 1, .pos = g->session_pos};
	enum err e;

	if (g->session[0] < 0)
		return 0;
	e = revset_check(g->set, &c, NULL);
	if (e == ERR_OK || e == ERR_AHEAD)
		return 0;
	session_close(g);
	return 1;
}

static void
latest(_Atomic int64_t *of, int64_t us)
{
	int64_t was = atomic_load(of);

	while (was < us && !atomic_compare_exchange_weak(of, &was, us))
		;
}

static int
receipt_write(struct gw *g)
{
	ssize_t n;

	while (g->out_sent < g->out_len) {
		n = send(g->receipt.fd, g->out + g->out_sent,
		    g->out_len - g->out_sent, MSG_NOSIGNAL);
		if (n < 0)
			return errno == EAGAIN
				   ? 0
				   : say("receipt", strerror(errno));
		g->out_sent += (size_t)n;
		if (g->out_sent == g->out_len)
			latest(&g->sim->sent_us, now_us());
	}
	return 0;
}

static int
receipt_send(struct gw *g, int closed, int64_t took_us)
{
	char body[256];
	int n, len;

	if (g->out_len != 0)
		return say("receipt", "the last one was not answered");
	len = snprintf(body, sizeof(body),
	    "{\"instance\":\"bench\",\"position\":%llu,"
	    "\"enforced\":\"sessions\",\"closed\":%d,\"took_us\":%lld}",
	    (unsigned long long)revset_position(g->set), closed,
	    (long long)took_us);
	n = snprintf(g->out, sizeof(g->out),
	    "POST /v1/receipts HTTP/1.1\r\nHost: bench\r\n"
	    "Authorization: Bearer %.*s\r\nContent-Type: application/json\r\n"
	    "Content-Length: %d\r\n\r\n%s",
	    (int)g->credential.len, (const char *)g->credential.p, len, body);
	if (n < 0 || (size_t)n >= sizeof(g->out))
		return say("receipt", "too long");
	g->out_len = (size_t)n;
	g->out_sent = g->in_len = 0;
	return receipt_write(g);
}

/* An answer of 204 has no body: the head is all of it. */
static int
receipt_read(struct gw *g)
{
	ssize_t n;

	n = recv(
	    g->receipt.fd, g->in + g->in_len, sizeof(g->in) - 1 - g->in_len, 0);
	if (n < 0 && errno == EAGAIN)
		return 0;
	if (n <= 0)
		return say("receipt", "connection lost");
	g->in_len += (size_t)n;
	g->in[g->in_len] = '\0';
	if (strstr(g->in, "\r\n\r\n") == NULL)
		return g->in_len + 1 < sizeof(g->in) ? 0 : say("receipt", "?");
	if (strncmp(g->in, "HTTP/1.1 204", 12) != 0)
		return say("receipt refused", g->in);
	g->out_len = 0;
	latest(&g->sim->kept_us, now_us());
	sim_moved(g->sim, atomic_fetch_add(&g->sim->kept, 1) + 1 ==
			      g->sim->conf.gateways);
	return 0;
}

/* ---- the feed ---- */

static enum err
on_run(struct gw *g, const struct sse_message *m, struct detail *d)
{
	uint64_t pos = revset_position(g->set);
	int64_t heard_us = now_us();
	struct set_run r = {.n = 0};
	int closed = 0;
	enum err e;

	if (g->keys == NULL)
		return ERR_NOT_READY;
	e = set_verify(g->keys, g->issuer, m->data, m->len, &r, d);
	if (e == ERR_OK && (r.after > pos || r.events[0].pos <= pos))
		e = ERR_AHEAD; /* not what follows */
	if (e == ERR_OK)
		e = revset_apply(g->set, r.events, r.n);
	if (e == ERR_OK) {
		closed = session_judge(g);
		atomic_fetch_add(&g->sim->closed, (size_t)closed);
	}
	if (e == ERR_OK && receipt_send(g, closed, now_us() - heard_us) != 0)
		e = ERR_NETWORK;
	/* The device is back: so is its session. */
	if (e == ERR_OK && r.events[r.n - 1].effect == EFFECT_LIFT &&
	    session_open(g) != 0)
		e = ERR_INTERNAL;
	set_run_free(&r);
	return e;
}

static enum err
on_beat(struct gw *g, const struct sse_message *m, struct detail *d)
{
	struct heartbeat h;
	enum err e;

	if (g->keys == NULL)
		return ERR_NOT_READY;
	e = heartbeat_verify(g->keys, g->issuer, m->data, m->len, &h, d);
	if (e != ERR_OK || g->ready)
		return e;
	/* It begins behind the head: nothing of the past is missed. */
	revset_advance(g->set, h.head, h.floor);
	g->ready = 1;
	if (session_open(g) != 0)
		return ERR_INTERNAL;
	sim_moved(g->sim, atomic_fetch_add(&g->sim->ready, 1) + 1 ==
			      g->sim->conf.gateways);
	return ERR_OK;
}

static enum err
on_keys(struct gw *g, const struct sse_message *m, struct detail *d)
{
	struct keyset k = {.version = 0};
	enum err e;

	e = keyset_verify(g->root, g->issuer, m->data, m->len, &k, d);
	if (e != ERR_OK)
		return e;
	jwks_free(&g->keys);
	g->keys = k.feed;
	k.feed = NULL;
	keyset_free(&k);
	return ERR_OK;
}

static enum err
on_message(void *arg, const struct sse_message *m)
{
	struct detail d = {""};
	struct gw *g = arg;
	enum err e = ERR_OK;

	if (strcmp(m->event, "revocations") == 0)
		e = on_run(g, m, &d);
	else if (strcmp(m->event, "heartbeat") == 0)
		e = on_beat(g, m, &d);
	else if (strcmp(m->event, "keys") == 0)
		e = on_keys(g, m, &d);
	else if (strcmp(m->event, "bye") == 0)
		e = ERR_NOT_READY;
	if (e != ERR_OK)
		(void)say(err_code(e), d.text);
	return e;
}

/* 1: a whole line (without its end) is in g->line; 0: not yet. */
static int
take_line(struct gw *g, const char **p, const char *end)
{
	char c;

	while (*p < end) {
		c = *(*p)++;
		if (c == '\n') {
			if (g->line_len > 0 && g->line[g->line_len - 1] == '\r')
				g->line_len--;
			g->line[g->line_len] = '\0';
			g->line_len = 0;
			return 1;
		}
		if (g->line_len + 1 >= sizeof(g->line))
			return -1;
		g->line[g->line_len++] = c;
	}
	return 0;
}

static int
take_word(struct gw *g)
{
	if (g->chunk == CHUNK_HEAD) {
		if (strncmp(g->line, "HTTP/1.1 ", 9) == 0 &&
		    strncmp(g->line, "HTTP/1.1 200", 12) != 0)
			return say("stream refused", g->line);
		if (g->line[0] == '\0')
			g->chunk = CHUNK_SIZE;
	} else if (g->chunk == CHUNK_SIZE) {
		g->left = strtoul(g->line, NULL, 16);
		if (g->left == 0)
			return say("stream", "ended");
		g->chunk = CHUNK_DATA;
	} else
		g->chunk = CHUNK_SIZE;
	return 0;
}

static int
dechunk(struct gw *g, const char *p, const char *end)
{
	size_t n;
	int r;

	while (p < end) {
		if (g->chunk != CHUNK_DATA) {
			r = take_line(g, &p, end);
			if (r < 0 || (r == 1 && take_word(g) != 0))
				return -1;
			continue;
		}
		n = (size_t)(end - p) < g->left ? (size_t)(end - p) : g->left;
		if (sse_feed(&g->sse, p, n) != ERR_OK)
			return -1;
		p += n;
		g->left -= n;
		if (g->left == 0)
			g->chunk = CHUNK_CRLF;
	}
	return 0;
}

int
gw_step(struct end *e)
{
	char in[16384];
	ssize_t n;

	if (e->side == SIDE_RECEIPT)
		return receipt_write(e->gw) != 0 ? -1 : receipt_read(e->gw);
	n = recv(e->fd, in, sizeof(in), 0);
	if (n < 0 && errno == EAGAIN)
		return 0;
	if (n <= 0)
		return say("stream", "connection lost");
	return dechunk(e->gw, in, in + n);
}

/* ---- opening ---- */

static int
dial(const struct sim_conf *c)
{
	struct sockaddr_in sin = {
	    .sin_family = AF_INET, .sin_port = htons((uint16_t)c->port)};
	int fd, one = 1;

	if (inet_pton(AF_INET, c->host, &sin.sin_addr) != 1)
		return say("host", c->host);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return say("socket", strerror(errno));
	if (connect(fd, (const struct sockaddr *)&sin, sizeof(sin)) != 0) {
		(void)close(fd);
		return say("connect", strerror(errno));
	}
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

static int
enrol(struct gw *g, size_t number)
{
	struct secret file = {0};
	struct es256_public pub;
	const char *s;
	char path[512];
	json_t *o;
	int rc = -1;

	(void)snprintf(path, sizeof(path), "%s/%zu", g->sim->conf.enrolments,
	    number);
	if (file_read_secret(path, 16384, &file) != ERR_OK)
		return say("no enrolment", path);
	o = json_loadb((const char *)file.p, file.len, 0, NULL);
	s = json_string_value(json_object_get(o, "issuer"));
	if (s != NULL && copy_str(g->issuer, sizeof(g->issuer), s) == ERR_OK) {
		s = json_string_value(json_object_get(o, "credential"));
		if (s != NULL &&
		    secret_set(&g->credential, s, strlen(s)) == ERR_OK &&
		    jwk_point(json_object_get(o, "root"), &pub) == ERR_OK &&
		    verifier_new(&pub, &g->root) == ERR_OK)
			rc = 0;
	}
	json_decref(o);
	secret_free(&file);
	return rc == 0 ? 0 : say("not an enrolment", path);
}

static int
ask_stream(struct gw *g)
{
	char out[1024];
	int n;

	n = snprintf(out, sizeof(out),
	    "GET /v1/revocations HTTP/1.1\r\nHost: bench\r\n"
	    "Accept: text/event-stream\r\nAuthorization: Bearer %.*s\r\n\r\n",
	    (int)g->credential.len, (const char *)g->credential.p);
	if (send(g->feed.fd, out, (size_t)n, MSG_NOSIGNAL) != n)
		return say("stream", strerror(errno));
	return fcntl(g->feed.fd, F_SETFL, O_NONBLOCK);
}

int
gw_open(struct gw *g, struct sim *s, size_t number)
{
	g->sim = s;
	g->feed = (struct end){g, SIDE_FEED, -1};
	g->receipt = (struct end){g, SIDE_RECEIPT, -1};
	g->session[0] = g->session[1] = -1;
	sse_init(&g->sse, SET_MAX, on_message, g);
	if (enrol(g, number) != 0)
		return -1;
	if (revset_new(1, &g->set) != ERR_OK)
		return say("set", "no memory");
	g->feed.fd = dial(&s->conf);
	g->receipt.fd = dial(&s->conf);
	if (g->feed.fd == -1 || g->receipt.fd == -1 ||
	    fcntl(g->receipt.fd, F_SETFL, O_NONBLOCK) != 0)
		return -1;
	return ask_stream(g);
}

void
gw_close(struct gw *g)
{
	if (g->sim == NULL)
		return;
	session_close(g);
	if (g->feed.fd >= 0)
		(void)close(g->feed.fd);
	if (g->receipt.fd >= 0)
		(void)close(g->receipt.fd);
	sse_free(&g->sse);
	jwks_free(&g->keys);
	verifier_free(&g->root);
	revset_free(&g->set);
	secret_free(&g->credential);
}
