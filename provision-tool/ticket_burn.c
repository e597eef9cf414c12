#include "provision-tool/ticket_burn.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/parse.h"
#include "lib/crypt/digest.h"
#include "lib/crypt/ticket_burn.h"
#include "provision-tool/burn_record.h"
#include "provision-tool/ticket_book.h"

static const struct ticket_unit *
unit_of(const struct ticket *t, uint64_t dn)
{
	uint32_t i;

	for (i = 0; i < t->n; i++)
		if (t->units[i].dn == dn)
			return &t->units[i];
	return NULL;
}

/* As the authority will have it once the burn is pushed. */
static enum err
set_device(struct burn *b, const struct ticket_unit *u)
{
	const struct ticket *t = b->ticket->ticket;
	struct device *dev = &b->device;

	memset(dev, 0, sizeof(*dev));
	memcpy(dev->device_id, u->device_id, sizeof(dev->device_id));
	memcpy(dev->order, t->order, sizeof(dev->order));
	memcpy(dev->model, t->model, sizeof(dev->model));
	dev->dn = u->dn;
	dev->epoch = u->epoch;
	dev->state = DEV_BURNING;
	dev->proof = target_proof(b->target);
	return copy_str(dev->serial, sizeof(dev->serial), b->serial);
}

/* By the station's own clock: a burn that could not be pushed is none. */
static enum err
in_time(struct burn *b)
{
	const struct ticket *t = b->ticket->ticket;
	char when[TIME_TEXT];

	if (t->expires_at > clock_wall_s(&clock_system))
		return ERR_OK;
	format_time(t->expires_at, when);
	detail_set(&b->detail, "at %s", when);
	return ERR_TICKET_EXPIRED;
}

static enum err
may_begin(struct burn *b)
{
	const struct ticket *t = b->ticket->ticket;
	struct order o = {.issued = 0};
	enum err e;

	if ((e = in_time(b)) != ERR_OK)
		return e;
	memcpy(o.serial_pattern, t->serial_pattern, sizeof(o.serial_pattern));
	if ((e = order_check_serial(&o, b->serial)) != ERR_OK)
		return e;
	if (proof_suffices(target_proof(b->target), t->min_proof))
		return ERR_OK;
	detail_set(&b->detail, "this order demands proof \"%s\"",
		   proof_name(t->min_proof));
	return ERR_PROOF;
}

/* The next identity that nobody here has taken. */
static enum err
take(struct burn *b, struct ticket_book *book, const struct ticket_unit **out)
{
	const struct ticket *t = b->ticket->ticket;
	struct ticket_entry *row;
	uint32_t i = 0;
	enum err e;

	if ((e = may_begin(b)) != ERR_OK)
		return e;
	while (i < t->n && ticket_book_device(book, t->units[i].dn) != NULL)
		i++;
	row = i < t->n ? ticket_book_add(book) : NULL;
	if (row == NULL) {
		detail_set(&b->detail, "all %u identities of the ticket are "
			   "taken: pull another", t->n);
		return ERR_ORDER_FULL;
	}
	row->dn = t->units[i].dn;
	e = copy_str(row->serial, sizeof(row->serial), b->serial);
	if (e == ERR_OK)
		e = copy_str(row->target, sizeof(row->target),
			     target_name(b->target));
	if (e == ERR_OK)
		e = ticket_book_save(book, &b->detail);
	if (e == ERR_OK)
		*out = &t->units[i];
	return e;
}

/* What this serial number has taken before, unless it is finished. */
static enum err
again(struct burn *b, const struct ticket_entry *row,
      const struct ticket_unit **out)
{
	const struct ticket_unit *u = unit_of(b->ticket->ticket, row->dn);

	if (row->burned) {
		detail_set(&b->detail, "it was burned by this ticket, into %s",
			   row->target);
		return ERR_SERIAL_USED;
	}
	if (u == NULL) {
		detail_set(&b->detail, "the ticket lacks device %llu",
			   (unsigned long long)row->dn);
		return ERR_RECORD;
	}
	*out = u;
	return may_begin(b);
}

enum err
ticket_reserve(struct burn *b)
{
	const struct ticket_unit *u = NULL;
	const struct ticket_entry *row;
	struct ticket_book book;
	enum err e;

	memset(&b->unit, 0, sizeof(b->unit));
	e = ticket_book_open(b->ticket->dir, b->ticket->ticket->id, &book,
			     &b->detail);
	if (e != ERR_OK)
		return e;
	row = ticket_book_serial(&book, b->serial);
	e = row == NULL ? take(b, &book, &u) : again(b, row, &u);
	ticket_book_close(&book);
	if (e == ERR_OK)
		e = set_device(b, u);
	if (e == ERR_OK) {
		memcpy(b->unit.device_id, u->device_id,
		       sizeof(b->unit.device_id));
		b->unit.epoch = u->epoch;
		b->unit.dn = u->dn;
	}
	return e;
}

/* What a release would have answered; the ticket's key opens it. */
enum err
ticket_release(struct burn *b)
{
	const struct ticket *t = b->ticket->ticket;
	const struct ticket_unit *u = unit_of(t, b->unit.dn);
	struct release rel;
	enum err e;

	if (u == NULL)
		return ERR_RECORD;
	memset(&rel, 0, sizeof(rel));
	memcpy(rel.key, u->key, sizeof(rel.key));
	memcpy(rel.issuer, t->issuer, sizeof(rel.issuer));
	memcpy(rel.peers, u->peers, sizeof(rel.peers));
	rel.npeers = u->npeers;
	rel.device = b->device;
	e = burn_record(b, b->ticket->open, &rel);
	if (e == ERR_OK)
		memcpy(b->unit.challenge, u->challenge,
		       sizeof(u->challenge));
	b->unit.has_challenge = e == ERR_OK;
	return e;
}

static enum err
sign_burn(const struct burn *b, struct ticket_entry *row)
{
	struct ticket_burn *burn = &row->burn;
	struct confirm *c = &burn->confirm;
	struct proof_message m;
	enum err e;

	memset(burn, 0, sizeof(*burn));
	burn->dn = b->unit.dn;
	memcpy(burn->device_id, b->unit.device_id, sizeof(burn->device_id));
	memcpy(burn->serial, row->serial, sizeof(burn->serial));
	c->epoch = b->unit.epoch;
	c->proof = target_proof(b->target);
	memcpy(c->challenge, b->unit.challenge, sizeof(c->challenge));
	memcpy(c->answer, b->answer, 32);
	e = random_bytes(burn->nonce, sizeof(burn->nonce));
	if (e == ERR_OK)
		e = ticket_message(b->ticket->ticket->id, burn, &m);
	if (e == ERR_OK)
		e = signer_sign(b->ticket->key, m.p, m.len, burn->signature);
	if (e == ERR_OK)
		e = copy_str(row->target, sizeof(row->target),
			     target_name(b->target));
	row->burned = e == ERR_OK;
	return e;
}

/* The row of this very unit. */
static enum err
find_row(struct burn *b, struct ticket_book *book, struct ticket_entry **out)
{
	const struct ticket_unit *u = unit_of(b->ticket->ticket, b->unit.dn);
	enum err e;

	e = ticket_book_open(b->ticket->dir, b->ticket->ticket->id, book,
			     &b->detail);
	if (e != ERR_OK)
		return e;
	*out = ticket_book_serial(book, b->serial);
	if (u != NULL && *out != NULL && (*out)->dn == b->unit.dn)
		return set_device(b, u);
	detail_set(&b->detail, "the ticket's book lacks the unit");
	return ERR_RECORD;
}

enum err
ticket_confirm(struct burn *b)
{
	struct ticket_entry *row = NULL;
	struct ticket_book book;
	enum err e;

	e = find_row(b, &book, &row);
	if (e == ERR_OK && !row->burned) { /* once: the nonce is random */
		e = in_time(b);
		if (e == ERR_OK)
			e = sign_burn(b, row);
		if (e == ERR_OK)
			e = ticket_book_save(&book, &b->detail);
	}
	ticket_book_close(&book);
	return e;
}

enum err
ticket_look_up(struct burn *b)
{
	struct ticket_entry *row = NULL;
	struct ticket_book book;
	enum err e;

	e = find_row(b, &book, &row);
	if (e == ERR_OK && !row->burned)
		e = ERR_WRONG_STATE;
	ticket_book_close(&book);
	return e;
}
