#ifndef AUTHD_EMBEDDED_IMPL_H
#define AUTHD_EMBEDDED_IMPL_H

#include <limits.h>
#include <stdint.h>
#include "authd/embedded.h"

#define EM_PATH 4096
#define EM_SUPERUSER "fealty_super"
#define EM_DATABASE "fealty"
#define EM_CONNINFO 256
#define EM_GROUPS 64

struct embedded {
	char dir[EM_PATH];
	char keys[EM_PATH];
	char bin[EM_PATH];
	char socket_dir[64];
	char user[64]; /* whom the server runs as */
	uid_t uid;
	gid_t gid;
	gid_t groups[EM_GROUPS];
	int ngroups;
	int drop;      /* authd is root: become user first */
	int lock_fd;
	int run_fd;    /* DIR/run */
	int db_fd;     /* DIR/db; inherited by the server */
	char data[64]; /* what the server calls its data directory */
	pid_t pid;
	int pause_ms;	   /* before the next restart */
	int64_t restart_at;
	char app[EM_CONNINFO];
	char owner[EM_CONNINFO];
	char super[EM_CONNINFO];
};

/* embedded_dir.c: everything on disk */
enum err em_user(struct embedded *em, const char *user, struct detail *d)
    MUST_CHECK;
enum err em_binaries(struct embedded *em, const char *bin_dir,
    struct detail *d) MUST_CHECK;
enum err em_layout(struct embedded *em, const char *dir, struct detail *d)
    MUST_CHECK;
/* Opens db/, making the cluster first when there is none. */
enum err em_cluster(struct embedded *em, struct detail *d) MUST_CHECK;
/* Who may connect: written at every start. */
enum err em_access(struct embedded *em, struct detail *d) MUST_CHECK;
enum err em_socket_dir(struct embedded *em, struct detail *d) MUST_CHECK;
void em_socket_remove(struct embedded *em);

/* embedded_run.c: everything that is a process */
/*
 * Forks argv as the database's user with its output in run/postgres.log and
 * keep_fd (or -1) as descriptor EM_KEEP_FD. die_with_us: it gets SIGINT
 * when this thread ends.
 */
#define EM_KEEP_FD 9
enum err em_spawn(struct embedded *em, char *const argv[], int keep_fd,
    int die_with_us, pid_t *out) MUST_CHECK;
/* Runs argv to its end, at most ms; ERR_IO unless it exits 0. */
enum err em_run(struct embedded *em, char *const argv[], int keep_fd,
    int64_t ms) MUST_CHECK;
/* Waits for the child at most ms: 1 gone, 0 still there. */
int em_wait(pid_t pid, int64_t ms, int *status);
/* 1 if the database's user may enter DIR/db by its path. */
int em_reachable(struct embedded *em, const char *path);
/* Ends the server that a killed authd left in db/. */
enum err em_end_leftover(struct embedded *em, struct detail *d) MUST_CHECK;
enum err em_server_spawn(struct embedded *em) MUST_CHECK;
enum err em_server_ready(struct embedded *em, struct detail *d) MUST_CHECK;
void em_sleep_ms(int ms);

#endif
