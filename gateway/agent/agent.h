#ifndef GATEWAY_AGENT_AGENT_H
#define GATEWAY_AGENT_AGENT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>
#include <microhttpd.h>
#include <fealty/gateway.h>
#include "lib/base/buf.h"
#include "lib/base/err.h"

/*
 * fealty-agent: the gateway library for proxies and brokers that speak HTTP.
 * It listens on this machine only; what it answers is described in
 * docs/agent.md.
 *
 * Event loops of libmicrohttpd read and answer. What would have to wait (a
 * token ahead of the events seen here, a key to be fetched) is suspended and
 * waits on one of a few threads, behind a bounded queue.
 */
#define URLS_MAX 8
#define PSK_UIDS_MAX 16
#define BODY_MAX 512	    /* of a request that has one */
#define DISCARD_MAX 1048576 /* of a body that nobody reads */
#define SCOPE_ROOM 256

struct agent_conf {
	/* the gateway's */
	const char *enrolment_file, *url, *issuer, *ca_file;
	const char *credential_file, *audience;
	const char *state_file, *state_key_file, *instance, *when_stale;
	uint64_t max_stale_ms, stale_limit_ms, poll_ms, request_ms;
	uint64_t max_keys, max_tokens;
	/* the agent's own */
	const char *socket, *socket_group, *listen, *psk_users, *log_level;
	uint64_t wait_ms, threads, waiters, queue, connections;
	const char *config;
	int help, version;
	/* made of them */
	char url_room[1024];
	const char *urls[URLS_MAX];
	size_t nurls;
	uid_t psk_uids[PSK_UIDS_MAX];
	size_t npsk_uids;
};
/* Reads options. ERR_CONFIG with d; help and version are only noted. */
enum err conf_read(int argc, char **argv, struct agent_conf *out,
    struct detail *d) MUST_CHECK;
void conf_help(void);

/* ---- what is listened on (listen.c) ---- */
/*
 * A Unix socket of mode 0660 at path, group unless NULL. A socket that
 * nobody listens on is replaced, one that is in use is not.
 */
enum err listen_unix(const char *path, const char *group, int *fd,
    struct detail *d) MUST_CHECK;
/* ADDRESS:PORT on loopback only; where it is in at (of size octets). */
enum err listen_loopback(const char *where, int *fd, char *at, size_t size,
    struct detail *d) MUST_CHECK;
/* The uid at the other end of a Unix socket. 0, or -1: unknown. */
int listen_peer(int fd, uid_t *uid);

/* ---- requests ---- */
enum route {
	ROUTE_AUTH,
	ROUTE_EXT_AUTHZ,
	ROUTE_PSK,
	ROUTE_PSK_USED,
	ROUTE_STATUS,
	ROUTE_METRICS,
	ROUTE_NONE,
	ROUTES
};
enum req_state { REQ_BODY, REQ_WAITING, REQ_ANSWERED };

struct agent;
/* A listener with its event loops. */
struct door {
	struct agent *agent;
	struct MHD_Daemon *daemon;
	int fd;
	int is_unix;
};
struct req {
	struct req *next; /* in the queue */
	struct door *door;
	struct MHD_Connection *mc;
	enum route route;
	enum req_state state;
	enum err refusal;   /* known before the body is in */
	int64_t begun_us;
	int64_t give_up_us; /* waits no longer than that */
	int last_try;	    /* answered now, whatever it is */
	char body[BODY_MAX];
	size_t seen; /* octets of the body, kept or not */
	/* /auth: of the connection's memory, valid while it is under way */
	const char *token;
	unsigned authorizations; /* headers of that name */
	char required[SCOPE_ROOM]; /* scopes, each of which it must have */
	/* /psk, /psk/used */
	char identity[64];
	int tls;
	/* the answer */
	struct fealty_decision decision;
	enum err err;
	unsigned status;
	const char *type; /* of answer; NULL: there is none */
	struct buf answer;
};
struct req *request_new(struct door *door, struct MHD_Connection *mc,
    const char *url, const char *method);
/* 0: too much, the connection has to end. */
int request_body(struct req *r, const char *data, size_t len);
void request_free(struct req *r);
/*
 * Whether to come again behind the queue: waiting can change the decision,
 * and none has been done. Being out of touch is not waited out.
 */
int request_may_wait(const struct req *r, uint32_t waited_ms);
/*
 * The work of a route: writes r's answer. ERR_WOULD_BLOCK: not without
 * waiting, and wait_ms was 0, and it is not the last try.
 */
enum err request_run(struct req *r, uint32_t wait_ms) MUST_CHECK;
enum err auth_run(struct req *r, uint32_t wait_ms) MUST_CHECK;
enum err psk_run(struct req *r, uint32_t wait_ms) MUST_CHECK;
void psk_used_run(struct req *r);
/* Headers of the answer to /auth. */
void auth_headers(const struct req *r, struct MHD_Response *out);
/* Whether r may ask for keys at all. */
enum err psk_admit(struct req *r) MUST_CHECK;
void status_run(struct req *r);
void metrics_run(struct req *r);
/* An answer of a code and a reason as JSON. */
void answer_error(struct req *r, enum err e, const char *reason);

/* ---- the threads that wait (wait.c) ---- */
struct waiters;
enum err waiters_new(uint32_t threads, uint32_t queue, struct waiters **out)
    MUST_CHECK;
/* ERR_BUSY when full. r is suspended, and the queue's from here. */
enum err waiters_push(struct waiters *w, struct req *r) MUST_CHECK;
uint32_t waiters_depth(struct waiters *w);
/* Ends the threads; whoever waits is answered without waiting. */
void waiters_stop(struct waiters *w);
void waiters_free(struct waiters **w);

/* ---- the server (server.c) ---- */
struct counts {
	atomic_ullong accepted[ROUTES], refused[ROUTES];
	atomic_ullong us[ROUTES];
};
struct agent {
	const struct agent_conf *conf;
	struct fealty_gateway *gateway;
	struct waiters *waiters;
	struct door unix_door, tcp_door;
	struct counts counts;
};
/* fds -1: not listened on. The fds are the server's from here. */
enum err server_start(struct agent *a, int unix_fd, int tcp_fd,
    struct detail *d) MUST_CHECK;
/* Answers what waits, closes every connection. */
void server_stop(struct agent *a);
/* Does what was put off, then goes on with r's connection. */
void server_waited(struct req *r, uint32_t wait_ms);
const char *route_name(enum route route);
int64_t now_us(void);

#endif
