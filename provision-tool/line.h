#ifndef PROVISION_LINE_H
#define PROVISION_LINE_H

#include "provision-tool/feed.h"
#include "provision-tool/station.h"

/*
 * Units side by side, each in a slot of its own: a thread, a connection to
 * the authority and a target. Nothing that one slot waits for (the
 * authority, a tool, a device) holds up another; they share the journal's
 * fsyncs (docs/line.md).
 */
#define LINE_SLOTS_MAX 256
struct line_conf {
	const struct label *label;
	const struct station *st; /* the target may hold {slot}, {serial} */
	unsigned slots;		  /* 1 to LINE_SLOTS_MAX */
	int json;
	int again;	  /* what the journal says is done is looked at too */
	uint64_t wait_ms; /* for passing trouble, a unit */
};
/*
 * Burns what comes until the feed is over or a signal says to stop. Prints
 * all that is to be said; an exit code. One line a process.
 */
int line_run(const struct line_conf *conf, struct feed *f);

#endif
