#include "provision-tool/journal.h"

#include <sys/file.h>
#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/b64url.h"
#include "lib/base/clock.h"
#include "lib/base/file.h"
#include "lib/base/parse.h"
#include "lib/wire/wire.h"

#define LINE_MAX_LEN 2048

struct journal {
	int fd;
	name_t order;
};

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
	free(*j);
	*j = NULL;
}

static enum err
line_decode(const char *s, size_t len, struct journal_entry *out)
{
	struct journal_entry e;
	char t[TIME_TEXT], challenge[B64URL_LEN(CHALLENGE_LEN) + 1] = "";
	struct jin in;
	enum err err;

	memset(&e, 0, sizeof(e));
	jin_open(&in, s, len, NULL);
	jin_str(&in, "t", t, sizeof(t));
	jin_str(&in, "order", e.order, sizeof(e.order));
	jin_str(&in, "serial", e.serial, sizeof(e.serial));
	jin_str(&in, "target", e.target, sizeof(e.target));
	jin_str(&in, "step", e.step, sizeof(e.step));
	jin_str(&in, "device_id", e.device_id, sizeof(e.device_id));
	jin_u32(&in, "epoch", UINT32_MAX, &e.epoch);
	jin_opt_u64(&in, "number", NUMBER_MAX, &e.dn);
	jin_opt_str(&in, "challenge", challenge, sizeof(challenge));
	if ((err = jin_done(&in)) != ERR_OK)
		return err;
	if (challenge[0] != '\0') {
		err = b64url_decode_exact(challenge, strlen(challenge),
					  e.challenge, sizeof(e.challenge));
		e.has_challenge = err == ERR_OK;
	}
	if (err == ERR_OK)
		*out = e;
	return err;
}

static enum err
line_encode(const struct journal_entry *e, struct buf *out)
{
	char t[TIME_TEXT], challenge[B64URL_LEN(CHALLENGE_LEN) + 1];
	json_t *o;
	enum err err;

	format_time(clock_wall_s(&clock_system), t);
	b64url_encode(e->challenge, sizeof(e->challenge), challenge);
	o = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:I,s:I}", "t", t, "order",
		      e->order, "serial", e->serial, "target", e->target,
		      "step", e->step, "device_id", e->device_id, "epoch",
		      (json_int_t)e->epoch, "number", (json_int_t)e->dn);
	if (o != NULL && e->has_challenge &&
	    json_object_set_new(o, "challenge", json_string(challenge)) != 0) {
		json_decref(o);
		return ERR_NOMEM;
	}
	if ((err = jout(o, out)) != ERR_OK)
		return err;
	return buf_str(out, "\n");
}

/* 1 and *found if the line is an entry of that unit and target. */
static int
line_matches(const char *s, size_t len, const char *serial, const char *target,
	     struct journal_entry *found)
{
	struct journal_entry e;

	/* most lines are of other units: spare them the JSON */
	if (len > LINE_MAX_LEN ||
	    memmem(s, len, serial, strlen(serial)) == NULL)
		return 0;
	if (line_decode(s, len, &e) != ERR_OK)
		return 0;
	if (strcmp(e.serial, serial) != 0 ||
	    (target != NULL && strcmp(e.target, target) != 0))
		return 0;
	*found = e;
	return 1;
}

/*
 * A lock on one octet far behind the end of the file, chosen by the serial
 * number: it needs no file of its own and goes with the process. Two units
 * that fall on the same octet merely wait for each other.
 */
enum err
journal_claim(struct journal *j, const char *serial)
{
	struct flock one = {.l_type = F_WRLCK, .l_whence = SEEK_SET,
			    .l_len = 1};
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (; *serial != '\0'; serial++)
		h = (h ^ (unsigned char)*serial) * UINT64_C(0x100000001b3);
	one.l_start = (off_t)(h >> 3 | UINT64_C(1) << 60);
	if (fcntl(j->fd, F_OFD_SETLK, &one) == 0)
		return ERR_OK;
	return errno == EAGAIN || errno == EACCES ? ERR_CONFLICT : ERR_IO;
}

enum err
journal_last(struct journal *j, const char *serial, const char *target,
	     struct journal_entry *out)
{
	struct journal_entry last;
	char *line = NULL;
	size_t cap = 0;
	ssize_t len;
	FILE *f = NULL;
	int fd, found = 0;
	enum err e = ERR_IO;

	if ((fd = dup(j->fd)) < 0)
		return ERR_IO;
	if ((f = fdopen(fd, "r")) == NULL) {
		(void)close(fd);
		return ERR_IO;
	}
	if (fseeko(f, 0, SEEK_SET) != 0)
		goto out;
	while ((len = getline(&line, &cap, f)) > 0) {
		if (line[len - 1] == '\n' &&
		    line_matches(line, (size_t)len - 1, serial, target, &last))
			found = 1;
	}
	if (ferror(f))
		goto out;
	e = ERR_NOT_FOUND;
	if (!found || strcmp(last.order, j->order) != 0)
		goto out;
	*out = last;
	e = ERR_OK;
out:
	free(line);
	(void)fclose(f);
	return e;
}

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
append_locked(int fd, const struct buf *line)
{
	int torn = ends_torn(fd);

	if (torn < 0 || (torn && put_all(fd, "\n", 1) != ERR_OK) ||
	    put_all(fd, line->p, line->len) != ERR_OK)
		return ERR_IO;
	return fsync(fd) == 0 ? ERR_OK : ERR_IO;
}

enum err
journal_append(struct journal *j, const struct journal_entry *entry)
{
	struct buf line = {.max = LINE_MAX_LEN};
	enum err e;
	int why;

	if ((e = line_encode(entry, &line)) != ERR_OK)
		goto out;
	if (flock(j->fd, LOCK_EX) != 0) {
		e = ERR_IO;
		goto out;
	}
	e = append_locked(j->fd, &line);
	why = errno;
	(void)flock(j->fd, LOCK_UN);
	errno = why;
out:
	buf_free(&line);
	return e;
}
