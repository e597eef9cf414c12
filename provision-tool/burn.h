#ifndef PROVISION_BURN_H
#define PROVISION_BURN_H

#include <stdatomic.h>

#include "lib/client/client.h"
#include "lib/model/exchange.h"
#include "provision-tool/journal.h"
#include "provision-tool/target.h"

/*
 * One unit's burn, a transaction in steps: reserve, release, write,
 * read-back, prove, confirm (docs/api.md, "The burn"). Of each step there is
 * a line in the journal; that the unit is written is on the disk before it is
 * read back and confirmed, and that it is confirmed before it is locked or
 * said to be done. Run again after a crash anywhere, it ends with exactly
 * one live identity:
 *  - reserve gives the same serial number its same place;
 *  - release gives this station the same key until the authority confirmed;
 *  - write is all or nothing;
 *  - confirm may be repeated; and when it can be no more (the challenge has
 *    expired), the authority's state of the device tells how it went.
 */
#define BURN_MARKS 16
struct burn_mark {
	const char *step;
	int64_t at; /* it began, monotonic ms */
};
struct burn_ticket;
struct burn {
	/* filled by the caller, which owns them */
	struct client *client;
	struct journal *journal;
	struct target *target;
	const char *order, *serial;
	const atomic_int *halt; /* NULL; else not 0: stop before a step that
				   brings the unit nearer to be alive */
	const struct burn_ticket *ticket; /* NULL: ask the authority */
	/* results */
	struct device device;
	const char *step; /* where it stopped */
	struct detail detail;
	int unnoted; /* the journal would not take it */
	int halted;  /* stopped by halt, ERR_BUSY: nothing is alive */
	int away;    /* it is the authority that cannot be had now */
	int resumed; /* went on from the journal, no key was released */
	struct burn_mark marks[BURN_MARKS];
	unsigned nmarks;
	/* inside; wiped by burn_run */
	struct journal_entry unit;
	struct buf noted; /* lines that may wait for the next that may not */
	struct secret record;
	unsigned char answer[ANSWER_MAX];
};
/*
 * ERR_OK: the unit holds the identity b->device, which is active. Otherwise
 * b->step and b->detail say where and why; the same call again goes on.
 */
enum err burn_run(struct burn *b) MUST_CHECK;
/* 1 for a step that is the target's alone: no other unit fails of that. */
int burn_at_target(const char *step);
/*
 * 1 and the journal's entry when this order's unit was finished by a target
 * of that kind: not held against target nor authority.
 */
int burn_before(struct journal *j, const char *serial, const struct target *t,
		struct journal_entry *out);

#endif
