#ifndef TESTS_AGENT_KIT_H
#define TESTS_AGENT_KIT_H

#include "tests/unit/gateway_authd.h"
#include "tests/helpers/http_raw.h"
#include "tests/helpers/process.h"

/* fealty-agent, a process of its own, against an authority in this one. */
struct agent_world {
	struct authd *authd;
	char dir[64], out[80], err[80], socket[80];
	pid_t agent;
	uint16_t port;
	struct http_answer a;
};

/* With more options, NULL at the end (NULL: none). */
void start_agent(struct agent_world *w, const char *const *more);
/* Whether /status says so. */
int is_ready(struct agent_world *w);
/* cmocka's; *state is a struct agent_world. The key's user is this one. */
int set_up_with(void **state, const char *const *more);
int set_up(void **state);
int tear_down(void **state);

void token_of(struct agent_world *w, uint64_t dn, const char *scope,
    char out[4200]);
/* The status of the answer, which is w->a, as of all these. */
int auth_at(struct agent_world *w, const char *path, const char *token);
int ask_socket(struct agent_world *w, const char *request);
int post_socket(struct agent_world *w, const char *path, const char *body);
int ask_key(struct agent_world *w, const char *identity, const char *tls);

#endif
