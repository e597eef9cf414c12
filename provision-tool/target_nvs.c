#include "provision-tool/target.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/wire/record.h"
#include "provision-tool/nvs.h"
#include "provision-tool/out.h"
#include "provision-tool/spec.h"

/* An ESP32 NVS partition image with the record as a blob (docs/targets.md). */
#define DEFAULT_SIZE 0x6000

struct partition {
	char *spec;
	char *out; /* may hold {device_id} */
	const char *space, *key, *id_key, *csv; /* in spec, or constant */
	size_t size;
	int replace;
	char name[PATH_MAX + 1024];
};

enum { SPACE, RECORD_KEY, ID_KEY, SIZE, CSV, REPLACE, ENCRYPT, KEYS, NOPTS };

static void
nvs_close(void *state)
{
	struct partition *t = state;

	free(t->spec);
	free(t->out);
	free(t);
}

static enum err
take_options(struct partition *t, const struct spec_opt *o, struct detail *d)
{
	uint64_t size = DEFAULT_SIZE;

	if (o[ENCRYPT].value != NULL || o[KEYS].value != NULL)
		return spec_wrong(d, "encrypted NVS is not supported: encrypt "
				     "OUT with Espressif's generator, or by "
				     "flash encryption");
	if (o[SIZE].value != NULL &&
	    spec_number(o[SIZE].value, NVS_SIZE_MAX, &size) != ERR_OK)
		return spec_wrong(d, "size= is 0x3000 to 0x100000");
	t->size = (size_t)size;
	t->space = o[SPACE].value == NULL ? "fealty" : o[SPACE].value;
	t->key = o[RECORD_KEY].value == NULL ? "identity" : o[RECORD_KEY].value;
	t->id_key = o[ID_KEY].value;
	t->csv = o[CSV].value;
	return spec_yes(&o[REPLACE], &t->replace, d);
}

/* The partition with that record. */
static enum err
build(const struct partition *t, const char *device_id, const void *record,
      size_t len, struct nvs **out, struct detail *d)
{
	struct nvs *n = NULL;
	enum err e;

	if ((e = nvs_new(t->size, &n, d)) != ERR_OK)
		goto out;
	if (t->csv != NULL && (e = nvs_csv(n, t->csv, d)) != ERR_OK)
		goto out;
	if ((e = nvs_namespace(n, t->space, d)) != ERR_OK)
		goto out;
	if (t->id_key != NULL) {
		e = nvs_string(n, t->id_key, device_id, strlen(device_id), d);
		if (e != ERR_OK)
			goto out;
	}
	if ((e = nvs_blob(n, t->key, record, len, d)) != ERR_OK)
		goto out;
	(void)nvs_finish(n);
	*out = n;
	n = NULL;
	e = ERR_OK;
out:
	nvs_free(&n);
	return e;
}

/* As large as any record, so that what does not fit is found early. */
static enum err
rehearse(const struct partition *t, struct detail *d)
{
	static const unsigned char largest[RECORD_MAX];
	static const char id[] = "1234567890123456789012345678901234567890"
				 "123456789012345678901234";
	struct nvs *n = NULL;
	enum err e;

	e = build(t, id, largest, sizeof(largest), &n, d);
	nvs_free(&n);
	return e == ERR_OK || e == ERR_NOMEM ? e : ERR_REQUEST;
}

static void
set_name(struct partition *t, const char *rest)
{
	(void)snprintf(t->name, sizeof(t->name), "%s%.1023s", t->out,
		       spec_options(rest));
}

static enum err
nvs_open(const char *rest, void **state, struct detail *d)
{
	struct spec_opt opts[NOPTS] = {
	    [SPACE] = {"namespace", NULL}, [RECORD_KEY] = {"key", NULL},
	    [ID_KEY] = {"id-key", NULL},   [SIZE] = {"size", NULL},
	    [CSV] = {"csv", NULL},	   [REPLACE] = {"replace", NULL},
	    [ENCRYPT] = {"encrypt", NULL}, [KEYS] = {"keys", NULL},
	};
	struct partition *t;
	enum err e = ERR_NOMEM;

	if ((t = calloc(1, sizeof(*t))) == NULL)
		return e;
	if ((t->spec = strdup(rest)) == NULL)
		goto out;
	if ((e = spec_split(t->spec, opts, NOPTS, d)) != ERR_OK)
		goto out;
	if ((e = out_resolve(t->spec, &t->out, d)) != ERR_OK)
		goto out;
	if ((e = take_options(t, opts, d)) != ERR_OK)
		goto out;
	if ((e = rehearse(t, d)) != ERR_OK)
		goto out;
	set_name(t, rest);
	*state = t;
	t = NULL;
	e = ERR_OK;
out:
	if (t != NULL)
		nvs_close(t);
	return e;
}

static const char *
nvs_name(const void *state)
{
	const struct partition *t = state;

	return t->name;
}

static enum err
take_record(const void *state, const char *path, struct secret *record,
	    struct detail *d)
{
	const struct partition *t = state;
	struct buf file = {.max = NVS_SIZE_MAX};
	enum err e;

	if ((e = out_read(path, NVS_SIZE_MAX, &file, d)) == ERR_OK)
		e = nvs_read_blob(file.p, file.len, t->space, t->key, record,
				  d);
	buf_free(&file);
	return e;
}

/* One OUT for all units must not lose the only copy of the unit before. */
static enum err
check_out(const struct partition *t, const char *path, const char *device_id,
	  struct detail *d)
{
	if (t->replace || strstr(t->out, "{device_id}") != NULL)
		return ERR_OK;
	return out_spare(path, device_id, take_record, t, d);
}

static enum err
nvs_write(void *state, const char *device_id, const struct secret *record,
	  struct detail *d)
{
	const struct partition *t = state;
	struct nvs *n = NULL;
	char path[PATH_MAX];
	enum err e;

	if ((e = spec_path(t->out, device_id, path, sizeof(path), d)) != ERR_OK)
		return e;
	if ((e = check_out(t, path, device_id, d)) != ERR_OK)
		return e;
	e = build(t, device_id, record->p, record->len, &n, d);
	if (e == ERR_OK)
		e = out_write(path, nvs_finish(n), t->size, d);
	nvs_free(&n);
	return e;
}

/* By the reader, which shares nothing with the writer; then all of it. */
static enum err
nvs_read(void *state, const char *device_id, struct secret *record,
	 struct detail *d)
{
	const struct partition *t = state;
	struct buf file = {.max = NVS_SIZE_MAX};
	struct secret found = {0};
	struct nvs *n = NULL;
	char path[PATH_MAX];
	enum err e;

	if ((e = spec_path(t->out, device_id, path, sizeof(path), d)) != ERR_OK)
		return e;
	if ((e = out_read(path, NVS_SIZE_MAX, &file, d)) != ERR_OK)
		goto out;
	e = nvs_read_blob(file.p, file.len, t->space, t->key, &found, d);
	if (e != ERR_OK)
		goto out;
	e = build(t, device_id, found.p, found.len, &n, d);
	if (e == ERR_OK && (file.len != t->size ||
			    !ct_equal(file.p, nvs_finish(n), t->size))) {
		detail_set(d, "%s is not the partition that was written", path);
		e = ERR_RECORD;
	}
	if (e != ERR_OK)
		goto out;
	secret_free(record);
	*record = found;
	memset(&found, 0, sizeof(found));
out:
	secret_free(&found);
	buf_free(&file);
	nvs_free(&n);
	return e;
}

const struct target_ops target_esp_nvs = {
    .kind = "esp-nvs",
    .rest = "OUT.bin[,NAME=VALUE]...",
    .about = "an ESP32 NVS partition image, with the vendor's CSV merged in",
    .open = nvs_open,
    .name = nvs_name,
    .write = nvs_write,
    .read = nvs_read,
    .close = nvs_close,
    .places = PLACE_BY_DEVICE,
    .proof = PROOF_MEDIUM,
};
