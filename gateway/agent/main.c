/*
 * fealty-agent: what a gateway has to know, for programs that ask by HTTP.
 */
#include <config.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include "gateway/agent/agent.h"
#include "lib/base/log.h"
#include "lib/base/secret.h"
#include "lib/wire/wire.h"

static void
on_gateway(void *arg, const struct fealty_log *g)
{
	static const enum log_level levels[] = {
		[FEALTY_DEBUG] = LOG_DEBUG_, [FEALTY_INFO] = LOG_INFO_,
		[FEALTY_WARNING] = LOG_WARN_, [FEALTY_ERROR] = LOG_ERROR_
	};

	log_line(levels[g->level], g->event, F_STR("code", g->code),
	    F_STR("reason", g->reason), F_STR("device", g->device_id),
	    F_INT("device_number", g->device_number),
	    F_INT("position", g->position));
}

static int
set_log_level(const char *name)
{
	static const char *const names[] = {"debug", "info", "warn", "error"};

	for (size_t i = 0; i < 4; i++)
		if (strcmp(name, names[i]) == 0) {
			log_set((enum log_level)i, STDERR_FILENO);
			return (1);
		}
	return (0);
}

/* Signals are taken in main only: every thread inherits this. */
static void
prepare(sigset_t *signals)
{
	struct rlimit files;

	(void)signal(SIGPIPE, SIG_IGN);
	(void)sigemptyset(signals);
	(void)sigaddset(signals, SIGTERM);
	(void)sigaddset(signals, SIGINT);
	(void)sigprocmask(SIG_BLOCK, signals, NULL);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
}

static enum err
open_gateway(const struct agent_conf *c, struct fealty_gateway **out,
    struct detail *d)
{
	struct fealty_options o = FEALTY_OPTIONS_INIT;
	char reason[FEALTY_REASON];

	o.urls = c->nurls > 0 ? c->urls : NULL;
	o.nurls = c->nurls;
	o.issuer = c->issuer;
	o.ca_file = c->ca_file;
	o.credential_file = c->credential_file;
	o.audience = c->audience;
	o.enrolment_file = c->enrolment_file;
	o.state_file = c->state_file;
	o.state_key_file = c->state_key_file;
	o.instance = c->instance;
	o.when_stale = strcmp(c->when_stale, "open") == 0 ?
	    FEALTY_STALE_OPEN : FEALTY_STALE_CLOSED;
	o.max_stale_ms = (uint32_t)c->max_stale_ms;
	o.stale_limit_ms = (uint32_t)c->stale_limit_ms;
	o.poll_ms = (uint32_t)c->poll_ms;
	o.request_ms = (uint32_t)c->request_ms;
	o.max_keys = (uint32_t)c->max_keys;
	o.max_tokens = (uint32_t)c->max_tokens;
	o.log = on_gateway;
	*out = fealty_gateway_open(&o, reason, sizeof(reason));
	if (*out == NULL)
		detail_set(d, "%s", reason);
	return (*out != NULL ? ERR_OK : ERR_CONFIG);
}

static enum err
listen_all(const struct agent_conf *c, int *unix_fd, int *tcp_fd,
    struct detail *d)
{
	char at[80];
	enum err e = ERR_OK;

	if (c->socket != NULL)
		e = listen_unix(c->socket, c->socket_group, unix_fd, d);
	if (e == ERR_OK && c->listen != NULL)
		e = listen_loopback(c->listen, tcp_fd, at, sizeof(at), d);
	if (e != ERR_OK)
		return (e);
	/* it queues from here on */
	if (c->socket != NULL)
		(void)printf("listening unix:%s\n", c->socket);
	if (c->listen != NULL)
		(void)printf("listening %s\n", at);
	(void)fflush(stdout);
	return (ERR_OK);
}

static enum err
run(const struct agent_conf *c, const sigset_t *signals, struct detail *d)
{
	struct agent a = {.conf = c};
	int unix_fd = -1, tcp_fd = -1, got;
	enum err e;

	/* the gateway starts threads: sockets, with their umask, first */
	e = listen_all(c, &unix_fd, &tcp_fd, d);
	if (e == ERR_OK)
		e = open_gateway(c, &a.gateway, d);
	if (e == ERR_OK) {
		e = server_start(&a, unix_fd, tcp_fd, d);
		unix_fd = tcp_fd = -1; /* the server's */
	}
	if (e == ERR_OK) {
		log_line(LOG_INFO_, "started",
		    F_STR("socket", c->socket != NULL ? c->socket : ""),
		    F_STR("listen", c->listen != NULL ? c->listen : ""));
		if (sigwait(signals, &got) != 0)
			e = ERR_INTERNAL;
		if (c->socket != NULL)
			(void)unlink(c->socket);
		server_stop(&a);
		log_line(LOG_INFO_, "stopped", F_INT("signal", got));
	} else if (unix_fd >= 0)
		(void)unlink(c->socket);
	if (unix_fd >= 0)
		(void)close(unix_fd);
	if (tcp_fd >= 0)
		(void)close(tcp_fd);
	fealty_gateway_close(&a.gateway);
	return (e);
}

int
main(int argc, char **argv)
{
	static struct agent_conf conf;
	struct detail d = {""};
	sigset_t signals;
	enum err e;

	secret_harden_process();
	e = conf_read(argc, argv, &conf, &d);
	if (e == ERR_OK && conf.help) {
		conf_help();
		return (0);
	}
	if (e == ERR_OK && conf.version) {
		(void)printf("fealty-agent %s\n", PACKAGE_VERSION);
		return (0);
	}
	if (e == ERR_OK && !set_log_level(conf.log_level)) {
		detail_set(&d, "log-level: debug, info, warn or error");
		e = ERR_CONFIG;
	}
	if (e != ERR_OK) {
		(void)fprintf(stderr, "fealty-agent: %s\n", d.text);
		return (2);
	}
	wire_init();
	prepare(&signals);
	if ((e = run(&conf, &signals, &d)) != ERR_OK)
		(void)fprintf(stderr, "fealty-agent: %s\n",
		    d.text[0] != '\0' ? d.text : err_text(e));
	return (e == ERR_OK ? 0 : e == ERR_CONFIG ? 2 : 1);
}
