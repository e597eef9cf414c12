#include "authd/http/authn.h"

#include <string.h>
#include <strings.h>
#include <time.h>

#include "authd/http/device_tls.h"
#include "authd/http/server.h"
#include "lib/base/parse.h"

#define SECRET_MAX 255
#define PAUSE_MS 5
#define PAUSES 40

/* What the request authenticates with. Wiped when done. */
struct presented {
	char name[SECRET_MAX + 1]; /* client_id; "" with Bearer */
	char secret[SECRET_MAX + 1];
	int methods;
};

static int
b64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* RFC 4648 section 4, padded. */
static enum err
b64_decode(const char *s, char *out, size_t size)
{
	size_t len = strlen(s), i, n = 0;
	unsigned bits = 0;
	int v, have = 0;

	while (len > 0 && s[len - 1] == '=')
		len--;
	for (i = 0; i < len; i++) {
		v = b64_value(s[i]);
		if (v < 0)
			return ERR_CREDENTIAL;
		bits = (bits << 6 | (unsigned)v) & 0xffffff;
		have += 6;
		if (have < 8)
			continue;
		have -= 8;
		if (n + 1 >= size || (bits >> have & 0xff) == 0)
			return ERR_CREDENTIAL;
		out[n++] = (char)(bits >> have & 0xff);
	}
	out[n] = '\0';
	return ERR_OK;
}

/* RFC 6749 section 2.3.1: both parts are form-encoded. */
static enum err
from_basic(const char *text, struct presented *p)
{
	char plain[2 * SECRET_MAX];
	const char *colon;
	enum err e;

	e = b64_decode(text, plain, sizeof(plain));
	colon = e == ERR_OK ? strchr(plain, ':') : NULL;
	if (colon == NULL)
		e = ERR_CREDENTIAL;
	else if (percent_decode(plain, (size_t)(colon - plain), 1, p->name,
		     sizeof(p->name)) != ERR_OK ||
	    percent_decode(colon + 1, strlen(colon + 1), 1, p->secret,
		sizeof(p->secret)) != ERR_OK)
		e = ERR_CREDENTIAL;
	wipe(plain, sizeof(plain));
	return e;
}

static enum err
from_header(struct req *r, struct presented *p)
{
	const char *h = req_header(r, "Authorization");

	if (h == NULL)
		return ERR_OK;
	p->methods++;
	if (strncasecmp(h, "Bearer ", 7) == 0) {
		return copy_str(p->secret, sizeof(p->secret), h + 7) ==
		    ERR_OK ? ERR_OK : ERR_CREDENTIAL;
	}
	if (strncasecmp(h, "Basic ", 6) == 0 &&
	    (r->route->flags & ROUTE_OAUTH) != 0)
		return from_basic(h + 6, p);
	detail_set(&r->call.detail, "Authorization: unknown scheme");
	return ERR_CREDENTIAL;
}

static enum err
from_form(struct req *r, struct presented *p)
{
	const char *id, *secret;
	enum err e;

	e = req_form(r);
	if (e == ERR_OK)
		e = form_one(&r->form, "client_id", &id, &r->call.detail);
	if (e == ERR_OK)
		e = form_one(&r->form, "client_secret", &secret,
		    &r->call.detail);
	if (e != ERR_OK || secret == NULL)
		return e;
	p->methods++;
	if (id == NULL || copy_str(p->name, sizeof(p->name), id) != ERR_OK ||
	    copy_str(p->secret, sizeof(p->secret), secret) != ERR_OK)
		return ERR_CREDENTIAL;
	return ERR_OK;
}

static enum err
find_presented(struct req *r, struct presented *p)
{
	enum err e;

	e = from_header(r, p);
	if (e == ERR_OK && (r->route->flags & ROUTE_OAUTH) != 0)
		e = from_form(r, p);
	if (e != ERR_OK)
		return e;
	if (p->methods > 1) {
		detail_set(&r->call.detail,
		    "use one way of client authentication");
		return ERR_REQUEST;
	}
	return p->methods == 1 ? ERR_OK : ERR_CREDENTIAL;
}

/*
 * Look-ups of unknown credentials are bounded: many requests of one caller
 * that come at once after a start wait until the first has made it known.
 */
static enum err
look_up(struct req *r, const char *credential, struct caller *c)
{
	const struct timespec pause = {0, PAUSE_MS * 1000000};
	enum err e;
	int i;

	for (i = 0;; i++) {
		e = core_authn(&r->call, credential, CREDENTIAL_LEN, c);
		if (e != ERR_BUSY || !r->call.may_block || i == PAUSES)
			return e;
		(void)nanosleep(&pause, NULL);
	}
}

static enum err
check(struct req *r, const struct presented *p)
{
	struct caller c;
	enum err e;

	if (strlen(p->secret) != CREDENTIAL_LEN)
		return ERR_CREDENTIAL;
	r->call.asks_for_dead = (r->route->flags & ROUTE_DEAD) != 0;
	e = look_up(r, p->secret, &c);
	if (e == ERR_OK && p->name[0] != '\0' && strcmp(p->name, c.name) != 0)
		e = ERR_CREDENTIAL;
	if (e == ERR_OK) {
		r->caller = c;
		r->call.caller = &r->caller;
	}
	return e;
}

/*
 * An address that has failed too often is answered from memory only: its
 * callers in good standing go on, guesses cost no query.
 */
static enum err
authn_caller(struct req *r)
{
	struct rate *rate = r->conn->listener->http->authn_rate;
	struct presented p;
	int block = r->call.may_block, spent;
	enum err e;

	memset(&p, 0, sizeof(p));
	e = find_presented(r, &p);
	if (e != ERR_OK)
		goto out; /* nothing looked up: nothing to ration */
	spent = !rate_left(rate, r->conn->address);
	if (spent)
		r->call.may_block = 0;
	e = check(r, &p);
	r->call.may_block = block;
	if (e == ERR_CREDENTIAL)
		(void)rate_take(rate, r->conn->address);
	if (spent && (e == ERR_WOULD_BLOCK || e == ERR_CREDENTIAL))
		e = ERR_RATE;
out:
	wipe(&p, sizeof(p));
	return e;
}

enum err
authn_request(struct req *r)
{
	if (r->route->roles == ROLE_PUBLIC || r->call.caller != NULL)
		return ERR_OK;
	if (r->route->roles == ROLE_DEVICE)
		return device_tls_identity(r->conn, r->mc);
	return authn_caller(r);
}

const char *
authn_challenge(struct req *r)
{
	const char *h = req_header(r, "Authorization");

	if (h != NULL && strncasecmp(h, "Basic ", 6) == 0)
		return "Basic realm=\"fealty\", charset=\"UTF-8\"";
	return "Bearer realm=\"fealty\"";
}
