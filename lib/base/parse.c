#include "lib/base/parse.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* Digits of s up to stop; *end is what follows them. */
static enum err
digits(const char *s, uint64_t max, uint64_t *out, const char **end)
{
	uint64_t v = 0;
	unsigned d;

	if (*s < '0' || *s > '9')
		return ERR_REQUEST;
	if (s[0] == '0' && s[1] >= '0' && s[1] <= '9')
		return ERR_REQUEST;
	for (; *s >= '0' && *s <= '9'; s++) {
		d = (unsigned)(*s - '0');
		if (v > max / 10 || (v == max / 10 && d > max % 10))
			return ERR_REQUEST;
		v = v * 10 + d;
	}
	*out = v;
	*end = s;
	return ERR_OK;
}

enum err
parse_u64(const char *s, uint64_t max, uint64_t *out)
{
	const char *end;
	uint64_t v;

	if (s == NULL || digits(s, max, &v, &end) != ERR_OK || *end != '\0')
		return ERR_REQUEST;
	*out = v;
	return ERR_OK;
}

enum err
parse_duration_ms(const char *s, uint64_t max, uint64_t *out)
{
	static const struct {
		const char *unit;
		uint64_t ms;
	} units[] = {
	    {"ms", 1}, {"s", 1000}, {"", 1000}, {"m", 60000}, {"h", 3600000}};
	const char *end;
	uint64_t v;
	size_t i;

	if (s == NULL || digits(s, max, &v, &end) != ERR_OK)
		return ERR_REQUEST;
	for (i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(end, units[i].unit) != 0)
			continue;
		if (v > max / units[i].ms)
			return ERR_REQUEST;
		*out = v * units[i].ms;
		return ERR_OK;
	}
	return ERR_REQUEST;
}

/* n digits of s as a number, or -1. */
static int
fixed(const char *s, int n)
{
	int i, v = 0;

	for (i = 0; i < n; i++) {
		if (s[i] < '0' || s[i] > '9')
			return -1;
		v = v * 10 + (s[i] - '0');
	}
	return v;
}

enum err
parse_time(const char *s, int64_t *unix_s)
{
	char again[TIME_TEXT];
	struct tm tm = {0};
	int64_t t;

	if (s == NULL || strlen(s) != TIME_TEXT - 1)
		return ERR_REQUEST;
	tm.tm_year = fixed(s, 4) - 1900;
	tm.tm_mon = fixed(s + 5, 2) - 1;
	tm.tm_mday = fixed(s + 8, 2);
	tm.tm_hour = fixed(s + 11, 2);
	tm.tm_min = fixed(s + 14, 2);
	tm.tm_sec = fixed(s + 17, 2);
	t = timegm(&tm);
	/* What does not come out the same (30 February) was no time. */
	format_time(t, again);
	if (strcmp(again, s) != 0)
		return ERR_REQUEST;
	*unix_s = t;
	return ERR_OK;
}

void
format_time(int64_t unix_s, char out[TIME_TEXT])
{
	const int64_t first = INT64_C(-62167219200); /* year 0 */
	const int64_t last = INT64_C(253402300799);  /* end of 9999 */
	struct tm tm;
	time_t t;

	t = unix_s < first ? first : unix_s > last ? last : unix_s;
	(void)gmtime_r(&t, &tm);
	(void)snprintf(out, TIME_TEXT, "%04u-%02u-%02uT%02u:%02u:%02uZ",
		       (unsigned)(tm.tm_year + 1900) % 10000,
		       (unsigned)(tm.tm_mon + 1) % 100,
		       (unsigned)tm.tm_mday % 100, (unsigned)tm.tm_hour % 100,
		       (unsigned)tm.tm_min % 100, (unsigned)tm.tm_sec % 100);
}

enum err
copy_str(char *out, size_t size, const char *s)
{
	size_t len = strlen(s);

	if (len >= size)
		return ERR_TOO_LARGE;
	memcpy(out, s, len + 1);
	return ERR_OK;
}
