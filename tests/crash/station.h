#ifndef TESTS_CRASH_STATION_H
#define TESTS_CRASH_STATION_H

#include "tests/scenario/world.h"
#include "tests/crash/disk.h"

/*
 * A station of a production order on a disk of its own, and what has to be
 * true of every unit it burns, at any moment. Failures of the harness fail
 * the test; what is wrong with a unit is a finding, a text.
 */
struct station;
struct kind {
	const char *name;
	const char *target; /* % the folder on the disk, ^ one off it */
	const char *suffix;
	/* the record out of the file of a unit; its length, 0: none there */
	size_t (*record)(const char *octets, size_t len, char *out);
	int off_disk; /* the device is no part of the station's disk */
};
extern const struct kind kinds[];
extern const size_t nkinds;
const struct kind *kind_find(const char *name);

#define UNITS_MAX 64
struct station {
	struct world *w;
	const struct kind *kind;
	char name[64], order[64];
	struct disk disk;
	struct cut *cut; /* shared with the tool it runs */
	char cut_path[ROOM], credential[ROOM], out[ROOM], err[ROOM];
	char said[4096]; /* the tool's last words */
	char units[UNITS_MAX][16]; /* begun on this disk */
	size_t nunits;
	uint64_t *seed;
	/* 0: one unit a run; else it runs a line of so many, from the one that
	 * is named on, side by side in so many slots */
	unsigned line, slots;
};
/* The tool's calls that can be cut, in all and of CUT_SPACE, of one burn. */
struct calls {
	unsigned all, space;
};

/* The order must be there, and station name may burn it by credential. */
void station_open(struct station *s, struct world *w, const struct kind *kind,
    const char *name, const char *order, uint64_t *seed);
void station_close(struct station *s);
/* Another disk, empty. */
void station_new_disk(struct station *s);
/* What happens to the tool's next run; counts from anew. */
void station_arm(struct station *s, enum cut_action action, unsigned scope,
    unsigned at);
/* Starts the tool on a unit, or a line, cutfs.so preloaded. */
pid_t station_start(struct station *s, const char *serial);
/* When it has ended: 1, and s->said. As process_ended. */
int station_ended(struct station *s, pid_t *pid, int *status);
/* Runs it to its end: the exit status, -1 for a signal. */
int station_burn(struct station *s, const char *serial);

/*
 * Holds the database against the journal and the devices, for every unit of
 * the disk: at most one live identity a unit; where there is one, a device
 * has it and authd takes its word. done: that one has to be there, and the
 * journal must say so. 0, or 1 with the finding.
 */
int station_finding(struct station *s, int done, char out[ROOM]);
/* No identities were made beside the units': the order's counter says so. */
int order_finding(struct world *w, const char *order, char out[ROOM]);

/* cutfs.so for programs started from now on, under that file; NULL: none. */
void preload(const char *cut_path);
/* A file to share with program. */
struct cut *cut_new(const char *path, const char *program);
/* Rounds and seed as the environment has them (CRASH_ROUNDS, CRASH_SEED);
 * prints the seed. */
unsigned crash_rounds(unsigned otherwise);
uint64_t crash_seed(void);

#endif
