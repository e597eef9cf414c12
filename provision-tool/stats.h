#ifndef PROVISION_STATS_H
#define PROVISION_STATS_H

#include "provision-tool/burn.h"
#include "provision-tool/station.h"

/*
 * How burns went, for provision-tool report: a line a try in ORDER.stats.jsonl
 * beside the journal,
 *   {"t":TIME,"serial":…,"code":…,"step":…,"ms":[["reserve",N],…]}
 * code "ok" or the error's, step where it ended. Nothing hangs on it: the
 * journal is what a burn goes on from, and this file is not synced.
 */
#define STATS_STEPS 16
#define STATS_LINE_MAX 2048
struct stats_step {
	char name[JOURNAL_STEP_MAX + 1];
	uint32_t ms;
};
struct stats_try {
	name_t serial;
	char code[48], step[JOURNAL_STEP_MAX + 1];
	struct stats_step steps[STATS_STEPS];
	unsigned n;
};
/* Appends a try; any fault of that is passed over. Thread safe. */
void stats_note(const struct station *st, const struct burn *b, enum err e);
/* A line of the file; any error for what is none. */
enum err stats_decode(const char *s, size_t len, struct stats_try *out)
    MUST_CHECK;
/* The file's path. ERR_CONFIG with d. */
enum err stats_path(const struct station *st, char *out, size_t size,
		    struct detail *d) MUST_CHECK;

#endif
