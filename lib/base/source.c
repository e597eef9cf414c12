#include "lib/base/source.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/file.h"
#include "lib/base/parse.h"

#define FD_PREFIX "fd:"

static enum err
read_fd(int fd, size_t max, struct secret *out)
{
	struct secret all = {0};
	size_t len = 0;
	ssize_t n = 1;
	enum err e;

	e = secret_resize(&all, max + 1);
	while (e == ERR_OK && n != 0 && len <= max) {
		n = read(fd, all.p + len, max + 1 - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			e = ERR_IO;
		else
			len += (size_t)n;
	}
	if (e == ERR_OK && len > max)
		e = ERR_TOO_LARGE;
	if (e == ERR_OK)
		e = secret_set(out, all.p, len);
	secret_free(&all);
	(void)close(fd);
	return e;
}

enum err
source_read(const char *where, size_t max, struct secret *out)
{
	uint64_t fd;
	enum err e;

	if (strncmp(where, FD_PREFIX, strlen(FD_PREFIX)) != 0)
		e = file_read_secret(where, max + 1, out);
	else if (parse_u64(where + strlen(FD_PREFIX), INT_MAX, &fd) != ERR_OK)
		e = ERR_CONFIG;
	else
		e = read_fd((int)fd, max + 1, out);
	if (e != ERR_OK)
		return e;
	if (out->len > 0 && out->p[out->len - 1] == '\n')
		out->len--;
	return out->len > max ? ERR_TOO_LARGE : ERR_OK;
}

const char *
source_fault(enum err e)
{
	switch (e) {
	case ERR_NOT_FOUND:
		return "is not there";
	case ERR_CONFIG:
		return "must be a file of mode 0600 with something in it, or "
		       "fd:N";
	case ERR_TOO_LARGE:
		return "is too long";
	default:
		return "cannot be read";
	}
}
