#include <string.h>
#include "gateway/gw_int.h"
#include "lib/base/file.h"
#include "lib/jose/jwk.h"

/* The enrolment file: docs/feed.md. */
#define FILE_MAX 16384

static void
read_credential(struct jin *in, struct enrolment *out)
{
	char text[CREDENTIAL_LEN + 2] = "";

	jin_str(in, "credential", text, sizeof(text));
	if (in->err == ERR_OK && (strlen(text) != CREDENTIAL_LEN ||
	    strncmp(text, CREDENTIAL_PREFIX,
	    strlen(CREDENTIAL_PREFIX)) != 0))
		jin_fail(in, ERR_JSON, "member credential: not one");
	if (in->err == ERR_OK &&
	    secret_set(&out->credential, text, CREDENTIAL_LEN) != ERR_OK)
		jin_fail(in, ERR_NOMEM, "out of memory");
	wipe(text, sizeof(text));
}

static void
read_root(struct jin *in, struct enrolment *out)
{
	json_t *v = jin_any(in, "root");
	struct es256_public pub;

	if (in->err != ERR_OK)
		return;
	if (v == NULL || jwk_point(v, &pub) != ERR_OK ||
	    verifier_new(&pub, &out->root) != ERR_OK)
		jin_fail(in, ERR_JSON, "member root: a public P-256 JWK");
}

enum err
enrolment_read(const char *path, struct enrolment *out, struct detail *d)
{
	struct secret file = {0};
	struct jin in;
	enum err e;

	memset(out, 0, sizeof(*out));
	if ((e = file_read_secret(path, FILE_MAX, &file)) != ERR_OK)
		return (e);
	jin_open(&in, (const char *)file.p, file.len, d);
	jin_str(&in, "issuer", out->issuer, sizeof(out->issuer));
	jin_opt_strs(&in, "urls", out->url, sizeof(out->url[0]), GW_URLS_MAX,
	    &out->nurls);
	jin_str(&in, "gateway", out->gateway, sizeof(out->gateway));
	jin_opt_strs(&in, "audiences", out->audiences,
	    sizeof(out->audiences[0]), CALLER_AUDIENCES_MAX,
	    &out->naudiences);
	read_credential(&in, out);
	read_root(&in, out);
	if (in.err == ERR_OK && (out->nurls == 0 || out->naudiences == 0))
		jin_fail(&in, ERR_JSON, "members urls, audiences: needed");
	e = jin_done(&in);
	secret_free(&file);
	if (e != ERR_OK)
		enrolment_free(out);
	return (e == ERR_OK || e == ERR_NOMEM ? e : ERR_CONFIG);
}

void
enrolment_free(struct enrolment *e)
{
	secret_free(&e->credential);
	verifier_free(&e->root);
}
