#include <stddef.h>
#include <string.h>
#include "gateway/gw_int.h"

/* The host's options and its enrolment file, made one. */

static const char *
copy_options(const struct fealty_options *given, struct fealty_options *o)
{
	static const struct fealty_options none = FEALTY_OPTIONS_INIT;

	/* of a host built before there was enrolment, or of ours */
	if (given->size != offsetof(struct fealty_options, enrolment_file) &&
	    given->size != sizeof(*o))
		return ("options of another version of the library");
	*o = none;
	memcpy(o, given, given->size);
	o->size = sizeof(*o);
	return (NULL);
}

static const char *
check(const struct fealty_options *o)
{
	if (o->urls == NULL || o->nurls < 1 || o->nurls > GW_URLS_MAX)
		return ("urls: 1 to 8");
	if (o->audience == NULL || !name_is_audience(o->audience) ||
	    strcmp(o->audience, AUDIENCE_AUTHORITY) == 0)
		return ("audience: ^[a-z0-9.-]{1,64}$, and not \"authority\"");
	if (o->credential_file == NULL && o->enrolment_file == NULL)
		return ("credential_file: needed");
	if (o->instance != NULL && !name_is_order(o->instance))
		return ("instance: ^[A-Za-z0-9._-]{1,64}$");
	if (o->state_file != NULL && o->enrolment_file == NULL)
		return ("state_file: of an enrolled gateway only");
	if (o->threads > 64 || o->queue > 1u << 20 ||
	    o->max_keys > 1u << 24 || o->max_tokens > 1u << 24 ||
	    o->max_sessions > 1u << 24 || o->max_handshakes > 1u << 20 ||
	    o->poll_ms > 3600000 || o->max_stale_ms > 86400000 ||
	    o->stale_limit_ms > 604800000 || o->request_ms > 600000 ||
	    o->when_stale > FEALTY_STALE_OPEN)
		return ("an option is out of its range");
	return (NULL);
}

static void
fill_from(struct gw_options *g)
{
	struct fealty_options *o = &g->o;
	struct enrolment *e = &g->enrolment;

	for (uint32_t i = 0; i < e->nurls; i++)
		g->urls[i] = e->url[i];
	if (o->urls == NULL) {
		o->urls = g->urls;
		o->nurls = e->nurls;
	}
	if (o->issuer == NULL)
		o->issuer = e->issuer;
	if (o->audience == NULL && e->naudiences == 1)
		o->audience = e->audiences[0];
}

/* An audience that the credential is not for would never get a key. */
static bool
enrolled_for(const struct gw_options *g)
{
	for (uint32_t i = 0; i < g->enrolment.naudiences; i++)
		if (strcmp(g->o.audience, g->enrolment.audiences[i]) == 0)
			return (true);
	return (false);
}

enum err
gw_options_take(const struct fealty_options *given, struct gw_options *out,
    struct detail *d)
{
	struct fealty_options *o = &out->o;
	const char *bad;
	enum err e = ERR_OK;

	memset(out, 0, sizeof(*out));
	if ((bad = copy_options(given, o)) != NULL) {
		detail_set(d, "%s", bad);
		return (ERR_CONFIG);
	}
	if (o->enrolment_file != NULL) {
		e = enrolment_read(o->enrolment_file, &out->enrolment, d);
		if (e != ERR_OK) {
			detail_set(d, "%s", o->enrolment_file);
			return (e);
		}
		fill_from(out);
	}
	if ((bad = check(o)) == NULL && o->enrolment_file != NULL &&
	    !enrolled_for(out))
		bad = "audience: not one that the gateway is enrolled for";
	if (bad != NULL) {
		detail_set(d, "%s", bad);
		return (ERR_CONFIG);
	}
	if (o->credential_file == NULL)
		return (secret_set(&out->credential,
		    out->enrolment.credential.p,
		    out->enrolment.credential.len));
	e = client_read_credential(o->credential_file, &out->credential);
	if (e != ERR_OK)
		detail_set(d, "%s: %s", o->credential_file,
		    client_credential_fault(e));
	return (e == ERR_NOT_FOUND ? ERR_CONFIG : e);
}

void
gw_options_free(struct gw_options *g)
{
	enrolment_free(&g->enrolment);
	secret_free(&g->credential);
}
