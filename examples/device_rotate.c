/*
 * Rotation: the next record is stored beside the present one (FILE.next)
 * before it is used, and takes its place once it has worked. Cut off
 * anywhere, the same command again finds its way on: the request is stored
 * before it is made (FILE.ask), so that it gets the same record again.
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
	char tmp[PATH_MAX_ + 16];
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

static size_t
load(const char *path, char *out, size_t size)
{
	size_t n;
	FILE *f;

	if ((f = fopen(path, "rb")) == NULL)
		return (0);
	setvbuf(f, NULL, _IONBF, 0);
	n = fread(out, 1, size, f);
	fclose(f);
	return (n);
}

struct rotation {
	const struct fealty_record *present;
	const char *at;
	enum fealty_tls tls;
	char path[PATH_MAX_], next[PATH_MAX_ + 8], ask[PATH_MAX_ + 8];
};

/* 1: there is a next record, of this device. */
static int
stored(const struct rotation *o, char octets[FEALTY_RECORD_MAX],
    struct fealty_record *next)
{
	size_t n = load(o->next, octets, FEALTY_RECORD_MAX);

	return (fealty_rotate_read(o->present, octets, n, next) ==
	    FEALTY_OK);
}

/*
 * The request that is under way, or a new one: the epoch it was made under
 * goes before it, so that it is never made again under another key. Whoever
 * has it and the key gets the same next key: it is as secret as the record.
 */
static int
request_of(const struct rotation *o, uint8_t request[FEALTY_ROTATE_REQUEST])
{
	const struct fealty_device_port *port = &fealty_device_port_openssl;
	char text[4 + FEALTY_ROTATE_REQUEST + 1], epoch[4];
	int i, ok;

	for (i = 0; i < 4; i++)
		epoch[i] = (char)(o->present->epoch >> (24 - 8 * i) & 0xff);
	ok = load(o->ask, text, sizeof(text)) == sizeof(text) - 1 &&
	    memcmp(text, epoch, sizeof(epoch)) == 0;
	if (!ok) {
		memcpy(text, epoch, sizeof(epoch));
		ok = port->random(port->ctx, (uint8_t *)text + 4,
		    FEALTY_ROTATE_REQUEST) == 0 &&
		    store(o->ask, text, sizeof(text) - 1) == 0;
	}
	memcpy(request, text + 4, FEALTY_ROTATE_REQUEST);
	fealty_wipe(text, sizeof(text));
	return (ok ? 0 : -1);
}

static int
fetch(const struct rotation *o)
{
	char body[FEALTY_ROTATE_TEXT_SIZE], answer[FEALTY_RECORD_MAX + 1];
	const struct ask ask = {"/v1/device/rotate", "application/json", body};
	uint8_t request[FEALTY_ROTATE_REQUEST];
	struct fealty_record next;
	struct link l;
	size_t len;
	int status, http;

	if (request_of(o, request) != 0 || fealty_rotate_request(request,
	    body, sizeof(body), &len) != FEALTY_OK) {
		fprintf(stderr, "device: cannot store a request\n");
		return (REFUSED);
	}
	status = link_open(&l, o->present, FEALTY_AUTHORITY, o->at, o->tls);
	if (status != DONE)
		return (status);
	http = link_ask(&l, &ask, answer, sizeof(answer), &len);
	link_close(&l);
	if (http != 200) {
		fprintf(stderr, "device: the authority says: %d %s\n", http,
		    http > 0 ? answer : "");
		status = http < 0 || http == 429 || http == 503 ? TRY_AGAIN :
		    REFUSED;
	} else if (fealty_rotate_read(o->present, answer, len, &next) !=
	    FEALTY_OK || store(o->next, answer, len) != 0) {
		fprintf(stderr, "device: the next record is wrong, or cannot "
		    "be stored\n");
		status = REFUSED;
	}
	fealty_wipe(answer, sizeof(answer));
	return (status);
}

/*
 * Somebody asked after us: what we were given is dead. It is kept until the
 * present key has got another one, which it only does while it lives.
 */
static int
begin_anew(const struct rotation *o)
{
	int status;

	unlink(o->ask);
	status = fetch(o);
	return (status == DONE ? TRY_AGAIN : status);
}

/*
 * A completed handshake, and an answer: the present record is dead after it.
 * So once there was a handshake there is no way back, whatever becomes of
 * others, but by the authority's own word that the next one is dead: who
 * uses a dead key is taken for a clone.
 */
static int
try_next(const struct rotation *o, const struct fealty_record *next)
{
	const struct ask ask = {"/v1/device", NULL, NULL};
	char answer[4096];
	struct link l;
	size_t len;
	int status, http;

	status = link_open(&l, next, FEALTY_AUTHORITY, o->at, o->tls);
	if (status == REFUSED)
		return (access(o->ask, F_OK) == 0 ? begin_anew(o) :
		    TRY_AGAIN);
	if (status != DONE)
		return (status);
	unlink(o->ask);
	sync_dir(o->path);
	http = link_ask(&l, &ask, answer, sizeof(answer), &len);
	link_close(&l);
	if (http == 200)
		return (DONE);
	if (http == 403 && strstr(answer, "\"epoch_dead\"") != NULL)
		return (begin_anew(o));
	if (http > 0)
		fprintf(stderr, "device: the authority says: %d %s\n", http,
		    answer);
	return (http == 403 ? REFUSED : TRY_AGAIN);
}

int
rotate(const struct fealty_record *r, const char *path, const char *at,
    enum fealty_tls tls, int use)
{
	struct rotation o = {.present = r, .at = at, .tls = tls};
	char octets[FEALTY_RECORD_MAX];
	struct fealty_record next;
	int status = DONE;

	if ((size_t)snprintf(o.path, sizeof(o.path), "%s", path) >=
	    sizeof(o.path))
		return (USAGE);
	snprintf(o.next, sizeof(o.next), "%s.next", o.path);
	snprintf(o.ask, sizeof(o.ask), "%s.ask", o.path);
	if (!stored(&o, octets, &next)) {
		status = fetch(&o);
		if (status == DONE && !stored(&o, octets, &next))
			status = REFUSED;
	}
	if (status == DONE && use) {
		status = try_next(&o, &next);
		if (status == DONE && (rename(o.next, o.path) != 0 ||
		    sync_dir(o.path) != 0))
			status = TRY_AGAIN;
		if (status == DONE)
			printf("epoch %u\n", (unsigned)next.epoch);
	}
	fealty_wipe(octets, sizeof(octets));
	return (status);
}
