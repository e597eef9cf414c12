#include "provision-tool/form.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/b64url.h"
#include "lib/base/parse.h"
#include "lib/model/names.h"
#include "lib/wire/record.h"

#define LINE_SIZE 512
#define CRC_LEN 4

#define ENV_HEAD "# fealty identity record 1: keep it secret\n"
#define TEXT_HEAD "fealty-identity 1\n"

static const struct {
	const char *name, *suffix, *head;
} forms[] = {
    [FORM_CBOR] = {"cbor", ".cbor", ""},
    [FORM_ENV] = {"env", ".env", ENV_HEAD},
    [FORM_TEXT] = {"text", ".txt", TEXT_HEAD},
};

enum err
form_parse(const char *s, enum form *out)
{
	enum form f;

	for (f = FORM_CBOR; f <= FORM_TEXT; f++) {
		if (strcmp(s, forms[f].name) == 0) {
			*out = f;
			return ERR_OK;
		}
	}
	return ERR_REQUEST;
}

const char *
form_name(enum form f)
{
	return forms[f].name;
}

const char *
form_suffix(enum form f)
{
	return forms[f].suffix;
}

static int
has_head(const struct secret *octets, enum form f)
{
	size_t n = strlen(forms[f].head);

	return octets->len >= n && memcmp(octets->p, forms[f].head, n) == 0;
}

enum form
form_detect(const struct secret *octets)
{
	if (has_head(octets, FORM_ENV))
		return FORM_ENV;
	return has_head(octets, FORM_TEXT) ? FORM_TEXT : FORM_CBOR;
}

static enum err
put_env(const struct record *r, const char *key, const char *sum,
	struct buf *b)
{
	const struct peer *p;
	enum err e;
	uint32_t i;

	e = buf_fmt(b,
		    ENV_HEAD "FEALTY_ISSUER='%s'\nFEALTY_DEVICE_ID=%s\n"
			     "FEALTY_EPOCH=%u\nFEALTY_KEY=",
		    r->issuer, r->device_id, r->epoch);
	if (e == ERR_OK)
		e = buf_str(b, key);
	if (e == ERR_OK)
		e = buf_fmt(b, "\nFEALTY_PEERS=%u\n", r->npeers);
	for (i = 0; e == ERR_OK && i < r->npeers; i++) {
		p = &r->peers[i];
		e = buf_fmt(b,
			    "FEALTY_PEER_%u_AUDIENCE=%s\n"
			    "FEALTY_PEER_%u_HOST=%s\n"
			    "FEALTY_PEER_%u_PORT=%u\n"
			    "FEALTY_PEER_%u_IDENTITY=%s\n",
			    i + 1, p->audience, i + 1, p->host, i + 1, p->port,
			    i + 1, p->identity);
	}
	if (e == ERR_OK)
		e = buf_fmt(b, "FEALTY_CHECKSUM=%s\n", sum);
	return e;
}

static enum err
put_text(const struct record *r, const char *key, const char *sum,
	 struct buf *b)
{
	const struct peer *p;
	enum err e;
	uint32_t i;

	e = buf_fmt(b,
		    TEXT_HEAD "issuer %s\ndevice_id %s\nepoch %u\nkey ",
		    r->issuer, r->device_id, r->epoch);
	if (e == ERR_OK)
		e = buf_str(b, key);
	if (e == ERR_OK)
		e = buf_str(b, "\n");
	for (i = 0; e == ERR_OK && i < r->npeers; i++) {
		p = &r->peers[i];
		e = buf_fmt(b, "peer %s %s %u %s\n", p->audience, p->host,
			    p->port, p->identity);
	}
	if (e == ERR_OK)
		e = buf_fmt(b, "checksum %s\n", sum);
	return e;
}

/* The checksum is the record's own: it tells a torn file in any form. */
static enum err
put_form(enum form f, const struct record *r, const struct secret *record,
	 struct buf *b)
{
	char key[2 * KEY32_LEN + 1], sum[2 * CRC_LEN + 1];
	enum err e;

	hex_encode(r->key.b, sizeof(r->key.b), key);
	hex_encode(record->p + record->len - CRC_LEN, CRC_LEN, sum);
	e = f == FORM_ENV ? put_env(r, key, sum, b) : put_text(r, key, sum, b);
	wipe(key, sizeof(key));
	return e;
}

enum err
form_encode(enum form f, const struct secret *record, struct secret *out,
	    struct detail *d)
{
	struct buf b = {.max = FORM_MAX};
	struct record r;
	enum err e;

	memset(&r, 0, sizeof(r));
	if ((e = record_decode(record->p, record->len, &r, d)) != ERR_OK)
		goto out;
	if (f == FORM_CBOR) {
		e = secret_set(out, record->p, record->len);
		goto out;
	}
	if (f == FORM_ENV && strchr(r.issuer, '\'') != NULL) {
		detail_set(d, "form=env cannot hold an apostrophe, as the "
			      "issuer has: use form=text");
		e = ERR_RECORD;
		goto out;
	}
	if ((e = put_form(f, &r, record, &b)) == ERR_OK)
		e = secret_set(out, b.p, b.len);
out:
	record_wipe(&r);
	buf_free(&b);
	return e;
}

static enum err
take_port(struct peer *p, const char *value)
{
	uint64_t n;
	enum err e = parse_u64(value, UINT16_MAX, &n);

	if (e == ERR_OK)
		p->port = (uint16_t)n;
	return e;
}

/* "1_HOST" of "FEALTY_PEER_1_HOST" */
static enum err
take_env_peer(struct record *r, const char *name, const char *value)
{
	struct peer *p;

	if (name[0] < '1' || name[0] > '0' + RECORD_PEERS_MAX || name[1] != '_')
		return ERR_RECORD;
	p = &r->peers[name[0] - '1'];
	name += 2;
	if (strcmp(name, "AUDIENCE") == 0)
		return copy_str(p->audience, sizeof(p->audience), value);
	if (strcmp(name, "HOST") == 0)
		return copy_str(p->host, sizeof(p->host), value);
	if (strcmp(name, "PORT") == 0)
		return take_port(p, value);
	if (strcmp(name, "IDENTITY") == 0)
		return copy_str(p->identity, sizeof(p->identity), value);
	return ERR_RECORD;
}

static enum err
take_text_peer(struct record *r, char *value)
{
	char *at, *audience, *host, *port, *identity;
	struct peer *p;
	enum err e;

	if (r->npeers == RECORD_PEERS_MAX)
		return ERR_RECORD;
	p = &r->peers[r->npeers++];
	audience = strtok_r(value, " ", &at);
	host = strtok_r(NULL, " ", &at);
	port = strtok_r(NULL, " ", &at);
	identity = strtok_r(NULL, " ", &at);
	if (identity == NULL)
		return ERR_RECORD;
	e = copy_str(p->audience, sizeof(p->audience), audience);
	if (e == ERR_OK)
		e = copy_str(p->host, sizeof(p->host), host);
	if (e == ERR_OK)
		e = take_port(p, port);
	if (e == ERR_OK)
		e = copy_str(p->identity, sizeof(p->identity), identity);
	return e;
}

/* The members that both forms have. */
static enum err
take_common(struct record *r, const char *name, const char *value)
{
	uint64_t n;
	enum err e;

	if (strcasecmp(name, "issuer") == 0)
		return copy_str(r->issuer, sizeof(r->issuer), value);
	if (strcasecmp(name, "device_id") == 0)
		return copy_str(r->device_id, sizeof(r->device_id), value);
	if (strcasecmp(name, "key") == 0)
		return hex_decode_exact(value, strlen(value), r->key.b,
					sizeof(r->key.b));
	if (strcasecmp(name, "checksum") == 0)
		return ERR_OK; /* held against the whole afterwards */
	if (strcasecmp(name, "epoch") != 0)
		return ERR_RECORD;
	e = parse_u64(value, UINT32_MAX, &n);
	if (e == ERR_OK)
		r->epoch = (uint32_t)n;
	return e;
}

static enum err
take_env(struct record *r, char *line)
{
	char *value = strchr(line, '=');
	size_t len;
	uint64_t n;
	enum err e;

	if (value == NULL || strncmp(line, "FEALTY_", 7) != 0)
		return ERR_RECORD;
	*value++ = '\0';
	line += 7;
	len = strlen(value);
	if (len >= 2 && value[0] == '\'' && value[len - 1] == '\'') {
		value[len - 1] = '\0';
		value++;
	}
	if (strncmp(line, "PEER_", 5) == 0)
		return take_env_peer(r, line + 5, value);
	if (strcmp(line, "PEERS") != 0)
		return take_common(r, line, value);
	e = parse_u64(value, RECORD_PEERS_MAX, &n);
	if (e == ERR_OK)
		r->npeers = (uint32_t)n;
	return e;
}

static enum err
take_text(struct record *r, char *line)
{
	char *value = strchr(line, ' ');

	if (value == NULL)
		return ERR_RECORD;
	*value++ = '\0';
	if (strcmp(line, "peer") == 0)
		return take_text_peer(r, value);
	return take_common(r, line, value);
}

static enum err
take_lines(enum form f, const struct secret *octets, struct record *r)
{
	size_t at = strlen(forms[f].head), len;
	char line[LINE_SIZE];
	const unsigned char *end;
	enum err e = ERR_OK;

	while (e == ERR_OK && at < octets->len) {
		end = memchr(octets->p + at, '\n', octets->len - at);
		len = end == NULL ? LINE_SIZE
				  : (size_t)(end - octets->p) - at;
		if (len >= LINE_SIZE) {
			e = ERR_RECORD;
			break;
		}
		memcpy(line, octets->p + at, len);
		line[len] = '\0';
		at += len + 1;
		e = f == FORM_ENV ? take_env(r, line) : take_text(r, line);
	}
	wipe(line, sizeof(line));
	return e;
}

/* Reads generously, then demands that the very same octets come out. */
static enum err
decode_lines(enum form f, const struct secret *octets, struct secret *record)
{
	struct secret again = {0}, made = {0};
	struct record r;
	enum err e = ERR_RECORD;

	memset(&r, 0, sizeof(r));
	if (!has_head(octets, f))
		goto out;
	if ((e = take_lines(f, octets, &r)) != ERR_OK)
		goto out;
	if ((e = record_encode(&r, &made)) != ERR_OK)
		goto out;
	if ((e = form_encode(f, &made, &again, NULL)) != ERR_OK)
		goto out;
	e = ERR_RECORD;
	if (again.len != octets->len ||
	    !ct_equal(again.p, octets->p, again.len))
		goto out;
	secret_free(record);
	*record = made;
	memset(&made, 0, sizeof(made));
	e = ERR_OK;
out:
	secret_free(&again);
	secret_free(&made);
	record_wipe(&r);
	return e;
}

enum err
form_decode(enum form f, const struct secret *octets, struct secret *record,
	    struct detail *d)
{
	enum err e;

	/* as it is: the burn compares, the device's reader judges */
	if (f == FORM_CBOR)
		return secret_set(record, octets->p, octets->len);
	e = decode_lines(f, octets, record);
	if (e == ERR_OK || e == ERR_NOMEM)
		return e;
	detail_set(d, "the file is torn or changed");
	return ERR_RECORD;
}
