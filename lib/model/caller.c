#include "lib/model/caller.h"

#include <string.h>

static const struct {
	enum role role;
	const char *name;
} roles[] = {
    {ROLE_STATION, "station"}, {ROLE_GATEWAY, "gateway"}, {ROLE_ADMIN, "admin"},
    {ROLE_REVOKER, "revoker"}, {ROLE_AUDITOR, "auditor"},
};
#define NROLES (sizeof(roles) / sizeof(roles[0]))

const char *
role_name(enum role r)
{
	size_t i;

	for (i = 0; i < NROLES; i++)
		if (roles[i].role == r)
			return roles[i].name;
	return "unknown";
}

enum err
role_parse(const char *s, enum role *out)
{
	size_t i;

	for (i = 0; s != NULL && i < NROLES; i++) {
		if (strcmp(roles[i].name, s) == 0) {
			*out = roles[i].role;
			return ERR_OK;
		}
	}
	return ERR_REQUEST;
}

int
caller_has_audience(const struct caller *c, const char *audience)
{
	uint32_t i;

	for (i = 0; i < c->naudiences && i < CALLER_AUDIENCES_MAX; i++)
		if (strcmp(c->audiences[i], audience) == 0)
			return 1;
	return 0;
}

/* What is shorter leaves more than half of a credential to be guessed. */
#define TELLING_LEN 21
#define CREDENTIAL_CHARS \
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

int
may_be_credential(const char *s)
{
	const char *p;

	for (p = strstr(s, CREDENTIAL_PREFIX); p != NULL;
	    p = strstr(p + 1, CREDENTIAL_PREFIX))
		if (strspn(p, CREDENTIAL_CHARS) >= TELLING_LEN)
			return 1;
	return 0;
}
