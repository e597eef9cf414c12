#ifndef MODEL_CALLER_H
#define MODEL_CALLER_H

#include "lib/model/names.h"

enum role {
	ROLE_STATION = 1,
	ROLE_GATEWAY = 2,
	ROLE_ADMIN = 4,
	ROLE_REVOKER = 8,
	ROLE_AUDITOR = 16
};
#define ROLE_ALL 31
const char *role_name(enum role r);
enum err role_parse(const char *s, enum role *out) MUST_CHECK;

#define CALLER_AUDIENCES_MAX 16

/*
 * A station, gateway, admin, revoker or auditor. A gateway's audiences are
 * its scope; a station's orders are the orders that name it.
 */
struct caller {
	uint32_t tenant;
	name_t tenant_name;
	uint64_t number; /* per tenant, from 1 */
	name_t name;
	enum role role;
	int disabled;
	int64_t created_at;
	name_t audiences[CALLER_AUDIENCES_MAX];
	uint32_t naudiences;
};
/* 1 if the caller's scope has the audience. */
int caller_has_audience(const struct caller *c, const char *audience);

/* A credential: "fc_" and 43 base64url characters of 32 random octets. */
#define CREDENTIAL_LEN 46
#define CREDENTIAL_PREFIX "fc_"
/*
 * 1 if the text could be a credential, or a good part of one, that somebody
 * put in the wrong place: then it is not repeated in an answer, log or audit.
 */
int may_be_credential(const char *s);

#endif
