#include "provision-tool/journal_int.h"

#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/file.h"
#include "lib/base/parse.h"

enum err
journal_open(const char *dir, const char *order, struct journal **out,
	     struct detail *d)
{
	char path[PATH_MAX];
	struct journal *j = NULL;
	enum err e;
	int n;

	n = snprintf(path, sizeof(path), "%s/%s.jsonl", dir, order);
	if (n < 0 || (size_t)n >= sizeof(path))
		return ERR_TOO_LARGE;
	j = calloc(1, sizeof(*j));
	if (j == NULL)
		return ERR_NOMEM;
	j->fd = -1;
	(void)pthread_mutex_init(&j->lock, NULL);
	(void)pthread_cond_init(&j->landed, NULL);
	if ((e = copy_str(j->order, sizeof(j->order), order)) != ERR_OK)
		goto out;
	if ((e = dir_make(dir, 0700)) != ERR_OK) {
		detail_set(d, "journal folder %s: %s", dir, strerror(errno));
		goto out;
	}
	e = ERR_IO;
	j->fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW,
		     0600);
	if (j->fd < 0 || fchmod(j->fd, 0600) != 0) {
		detail_set(d, "journal %s: %s", path, strerror(errno));
		goto out;
	}
	/* so that the file's name, too, outlives a power cut */
	if (dir_sync(dir) != ERR_OK) {
		detail_set(d, "journal folder %s: %s", dir, strerror(errno));
		goto out;
	}
	*out = j;
	j = NULL;
	e = ERR_OK;
out:
	journal_close(&j);
	return e;
}

void
journal_close(struct journal **j)
{
	if (j == NULL || *j == NULL)
		return;
	if ((*j)->fd >= 0)
		(void)close((*j)->fd);
	journal_index_free(&(*j)->index);
	(void)pthread_cond_destroy(&(*j)->landed);
	(void)pthread_mutex_destroy(&(*j)->lock);
	free(*j);
	*j = NULL;
}

/*
 * A lock on one octet far behind the end of the file, chosen by the serial
 * number: it needs no file of its own and goes with the process. Two units
 * that fall on the same octet merely wait for each other.
 */
static int
set_claim(const struct journal *j, const char *serial, short type)
{
	struct flock one = {.l_type = type, .l_whence = SEEK_SET, .l_len = 1};
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (; *serial != '\0'; serial++)
		h = (h ^ (unsigned char)*serial) * UINT64_C(0x100000001b3);
	one.l_start = (off_t)(h >> 3 | UINT64_C(1) << 60);
	return fcntl(j->fd, F_OFD_SETLK, &one);
}

enum err
journal_claim(struct journal *j, const char *serial)
{
	if (set_claim(j, serial, F_WRLCK) == 0)
		return ERR_OK;
	return errno == EAGAIN || errno == EACCES ? ERR_CONFLICT : ERR_IO;
}

void
journal_unclaim(struct journal *j, const char *serial)
{
	(void)set_claim(j, serial, F_UNLCK);
}

enum err
journal_index(struct journal *j)
{
	if (j->index != NULL)
		return ERR_OK;
	if (fsync(j->fd) != 0)
		return ERR_IO;
	return journal_index_new(&j->index);
}

struct sought {
	const char *serial;
	struct journal_entry last;
	int found;
};

static enum err
take_if_sought(void *arg, const char *s, size_t len, off_t at)
{
	struct sought *x = arg;
	struct journal_entry e;

	(void)at;
	/* most lines are of other units: spare them the JSON */
	if (len <= JOURNAL_LINE_MAX &&
	    memmem(s, len, x->serial, strlen(x->serial)) != NULL &&
	    journal_line_decode(s, len, &e) == ERR_OK &&
	    strcmp(e.serial, x->serial) == 0) {
		x->last = e;
		x->found = 1;
	}
	return ERR_OK;
}

static enum err
read_all(const struct journal *j, const char *serial, struct journal_entry *out)
{
	struct sought x = {.serial = serial};
	off_t seen = 0;
	enum err e;

	if ((e = journal_walk(j->fd, &seen, take_if_sought, &x)) != ERR_OK)
		return e;
	if (!x.found)
		return ERR_NOT_FOUND;
	*out = x.last;
	return ERR_OK;
}

enum err
journal_last(struct journal *j, const char *serial, struct journal_entry *out)
{
	struct journal_entry last;
	enum err e;

	if (j->index != NULL)
		e = journal_index_last(j->index, j->fd, serial, &last);
	else
		e = read_all(j, serial, &last);
	if (e != ERR_OK)
		return e;
	if (strcmp(last.order, j->order) != 0)
		return ERR_NOT_FOUND;
	*out = last;
	return ERR_OK;
}
