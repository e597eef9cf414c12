#ifndef STORE_BOOTSTRAP_H
#define STORE_BOOTSTRAP_H

#include "lib/base/err.h"

/*
 * What a superuser does to a cluster before the migrations: the roles
 * (roles_file, sql/roles.sql) and the database, owned by fealty_owner. Again
 * without harm. conninfo names a superuser and the database postgres.
 */
enum err store_bootstrap(const char *conninfo, const char *roles_file,
    const char *database, struct detail *d) MUST_CHECK;
/* ERR_OK when the server takes connections, else ERR_STORE. */
enum err store_ping(const char *conninfo) MUST_CHECK;

#endif
