#include "provision-tool/unit.h"

#include "provision-tool/cmd.h"
#include "provision-tool/tell.h"

static enum err
open_all(const struct station *st, int journal, struct burn *b,
	 const char **step, struct detail *d)
{
	enum err e;

	*step = "target";
	if (st->target != NULL &&
	    (e = target_open(st->target, &b->target, d)) != ERR_OK)
		return e;
	*step = "journal";
	if (journal && (e = station_journal(st, &b->journal, d)) != ERR_OK)
		return e;
	return station_client(st, 0, &b->client, step, d);
}

int
unit_open(const struct station *st, const char *serial, int journal,
	  struct burn *b)
{
	struct detail d = {""};
	const char *step;
	enum err e;

	if ((e = open_all(st, journal, b, &step, &d)) != ERR_OK) {
		tell_options(serial, step, e, &d);
		return e == ERR_IO || e == ERR_NOMEM ? REFUSED : USAGE;
	}
	b->order = st->order;
	b->serial = serial;
	return GO_ON;
}

void
unit_close(struct burn *b)
{
	client_free(&b->client);
	journal_close(&b->journal);
	target_close(&b->target);
}
