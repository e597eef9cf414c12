#include "provision-tool/journal_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/revoke/wordtab.h"

struct journal_index {
	pthread_mutex_t lock;
	struct wordtab at; /* serial number: pos is its line's offset + 1 */
	off_t seen;	   /* all whole lines up to here are known */
};

enum err
journal_index_new(struct journal_index **out)
{
	struct journal_index *x = calloc(1, sizeof(*x));

	if (x == NULL)
		return ERR_NOMEM;
	(void)pthread_mutex_init(&x->lock, NULL);
	*out = x;
	return ERR_OK;
}

void
journal_index_free(struct journal_index **x)
{
	if (x == NULL || *x == NULL)
		return;
	wordtab_free(&(*x)->at);
	(void)pthread_mutex_destroy(&(*x)->lock);
	free(*x);
	*x = NULL;
}

static enum err
learn(void *arg, const char *s, size_t len, off_t at)
{
	struct journal_index *x = arg;
	struct journal_entry e;
	enum err err;

	if (len > JOURNAL_LINE_MAX ||
	    journal_line_decode(s, len, &e) != ERR_OK ||
	    !name_is_serial(e.serial))
		return ERR_OK; /* no entry: passed over */
	if ((err = wordtab_grow(&x->at)) != ERR_OK)
		return err;
	wordtab_put(&x->at, e.serial)->pos = (uint64_t)at + 1;
	return ERR_OK;
}

static enum err
read_line(int fd, off_t at, struct journal_entry *out)
{
	char line[JOURNAL_LINE_MAX + 1];
	const char *end;
	ssize_t n;

	do
		n = pread(fd, line, sizeof(line), at);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return ERR_IO;
	end = memchr(line, '\n', (size_t)n);
	if (end == NULL)
		return ERR_IO;
	return journal_line_decode(line, (size_t)(end - line), out);
}

enum err
journal_index_last(struct journal_index *x, int fd, const char *serial,
		   struct journal_entry *out)
{
	const struct word *w = NULL;
	uint64_t at = 0;
	enum err e;

	(void)pthread_mutex_lock(&x->lock);
	if ((e = journal_walk(fd, &x->seen, learn, x)) == ERR_OK) {
		w = wordtab_find(&x->at, serial);
		if (w != NULL)
			at = w->pos - 1;
	}
	(void)pthread_mutex_unlock(&x->lock);
	if (e != ERR_OK)
		return e;
	return w == NULL ? ERR_NOT_FOUND : read_line(fd, (off_t)at, out);
}
