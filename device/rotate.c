#include <string.h>

#include "writer.h"

/* docs/rotation.md: what a device says, and what it is given. */

static void
plain(struct writer *w, const char *s)
{
	while (*s != '\0')
		fealty_put_char(w, *s++);
}

enum fealty_status
fealty_rotate_request(const uint8_t request[FEALTY_ROTATE_REQUEST], char *out,
		      size_t size, size_t *outlen)
{
	struct writer w = {out, size - 1, 0, 0, 0, 0};

	if (size == 0)
		return FEALTY_E_SPACE;
	plain(&w, "{\"request\":\"");
	fealty_put_octets(&w, request, FEALTY_ROTATE_REQUEST);
	fealty_put_end(&w);
	plain(&w, "\"}");
	out[w.full ? 0 : w.len] = '\0';
	if (w.full)
		return FEALTY_E_SPACE;
	*outlen = w.len;
	return FEALTY_OK;
}

static int
same(const struct fealty_text *a, const struct fealty_text *b)
{
	return a->len == b->len && memcmp(a->p, b->p, a->len) == 0;
}

enum fealty_status
fealty_rotate_read(const struct fealty_record *present, const void *p,
		   size_t len, struct fealty_record *out)
{
	enum fealty_status s = fealty_record_read(p, len, out);

	if (s == FEALTY_OK && same(&out->issuer, &present->issuer) &&
	    same(&out->device_id, &present->device_id) &&
	    out->epoch > present->epoch &&
	    fealty_record_peer(out, FEALTY_AUTHORITY) != NULL)
		return FEALTY_OK;
	memset(out, 0, sizeof(*out));
	return FEALTY_E_RECORD;
}
