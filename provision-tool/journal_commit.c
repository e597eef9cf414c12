#include "provision-tool/journal_int.h"

#include <sys/file.h>
#include <sys/stat.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/*
 * Group commit: lines that come while others are being written wait together
 * and share the next write and its fsync.
 */
#define BATCH_MAX (1024 * JOURNAL_LINE_MAX)

struct journal_batch {
	struct buf lines;
	unsigned waiting; /* who has a line in it and has not seen its end */
	int done;
	enum err e;
	int why; /* errno of it */
};

/* 1 if the file ends within a line that a crash tore; -1 for an error. */
static int
ends_torn(int fd)
{
	struct stat st;
	char last;

	if (fstat(fd, &st) != 0)
		return -1;
	if (st.st_size == 0)
		return 0;
	if (pread(fd, &last, 1, st.st_size - 1) != 1)
		return -1;
	return last != '\n';
}

/* A full disk takes a part, and says why when it is asked for the rest. */
static enum err
put_all(int fd, const char *p, size_t len)
{
	ssize_t n;

	while (len > 0) {
		n = write(fd, p, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return ERR_IO;
		p += n;
		len -= (size_t)n;
	}
	return ERR_OK;
}

static enum err
append_locked(int fd, const struct buf *lines, int *broken)
{
	int torn = ends_torn(fd);

	if (torn < 0 || (torn && put_all(fd, "\n", 1) != ERR_OK) ||
	    put_all(fd, lines->p, lines->len) != ERR_OK)
		return ERR_IO;
	if (fsync(fd) == 0)
		return ERR_OK;
	*broken = errno;
	return ERR_IO;
}

/*
 * A sync that failed may have lost the file's pages and will not say so
 * twice: what is written behind could stand after a hole. So nothing is.
 */
static void
write_batch(struct journal *j, struct journal_batch *b)
{
	int broken = 0;

	b->e = ERR_IO;
	if (flock(j->fd, LOCK_EX) == 0)
		b->e = append_locked(j->fd, &b->lines, &broken);
	b->why = errno;
	(void)flock(j->fd, LOCK_UN);
	(void)pthread_mutex_lock(&j->lock);
	if (broken != 0)
		j->broken = broken;
}

/* With the lock, which it gives away while the disk works. */
static void
lead(struct journal *j)
{
	struct journal_batch *b = j->open;

	j->open = NULL;
	j->writing = 1;
	(void)pthread_mutex_unlock(&j->lock);
	write_batch(j, b);
	j->writing = 0;
	b->done = 1;
	(void)pthread_cond_broadcast(&j->landed);
}

static void
leave(struct journal_batch *b)
{
	if (--b->waiting > 0)
		return;
	buf_free(&b->lines);
	free(b);
}

static enum err
join(struct journal *j, const struct buf *line, struct journal_batch **out)
{
	enum err e;

	if (j->open == NULL) {
		j->open = calloc(1, sizeof(*j->open));
		if (j->open == NULL)
			return ERR_NOMEM;
		j->open->lines.max = BATCH_MAX;
	}
	if ((e = buf_add(&j->open->lines, line->p, line->len)) != ERR_OK) {
		if (j->open->waiting == 0) {
			free(j->open);
			j->open = NULL;
		}
		return e;
	}
	j->open->waiting++;
	*out = j->open;
	return ERR_OK;
}

static enum err
commit(struct journal *j, const struct buf *line, int *why)
{
	struct journal_batch *b = NULL;
	enum err e;

	if ((e = join(j, line, &b)) != ERR_OK)
		return e;
	while (!b->done) {
		if (j->writing) {
			(void)pthread_cond_wait(&j->landed, &j->lock);
		} else if (j->broken != 0) { /* while this batch gathered */
			j->open = NULL;
			b->done = 1;
			b->e = ERR_IO;
			b->why = j->broken;
			(void)pthread_cond_broadcast(&j->landed);
		} else {
			lead(j);
		}
	}
	e = b->e;
	*why = b->why;
	leave(b);
	return e;
}

enum err
journal_note(const struct journal_entry *entry, struct buf *lines)
{
	struct buf line = {.max = JOURNAL_LINE_MAX};
	enum err e;

	lines->max = JOURNAL_NOTES_MAX * JOURNAL_LINE_MAX;
	if ((e = journal_line_encode(entry, &line)) == ERR_OK)
		e = buf_add(lines, line.p, line.len);
	buf_free(&line);
	return e;
}

enum err
journal_commit(struct journal *j, struct buf *lines)
{
	enum err e;
	int why = 0;

	if (lines->len == 0)
		return ERR_OK;
	(void)pthread_mutex_lock(&j->lock);
	e = commit(j, lines, &why);
	(void)pthread_mutex_unlock(&j->lock);
	buf_reset(lines);
	errno = why;
	return e;
}

enum err
journal_append(struct journal *j, const struct journal_entry *entry)
{
	struct buf line = {0};
	enum err e;

	if ((e = journal_note(entry, &line)) == ERR_OK)
		e = journal_commit(j, &line);
	buf_free(&line);
	return e;
}
