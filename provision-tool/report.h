#ifndef PROVISION_REPORT_H
#define PROVISION_REPORT_H

#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/revoke/wordtab.h"

/* How an order goes at this station, out of its statistics. */
#define REPORT_STEPS 12
#define REPORT_CAUSES 64

struct report_step {
	char name[16];
	uint32_t *ms; /* n of them; sorted by report_finish */
	size_t n, room;
};
struct report_cause {
	char step[16], code[48];
	uint64_t n; /* tries that ended so */
};
struct report {
	struct report_step steps[REPORT_STEPS]; /* in the order they are met */
	unsigned nsteps;
	struct report_cause causes[REPORT_CAUSES];
	unsigned ncauses;
	uint64_t other; /* failures of causes beyond those */
	struct wordtab units; /* by their serial numbers */
	/* by report_finish */
	uint64_t begun, done, first; /* first: at the first try */
};
/* Reads the file; one that is not there has nothing in it. ERR_IO. */
enum err report_read(const char *path, struct report *r) MUST_CHECK;
void report_finish(struct report *r);
/* The value that p of 100 are not above; of a finished step with n > 0. */
uint32_t report_percentile(const struct report_step *s, unsigned p);
void report_free(struct report *r);

#endif
