#ifndef TESTS_SCENARIO_LIFE_H
#define TESTS_SCENARIO_LIFE_H

#include "tests/crash/station.h"

/*
 * The life of some devices, over real processes, with all that goes wrong in
 * it: burns into every kind of file, by a line, without network; sessions,
 * rotations, tools that fail and chatter, a database that writes down all it
 * is told and refuses, programs that are aborted. What they hold is learned
 * for leak.h. Fails the test.
 */
extern struct world life_world; /* opened by it, closed by the caller */
extern int life_cores; /* so many of those that were aborted left a core */
void life_lead(void);

/* Runs a program, its output as that of all others: its exit status. */
int life_run(const char *const *argv);

#endif
