/*
 * A small gateway on libfealty-gateway: devices connect over TLS with their
 * pre-shared key, show a token, and are cut off when they are revoked.
 *
 *	device: TOKEN <jwt>	gateway: OK device=… scope=…
 *				     or: REFUSED <code> <reason>
 *	device: PING		gateway: PONG
 *				gateway: CLOSED <code>, when revoked
 *
 * It uses the public interface alone (fealty/gateway.h). A thread of the
 * library does the handshake; then each session has a thread of its own.
 */
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>
#include <openssl/ssl.h>
#include <fealty/gateway.h>
#include "examples/listen.h"

#define HANDSHAKE_MS 5000
#define IDLE_MS 300000
#define WRITE_MS 5000
#define FULL_MS 100
#define SESSIONS_MAX 512
#define LINE_MAX_LEN 5000

struct server {
	struct fealty_gateway *gateway;
	SSL_CTX *ctx;
	pthread_mutex_t lock;
	pthread_cond_t gone;
	int sessions;	/* and handshakes */
	int stop;	/* eventfd: readable for ever when stopping */
};
struct session {
	struct server *server;
	SSL *ssl;
	struct fealty_device device;
	struct fealty_session *registered;
	int cut; /* eventfd: an event named the device */
	char code[FEALTY_CODE];
	char line[LINE_MAX_LEN + 1];
	size_t len;
};

static void
say(const char *fmt, ...)
{
	char line[1024];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line) - 1, fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	if ((size_t)n > sizeof(line) - 2)
		n = sizeof(line) - 2;
	line[n++] = '\n';
	if (write(STDERR_FILENO, line, (size_t)n) < 0)
		return;
}

static void
log_entry(void *arg, const struct fealty_log *e)
{
	char device[FEALTY_NAME + 8];

	if (e->device_id[0] != '\0')
		snprintf(device, sizeof(device), "%s", e->device_id);
	else if (e->device_number != 0)
		snprintf(device, sizeof(device), "number:%llu",
		    (unsigned long long)e->device_number);
	else
		snprintf(device, sizeof(device), "-");
	say("%s device=%s code=%s source=%s position=%llu reason=\"%s\"",
	    e->event, device, e->code,
	    e->source[0] != '\0' ? e->source : "-",
	    (unsigned long long)e->position, e->reason);
}

static void
wake(int fd)
{
	uint64_t one = 1;

	if (write(fd, &one, sizeof(one)) < 0)
		return; /* full: it is readable already */
}

/* ---- a session ------------------------------------------------------ */

/* Called by the library when an event names the device: only a signal. */
static void
close_session(void *arg, const char *code, uint64_t position)
{
	struct session *s = arg;

	snprintf(s->code, sizeof(s->code), "%s", code);
	wake(s->cut);
}

/* A revoked device that does not read must not hold up its own end. */
static bool
wait_for(struct session *s, int want)
{
	struct pollfd p[2] = {
		{.fd = SSL_get_fd(s->ssl),
		    .events = want == SSL_ERROR_WANT_WRITE ? POLLOUT : POLLIN},
		{.fd = s->cut, .events = POLLIN},
	};

	return (poll(p, 2, WRITE_MS) > 0 && p[1].revents == 0);
}

/* 1 once the session has to end: its device was cut, or we stop. */
static bool
is_over(const struct session *s)
{
	struct pollfd p[2] = {
		{.fd = s->cut, .events = POLLIN},
		{.fd = s->server->stop, .events = POLLIN},
	};

	return (poll(p, 2, 0) != 0);
}

static bool
answer(struct session *s, const char *fmt, ...)
{
	char text[1024];
	va_list ap;
	int n, r, want;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(text))
		return (false);
	while ((r = SSL_write(s->ssl, text, n)) <= 0) {
		want = SSL_get_error(s->ssl, r);
		if (want != SSL_ERROR_WANT_WRITE &&
		    want != SSL_ERROR_WANT_READ)
			return (false);
		if (!wait_for(s, want))
			return (false);
	}
	return (true);
}

static bool
take_token(struct session *s, const char *token)
{
	struct fealty_decision d;

	fealty_token_check(s->server->gateway, token, strlen(token),
	    &s->device, 500, &d);
	say("token %s device=%s code=%s reason=\"%s\"",
	    d.accepted ? "accepted" : "refused", s->device.device_id, d.code,
	    d.reason);
	if (d.accepted)
		return (answer(s, "OK device=%s scope=%s\n",
		    d.device.device_id, d.scope));
	return (answer(s, "REFUSED %s %s\n", d.code, d.reason));
}

static bool
take_line(struct session *s, char *line)
{
	if (strncmp(line, "TOKEN ", 6) == 0)
		return (take_token(s, line + 6));
	if (strcmp(line, "PING") == 0)
		return (answer(s, "PONG\n"));
	return (answer(s, "REFUSED invalid_request say TOKEN or PING\n"));
}

static bool
take_lines(struct session *s)
{
	char *end;

	while (!is_over(s) &&
	    (end = memchr(s->line, '\n', s->len)) != NULL) {
		size_t n = (size_t)(end - s->line) + 1;

		*end = '\0';
		if (n > 1 && end[-1] == '\r')
			end[-1] = '\0';
		if (!take_line(s, s->line))
			return (false);
		memmove(s->line, s->line + n, s->len - n);
		s->len -= n;
	}
	return (s->len < LINE_MAX_LEN);
}

static bool
take_input(struct session *s)
{
	int r, want;

	/* one that never stops talking is cut off like the others */
	while (!is_over(s)) {
		r = SSL_read(s->ssl, s->line + s->len,
		    (int)(LINE_MAX_LEN - s->len));
		if (r <= 0) {
			want = SSL_get_error(s->ssl, r);
			return (want == SSL_ERROR_WANT_READ ||
			    want == SSL_ERROR_WANT_WRITE);
		}
		s->len += (size_t)r;
		if (!take_lines(s))
			return (false);
	}
	return (true);
}

static void
serve(struct session *s)
{
	struct pollfd p[3] = {
		{.fd = SSL_get_fd(s->ssl), .events = POLLIN},
		{.fd = s->cut, .events = POLLIN},
		{.fd = s->server->stop, .events = POLLIN},
	};

	while (take_input(s)) {
		if (poll(p, 3, IDLE_MS) <= 0 || p[2].revents != 0)
			return;
		if (p[1].revents != 0) {
			say("session closed device=%s code=%s",
			    s->device.device_id, s->code);
			(void)answer(s, "CLOSED %s\n", s->code);
			return;
		}
	}
}

static void
hang_up(SSL *ssl)
{
	int fd = SSL_get_fd(ssl);

	SSL_free(ssl);
	close(fd);
}

static void
count_out(struct server *v)
{
	pthread_mutex_lock(&v->lock);
	v->sessions--;
	pthread_cond_broadcast(&v->gone);
	pthread_mutex_unlock(&v->lock);
}

static void
release(struct server *v, SSL *ssl)
{
	hang_up(ssl);
	count_out(v);
}

static void *
session_thread(void *arg)
{
	struct session *s = arg;
	struct server *v = s->server;
	struct fealty_decision why;

	s->cut = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->cut >= 0 && fealty_tls_peer(s->ssl, &s->device) == 0) {
		s->registered = fealty_session_register(v->gateway,
		    &s->device, close_session, s, &why);
		if (s->registered != NULL)
			serve(s);
		else
			(void)answer(s, "CLOSED %s\n", why.code);
		SSL_shutdown(s->ssl);
	}
	hang_up(s->ssl);
	/* now it is gone: the receipt for what ended it may say so */
	fealty_session_unregister(v->gateway, &s->registered);
	if (s->cut >= 0)
		close(s->cut);
	free(s);
	count_out(v);
	return (NULL);
}

/* ---- the server ----------------------------------------------------- */

static void
handshake_done(void *arg, SSL *ssl, int ok)
{
	struct server *v = arg;
	struct session *s = NULL;
	pthread_attr_t attr;
	pthread_t thread;
	int r = -1;

	if (ok && (s = calloc(1, sizeof(*s))) != NULL) {
		s->server = v;
		s->ssl = ssl;
		pthread_attr_init(&attr);
		pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
		r = pthread_create(&thread, &attr, session_thread, s);
		pthread_attr_destroy(&attr);
	}
	if (r != 0) {
		free(s);
		release(v, ssl);
	}
}

static bool
count_in(struct server *v)
{
	bool room;

	pthread_mutex_lock(&v->lock);
	if ((room = v->sessions < SESSIONS_MAX))
		v->sessions++;
	pthread_mutex_unlock(&v->lock);
	return (room);
}

/* false: out of descriptors or memory, try again later. */
static bool
take_connection(struct server *v, int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	int one = 1;
	SSL *ssl;

	if (fd < 0)
		return (errno != EMFILE && errno != ENFILE &&
		    errno != ENOBUFS && errno != ENOMEM);
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (!count_in(v)) {
		say("connection refused code=busy reason=\"%d sessions\"",
		    SESSIONS_MAX);
		close(fd);
		return (true);
	}
	if ((ssl = SSL_new(v->ctx)) == NULL || !SSL_set_fd(ssl, fd)) {
		SSL_free(ssl);
		close(fd);
		pthread_mutex_lock(&v->lock);
		v->sessions--;
		pthread_mutex_unlock(&v->lock);
		return (true);
	}
	if (fealty_tls_handshake(v->gateway, ssl, HANDSHAKE_MS,
	    handshake_done, v) != 0)
		release(v, ssl);
	return (true);
}

static void
run(struct server *v, int listener, int signals)
{
	struct pollfd p[2] = {
		{.fd = listener, .events = POLLIN},
		{.fd = signals, .events = POLLIN},
	};

	for (;;) {
		if (poll(p, 2, p[0].fd < 0 ? FULL_MS : -1) < 0 &&
		    errno != EINTR)
			break;
		if (p[1].revents != 0)
			break;
		/* while we are full, look the other way for a moment */
		p[0].fd = p[0].fd < 0 || p[0].revents == 0 ||
		    take_connection(v, listener) ? listener : -1;
	}
	wake(v->stop);
	pthread_mutex_lock(&v->lock);
	while (v->sessions > 0)
		pthread_cond_wait(&v->gone, &v->lock);
	pthread_mutex_unlock(&v->lock);
}

static const struct option options[] = {
	{"url", required_argument, NULL, 'u'},
	{"issuer", required_argument, NULL, 'i'},
	{"credential-file", required_argument, NULL, 'c'},
	{"ca-file", required_argument, NULL, 'C'},
	{"enrolment-file", required_argument, NULL, 'e'},
	{"state-file", required_argument, NULL, 's'},
	{"audience", required_argument, NULL, 'a'},
	{"listen", required_argument, NULL, 'l'},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

static int
usage(FILE *f)
{
	fputs("usage: gateway --enrolment-file FILE [--state-file FILE] "
	    "[--audience NAME]\n"
	    "       gateway --url URL [--url URL…] --credential-file FILE "
	    "--audience NAME\n"
	    "\t[--issuer URL] [--ca-file FILE] [--listen 127.0.0.1:0]\n", f);
	return (f == stdout ? 0 : 2);
}

static int
serve_with(const struct fealty_options *o, const char *where, int signals)
{
	struct server v = {.gateway = NULL};
	char reason[FEALTY_REASON];
	int listener = listen_on(where), status = 1;

	pthread_mutex_init(&v.lock, NULL);
	pthread_cond_init(&v.gone, NULL);
	v.stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	v.gateway = fealty_gateway_open(o, reason, sizeof(reason));
	v.ctx = SSL_CTX_new(TLS_server_method());
	if (listener < 0 || v.stop < 0)
		fprintf(stderr, "gateway: cannot listen on %s\n", where);
	else if (v.gateway == NULL)
		fprintf(stderr, "gateway: %s\n", reason);
	else if (v.ctx == NULL || fealty_tls_setup(v.gateway, v.ctx) != 0)
		fprintf(stderr, "gateway: OpenSSL refuses the setup\n");
	else {
		print_address(listener);
		run(&v, listener, signals);
		status = 0;
	}
	fealty_gateway_close(&v.gateway);
	SSL_CTX_free(v.ctx);
	if (listener >= 0)
		close(listener);
	if (v.stop >= 0)
		close(v.stop);
	return (status);
}

int
main(int argc, char **argv)
{
	struct fealty_options o = FEALTY_OPTIONS_INIT;
	const char *urls[8], *where = "127.0.0.1:0";
	sigset_t set;
	int c;

	o.urls = urls;
	o.log = log_entry;
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'u':
			if (o.nurls == 8)
				return (usage(stderr));
			urls[o.nurls++] = optarg;
			break;
		case 'e': o.enrolment_file = optarg; break;
		case 's': o.state_file = optarg; break;
		case 'i': o.issuer = optarg; break;
		case 'c': o.credential_file = optarg; break;
		case 'C': o.ca_file = optarg; break;
		case 'a': o.audience = optarg; break;
		case 'l': where = optarg; break;
		case 'h': return (usage(stdout));
		default: return (usage(stderr));
		}
	}
	if (optind != argc || (o.enrolment_file == NULL && (o.nurls == 0 ||
	    o.credential_file == NULL || o.audience == NULL)))
		return (usage(stderr));
	if (o.nurls == 0)
		o.urls = NULL; /* the enrolment's */
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	/* before any thread is made, so that all have them blocked */
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	return (serve_with(&o, where, signalfd(-1, &set, SFD_CLOEXEC)));
}
