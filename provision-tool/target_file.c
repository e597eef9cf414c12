#include "provision-tool/target.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/file.h"
#include "provision-tool/form.h"
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

/*
 * 1 if name is what an atomic write of DEVICE_ID.cbor uses until it is. Its
 * six random characters hold no dot, so that the record of a device called
 * DEVICE_ID.cbor.x is none.
 */
static int
is_leftover(const char *name, const char *device_id, const char *suffix)
{
	static const char random[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				     "abcdefghijklmnopqrstuvwxyz0123456789";
	size_t n = strlen(device_id), m = strlen(suffix);

	if (strncmp(name, device_id, n) != 0 ||
	    strncmp(name + n, suffix, m) != 0 || name[n + m] != '.')
		return 0;
	name += n + m + 1;
	return strlen(name) == 6 && strspn(name, random) == 6;
}

/* A run that was killed while it wrote has left a copy of the key there. */
static enum err
remove_leftovers(const struct place *p, const char *device_id,
		 struct detail *d)
{
	const char *dir = p->dir, *suffix = form_suffix(p->form);
	const struct dirent *ent;
	enum err e = ERR_OK;
	DIR *all;

	all = opendir(dir);
	if (all == NULL) {
		detail_set(d, "folder %s: %s", dir, strerror(errno));
		return ERR_IO;
	}
	while (e == ERR_OK && (ent = readdir(all)) != NULL) {
		if (is_leftover(ent->d_name, device_id, suffix) &&
		    unlinkat(dirfd(all), ent->d_name, 0) != 0) {
			detail_set(d, "removing %s/%s: %s", dir, ent->d_name,
				   strerror(errno));
			e = ERR_IO;
		}
	}
	(void)closedir(all);
	return e;
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
	if ((e = remove_leftovers(p, device_id, d)) != ERR_OK)
		return e;
	if ((e = form_encode(p->form, record, &octets, d)) != ERR_OK)
		return e;
	e = file_write_atomic(path, 0600, octets.p, octets.len);
	if (e != ERR_OK)
		detail_set(d, "writing %s: %s", path, strerror(errno));
	secret_free(&octets);
	return e;
}

/* Have the octets come from the medium, not from the page cache. */
static void
drop_cache(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);

	if (fd < 0)
		return;
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	(void)close(fd);
}

static enum err
file_read_back(void *state, const char *device_id, struct secret *record,
	       struct detail *d)
{
	const struct place *p = state;
	struct secret octets = {0};
	char path[PATH_MAX];
	enum err e;

	if ((e = file_path(p, device_id, path, d)) != ERR_OK)
		return e;
	drop_cache(path);
	e = file_read_secret(path, FORM_MAX, &octets);
	if (e == ERR_OK)
		e = form_decode(p->form, &octets, record, d);
	secret_free(&octets);
	if (e == ERR_CONFIG)
		detail_set(d, "%s: others can read it: chmod 600", path);
	else if (e == ERR_NOT_FOUND)
		detail_set(d, "%s is not there", path);
	else if (e != ERR_OK)
		detail_set(d, "%s cannot be read", path);
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
    .proof = PROOF_MEDIUM,
};
