#include "lib/base/pages.h"

#include <sys/mman.h>
#include <stdint.h>

#define PAGE ((size_t)4096)
#define LARGE_PAGE ((size_t)1 << 21)

static size_t
whole(size_t size)
{
	return (size + PAGE - 1) / PAGE * PAGE;
}

void *
pages_new(size_t size)
{
	size_t all, skip;
	unsigned char *p;

	if (size > SIZE_MAX / 2)
		return NULL;
	size = whole(size);
	all = size + LARGE_PAGE;
	p = mmap(NULL, all, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return NULL;
	skip = (LARGE_PAGE - (uintptr_t)p % LARGE_PAGE) % LARGE_PAGE;
	if (skip > 0)
		(void)munmap(p, skip);
	p += skip;
	if (all - skip > size)
		(void)munmap(p + size, all - skip - size);
	(void)madvise(p, size, MADV_DONTDUMP);
	return p;
}

void
pages_large(void *p, size_t size)
{
	(void)madvise(p, whole(size), MADV_HUGEPAGE);
}

void
pages_free(void *p, size_t size)
{
	if (p != NULL)
		(void)munmap(p, whole(size));
}
