#ifndef BASE_FILE_H
#define BASE_FILE_H

#include <sys/types.h>
#include <stddef.h>
#include "lib/base/err.h"
#include "lib/base/secret.h"
#include "lib/base/buf.h"

/*
 * Appends the whole file, at most max octets (ERR_TOO_LARGE). An out without
 * a maximum of its own ({0}) takes max. ERR_NOT_FOUND, ERR_IO.
 */
enum err file_read(const char *path, size_t max, struct buf *out) MUST_CHECK;
/*
 * The same for a secret, replacing out; refuses (ERR_CONFIG) what anyone but
 * its owner may touch (mode & 077) and what is no regular file.
 */
enum err file_read_secret(const char *path, size_t max,
    struct secret *out) MUST_CHECK;
/*
 * Atomically: temporary file beside it with mode, write, fsync, rename,
 * fsync of the directory. What was there stays whole until the rename.
 */
enum err file_write_atomic(const char *path, mode_t mode, const void *p,
    size_t len) MUST_CHECK;
/*
 * Like it, for what must not lie about: the temporary file has one name, so
 * that whatever a writer that was killed has left goes with the next one.
 * For one writer of a path at a time: of two, the first gets ERR_IO.
 */
#define FILE_DRAFT ".fealty-new"
enum err file_write_draft(const char *path, mode_t mode, const void *p,
    size_t len) MUST_CHECK;
/* As file_write_atomic, but ERR_EXISTS when path is there (by a link). */
enum err file_create_atomic(const char *path, mode_t mode, const void *p,
    size_t len) MUST_CHECK;
/* Puts the folder's entries on the disk; ERR_IO with errno. */
enum err dir_sync(const char *dir) MUST_CHECK;
/*
 * mkdir -p with mode for what is made, whose names outlive a power cut;
 * ERR_IO with errno.
 */
enum err dir_make(const char *path, mode_t mode) MUST_CHECK;

#endif
