#ifndef AUTHD_KEYS_H
#define AUTHD_KEYS_H

#include "lib/base/err.h"

/*
 * The files of the keys directory (0700): kek, the key-encryption key, and
 * admin.credential, both 0600 and outside the database.
 */
struct core;
/*
 * Makes a random key-encryption key at path unless there is a file. Only for
 * a database (conninfo, schema in place) in which nothing is sealed yet: for
 * any other ERR_CONFIG, as the file is missing.
 */
enum err keys_make_kek(const char *path, const char *database,
    struct detail *d) MUST_CHECK;
/*
 * A database without an admin gets one, its credential in
 * DIR/admin.credential before anything says so.
 */
enum err keys_first_admin(struct core *core, const char *dir,
    struct detail *d) MUST_CHECK;

#endif
