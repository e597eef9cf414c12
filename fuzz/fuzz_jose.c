/*
 * Tokens, assertions, key sets and envelopes. What is signed by somebody
 * else is never taken; what is signed with our own key, whatever it says, is
 * taken only if it is well formed, and then means the same when made again.
 */
#include "fuzz/fuzz.h"

#include <string.h>

#include "lib/base/b64url.h"
#include "lib/crypt/digest.h"
#include "lib/jose/assertion.h"

#define HS(k) ((struct assertion_keys){.mac = &(k)})
#include "lib/jose/jwe.h"
#include "lib/jose/token.h"

#define CLAIMS_MAX 2800
#define NOW 1795000000

static struct signer *signer;
static struct jwks *keys;
static const struct token_rules rules = {"https://a.example", NULL, NOW,
    INT64_C(1) << 53};

static void
start(void)
{
	static const struct key32 scalar = {{1, 2, 3}};
	struct es256_public pub;

	if (signer != NULL)
		return;
	PROMISE(signer_import(&scalar, &signer) == ERR_OK);
	signer_public(signer, &pub);
	PROMISE(jwks_new(&keys) == ERR_OK && jwks_add(keys, &pub) == ERR_OK);
}

static size_t
put_b64(char *out, const void *p, size_t len)
{
	b64url_encode(p, len, out);
	return B64URL_LEN(len);
}

/* The claims as they are, under a header and a signature that are right. */
static size_t
sign_claims(const uint8_t *p, size_t len, char *out)
{
	unsigned char sig[ES256_SIG_LEN];
	char header[160];
	size_t n;
	int h;

	h = snprintf(header, sizeof(header),
	    "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"%s\"}",
	    signer_kid(signer));
	n = put_b64(out, header, (size_t)h);
	out[n++] = '.';
	n += put_b64(out + n, p, len);
	PROMISE(signer_sign(signer, out, n, sig) == ERR_OK);
	out[n++] = '.';
	return n + put_b64(out + n, sig, sizeof(sig));
}

static void
check_again(const struct token_claims *c)
{
	struct buf text = {.max = TOKEN_MAX};
	struct token_claims back;
	enum err e = token_sign(signer, c, &text);

	if (e == ERR_TOO_LARGE || e == ERR_REQUEST)
		return; /* more, or another issuer, than we would write */
	PROMISE(e == ERR_OK);
	PROMISE(token_verify(keys, &rules, text.p, text.len, &back, NULL) ==
	    ERR_OK);
	PROMISE(memcmp(c, &back, sizeof(back)) == 0);
	buf_free(&text);
}

void
fuzz_token(const uint8_t *p, size_t len)
{
	char text[8192], kid[KID_LEN + 1];
	struct token_claims c;
	struct detail d = {""};
	size_t n;

	start();
	(void)!token_kid((const char *)p, len, kid);
	if (token_verify(keys, &rules, (const char *)p, len, &c, &d) ==
	    ERR_OK)
		check_again(&c);
	if (len > CLAIMS_MAX)
		return;
	n = sign_claims(p, len, text);
	if (token_verify(keys, &rules, text, n, &c, &d) == ERR_OK)
		check_again(&c);
}

void
fuzz_jwks(const uint8_t *p, size_t len)
{
	struct buf text = {.max = 65536}, twice = {.max = 65536};
	struct jwks *set = NULL, *again = NULL;

	if (jwks_parse((const char *)p, len, &set) != ERR_OK) {
		PROMISE(set == NULL);
		return;
	}
	PROMISE(jwks_format(set, &text) == ERR_OK);
	PROMISE(jwks_parse(text.p, text.len, &again) == ERR_OK);
	PROMISE(jwks_format(again, &twice) == ERR_OK);
	PROMISE(strcmp(text.p, twice.p) == 0);
	jwks_free(&set);
	jwks_free(&again);
	buf_free(&text);
	buf_free(&twice);
}

static const struct key32 mac_key = {{7}};
static const char *const audiences[] = {"https://a.example"};

static void
check_assertion(const char *s, size_t len, int signed_by_us)
{
	struct assertion_form f;
	struct assertion a;
	struct detail d = {""};

	memset(&a, 0x55, sizeof(a));
	if (assertion_open(s, len, &f, &d) != ERR_OK ||
	    assertion_verify(&f, &HS(mac_key), audiences, 1, NOW, &a, &d) !=
	    ERR_OK)
		return;
	PROMISE(signed_by_us);
	PROMISE(name_is_device_id(a.device_id) && a.jti[0] != '\0');
	if (a.nonce[0] == '\0')
		PROMISE(a.exp > NOW && a.exp - a.iat <= ASSERTION_LIFE_MAX);
}

void
fuzz_assertion(const uint8_t *p, size_t len)
{
	static const char *const headers[] = {
	    "{\"alg\":\"HS256\",\"typ\":\"JWT\",\"kid\":\"AAAAAAAAAAAAAAAAAAAA"
	    "AAAAAAAAAAAAAAAAAAAAAAAA\"}",
	    "{\"alg\":\"HS256\",\"typ\":\"fealty-assertion+jwt\",\"kid\":\"AAA"
	    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}"};
	unsigned char mac[32];
	const char *h;
	char text[4096];
	size_t n;

	check_assertion((const char *)p, len, 0);
	if (len < 1 || len > 1300)
		return;
	h = headers[p[0] & 1];
	n = put_b64(text, h, strlen(h));
	text[n++] = '.';
	n += put_b64(text + n, p + 1, len - 1);
	PROMISE(hmac_sha256(mac_key.b, KEY32_LEN, text, n, mac) == ERR_OK);
	text[n++] = '.';
	n += put_b64(text + n, mac, sizeof(mac));
	check_assertion(text, n, 1);
}

/* As an envelope, and as a station's public key. */
void
fuzz_jwe(const uint8_t *p, size_t len)
{
	static struct jwe_key *station;
	struct buf out = {.max = 4096};
	struct secret plain = {0};
	char jwk[1024];

	if (station == NULL)
		PROMISE(jwe_key_generate(&station) == ERR_OK);
	PROMISE(jwe_open(station, (const char *)p, len, &plain) != ERR_OK);
	if (len >= sizeof(jwk))
		return;
	memcpy(jwk, p, len);
	jwk[len] = '\0';
	if (jwe_seal(jwk, "x", 1, &out) == ERR_OK)
		PROMISE(jwe_open(station, out.p, out.len, &plain) != ERR_OK);
	buf_free(&out);
}
