#ifndef FEALTY_DEVICE_H
#define FEALTY_DEVICE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * What a device needs to keep faith: read its identity record, derive its
 * keys, answer a challenge, and make client assertions. Portable C11: no
 * heap, no operating system, of the C library only memcpy, memcmp, memset
 * and strlen. All functions are reentrant and hold no state of their own.
 *
 * Key bytes appear only where the caller asks for them; every temporary is
 * overwritten before a function returns, and so are the outputs of one that
 * fails.
 */
enum fealty_status {
	FEALTY_OK = 0,
	FEALTY_E_ARG,	 /* an argument is out of its range */
	FEALTY_E_RECORD, /* the octets are no identity record, or a torn one */
	FEALTY_E_PEER,	 /* the record has no such peer */
	FEALTY_E_SPACE,	 /* the caller's buffer is too small */
	FEALTY_E_PORT,	 /* the port's HMAC or random source failed */
	FEALTY_E_MEDIUM	 /* the medium of the slots failed (slots.h) */
};
/* A short English text, for a log. */
const char *fealty_status_text(enum fealty_status s);

/*
 * All that must be brought along: HMAC-SHA-256 (RFC 2104) and a source of
 * unpredictable octets. Both return 0 for success and anything else for
 * failure. key is NULL only for a record without one (see below): then the
 * device's root key, wherever the hardware keeps it. ctx is handed through.
 */
struct fealty_device_port {
	int (*hmac_sha256)(void *ctx, const uint8_t *key, size_t keylen,
			   const uint8_t *msg, size_t len, uint8_t out[32]);
	int (*random)(void *ctx, uint8_t *out, size_t len);
	void *ctx;
};

#define FEALTY_KEY_LEN 32
#define FEALTY_RECORD_MAX 4096
#define FEALTY_PEERS_MAX 9
#define FEALTY_ID_MAX 64 /* of a device_id and an audience */
#define FEALTY_HOST_MAX 253
#define FEALTY_ISSUER_MAX 255
#define FEALTY_IDENTITY_LEN 44
#define FEALTY_AUTHORITY "authority"

/* Characters inside the record's octets; not NUL-terminated. */
struct fealty_text {
	const char *p;
	size_t len;
};
struct fealty_peer {
	struct fealty_text audience;
	struct fealty_text host;     /* name or IP address */
	struct fealty_text identity; /* PSK identity, FEALTY_IDENTITY_LEN */
	uint16_t port;
};
struct fealty_record {
	struct fealty_text issuer;
	struct fealty_text device_id;
	const uint8_t *key; /* K, FEALTY_KEY_LEN octets */
	uint32_t epoch;
	uint32_t npeers;
	struct fealty_peer peers[FEALTY_PEERS_MAX];
};

/*
 * Read the identity record in the len octets at p (docs/identity-record.md).
 * Nothing is copied: *out points into p, which must stay as it is for as
 * long as *out is used. FEALTY_E_RECORD for anything but the one canonical
 * encoding of a well-formed record with a right checksum; *out is then
 * zeroed.
 *
 * Where the key lives in hardware, set out->key to NULL afterwards.
 */
enum fealty_status fealty_record_read(const void *p, size_t len,
				      struct fealty_record *out);
/* The peer of that audience (NUL-terminated), or NULL. */
const struct fealty_peer *fealty_record_peer(const struct fealty_record *r,
					     const char *audience);
/* t with a NUL to out; FEALTY_E_SPACE when size is less than t->len + 1. */
enum fealty_status fealty_text_copy(const struct fealty_text *t, char *out,
				    size_t size);
/* Overwrite, such that no compiler takes it away. */
void fealty_wipe(void *p, size_t len);

/*
 * The key schedule (docs/key-schedule.md), HKDF-Expand (RFC 5869) with
 * SHA-256 and L = 32, which is one HMAC:
 *   info = "fealty v1" 00 purpose 00 device_id 00 u32be(epoch) context
 * purpose is 1 to 15 characters, context 0 to 64 octets.
 */
enum fealty_status fealty_derive(const struct fealty_device_port *port,
				 const struct fealty_record *r,
				 const char *purpose, const void *context,
				 size_t contextlen,
				 uint8_t out[FEALTY_KEY_LEN]);

/* The protocols whose pre-shared keys differ (RFC 9257). */
enum fealty_tls { FEALTY_TLS13, FEALTY_TLS12, FEALTY_DTLS12, FEALTY_DTLS13 };
/*
 * The pre-shared key towards peer, which must be one of r. TLS 1.3: external
 * PSK, psk_dhe_ke only, a SHA-256 suite. TLS 1.2: ECDHE-PSK. The PSK
 * identity is peer->identity. Wipe out when the handshake is over.
 */
enum fealty_status fealty_psk(const struct fealty_device_port *port,
			      const struct fealty_record *r,
			      const struct fealty_peer *peer,
			      enum fealty_tls tls, uint8_t out[FEALTY_KEY_LEN]);
/* The key of end-to-end protected payloads for service. */
enum fealty_status fealty_payload_key(const struct fealty_device_port *port,
				      const struct fealty_record *r,
				      const char *service,
				      uint8_t out[FEALTY_KEY_LEN]);

/*
 * The answer to a challenge of the authority: HMAC-SHA-256 under the "proof"
 * key over what 00 challenge. what is "burn" or "rotate", challenge 1 to 64
 * octets.
 */
enum fealty_status fealty_proof(const struct fealty_device_port *port,
				const struct fealty_record *r, const char *what,
				const void *challenge, size_t len,
				uint8_t answer[32]);

/*
 * A client assertion (RFC 7523) for the authority's token endpoint: compact
 * JWS, HS256 under the "assertion" key (or ES256, below), kid the identity for `authority`,
 * iss and sub the device_id, aud the issuer, and a random jti. A device with
 * a clock gives now (seconds since 1970, UTC, above 0) and life (1 to 60 s);
 * one without gives nonce, as /oauth2/nonce handed it out (at most 128
 * characters), and now and life are not used.
 *
 * Written to out with a NUL; FEALTY_ASSERTION_SIZE octets always suffice.
 * It works once: make a new one for each request.
 */
/*
 * The key pair that a device has made itself and was registered when it was
 * burned: with it the assertion is ES256, and K is not touched. es256 signs
 * (r and s, RFC 7518 section 3.4) and returns 0 for success.
 */
struct fealty_signer {
	int (*es256)(void *ctx, const uint8_t *msg, size_t len,
		     uint8_t sig[64]);
	void *ctx;
};
#define FEALTY_ASSERTION_SIZE 1280
#define FEALTY_ASSERTION_LIFE_MAX 60
#define FEALTY_NONCE_MAX 128
struct fealty_assertion {
	int64_t now;
	uint32_t life;
	const char *nonce; /* or NULL */
	const struct fealty_signer *own; /* or NULL: HS256 */
};
enum fealty_status fealty_assertion(const struct fealty_device_port *port,
				    const struct fealty_record *r,
				    const struct fealty_assertion *a, char *out,
				    size_t size, size_t *outlen);

/*
 * Rotation of the root key, over the authority's device listener
 * (docs/rotation.md): POST /v1/device/rotate with the text of
 * fealty_rotate_request; the answer's octets are the next record, which
 * fealty_rotate_read reads; store it beside the present one, then connect
 * with it, or answer a challenge (fealty_proof of the new record, "rotate"). request: 16 random octets, the same for as long as there was no
 * answer. FEALTY_E_RECORD for a record that is not this device's next one.
 */
#define FEALTY_ROTATE_REQUEST 16
#define FEALTY_ROTATE_TEXT_SIZE 40 /* suffices for the text */
enum fealty_status fealty_rotate_request(
    const uint8_t request[FEALTY_ROTATE_REQUEST], char *out, size_t size,
    size_t *outlen);
enum fealty_status fealty_rotate_read(const struct fealty_record *present,
				      const void *p, size_t len,
				      struct fealty_record *out);

#ifdef __cplusplus
}
#endif
#endif
