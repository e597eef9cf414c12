#include "lib/model/names.h"

#include <sys/socket.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGIT "0123456789"

/* 1 to max characters, each of set. Reads no more than max + 1. */
static int
all_of(const char *s, const char *set, size_t max)
{
	size_t i;

	if (s == NULL || *s == '\0')
		return 0;
	for (i = 0; s[i] != '\0'; i++)
		if (i >= max || strchr(set, s[i]) == NULL)
			return 0;
	return 1;
}

int
name_is_tenant(const char *s)
{
	return all_of(s, LOWER DIGIT "-", NAME_MAX_LEN);
}

int
name_is_device_id(const char *s)
{
	return all_of(s, UPPER LOWER DIGIT "._:-", NAME_MAX_LEN);
}

int
name_is_audience(const char *s)
{
	return all_of(s, LOWER DIGIT ".-", NAME_MAX_LEN);
}

int
name_is_order(const char *s)
{
	return all_of(s, UPPER LOWER DIGIT "._-", NAME_MAX_LEN);
}

int
name_is_serial(const char *s)
{
	return all_of(s, UPPER LOWER DIGIT "._:/+-", NAME_MAX_LEN);
}

int
name_is_ticket(const char *s)
{
	return all_of(s, UPPER LOWER DIGIT "_-", 22) && strlen(s) == 22;
}

/* Labels of 1 to 63, no dash at either end (RFC 1123). */
static int
labels_ok(const char *s)
{
	size_t n;

	for (;;) {
		n = strcspn(s, ".");
		if (n == 0 || n > 63 || s[0] == '-' || s[n - 1] == '-')
			return 0;
		if (s[n] == '\0')
			return 1;
		s += n + 1;
	}
}

int
name_is_host(const char *s)
{
	struct in6_addr a6;
	struct in_addr a4;
	const char *last;

	if (all_of(s, DIGIT "abcdefABCDEF:.", 45) && strchr(s, ':') != NULL)
		return inet_pton(AF_INET6, s, &a6) == 1;
	if (!all_of(s, UPPER LOWER DIGIT ".-", 253) || !labels_ok(s))
		return 0;
	/* A last label of digits alone can only be an IPv4 address. */
	last = strrchr(s, '.');
	last = last == NULL ? s : last + 1;
	if (last[strspn(last, DIGIT)] == '\0')
		return inet_pton(AF_INET, s, &a4) == 1;
	return 1;
}

int
name_is_scope(const char *s)
{
	unsigned char c;
	size_t i, token = 0;

	if (s == NULL)
		return 0;
	for (i = 0; s[i] != '\0'; i++) {
		c = (unsigned char)s[i];
		if (i >= 255 || c < 0x20 || c > 0x7e || c == '"' || c == '\\')
			return 0;
		if (c == ' ' && token == 0)
			return 0;
		token = c == ' ' ? 0 : token + 1;
	}
	return token > 0;
}

int
name_find(const char *const *names, int n, const char *s)
{
	int i;

	for (i = 0; s != NULL && i < n; i++)
		if (names[i] != NULL && strcmp(names[i], s) == 0)
			return i;
	return -1;
}
