#ifndef PROVISION_RUN_H
#define PROVISION_RUN_H

#include "lib/base/buf.h"

/*
 * A command in a process group of its own, without a shell, for a bounded
 * time. It has nothing of ours: standard input is empty; of the environment
 * only PATH, HOME, USER, LOGNAME, LANG, LC_ALL, TZ, TMPDIR, TERM and
 * FEALTY_DEVICE_ID; of descriptors only 0, 1, 2 and 3. Descriptor 3 reads
 * in, from memory that nobody can change.
 *
 * What it leaves running when it ends is killed. When the time is over, the
 * group gets SIGTERM, and two seconds later SIGKILL.
 */
#define RUN_FD 3
struct run {
	char *const *argv;
	const char *device_id;
	const void *in;
	size_t inlen;
	int timeout_ms;
	int chatty; /* out is cut at its max, too */
};
/*
 * ERR_OK when it ended with status 0; out (limited by its max) and err (cut
 * at its max) have what it printed, also on failure. ERR_TIMEOUT;
 * ERR_TOO_LARGE when out is full and may not be cut; ERR_IO for another
 * status; with d.
 */
enum err run_command(const struct run *r, struct buf *out, struct buf *err,
		     struct detail *d) MUST_CHECK;

#endif
