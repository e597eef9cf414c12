#include "provision-tool/out.h"

#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/file.h"
#include "lib/wire/record.h"

enum err
out_resolve(const char *path, char **out, struct detail *d)
{
	char dir[PATH_MAX], real[PATH_MAX];
	const char *slash = strrchr(path, '/');
	const char *base = slash == NULL ? path : slash + 1;
	int n;

	if (*base == '\0' || strcmp(base, ".") == 0 ||
	    strcmp(base, "..") == 0) {
		detail_set(d, "\"%.100s\" names no file", path);
		return ERR_REQUEST;
	}
	n = snprintf(dir, sizeof(dir), "%.*s",
		     slash == NULL ? 1 : (int)(slash - path) + 1,
		     slash == NULL ? "." : path);
	if (n < 0 || (size_t)n >= sizeof(dir) || realpath(dir, real) == NULL) {
		detail_set(d, "folder of %.100s: %s", path, strerror(errno));
		return ERR_REQUEST;
	}
	if (asprintf(out, "%s/%s", strcmp(real, "/") == 0 ? "" : real, base) <
	    0)
		return ERR_NOMEM;
	return ERR_OK;
}

enum err
out_write(const char *path, const void *p, size_t len, struct detail *d)
{
	enum err e = file_write_draft(path, 0600, p, len);

	if (e != ERR_OK)
		detail_set(d, "writing %s: %s", path, strerror(errno));
	return e;
}

/* Private to its owner, and its octets from the medium, not from the cache. */
static enum err
check_private(const char *path, struct detail *d)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	enum err e = ERR_OK;

	if (fd < 0) {
		e = errno == ENOENT ? ERR_NOT_FOUND : ERR_IO;
		detail_set(d, "%s: %s", path, strerror(errno));
		return e;
	}
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		detail_set(d, "%s is no file", path);
		e = ERR_IO;
	} else if ((st.st_mode & 077) != 0) {
		detail_set(d, "%s: others can read it: chmod 600", path);
		e = ERR_CONFIG;
	}
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	(void)close(fd);
	return e;
}

enum err
out_read(const char *path, size_t max, struct buf *out, struct detail *d)
{
	enum err e;

	if ((e = check_private(path, d)) != ERR_OK)
		return e;
	e = file_read(path, max, out);
	if (e == ERR_TOO_LARGE)
		detail_set(d, "%s is larger than what was written", path);
	else if (e != ERR_OK)
		detail_set(d, "%s cannot be read", path);
	return e;
}

/* ERR_RECORD: it is nobody's. */
static enum err
check_owner(const char *path, const char *device_id,
	    const struct secret *octets, struct detail *d)
{
	struct record r;
	enum err e;

	memset(&r, 0, sizeof(r));
	e = record_decode(octets->p, octets->len, &r, NULL);
	if (e == ERR_OK && strcmp(r.device_id, device_id) != 0) {
		detail_set(d, "%.90s holds the identity of %s: move it away, "
			      "write {device_id} in OUT, or say replace=yes",
			   path, r.device_id);
		e = ERR_EXISTS;
	}
	record_wipe(&r);
	return e;
}

enum err
out_spare(const char *path, const char *device_id, out_take *take,
	  const void *t, struct detail *d)
{
	struct secret octets = {0};
	struct detail why = {""};
	enum err e;

	e = take(t, path, &octets, &why);
	if (e == ERR_OK)
		e = check_owner(path, device_id, &octets, d);
	secret_free(&octets);
	if (e == ERR_NOT_FOUND || e == ERR_RECORD)
		return ERR_OK;
	if (e != ERR_OK)
		detail_set(d, "%s", why.text);
	return e;
}
