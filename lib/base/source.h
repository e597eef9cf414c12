#ifndef BASE_SOURCE_H
#define BASE_SOURCE_H

#include "lib/base/secret.h"

/*
 * A PIN or pass phrase from where a command line may name it: "fd:N", a
 * descriptor that was open when the program started (read to its end and
 * closed: once), or the path of a file that nobody but its owner may touch.
 * One line end at its end is not part of it.
 */
/* At most max octets. ERR_NOT_FOUND, ERR_CONFIG, ERR_TOO_LARGE, ERR_IO. */
enum err source_read(const char *where, size_t max, struct secret *out)
    MUST_CHECK;
/* What is wrong, for a message. */
const char *source_fault(enum err e);

#endif
