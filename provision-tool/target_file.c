#include "provision-tool/target.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "provision-tool/form.h"
#include "provision-tool/out.h"
#include "provision-tool/spec.h"

/* A folder with one file a device, DEVICE_ID.cbor (or .env, .txt): boards
 * with a disk, SD cards, and the examples. */
struct place {
	char *dir;
	enum form form;
	char name[PATH_MAX + 16];
};

static void
file_close(void *state)
{
	struct place *p = state;

	free(p->dir);
	free(p);
}

static enum err
open_dir(struct place *p, const char *dir, struct detail *d)
{
	struct stat st;

	if (*dir == '\0') {
		detail_set(d, "name the folder: file:DIR");
		return ERR_REQUEST;
	}
	p->dir = realpath(dir, NULL);
	if (p->dir == NULL || stat(p->dir, &st) != 0) {
		detail_set(d, "folder %s: %s", dir, strerror(errno));
		return ERR_REQUEST;
	}
	if (!S_ISDIR(st.st_mode)) {
		detail_set(d, "%s is no folder", dir);
		return ERR_REQUEST;
	}
	return ERR_OK;
}

/* CBOR goes without saying, so that its journals of before still count. */
static void
set_name(struct place *p)
{
	(void)snprintf(p->name, sizeof(p->name), "%s%s%s", p->dir,
		       p->form == FORM_CBOR ? "" : ",form=",
		       p->form == FORM_CBOR ? "" : form_name(p->form));
}

static enum err
file_open(const char *rest, void **state, struct detail *d)
{
	struct spec_opt form = {"form", NULL};
	struct place *p = NULL;
	char *s = NULL;
	enum err e = ERR_NOMEM;

	s = strdup(rest);
	p = calloc(1, sizeof(*p));
	if (s == NULL || p == NULL)
		goto out;
	if ((e = spec_split(s, &form, 1, d)) != ERR_OK)
		goto out;
	if (form.value != NULL &&
	    (e = form_parse(form.value, &p->form)) != ERR_OK) {
		detail_set(d, "form= is cbor, env or text");
		goto out;
	}
	if ((e = open_dir(p, s, d)) != ERR_OK)
		goto out;
	set_name(p);
	*state = p;
	p = NULL;
	e = ERR_OK;
out:
	if (p != NULL)
		file_close(p);
	free(s);
	return e;
}

static const char *
file_name(const void *state)
{
	const struct place *p = state;

	return p->name;
}

/* A device_id has no slash; "." and ".." get a suffix behind and are files. */
static enum err
file_path(const struct place *p, const char *device_id, char path[PATH_MAX],
	  struct detail *d)
{
	int n;

	if (!name_is_device_id(device_id)) {
		detail_set(d, "not a device_id");
		return ERR_NAME;
	}
	n = snprintf(path, PATH_MAX, "%s/%s%s", p->dir, device_id,
		     form_suffix(p->form));
	if (n < 0 || n >= PATH_MAX) {
		detail_set(d, "the path is too long");
		return ERR_NAME;
	}
	return ERR_OK;
}

static enum err
file_write(void *state, const char *device_id, const struct secret *record,
	   struct detail *d)
{
	const struct place *p = state;
	struct secret octets = {0};
	char path[PATH_MAX];
	enum err e;

	if ((e = file_path(p, device_id, path, d)) != ERR_OK)
		return e;
	if ((e = form_encode(p->form, record, &octets, d)) != ERR_OK)
		return e;
	e = out_write(path, octets.p, octets.len, d);
	secret_free(&octets);
	return e;
}

static enum err
file_read_back(void *state, const char *device_id, struct secret *record,
	       struct detail *d)
{
	const struct place *p = state;
	struct buf file = {.max = FORM_MAX};
	struct secret octets = {0};
	char path[PATH_MAX];
	enum err e;

	if ((e = file_path(p, device_id, path, d)) != ERR_OK)
		return e;
	e = out_read(path, FORM_MAX, &file, d);
	if (e == ERR_OK)
		e = secret_set(&octets, file.p, file.len);
	if (e == ERR_OK)
		e = form_decode(p->form, &octets, record, d);
	secret_free(&octets);
	buf_free(&file);
	return e;
}

const struct target_ops target_file = {
    .kind = "file",
    .rest = "DIR[,form=cbor|env|text]",
    .about = "a file for each device in a folder: CBOR, environment or text",
    .open = file_open,
    .name = file_name,
    .write = file_write,
    .read = file_read_back,
    .close = file_close,
    .places = PLACE_MANY,
    .proof = PROOF_MEDIUM,
};
