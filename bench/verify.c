#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "bench/prepare.h"
#include "lib/base/file.h"
#include "lib/jose/token.h"

#define LEEWAY 5

typedef char jti_t[65];

static int
compare(const void *a, const void *b)
{
	return strcmp(a, b);
}

static int
distinct(jti_t *seen, size_t n)
{
	size_t i;

	qsort(seen, n, sizeof(*seen), compare);
	for (i = 1; i < n; i++) {
		if (strcmp(seen[i - 1], seen[i]) == 0)
			return 0;
	}
	return 1;
}

static int
check_line(const struct jwks *keys, const struct token_rules *rules, char *line,
    jti_t jti)
{
	struct token_claims c;
	struct detail d = {""};

	line[strcspn(line, "\n")] = '\0';
	if (token_verify(keys, rules, line, strlen(line), &c, &d) != ERR_OK) {
		fprintf(stderr, "a token is not valid: %s\n", d.text);
		return -1;
	}
	memcpy(jti, c.jti, sizeof(jti_t));
	return 0;
}

static int
check_file(const struct options *o, const struct jwks *keys)
{
	struct token_rules rules = {
	    .iss = o->issuer, .now = (int64_t)time(NULL), .leeway = LEEWAY};
	char line[TOKEN_MAX + 2];
	jti_t *seen = NULL, *more;
	size_t n = 0, room = 0;
	FILE *in = fopen(o->tokens, "re");
	int rc = -1;

	if (in == NULL)
		return -1;
	while (fgets(line, sizeof(line), in) != NULL) {
		if (n == room) {
			room = room == 0 ? 1024 : 2 * room;
			more = realloc(seen, room * sizeof(*seen));
			if (more == NULL)
				goto out;
			seen = more;
		}
		if (check_line(keys, &rules, line, seen[n++]) != 0)
			goto out;
	}
	if (n == 0 || !distinct(seen, n))
		fprintf(stderr, "no tokens, or one of them twice\n");
	else
		rc = 0;
out:
	(void)fclose(in);
	free(seen);
	return rc;
}

int
verify_tokens(const struct options *o)
{
	struct buf text = {.max = 65536};
	struct jwks *keys = NULL;
	int rc = -1;

	if (o->jwks != NULL && o->tokens != NULL && o->issuer != NULL &&
	    file_read(o->jwks, 65536, &text) == ERR_OK &&
	    jwks_parse(text.p, text.len, &keys) == ERR_OK)
		rc = check_file(o, keys);
	jwks_free(&keys);
	buf_free(&text);
	return rc;
}
