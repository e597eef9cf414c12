/*
 * Rotation: the next record is stored beside the present one before it is
 * used, and takes its place once it has worked. Cut off anywhere, the same
 * command again finds its way on.
 */
#include "examples/device.h"

#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <fealty/device_openssl.h>

#define PATH_MAX_ 1024

/* What was said of a name survives a power cut only so. */
static int
sync_dir(const char *path)
{
	char copy[PATH_MAX_];
	int fd, ok;

	snprintf(copy, sizeof(copy), "%s", path);
	if ((fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		return (-1);
	ok = fsync(fd);
	close(fd);
	return (ok);
}

static int
store(const char *path, const char *octets, size_t len)
{
	char tmp[PATH_MAX_ + 8];
	int fd, ok;

	snprintf(tmp, sizeof(tmp), "%s.new", path);
	fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return (-1);
	ok = write(fd, octets, len) == (ssize_t)len && fsync(fd) == 0;
	ok = close(fd) == 0 && ok;
	if (ok && rename(tmp, path) == 0 && sync_dir(path) == 0)
		return (0);
	unlink(tmp);
	return (-1);
}

/* 1: there is a next record, of this device. */
static int
stored(const char *path, const struct fealty_record *present,
    char octets[FEALTY_RECORD_MAX], struct fealty_record *next)
{
	size_t n;
	FILE *f;

	if ((f = fopen(path, "rb")) == NULL)
		return (0);
	setvbuf(f, NULL, _IONBF, 0);
	n = fread(octets, 1, FEALTY_RECORD_MAX, f);
	fclose(f);
	return (fealty_rotate_read(present, octets, n, next) == FEALTY_OK);
}

static int
fetch(const struct fealty_record *present, const char *path, const char *at,
    enum fealty_tls tls)
{
	char body[FEALTY_ROTATE_TEXT_SIZE], answer[FEALTY_RECORD_MAX + 1];
	const struct ask ask = {"/v1/device/rotate", "application/json", body};
	const struct fealty_device_port *port = &fealty_device_port_openssl;
	uint8_t request[FEALTY_ROTATE_REQUEST];
	struct fealty_record next;
	struct link l;
	size_t len;
	int status, http;

	if (port->random(port->ctx, request, sizeof(request)) != 0 ||
	    fealty_rotate_request(request, body, sizeof(body), &len) !=
	    FEALTY_OK)
		return (REFUSED);
	status = link_open(&l, present, FEALTY_AUTHORITY, at, tls);
	if (status != DONE)
		return (status);
	http = link_ask(&l, &ask, answer, sizeof(answer), &len);
	link_close(&l);
	if (http != 200) {
		fprintf(stderr, "device: the authority says: %d %s\n", http,
		    http > 0 ? answer : "");
		status = http < 0 || http == 429 || http == 503 ? TRY_AGAIN :
		    REFUSED;
	} else if (fealty_rotate_read(present, answer, len, &next) !=
	    FEALTY_OK || store(path, answer, len) != 0) {
		fprintf(stderr, "device: the next record is wrong, or cannot "
		    "be stored\n");
		status = REFUSED;
	}
	fealty_wipe(answer, sizeof(answer));
	return (status);
}

/* A completed handshake, and an answer: the old record is dead after it. */
static int
try_next(const struct fealty_record *next, const char *at,
    enum fealty_tls tls)
{
	const struct ask ask = {"/v1/device", NULL, NULL};
	char answer[4096];
	struct link l;
	size_t len;
	int status, http;

	status = link_open(&l, next, FEALTY_AUTHORITY, at, tls);
	if (status != DONE)
		return (status);
	http = link_ask(&l, &ask, answer, sizeof(answer), &len);
	link_close(&l);
	if (http == 200)
		return (DONE);
	return (http == 401 || http == 403 ? REFUSED : TRY_AGAIN);
}

int
rotate(const struct fealty_record *r, const char *path, const char *at,
    enum fealty_tls tls, int use)
{
	char next_path[PATH_MAX_], octets[FEALTY_RECORD_MAX];
	struct fealty_record next;
	int status, again;

	if ((size_t)snprintf(next_path, sizeof(next_path), "%s.next", path) >=
	    sizeof(next_path))
		return (USAGE);
	again = stored(next_path, r, octets, &next);
	status = again ? DONE : fetch(r, next_path, at, tls);
	if (status != DONE || !use)
		return (status);
	if (!again && !stored(next_path, r, octets, &next))
		return (REFUSED);
	status = try_next(&next, at, tls);
	if (status == DONE && (rename(next_path, path) != 0 ||
	    sync_dir(path) != 0))
		status = TRY_AGAIN;
	if (status == DONE)
		printf("epoch %u\n", (unsigned)next.epoch);
	/* somebody asked after us: what we were given is dead, begin anew */
	if (status == REFUSED) {
		unlink(next_path);
		status = TRY_AGAIN;
	}
	fealty_wipe(octets, sizeof(octets));
	return (status);
}
