#ifndef TESTS_MEMORY_SCAN_H
#define TESTS_MEMORY_SCAN_H

#include <stddef.h>

/*
 * Looks for octets in all memory this process can write, as a core file or a
 * stolen swap would show it. The needle is given inverted, so that it is not
 * itself found. Returns how often; prints where.
 */
size_t memory_find(const unsigned char *inverted, size_t len);
/* out[i] = ~in[i] */
void memory_invert(const void *in, size_t len, unsigned char *out);

#endif
