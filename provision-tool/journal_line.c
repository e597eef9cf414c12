#include "provision-tool/journal_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/b64url.h"
#include "lib/base/clock.h"
#include "lib/base/parse.h"
#include "lib/wire/wire.h"

#define CHUNK 65536

enum err
journal_line_decode(const char *s, size_t len, struct journal_entry *out)
{
	struct journal_entry e;
	char t[TIME_TEXT], challenge[B64URL_LEN(CHALLENGE_LEN) + 1] = "";
	struct jin in;
	enum err err;

	memset(&e, 0, sizeof(e));
	jin_open(&in, s, len, NULL);
	jin_str(&in, "t", t, sizeof(t));
	jin_str(&in, "order", e.order, sizeof(e.order));
	jin_str(&in, "serial", e.serial, sizeof(e.serial));
	jin_str(&in, "target", e.target, sizeof(e.target));
	jin_str(&in, "step", e.step, sizeof(e.step));
	jin_str(&in, "device_id", e.device_id, sizeof(e.device_id));
	jin_u32(&in, "epoch", UINT32_MAX, &e.epoch);
	jin_opt_u64(&in, "number", NUMBER_MAX, &e.dn);
	jin_opt_str(&in, "challenge", challenge, sizeof(challenge));
	if ((err = jin_done(&in)) != ERR_OK)
		return err;
	if (challenge[0] != '\0') {
		err = b64url_decode_exact(challenge, strlen(challenge),
					  e.challenge, sizeof(e.challenge));
		e.has_challenge = err == ERR_OK;
	}
	if (err == ERR_OK)
		*out = e;
	return err;
}

enum err
journal_line_encode(const struct journal_entry *e, struct buf *out)
{
	char t[TIME_TEXT], challenge[B64URL_LEN(CHALLENGE_LEN) + 1];
	json_t *o;
	enum err err;

	format_time(clock_wall_s(&clock_system), t);
	b64url_encode(e->challenge, sizeof(e->challenge), challenge);
	o = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:I,s:I}", "t", t, "order",
		      e->order, "serial", e->serial, "target", e->target,
		      "step", e->step, "device_id", e->device_id, "epoch",
		      (json_int_t)e->epoch, "number", (json_int_t)e->dn);
	if (o != NULL && e->has_challenge &&
	    json_object_set_new(o, "challenge", json_string(challenge)) != 0) {
		json_decref(o);
		return ERR_NOMEM;
	}
	if ((err = jout(o, out)) != ERR_OK)
		return err;
	return buf_str(out, "\n");
}

/* The whole lines in a chunk that begins at *seen; *used are their octets. */
static enum err
walk_chunk(const char *p, size_t len, off_t seen, size_t *used,
	   journal_line_fn *line, void *arg)
{
	const char *end;
	enum err e;

	*used = 0;
	while ((end = memchr(p + *used, '\n', len - *used)) != NULL) {
		e = line(arg, p + *used, (size_t)(end - p) - *used,
			 seen + (off_t)*used);
		if (e != ERR_OK)
			return e;
		*used = (size_t)(end - p) + 1;
	}
	return ERR_OK;
}

/* What has no line end within a chunk is no entry, and is left behind. */
enum err
journal_walk(int fd, off_t *seen, journal_line_fn *line, void *arg)
{
	char *chunk = malloc(CHUNK);
	size_t used;
	ssize_t n;
	enum err e = ERR_OK;

	if (chunk == NULL)
		return ERR_NOMEM;
	for (;;) {
		n = pread(fd, chunk, CHUNK, *seen);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			e = ERR_IO;
		if (n <= 0)
			break;
		e = walk_chunk(chunk, (size_t)n, *seen, &used, line, arg);
		if (e != ERR_OK)
			break;
		if (used == 0 && n < CHUNK)
			break; /* its writer is not done with it */
		*seen += used == 0 ? n : (off_t)used;
	}
	free(chunk);
	return e;
}
