#ifndef WIRE_TICKET_H
#define WIRE_TICKET_H

#include "lib/model/ticket.h"
#include "lib/wire/wire.h"

/* Tickets: pull and push (docs/api.md, "Tickets"; docs/tickets.md). */

enum err wire_ticket_request_decode(const char *s, size_t len,
				    struct ticket_request *out,
				    struct detail *d) MUST_CHECK;
enum err wire_ticket_request_encode(const struct ticket_request *r,
				    struct buf *out) MUST_CHECK;

/* The ticket itself; what is decoded is freed by ticket_free. */
enum err wire_ticket_decode(const char *s, size_t len, struct ticket *out,
			    struct detail *d) MUST_CHECK;
enum err wire_ticket_encode(const struct ticket *t, struct buf *out) MUST_CHECK;

/* {"burns":[…]}: at most TICKET_PUSH_MAX rows, *n of them. */
enum err wire_ticket_push_decode(const char *s, size_t len,
				 struct ticket_burn *rows, size_t *n,
				 struct detail *d) MUST_CHECK;
enum err wire_ticket_push_encode(const struct ticket_burn *rows, size_t n,
				 struct buf *out) MUST_CHECK;

/* {"results":[…]}, in the order of the burns. */
enum err wire_ticket_results_decode(const char *s, size_t len,
				    struct ticket_result *rows, size_t *n,
				    struct detail *d) MUST_CHECK;
enum err wire_ticket_results_encode(const struct ticket_result *rows, size_t n,
				    struct buf *out) MUST_CHECK;

/* One burn, as it stands in a push: for a station's own journal, too. */
void wire_ticket_burn_read(struct jin *in, struct ticket_burn *b);
json_t *wire_ticket_burn_json(const struct ticket_burn *b);

#endif
