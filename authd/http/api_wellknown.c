#include <stdlib.h>
#include <stdio.h>

#include "authd/http/server.h"
#include "lib/wire/wire.h"

enum err api_jwks(struct req *);
enum err api_keyset(struct req *);
enum err api_metadata(struct req *);
enum err api_healthz(struct req *);
enum err api_readyz(struct req *);
enum err api_metrics(struct req *);

enum err
api_jwks(struct req *r)
{
	r->reply.type = "application/jwk-set+json";
	r->reply.cacheable = 1;
	return core_jwks(r->call.tenant, &r->reply.body);
}

/* docs/feed.md; the text is base64url and dots: nothing to escape. */
enum err
api_keyset(struct req *r)
{
	enum err e;

	r->reply.cacheable = 1;
	e = buf_str(&r->reply.body, "{\"keys\":\"");
	if (e == ERR_OK)
		e = core_keyset(r->call.tenant, &r->reply.body);
	return e == ERR_OK ? buf_str(&r->reply.body, "\"}") : e;
}

static void
put_url(json_t *o, const char *name, const char *issuer, const char *path)
{
	char url[ISSUER_MAX + 64];

	(void)snprintf(url, sizeof(url), "%s%s", issuer, path);
	(void)json_object_set_new(o, name, json_string(url));
}

/* RFC 8414 section 2. */
enum err
api_metadata(struct req *r)
{
	const char *issuer = core_tenant_issuer(r->call.tenant);
	json_t *o;

	o = json_pack("{s:s, s:[], s:[s], s:[s,s], s:[s,s], s:[s,s],"
	    " s:[s,s]}",
	    "issuer", issuer, "response_types_supported",
	    "grant_types_supported", "client_credentials",
	    "token_endpoint_auth_methods_supported", "client_secret_jwt",
	    "private_key_jwt",
	    "token_endpoint_auth_signing_alg_values_supported", "HS256", "ES256",
	    "introspection_endpoint_auth_methods_supported",
	    "client_secret_basic", "client_secret_post",
	    "revocation_endpoint_auth_methods_supported",
	    "client_secret_basic", "client_secret_post");
	if (o == NULL)
		return ERR_NOMEM;
	put_url(o, "token_endpoint", issuer, "/oauth2/token");
	put_url(o, "introspection_endpoint", issuer, "/oauth2/introspect");
	put_url(o, "revocation_endpoint", issuer, "/oauth2/revoke");
	put_url(o, "jwks_uri", issuer, "/.well-known/jwks.json");
	put_url(o, "fealty_nonce_endpoint", issuer, "/oauth2/nonce");
	r->reply.cacheable = 1;
	return req_json(r, 200, o);
}

enum err
api_healthz(struct req *r)
{
	return buf_str(&r->reply.body, "{\"status\":\"ok\"}");
}

enum err
api_readyz(struct req *r)
{
	uint64_t pos = core_tenant_position(r->call.tenant);
	enum err e;

	e = core_tenant_ready(r->call.core, r->call.tenant, &r->call.detail);
	if (e == ERR_OK &&
	    atomic_load(&r->conn->listener->http->draining)) {
		detail_set(&r->call.detail, "authd is stopping");
		e = ERR_NOT_READY;
	}
	if (e != ERR_OK)
		return e;
	return buf_fmt(&r->reply.body,
	    "{\"status\":\"ready\",\"position\":%llu}",
	    (unsigned long long)pos);
}

static enum err
put_figure(struct req *r, const char *name, const struct gateway_lag *lag,
    double s)
{
	if (!lag->heard)
		return buf_fmt(&r->reply.body,
		    "fealty_%s_seconds{gateway=\"%s\"} +Inf\n", name,
		    lag->gateway);
	return buf_fmt(&r->reply.body,
	    "fealty_%s_seconds{gateway=\"%s\"} %.6f\n", name, lag->gateway,
	    s);
}

/* Without a database there are no figures of gateways, but all the others. */
static enum err
put_gateways(struct req *r)
{
	struct gateway_lag *rows = calloc(CORE_LIST_MAX, sizeof(*rows));
	size_t i, n = 0;
	enum err e;

	if (rows == NULL)
		return ERR_NOMEM;
	e = core_gateway_lags(&r->call, rows, CORE_LIST_MAX, &n);
	if (e != ERR_OK)
		n = 0;
	e = buf_str(&r->reply.body, "# HELP fealty_revocation_lag_seconds "
	    "Age of the oldest event a gateway has not receipted.\n"
	    "# TYPE fealty_revocation_lag_seconds gauge\n");
	for (i = 0; i < n && e == ERR_OK; i++)
		e = put_figure(r, "revocation_lag", &rows[i], rows[i].lag_s);
	if (e == ERR_OK)
		e = buf_str(&r->reply.body, "# HELP "
		    "fealty_gateway_heard_seconds Since its last receipt.\n"
		    "# TYPE fealty_gateway_heard_seconds gauge\n");
	for (i = 0; i < n && e == ERR_OK; i++)
		e = put_figure(r, "gateway_heard", &rows[i], rows[i].heard_s);
	free(rows);
	return e;
}

enum err
api_metrics(struct req *r)
{
	struct http *h = r->conn->listener->http;
	enum err e;

	r->reply.type = "text/plain; version=0.0.4; charset=utf-8";
	e = metrics_format(h->metrics, h->core, queue_length(h->queue),
	    &r->reply.body);
	return e == ERR_OK ? put_gateways(r) : e;
}
