#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/jose/jwe.h"
#include "lib/p11/p11.h"
#include "lib/wire/record.h"
#include "lib/wire/sealed.h"
#include "provision-tool/cmd.h"
#include "provision-tool/out.h"

/*
 * The device's side of the target pkcs11: the identity record in clear, made
 * of what the token holds and only with the token's help.
 */
struct agreeing {
	struct p11 *p;
	struct detail *d;
};

static enum err
agree(void *ctx, const struct es256_public *peer, struct key32 *z)
{
	struct agreeing *a = ctx;

	return p11_agree(a->p, peer, z, a->d);
}

static enum err
open_key(struct p11 *p, const struct sealed *s, struct record *r,
	 struct detail *d)
{
	struct agreeing a = {p, d};
	const struct jwe_agreement how = {agree, &a};
	struct secret plain = {0};
	enum err e;

	e = jwe_open_agreed(&how, s->key, strlen(s->key), &plain);
	if (e == ERR_OK)
		e = wire_key_decode(&plain, r->device_id, &r->epoch, &r->key);
	secret_free(&plain);
	if (e == ERR_OK && (strcmp(r->device_id, s->device_id) != 0 ||
			    r->epoch != s->epoch))
		e = ERR_RECORD;
	if (e != ERR_OK)
		detail_set(d, "the key is not encrypted to this token, or not "
			      "this device's");
	return e;
}

static enum err
unseal(struct p11 *p, struct secret *out, struct detail *d)
{
	struct buf text = {.max = SEALED_TEXT_MAX};
	struct sealed *s = calloc(1, sizeof(*s));
	struct record r;
	enum err e;

	memset(&r, 0, sizeof(r));
	e = s == NULL ? ERR_NOMEM : p11_data_read(p, &text, d);
	if (e == ERR_OK)
		e = wire_sealed_decode(text.p, text.len, s, d);
	if (e == ERR_OK)
		e = open_key(p, s, &r, d);
	if (e == ERR_OK) {
		memcpy(r.issuer, s->issuer, sizeof(r.issuer));
		memcpy(r.peers, s->peers, sizeof(r.peers));
		r.npeers = s->npeers;
		e = record_encode(&r, out);
	}
	record_wipe(&r);
	buf_free(&text);
	free(s);
	return e;
}

int
cmd_unseal(int argc, char **argv)
{
	int help = argc == 2 && strcmp(argv[1], "--help") == 0;
	struct secret record = {0};
	struct detail d = {""};
	struct p11 *p = NULL;
	char *path = NULL;
	enum err e;

	if (argc != 3) {
		(void)fprintf(help ? stdout : stderr,
			      "usage: provision-tool unseal "
			      "PKCS11-URI FILE\n");
		return help ? DONE : USAGE;
	}
	e = out_resolve(argv[2], &path, &d);
	if (e == ERR_OK)
		e = p11_open(argv[1], &p, &d);
	if (e == ERR_OK)
		e = unseal(p, &record, &d);
	if (e == ERR_OK)
		e = out_write(path, record.p, record.len, &d);
	secret_free(&record);
	p11_close(&p);
	free(path);
	if (e == ERR_OK)
		return DONE;
	(void)fprintf(stderr, "provision-tool: unseal: %s (%s)\n",
		      d.text[0] == '\0' ? err_text(e) : d.text, err_code(e));
	return REFUSED;
}
