#include "provision-tool/nvs.h"

#include <string.h>

#include "provision-tool/crc.h"

#define PAGE_HEAD 64
#define ENTRY 32
#define ENTRIES 126
#define CRC_START 0xffffffff

/* What is looked for, and how far it has been found. */
struct search {
	const char *name, *key;
	unsigned space; /* 0: not yet */
	struct secret *blob;
	size_t got;
	unsigned chunks;
	int done;
};

static uint32_t
get_le(const unsigned char *p, size_t n)
{
	uint32_t v = 0;

	while (n-- > 0)
		v = v << 8 | p[n];
	return v;
}

static int
all_ff(const unsigned char *p, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++) {
		if (p[i] != 0xff)
			return 0;
	}
	return 1;
}

static unsigned
bits_of(const unsigned char *page, unsigned i)
{
	return page[32 + i / 4] >> i % 4 * 2 & 3;
}

/* A whole entry: written, its sums right, its data within the page. */
static int
entry_ok(const unsigned char *page, unsigned i)
{
	const unsigned char *e = page + PAGE_HEAD + (size_t)ENTRY * i;
	uint32_t crc = crc32_zlib(CRC_START, e, 4);
	size_t len;
	unsigned k;

	if (crc32_zlib(crc, e + 8, 24) != get_le(e + 4, 4) || e[2] == 0 ||
	    e[2] > ENTRIES - i || memchr(e + 8, '\0', 16) == NULL)
		return 0;
	for (k = 0; k < e[2]; k++) {
		if (bits_of(page, i + k) != 2)
			return 0;
	}
	if (e[1] != NVS_STRING && e[1] != NVS_BLOB_DATA)
		return e[2] == 1;
	len = get_le(e + 24, 2);
	return e[2] == 1 + (len + ENTRY - 1) / ENTRY &&
	       crc32_zlib(CRC_START, e + ENTRY, len) == get_le(e + 28, 4);
}

static int
is_key(const unsigned char *e, const char *key)
{
	return strncmp((const char *)e + 8, key, 16) == 0;
}

/* A chunk in its turn, behind what there is. */
static enum err
take_chunk(struct search *s, const unsigned char *e)
{
	size_t len = get_le(e + 24, 2);
	struct secret more = {0};
	enum err err;

	if (s->done || e[3] != s->chunks)
		return ERR_RECORD;
	if ((err = secret_resize(&more, s->got + len)) != ERR_OK)
		return err;
	if (s->got > 0)
		memcpy(more.p, s->blob->p, s->got);
	memcpy(more.p + s->got, e + ENTRY, len);
	secret_free(s->blob);
	*s->blob = more;
	s->got += len;
	s->chunks++;
	return ERR_OK;
}

static enum err
take_entry(struct search *s, const unsigned char *e)
{
	if (e[0] == 0 && e[1] == NVS_U8 && is_key(e, s->name)) {
		if (s->space != 0)
			return ERR_RECORD;
		s->space = e[24];
		return ERR_OK;
	}
	if (s->space == 0 || e[0] != s->space || !is_key(e, s->key))
		return ERR_OK;
	if (e[1] == NVS_BLOB_DATA)
		return take_chunk(s, e);
	if (e[1] != NVS_BLOB_INDEX || s->done ||
	    get_le(e + 24, 4) != s->got || e[28] != s->chunks || e[29] != 0)
		return ERR_RECORD;
	s->done = 1;
	return ERR_OK;
}

static enum err
take_page(struct search *s, const unsigned char *page, size_t number)
{
	const unsigned char *e;
	enum err err = ERR_OK;
	unsigned i;

	if (all_ff(page, NVS_PAGE))
		return ERR_OK;
	if (((page[0] != 0xfe && page[0] != 0xfc) || !all_ff(page + 1, 3)) ||
	    get_le(page + 4, 4) != number || page[8] != 0xfe ||
	    crc32_zlib(CRC_START, page + 4, 24) != get_le(page + 28, 4))
		return ERR_RECORD;
	for (i = 0; err == ERR_OK && i < ENTRIES; i += e[2]) {
		e = page + PAGE_HEAD + (size_t)ENTRY * i;
		if (bits_of(page, i) == 3)
			return all_ff(e, (size_t)(ENTRIES - i) * ENTRY)
				       ? ERR_OK
				       : ERR_RECORD;
		if (!entry_ok(page, i))
			return ERR_RECORD;
		err = take_entry(s, e);
	}
	return err;
}

enum err
nvs_read_blob(const void *p, size_t len, const char *name, const char *key,
	      struct secret *out, struct detail *d)
{
	struct secret blob = {0};
	struct search s = {.name = name, .key = key, .blob = &blob};
	const unsigned char *o = p;
	enum err e = ERR_RECORD;
	size_t i;

	if (len < NVS_SIZE_MIN || len > NVS_SIZE_MAX || len % NVS_PAGE != 0 ||
	    !all_ff(o + len - NVS_PAGE, NVS_PAGE)) {
		detail_set(d, "no NVS partition, or a truncated one");
		goto out;
	}
	for (i = 0, e = ERR_OK; e == ERR_OK && i < len / NVS_PAGE; i++)
		e = take_page(&s, o + i * NVS_PAGE, i);
	if (e != ERR_OK) {
		detail_set(d, "page %zu of the partition is damaged", i - 1);
		goto out;
	}
	if (!s.done) {
		detail_set(d, "the partition has no %s/%s", name, key);
		e = ERR_NOT_FOUND;
		goto out;
	}
	secret_free(out);
	*out = blob;
	return ERR_OK;
out:
	secret_free(&blob);
	return e;
}
