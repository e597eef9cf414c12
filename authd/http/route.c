#include "authd/http/route.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "authd/http/form.h"
#include "authd/http/http.h"
#include "authd/http/route_table.h"
#include "lib/base/parse.h"
#include "lib/model/names.h"

#define X(m, path, roles, on, max, rate, flags, fn) enum err fn(struct req *);
ROUTE_TABLE(X)
#undef X

const struct route routes[] = {
#define X(m, path, roles, on, max, rate, flags, fn) \
	{M_##m, path, roles, ON_##on, max, RATE_##rate, flags, fn},
    ROUTE_TABLE(X)
#undef X
};
const size_t nroutes = sizeof(routes) / sizeof(routes[0]);

static const struct {
	enum method m;
	const char *name;
} methods[] = {
    {M_GET, "GET"}, {M_POST, "POST"}, {M_PUT, "PUT"}, {M_DELETE, "DELETE"}};
#define NMETHODS (sizeof(methods) / sizeof(methods[0]))

const char *
method_name(enum method m)
{
	size_t i;

	for (i = 0; i < NMETHODS; i++)
		if (methods[i].m == m)
			return methods[i].name;
	return "?";
}

static int
method_bit(const char *name)
{
	size_t i;

	if (strcmp(name, "HEAD") == 0)
		return M_GET;
	for (i = 0; i < NMETHODS; i++)
		if (strcmp(methods[i].name, name) == 0)
			return (int)methods[i].m;
	return 0;
}

/* 1 if path has the form of pattern; parameters are copied. */
static int
matches(const char *pattern, const char *path,
    char param[ROUTE_PARAMS_MAX][ROUTE_PARAM_MAX + 1])
{
	unsigned n = 0;
	size_t len;

	while (*pattern != '\0') {
		if (*pattern != '{') {
			if (*pattern++ != *path++)
				return 0;
			continue;
		}
		len = strcspn(path, "/");
		if (len == 0 || len > ROUTE_PARAM_MAX ||
		    n == ROUTE_PARAMS_MAX)
			return 0;
		memcpy(param[n], path, len);
		param[n++][len] = '\0';
		path += len;
		pattern = strchr(pattern, '}') + 1;
	}
	return *path == '\0';
}

static void
list_methods(int mask, char allow[64])
{
	size_t i, n = 0;

	allow[0] = '\0';
	for (i = 0; i < NMETHODS; i++) {
		if ((mask & (int)methods[i].m) == 0)
			continue;
		n += (size_t)snprintf(allow + n, 64 - n, "%s%s%s",
		    n == 0 ? "" : ", ", methods[i].name,
		    methods[i].m == M_GET ? ", HEAD" : "");
	}
}

enum err
route_find(enum listener_kind on, const char *method, const char *path,
    const struct route **out,
    char param[ROUTE_PARAMS_MAX][ROUTE_PARAM_MAX + 1], char allow[64])
{
	const struct route *rt;
	int bit = method_bit(method), mask = 0;

	for (rt = routes; rt < routes + nroutes; rt++) {
		if (rt->listener != on || !matches(rt->path, path, param))
			continue;
		if ((int)rt->method == bit) {
			*out = rt;
			return ERR_OK;
		}
		mask |= (int)rt->method;
	}
	if (mask == 0)
		return ERR_NOT_FOUND;
	list_methods(mask, allow);
	return ERR_METHOD;
}

static int
is_number(const char *s)
{
	uint64_t v;

	return parse_u64(s, UINT32_MAX, &v) == ERR_OK;
}

static int
is_position(const char *s)
{
	uint64_t v;

	return parse_u64(s, NUMBER_MAX, &v) == ERR_OK;
}

/* A parameter's name says what form it has. */
static const struct {
	const char *name;
	int (*ok)(const char *);
} forms[] = {
    {"{order}", name_is_order},
    {"{device_id}", name_is_device_id},
    {"{audience}", name_is_audience},
    {"{name}", name_is_order},
    {"{number}", is_number},
    {"{position}", is_position},
    {"{tenant}", name_is_tenant},
    {"{ticket}", name_is_ticket},
};

static int
param_ok(const char *pattern, const char *value)
{
	size_t i, len;

	for (i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		len = strlen(forms[i].name);
		if (strncmp(pattern, forms[i].name, len) == 0)
			return forms[i].ok(value);
	}
	return 0;
}

enum err
route_check_params(const struct route *rt,
    char param[ROUTE_PARAMS_MAX][ROUTE_PARAM_MAX + 1], struct detail *d)
{
	const char *p = rt->path;
	unsigned n;

	for (n = 0; (p = strchr(p, '{')) != NULL; n++, p++) {
		if (percent_decode(param[n], strlen(param[n]), 0, param[n],
			NAME_MAX_LEN + 1) != ERR_OK ||
		    !param_ok(p, param[n])) {
			detail_set(d, "path: %.*s is malformed",
			    (int)(strchr(p, '}') + 1 - p), p);
			return ERR_NAME;
		}
	}
	return ERR_OK;
}

static void
print_roles(FILE *out, int roles)
{
	int bit, some = 0;

	if (roles == ROLE_PUBLIC)
		(void)fputs("public", out);
	else if (roles == ROLE_DEVICE)
		(void)fputs("device", out);
	else
		for (bit = 1; bit <= ROLE_AUDITOR; bit <<= 1)
			if ((roles & bit) != 0)
				(void)fprintf(out, "%s%s", some++ ? "," : "",
				    role_name((enum role)bit));
}

void
http_print_routes(FILE *out)
{
	const struct route *rt;

	for (rt = routes; rt < routes + nroutes; rt++) {
		(void)fprintf(out, "%s %s %s ",
		    rt->listener == ON_API ? "api" : "device",
		    method_name(rt->method), rt->path);
		print_roles(out, rt->roles);
		(void)fprintf(out, " %zu%s\n", rt->max_body,
		    (rt->flags & ROUTE_OAUTH) != 0 ? " oauth" : "");
	}
}
