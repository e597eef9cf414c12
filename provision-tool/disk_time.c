#include "provision-tool/disk_time.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 25
#define LINE 250

static uint64_t
now_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static int
compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static int
sync_lines(int fd, uint64_t took[ROUNDS])
{
	char line[LINE];
	uint64_t start;
	int i;

	memset(line, '-', sizeof(line));
	for (i = 0; i < ROUNDS; i++) {
		start = now_ns();
		if (write(fd, line, sizeof(line)) != (ssize_t)sizeof(line) ||
		    fsync(fd) != 0)
			return 0;
		took[i] = now_ns() - start;
	}
	return 1;
}

enum err
disk_time(const char *dir, uint64_t *ns, struct detail *d)
{
	uint64_t took[ROUNDS];
	char path[PATH_MAX];
	int fd, n, ok;

	n = snprintf(path, sizeof(path), "%s/check.XXXXXX", dir);
	if (n < 0 || (size_t)n >= sizeof(path))
		return ERR_TOO_LARGE;
	fd = mkstemp(path);
	if (fd < 0) {
		detail_set(d, "%.120s: %s", path, strerror(errno));
		return ERR_IO;
	}
	ok = sync_lines(fd, took);
	if (!ok)
		detail_set(d, "%.120s: %s", path, strerror(errno));
	(void)close(fd);
	(void)unlink(path);
	if (!ok)
		return ERR_IO;
	qsort(took, ROUNDS, sizeof(took[0]), compare);
	*ns = took[ROUNDS / 2];
	return ERR_OK;
}
