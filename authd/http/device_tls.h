#ifndef HTTP_DEVICE_TLS_H
#define HTTP_DEVICE_TLS_H

#include "authd/http/request.h"

/*
 * The device listener's TLS: external PSKs with forward secrecy only (TLS
 * 1.3 psk_dhe_ke, TLS 1.2 ECDHE-PSK with extended master secret), SHA-256
 * suites, no certificates, no tickets, no renegotiation. An unknown identity
 * and a wrong key look the same on the wire; the log knows the reason.
 */
extern const char device_tls_priorities[];

enum err device_tls_open(struct listener *l) MUST_CHECK;
void device_tls_close(struct listener *l);
/* A connection has begun: from now on its handshake asks us for the key. */
enum err device_tls_attach(struct conn *c, struct MHD_Connection *mc)
    MUST_CHECK;
/* The connection ends: logs a handshake that broke off at the key. */
void device_tls_detach(struct conn *c);
/*
 * Whom the handshake authenticated, into c->identity and c->tenant; cheap
 * after the first time. ERR_CREDENTIAL when nobody.
 */
enum err device_tls_identity(struct conn *c, struct MHD_Connection *mc)
    MUST_CHECK;

#endif
