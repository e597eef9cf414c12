#ifndef PROVISION_TICKET_FILE_H
#define PROVISION_TICKET_FILE_H

#include "lib/base/buf.h"
#include "lib/crypt/signer.h"
#include "lib/model/ticket.h"

/*
 * A ticket on the station's disk: the authority's answer as it came, behind
 * a line with the signature of the station's own key, so that nobody without
 * that key can change whom a device is to trust (docs/tickets.md):
 *   "fealty-ticket-v1 " SIGNATURE "\n" JSON
 */
#define TICKET_TEXT_MAX ((size_t)4 << 20)

/* Signs and writes it, mode 0600, whole or not at all. ERR_EXISTS, ERR_IO. */
enum err ticket_file_write(const char *path, const struct signer *key,
			   const struct buf *json) MUST_CHECK;
/*
 * ERR_NOT_FOUND, ERR_IO, ERR_RECORD (torn, no ticket), ERR_TICKET_SIGNATURE
 * (changed, or of another station's key), with d. ticket_free(out).
 */
enum err ticket_file_read(const char *path, const struct signer *key,
			  struct ticket *out, struct detail *d) MUST_CHECK;

#endif
