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
#include "lib/wire/record.h"

/* A folder with one file a device, DEVICE_ID.cbor: boards with a disk, SD
 * cards, and the examples. */

static enum err
file_open(const char *rest, void **state, struct detail *d)
{
	struct stat st;
	char *dir;

	if (*rest == '\0') {
		detail_set(d, "name the folder: file:DIR");
		return ERR_REQUEST;
	}
	dir = realpath(rest, NULL);
	if (dir == NULL || stat(dir, &st) != 0) {
		detail_set(d, "folder %s: %s", rest, strerror(errno));
		free(dir);
		return ERR_REQUEST;
	}
	if (!S_ISDIR(st.st_mode)) {
		detail_set(d, "%s is no folder", rest);
		free(dir);
		return ERR_REQUEST;
	}
	*state = dir;
	return ERR_OK;
}

static const char *
file_name(const void *state)
{
	return state;
}

/* A device_id has no slash; "." and ".." get ".cbor" behind and are files. */
static enum err
file_path(const char *dir, const char *device_id, char path[PATH_MAX],
	  struct detail *d)
{
	int n;

	if (!name_is_device_id(device_id)) {
		detail_set(d, "not a device_id");
		return ERR_NAME;
	}
	n = snprintf(path, PATH_MAX, "%s/%s.cbor", dir, device_id);
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
is_leftover(const char *name, const char *device_id)
{
	static const char random[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				     "abcdefghijklmnopqrstuvwxyz0123456789";
	size_t n = strlen(device_id);

	if (strncmp(name, device_id, n) != 0 ||
	    strncmp(name + n, ".cbor.", 6) != 0)
		return 0;
	name += n + 6;
	return strlen(name) == 6 && strspn(name, random) == 6;
}

/* A run that was killed while it wrote has left a copy of the key there. */
static enum err
remove_leftovers(const char *dir, const char *device_id, struct detail *d)
{
	const struct dirent *ent;
	enum err e = ERR_OK;
	DIR *all;

	all = opendir(dir);
	if (all == NULL) {
		detail_set(d, "folder %s: %s", dir, strerror(errno));
		return ERR_IO;
	}
	while (e == ERR_OK && (ent = readdir(all)) != NULL) {
		if (is_leftover(ent->d_name, device_id) &&
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
	char path[PATH_MAX];
	enum err e;

	if ((e = file_path(state, device_id, path, d)) != ERR_OK)
		return e;
	if ((e = remove_leftovers(state, device_id, d)) != ERR_OK)
		return e;
	e = file_write_atomic(path, 0600, record->p, record->len);
	if (e != ERR_OK)
		detail_set(d, "writing %s: %s", path, strerror(errno));
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
	char path[PATH_MAX];
	enum err e;

	if ((e = file_path(state, device_id, path, d)) != ERR_OK)
		return e;
	drop_cache(path);
	e = file_read_secret(path, RECORD_MAX, record);
	if (e == ERR_CONFIG)
		detail_set(d, "%s: others can read it: chmod 600", path);
	else if (e == ERR_NOT_FOUND)
		detail_set(d, "%s is not there", path);
	else if (e != ERR_OK)
		detail_set(d, "%s cannot be read", path);
	return e;
}

static void
file_close(void *state)
{
	free(state);
}

const struct target_ops target_file = {
    .kind = "file",
    .rest = "DIR",
    .open = file_open,
    .name = file_name,
    .write = file_write,
    .read = file_read_back,
    .close = file_close,
    .proof = PROOF_MEDIUM,
};
