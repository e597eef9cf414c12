#ifndef BASE_PAGES_H
#define BASE_PAGES_H

#include <stddef.h>

/*
 * Zeroed memory of the system's own, not yet resident, in no core: for large
 * tables. Begins where a large page could. NULL: none.
 */
void *pages_new(size_t size);
/* In large pages from now on, where there are any: what is touched comes 2 MiB
 * at a time, and looking about in it is quicker. A wish: never fails. */
void pages_large(void *p, size_t size);
/* NULL is fine. Wipes nothing. */
void pages_free(void *p, size_t size);

#endif
