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

	o = json_pack("{s:s, s:[], s:[s], s:[s], s:[s], s:[s,s], s:[s,s]}",
	    "issuer", issuer, "response_types_supported",
	    "grant_types_supported", "client_credentials",
	    "token_endpoint_auth_methods_supported", "client_secret_jwt",
	    "token_endpoint_auth_signing_alg_values_supported", "HS256",
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

	e = atomic_load(&r->conn->listener->http->draining) ? ERR_NOT_READY :
	    core_tenant_ready(r->call.core, r->call.tenant);
	if (e != ERR_OK)
		return e;
	return buf_fmt(&r->reply.body,
	    "{\"status\":\"ready\",\"position\":%llu}",
	    (unsigned long long)pos);
}

enum err
api_metrics(struct req *r)
{
	struct http *h = r->conn->listener->http;

	r->reply.type = "text/plain; version=0.0.4; charset=utf-8";
	return metrics_format(h->metrics, h->core, queue_length(h->queue),
	    &r->reply.body);
}
