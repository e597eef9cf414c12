#include "provision-tool/stats.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/parse.h"
#include "lib/wire/wire.h"

enum err
stats_path(const struct station *st, char *out, size_t size, struct detail *d)
{
	char room[PATH_MAX];
	const char *dir = station_folder(st, room, sizeof(room), d);
	int n;

	if (dir == NULL)
		return ERR_CONFIG;
	n = snprintf(out, size, "%s/%s.stats.jsonl", dir, st->order);
	if (n > 0 && (size_t)n < size)
		return ERR_OK;
	detail_set(d, "the journal's path is too long");
	return ERR_CONFIG;
}

static json_t *
steps_json(const struct burn *b)
{
	int64_t now = clock_mono_ms(&clock_system), end;
	json_t *a = json_array();
	unsigned i;

	for (i = 0; a != NULL && i < b->nmarks; i++) {
		end = i + 1 < b->nmarks ? b->marks[i + 1].at : now;
		if (json_array_append_new(a, json_pack("[s,I]",
		    b->marks[i].step, (json_int_t)(end - b->marks[i].at))) !=
		    0) {
			json_decref(a);
			return NULL;
		}
	}
	return a;
}

/* One write of a short line to a file that is appended to: it stays whole. */
static void
append(const char *path, const struct buf *line)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC |
		      O_NOFOLLOW, 0600);

	if (fd < 0)
		return;
	(void)!write(fd, line->p, line->len);
	(void)close(fd);
}

void
stats_note(const struct station *st, const struct burn *b, enum err e)
{
	struct buf line = {.max = STATS_LINE_MAX};
	char path[PATH_MAX], t[TIME_TEXT];

	format_time(clock_wall_s(&clock_system), t);
	if (jout(json_pack("{s:s,s:s,s:s,s:s,s:o}", "t", t, "serial",
			   b->serial, "code", err_code(e), "step",
			   b->step == NULL ? "" : b->step, "ms",
			   steps_json(b)), &line) == ERR_OK &&
	    buf_str(&line, "\n") == ERR_OK &&
	    stats_path(st, path, sizeof(path), NULL) == ERR_OK)
		append(path, &line);
	buf_free(&line);
}

static void
read_step(struct jin *in, const json_t *pair, struct stats_step *out)
{
	const char *name = json_string_value(json_array_get(pair, 0));
	json_int_t ms = json_integer_value(json_array_get(pair, 1));

	if (name == NULL || ms < 0 || ms > (json_int_t)UINT32_MAX ||
	    copy_str(out->name, sizeof(out->name), name) != ERR_OK) {
		jin_fail(in, ERR_JSON, "member ms: name and number");
		return;
	}
	out->ms = (uint32_t)ms;
}

enum err
stats_decode(const char *s, size_t len, struct stats_try *out)
{
	char t[TIME_TEXT];
	size_t i, n = 0;
	struct jin in;
	json_t *a;

	memset(out, 0, sizeof(*out));
	jin_open(&in, s, len, NULL);
	jin_str(&in, "t", t, sizeof(t));
	jin_str(&in, "serial", out->serial, sizeof(out->serial));
	jin_str(&in, "code", out->code, sizeof(out->code));
	jin_str(&in, "step", out->step, sizeof(out->step));
	a = jin_any(&in, "ms");
	n = json_array_size(a);
	if (n > STATS_STEPS)
		jin_fail(&in, ERR_JSON, "member ms: too long");
	for (i = 0; in.err == ERR_OK && i < n; i++)
		read_step(&in, json_array_get(a, i), &out->steps[i]);
	out->n = (unsigned)n;
	return jin_done(&in);
}
