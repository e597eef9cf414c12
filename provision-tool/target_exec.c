#include "provision-tool/target.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <fealty/device.h>
#include "lib/base/clock.h"
#include "lib/base/parse.h"
#include "lib/wire/record.h"
#include "provision-tool/run.h"
#include "provision-tool/scrub.h"
#include "provision-tool/spec.h"
#include "provision-tool/words.h"

/*
 * Somebody else's tool (esptool, openocd, ...) writes the record, and another
 * reads it back or has the device prove itself (docs/targets.md).
 */
#define TIMEOUT_MS 60000
#define TIMEOUT_MAX_MS 3600000
#define TALK_MAX 65536
#define ANSWER_LEN 32

struct commands {
	char **write, **verify, **prove;
	int timeout_ms;
	int log;	  /* -1: none */
	struct key32 key; /* to look for in what the commands print */
	int has_key;
	char name[1024];
};

enum { VERIFY, PROVE, TIMEOUT, LOG, NOPTS };

static void
exec_close(void *state)
{
	struct commands *c = state;

	words_free(&c->write);
	words_free(&c->verify);
	words_free(&c->prove);
	if (c->log >= 0)
		(void)close(c->log);
	key32_wipe(&c->key);
	free(c);
}

static enum err
take_options(struct commands *c, const struct spec_opt *o, struct detail *d)
{
	uint64_t ms = TIMEOUT_MS;
	enum err e = ERR_OK;

	if (o[VERIFY].value != NULL)
		e = words_split(o[VERIFY].value, &c->verify, d);
	if (e == ERR_OK && o[PROVE].value != NULL)
		e = words_split(o[PROVE].value, &c->prove, d);
	if (e != ERR_OK)
		return e;
	if (o[TIMEOUT].value != NULL &&
	    (parse_duration_ms(o[TIMEOUT].value, TIMEOUT_MAX_MS, &ms) !=
		 ERR_OK ||
	     ms == 0)) {
		detail_set(d, "timeout= is such as 500ms, 30s or 10m, at most "
			      "an hour");
		return ERR_REQUEST;
	}
	c->timeout_ms = (int)ms;
	if (o[LOG].value == NULL)
		return ERR_OK;
	c->log = open(o[LOG].value,
		      O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW,
		      0600);
	if (c->log < 0) {
		detail_set(d, "log %.100s: %s", o[LOG].value, strerror(errno));
		return ERR_REQUEST;
	}
	return ERR_OK;
}

static enum err
exec_open(const char *rest, void **state, struct detail *d)
{
	struct spec_opt opts[NOPTS] = {
	    [VERIFY] = {"verify", NULL},
	    [PROVE] = {"prove", NULL},
	    [TIMEOUT] = {"timeout", NULL},
	    [LOG] = {"log", NULL},
	};
	struct commands *c = NULL;
	char *s = NULL;
	enum err e = ERR_NOMEM;

	s = strdup(rest);
	c = calloc(1, sizeof(*c));
	if (s == NULL || c == NULL)
		goto out;
	c->log = -1;
	if ((e = copy_str(c->name, sizeof(c->name), rest)) != ERR_OK) {
		detail_set(d, "the command is too long: put it into a script");
		e = ERR_REQUEST;
		goto out;
	}
	if ((e = spec_split(s, opts, NOPTS, d)) != ERR_OK)
		goto out;
	if ((e = words_split(s, &c->write, d)) != ERR_OK)
		goto out;
	if ((e = take_options(c, opts, d)) != ERR_OK)
		goto out;
	*state = c;
	c = NULL;
	e = ERR_OK;
out:
	if (c != NULL)
		exec_close(c);
	free(s);
	return e;
}

static const char *
exec_name(const void *state)
{
	const struct commands *c = state;

	return c->name;
}

static unsigned
exec_can(const void *state)
{
	const struct commands *c = state;

	return (c->verify != NULL ? TARGET_READS : 0u) |
	       (c->prove != NULL ? TARGET_PROVES : 0u);
}

static void
learn_key(struct commands *c, const void *p, size_t len)
{
	struct fealty_record r;

	if (fealty_record_read(p, len, &r) == FEALTY_OK) {
		memcpy(c->key.b, r.key, sizeof(c->key.b));
		c->has_key = 1;
	}
	fealty_wipe(&r, sizeof(r));
}

/*
 * What was printed, if it can be shown: a text in which no key can be looked
 * for might hold one.
 */
static const char *
showable(const struct commands *c, const struct buf *b, size_t *len)
{
	static const char held[] = "(not shown: it holds key bytes)\n";
	static const char maybe[] = "(not shown: it may hold key bytes)\n";

	*len = b->len;
	if (b->len == 0)
		return "";
	if (c->has_key && !scrub_finds(&c->key, b->p, b->len))
		return b->p;
	*len = c->has_key ? sizeof(held) - 1 : sizeof(maybe) - 1;
	return c->has_key ? held : maybe;
}

static void
to_log(const struct commands *c, const struct run *r, enum err e,
       const struct buf *b)
{
	struct buf line = {.max = TALK_MAX + 4096};
	char t[TIME_TEXT];
	const char *text;
	size_t len;

	if (c->log < 0)
		return;
	text = showable(c, b, &len);
	format_time(clock_wall_s(&clock_system), t);
	if (buf_fmt(&line, "--- %s %s %.200s: %s\n", t, r->device_id,
		    r->argv[0], err_name(e)) == ERR_OK &&
	    buf_add(&line, text, len) == ERR_OK &&
	    (len == 0 || text[len - 1] == '\n' ||
	     buf_str(&line, "\n") == ERR_OK))
		(void)!write(c->log, line.p, line.len);
	buf_free(&line);
}

/* The last line that was printed, for the message. */
static void
last_words(const struct commands *c, const struct buf *b, struct detail *d)
{
	char quoted[72] = "", text[sizeof(d->text)];
	const char *p;
	size_t len, i, n = 0;

	if (d == NULL)
		return;
	p = showable(c, b, &len);
	while (len > 0 && p[len - 1] == '\n')
		len--;
	for (i = len; i > 0 && p[i - 1] != '\n'; i--)
		;
	for (; i < len && n < sizeof(quoted) - 1; i++)
		quoted[n++] = p[i] >= ' ' && p[i] <= '~' ? p[i] : '?';
	if (n == 0)
		return;
	(void)snprintf(text, sizeof(text), "%.110s: \"%s\"", d->text, quoted);
	memcpy(d->text, text, sizeof(text));
}

static enum err
run(struct commands *c, char *const *words, const char *device_id,
    const void *in, size_t inlen, struct buf *out, struct detail *d)
{
	struct buf talk = {.max = TALK_MAX};
	struct run r = {.device_id = device_id, .in = in, .inlen = inlen,
			.timeout_ms = c->timeout_ms,
			.chatty = words == c->write};
	char **argv = NULL;
	enum err e;

	if ((e = words_fill(words, device_id, &argv, d)) != ERR_OK)
		return e;
	r.argv = argv;
	e = run_command(&r, out, &talk, d);
	if (words == c->verify && !c->has_key)
		learn_key(c, out->p, out->len);
	if (words == c->write && out->len <= talk.max - talk.len)
		(void)!buf_add(&talk, out->p, out->len);
	to_log(c, &r, e, &talk);
	if (e != ERR_OK)
		last_words(c, &talk, d);
	words_free(&argv);
	buf_free(&talk);
	return e;
}

static enum err
exec_write(void *state, const char *device_id, const struct secret *record,
	   struct detail *d)
{
	struct commands *c = state;
	struct buf out = {.max = TALK_MAX};
	enum err e;

	c->has_key = 0;
	learn_key(c, record->p, record->len);
	e = run(c, c->write, device_id, record->p, record->len, &out, d);
	buf_free(&out);
	return e;
}

/*
 * A tool that fails here leaves a unit that is to be written again; of one
 * that is late nobody knows.
 */
static enum err
exec_read(void *state, const char *device_id, struct secret *record,
	  struct detail *d)
{
	struct commands *c = state;
	struct buf out = {.max = RECORD_MAX};
	enum err e;

	e = run(c, c->verify, device_id, NULL, 0, &out, d);
	if (e == ERR_OK && out.len == 0) {
		detail_set(d, "verify= printed no record");
		e = ERR_RECORD;
	}
	if (e == ERR_OK)
		e = secret_set(record, out.p, out.len);
	else if (e != ERR_NOMEM && e != ERR_TIMEOUT)
		e = ERR_RECORD;
	buf_free(&out);
	return e;
}

/* 32 octets, or 64 hexadecimal digits and at most one line end. */
static enum err
take_answer(const struct buf *out, unsigned char answer[ANSWER_LEN])
{
	size_t len = out->len;

	if (len == ANSWER_LEN) {
		memcpy(answer, out->p, ANSWER_LEN);
		return ERR_OK;
	}
	if (len == 2 * ANSWER_LEN + 1 && out->p[len - 1] == '\n')
		len--;
	if (len == 0)
		return ERR_REQUEST;
	return spec_hex(out->p, len, answer, ANSWER_LEN);
}

static enum err
exec_prove(void *state, const char *device_id,
	   const unsigned char challenge[CHALLENGE_LEN],
	   unsigned char answer[ANSWER_LEN], struct detail *d)
{
	struct commands *c = state;
	struct buf out = {.max = 2 * ANSWER_LEN + 1};
	enum err e;

	e = run(c, c->prove, device_id, challenge, CHALLENGE_LEN, &out, d);
	if (e == ERR_OK && take_answer(&out, answer) != ERR_OK) {
		detail_set(d, "prove= printed neither 32 octets nor 64 "
			      "hexadecimal digits");
		e = ERR_PROOF;
	}
	if (e != ERR_OK && e != ERR_NOMEM && e != ERR_TIMEOUT)
		e = ERR_PROOF;
	buf_free(&out);
	return e;
}

const struct target_ops target_exec = {
    .kind = "exec",
    .rest = "COMMAND[,verify=COMMAND][,prove=COMMAND][,timeout=T][,log=FILE]",
    .about = "any tool: it reads the record from descriptor 3",
    .open = exec_open,
    .name = exec_name,
    .write = exec_write,
    .read = exec_read,
    .prove = exec_prove,
    .can = exec_can,
    .close = exec_close,
    .proof = PROOF_MEDIUM,
};
