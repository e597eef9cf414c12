#ifndef AUTHD_EMBEDDED_H
#define AUTHD_EMBEDDED_H

#include <sys/types.h>
#include "lib/base/err.h"

/*
 * A private PostgreSQL of this authd, in a directory of its own and on a
 * Unix socket; it never touches another cluster. Layout of dir (0700, made
 * when missing):
 *   db/             the cluster, of the database's user
 *   keys/           0700, for the caller: out of the database's reach
 *   run/            lock, socket-dir (where the socket is), postgres.log
 * One authd a directory; the lock is held until embedded_stop or death.
 */
struct embedded;
struct embedded_conf {
	const char *dir;
	const char *db_user;	/* NULL: when root, "fealty" or "postgres" */
	const char *bin_dir;	/* of initdb and postgres; NULL: searched */
	const char *roles_file; /* sql/roles.sql */
};
/*
 * Makes the cluster when there is none, ends what a killed authd left,
 * starts PostgreSQL and waits until it takes connections; makes roles and
 * database. Call from the main thread, which must outlive it: the server
 * dies with the thread that forked it. ERR_CONFIG, ERR_BUSY (another authd
 * has the directory), ERR_IO, ERR_STORE with d.
 */
enum err embedded_start(const struct embedded_conf *conf,
    struct embedded **out, struct detail *d) MUST_CHECK;
/* libpq strings, valid until embedded_stop. */
const char *embedded_app(const struct embedded *em);   /* fealty_app */
const char *embedded_owner(const struct embedded *em); /* fealty_owner */
const char *embedded_keys(const struct embedded *em);  /* DIR/keys */
pid_t embedded_pid(const struct embedded *em);	       /* 0: not running */
/*
 * Call about once a second, from the main thread: restarts the server when
 * it has died, with growing pauses. ERR_OK when it runs; ERR_STORE when it
 * is down or has just been started again.
 */
enum err embedded_check(struct embedded *em) MUST_CHECK;
/* Fast shutdown, bounded; sessions should be closed. NULL is fine. */
void embedded_stop(struct embedded **em);

#endif
