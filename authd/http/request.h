#ifndef HTTP_REQUEST_H
#define HTTP_REQUEST_H

#include <stdatomic.h>
#include <stdint.h>
#include <microhttpd.h>
#include "authd/core/core.h"
#include "authd/http/form.h"
#include "authd/http/route.h"
#include "lib/wire/wire.h"

/*
 * A connection, and the one request it carries at a time. An event loop owns
 * both but between suspending and resuming the connection: then a worker has
 * the request.
 */
struct http;
struct listener;
struct stream;

#define URI_MAX 2048
#define REPLY_MAX (8u << 20)

enum req_state {
	REQ_NONE,
	REQ_HEAD,   /* request line read */
	REQ_BODY,   /* head checked, body coming */
	REQ_QUEUED, /* suspended, with the workers */
	REQ_ANSWERED
};

struct reply {
	enum err err;
	int status;	       /* 0: of err */
	const char *type;      /* of body; NULL: application/json */
	const char *challenge; /* WWW-Authenticate, or NULL */
	char allow[64];
	int cacheable;	       /* 1: no Cache-Control: no-store */
	struct buf body;
};

struct req {
	struct conn *conn;
	struct MHD_Connection *mc;
	struct req *next; /* in the queue */
	int joins;	  /* there: it may be taken with others like it */
	enum req_state state;
	enum err refusal; /* found in the head, told when the body is in */
	const struct route *route;
	struct core_call call;
	struct caller caller;
	char param[ROUTE_PARAMS_MAX][ROUTE_PARAM_MAX + 1]; /* undecoded */
	char uri[URI_MAX + 1]; /* path; its query cut off */
	struct form query;
	struct form form;
	int form_parsed;
	struct buf body;
	size_t received;
	char method[12];
	int counted;	     /* among the server's requests under way */
	int64_t begun_us;    /* body complete */
	int64_t deadline_ms; /* monotonic */
	int polled; /* a long poll's time is over, or its event there */
	struct stream *stream; /* of the feed, or NULL */
	unsigned place;	     /* among the snapshots under way */
	enum err outcome;    /* of one taken with others */
	/* Set by a handler whose answer comes later: called, once the
	 * connection sleeps, instead of answering; ends in req_finish. */
	void (*later)(struct req *r);
	struct receipt receipt;
	struct receipt_watch *watch; /* or NULL */
	uint32_t wait_ms;
	struct reply reply;
};

enum conn_phase { CONN_FRESH, CONN_IDLE, CONN_READING, CONN_WORKING,
	CONN_WRITING };

struct conn {
	struct listener *listener;
	struct conn *next, *prev; /* of the guard */
	int fd;
	atomic_int phase;
	atomic_llong since; /* monotonic ms of the phase's begin */
	uint64_t id;	    /* random; request ids are made of it */
	uint32_t requests;
	uint64_t address;   /* door_address of the peer */
	char peer[48];	    /* text, for the log */
	/* device listener: how far the handshake came, who it is */
	int key_given, handshaken;
	int news; /* core_listener_used is due when it is handshaken */
	char identity[PSKID_LEN + 1];
	const struct core_tenant *tenant;
	struct req req;
};

/* MHD's MHD_NotifyConnectionCallback; cls is the loop. */
void conn_notify(void *cls, struct MHD_Connection *mc, void **context,
    enum MHD_ConnectionNotificationCode what);
/* The request line is in. Never fails: faults wait in refusal. */
void req_begin(struct conn *c, struct MHD_Connection *mc, const char *uri);
/*
 * The head is in: route, tenant, request id. 0: go on reading; 1: refusal is
 * to be told at once (the body would be too large).
 */
int req_head(struct req *r, const char *method);
/* A piece of body. 0: drop the connection. */
int req_body(struct req *r, const char *data, size_t len);
void req_end(struct req *r);
/* The late answer is there, or e: back to the event loop, r not touched. */
void req_finish(struct req *r, enum err e);
void req_free(struct req *r);

/*
 * Authenticates, checks role and names, calls the handler.
 * ERR_WOULD_BLOCK (only with call.may_block 0): nothing done.
 */
enum err req_run(struct req *r) MUST_CHECK;
/* The first part of it, whom it is from. */
enum err req_admit(struct req *r) MUST_CHECK;
/* All before the handler. */
enum err req_ready(struct req *r) MUST_CHECK;

/* ---- for handlers ---- */
/* The body as a form; again without harm. ERR_MEDIA_TYPE, ERR_REQUEST. */
enum err req_form(struct req *r) MUST_CHECK;
/* Decoded and checked by req_admit. */
const char *req_param(const struct req *r, unsigned i);
/* Query parameters as numbers; *out is left alone when absent. */
enum err req_query_u64(struct req *r, const char *name, uint64_t max,
    uint64_t *out) MUST_CHECK;
/* ERR_REQUEST unless the query has only these (NULL-terminated). */
enum err req_query_only(struct req *r, const char *const *names) MUST_CHECK;
/* Takes o (NULL: ERR_NOMEM) as the answer's body. */
enum err req_json(struct req *r, int status, json_t *o) MUST_CHECK;
const char *req_header(struct req *r, const char *name);

#endif
