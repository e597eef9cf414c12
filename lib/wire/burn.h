#ifndef WIRE_BURN_H
#define WIRE_BURN_H

#include "lib/wire/wire.h"
#include "lib/model/exchange.h"

/* The burn: reserve, release, confirm (docs/api.md, "The burn"). */

enum err wire_serial_decode(const char *s, size_t len, name_t serial,
    struct detail *d) MUST_CHECK;
enum err wire_serial_encode(const char *serial, struct buf *out) MUST_CHECK;

enum err wire_release_request_decode(const char *s, size_t len,
    struct release_request *out, struct detail *d) MUST_CHECK;
enum err wire_release_request_encode(const struct release_request *r,
    struct buf *out) MUST_CHECK;

enum err wire_release_decode(const char *s, size_t len, struct release *out,
    struct detail *d) MUST_CHECK;
enum err wire_release_encode(const struct release *r, struct buf *out)
    MUST_CHECK;
/* A member that is a JWK, as its text. */
void wire_jwk_read(struct jin *in, const char *name, char *out, size_t size);
void wire_peers_read(struct jin *in, struct peer *peers, uint32_t *npeers);
json_t *wire_peers_json(const struct peer *peers, uint32_t n);

/* What is inside the JWE. */
enum err wire_key_decode(const struct secret *s, name_t device_id,
    uint32_t *epoch, struct key32 *k) MUST_CHECK;
enum err wire_key_encode(const char *device_id, uint32_t epoch,
    const struct key32 *k, struct secret *out) MUST_CHECK;

enum err wire_confirm_decode(const char *s, size_t len, struct confirm *out,
    struct detail *d) MUST_CHECK;
enum err wire_confirm_encode(const struct confirm *c, struct buf *out)
    MUST_CHECK;

/* A challenge to the device that holds the key of that epoch. */
json_t *wire_challenge_json(uint32_t epoch,
    const unsigned char challenge[CHALLENGE_LEN]);
enum err wire_challenge_decode(const char *s, size_t len, uint32_t *epoch,
    unsigned char challenge[CHALLENGE_LEN], struct detail *d) MUST_CHECK;

/* Rotation: what a device asks with, and its answer to the challenge. */
enum err wire_rotate_request_decode(const char *s, size_t len,
    unsigned char *request, size_t octets, struct detail *d) MUST_CHECK;
enum err wire_rotate_proof_decode(const char *s, size_t len,
    struct confirm *out, struct detail *d) MUST_CHECK;

#endif
