#include "provision-tool/slot.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/file.h"
#include "lib/wire/record.h"
#include "provision-tool/crc.h"
#include "provision-tool/spec.h"

static int
is_fill(const struct slot *t, const unsigned char *p, size_t from, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++) {
		if (p[i] != t->fill[(from + i) % t->nfill])
			return 0;
	}
	return 1;
}

static enum err
check_placeholder(const struct slot *t, const struct image *img,
		  struct detail *d)
{
	unsigned char *p = malloc(t->size);
	enum err e = ERR_OK;

	if (p == NULL)
		return ERR_NOMEM;
	if (image_get(img, t->at, p, t->size) != ERR_OK) {
		detail_set(d, "image %s does not reach from 0x%llx to 0x%llx: "
			      "truncated, or the wrong offset",
			   t->in, (unsigned long long)t->at,
			   (unsigned long long)(t->at + t->size));
		e = ERR_REQUEST;
	} else if (!is_fill(t, p, 0, t->size)) {
		detail_set(d, "image %s does not hold the placeholder from "
			      "0x%llx to 0x%llx: wrong image or offset",
			   t->in, (unsigned long long)t->at,
			   (unsigned long long)(t->at + t->size));
		e = ERR_REQUEST;
	}
	free(p);
	return e;
}

/* The checksum that is due, as its four octets. */
static enum err
sum_of(const struct slot *t, const struct image *img, unsigned char out[4])
{
	unsigned char part[4096];
	uint64_t at = t->sum_from, left = t->sum_len;
	uint32_t crc = 0;
	enum err e = ERR_OK;
	size_t n, i;

	for (; e == ERR_OK && left > 0; at += n, left -= n) {
		n = left < sizeof(part) ? (size_t)left : sizeof(part);
		if ((e = image_get(img, at, part, n)) == ERR_OK)
			crc = crc32_zlib(crc, part, n);
	}
	for (i = 0; i < 4; i++)
		out[t->sum_big ? 3 - i : i] = (unsigned char)(crc >> 8 * i);
	wipe(part, sizeof(part));
	return e;
}

/* What stands there tells whether the range is the one that is meant. */
static enum err
check_sum(const struct slot *t, const struct image *img, struct detail *d)
{
	static const unsigned char none[2][4] = {
	    {0, 0, 0, 0}, {0xff, 0xff, 0xff, 0xff}};
	unsigned char is[4], due[4];

	if (!t->sum)
		return ERR_OK;
	if (image_get(img, t->sum_at, is, 4) != ERR_OK ||
	    sum_of(t, img, due) != ERR_OK)
		return spec_wrong(d, "crc32= lies outside the image");
	if (memcmp(is, due, 4) != 0 && memcmp(is, none[0], 4) != 0 &&
	    memcmp(is, none[1], 4) != 0)
		return spec_wrong(d, "the image's own checksum is not the one "
				     "that crc32= describes");
	return ERR_OK;
}

enum err
slot_load(const struct slot *t, struct image **img, struct detail *d)
{
	struct buf text = {.max = IMAGE_MAX};
	struct detail why = {""};
	enum err e;

	e = file_read(t->in, IMAGE_MAX, &text);
	if (e == ERR_OK)
		e = image_parse(t->kind, &text, img, &why);
	if (e != ERR_OK)
		detail_set(d, "image %.120s: %s", t->in, why.text[0] == '\0' ?
			   "it cannot be read" : why.text);
	if (e == ERR_OK)
		e = check_placeholder(t, *img, d);
	if (e == ERR_OK)
		e = check_sum(t, *img, d);
	buf_free(&text);
	return e;
}

enum err
slot_patch(const struct slot *t, const void *record, size_t len,
	   struct image **img, struct detail *d)
{
	unsigned char head[SLOT_HEAD], sum[4];
	enum err e;

	if (len + SLOT_HEAD > t->size || len > UINT16_MAX) {
		detail_set(d, "the record's %zu octets do not fit the slot of "
			      "%llu: give a larger size=",
			   len + SLOT_HEAD, (unsigned long long)t->size);
		return ERR_TOO_LARGE;
	}
	head[0] = (unsigned char)(len >> 8);
	head[1] = (unsigned char)len;
	if ((e = slot_load(t, img, d)) != ERR_OK)
		return e;
	e = image_put(*img, t->at, head, SLOT_HEAD);
	if (e == ERR_OK)
		e = image_put(*img, t->at + SLOT_HEAD, record, len);
	if (e == ERR_OK && t->sum)
		e = sum_of(t, *img, sum);
	if (e == ERR_OK && t->sum)
		e = image_put(*img, t->sum_at, sum, sizeof(sum));
	return e;
}

enum err
slot_take(const struct slot *t, const struct image *img, struct secret *record,
	  struct detail *d)
{
	unsigned char head[SLOT_HEAD] = {0, 0};
	struct secret found = {0};
	size_t len;
	enum err e;

	e = image_get(img, t->at, head, SLOT_HEAD);
	len = (size_t)head[0] << 8 | head[1];
	if (e == ERR_OK && (len == 0 || len > RECORD_MAX ||
			    len + SLOT_HEAD > t->size))
		e = ERR_REQUEST;
	if (e == ERR_OK)
		e = secret_resize(&found, len);
	if (e == ERR_OK)
		e = image_get(img, t->at + SLOT_HEAD, found.p, len);
	if (e == ERR_OK) {
		secret_free(record);
		*record = found;
		return ERR_OK;
	}
	secret_free(&found);
	if (e == ERR_NOMEM)
		return e;
	detail_set(d, "%s holds no record: truncated?", t->out);
	return ERR_RECORD;
}
