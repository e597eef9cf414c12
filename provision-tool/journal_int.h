#ifndef PROVISION_JOURNAL_INT_H
#define PROVISION_JOURNAL_INT_H

#include <sys/types.h>
#include <pthread.h>

#include "lib/base/buf.h"
#include "provision-tool/journal.h"

/* What the files of the journal share; nobody else includes this. */
#define JOURNAL_LINE_MAX 2048

struct journal_index;
struct journal_batch;
struct journal {
	int fd;
	name_t order;
	struct journal_index *index; /* NULL: looked up by reading it all */
	pthread_mutex_t lock;	     /* of what is below */
	pthread_cond_t landed;	     /* a batch is on the disk, or failed */
	struct journal_batch *open;  /* takes lines until somebody writes it */
	int writing;
	int broken; /* errno of a sync that failed; no line counts after it */
};

enum err journal_line_encode(const struct journal_entry *e,
			     struct buf *out) MUST_CHECK;
/* A line without its end; any error for what is no entry. */
enum err journal_line_decode(const char *s, size_t len,
			     struct journal_entry *out) MUST_CHECK;

/*
 * Calls line(arg, text, len, offset) for each whole line from *seen on, which
 * moves behind what was read; a torn tail is left. It reads by offset, as
 * writers in other threads move the file's own position.
 */
typedef enum err journal_line_fn(void *arg, const char *s, size_t len,
				 off_t at);
enum err journal_walk(int fd, off_t *seen, journal_line_fn *line,
		      void *arg) MUST_CHECK;

/*
 * Where the newest line of each serial number is. Thread safe. journal_last
 * by it first reads what has come to the file since.
 */
enum err journal_index_new(struct journal_index **out) MUST_CHECK;
void journal_index_free(struct journal_index **x);
enum err journal_index_last(struct journal_index *x, int fd,
			    const char *serial,
			    struct journal_entry *out) MUST_CHECK;

#endif
