#ifndef STORE_PG_H
#define STORE_PG_H

#include <libpq-fe.h>
#include <pthread.h>
#include "lib/base/buf.h"
#include "lib/base/secret.h"
#include "authd/store/store.h"

/*
 * Inside the store: one session over libpq, in pipeline mode for its whole
 * life. A round is what travels together: statements, one sync, one wait.
 * BEGIN and the tenant go with the first statement of a transaction, so
 * that a transaction of one read costs one round trip.
 */

/* A statement: prepared under its name once a connection. */
struct stmt {
	const char *name;
	const char *sql;
};

/*
 * Parameters of one execution, in order. Bound in binary with their types;
 * text, octets and names are borrowed until the statement has run. The
 * first failure sticks in e and is what running the statement gives.
 */
#define PG_ARGS_MAX 20
#define PG_ARRAYS_MAX 8
struct pg_args {
	int n;
	int narrays;
	enum err e;
	Oid type[PG_ARGS_MAX];
	const char *value[PG_ARGS_MAX];
	int len[PG_ARGS_MAX];
	char num[PG_ARGS_MAX][8];
	struct buf array[PG_ARRAYS_MAX];
};
void arg_int(struct pg_args *a, int64_t v);	       /* bigint */
void arg_int_or_null(struct pg_args *a, int64_t v, int is_null);
void arg_bool(struct pg_args *a, int v);
void arg_text(struct pg_args *a, const char *s);       /* NULL is null */
void arg_bytes(struct pg_args *a, const void *p, size_t len);
void arg_names(struct pg_args *a, name_t *names, uint32_t n);
void arg_ints(struct pg_args *a, const int64_t *v, size_t n);
/* n octet strings of len each, one after the other. */
void arg_octets(struct pg_args *a, const unsigned char *p, size_t len,
    size_t n);
void args_free(struct pg_args *a);

/*
 * Reads one row column by column. What does not fit its type or room sticks
 * in e as ERR_INTERNAL. NULL reads as 0, "" or empty.
 */
struct pg_row {
	const PGresult *res;
	int row;
	int col;
	enum err e;
};
int64_t row_int(struct pg_row *r); /* smallint, integer, bigint, boolean */
uint64_t row_u64(struct pg_row *r);
uint32_t row_u32(struct pg_row *r);
void row_text(struct pg_row *r, char *out, size_t size);
/* An event, of the columns it is read by. */
#define EVENT_COLUMNS "pos, kind, effect, id, ep_max, exp, at"
void row_event(struct store *st, struct pg_row *r, void *out);
size_t row_bytes(struct pg_row *r, unsigned char *out, size_t size);
uint32_t row_names(struct pg_row *r, name_t *out, uint32_t max);
uint32_t row_u32s(struct pg_row *r, uint32_t *out, uint32_t max);

#define PG_ROUND_MAX 8
struct pg_round {
	int n; /* statements */
	struct {
		const struct stmt *s;
		int prepare; /* a PREPARE goes before it */
	} step[PG_ROUND_MAX];
	PGresult *res[PG_ROUND_MAX];
	int done; /* statements that succeeded */
};

enum pg_tx {
	TX_NONE,
	TX_WANTED, /* begun, nothing sent yet */
	TX_OPEN,
	TX_FAILED /* only a rollback is allowed */
};

#define PG_STMTS_MAX 256
#define PLANS_FIRST_MS 1000
struct store {
	struct store_pool *pool;
	PGconn *conn;
	const struct stmt *ready[PG_STMTS_MAX];
	int nready;
	enum pg_tx tx;
	enum store_mode mode;
	uint32_t tenant;
	int listening;
	int warned; /* the server has, in the round read last */
	struct pg_round queued; /* sent with the next statement */
	int early; /* this transaction lets go before the disk has it */
	int has_audit; /* a row to go with the next statement */
	struct audit audit;
	int64_t plans_until; /* monotonic ms: made anew then; */
	int64_t plans_ms;    /* and kept this long */
	int has_pending; /* the answer to pending has not been read */
	struct pg_round pending;
	struct store *next; /* free list */
};

#define MARK_LANES 2
struct mark_wait;
struct store_pool {
	char *conninfo;
	struct store_conf conf;
	pthread_mutex_t lock;
	pthread_cond_t returned;
	struct store *sessions;
	struct store *free;
	int64_t down_until; /* no connecting before; monotonic ms; lock */
	int down;	    /* the last attempt to connect failed; lock */
	int dialling;	    /* attempts under way; lock */

	/* store_mark.c */
	pthread_mutex_t mark_lock;
	struct mark_wait *mark_head, *mark_tail;
	uint32_t marks_queued;
	struct store lane[MARK_LANES];
	int lane_busy[MARK_LANES];
};

/* pg.c */
enum err pg_connect(struct store *st) MUST_CHECK; /* if need be */
void pg_drop(struct store *st);	      /* forgets the connection */
/* Connections fail without an attempt for a moment: it does not answer. */
void pg_note_down(struct store_pool *pool);
/* Maps a failed result; drops the connection where it is of no more use. */
enum err pg_error(struct store *st, const char *what, const PGresult *res);

/* pg_round.c */
enum err round_add(struct store *st, struct pg_round *r,
    const struct stmt *s, const struct pg_args *a) MUST_CHECK;
/* Sync and flush; the answers stay to be read. */
enum err round_send(struct store *st, const struct pg_round *r) MUST_CHECK;
/* Reads all answers into r->res; the first failure is the result. */
enum err round_read(struct store *st, struct pg_round *r) MUST_CHECK;
/*
 * Whether statement i of the round just read, a COMMIT, did it, and on every
 * machine that it has to: else ERR_STORE.
 */
enum err round_committed(const struct store *st, const struct pg_round *r,
    int i) MUST_CHECK;
void round_free(struct pg_round *r);
/* Reads what a commit or rollback without waiting left behind. */
void pg_settle(struct store *st);
extern const struct stmt pg_begin_read, pg_begin_write, pg_set_tenant,
    pg_commit, pg_rollback;

/* store_txn.c */
/* Runs s in the open transaction; *res is to be cleared. a is freed. */
enum err pg_run(struct store *st, const struct stmt *s, struct pg_args *a,
    PGresult **res) MUST_CHECK;
/*
 * n statements in one round, each with what those before it have done and a
 * snapshot of its own (in a write transaction); the first failure is that of
 * all. Each of res is to be cleared; every a is freed.
 */
struct pg_call {
	const struct stmt *s;
	struct pg_args *a; /* or NULL */
};
enum err pg_run_all(struct store *st, const struct pg_call *calls, int n,
    PGresult **res) MUST_CHECK;
/* Like pg_run, in the transaction or outside of one. */
enum err pg_run_anywhere(struct store *st, const struct stmt *s,
    struct pg_args *a, PGresult **res) MUST_CHECK;
/* Decodes one row into out. */
typedef void row_fn(struct store *st, struct pg_row *r, void *out);
/* The first row; ERR_NOT_FOUND without one. fn NULL: only if there is one. */
enum err pg_one(struct store *st, const struct stmt *s, struct pg_args *a,
    row_fn *fn, void *out) MUST_CHECK;
/*
 * Sends s with the next statement, or the commit, whose failure its own is
 * then: for what cannot fail but by our fault, and gives nothing back.
 */
enum err pg_later(struct store *st, const struct stmt *s, struct pg_args *a)
    MUST_CHECK;
/* All rows into an array of max elements of size; *n of them. */
struct pg_list {
	row_fn *fn;
	void *rows;
	size_t size;
	size_t max;
};
enum err pg_list(struct store *st, const struct stmt *s, struct pg_args *a,
    const struct pg_list *l, size_t *n) MUST_CHECK;
/* The first row, and all rows, of what has been run. */
enum err pg_first(struct store *st, const PGresult *res, row_fn *fn,
    void *out) MUST_CHECK;
enum err pg_all(struct store *st, const PGresult *res,
    const struct pg_list *l, size_t *n) MUST_CHECK;
/* The transaction can only be rolled back from here; gives e. */
enum err pg_fail(struct store *st, enum err e) MUST_CHECK;
row_fn row_one_int; /* out is uint64_t */
/* The first row's number; a NULL: none is bound. */
enum err pg_number(struct store *st, const struct stmt *s, struct pg_args *a,
    uint64_t *out) MUST_CHECK;

/* store_audit.c */
enum err audit_add(struct store *st, struct pg_round *r) MUST_CHECK;

/* store_mark.c */
enum err marks_open(struct store_pool *pool) MUST_CHECK;
void marks_close(struct store_pool *pool);

#endif
