#include "provision-tool/image.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/secret.h"
#include "provision-tool/spec.h"

/* A data record of Intel HEX: n octets from addr; their digits in the text. */
struct run {
	uint64_t addr;
	size_t digits;
	unsigned n;
};

struct image {
	enum image_kind kind;
	struct buf text;
	struct run *runs; /* in order of addr, none overlaps another */
	size_t nruns;
};

enum { DATA, END, SEGMENT, SEGMENT_START, LINEAR, LINEAR_START };
#define HEAD 4 /* octets before the data: count, address, type */

struct hex_reader {
	struct image *img;
	size_t cap;
	uint64_t base;
	int segmented, ended;
};

static enum err
add_run(struct hex_reader *r, uint64_t addr, size_t digits, unsigned n)
{
	struct image *img = r->img;
	struct run *more;

	if (img->nruns == r->cap) {
		r->cap = r->cap == 0 ? 1024 : 2 * r->cap;
		more = reallocarray(img->runs, r->cap, sizeof(*more));
		if (more == NULL)
			return ERR_NOMEM;
		img->runs = more;
	}
	img->runs[img->nruns++] = (struct run){addr, digits, n};
	return ERR_OK;
}

/* Data that wraps round at the end of its segment is two runs. */
static enum err
take_data(struct hex_reader *r, unsigned offset, size_t digits, unsigned n)
{
	unsigned first = n;
	enum err e;

	if (n == 0)
		return ERR_OK;
	if (offset + n > 0x10000) {
		if (!r->segmented)
			return ERR_REQUEST; /* tools differ on what it means */
		first = 0x10000 - offset;
	}
	e = add_run(r, r->base + offset, digits, first);
	if (e == ERR_OK && first < n)
		e = add_run(r, r->base, digits + (size_t)2 * first, n - first);
	return e;
}

/* One record, its octets decoded and its sum right. */
static enum err
take_record(struct hex_reader *r, const unsigned char *o, size_t digits)
{
	unsigned n = o[0], offset = (unsigned)o[1] << 8 | o[2];
	uint64_t value = (uint64_t)o[HEAD] << 8 | o[HEAD + 1];

	switch (o[3]) {
	case DATA:
		return take_data(r, offset, digits, n);
	case END:
		r->ended = 1;
		return ERR_OK;
	case SEGMENT:
	case LINEAR:
		if (n != 2)
			return ERR_REQUEST;
		r->segmented = o[3] == SEGMENT;
		r->base = value << (r->segmented ? 4 : 16);
		return ERR_OK;
	case SEGMENT_START:
	case LINEAR_START:
		return ERR_OK;
	default:
		return ERR_REQUEST;
	}
}

/* The line of len characters at offset at of the text. */
static enum err
take_line(struct hex_reader *r, size_t at, size_t len)
{
	unsigned char o[HEAD + 255 + 2] = {0};
	unsigned char sum = 0;
	size_t i, n = (len - 1) / 2;
	enum err e = ERR_REQUEST;

	if (r->ended || r->img->text.p[at] != ':' || len % 2 == 0 ||
	    n < HEAD + 1 || n > HEAD + 255 + 1)
		goto out;
	e = spec_hex(r->img->text.p + at + 1, len - 1, o, n);
	if (e != ERR_OK)
		goto out;
	for (i = 0; i < n; i++)
		sum = (unsigned char)(sum + o[i]);
	e = ERR_REQUEST;
	if (sum != 0 || n != HEAD + (size_t)o[0] + 1)
		goto out;
	e = take_record(r, o, at + 1 + (size_t)2 * HEAD);
out:
	wipe(o, sizeof(o));
	return e;
}

static int
by_addr(const void *a, const void *b)
{
	const struct run *x = a, *y = b;

	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

static enum err
sort_runs(struct image *img, struct detail *d)
{
	size_t i;

	if (img->nruns > 0)
		qsort(img->runs, img->nruns, sizeof(*img->runs), by_addr);
	for (i = 1; i < img->nruns; i++) {
		if (img->runs[i - 1].addr + img->runs[i - 1].n >
		    img->runs[i].addr) {
			detail_set(d, "address 0x%llx is there twice",
				   (unsigned long long)img->runs[i].addr);
			return ERR_REQUEST;
		}
	}
	return ERR_OK;
}

static enum err
parse_hex(struct image *img, struct detail *d)
{
	struct hex_reader r = {.img = img};
	size_t at, len, line = 1;
	const char *end;
	enum err e;

	for (at = 0; at < img->text.len; at += len + 1, line++) {
		end = memchr(img->text.p + at, '\n', img->text.len - at);
		len = end == NULL ? img->text.len - at
				  : (size_t)(end - img->text.p) - at;
		if (len == 0 || (len == 1 && img->text.p[at] == '\r'))
			continue;
		e = take_line(&r, at,
			      len - (img->text.p[at + len - 1] == '\r'));
		if (e != ERR_OK) {
			detail_set(d, "line %zu is no Intel HEX record", line);
			return e;
		}
	}
	if (!r.ended) {
		detail_set(d, "it is truncated: no end record");
		return ERR_REQUEST;
	}
	return sort_runs(img, d);
}

enum err
image_parse(enum image_kind kind, struct buf *text, struct image **out,
	    struct detail *d)
{
	struct image *img;
	enum err e = ERR_OK;

	img = calloc(1, sizeof(*img));
	if (img == NULL)
		return ERR_NOMEM;
	img->kind = kind;
	img->text = *text;
	memset(text, 0, sizeof(*text));
	if (kind == IMAGE_HEX)
		e = parse_hex(img, d);
	if (e == ERR_OK)
		*out = img;
	else
		image_free(&img);
	return e;
}

void
image_free(struct image **img)
{
	if (img == NULL || *img == NULL)
		return;
	buf_free(&(*img)->text);
	free((*img)->runs);
	free(*img);
	*img = NULL;
}

const struct buf *
image_text(const struct image *img)
{
	return &img->text;
}

/* Index of the last run that begins at or before at; nruns when none does. */
static size_t
find_run(const struct image *img, uint64_t at)
{
	size_t lo = 0, hi = img->nruns, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (img->runs[mid].addr <= at)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo == 0 ? img->nruns : lo - 1;
}

static int
raw_has(const struct image *img, uint64_t at, size_t len)
{
	return at <= img->text.len && len <= img->text.len - at;
}

/* The text's two digits of the octet at address at, or 0; *i is where. */
static size_t
digits_of(const struct image *img, uint64_t at, size_t *i)
{
	const struct run *r;

	if (*i < img->nruns && at >= img->runs[*i].addr + img->runs[*i].n)
		++*i;
	if (*i >= img->nruns)
		return 0;
	r = &img->runs[*i];
	if (at < r->addr || at - r->addr >= r->n)
		return 0;
	return r->digits + 2 * (size_t)(at - r->addr);
}

enum err
image_get(const struct image *img, uint64_t at, void *p, size_t len)
{
	unsigned char *o = p;
	size_t k, digits, i;

	if (img->kind == IMAGE_RAW) {
		if (!raw_has(img, at, len))
			return ERR_REQUEST;
		memcpy(p, img->text.p + at, len);
		return ERR_OK;
	}
	i = find_run(img, at);
	for (k = 0; k < len; k++) {
		if ((digits = digits_of(img, at + k, &i)) == 0 ||
		    spec_hex(img->text.p + digits, 2, o + k, 1) !=
			ERR_OK)
			return ERR_REQUEST;
	}
	return ERR_OK;
}

/* One octet of a record, whose sum goes along. */
static void
put_hex(char *text, size_t digits, unsigned char octet)
{
	static const char hex[] = "0123456789ABCDEF";
	size_t start = digits, sum_at;
	unsigned char old, sum, n;

	while (text[start] != ':')
		start--;
	(void)!spec_hex(text + start + 1, 2, &n, 1);
	sum_at = start + 1 + 2 * (HEAD + (size_t)n);
	(void)!spec_hex(text + digits, 2, &old, 1);
	(void)!spec_hex(text + sum_at, 2, &sum, 1);
	sum = (unsigned char)(sum + old - octet);
	text[digits] = hex[octet >> 4];
	text[digits + 1] = hex[octet & 15];
	text[sum_at] = hex[sum >> 4];
	text[sum_at + 1] = hex[sum & 15];
}

enum err
image_put(struct image *img, uint64_t at, const void *p, size_t len)
{
	const unsigned char *o = p;
	size_t k, i;

	if (img->kind == IMAGE_RAW) {
		if (!raw_has(img, at, len))
			return ERR_REQUEST;
		memcpy(img->text.p + at, p, len);
		return ERR_OK;
	}
	/* all or nothing: look before the first octet is changed */
	for (k = 0, i = find_run(img, at); k < len; k++) {
		if (digits_of(img, at + k, &i) == 0)
			return ERR_REQUEST;
	}
	for (k = 0, i = find_run(img, at); k < len; k++)
		put_hex(img->text.p, digits_of(img, at + k, &i), o[k]);
	return ERR_OK;
}
