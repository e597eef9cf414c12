#ifndef FEALTY_GATEWAY_H
#define FEALTY_GATEWAY_H

#include <stddef.h>
#include <stdint.h>
#include <openssl/types.h>

/*
 * libfealty-gateway: what a server in front of devices needs in order to
 * obey a Fealty authority. It serves the devices' keys to TLS (1.3 and 1.2,
 * pre-shared keys only), checks access tokens without asking anybody, follows
 * the authority's revocations, and cuts the sessions they name.
 *
 * All functions may be called from any thread at the same time unless their
 * contract says otherwise. Its threads do not survive a fork: open after it.
 * Functions of the host that the library calls may call the library, but not
 * fealty_gateway_close. Texts are NUL-terminated and cut to fit. Codes
 * are the stable ones of docs/errors.md.
 */
#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define FEALTY_EXPORT __attribute__((visibility("default")))
#else
#define FEALTY_EXPORT
#endif

#define FEALTY_NAME 65	 /* room for a name of 64 characters */
#define FEALTY_CODE 32	 /* room for a code */
#define FEALTY_REASON 256 /* room for a reason */
#define FEALTY_GROUPS 8	 /* groups of one device, at most */
#define FEALTY_SCOPE 256

struct fealty_gateway;

/* ---- messages ------------------------------------------------------- */

enum fealty_level {
	FEALTY_DEBUG,
	FEALTY_INFO,
	FEALTY_WARNING,
	FEALTY_ERROR
};

/*
 * One thing that happened, for the host's log. Pointers live only during the
 * call; never NULL, "" when they do not apply. Holds no secret.
 */
struct fealty_log {
	enum fealty_level level;
	const char *event;	/* "handshake refused", "out of touch", … */
	const char *device_id;	/* "" while only the number is known */
	uint64_t device_number; /* 0: unknown */
	const char *source;	/* the peer's address */
	const char *code;
	const char *reason;
	uint64_t position; /* of the revocation set, or of the event */
};
typedef void fealty_log_fn(void *arg, const struct fealty_log *entry);

/* ---- opening -------------------------------------------------------- */

/*
 * Start from FEALTY_OPTIONS_INIT; what is 0 or NULL has its default.
 * Everything is copied.
 */
struct fealty_options {
	size_t size;		     /* sizeof(struct fealty_options) */
	const char *const *urls;     /* base URLs of the same authority */
	size_t nurls;		     /* 1 to 8; the next one when one fails */
	const char *issuer;	     /* NULL: the first URL */
	const char *ca_file;	     /* NULL: the system's */
	const char *credential_file; /* mode 0600, the gateway's credential */
	const char *audience;	     /* this gateway's name */
	uint32_t poll_ms;	     /* between polls; 200 */
	uint32_t max_stale_ms;	     /* out of touch longer: closed; 30,000 */
	uint32_t request_ms;	     /* of one request; 2,000 */
	uint32_t threads;	     /* that wait for the authority; 4, <= 64 */
	uint32_t queue;		     /* look-ups waiting for them; 256 */
	uint32_t max_keys;	     /* keys cached; 65,536 */
	uint32_t max_tokens;	     /* verified tokens cached; 4,096 */
	uint32_t max_sessions;	     /* sessions registered; 65,536 */
	uint32_t max_handshakes;     /* fealty_tls_handshake at once; 1,024 */
	uint32_t failures_burst;     /* bad handshakes of one source; 20 */
	uint32_t failures_per_minute; /* after the burst; 60 */
	fealty_log_fn *log;	     /* from any thread; must not block */
	void *log_arg;
	/* since 0.2: a size without them is taken too */
	const char *enrolment_file; /* mode 0600; see below */
	const char *state_file;	    /* NULL: nothing outlives a restart */
	const char *state_key_file; /* 32 octets, mode 0600; NULL: from the
				       credential */
	const char *instance;	    /* this process, in receipts; NULL: made */
	const struct fealty_clock *clock; /* for tests; NULL: the system's */
	uint32_t when_stale;	    /* enum fealty_when_stale */
	uint32_t stale_limit_ms;    /* FEALTY_STALE_OPEN: closed after all;
				       600,000 */
	uint32_t end_stale_sessions; /* not 0: when closed, sessions end too */
};
/*
 * What happens when the authority has not been heard for max_stale_ms.
 * CLOSED: everything is refused ("stale"). OPEN: what is known goes on to be
 * enforced, the rest is accepted and marked stale, until stale_limit_ms. One
 * gateway is of one audience, so this is a policy for an audience.
 */
enum fealty_when_stale { FEALTY_STALE_CLOSED, FEALTY_STALE_OPEN };
/* Milliseconds; thread safe; arg is this struct's. */
struct fealty_clock {
	int64_t (*wall_ms)(void *arg);	    /* since 1970, UTC */
	int64_t (*monotonic_ms)(void *arg); /* never goes back */
	void *arg;
};
/*
 * enrolment_file is what "authctl caller create --enrolment-out" wrote, and
 * stands for urls, issuer, credential_file and, if it names one only,
 * audience; each of them may still be given and then counts. With it every
 * message of the authority is verified under the root key that it pins, and
 * revocations are streamed. Without it they are polled, and what is heard is
 * trusted because of TLS.
 *
 * state_file keeps, sealed, what a restart without network needs: position,
 * floor, revocations, the key set, and when the authority was last heard.
 */
#define FEALTY_OPTIONS_INIT \
	{ \
		sizeof(struct fealty_options), NULL, 0, NULL, NULL, NULL, \
		    NULL, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, NULL, NULL, \
		    NULL, NULL, NULL, NULL, NULL, 0, 0, 0 \
	}

/*
 * Checks the options, starts the threads and returns at once: until the
 * authority has been reached every answer is a refusal ("not_ready"). NULL
 * on failure, told in reason (of size octets; NULL is fine).
 */
FEALTY_EXPORT struct fealty_gateway *fealty_gateway_open(
    const struct fealty_options *options, char *reason, size_t size);
/*
 * Stops the threads (waits for a running request, at most request_ms per
 * URL) and wipes every key. Handshakes handed over fail first; every session
 * must have been unregistered. Contexts and SSLs may live on: their next
 * handshake fails, and nothing is logged any more. NULL is fine.
 */
FEALTY_EXPORT void fealty_gateway_close(struct fealty_gateway **gateway);
/*
 * The position up to which every revocation is enforced here: in the set,
 * the caches and the sessions. 0 before the first answer.
 */
FEALTY_EXPORT uint64_t fealty_gateway_position(
    const struct fealty_gateway *gateway);
/*
 * The staleness in milliseconds: how long the authority has been silent, or
 * how old its last heartbeat is by the wall clock, whichever is more.
 * UINT64_MAX: it was never heard.
 */
FEALTY_EXPORT uint64_t fealty_gateway_age(
    const struct fealty_gateway *gateway);
/*
 * 1 when keys, tokens and revocations are at hand and fresh (or stale, and
 * the policy is open), else 0.
 */
FEALTY_EXPORT int fealty_gateway_ready(const struct fealty_gateway *gateway);

/*
 * The newest position that the authority has spoken of, at least the one
 * enforced: their difference is what is known to be missing here.
 */
FEALTY_EXPORT uint64_t fealty_gateway_head(
    const struct fealty_gateway *gateway);

/* ---- who a device is ------------------------------------------------ */

/* An authenticated device, and the position at which it was. */
struct fealty_device {
	char device_id[FEALTY_NAME];
	uint64_t device_number;
	uint32_t epoch;
	uint32_t ngroups;
	uint32_t groups[FEALTY_GROUPS];
	uint64_t position;
	int tls;		/* 12, 13; 0 when known by a token */
	char token_id[FEALTY_NAME]; /* jti; "" when known by TLS */
	char key_id[FEALTY_NAME];   /* kid of the token's key; likewise */
};

/* ---- tokens --------------------------------------------------------- */

struct fealty_decision {
	int accepted;
	int retry; /* refused, but trying again can help */
	char code[FEALTY_CODE]; /* "ok" when accepted */
	char reason[FEALTY_REASON];
	/* the token's, as far as it could be trusted; else empty */
	struct fealty_device device;
	char scope[FEALTY_SCOPE];
	int64_t expires; /* unix seconds */
	uint64_t event;	 /* position of the event that killed it, or 0 */
	uint64_t staleness_ms; /* as of fealty_gateway_age */
	int stale; /* accepted though the authority is out of touch */
};
/*
 * Whether an access token is good here and now: signature, time, audience,
 * and the revocations. Nobody is asked. A token that is ahead of the events
 * seen, or signed with a key not seen, waits for them, at most wait_ms (0:
 * not at all; at most 500), and is then refused with retry set. With peer
 * (as fealty_tls_peer gave it) the token must be of that device. Returns
 * accepted.
 */
FEALTY_EXPORT int fealty_token_check(struct fealty_gateway *gateway,
    const char *token, size_t len, const struct fealty_device *peer,
    uint32_t wait_ms, struct fealty_decision *decision);

/* ---- TLS ------------------------------------------------------------ */

/*
 * Makes a server context serve this gateway's devices and nobody else: TLS
 * 1.3 psk_dhe_ke with SHA-256 suites, TLS 1.2 ECDHE-PSK with extended master
 * secret; no certificate, tickets, resumption, early data or renegotiation.
 * Uses the context's client-hello callback and both PSK callbacks. 0, or -1
 * when the context has a certificate or OpenSSL refuses.
 *
 * To a peer an identity that is unknown, revoked, or that cannot be looked
 * up is like one with another key; the log tells them apart. What a peer can
 * measure is that a key was fetched, for a genuine identity whose device has
 * not been here lately.
 *
 * No callback ever waits. A host that calls SSL_accept by itself sees
 * SSL_ERROR_WANT_CLIENT_HELLO_CB while a TLS 1.3 key is fetched (call again
 * later), and a TLS 1.2 handshake whose key is not cached fails (the next
 * one finds it). The functions below do both without a failure.
 */
FEALTY_EXPORT int fealty_tls_setup(struct fealty_gateway *gateway,
    SSL_CTX *context);

enum fealty_step {
	FEALTY_STEP_DONE,	/* established; fealty_tls_peer tells who */
	FEALTY_STEP_WANT_READ,	/* call again when the socket is readable */
	FEALTY_STEP_WANT_WRITE, /* … writable */
	FEALTY_STEP_WANT_KEY,	/* … when *key_fd is readable */
	FEALTY_STEP_FAILED	/* over; the reason was logged */
};
/*
 * For hosts with an event loop: one step of the handshake on a non-blocking
 * socket; never blocks. While it wants a key the SSL must not be touched but
 * by this function and fealty_tls_abandon. One thread at a time per SSL.
 * *key_fd belongs to the SSL: do not read or close it.
 */
FEALTY_EXPORT enum fealty_step fealty_tls_step(
    struct fealty_gateway *gateway, SSL *ssl, int *key_fd);
/*
 * Gives up a handshake at any time in place of SSL_free. The SSL and its
 * socket belong to the library, which frees and closes both, at once or when
 * a thread of its own has let go of them. Also after the gateway was closed.
 */
FEALTY_EXPORT void fealty_tls_abandon(struct fealty_gateway *gateway,
    SSL *ssl);

/* ok: 1 established, 0 failed (the reason was logged). */
typedef void fealty_handshake_fn(void *arg, SSL *ssl, int ok);
/*
 * For hosts without: the library drives the handshake (it makes the socket
 * non-blocking) and calls done exactly once, from a thread of its own, after
 * at most timeout_ms (and a running request). Until then the SSL is the
 * library's. done must not block. 0, or -1 when max_handshakes are under
 * way: then done is not called.
 */
FEALTY_EXPORT int fealty_tls_handshake(struct fealty_gateway *gateway,
    SSL *ssl, uint32_t timeout_ms, fealty_handshake_fn *done, void *arg);

/*
 * Who is at the other end of an established connection, as proven by its
 * key. 0, or -1: nobody. Not a statement that the device is still good: that
 * is fealty_session_register.
 */
FEALTY_EXPORT int fealty_tls_peer(const SSL *ssl, struct fealty_device *peer);

/* ---- keys for a TLS of the host's own ------------------------------- */

/* Wipe it after use. */
struct fealty_psk {
	unsigned char key[32];
	struct fealty_device device;
};
/*
 * For hosts that cannot use fealty_tls_setup: the key of an identity (of len
 * octets) for this audience and this TLS, 12 or 13. Waits for the authority
 * at most wait_ms (0: not at all; at most 10,000); a key that comes later is
 * found the next time. Returns accepted; psk is written only then. Whatever
 * is refused must look to the peer like a wrong key, and the session must be
 * registered (below) with the device found here.
 */
FEALTY_EXPORT int fealty_psk_find(struct fealty_gateway *gateway,
    const char *identity, size_t len, int tls, uint32_t wait_ms,
    struct fealty_psk *psk, struct fealty_decision *decision);
/*
 * For hosts that cannot register the session: a handshake under the key that
 * fealty_psk_find gave for this identity has been completed. When the key is
 * a device's next one, this is its first use, which ends the one before: the
 * authority is told until it has heard or refused; what it refuses is told
 * after the device's next handshake. Never say so of a look-up, or of a
 * handshake that failed. Does not wait. 0; -1: no key of this identity was
 * given here, or it has been dropped since; -2: too many wait to be told, say
 * it again.
 */
FEALTY_EXPORT int fealty_psk_used(struct fealty_gateway *gateway,
    const char *identity, size_t len);

/* ---- sessions ------------------------------------------------------- */

/*
 * An event names the session's device: end the session. Called once, from a
 * thread of the library, without a lock held; it must not block. It may come
 * before fealty_session_register has returned. The authority is sent a
 * receipt for the event once every session it ended has been unregistered:
 * do so as soon as the connection is closed, not earlier.
 */
typedef void fealty_close_fn(void *arg, const char *code,
    uint64_t position);
struct fealty_session;
/*
 * Registers a live session; from then on it cannot outlive a revocation.
 * Fails (NULL, decision tells why when it is not NULL) if a revocation
 * that is already enforced names it, when max_sessions are there, or when
 * the gateway is out of touch. Registering and enforcing have one order: no
 * event falls between them.
 */
FEALTY_EXPORT struct fealty_session *fealty_session_register(
    struct fealty_gateway *gateway, const struct fealty_device *peer,
    fealty_close_fn *close_session, void *arg,
    struct fealty_decision *decision);
/*
 * Ends the registration and frees it; needed after close_session was called
 * too. Once it returns close_session is not running and will not be called.
 * It waits for one that is running, so the caller must hold no lock that
 * close_session takes; within close_session itself it does not wait. NULL
 * is fine.
 */
FEALTY_EXPORT void fealty_session_unregister(
    struct fealty_gateway *gateway, struct fealty_session **session);

#ifdef __cplusplus
}
#endif

#endif
