#ifndef JOSE_TEXT_H
#define JOSE_TEXT_H

#include <stddef.h>
#include <stdint.h>

/*
 * JSON text written into a fixed array: what is hot is written here and not
 * through a tree of objects (0.3 against 4 microseconds a token). An overflow
 * or a character that JSON would have to escape sticks as bad; every name
 * and URL of ours is free of them.
 */
struct text {
	char *p;
	size_t n, size;
	int bad;
};
void text_raw(struct text *t, const char *s);
void text_num(struct text *t, uint64_t v);
/* Quoted; printable ASCII without quote and backslash. */
void text_str(struct text *t, const char *s);
/* ,"name": and its value. */
void text_member_str(struct text *t, const char *name, const char *s);
void text_member_num(struct text *t, const char *name, uint64_t v);

#endif
