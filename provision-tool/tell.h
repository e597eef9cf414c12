#ifndef PROVISION_TELL_H
#define PROVISION_TELL_H

#include "provision-tool/burn.h"

/* What became of a unit, for people and for the line's own system. */
struct told {
	const char *serial, *step;
	unsigned slot; /* from 1; 0: there are none */
	enum err e;
	const struct detail *detail;
	const struct device *device; /* when e is ERR_OK */
	const char *target;
	int resumed; /* went on from the journal */
	int before;  /* had been done before, nothing was asked */
	const char *verified; /* proven again, by which proof; or NULL */
	int scrapped; /* it is void */
	int halted;  /* stopped before anything was alive */
	uint64_t ms; /* it took */
};
/*
 * One line on standard error: the unit, the step, what is wrong as authctl
 * says it ("text: detail (code)"), what to do.
 */
void tell_failure(const struct told *t);
/* The same for what a burn stands on: the fault is in the options, and the
 * detail, where there is one, says it better than the error's own text. */
void tell_options(const char *serial, const char *what, enum err e,
		  const struct detail *d);
/*
 * What was scanned is no serial number: tells so and gives the exit code, as
 * that is the unit's fault and not the command's. 0 when it is one.
 */
int tell_serial(const char *serial);
/* "burned ...", "verified ...", "void ..." on standard output; nonzero
 * if that cannot be written. */
int tell_burned(const struct told *t);
/*
 * One JSON object and a line end on standard output, whatever became of the
 * unit (docs/line.md); nonzero if that cannot be written.
 */
int tell_json(const struct told *t);
/* What became of the one unit of a command: by JSON always, else when well. */
void tell_unit(const struct told *t, int json);
/* As DESIGN has it: 0, 1 (refused) or 3 (try again). */
int tell_exit(enum err e);

#endif
