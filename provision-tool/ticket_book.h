#ifndef PROVISION_TICKET_BOOK_H
#define PROVISION_TICKET_BOOK_H

#include "lib/model/ticket.h"

/*
 * What a station has done with a ticket: DIR/ticket-ID.book, mode 0600, one
 * JSON object, always replaced whole and on the disk before a call returns.
 * It goes by the ticket's id, so that all copies of a ticket on one station
 * share it: no identity is taken twice, and none is lost in a crash. No key
 * is in it. One process has it open at a time.
 */
struct ticket_entry {
	uint64_t dn;
	name_t serial;
	char target[1024];
	int burned; /* burn is signed */
	struct ticket_burn burn;
	char pushed[64]; /* what the authority said of it; "" not yet */
};
struct ticket_book {
	char path[4096];
	int lock;
	ticket_id_t id;
	size_t n;
	struct ticket_entry *rows; /* TICKET_UNITS_MAX of them */
};
/*
 * Read anew, and locked; waits BOOK_WAIT_S at most for who has it. ERR_BUSY,
 * ERR_IO, ERR_RECORD (no book), with d.
 */
#define BOOK_WAIT_S 60
enum err ticket_book_open(const char *dir, const char *id,
			  struct ticket_book *b, struct detail *d) MUST_CHECK;
/* That row of the serial, or of the device; NULL. */
struct ticket_entry *ticket_book_serial(struct ticket_book *b,
					const char *serial);
struct ticket_entry *ticket_book_device(struct ticket_book *b, uint64_t dn);
/* A new row, zeroed; NULL when full. */
struct ticket_entry *ticket_book_add(struct ticket_book *b);
/* ERR_IO with d. */
enum err ticket_book_save(const struct ticket_book *b,
			  struct detail *d) MUST_CHECK;
void ticket_book_close(struct ticket_book *b);

#endif
