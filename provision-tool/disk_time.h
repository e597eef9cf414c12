#ifndef PROVISION_DISK_TIME_H
#define PROVISION_DISK_TIME_H

#include <stdint.h>

#include "lib/base/err.h"

/*
 * The time that the disk of a folder takes to append a journal's line for
 * good: the median of some fsyncs, in ns. ERR_IO with d when it cannot.
 */
enum err disk_time(const char *dir, uint64_t *ns, struct detail *d) MUST_CHECK;

#endif
