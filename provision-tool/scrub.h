#ifndef PROVISION_SCRUB_H
#define PROVISION_SCRUB_H

#include "lib/base/secret.h"

/*
 * 1 if the text shows eight octets or more of the key: as they are, in
 * hexadecimal of either case, in base64 or base64url at any offset, with
 * blanks, line ends, colons, commas, dashes or "0x" in between or not.
 * Also 1 when there is no memory to find out.
 */
int scrub_finds(const struct key32 *key, const char *p, size_t len);

#endif
