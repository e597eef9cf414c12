#ifndef HTTP_ROUTE_H
#define HTTP_ROUTE_H

#include <stddef.h>
#include "lib/base/err.h"
#include "lib/model/caller.h"

/* The route table (route_table.h) and how a request finds its row. */
struct req;

enum method { M_GET = 1, M_POST = 2, M_PUT = 4, M_DELETE = 8 };
enum listener_kind { ON_API = 1, ON_DEVICE = 2 };

#define ROLE_PUBLIC 0	   /* no caller */
#define ROLE_DEVICE 0x100  /* whoever the TLS-PSK handshake authenticated */

enum rate_class {
	RATE_NONE,  /* answered from memory, or rationed by core */
	RATE_AUTHN  /* failed authentication is rationed by address */
};

enum {
	ROUTE_FAST = 1,	   /* first tried on the event loop */
	ROUTE_OAUTH = 2,   /* form body, errors as RFC 6749 */
	ROUTE_DEFAULT = 4, /* of tenant default only */
	ROUTE_TENANT = 8,  /* parameter 0 names the tenant */
	ROUTE_TOKEN = 16,  /* the token endpoint: device refusals are 400 */
	ROUTE_RUN = 32,	   /* workers take those that wait together */
	ROUTE_DEAD = 64	   /* asks what is dead: struct core_call */
};

#define ROUTE_PARAMS_MAX 2
#define ROUTE_PARAM_MAX 192 /* 64 characters, each percent-encoded */

struct route {
	enum method method;
	const char *path; /* "/v1/orders/{order}"; the name says its form */
	int roles;
	enum listener_kind listener;
	size_t max_body;
	enum rate_class rate;
	int flags;
	enum err (*handler)(struct req *r);
};
/*
 * Of the routes with ROUTE_RUN: sets the outcome of those whose outcome is
 * ERR_OK so far. ERR_WOULD_BLOCK as for a handler.
 */
void api_token_run(struct req **r, size_t n);
extern const struct route routes[];
extern const size_t nroutes;

/*
 * The row for method and path on a listener, parameters undecoded into
 * param. ERR_NOT_FOUND; ERR_METHOD with allow filled. method as in HTTP; HEAD
 * finds GET.
 */
enum err route_find(enum listener_kind on, const char *method,
    const char *path, const struct route **out,
    char param[ROUTE_PARAMS_MAX][ROUTE_PARAM_MAX + 1], char allow[64])
    MUST_CHECK;
/* Decodes the parameters in place and checks their form. ERR_NAME. */
enum err route_check_params(const struct route *rt,
    char param[ROUTE_PARAMS_MAX][ROUTE_PARAM_MAX + 1], struct detail *d)
    MUST_CHECK;
const char *method_name(enum method m);

#endif
