#include "lib/jose/text.h"

#include <string.h>

static void
add(struct text *t, const char *s, size_t n)
{
	if (t->bad || n > t->size - t->n) {
		t->bad = 1;
		return;
	}
	memcpy(t->p + t->n, s, n);
	t->n += n;
}

void
text_raw(struct text *t, const char *s)
{
	add(t, s, strlen(s));
}

void
text_num(struct text *t, uint64_t v)
{
	char b[20];
	size_t i = sizeof(b);

	do {
		b[--i] = (char)('0' + v % 10);
		v /= 10;
	} while (v > 0);
	add(t, b + i, sizeof(b) - i);
}

void
text_str(struct text *t, const char *s)
{
	size_t n;

	for (n = 0; s[n] != '\0'; n++)
		if (s[n] < 0x20 || s[n] > 0x7e || s[n] == '"' ||
		    s[n] == '\\')
			t->bad = 1;
	add(t, "\"", 1);
	add(t, s, n);
	add(t, "\"", 1);
}

void
text_member_str(struct text *t, const char *name, const char *s)
{
	text_raw(t, ",\"");
	text_raw(t, name);
	text_raw(t, "\":");
	text_str(t, s);
}

void
text_member_num(struct text *t, const char *name, uint64_t v)
{
	text_raw(t, ",\"");
	text_raw(t, name);
	text_raw(t, "\":");
	text_num(t, v);
}
