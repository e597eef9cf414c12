#include "provision-tool/station_key.h"

#include <errno.h>
#include <string.h>

#include "lib/base/b64url.h"
#include "lib/base/file.h"

#define HEAD "fealty-station-key-v1 "
#define HEAD_LEN (sizeof(HEAD) - 1)
#define TEXT_LEN B64URL_LEN(KEY32_LEN)

enum err
station_key_make(const char *path, struct signer **out)
{
	char line[HEAD_LEN + TEXT_LEN + 1] = HEAD;
	struct signer *s = NULL;
	struct key32 scalar;
	enum err e;

	e = signer_generate(&s);
	if (e == ERR_OK)
		e = signer_export(s, &scalar);
	if (e == ERR_OK) {
		b64url_encode(scalar.b, KEY32_LEN, line + HEAD_LEN);
		line[HEAD_LEN + TEXT_LEN] = '\n';
		e = file_create_atomic(path, 0600, line, sizeof(line));
	}
	key32_wipe(&scalar);
	wipe(line, sizeof(line));
	if (e == ERR_OK)
		*out = s;
	else
		signer_free(&s);
	return e;
}

static enum err
parse(const struct secret *text, struct key32 *scalar)
{
	size_t len = text->len;

	if (len > 0 && text->p[len - 1] == '\n')
		len--;
	if (len != HEAD_LEN + TEXT_LEN || memcmp(text->p, HEAD, HEAD_LEN) != 0)
		return ERR_CONFIG;
	return b64url_decode_exact((const char *)text->p + HEAD_LEN, TEXT_LEN,
				   scalar->b, KEY32_LEN) == ERR_OK
		   ? ERR_OK
		   : ERR_CONFIG;
}

enum err
station_key_read(const char *path, struct signer **out, struct detail *d)
{
	struct secret text = {0};
	struct key32 scalar = {{0}};
	enum err e;

	e = file_read_secret(path, 256, &text);
	if (e == ERR_NOT_FOUND)
		detail_set(d, "%s: no such file; make the key once with "
			      "provision-tool station-key", path);
	else if (e == ERR_CONFIG)
		detail_set(d, "%s: others may read it (chmod 600), or no file",
			   path);
	else if (e != ERR_OK)
		detail_set(d, "%s: %s", path, strerror(errno));
	if (e != ERR_OK)
		goto out;
	e = parse(&text, &scalar);
	if (e == ERR_OK && signer_import(&scalar, out) != ERR_OK)
		e = ERR_CONFIG;
	if (e != ERR_OK)
		detail_set(d, "%s: not a station's key", path);
out:
	key32_wipe(&scalar);
	secret_free(&text);
	return e;
}
