#include "provision-tool/ticket_file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/b64url.h"
#include "lib/base/file.h"
#include "lib/crypt/digest.h"
#include "lib/wire/ticket.h"

#define HEAD "fealty-ticket-v1 "
#define HEAD_LEN (sizeof(HEAD) - 1)
#define SIG_TEXT B64URL_LEN(ES256_SIG_LEN)
#define LINE_LEN (HEAD_LEN + SIG_TEXT + 1)

/* No other text that this key signs begins so. */
#define LABEL "fealty v1\0ticket file"
struct statement {
	unsigned char p[sizeof(LABEL) + 32];
};

static enum err
state(const char *json, size_t len, struct statement *s)
{
	memcpy(s->p, LABEL, sizeof(LABEL));
	return sha256(json, len, s->p + sizeof(LABEL));
}

enum err
ticket_file_write(const char *path, const struct signer *key,
		  const struct buf *json)
{
	char line[LINE_LEN + 1] = HEAD;
	unsigned char sig[ES256_SIG_LEN];
	struct buf text = {.max = TICKET_TEXT_MAX + LINE_LEN};
	struct statement s;
	enum err e;

	e = state(json->p, json->len, &s);
	if (e == ERR_OK)
		e = signer_sign(key, s.p, sizeof(s.p), sig);
	if (e != ERR_OK)
		return e;
	b64url_encode(sig, sizeof(sig), line + HEAD_LEN);
	line[LINE_LEN - 1] = '\n';
	e = buf_add(&text, line, LINE_LEN);
	if (e == ERR_OK)
		e = buf_add(&text, json->p, json->len);
	if (e == ERR_OK)
		e = file_create_atomic(path, 0600, text.p, text.len);
	buf_free(&text);
	return e;
}

static enum err
check(const struct signer *key, const struct buf *text)
{
	unsigned char sig[ES256_SIG_LEN];
	struct es256_public pub;
	struct verifier *v = NULL;
	struct statement s;
	enum err e;

	if (text->len <= LINE_LEN || memcmp(text->p, HEAD, HEAD_LEN) != 0 ||
	    text->p[LINE_LEN - 1] != '\n' ||
	    b64url_decode_exact(text->p + HEAD_LEN, SIG_TEXT, sig,
				sizeof(sig)) != ERR_OK)
		return ERR_RECORD;
	signer_public(key, &pub);
	e = state(text->p + LINE_LEN, text->len - LINE_LEN, &s);
	if (e == ERR_OK)
		e = verifier_new(&pub, &v);
	if (e == ERR_OK)
		e = verifier_verify(v, s.p, sizeof(s.p), sig);
	verifier_free(&v);
	return e == ERR_TOKEN_SIGNATURE ? ERR_TICKET_SIGNATURE : e;
}

enum err
ticket_file_read(const char *path, const struct signer *key,
		 struct ticket *out, struct detail *d)
{
	struct buf text = {.max = TICKET_TEXT_MAX + LINE_LEN};
	enum err e;

	e = file_read(path, text.max, &text);
	if (e == ERR_NOT_FOUND)
		detail_set(d, "%s: no such ticket", path);
	else if (e != ERR_OK)
		detail_set(d, "%s: %s", path, strerror(errno));
	if (e != ERR_OK)
		goto out;
	e = check(key, &text);
	if (e == ERR_TICKET_SIGNATURE)
		detail_set(d, "%s was changed, or is another station key's",
			   path);
	else if (e != ERR_OK)
		detail_set(d, "%s is no ticket", path);
	if (e == ERR_OK && wire_ticket_decode(text.p + LINE_LEN,
					      text.len - LINE_LEN, out,
					      d) != ERR_OK)
		e = ERR_RECORD;
out:
	buf_free(&text);
	return e;
}
