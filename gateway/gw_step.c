#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <openssl/err.h>
#include "gateway/gw_int.h"

/*
 * A handshake, one step at a time. TLS 1.2 names its identity in the middle
 * of OpenSSL's work, where nothing can wait: so its steps, and they alone,
 * run on a worker, which goes back to the pool whenever the peer has to be
 * waited for. A slow peer so never holds a thread.
 */

static void
log_handshake(struct conn *c, bool ok, enum err e, const char *reason)
{
	name_t name = "";
	enum err why = e;
	struct fealty_log l = {
		.level = ok || e == ERR_NETWORK || e == ERR_TIMEOUT ?
		    FEALTY_INFO : FEALTY_WARNING,
		.event = ok ? "handshake accepted" : "handshake refused",
		.device_id = name,
		.device_number = c->id.dn,
		.source = c->source,
		.position = c->event,
	};

	if (c->psk.answer.device_id[0] != '\0')
		memcpy(name, c->psk.answer.device_id, sizeof(name));
	else if (c->id.dn != 0)
		why = gw_why_get(c->g->why, c->id.dn, c->event, e, name);
	if (l.position == 0)
		l.position = fealty_gateway_position(c->g);
	l.code = err_code(why);
	l.reason = reason != NULL ? reason : gw_text(why);
	gw_log(c->g, &l);
}

/* What OpenSSL says went wrong, in our words. */
static enum err
tls_error(char *reason, size_t size)
{
	unsigned long code = ERR_peek_last_error();
	const char *text = ERR_reason_error_string(code);

	switch (ERR_GET_REASON(code)) {
	case SSL_R_BINDER_DOES_NOT_VERIFY:
	case SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC:
	case SSL_R_DIGEST_CHECK_FAILED:
		snprintf(reason, size,
		    "the peer does not hold the key of its identity");
		return (ERR_PROOF);
	case 0:
	case SSL_R_UNEXPECTED_EOF_WHILE_READING:
		snprintf(reason, size, "the peer closed the connection");
		return (ERR_NETWORK);
	default:
		snprintf(reason, size, "TLS: %s", text != NULL ? text :
		    "unknown error");
		return (ERR_REQUEST);
	}
}

/*
 * Whether the peer did what no good device does. What fails on our side, or
 * on the way, must not be held against the source.
 */
static bool
peers_fault(enum err e)
{
	switch (e) {
	case ERR_PROOF:
	case ERR_IDENTITY:
	case ERR_REQUEST:
	case ERR_DEVICE_SUSPENDED:
	case ERR_DEVICE_REVOKED:
	case ERR_DEVICE_BLOCKED:
	case ERR_DEVICE_INACTIVE:
	case ERR_GROUP_BLOCKED:
	case ERR_TENANT_BLOCKED:
	case ERR_EPOCH_DEAD:
		return (true);
	default:
		return (false);
	}
}

static enum fealty_step
refused(struct conn *c, enum err e, const char *reason)
{
	struct fealty_gateway *g = c->g;
	bool bad = peers_fault(e);

	key32_wipe(&c->psk.answer.key);
	c->spent = true;
	c->known = false;
	if (c->limited || (bad && gw_rate_over(g->rate, c->source,
	    gw_now(g))))
		return (FEALTY_STEP_FAILED); /* told when it became so */
	log_handshake(c, false, e, reason);
	if (bad && gw_rate_take(g->rate, c->source, gw_now(g)))
		log_handshake(c, false, ERR_RATE,
		    "too many bad handshakes of this source: not told singly");
	return (FEALTY_STEP_FAILED);
}

static enum fealty_step
failed(struct conn *c)
{
	char reason[200];
	enum err e;

	e = tls_error(reason, sizeof(reason));
	ERR_clear_error();
	if (!c->known && c->why != ERR_OK)
		return (refused(c, c->why, NULL));
	return (refused(c, e, reason));
}

static enum fealty_step
settle(struct conn *c)
{
	struct fealty_device peer;
	struct claim cl;
	enum err e;

	if (!conn_rests_on_key(c))
		return (refused(c, ERR_CRYPTO,
		    "the connection does not rest on the device's key"));
	if (fealty_tls_peer(c->ssl, &peer) != 0)
		return (refused(c, ERR_INTERNAL, NULL));
	/* an event may have come since the look-up */
	gw_claim(&peer, &cl);
	if ((e = gw_judge(c->g, &cl, &c->event)) != ERR_OK)
		return (refused(c, e, NULL));
	if (c->psk.answer.pending)
		gw_used_peer(c->g, &peer);
	log_handshake(c, true, ERR_OK, NULL);
	return (FEALTY_STEP_DONE);
}

static enum fealty_step
advance(struct conn *c)
{
	int r;

	ERR_clear_error();
	if ((r = SSL_accept(c->ssl)) == 1)
		return (settle(c));
	switch (SSL_get_error(c->ssl, r)) {
	case SSL_ERROR_WANT_READ:
		return (FEALTY_STEP_WANT_READ);
	case SSL_ERROR_WANT_WRITE:
		return (FEALTY_STEP_WANT_WRITE);
	case SSL_ERROR_WANT_CLIENT_HELLO_CB:
		return (FEALTY_STEP_WANT_KEY);
	default:
		return (failed(c));
	}
}

static void
dispose(SSL *ssl)
{
	int fd = SSL_get_fd(ssl);

	SSL_free(ssl);
	if (fd >= 0)
		close(fd);
}

static void
run_step(struct job *j, struct worker *w)
{
	struct conn *c = (struct conn *)(void *)j;
	struct fealty_gateway *g = c->g;
	enum fealty_step result;
	bool abandoned;

	c->worker = w;
	if (w == NULL)
		result = refused(c, ERR_BUSY, NULL);
	else
		result = advance(c);
	c->worker = NULL;
	pthread_mutex_lock(&g->work_lock);
	c->work = WORK_RETURNED;
	c->work_result = result;
	if (!(abandoned = c->abandoned))
		conn_wake(c);
	pthread_mutex_unlock(&g->work_lock);
	if (abandoned)
		dispose(c->ssl);
}

void
conn_late(struct conn *c)
{
	(void)refused(c, ERR_TIMEOUT, "the handshake took too long");
}

static enum fealty_step
hand_over(struct conn *c)
{
	enum err e;

	if (!conn_key_fd(c))
		return (refused(c, ERR_BUSY, NULL));
	c->job.run = run_step;
	c->work = WORK_UNDER_WAY;
	if ((e = pool_submit(c->g->pool, &c->job, 1)) != ERR_OK) {
		c->work = WORK_NONE;
		return (refused(c, e, NULL));
	}
	return (FEALTY_STEP_WANT_KEY);
}

/* The result of a worker's step. 1: there is one, or it is under way. */
static int
returned(struct conn *c, enum fealty_step *result)
{
	int any;

	pthread_mutex_lock(&c->g->work_lock);
	any = c->work != WORK_NONE;
	*result = FEALTY_STEP_WANT_KEY;
	if (c->work == WORK_RETURNED) {
		c->work = WORK_NONE;
		*result = c->work_result;
	}
	pthread_mutex_unlock(&c->g->work_lock);
	return (any);
}

static void
drain(struct conn *c)
{
	uint64_t n;

	/* before the state is read, so that no wake-up is lost */
	if (c->key_fd >= 0 && read(c->key_fd, &n, sizeof(n)) < 0)
		return;
}

enum fealty_step
fealty_tls_step(struct fealty_gateway *g, SSL *ssl, int *key_fd)
{
	struct conn *c = conn_get(g, ssl);
	enum fealty_step s;
	bool inline_;

	*key_fd = -1;
	if (c == NULL)
		return (FEALTY_STEP_FAILED);
	drain(c);
	if (!returned(c, &s)) {
		c->stepping = true;
		inline_ = c->tls != 12 || c->asked;
		s = inline_ ? advance(c) : hand_over(c);
		/* the ClientHello said TLS 1.2: from here on a worker's */
		if (s == FEALTY_STEP_WANT_KEY && inline_ && c->tls == 12)
			s = hand_over(c);
	}
	if (s == FEALTY_STEP_WANT_KEY)
		*key_fd = c->key_fd;
	return (s);
}

void
fealty_tls_abandon(struct fealty_gateway *g, SSL *ssl)
{
	struct conn *c = conn_peek(ssl);
	bool busy = false;

	(void)g; /* it may be closed: the connection holds on to its own */
	if (c != NULL) {
		pthread_mutex_lock(&c->g->work_lock);
		busy = c->work == WORK_UNDER_WAY;
		c->abandoned = busy;
		pthread_mutex_unlock(&c->g->work_lock);
	}
	if (!busy)
		dispose(ssl);
}
