#include "provision-tool/ticket_push.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/wire/ticket.h"

#define BODY_MAX 65536
#define ANSWER_MAX_LEN 65536

struct batch {
	struct ticket_burn burns[TICKET_PUSH_MAX];
	struct ticket_result results[TICKET_PUSH_MAX];
	size_t n;
};

static enum err
send_batch(struct client *client, const char *id, struct batch *b,
	   struct detail *d)
{
	struct buf body = {.max = BODY_MAX}, answer = {.max = ANSWER_MAX_LEN};
	struct problem why;
	char path[64];
	size_t n = 0;
	enum err e;

	memset(&why, 0, sizeof(why));
	(void)snprintf(path, sizeof(path), "/v1/tickets/%s/push", id);
	e = wire_ticket_push_encode(b->burns, b->n, &body);
	if (e == ERR_OK)
		e = client_call(client, "POST", path, NULL, &body, &answer,
				&why);
	if (e != ERR_OK && why.detail[0] != '\0')
		detail_set(d, "%.199s", why.detail);
	if (e == ERR_OK && (wire_ticket_results_decode(answer.p, answer.len,
						       b->results, &n, d) !=
				ERR_OK ||
			    n != b->n)) {
		detail_set(d, "the answer is not one to these burns");
		e = ERR_INTERNAL;
	}
	buf_free(&body);
	buf_free(&answer);
	return e;
}

/* What the authority said, of the rows it is of. */
static void
keep(struct ticket_book *book, const struct batch *b)
{
	const struct ticket_result *r;
	struct ticket_entry *row;
	size_t i;

	for (i = 0; i < b->n; i++) {
		r = &b->results[i];
		row = ticket_book_device(book, r->dn);
		if (row == NULL)
			continue;
		(void)snprintf(row->pushed, sizeof(row->pushed), "%s",
			       err_code(r->outcome));
		if (r->outcome != ERR_OK)
			(void)fprintf(stderr, "provision-tool: unit %s: push: "
				      "%s%s%s (%s)\n", row->serial,
				      err_text(r->outcome),
				      r->detail.text[0] == '\0' ? "" : ": ",
				      r->detail.text, err_code(r->outcome));
	}
}

enum err
ticket_push(struct client *client, struct ticket_book *book, struct detail *d)
{
	struct batch *b = calloc(1, sizeof(*b));
	enum err e = b == NULL ? ERR_NOMEM : ERR_OK;
	size_t i = 0;

	/* A burn that is told and then forgotten would be signed anew, and
	 * be a second one: all of them are on the disk first. */
	if (e == ERR_OK)
		e = ticket_book_save(book, d);

	while (e == ERR_OK && i < book->n) {
		for (b->n = 0; i < book->n && b->n < TICKET_PUSH_MAX; i++)
			if (book->rows[i].burned)
				b->burns[b->n++] = book->rows[i].burn;
		if (b->n == 0)
			break;
		e = send_batch(client, book->id, b, d);
		if (e == ERR_OK) {
			keep(book, b);
			e = ticket_book_save(book, d);
		}
	}
	free(b);
	return e;
}
