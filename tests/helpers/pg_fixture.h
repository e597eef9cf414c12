#ifndef TESTS_PG_FIXTURE_H
#define TESTS_PG_FIXTURE_H

#include <sys/types.h>
#include "lib/base/err.h"

/*
 * A private PostgreSQL of one test, with the schema applied, in a new
 * folder of $FEALTY_TEST_DIR or /tmp. Gone after pg_fixture_stop; it dies
 * with the test in any case.
 */
struct pg_fixture;
/* 0 when it runs; says on standard error why not. */
int pg_fixture_start(struct pg_fixture **out);
const char *pg_fixture_app(const struct pg_fixture *f);	  /* conninfo */
const char *pg_fixture_owner(const struct pg_fixture *f); /* conninfo */
const char *pg_fixture_sql_dir(void);
/* kill -9 of the server, at once; starts it again and waits. 0 done. */
int pg_fixture_crash(struct pg_fixture *f);
int pg_fixture_revive(struct pg_fixture *f);
void pg_fixture_stop(struct pg_fixture **f); /* NULL is fine */

/* Removes a folder with all in it; 0 done. For what tests made. */
int remove_tree(const char *path);

#endif
