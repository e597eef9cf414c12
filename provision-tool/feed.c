#include "provision-tool/feed.h"

#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/parse.h"

#define CHUNK 4096
#define LINE_ROOM 256 /* a longer line is no serial number anyway */
#define SLOT_MOST 1024

/* A line as it comes together. */
struct line {
	char text[LINE_ROOM + 1];
	size_t len; /* may be above LINE_ROOM: it was cut */
};

struct feed {
	int fd, own, over;
	uint64_t count;
	char chunk[CHUNK];
	size_t len, at;
	struct line line;
};

/* 1 when c completed a line, which is in l until reset. */
static int
take(struct line *l, char c)
{
	if (c == '\n' || c == '\r')
		return 1;
	if (l->len < LINE_ROOM)
		l->text[l->len] = c;
	l->len++;
	return 0;
}

/* Without blanks around it, NUL-terminated; NULL for one that is empty. */
static char *
trim(struct line *l)
{
	size_t end = l->len < LINE_ROOM ? l->len : LINE_ROOM, from = 0;

	while (from < end && (l->text[from] == ' ' || l->text[from] == '\t'))
		from++;
	while (end > from &&
	       (l->text[end - 1] == ' ' || l->text[end - 1] == '\t'))
		end--;
	l->text[end] = '\0';
	return from == end || l->text[from] == '#' ? NULL : l->text + from;
}

void
unit_take(const char *s, size_t len, struct unit *out)
{
	size_t i;

	memset(out, 0, sizeof(*out));
	for (i = 0; i < len && i < sizeof(out->serial) - 1; i++)
		out->serial[i] = s[i] > ' ' && s[i] <= '~' ? s[i] : '?';
	out->serial[i] = '\0';
	if (i < len || !name_is_serial(out->serial))
		out->fault = "that is no serial number: scan again";
}

static int
take_unit(struct line *l, struct unit *out)
{
	int cut = l->len > LINE_ROOM;
	char *s = trim(l);
	uint64_t slot = 0;
	size_t len;

	l->len = 0;
	if (s == NULL)
		return 0;
	len = strcspn(s, " \t");
	unit_take(s, len, out);
	s += len + strspn(s + len, " \t");
	if (out->fault == NULL && *s != '\0' &&
	    (parse_u64(s, SLOT_MOST, &slot) != ERR_OK || slot == 0))
		out->fault = "behind the serial number stands no slot";
	if (cut)
		out->fault = "that is no serial number: scan again";
	out->slot = (unsigned)slot;
	return 1;
}

/* By a reading of its own, which leaves the file's position alone. */
static void
count_units(struct feed *f)
{
	struct line *l = &f->line;
	struct unit u;
	struct stat st;
	off_t at = 0;
	ssize_t n, i;

	if (fstat(f->fd, &st) != 0 || !S_ISREG(st.st_mode))
		return;
	while ((n = pread(f->fd, f->chunk, CHUNK, at)) > 0) {
		for (i = 0; i < n; i++)
			if (take(l, f->chunk[i]))
				f->count += (uint64_t)take_unit(l, &u);
		at += n;
	}
	f->count += (uint64_t)take_unit(l, &u);
}

enum err
feed_open(const char *path, struct feed **out, struct detail *d)
{
	struct feed *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return ERR_NOMEM;
	f->own = strcmp(path, "-") != 0;
	f->fd = f->own ? open(path, O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
	if (f->fd < 0) {
		detail_set(d, "%.120s: %s", path, strerror(errno));
		free(f);
		return ERR_IO;
	}
	if (f->own)
		count_units(f);
	*out = f;
	return ERR_OK;
}

void
feed_close(struct feed **f)
{
	if (f == NULL || *f == NULL)
		return;
	if ((*f)->own)
		(void)close((*f)->fd);
	free(*f);
	*f = NULL;
}

int
feed_fd(const struct feed *f)
{
	return f->fd;
}

uint64_t
feed_count(const struct feed *f)
{
	return f->count;
}

enum err
feed_fill(struct feed *f)
{
	ssize_t n;

	if (f->over || f->at < f->len)
		return ERR_OK;
	n = read(f->fd, f->chunk, CHUNK);
	if (n < 0)
		return errno == EINTR || errno == EAGAIN ? ERR_OK : ERR_IO;
	f->at = 0;
	f->len = (size_t)n;
	f->over = n == 0;
	return ERR_OK;
}

int
feed_next(struct feed *f, struct unit *out)
{
	while (f->at < f->len)
		if (take(&f->line, f->chunk[f->at++]) &&
		    take_unit(&f->line, out))
			return 1;
	/* the last line may lack its end */
	return f->over && f->line.len > 0 ? take_unit(&f->line, out) : 0;
}

int
feed_over(const struct feed *f)
{
	return f->over && f->at >= f->len && f->line.len == 0;
}
