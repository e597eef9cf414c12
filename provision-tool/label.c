#include "provision-tool/label.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/file.h"

#define FILE_KIND "file:"

void
label_text(const struct device *dev, char out[LABEL_TEXT_MAX])
{
	(void)snprintf(out, LABEL_TEXT_MAX, "fealty:%s?serial=%s",
		       dev->device_id, dev->serial);
}

/* ZPL II: ^BQ is the QR code, its data "M" (error correction), "A,". */
enum err
label_zpl(const struct device *dev, struct buf *out)
{
	char text[LABEL_TEXT_MAX];

	label_text(dev, text);
	return buf_fmt(out,
		       "^XA\n^CI28\n^FO30,30^BQN,2,5^FDMA,%s^FS\n"
		       "^FO30,290^A0N,28,28^FDSN %s^FS\n"
		       "^FO30,326^A0N,28,28^FDID %s^FS\n^XZ\n",
		       text, dev->serial, dev->device_id);
}

const char *
label_fault(const struct label *l, const char *target)
{
	if (l->kind == NULL)
		return l->dir == NULL ? NULL : "--label-dir is for --label";
	if (strcmp(l->kind, "png") != 0 && strcmp(l->kind, "zpl") != 0)
		return "--label is png or zpl";
	if (l->dir == NULL &&
	    strncmp(target, FILE_KIND, strlen(FILE_KIND)) != 0)
		return "this target has no folder for labels: give "
		       "--label-dir DIR";
	return NULL;
}

/* Length of DIR in "DIR,form=..."; there may be commas in it, too. */
static size_t
dir_length(const char *s)
{
	const char *p, *end = s + strlen(s);

	for (p = strstr(s, ",form="); p != NULL; p = strstr(p + 1, ",form="))
		if (strchr(p, '/') == NULL)
			end = p;
	return (size_t)(end - s);
}

/* Beside the record: DIR of "file:DIR,form=...". */
static int
label_path(const struct label *l, const char *target, const char *device_id,
	   char path[PATH_MAX])
{
	const char *dir = l->dir;
	size_t len;
	int n;

	if (dir == NULL)
		dir = target + strlen(FILE_KIND);
	len = l->dir == NULL ? dir_length(dir) : strlen(dir);
	n = snprintf(path, PATH_MAX, "%.*s/%s.%s", (int)len, dir, device_id,
		     l->kind);
	return n > 0 && n < PATH_MAX;
}

int
label_there(const struct label *l, const char *target,
	    const struct device *dev)
{
	char path[PATH_MAX];

	return l->kind != NULL && label_fault(l, target) == NULL &&
	       name_is_device_id(dev->device_id) &&
	       label_path(l, target, dev->device_id, path) &&
	       access(path, F_OK) == 0;
}

enum err
label_write(const struct label *l, const char *target,
	    const struct device *dev, struct detail *d)
{
	struct buf image = {.max = LABEL_MAX};
	char path[PATH_MAX];
	enum err e;

	if (l->kind == NULL)
		return ERR_OK;
	if (label_fault(l, target) != NULL ||
	    !name_is_device_id(dev->device_id) ||
	    !name_is_serial(dev->serial) ||
	    !label_path(l, target, dev->device_id, path)) {
		detail_set(d, "no label for this unit and target");
		return ERR_REQUEST;
	}
	e = strcmp(l->kind, "png") == 0 ? label_png(dev, &image)
					: label_zpl(dev, &image);
	if (e == ERR_OK) {
		e = file_write_atomic(path, 0644, image.p, image.len);
		if (e == ERR_NOT_FOUND)
			e = ERR_IO;
		if (e != ERR_OK)
			detail_set(d, "the unit is burned, its label %.120s "
				   "is not written: %s", path,
				   strerror(errno));
	}
	buf_free(&image);
	return e;
}
