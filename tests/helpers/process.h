#ifndef TESTS_PROCESS_H
#define TESTS_PROCESS_H

#include <sys/types.h>
#include <stddef.h>

/*
 * Programs as a test runs them: in a process group of their own that dies
 * with the test. A name without a slash is searched in PATH; one that begins
 * with "build:" is a program of the build ($FEALTY_BUILD_DIR or the current
 * folder).
 */
struct ran {
	int status; /* exit status; -1: by a signal, or in the end by us */
	size_t out_len;
	char out[262144]; /* standard output, NUL-terminated, cut */
	char err[16384];  /* standard error, likewise */
};
/* Runs argv to its end, input (or NULL) its standard input. r->status. */
int process_run(const char *const *argv, const char *input,
    unsigned seconds, struct ran *r);

/* Starts argv, its output appended to the files out and err; 0 on failure. */
pid_t process_start(const char *const *argv, const char *out,
    const char *err);
/* Has it ended? Then *status is as of struct ran and *pid 0. */
int process_ended(pid_t *pid, int *status);
/* Sends sig, waits, kills its group. The status; *pid is 0 then. */
int process_stop(pid_t *pid, int sig);

/* To a process (of a server, say) and its children. */
void process_signal_family(pid_t pid, int sig);

/* A pause between two looks at what is waited for. */
void process_pause(void);
/* Now plus seconds, for process_left: 1 until then. */
long process_deadline(unsigned seconds);
int process_left(long deadline);

/* The file's octets, NUL-terminated, at most size - 1; its length, or -1. */
ssize_t file_text(const char *path, char *out, size_t size);
/* Polls until the file contains text; 0 when it did within the time. */
int file_wait(const char *path, const char *text, unsigned seconds);

#endif
