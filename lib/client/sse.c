#include "lib/client/sse.h"

#include <stdio.h>
#include <string.h>

void
sse_init(struct sse *s, size_t max, sse_fn *fn, void *arg)
{
	memset(s, 0, sizeof(*s));
	s->line.max = max + SSE_WORD;
	s->data.max = max + 1; /* and the line feed behind it */
	s->fn = fn;
	s->arg = arg;
	s->first = 1;
}

void
sse_free(struct sse *s)
{
	buf_free(&s->line);
	buf_free(&s->data);
}

/* An empty line: what was gathered is a message. */
static enum err
dispatch(struct sse *s)
{
	struct sse_message m;
	enum err e = ERR_OK;

	if (s->has_data) {
		/* each data line ended in a line feed: the last one goes */
		s->data.p[--s->data.len] = '\0';
		m = (struct sse_message){
			.event = s->event[0] != '\0' ? s->event : "message",
			.id = s->id,
			.data = s->data.p,
			.len = s->data.len,
		};
		e = s->fn(s->arg, &m);
	}
	buf_reset(&s->data);
	s->has_data = 0;
	s->event[0] = '\0';
	return e;
}

static enum err
field(struct sse *s, const char *name, const char *value, size_t len)
{
	enum err e;

	if (strcmp(name, "data") == 0) {
		s->has_data = 1;
		e = buf_add(&s->data, value, len);
		return e == ERR_OK ? buf_add(&s->data, "\n", 1) : e;
	}
	if (strcmp(name, "event") == 0)
		(void)snprintf(s->event, sizeof(s->event), "%s", value);
	else if (strcmp(name, "id") == 0 && memchr(value, '\0', len) == NULL)
		(void)snprintf(s->id, sizeof(s->id), "%s", value);
	return ERR_OK; /* retry is ours to decide, the rest is unknown */
}

static enum err
take_line(struct sse *s)
{
	char *l = s->line.p, *colon, *value;
	size_t len = s->line.len;

	if (s->first && len >= 3 && memcmp(l, "\xef\xbb\xbf", 3) == 0) {
		l += 3;
		len -= 3;
	}
	s->first = 0;
	if (len == 0)
		return dispatch(s);
	colon = memchr(l, ':', len);
	if (colon == l)
		return ERR_OK; /* a comment */
	if (colon == NULL)
		return field(s, l, "", 0);
	*colon = '\0';
	value = colon + 1;
	if (*value == ' ')
		value++;
	return field(s, l, value, (size_t)(l + len - value));
}

enum err
sse_feed(struct sse *s, const char *p, size_t len)
{
	const char *end = p + len, *q;
	enum err e;

	while (p < end) {
		if (s->after_cr && *p == '\n') {
			s->after_cr = 0;
			p++;
			continue;
		}
		s->after_cr = 0;
		for (q = p; q < end && *q != '\n' && *q != '\r'; q++)
			;
		if ((e = buf_add(&s->line, p, (size_t)(q - p))) != ERR_OK)
			return e;
		if (q == end)
			return ERR_OK;
		s->after_cr = *q == '\r';
		if ((e = take_line(s)) != ERR_OK)
			return e;
		buf_reset(&s->line);
		p = q + 1;
	}
	return ERR_OK;
}
