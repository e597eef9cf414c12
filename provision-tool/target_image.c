#include "provision-tool/target.h"

#include <sys/stat.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/parse.h"
#include "provision-tool/out.h"
#include "provision-tool/slot.h"
#include "provision-tool/spec.h"

enum { FORMAT, PLACEHOLDER, SIZE, CRC, CRC_BE, REPLACE, NOPTS };

static int
ends_in(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n >= m && strcasecmp(s + n - m, end) == 0;
}

static enum err
take_format(struct slot *t, const char *s, struct detail *d)
{
	if (s == NULL && (ends_in(t->in, ".hex") || ends_in(t->in, ".ihex") ||
			  ends_in(t->in, ".ihx")))
		t->kind = IMAGE_HEX;
	else if (s == NULL || strcmp(s, "raw") == 0)
		t->kind = IMAGE_RAW;
	else if (strcmp(s, "hex") == 0)
		t->kind = IMAGE_HEX;
	else
		return spec_wrong(d, "format= is raw or hex");
	return ERR_OK;
}

static enum err
take_fill(struct slot *t, const char *s, struct detail *d)
{
	if (s == NULL)
		s = "ff";
	t->nfill = strlen(s) / 2;
	if (t->nfill == 0 || t->nfill > SLOT_FILL_MAX ||
	    spec_hex(s, strlen(s), t->fill, t->nfill) != ERR_OK)
		return spec_wrong(d, "placeholder= is 1 to 16 octets in hex");
	return ERR_OK;
}

/* 0xAT:0xFROM+0xLEN */
static enum err
take_sum(struct slot *t, const char *s, struct detail *d)
{
	static const char how[] = "crc32= is 0xAT:0xSTART+0xLENGTH, apart "
				  "from each other and AT from the slot";
	char text[80], *from, *len;

	if (copy_str(text, sizeof(text), s) != ERR_OK)
		return spec_wrong(d, how);
	from = strchr(text, ':');
	len = from == NULL ? NULL : strchr(from, '+');
	if (len == NULL)
		return spec_wrong(d, how);
	*from++ = *len++ = '\0';
	if (spec_number(text, UINT32_MAX, &t->sum_at) != ERR_OK ||
	    spec_number(from, UINT32_MAX, &t->sum_from) != ERR_OK ||
	    spec_number(len, IMAGE_MAX, &t->sum_len) != ERR_OK ||
	    t->sum_len == 0)
		return spec_wrong(d, how);
	if ((t->sum_at < t->sum_from + t->sum_len &&
	     t->sum_from < t->sum_at + 4) ||
	    (t->sum_at < t->at + t->size && t->at < t->sum_at + 4))
		return spec_wrong(d, how);
	t->sum = 1;
	return ERR_OK;
}

static enum err
take_options(struct slot *t, const struct spec_opt *o, struct detail *d)
{
	const char *sum = o[CRC].value != NULL ? o[CRC].value : o[CRC_BE].value;
	enum err e;

	t->size = SLOT_SIZE;
	if (o[SIZE].value != NULL &&
	    (spec_number(o[SIZE].value, SLOT_MAX, &t->size) != ERR_OK ||
	     t->size < 64))
		return spec_wrong(d, "size= is 64 to 65536");
	if ((e = spec_yes(&o[REPLACE], &t->replace, d)) != ERR_OK)
		return e;
	if ((e = take_format(t, o[FORMAT].value, d)) != ERR_OK)
		return e;
	if ((e = take_fill(t, o[PLACEHOLDER].value, d)) != ERR_OK)
		return e;
	if (o[CRC].value != NULL && o[CRC_BE].value != NULL)
		return spec_wrong(d, "crc32= and crc32be= exclude each other");
	t->sum_big = o[CRC_BE].value != NULL;
	return sum == NULL ? ERR_OK : take_sum(t, sum, d);
}

/* IN:OUT@0xOFFSET */
static enum err
take_places(struct slot *t, char *s, struct detail *d)
{
	static const char how[] =
		"write image:IN:OUT@0xOFFSET, the paths without \":\"";
	char *at = strrchr(s, '@'), *colon = strchr(s, ':');

	if (at == NULL || colon == NULL || colon > at ||
	    strchr(colon + 1, ':') != NULL)
		return spec_wrong(d, how);
	*at++ = *colon++ = '\0';
	if (*s == '\0' || *colon == '\0' ||
	    spec_number(at, UINT32_MAX, &t->at) != ERR_OK)
		return spec_wrong(d, how);
	t->in = realpath(s, NULL);
	if (t->in == NULL) {
		detail_set(d, "image %s: %s", s, strerror(errno));
		return ERR_REQUEST;
	}
	return out_resolve(colon, &t->out, d);
}

static void
image_close(void *state)
{
	struct slot *t = state;

	free(t->in);
	free(t->out);
	free(t);
}

static void
set_name(struct slot *t, const char *rest)
{
	(void)snprintf(t->name, sizeof(t->name), "%s:%s@0x%llx%s", t->in,
		       t->out, (unsigned long long)t->at,
		       spec_options(rest));
}

static enum err
image_open(const char *rest, void **state, struct detail *d)
{
	struct spec_opt opts[NOPTS] = {
	    [FORMAT] = {"format", NULL}, [PLACEHOLDER] = {"placeholder", NULL},
	    [SIZE] = {"size", NULL},	 [CRC] = {"crc32", NULL},
	    [CRC_BE] = {"crc32be", NULL}, [REPLACE] = {"replace", NULL},
	};
	struct image *img = NULL;
	struct slot *t = NULL;
	char *s = NULL;
	enum err e = ERR_NOMEM;

	s = strdup(rest);
	t = calloc(1, sizeof(*t));
	if (s == NULL || t == NULL)
		goto out;
	if ((e = spec_split(s, opts, NOPTS, d)) != ERR_OK)
		goto out;
	if ((e = take_places(t, s, d)) != ERR_OK)
		goto out;
	if ((e = take_options(t, opts, d)) != ERR_OK)
		goto out;
	/* a wrong image is found before any key is released for it */
	if ((e = slot_load(t, &img, d)) != ERR_OK) {
		e = e == ERR_NOMEM ? e : ERR_REQUEST;
		goto out;
	}
	set_name(t, rest);
	*state = t;
	t = NULL;
	e = ERR_OK;
out:
	image_free(&img);
	if (t != NULL)
		image_close(t);
	free(s);
	return e;
}

static const char *
image_name(const void *state)
{
	const struct slot *t = state;

	return t->name;
}

static enum err
load_out(const struct slot *t, const char *path, struct image **img,
	 struct detail *d)
{
	struct buf text = {.max = IMAGE_MAX};
	enum err e;

	e = out_read(path, IMAGE_MAX, &text, d);
	if (e == ERR_OK && (e = image_parse(t->kind, &text, img, d)) != ERR_OK)
		e = e == ERR_NOMEM ? e : ERR_RECORD;
	buf_free(&text);
	return e;
}

static enum err
take_record(const void *state, const char *path, struct secret *record,
	    struct detail *d)
{
	const struct slot *t = state;
	struct image *img = NULL;
	enum err e;

	if ((e = load_out(t, path, &img, d)) == ERR_OK)
		e = slot_take(t, img, record, d);
	image_free(&img);
	return e;
}

/*
 * One OUT for all units must not lose the only copy of the unit before; and
 * never is IN the one that is written.
 */
static enum err
check_out(const struct slot *t, const char *path, const char *device_id,
	  struct detail *d)
{
	struct stat in, out;

	if (stat(path, &out) == 0 && stat(t->in, &in) == 0 &&
	    in.st_dev == out.st_dev && in.st_ino == out.st_ino)
		return spec_wrong(d, "OUT is IN: name another file");
	if (t->replace || strstr(t->out, "{device_id}") != NULL)
		return ERR_OK;
	return out_spare(path, device_id, take_record, t, d);
}

static enum err
image_write(void *state, const char *device_id, const struct secret *record,
	    struct detail *d)
{
	const struct slot *t = state;
	struct image *img = NULL;
	char path[PATH_MAX];
	enum err e;

	if ((e = spec_path(t->out, device_id, path, sizeof(path), d)) != ERR_OK)
		return e;
	if ((e = check_out(t, path, device_id, d)) != ERR_OK)
		return e;
	e = slot_patch(t, record->p, record->len, &img, d);
	if (e == ERR_OK)
		e = out_write(path, image_text(img)->p, image_text(img)->len,
			      d);
	image_free(&img);
	return e;
}

/* All of OUT has to be what IN and the record in its slot make. */
static enum err
image_read(void *state, const char *device_id, struct secret *record,
	   struct detail *d)
{
	const struct slot *t = state;
	struct image *is = NULL, *due = NULL;
	struct secret found = {0};
	char path[PATH_MAX];
	enum err e;

	if ((e = spec_path(t->out, device_id, path, sizeof(path), d)) != ERR_OK)
		return e;
	if ((e = load_out(t, path, &is, d)) != ERR_OK)
		goto out;
	if ((e = slot_take(t, is, &found, d)) != ERR_OK)
		goto out;
	if ((e = slot_patch(t, found.p, found.len, &due, d)) != ERR_OK)
		goto out;
	e = ERR_RECORD;
	if (image_text(is)->len != image_text(due)->len ||
	    !ct_equal(image_text(is)->p, image_text(due)->p,
		      image_text(is)->len)) {
		detail_set(d, "%s is not the image that was written", path);
		goto out;
	}
	secret_free(record);
	*record = found;
	memset(&found, 0, sizeof(found));
	e = ERR_OK;
out:
	secret_free(&found);
	image_free(&is);
	image_free(&due);
	return e;
}

const struct target_ops target_image = {
    .kind = "image",
    .rest = "IN:OUT@0xOFFSET[,NAME=VALUE]...",
    .about = "a firmware image, raw or Intel HEX, with the record in its slot",
    .open = image_open,
    .name = image_name,
    .write = image_write,
    .read = image_read,
    .close = image_close,
    .places = PLACE_BY_DEVICE,
    .proof = PROOF_MEDIUM,
};
