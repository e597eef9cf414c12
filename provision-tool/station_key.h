#ifndef PROVISION_STATION_KEY_H
#define PROVISION_STATION_KEY_H

#include "lib/crypt/signer.h"

/*
 * The key pair of a station that burns by tickets: root keys are encrypted
 * to it, and it signs what was burned (docs/tickets.md). One line in a file
 * of mode 0600: "fealty-station-key-v1 " and the scalar as base64url.
 */
/* A new one. ERR_EXISTS, ERR_IO with errno. */
enum err station_key_make(const char *path, struct signer **out) MUST_CHECK;
/* ERR_NOT_FOUND, ERR_CONFIG, ERR_IO, with d. */
enum err station_key_read(const char *path, struct signer **out,
			  struct detail *d) MUST_CHECK;

#endif
