#include "lib/base/file.h"

#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static enum err
err_of_errno(void)
{
	switch (errno) {
	case ENOENT:
	case ENOTDIR:
		return ERR_NOT_FOUND;
	case EEXIST:
		return ERR_EXISTS;
	case ENOMEM:
		return ERR_NOMEM;
	default:
		return ERR_IO;
	}
}

static ssize_t
read_some(int fd, void *p, size_t len)
{
	ssize_t n;

	do
		n = read(fd, p, len);
	while (n < 0 && errno == EINTR);
	return n;
}

/* Appends all of fd, at most max octets. */
static enum err
read_all(int fd, size_t max, struct buf *out)
{
	size_t start = out->len;
	char part[4096];
	enum err e = ERR_OK;
	ssize_t n;

	while (e == ERR_OK) {
		n = read_some(fd, part, sizeof(part));
		if (n <= 0)
			break;
		if ((size_t)n > max - (out->len - start))
			e = ERR_TOO_LARGE;
		else
			e = buf_add(out, part, (size_t)n);
	}
	if (e == ERR_OK && n < 0)
		e = ERR_IO;
	wipe(part, sizeof(part));
	return e;
}

static enum err
read_fd(int fd, size_t max, struct buf *out)
{
	size_t start = out->len;
	enum err e;

	if (out->max == 0)
		out->max = max;
	e = read_all(fd, max, out);
	if (e == ERR_OK)
		return buf_add(out, "", 0); /* an empty file: p not NULL */
	if (out->p != NULL) {
		wipe(out->p + start, out->cap - start);
		out->len = start;
	}
	return e;
}

enum err
file_read(const char *path, size_t max, struct buf *out)
{
	enum err e;
	int fd;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_of_errno();
	e = read_fd(fd, max, out);
	(void)close(fd);
	return e;
}

enum err
file_read_secret(const char *path, size_t max, struct secret *out)
{
	struct buf b = {.max = max};
	struct stat st;
	enum err e;
	int fd;

	/* NONBLOCK: a FIFO in the file's place must not hang us. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return err_of_errno();
	if (fstat(fd, &st) != 0)
		e = ERR_IO;
	else if (!S_ISREG(st.st_mode) || (st.st_mode & 077) != 0)
		e = ERR_CONFIG;
	else
		e = read_fd(fd, max, &b);
	if (e == ERR_OK)
		e = secret_set(out, b.p, b.len);
	(void)close(fd);
	buf_free(&b);
	return e;
}

static enum err
write_all(int fd, const void *p, size_t len)
{
	const char *s = p;
	ssize_t n;

	while (len > 0) {
		n = write(fd, s, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return ERR_IO;
		s += n;
		len -= (size_t)n;
	}
	return ERR_OK;
}

enum err
dir_sync(const char *dir)
{
	int fd, r, why;

	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return ERR_IO;
	r = fsync(fd);
	why = errno;
	(void)close(fd);
	errno = why;
	return r == 0 ? ERR_OK : ERR_IO;
}

static enum err
sync_dir_of(const char *path)
{
	char dir[PATH_MAX];
	const char *slash = strrchr(path, '/');

	if (slash == NULL)
		(void)snprintf(dir, sizeof(dir), ".");
	else
		(void)snprintf(dir, sizeof(dir), "%.*s",
			       slash == path ? 1 : (int)(slash - path), path);
	return dir_sync(dir);
}

/* Open beside path, nobody else's; its name in tmp. */
static enum err
open_beside(const char *path, char tmp[PATH_MAX], int *fd)
{
	int n = snprintf(tmp, PATH_MAX, "%s.XXXXXX", path);

	if (n < 0 || n >= PATH_MAX)
		return ERR_IO;
	*fd = mkostemp(tmp, O_CLOEXEC); /* 0600 until its content is whole */
	return *fd < 0 ? err_of_errno() : ERR_OK;
}

/*
 * So, by a name that is ever the same. What is there by that name is of a
 * writer that was killed; one that is at it finds its file gone, and fails.
 */
static enum err
open_draft(const char *path, char tmp[PATH_MAX], int *fd)
{
	static const int how = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC;
	int n = snprintf(tmp, PATH_MAX, "%s" FILE_DRAFT, path);

	if (n < 0 || n >= PATH_MAX)
		return ERR_IO;
	*fd = open(tmp, how, 0600);
	if (*fd < 0 && errno == EEXIST && unlink(tmp) == 0)
		*fd = open(tmp, how, 0600);
	return *fd < 0 ? err_of_errno() : ERR_OK;
}

/* The file at tmp made whole and synced, or gone. Closes fd. */
static enum err
fill(int fd, const char *tmp, mode_t mode, const void *p, size_t len)
{
	enum err e = write_all(fd, p, len);

	if (e == ERR_OK && (fchmod(fd, mode) != 0 || fsync(fd) != 0))
		e = ERR_IO;
	if (close(fd) != 0 && e == ERR_OK)
		e = ERR_IO;
	if (e != ERR_OK)
		(void)unlink(tmp);
	return e;
}

static enum err
put_in_place(const char *tmp, const char *path)
{
	if (rename(tmp, path) != 0) {
		(void)unlink(tmp);
		return ERR_IO;
	}
	return sync_dir_of(path);
}

enum err
file_write_atomic(const char *path, mode_t mode, const void *p, size_t len)
{
	char tmp[PATH_MAX];
	enum err e;
	int fd;

	if ((e = open_beside(path, tmp, &fd)) == ERR_OK)
		e = fill(fd, tmp, mode, p, len);
	return e == ERR_OK ? put_in_place(tmp, path) : e;
}

enum err
file_write_draft(const char *path, mode_t mode, const void *p, size_t len)
{
	char tmp[PATH_MAX];
	enum err e;
	int fd;

	if ((e = open_draft(path, tmp, &fd)) == ERR_OK)
		e = fill(fd, tmp, mode, p, len);
	return e == ERR_OK ? put_in_place(tmp, path) : e;
}

enum err
file_create_atomic(const char *path, mode_t mode, const void *p, size_t len)
{
	char tmp[PATH_MAX];
	enum err e;
	int fd;

	if ((e = open_beside(path, tmp, &fd)) == ERR_OK)
		e = fill(fd, tmp, mode, p, len);
	if (e != ERR_OK)
		return e;
	if (link(tmp, path) != 0)
		e = err_of_errno();
	(void)unlink(tmp);
	return e != ERR_OK ? e : sync_dir_of(path);
}

/*
 * The name of a folder that is there may be as new as that of one just made:
 * a run that was cut off made it. It is synced, too, where we can.
 */
static enum err
make_one(const char *path, mode_t mode)
{
	struct stat st;

	if (mkdir(path, mode) == 0)
		return sync_dir_of(path);
	if (errno != EEXIST || stat(path, &st) != 0 || !S_ISDIR(st.st_mode))
		return ERR_IO;
	if (sync_dir_of(path) != ERR_OK && errno == EIO)
		return ERR_IO;
	return ERR_OK;
}

enum err
dir_make(const char *path, mode_t mode)
{
	char part[PATH_MAX];
	size_t i, len = strlen(path);
	enum err e;

	if (len == 0 || len >= sizeof(part))
		return ERR_IO;
	memcpy(part, path, len + 1);
	for (i = 1; i < len; i++) {
		if (part[i] != '/')
			continue;
		part[i] = '\0';
		e = make_one(part, mode);
		part[i] = '/';
		if (e != ERR_OK)
			return e;
	}
	return make_one(path, mode);
}
