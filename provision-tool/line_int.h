#ifndef PROVISION_LINE_INT_H
#define PROVISION_LINE_INT_H

#include <pthread.h>
#include <stdatomic.h>

#include "provision-tool/line.h"
#include "provision-tool/progress.h"
#include "provision-tool/target.h"

/* What the files of the line share; nobody else includes this. */
#define LINE_QUEUE 256

struct line;
struct slot {
	struct line *line;
	unsigned number; /* from 1 */
	struct client *client;
	pthread_t thread;
	int started;
	char name[JOURNAL_TARGET_MAX + 1]; /* of its target; "" if each unit
					      has another */
	name_t serial; /* in hand, or "" */
};

struct line {
	const struct line_conf *conf;
	struct journal *journal;
	struct slot *slots;
	int wake;	 /* eventfd: there is news for line_run */
	int terminal;	 /* standard error is one: progress stays in a line */
	atomic_int halt; /* nothing more is to come alive */
	pthread_mutex_t lock; /* of what is below, and of the slots' serials */
	pthread_cond_t news;  /* of it; times are monotonic */
	struct unit queue[LINE_QUEUE];
	size_t queued;
	int fed;  /* nothing more will be queued */
	int stop; /* no unit is begun any more */
	const char *why; /* it stopped by itself, and what to do; or NULL */
	struct progress p;
	uint64_t refused, again; /* of those failed; to be tried again */
};

/* The target of a unit in a slot; ERR_REQUEST with d. */
enum err line_target(const struct line_conf *c, unsigned slot,
		     const char *serial, struct target **out,
		     struct detail *d) MUST_CHECK;
/*
 * So for a slot of which nobody's unit is known yet; numbers and names it,
 * once those before it are. ERR_REQUEST with d, too, when one of them is the
 * same place: for two devices at once that would be one identity in both.
 */
enum err line_name_slot(const struct line_conf *c, struct slot *slots,
			unsigned number, struct target **out,
			struct detail *d) MUST_CHECK;
/* A slot's thread. */
void *slot_main(void *slot);

#endif
