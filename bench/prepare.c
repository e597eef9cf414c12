/*
 * Makes load plans (bench/plan.h):
 *   prepare introspect --credential-file F --tokens F --out F [--answer F]
 *   prepare assertions --records DIR --count N --out F
 *   prepare device-token --out F [--answer F]
 *   prepare identities --records DIR --out F
 *   prepare repeat --plan F --count N --out F
 * and checks what came back:
 *   prepare verify --jwks F --tokens F --issuer URL
 */
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "bench/prepare.h"
#include <fealty/device_openssl.h>
#include "lib/base/b64url.h"
#include "lib/base/file.h"
#include "lib/base/opt.h"
#include "lib/client/client.h"

#define TOKENS_MAX ((size_t)1 << 30)
#define RECORDS_MAX 4096
#define ASSERTION_LIFE 60

static int
put_u32(FILE *f, size_t v)
{
	unsigned char u[4] = {(unsigned char)(v >> 24),
	    (unsigned char)(v >> 16), (unsigned char)(v >> 8),
	    (unsigned char)v};

	return fwrite(u, 1, 4, f) == 4 ? 0 : -1;
}

static int
put(FILE *f, const char *p, size_t len)
{
	if (put_u32(f, len) != 0)
		return -1;
	return len == 0 || fwrite(p, 1, len, f) == len ? 0 : -1;
}

int
plan_add(FILE *f, const char *path, const char *headers, const char *body,
    size_t body_len, const char *expect, size_t expect_len)
{
	struct buf b = {.max = 65536};
	int rc = -1;

	if (buf_fmt(&b,
		"POST %s HTTP/1.1\r\nHost: bench\r\n%s"
		"Content-Type: application/x-www-form-urlencoded\r\n"
		"Content-Length: %zu\r\n\r\n",
		path, headers, body_len) == ERR_OK &&
	    buf_add(&b, body, body_len) == ERR_OK && put(f, b.p, b.len) == 0)
		rc = put(f, expect, expect_len);
	buf_free(&b);
	return rc;
}

/* "jti":"…" of a token's claims, which only an active answer repeats. */
static enum err
expected_jti(const char *token, struct buf *out)
{
	static const char mark[] = "\"jti\":\"";
	char claims[4096];
	const char *p = strchr(token, '.'), *end;
	size_t len = sizeof(claims);

	end = p == NULL ? NULL : strchr(p + 1, '.');
	if (end == NULL ||
	    b64url_decode(p + 1, (size_t)(end - p - 1), claims, &len) != ERR_OK)
		return ERR_TOKEN;
	p = memmem(claims, len, mark, sizeof(mark) - 1);
	if (p == NULL)
		return ERR_TOKEN;
	end = memchr(p + sizeof(mark) - 1, '"',
	    len - (size_t)(p - claims) - (sizeof(mark) - 1));
	if (end == NULL)
		return ERR_TOKEN;
	return buf_add(out, p, (size_t)(end - p) + 1);
}

static int
introspect_line(
    FILE *f, const char *headers, const char *token, const struct buf *answer)
{
	struct buf body = {.max = 16384}, expect = {.max = 65536};
	enum err e;
	int rc = -1;

	if (answer->len > 0)
		e = buf_add(&expect, answer->p, answer->len);
	else
		e = expected_jti(token, &expect);
	if (e == ERR_OK && buf_fmt(&body, "token=%s", token) == ERR_OK)
		rc = plan_add(f, "/oauth2/introspect", headers, body.p,
		    body.len, expect.p, expect.len);
	buf_free(&body);
	buf_free(&expect);
	return rc;
}

static int
read_answer(const struct options *o, struct buf *answer)
{
	if (o->answer == NULL)
		return 0;
	return file_read(o->answer, 65536, answer) == ERR_OK ? 0 : -1;
}

static int
introspect(const struct options *o, FILE *out)
{
	struct buf headers = {.max = 1024}, answer = {.max = 65536};
	struct secret credential = {0};
	char line[8192];
	FILE *in = NULL;
	int rc = -1;

	if (o->tokens == NULL || o->credential_file == NULL ||
	    client_read_credential(o->credential_file, &credential) != ERR_OK ||
	    buf_fmt(&headers, "Authorization: Bearer %.*s\r\n",
		(int)credential.len, (const char *)credential.p) != ERR_OK ||
	    read_answer(o, &answer) != 0)
		goto out;
	in = fopen(o->tokens, "re");
	if (in == NULL)
		goto out;
	rc = 0;
	while (rc == 0 && fgets(line, sizeof(line), in) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		rc = introspect_line(out, headers.p, line, &answer);
	}
	(void)fclose(in);
out:
	secret_free(&credential);
	buf_free(&headers);
	buf_free(&answer);
	return rc;
}

static int
device_token(const struct options *o, FILE *out)
{
	static const char body[] = "grant_type=client_credentials";
	static const char mark[] = "\"access_token\":\"";
	struct buf answer = {.max = 65536};
	int rc = read_answer(o, &answer);

	if (rc == 0)
		rc = plan_add(out, "/oauth2/token", "", body, sizeof(body) - 1,
		    answer.len > 0 ? answer.p : mark,
		    answer.len > 0 ? answer.len : sizeof(mark) - 1);
	buf_free(&answer);
	return rc;
}

/* A plan written count times over. */
static int
repeat(const struct options *o, FILE *out)
{
	struct buf b = {.max = 65536};
	uint64_t i;
	int rc = -1;

	if (o->plan == NULL || file_read(o->plan, 65536, &b) != ERR_OK)
		return -1;
	for (i = 0; i < o->count; i++) {
		if (fwrite(b.p, 1, b.len, out) != b.len)
			goto out;
	}
	rc = 0;
out:
	buf_free(&b);
	return rc;
}

/* The records below a folder, in any order. */
struct held {
	struct buf octets;
	struct fealty_record record;
};

static size_t
read_records(const char *path, struct held *held, size_t max)
{
	char name[PATH_MAX];
	struct dirent *d;
	DIR *dir = opendir(path);
	size_t n = 0;

	if (dir == NULL)
		return 0;
	while (n < max && (d = readdir(dir)) != NULL) {
		struct held *h = &held[n];

		if (d->d_name[0] == '.')
			continue;
		(void)snprintf(name, sizeof(name), "%s/%s", path, d->d_name);
		h->octets.max = FEALTY_RECORD_MAX;
		if (file_read(name, FEALTY_RECORD_MAX, &h->octets) == ERR_OK &&
		    fealty_record_read(
			h->octets.p, h->octets.len, &h->record) == FEALTY_OK)
			n++;
		else
			buf_free(&h->octets);
	}
	(void)closedir(dir);
	return n;
}

static int
assertion_line(FILE *f, const struct fealty_device_port *port,
    const struct fealty_record *r, const struct buf *answer)
{
	static const char mark[] = "\"access_token\":\"";
	struct fealty_assertion a = {
	    .now = (int64_t)time(NULL), .life = ASSERTION_LIFE};
	char jwt[FEALTY_ASSERTION_SIZE], body[FEALTY_ASSERTION_SIZE + 256];
	size_t len = 0;
	int n;

	if (fealty_assertion(port, r, &a, jwt, sizeof(jwt), &len) != FEALTY_OK)
		return -1;
	n = snprintf(body, sizeof(body),
	    "grant_type=client_credentials&client_assertion_type="
	    "urn%%3Aietf%%3Aparams%%3Aoauth%%3Aclient-assertion-type%%3A"
	    "jwt-bearer&client_assertion=%s",
	    jwt);
	return plan_add(f, "/oauth2/token", "", body, (size_t)n,
	    answer->len > 0 ? answer->p : mark,
	    answer->len > 0 ? answer->len : sizeof(mark) - 1);
}

static int
identity_line(FILE *f, const struct fealty_device_port *port,
    const struct fealty_record *r)
{
	const struct fealty_peer *peer =
	    fealty_record_peer(r, FEALTY_AUTHORITY);
	unsigned char key[FEALTY_KEY_LEN];
	char hex[2 * FEALTY_KEY_LEN + 1];

	if (peer == NULL ||
	    fealty_psk(port, r, peer, FEALTY_TLS13, key) != FEALTY_OK)
		return -1;
	hex_encode(key, sizeof(key), hex);
	return fprintf(f, "%.*s %s\n", (int)peer->identity.len,
		   peer->identity.p, hex) < 0
		   ? -1
		   : 0;
}

/* Plans that devices' records are needed for. */
static int
from_records(const struct options *o, FILE *out, int assertions)
{
	const struct fealty_device_port *port = &fealty_device_port_openssl;
	struct held *held = calloc(RECORDS_MAX, sizeof(*held));
	struct buf answer = {.max = 65536};
	size_t i, n = 0, count;
	int rc = -1;

	if (held != NULL && o->records != NULL)
		n = read_records(o->records, held, RECORDS_MAX);
	if (n > 0)
		rc = read_answer(o, &answer);
	count = assertions ? (size_t)o->count : n;
	for (i = 0; i < count && rc == 0; i++) {
		if (assertions)
			rc = assertion_line(
			    out, port, &held[i % n].record, &answer);
		else
			rc = identity_line(out, port, &held[i].record);
	}
	for (i = 0; i < n; i++)
		buf_free(&held[i].octets);
	buf_free(&answer);
	free(held);
	return rc;
}

#define O(m) offsetof(struct options, m)
static const struct opt table[] = {
    {"credential-file", 0, OPT_STRING, "FILE", "a gateway's credential",
	O(credential_file), 0, NULL},
    {"tokens", 0, OPT_STRING, "FILE", "tokens, a line each", O(tokens), 0,
	NULL},
    {"records", 0, OPT_STRING, "DIR", "identity records", O(records), 0, NULL},
    {"answer", 0, OPT_STRING, "FILE", "what every answer is", O(answer), 0,
	NULL},
    {"jwks", 0, OPT_STRING, "FILE", "key set", O(jwks), 0, NULL},
    {"issuer", 0, OPT_STRING, "URL", "the tokens' issuer", O(issuer), 0, NULL},
    {"count", 0, OPT_NUMBER, "N", "how many", O(count), 10000000, "1000"},
    {"plan", 0, OPT_STRING, "FILE", "a plan", O(plan), 0, NULL},
    {"out", 0, OPT_STRING, "FILE", "the plan", O(out), 0, NULL},
};
#undef O

static int
make(const struct options *o, const char *what)
{
	FILE *out;
	int rc = -1;

	if (strcmp(what, "verify") == 0)
		return verify_tokens(o);
	if (o->out == NULL)
		return -1;
	out = fopen(o->out, "we");
	if (out == NULL)
		return -1;
	if (strcmp(what, "introspect") == 0)
		rc = introspect(o, out);
	else if (strcmp(what, "device-token") == 0)
		rc = device_token(o, out);
	else if (strcmp(what, "assertions") == 0)
		rc = from_records(o, out, 1);
	else if (strcmp(what, "identities") == 0)
		rc = from_records(o, out, 0);
	else if (strcmp(what, "repeat") == 0)
		rc = repeat(o, out);
	if (fclose(out) != 0)
		rc = -1;
	return rc;
}

int
main(int argc, char **argv)
{
	struct options o = {0};
	struct detail d = {""};
	int rest;

	if (argc < 2 || opt_parse(table, sizeof(table) / sizeof(table[0]), NULL,
			    argc - 1, argv + 1, &o, &rest, &d) != ERR_OK) {
		fprintf(stderr, "prepare: %s\n", d.text);
		return 2;
	}
	if (make(&o, argv[1]) != 0) {
		fprintf(stderr, "prepare %s failed\n", argv[1]);
		return 1;
	}
	return 0;
}
