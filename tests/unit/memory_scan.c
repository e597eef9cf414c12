#include "tests/unit/unit.h"

#include <fcntl.h>
#include <unistd.h>

#include "tests/unit/memory_scan.h"

#define CHUNK 65536
#define NEEDLE_MAX 256
#define MAP_LARGEST ((size_t)1 << 28) /* above: a sanitizer's shadow */

/* In memory of its own, which is looked into like any other. */
static unsigned char part[CHUNK + NEEDLE_MAX];

void
memory_invert(const void *in, size_t len, unsigned char *out)
{
	const volatile unsigned char *s = in;
	size_t i;

	for (i = 0; i < len; i++)
		out[i] = (unsigned char)~s[i];
}

static size_t
find_in_part(size_t n, const unsigned char *inverted, size_t len)
{
	size_t i, k, found = 0;

	for (i = 0; i + len <= n; i++) {
		for (k = 0; k < len; k++)
			if ((part[i + k] ^ inverted[k]) != 0xff)
				break;
		found += k == len;
	}
	return found;
}

/* Reading through the file keeps sanitizers out of it. */
static size_t
find_in_map(int mem, unsigned long from, unsigned long to,
    const unsigned char *inverted, size_t len)
{
	size_t want, found = 0;
	ssize_t n;

	if (to - from > MAP_LARGEST)
		return 0;
	for (; from < to; from += CHUNK) {
		want = to - from < sizeof(part) ? to - from : sizeof(part);
		n = pread(mem, part, want, (off_t)from);
		if (n > 0)
			found += find_in_part((size_t)n, inverted, len);
		explicit_bzero(part, sizeof(part));
	}
	return found;
}

size_t
memory_find(const unsigned char *inverted, size_t len)
{
	unsigned long from, to;
	char line[512], mode[8];
	size_t n, found = 0;
	FILE *maps = fopen("/proc/self/maps", "r");
	int mem = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);

	assert_true(maps != NULL && mem >= 0 && len <= NEEDLE_MAX);
	while (fgets(line, sizeof(line), maps) != NULL) {
		if (sscanf(line, "%lx-%lx %7s", &from, &to, mode) != 3 ||
		    strncmp(mode, "rw", 2) != 0 ||
		    ((unsigned long)part >= from && (unsigned long)part < to))
			continue;
		n = find_in_map(mem, from, to, inverted, len);
		if (n > 0)
			print_message("%zu in %s", n, line);
		found += n;
	}
	(void)fclose(maps);
	(void)close(mem);
	return found;
}
