#include "writer.h"

void
fealty_put_char(struct writer *w, char ch)
{
	if (w->len >= w->size) {
		w->full = 1;
		return;
	}
	w->out[w->len++] = ch;
}

static void
put_sextet(struct writer *w, uint32_t v)
{
	static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				  "abcdefghijklmnopqrstuvwxyz0123456789-_";

	fealty_put_char(w, set[v & 63]);
}

void
fealty_put_octets(struct writer *w, const void *p, size_t len)
{
	const uint8_t *o = p;

	for (; len > 0; len--) {
		w->bits = w->bits << 8 | *o++;
		w->nbits += 8;
		while (w->nbits >= 6) {
			w->nbits -= 6;
			put_sextet(w, w->bits >> w->nbits);
		}
	}
}

void
fealty_put_end(struct writer *w)
{
	if (w->nbits > 0)
		put_sextet(w, w->bits << (6 - w->nbits));
	w->bits = 0;
	w->nbits = 0;
}
