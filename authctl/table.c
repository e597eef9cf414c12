#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "authctl/table.h"
#include "lib/base/buf.h"

#define CELL_MAX 2048
#define COLUMNS_MAX 16

/* States and verdicts worth a colour; anything else has none. */
static const char *
colour_of(const char *text)
{
	static const struct {
		const char *word, *escape;
	} words[] = {
	    {"active", "\033[32m"},
	    {"accepted", "\033[32m"},
	    {"suspended", "\033[33m"},
	    {"burning", "\033[33m"},
	    {"revoked", "\033[31m"},
	    {"refused", "\033[31m"},
	    {"block", "\033[31m"},
	    {"cut", "\033[33m"},
	};
	size_t i;

	if (!isatty(STDOUT_FILENO))
		return NULL;
	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(words[i].word, text) == 0)
			return words[i].escape;
	}
	return NULL;
}

/* Text from the network must not steer the terminal. */
static enum err
add_clean(struct buf *b, const char *s)
{
	enum err e = ERR_OK;
	unsigned char c;

	for (; *s != '\0' && e == ERR_OK; s++) {
		c = (unsigned char)*s;
		if (c < 0x20 || c >= 0x7f)
			e = buf_str(b, "?");
		else
			e = buf_add(b, s, 1);
	}
	return e;
}

static enum err
add_scalar(struct buf *b, const json_t *v)
{
	switch (json_typeof(v)) {
	case JSON_STRING:
		return add_clean(b, json_string_value(v));
	case JSON_INTEGER:
		return buf_fmt(b, "%lld", (long long)json_integer_value(v));
	case JSON_REAL:
		return buf_fmt(b, "%.3f", json_real_value(v));
	case JSON_TRUE:
		return buf_str(b, "yes");
	case JSON_FALSE:
		return buf_str(b, "no");
	case JSON_NULL:
		return buf_str(b, "-");
	default:
		return buf_str(b, "…");
	}
}

/* "name value, name value" */
static enum err
add_object(struct buf *b, const json_t *v)
{
	json_t *o = (json_t *)(uintptr_t)v, *value;
	enum err e = ERR_OK;
	const char *name, *sep = "";

	json_object_foreach(o, name, value)
	{
		if (e == ERR_OK)
			e = buf_str(b, sep);
		if (e == ERR_OK)
			e = add_clean(b, name);
		if (e == ERR_OK)
			e = buf_str(b, " ");
		if (e == ERR_OK)
			e = add_scalar(b, value);
		sep = ", ";
	}
	return e;
}

static enum err
add_cell(struct buf *b, const json_t *v)
{
	enum err e = ERR_OK;
	size_t i;

	if (v == NULL)
		return buf_str(b, "-");
	if (json_is_object(v))
		return add_object(b, v);
	if (!json_is_array(v))
		return add_scalar(b, v);
	if (json_array_size(v) == 0)
		return buf_str(b, "-");
	for (i = 0; i < json_array_size(v) && e == ERR_OK; i++) {
		if (i > 0)
			e = buf_str(b, ",");
		if (e == ERR_OK)
			e = add_scalar(b, json_array_get(v, i));
	}
	return e;
}

/* Long cells are cut rather than refused. */
static void
cell_text(struct buf *b, const json_t *row, const char *member)
{
	buf_reset(b);
	if (add_cell(b, json_object_get(row, member)) != ERR_OK &&
	    b->len == 0 && buf_str(b, "?") != ERR_OK)
		return;
}

static void
print_cell(const char *text, size_t width, int last)
{
	const char *colour = colour_of(text);

	if (colour != NULL)
		printf("%s%s\033[0m", colour, text);
	else
		printf("%s", text);
	if (last)
		printf("\n");
	else
		printf("%*s", (int)(width - strlen(text) + 2), "");
}

static size_t
widest(struct buf *b, const struct column *col, const json_t *rows)
{
	size_t i, width = strlen(col->title);

	for (i = 0; i < json_array_size(rows); i++) {
		cell_text(b, json_array_get(rows, i), col->member);
		if (b->len > width)
			width = b->len;
	}
	return width;
}

int
table_print(const struct column *cols, size_t ncols, const json_t *rows)
{
	struct buf b = {.max = CELL_MAX};
	size_t width[COLUMNS_MAX];
	size_t i, c;

	if (ncols > COLUMNS_MAX)
		return -1;
	for (c = 0; c < ncols; c++)
		width[c] = widest(&b, &cols[c], rows);
	for (c = 0; c < ncols; c++)
		print_cell(cols[c].title, width[c], c + 1 == ncols);
	for (i = 0; i < json_array_size(rows); i++) {
		for (c = 0; c < ncols; c++) {
			cell_text(&b, json_array_get(rows, i), cols[c].member);
			print_cell(
			    b.p == NULL ? "" : b.p, width[c], c + 1 == ncols);
		}
	}
	buf_free(&b);
	return 0;
}

int
table_object(const struct column *cols, size_t ncols, const json_t *row)
{
	struct buf b = {.max = CELL_MAX};
	size_t c, width = 0;

	for (c = 0; c < ncols; c++) {
		if (strlen(cols[c].title) > width)
			width = strlen(cols[c].title);
	}
	for (c = 0; c < ncols; c++) {
		cell_text(&b, row, cols[c].member);
		print_cell(cols[c].title, width, 0);
		print_cell(b.p == NULL ? "" : b.p, 0, 1);
	}
	buf_free(&b);
	return 0;
}
