#ifndef PROVISION_TICKET_PUSH_H
#define PROVISION_TICKET_PUSH_H

#include "lib/client/client.h"
#include "provision-tool/ticket_book.h"

/*
 * Tells the authority of every burn in the book, those that it has been told
 * of before, too: what was found to be burned twice meanwhile is so heard of.
 * The book's rows say what it made of each. An error: of the whole, with d;
 * what has been told is in the book all the same.
 */
enum err ticket_push(struct client *client, struct ticket_book *book,
		     struct detail *d) MUST_CHECK;

#endif
