#include "authd/http/device_tls.h"

#include <stdio.h>
#include <string.h>

#include "authd/http/server.h"
#include "lib/base/log.h"

/*
 * SHA-256 suites only: an external PSK is bound to its hash. For TLS 1.2 that
 * leaves ECDHE-PSK with ChaCha20-Poly1305, the AEAD suite that OpenSSL,
 * GnuTLS and mbedTLS have in common.
 */
const char device_tls_priorities[] =
    "NONE:+VERS-TLS1.3:+VERS-TLS1.2:+ECDHE-PSK"
    ":+AES-128-GCM:+CHACHA20-POLY1305:+AEAD"
    ":+GROUP-X25519:+GROUP-SECP256R1:+SIGN-ALL"
    ":%NO_TICKETS:%SERVER_PRECEDENCE";

static int
tls_version(gnutls_session_t s)
{
	switch (gnutls_protocol_get_version(s)) {
	case GNUTLS_TLS1_3:
		return 13;
	case GNUTLS_TLS1_2:
		return 12;
	default:
		return 0;
	}
}

/* GnuTLS 3.7 has no priority string that demands it (RFC 7627). */
static int
has_extended_master_secret(gnutls_session_t s)
{
	return tls_version(s) == 13 ||
	    gnutls_session_ext_master_secret_status(s) != 0;
}

/* One line a refusal, but no flood of them. */
static void
log_refusal(struct conn *c, const char *identity, const char *tls,
    const char *code, const char *reason)
{
	if (!rate_take(c->listener->http->refusal_rate, 0))
		return;
	log_line(LOG_WARN_, "handshake refused", F_STR("listener", "device"),
	    F_STR("peer", c->peer), F_STR("identity", identity),
	    F_STR("tls", tls),
	    F_STR("code", code), F_STR("reason", reason));
}

static const char *
version_text(int tls)
{
	return tls == 13 ? "1.3" : tls == 12 ? "1.2" :
	    "no extended master secret";
}

static enum err
look_up(struct conn *c, gnutls_session_t s, const gnutls_datum_t *id,
    struct key32 *out)
{
	int tls = has_extended_master_secret(s) ? tls_version(s) : 0;
	struct core *core = c->listener->http->core;
	const char *text = (const char *)id->data;
	char shown[PSKID_LEN + 1] = "";
	enum err e = ERR_IDENTITY;

	if (id->size <= PSKID_LEN) {
		memcpy(shown, text, id->size);
		shown[id->size] = '\0';
	}
	if (id->size == PSKID_LEN && strlen(shown) == PSKID_LEN && tls != 0)
		e = core_listener_psk(core, shown, PSKID_LEN, tls, out,
		    &c->news);
	memcpy(c->identity, shown, sizeof(shown));
	c->key_given = e == ERR_OK;
	if (e == ERR_OK)
		return e;
	log_refusal(c, shown, version_text(tls), err_code(e), err_text(e));
	core_decoy(core, text, id->size, out);
	return e;
}

/* GnuTLS asks for a key; there always is one. */
static int
on_psk(gnutls_session_t s, const gnutls_datum_t *id, gnutls_datum_t *key)
{
	struct conn *c = gnutls_session_get_ptr(s);
	struct key32 k;

	if (c == NULL)
		return -1;
	key->data = gnutls_malloc(KEY32_LEN);
	if (key->data == NULL)
		return -1;
	memset(&k, 0, sizeof(k));
	(void)look_up(c, s, id, &k);
	memcpy(key->data, k.b, KEY32_LEN);
	key->size = KEY32_LEN;
	key32_wipe(&k);
	return 0;
}

/* A first use, or one too late: the loops of this listener may wait. */
static void
tell_used(struct conn *c)
{
	char id[33];

	(void)snprintf(id, sizeof(id), "%016llx-handshake",
	    (unsigned long long)c->id);
	core_listener_used(c->listener->http->core, c->identity, id);
	c->news = 0;
}

/* The client's Finished has been verified: it holds the key. */
static int
on_finished(gnutls_session_t s, unsigned type, unsigned when,
    unsigned incoming, const gnutls_datum_t *msg)
{
	struct conn *c = gnutls_session_get_ptr(s);

	if (c == NULL || !incoming)
		return 0;
	c->handshaken = 1;
	if (c->news)
		tell_used(c);
	return 0;
}

enum err
device_tls_open(struct listener *l)
{
	if (gnutls_psk_allocate_server_credentials(&l->psk) != 0)
		return ERR_NOMEM;
	gnutls_psk_set_server_credentials_function2(l->psk, on_psk);
	return ERR_OK;
}

void
device_tls_close(struct listener *l)
{
	if (l->psk != NULL)
		gnutls_psk_free_server_credentials(l->psk);
	l->psk = NULL;
}

static gnutls_session_t
session_of(struct MHD_Connection *mc)
{
	const union MHD_ConnectionInfo *info;

	info = MHD_get_connection_info(mc,
	    MHD_CONNECTION_INFO_GNUTLS_SESSION);
	return info == NULL ? NULL : info->tls_session;
}

enum err
device_tls_attach(struct conn *c, struct MHD_Connection *mc)
{
	gnutls_session_t s = session_of(mc);

	if (s == NULL)
		return ERR_INTERNAL;
	/* Our own credentials, not the daemon's: its way of handing over a
	 * key leaves an unwiped copy on the heap. */
	if (gnutls_credentials_set(s, GNUTLS_CRD_PSK, c->listener->psk) != 0)
		return ERR_CRYPTO;
	gnutls_session_set_ptr(s, c);
	gnutls_handshake_set_hook_function(s, GNUTLS_HANDSHAKE_FINISHED,
	    GNUTLS_HOOK_POST, on_finished);
	return ERR_OK;
}

void
device_tls_detach(struct conn *c)
{
	if (c->key_given && !c->handshaken)
		log_refusal(c, c->identity, "?", err_code(ERR_CREDENTIAL),
		    "the client's key is not the device's, or it gave up");
}

enum err
device_tls_identity(struct conn *c, struct MHD_Connection *mc)
{
	gnutls_datum_t id = {NULL, 0};
	gnutls_session_t s;

	if (c->tenant != NULL)
		return ERR_OK;
	s = session_of(mc);
	if (s == NULL || !c->handshaken || !has_extended_master_secret(s) ||
	    gnutls_psk_server_get_username2(s, &id) != 0 || id.data == NULL ||
	    id.size != PSKID_LEN)
		return ERR_CREDENTIAL;
	memcpy(c->identity, id.data, PSKID_LEN);
	c->identity[PSKID_LEN] = '\0';
	c->tenant = core_identity_tenant(c->listener->http->core,
	    c->identity, PSKID_LEN);
	return c->tenant == NULL ? ERR_CREDENTIAL : ERR_OK;
}
