#ifndef AUTHD_RUN_H
#define AUTHD_RUN_H

#include <stdint.h>
#include "lib/base/err.h"

/*
 * What others read of a running authd, in its run directory: authd.pid;
 * ports ("api=N" and "device=N" lines) once bound; ready once it serves and
 * is ready. dir NULL: nothing is written.
 */
void run_clear(const char *dir); /* of an earlier run */
enum err run_pid(const char *dir) MUST_CHECK;
enum err run_ports(const char *dir, uint16_t api, uint16_t device)
    MUST_CHECK;
enum err run_ready(const char *dir) MUST_CHECK;

#endif
