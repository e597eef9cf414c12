#include <pwd.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include "gateway/agent/agent.h"
#include "lib/base/opt.h"
#include "lib/base/parse.h"

#define AT(m) offsetof(struct agent_conf, m)
#define STR(n, m, arg, help, def) \
	{n, 0, OPT_STRING, arg, help, AT(m), 0, def}
#define NUM(n, m, help, max, def) \
	{n, 0, OPT_NUMBER, "N", help, AT(m), max, def}
#define DUR(n, m, help, max, def) \
	{n, 0, OPT_DURATION, "TIME", help, AT(m), max, def}
#define FLAG(n, c, m, help) {n, c, OPT_FLAG, NULL, help, AT(m), 0, NULL}

static const struct opt table[] = {
	STR("socket", socket, "PATH", "Unix socket to listen on, mode 0660",
	    NULL),
	STR("socket-group", socket_group, "GROUP", "whose the socket is",
	    NULL),
	STR("listen", listen, "ADDR:PORT", "listen there too, on loopback",
	    NULL),
	STR("psk-users", psk_users, "LIST",
	    "users (names or uids) that POST /psk answers to", NULL),
	STR("enrolment-file", enrolment_file, "FILE",
	    "what authctl caller create --enrolment-out wrote", NULL),
	STR("url", url, "URL[,URL…]", "base URLs of the authority", NULL),
	STR("issuer", issuer, "URL", "of the tokens (default: the first URL)",
	    NULL),
	STR("ca-file", ca_file, "FILE", "PEM certificates to trust", NULL),
	STR("credential-file", credential_file, "FILE",
	    "the gateway's credential, mode 0600", NULL),
	STR("audience", audience, "NAME", "this gateway's name", NULL),
	STR("state-file", state_file, "FILE",
	    "sealed state that outlives a restart", NULL),
	STR("state-key-file", state_key_file, "FILE",
	    "its key, 32 octets (default: made of the credential)", NULL),
	STR("instance", instance, "NAME", "of this process, in receipts",
	    NULL),
	STR("when-stale", when_stale, "POLICY",
	    "out of touch: closed, or open until stale-limit", "closed"),
	DUR("max-stale", max_stale_ms, "how long out of touch is in touch",
	    3600000, "30s"),
	DUR("stale-limit", stale_limit_ms, "closed after all", 86400000,
	    "10m"),
	DUR("poll-interval", poll_ms, "without a stream", 60000, "200ms"),
	DUR("request-timeout", request_ms, "of a request to the authority",
	    60000, "2s"),
	DUR("wait", wait_ms, "for events (500ms at most) or a key",
	    10000, "500ms"),
	NUM("max-keys", max_keys, "keys of devices kept in memory", 10000000,
	    "65536"),
	NUM("max-tokens", max_tokens, "verified tokens kept in memory",
	    10000000, "65536"),
	NUM("threads", threads, "event loops of each listener", 64, "2"),
	NUM("waiters", waiters, "threads that may wait", 64, "8"),
	NUM("queue", queue, "requests that may wait for one", 65536, "256"),
	NUM("connections", connections, "at most, each listener", 65536,
	    "1024"),
	STR("log-level", log_level, "LEVEL", "debug, info, warn, error",
	    "info"),
	STR("config", config, "FILE", "read options from FILE", NULL),
	FLAG("help", 'h', help, "this text"),
	FLAG("version", 'V', version, "the version"),
};
#define NOPTS (sizeof(table) / sizeof(table[0]))

void
conf_help(void)
{
	(void)printf("usage: fealty-agent --socket PATH | --listen ADDR:PORT "
	    "[OPTION…]\n"
	    "Each option but help and version may stand in FILE as "
	    "\"name = value\" and in the\nenvironment as "
	    "FEALTY_AGENT_NAME.\n\n");
	opt_help(table, NOPTS);
}

static enum err
split_urls(struct agent_conf *c, struct detail *d)
{
	char *save = NULL, *p;

	if (c->url == NULL)
		return (ERR_OK);
	if (copy_str(c->url_room, sizeof(c->url_room), c->url) != ERR_OK) {
		detail_set(d, "url: too long");
		return (ERR_CONFIG);
	}
	for (p = strtok_r(c->url_room, ", ", &save); p != NULL;
	    p = strtok_r(NULL, ", ", &save)) {
		if (c->nurls == URLS_MAX) {
			detail_set(d, "url: more than %d", URLS_MAX);
			return (ERR_CONFIG);
		}
		c->urls[c->nurls++] = p;
	}
	return (ERR_OK);
}

static enum err
find_uid(const char *name, uid_t *out)
{
	const struct passwd *pw;
	uint64_t n;

	if (parse_u64(name, UINT32_MAX - 1, &n) == ERR_OK) {
		*out = (uid_t)n;
		return (ERR_OK);
	}
	if ((pw = getpwnam(name)) == NULL)
		return (ERR_NOT_FOUND);
	*out = pw->pw_uid;
	return (ERR_OK);
}

static enum err
split_users(struct agent_conf *c, struct detail *d)
{
	char room[512], *save = NULL, *p;

	if (c->psk_users == NULL)
		return (ERR_OK);
	if (copy_str(room, sizeof(room), c->psk_users) != ERR_OK) {
		detail_set(d, "psk-users: too long");
		return (ERR_CONFIG);
	}
	for (p = strtok_r(room, ", ", &save); p != NULL;
	    p = strtok_r(NULL, ", ", &save)) {
		if (c->npsk_uids == PSK_UIDS_MAX) {
			detail_set(d, "psk-users: more than %d",
			    PSK_UIDS_MAX);
			return (ERR_CONFIG);
		}
		if (find_uid(p, &c->psk_uids[c->npsk_uids]) != ERR_OK) {
			detail_set(d, "psk-users: no user %.64s", p);
			return (ERR_CONFIG);
		}
		c->npsk_uids++;
	}
	return (ERR_OK);
}

static enum err
check(const struct agent_conf *c, struct detail *d)
{
	if (c->socket == NULL && c->listen == NULL)
		detail_set(d, "give --socket or --listen");
	else if (c->npsk_uids > 0 && c->socket == NULL)
		detail_set(d, "psk-users: keys leave by --socket only");
	else if (c->enrolment_file == NULL && (c->nurls == 0 ||
	    c->credential_file == NULL || c->audience == NULL))
		detail_set(d, "give --enrolment-file, or --url, "
		    "--credential-file and --audience");
	else if (strcmp(c->when_stale, "closed") != 0 &&
	    strcmp(c->when_stale, "open") != 0)
		detail_set(d, "when-stale: closed or open");
	else if (c->threads == 0 || c->waiters == 0 || c->queue == 0 ||
	    c->connections == 0)
		detail_set(d, "threads, waiters, queue, connections: 1 or "
		    "more");
	else if (c->max_stale_ms == 0 || c->stale_limit_ms == 0 ||
	    c->poll_ms == 0 || c->request_ms == 0) /* the library: default */
		detail_set(d, "max-stale, stale-limit, poll-interval, "
		    "request-timeout: more than 0");
	else
		return (ERR_OK);
	return (ERR_CONFIG);
}

enum err
conf_read(int argc, char **argv, struct agent_conf *out, struct detail *d)
{
	int rest = 0;
	enum err e;

	memset(out, 0, sizeof(*out));
	e = opt_parse(table, NOPTS, "FEALTY_AGENT", argc, argv, out, &rest,
	    d);
	if (e != ERR_OK || out->help || out->version)
		return (e);
	if (rest != argc) {
		detail_set(d, "%.60s: not expected", argv[rest]);
		return (ERR_CONFIG);
	}
	e = split_urls(out, d);
	if (e == ERR_OK)
		e = split_users(out, d);
	if (e == ERR_OK)
		e = check(out, d);
	return (e);
}
