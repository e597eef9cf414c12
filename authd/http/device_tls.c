#include "authd/http/device_tls.h"

#include <string.h>

#include "authd/http/server.h"
#include "lib/base/log.h"

/*
 * SHA-256 suites only: an external PSK is bound to its hash. DHE-PSK is what
 * GnuTLS wants to hear to offer psk_dhe_ke; without FFDHE groups TLS 1.2 has
 * nothing to do it with, so there it is ECDHE-PSK alone.
 */
const char device_tls_priorities[] =
    "NONE:+VERS-TLS1.3:+VERS-TLS1.2:+ECDHE-PSK:+DHE-PSK"
    ":+AES-128-GCM:+CHACHA20-POLY1305:+AES-128-CCM:+AES-128-CBC"
    ":+AEAD:+SHA256:+GROUP-X25519:+GROUP-SECP256R1:+COMP-NULL:+SIGN-ALL"
    ":%NO_TICKETS:%FORCE_SESSION_HASH:%SERVER_PRECEDENCE";

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

/* One line a refusal, but no flood of them. */
static void
log_refusal(struct conn *c, const char *identity, int tls, enum err e)
{
	if (!rate_take(c->listener->http->refusal_rate, 0))
		return;
	log_line(LOG_WARN_, "handshake refused", F_STR("listener", "device"),
	    F_STR("peer", c->peer), F_STR("identity", identity),
	    F_STR("tls", tls == 13 ? "1.3" : tls == 12 ? "1.2" : "?"),
	    F_STR("code", err_code(e)), F_STR("reason", err_text(e)));
}

static enum err
look_up(struct conn *c, const gnutls_datum_t *id, int tls,
    struct key32 *out)
{
	struct core *core = c->listener->http->core;
	const char *text = (const char *)id->data;
	char shown[PSKID_LEN + 1] = "";
	enum err e = ERR_IDENTITY;

	if (id->size <= PSKID_LEN) {
		memcpy(shown, text, id->size);
		shown[id->size] = '\0';
	}
	if (id->size == PSKID_LEN && strlen(shown) == PSKID_LEN && tls != 0)
		e = core_listener_psk(core, shown, PSKID_LEN, tls, out);
	if (e == ERR_OK)
		return e;
	log_refusal(c, shown, tls, e);
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
	(void)look_up(c, id, tls_version(s), &k);
	memcpy(key->data, k.b, KEY32_LEN);
	key->size = KEY32_LEN;
	key32_wipe(&k);
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
	return ERR_OK;
}

enum err
device_tls_identity(struct conn *c, struct MHD_Connection *mc)
{
	gnutls_datum_t id = {NULL, 0};
	gnutls_session_t s;

	if (c->tenant != NULL)
		return ERR_OK;
	s = session_of(mc);
	if (s == NULL || gnutls_psk_server_get_username2(s, &id) != 0 ||
	    id.data == NULL || id.size != PSKID_LEN)
		return ERR_CREDENTIAL;
	memcpy(c->identity, id.data, PSKID_LEN);
	c->identity[PSKID_LEN] = '\0';
	c->tenant = core_identity_tenant(c->listener->http->core,
	    c->identity, PSKID_LEN);
	return c->tenant == NULL ? ERR_CREDENTIAL : ERR_OK;
}
