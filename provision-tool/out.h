#ifndef PROVISION_OUT_H
#define PROVISION_OUT_H

#include "lib/base/buf.h"
#include "lib/base/secret.h"

/*
 * Files that hold a key: written whole or not at all, mode 0600, and read
 * from the medium.
 */
/*
 * The absolute path of a file that need not be there yet: its folder must.
 * ERR_REQUEST with d. *out is malloc'ed.
 */
enum err out_resolve(const char *path, char **out, struct detail *d) MUST_CHECK;
/* Removes, too, what a run that was killed while it wrote has left. */
enum err out_write(const char *path, const void *p, size_t len,
		   struct detail *d) MUST_CHECK;
/*
 * Past the page cache. ERR_NOT_FOUND, ERR_CONFIG (others may read it),
 * ERR_TOO_LARGE, ERR_IO, with d.
 */
enum err out_read(const char *path, size_t max, struct buf *out,
		  struct detail *d) MUST_CHECK;

/*
 * The record in the file at path, as a target t writes it. As out_read, and
 * ERR_RECORD: it holds none.
 */
typedef enum err out_take(const void *t, const char *path,
			  struct secret *record, struct detail *d);
/*
 * ERR_OK: what is at path is no other device's identity, so that nobody's
 * only copy is lost. ERR_EXISTS when it is; what cannot be looked at could
 * be: that error. With d.
 */
enum err out_spare(const char *path, const char *device_id, out_take *take,
		   const void *t, struct detail *d) MUST_CHECK;

#endif
