#ifndef TESTS_CRASH_DISK_H
#define TESTS_CRASH_DISK_H

#include <stdint.h>
#include "tests/crash/cut.h"

/*
 * The disk of a station: a folder whose files survive a power cut only as far
 * as they were synced, as cutfs.so has seen it. Failures fail the test.
 */
struct disk {
	char root[CUT_PATH], hold[CUT_PATH];
};

enum power {
	POWER_STAYS,   /* all that was written is there: a mere kill */
	POWER_DROPS,   /* of what was not synced nothing is there */
	POWER_CHANCES, /* of every file, of every name, one or the other; of a
			* file also a part, or zeros */
};

/* Makes the folders dir/NAME and dir/NAME.hold. */
void disk_open(struct disk *d, const char *dir, const char *name);
/* What is there is synced. */
void disk_settle(const struct disk *d);
/* Cuts the power: root holds what the next boot finds. */
void disk_cut(const struct disk *d, enum power how, uint64_t *seed);
void disk_close(struct disk *d); /* removes it */

/* Numbers by a seed (splitmix64); below n, which is not 0. */
uint64_t chance(uint64_t *seed, uint64_t n);

#endif
