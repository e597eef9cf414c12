#ifndef TESTS_AUTHD_FIXTURE_H
#define TESTS_AUTHD_FIXTURE_H

#include <sys/types.h>
#include <stdint.h>

/*
 * A real authd process of one test, on its embedded database, in a new folder
 * of $FEALTY_TEST_DIR or /tmp and on ports of its own. It dies with the test.
 * The program is $FEALTY_AUTHD or authd/authd of the build.
 */
struct authd_fixture;
/* extra: more options, NULL-terminated, or NULL. 0 when it is ready. */
int authd_fixture_start(const char *const *extra,
    struct authd_fixture **out);
/*
 * One more authd on the same database and keys, by polling options of its
 * own. Stop it before the first.
 */
int authd_fixture_second(const struct authd_fixture *first,
    const char *const *extra, struct authd_fixture **out);
/* The same on the database behind another Unix socket in socket_dir. */
int authd_fixture_moved(const struct authd_fixture *first,
    const char *socket_dir, const char *const *extra,
    struct authd_fixture **out);
uint16_t authd_fixture_api(const struct authd_fixture *f);
uint16_t authd_fixture_device(const struct authd_fixture *f);
const char *authd_fixture_url(const struct authd_fixture *f);
const char *authd_fixture_admin(const struct authd_fixture *f); /* fc_… */
const char *authd_fixture_dir(const struct authd_fixture *f); /* DIR */
const char *authd_fixture_log(const struct authd_fixture *f); /* path */
pid_t authd_fixture_pid(const struct authd_fixture *f);
/* kill -9 of authd and of its PostgreSQL, at once. */
void authd_fixture_crash(struct authd_fixture *f);
/* Starts again what was ended or crashed; ports may differ. 0 when ready. */
int authd_fixture_restart(struct authd_fixture *f);
/* SIGTERM; the exit status, or -1 when it had to be killed. */
int authd_fixture_end(struct authd_fixture *f);
/* Ends it and removes its folder. NULL is fine. */
void authd_fixture_stop(struct authd_fixture **f);

#endif
