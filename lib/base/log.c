#include "lib/base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_ 2048
#define FIELDS_MAX 32
#define TAIL 4 /* closing quote, brace, newline, and one to spare */

/* The process has one log: the only mutable globals of the library. */
static atomic_int log_least = LOG_INFO_;
static atomic_int log_fd = STDERR_FILENO;

struct line {
	char b[LINE_MAX_];
	size_t n;
};

void
log_set(enum log_level least, int fd)
{
	atomic_store(&log_least, (int)least);
	atomic_store(&log_fd, fd);
}

/* All of s or nothing. 1 if it fitted. */
static int
put(struct line *l, const char *s, size_t len)
{
	if (l->n + len > sizeof(l->b) - TAIL)
		return 0;
	memcpy(l->b + l->n, s, len);
	l->n += len;
	return 1;
}

/* Length of the well-formed UTF-8 sequence at s, or 0. */
static size_t
utf8_len(const unsigned char *s)
{
	size_t i, n;

	if (s[0] < 0x80)
		return 1;
	n = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
	if (s[0] < 0xc2 || s[0] > 0xf4)
		return 0;
	for (i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return n;
}

/* One character, escaped. *used is how much of s it was. */
static int
put_char(struct line *l, const unsigned char *s, size_t *used)
{
	char esc[8];

	*used = utf8_len(s);
	if (*used == 0) {
		*used = 1;
		return put(l, "\xef\xbf\xbd", 3); /* replacement character */
	}
	if (*s == '"' || *s == '\\') {
		esc[0] = '\\';
		esc[1] = (char)*s;
		return put(l, esc, 2);
	}
	if (*s < 0x20 || *s == 0x7f) {
		(void)snprintf(esc, sizeof(esc), "\\u%04x", *s);
		return put(l, esc, 6);
	}
	return put(l, (const char *)s, *used);
}

/* A string value, cut where the line is full; the quote always closes. */
static void
put_string(struct line *l, const char *s)
{
	const unsigned char *u = (const unsigned char *)s;
	size_t used;

	if (s == NULL) {
		(void)put(l, "null", 4);
		return;
	}
	if (!put(l, "\"", 1))
		return;
	while (*u != '\0' && put_char(l, u, &used))
		u += used;
	l->b[l->n++] = '"'; /* TAIL keeps room for it */
}

static void
put_value(struct line *l, const struct log_field *f)
{
	char num[40];
	int n;

	if (f->type == LOG_STR) {
		put_string(l, f->s);
		return;
	}
	if (f->type == LOG_INT)
		n = snprintf(num, sizeof(num), "%" PRId64, f->i);
	else if (isfinite(f->d))
		n = snprintf(num, sizeof(num), "%.6g", f->d);
	else
		n = snprintf(num, sizeof(num), "null");
	(void)put(l, num, (size_t)n);
}

/* ,"name":value; left out when there is no room for its beginning. */
static void
put_field(struct line *l, const struct log_field *f)
{
	size_t start = l->n, len = strlen(f->name);

	/* 48: the longest number, or a string worth beginning */
	if (l->n + len + 4 + 48 > sizeof(l->b) - TAIL)
		return;
	if (!put(l, ",\"", 2) || !put(l, f->name, len) || !put(l, "\":", 2)) {
		l->n = start;
		return;
	}
	put_value(l, f);
}

static void
put_head(struct line *l, enum log_level level, const char *msg)
{
	static const char *const names[] = {"debug", "info", "warn", "error"};
	struct timespec ts = {0};
	struct tm tm = {0};
	char head[80];
	int n;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	(void)gmtime_r(&ts.tv_sec, &tm);
	n = snprintf(
	    head, sizeof(head),
	    "{\"t\":\"%04d-%02d-%02dT%02d:%02d:%02d.%03dZ\",\"level\":\"%s\"",
	    tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min,
	    tm.tm_sec, (int)(ts.tv_nsec / 1000000),
	    names[(unsigned)level <= LOG_ERROR_ ? level : LOG_ERROR_]);
	(void)put(l, head, (size_t)n < sizeof(head) ? (size_t)n : 0);
	put_field(l, &F_STR("msg", msg));
}

void
log_event(enum log_level level, const char *msg, const struct log_field *fields)
{
	struct line l;
	ssize_t r;

	if ((int)level < atomic_load(&log_least))
		return;
	l.n = 0;
	put_head(&l, level, msg);
	for (; fields->type != LOG_END; fields++)
		put_field(&l, fields);
	l.b[l.n++] = '}';
	l.b[l.n++] = '\n';
	do
		r = write(atomic_load(&log_fd), l.b, l.n);
	while (r < 0 && errno == EINTR);
}

void
log_eventv(enum log_level level, const char *msg, ...)
{
	struct log_field fields[FIELDS_MAX + 1];
	va_list ap;
	int n;

	if ((int)level < atomic_load(&log_least))
		return;
	va_start(ap, msg);
	for (n = 0; n < FIELDS_MAX; n++) {
		fields[n] = va_arg(ap, struct log_field);
		if (fields[n].type == LOG_END)
			break;
	}
	va_end(ap);
	fields[n] = LOG_LAST;
	log_event(level, msg, fields);
}
