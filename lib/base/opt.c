#include "lib/base/opt.h"

#include <ctype.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/file.h"
#include "lib/base/parse.h"

#define OPTS_MAX 128
#define CONFIG_MAX 65536

/* Strings from files live as long as the process; kept for leak checkers. */
static struct kept {
	struct kept *next;
	char text[];
} * kept_list;

static const char *
keep(const char *s)
{
	size_t len = strlen(s) + 1;
	struct kept *k = malloc(sizeof(*k) + len);

	if (k == NULL)
		return NULL;
	memcpy(k->text, s, len);
	k->next = kept_list;
	kept_list = k;
	return k->text;
}

static enum err
set_flag(const char *value, int *out)
{
	static const char *const yes[] = {"1", "true", "yes", "on"};
	static const char *const no[] = {"0", "false", "no", "off"};
	size_t i;

	for (i = 0; i < 4; i++) {
		if (strcmp(value, yes[i]) == 0) {
			*out = 1;
			return ERR_OK;
		}
		if (strcmp(value, no[i]) == 0) {
			*out = 0;
			return ERR_OK;
		}
	}
	return ERR_CONFIG;
}

/* where is for the message: "--port", "FEALTY_PORT", "file:3: port". */
static enum err
set_value(const struct opt *o, const char *value, void *target,
	  const char *where, struct detail *d)
{
	void *p = (char *)target + o->offset;
	uint64_t max = o->max != 0 ? o->max : UINT64_MAX;
	enum err e = ERR_CONFIG;

	switch (o->type) {
	case OPT_FLAG:
		e = set_flag(value, p);
		break;
	case OPT_STRING:
		*(const char **)p = value;
		e = ERR_OK;
		break;
	case OPT_NUMBER:
		e = parse_u64(value, max, p);
		break;
	case OPT_DURATION:
		e = parse_duration_ms(value, max, p);
		break;
	}
	if (e == ERR_OK)
		return ERR_OK;
	if (o->type == OPT_FLAG)
		detail_set(d, "%s: true or false", where);
	else
		detail_set(d, "%s: a %s of at most %llu%s", where,
			   o->type == OPT_NUMBER ? "number" : "duration",
			   (unsigned long long)max,
			   o->type == OPT_NUMBER ? "" : " ms");
	return ERR_CONFIG;
}

static const struct opt *
find(const struct opt *table, size_t n, const char *name)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (strcmp(table[i].name, name) == 0)
			return &table[i];
	return NULL;
}

/* Options that only make sense on the command line (config: or environment). */
static int
is_local(const struct opt *o)
{
	return strcmp(o->name, "help") == 0 || strcmp(o->name, "version") == 0;
}

static enum err
set_defaults(const struct opt *table, size_t n, void *target, struct detail *d)
{
	enum err e = ERR_OK;
	size_t i;

	for (i = 0; i < n && e == ERR_OK; i++)
		if (table[i].fallback != NULL)
			e = set_value(&table[i], table[i].fallback, target,
				      table[i].name, d);
	return e;
}

static char *
trim(char *s)
{
	size_t len;

	while (isspace((unsigned char)*s))
		s++;
	len = strlen(s);
	while (len > 0 && isspace((unsigned char)s[len - 1]))
		s[--len] = '\0';
	return s;
}

static enum err
set_line(const struct opt *table, size_t n, char *line, void *target,
	 const char *where, struct detail *d)
{
	const struct opt *o;
	const char *value;
	char *eq, *name;

	line = trim(line);
	if (*line == '\0' || *line == '#')
		return ERR_OK;
	eq = strchr(line, '=');
	if (eq == NULL) {
		detail_set(d, "%s: not \"name = value\"", where);
		return ERR_CONFIG;
	}
	*eq = '\0';
	name = trim(line);
	o = find(table, n, name);
	if (o == NULL || is_local(o) || strcmp(name, "config") == 0) {
		detail_set(d, "%s: unknown option \"%.40s\"", where, name);
		return ERR_CONFIG;
	}
	value = keep(trim(eq + 1));
	if (value == NULL)
		return ERR_NOMEM;
	return set_value(o, value, target, where, d);
}

static enum err
set_file(const struct opt *table, size_t n, const char *path, void *target,
	 struct detail *d)
{
	struct buf b = {.max = CONFIG_MAX};
	char where[120], *line, *next;
	unsigned no = 0;
	enum err e;

	e = file_read(path, CONFIG_MAX, &b);
	if (e == ERR_OK && strlen(b.p) != b.len)
		e = ERR_CONFIG;
	if (e != ERR_OK)
		detail_set(d, "cannot read the configuration %.120s", path);
	for (line = b.p; e == ERR_OK && line != NULL; line = next) {
		next = strchr(line, '\n');
		if (next != NULL)
			*next++ = '\0';
		(void)snprintf(where, sizeof(where), "%.100s:%u", path, ++no);
		e = set_line(table, n, line, target, where, d);
	}
	buf_free(&b);
	return e == ERR_OK || e == ERR_NOMEM ? e : ERR_CONFIG;
}

/* The option's environment variable's value, or NULL; its name in var. */
static const char *
env_value(const struct opt *o, const char *prefix, char *var, size_t size)
{
	const char *v;
	char *p;
	int n;

	n = snprintf(var, size, "%s_%s", prefix, o->name);
	if (n < 0 || (size_t)n >= size || is_local(o))
		return NULL;
	for (p = var + strlen(prefix); *p != '\0'; p++)
		*p = *p == '-' ? '_' : (char)toupper((unsigned char)*p);
	v = getenv(var);
	return v != NULL && *v != '\0' ? v : NULL;
}

static enum err
set_env(const struct opt *table, size_t n, const char *prefix, void *target,
	struct detail *d)
{
	char var[120];
	const char *v;
	enum err e = ERR_OK;
	size_t i;

	for (i = 0; i < n && e == ERR_OK; i++) {
		v = env_value(&table[i], prefix, var, sizeof(var));
		if (v != NULL)
			e = set_value(&table[i], v, target, var, d);
	}
	return e;
}

/* getopt's view of the table; val is the index, from 256. */
struct view {
	struct option longs[OPTS_MAX + 1];
	char shorts[2 * OPTS_MAX + 2];
};

static void
view_make(struct view *v, const struct opt *table, size_t n)
{
	char *s = v->shorts;
	size_t i;

	memset(v, 0, sizeof(*v));
	*s++ = ':'; /* tell a missing argument from an unknown option */
	for (i = 0; i < n; i++) {
		v->longs[i].name = table[i].name;
		v->longs[i].has_arg =
		    table[i].type == OPT_FLAG ? no_argument : required_argument;
		v->longs[i].val = 256 + (int)i;
		if (table[i].letter == 0)
			continue;
		*s++ = table[i].letter;
		if (table[i].type != OPT_FLAG)
			*s++ = ':';
	}
}

static const struct opt *
by_code(const struct opt *table, size_t n, int c)
{
	size_t i;

	if (c >= 256)
		return &table[c - 256];
	for (i = 0; i < n; i++)
		if (table[i].letter != 0 && table[i].letter == c)
			return &table[i];
	return NULL;
}

/* One pass over argv; only: that option alone, or NULL for all. */
static enum err
set_argv(const struct opt *table, size_t n, int argc, char **argv,
	 const struct opt *only, void *target, struct detail *d)
{
	const struct opt *o;
	char where[80];
	struct view v;
	enum err e = ERR_OK;
	int c;

	view_make(&v, table, n);
	optind = 0; /* glibc: begin afresh */
	opterr = 0;
	while (e == ERR_OK &&
	       (c = getopt_long(argc, argv, v.shorts, v.longs, NULL)) != -1) {
		o = c == '?' || c == ':' ? NULL : by_code(table, n, c);
		if (o == NULL) {
			detail_set(d, "%s option %.100s",
				   c == ':' ? "argument missing for"
					    : "unknown",
				   argv[optind > 0 ? optind - 1 : 0]);
			return ERR_CONFIG;
		}
		if (only != NULL && o != only)
			continue;
		(void)snprintf(where, sizeof(where), "--%.70s", o->name);
		e = set_value(o, o->type == OPT_FLAG ? "1" : optarg, target,
			      where, d);
	}
	return e;
}

enum err
opt_parse(const struct opt *table, size_t n, const char *env_prefix, int argc,
	  char **argv, void *target, int *rest, struct detail *d)
{
	const struct opt *config = find(table, n, "config");
	const char *path = NULL, *v;
	char var[120];
	enum err e;

	if (n > OPTS_MAX)
		return ERR_CONFIG;
	e = set_defaults(table, n, target, d);
	if (e == ERR_OK && config != NULL) {
		v = env_prefix == NULL
			? NULL
			: env_value(config, env_prefix, var, sizeof(var));
		if (v != NULL)
			e = set_value(config, v, target, var, d);
		if (e == ERR_OK)
			e = set_argv(table, n, argc, argv, config, target, d);
		path = *(const char **)((char *)target + config->offset);
	}
	if (e == ERR_OK && path != NULL)
		e = set_file(table, n, path, target, d);
	if (e == ERR_OK && env_prefix != NULL)
		e = set_env(table, n, env_prefix, target, d);
	if (e == ERR_OK)
		e = set_argv(table, n, argc, argv, NULL, target, d);
	if (e == ERR_OK)
		*rest = optind;
	return e;
}

void
opt_help(const struct opt *table, size_t n)
{
	char left[80];
	size_t i;

	for (i = 0; i < n; i++) {
		(void)snprintf(left, sizeof(left), "%c%c%c --%.40s%s%.20s",
			       table[i].letter != 0 ? '-' : ' ',
			       table[i].letter != 0 ? table[i].letter : ' ',
			       table[i].letter != 0 ? ',' : ' ', table[i].name,
			       table[i].arg != NULL ? " " : "",
			       table[i].arg != NULL ? table[i].arg : "");
		(void)printf("  %-30s %s", left, table[i].help);
		if (table[i].fallback != NULL && table[i].type != OPT_FLAG)
			(void)printf(" (default %s)", table[i].fallback);
		(void)putchar('\n');
	}
}
