#include <string.h>

#include "fealty/device.h"

#define LABEL "fealty v1"
#define PURPOSE_MAX 15
#define CONTEXT_MAX 64
#define CHALLENGE_MAX 64
#define WHAT_MAX 8
/* the label, purpose and device_id each with a 00; and HKDF's counter */
#define INFO_MAX                                                               \
	(sizeof(LABEL) + PURPOSE_MAX + 1 + FEALTY_ID_MAX + 1 + 4 +             \
	 CONTEXT_MAX + 1)

void
fealty_wipe(void *p, size_t len)
{
	volatile uint8_t *v = p;

	while (len-- > 0)
		*v++ = 0;
}

const char *
fealty_status_text(enum fealty_status s)
{
	switch (s) {
	case FEALTY_OK:
		return "success";
	case FEALTY_E_ARG:
		return "an argument is out of range";
	case FEALTY_E_RECORD:
		return "no identity record, or a torn one";
	case FEALTY_E_PEER:
		return "the identity record has no such peer";
	case FEALTY_E_SPACE:
		return "the buffer is too small";
	case FEALTY_E_PORT:
		return "HMAC or random source failed";
	case FEALTY_E_MEDIUM:
		return "the medium of the identity failed";
	}
	return "unknown status";
}

static uint8_t *
put(uint8_t *at, const void *p, size_t len)
{
	if (len > 0)
		memcpy(at, p, len);
	return at + len;
}

static enum fealty_status
hmac(const struct fealty_device_port *port, const uint8_t *key,
     const uint8_t *msg, size_t len, uint8_t out[32])
{
	if (port->hmac_sha256(port->ctx, key, key == NULL ? 0 : FEALTY_KEY_LEN,
			      msg, len, out) == 0)
		return FEALTY_OK;
	fealty_wipe(out, 32);
	return FEALTY_E_PORT;
}

enum fealty_status
fealty_derive(const struct fealty_device_port *port,
	      const struct fealty_record *r, const char *purpose,
	      const void *context, size_t contextlen,
	      uint8_t out[FEALTY_KEY_LEN])
{
	uint8_t info[INFO_MAX], *at = info;
	size_t n = strlen(purpose);

	fealty_wipe(out, FEALTY_KEY_LEN);
	if (n == 0 || n > PURPOSE_MAX || contextlen > CONTEXT_MAX ||
	    r->device_id.len == 0 || r->device_id.len > FEALTY_ID_MAX ||
	    r->epoch == 0)
		return FEALTY_E_ARG;
	at = put(at, LABEL, sizeof(LABEL));
	at = put(at, purpose, n + 1);
	at = put(at, r->device_id.p, r->device_id.len);
	*at++ = 0;
	*at++ = (uint8_t)(r->epoch >> 24);
	*at++ = (uint8_t)(r->epoch >> 16);
	*at++ = (uint8_t)(r->epoch >> 8);
	*at++ = (uint8_t)r->epoch;
	at = put(at, context, contextlen);
	*at++ = 1; /* T(1) of HKDF-Expand, and with L = 32 the only one */
	return hmac(port, r->key, info, (size_t)(at - info), out);
}

enum fealty_status
fealty_psk(const struct fealty_device_port *port, const struct fealty_record *r,
	   const struct fealty_peer *peer, enum fealty_tls tls,
	   uint8_t out[FEALTY_KEY_LEN])
{
	const char *purpose = NULL;

	switch (tls) {
	case FEALTY_TLS13:
		purpose = "tls13-psk";
		break;
	case FEALTY_TLS12:
		purpose = "tls12-psk";
		break;
	case FEALTY_DTLS12:
		purpose = "dtls12-psk";
		break;
	case FEALTY_DTLS13:
		purpose = "dtls13-psk";
		break;
	}
	if (purpose == NULL || peer == NULL || peer->audience.len == 0) {
		fealty_wipe(out, FEALTY_KEY_LEN);
		return FEALTY_E_ARG;
	}
	return fealty_derive(port, r, purpose, peer->audience.p,
			     peer->audience.len, out);
}

enum fealty_status
fealty_payload_key(const struct fealty_device_port *port,
		   const struct fealty_record *r, const char *service,
		   uint8_t out[FEALTY_KEY_LEN])
{
	size_t n = strlen(service);

	if (n == 0) {
		fealty_wipe(out, FEALTY_KEY_LEN);
		return FEALTY_E_ARG;
	}
	return fealty_derive(port, r, "payload", service, n, out);
}

enum fealty_status
fealty_proof(const struct fealty_device_port *port,
	     const struct fealty_record *r, const char *what,
	     const void *challenge, size_t len, uint8_t answer[32])
{
	uint8_t key[FEALTY_KEY_LEN];
	uint8_t msg[WHAT_MAX + 1 + CHALLENGE_MAX], *at = msg;
	size_t n = strlen(what);
	enum fealty_status s;

	fealty_wipe(answer, 32);
	if (n == 0 || n > WHAT_MAX || len == 0 || len > CHALLENGE_MAX)
		return FEALTY_E_ARG;
	at = put(at, what, n + 1);
	at = put(at, challenge, len);
	s = fealty_derive(port, r, "proof", NULL, 0, key);
	if (s == FEALTY_OK)
		s = hmac(port, key, msg, (size_t)(at - msg), answer);
	fealty_wipe(key, sizeof(key));
	return s;
}
