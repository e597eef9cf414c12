/* Audit rows: in the transaction of what they record, append only. */
#include "authd/store/pg.h"

static const struct stmt append = {"audit_append",
    "INSERT INTO audit (tenant, caller, action, object_kind, object, "
    "outcome, pos, request_id, detail) "
    "VALUES (current_tenant(), $1, $2, $3, $4, $5, $6, $7, $8) "
    "RETURNING 1"};

static void
audit_args(const struct audit *au, struct pg_args *a)
{
	arg_int(a, (int64_t)au->caller);
	arg_text(a, au->action);
	arg_text(a, au->object_kind);
	arg_text(a, au->object);
	arg_text(a, au->outcome);
	arg_int(a, (int64_t)au->pos);
	arg_text(a, au->request_id);
	arg_text(a, au->detail);
}

enum err
audit_add(struct store *st, struct pg_round *r)
{
	struct pg_args a = {0};

	audit_args(&st->audit, &a);
	return round_add(st, r, &append, &a);
}

enum err
store_audit_append(struct store *st, const struct audit *au)
{
	struct pg_args a = {0};

	if (st->tx == TX_OPEN && st->mode == STORE_WRITE && !st->has_audit) {
		st->audit = *au;
		st->has_audit = 1;
		return ERR_OK;
	}
	audit_args(au, &a);
	return pg_one(st, &append, &a, NULL, NULL);
}

static void
row_audit(struct store *st, struct pg_row *r, void *out)
{
	struct audit *au = out;

	(void)st;
	au->number = row_u64(r);
	au->at = row_int(r);
	au->caller = row_u64(r);
	row_text(r, au->action, sizeof(au->action));
	row_text(r, au->object_kind, sizeof(au->object_kind));
	row_text(r, au->object, sizeof(au->object));
	row_text(r, au->outcome, sizeof(au->outcome));
	au->pos = row_u64(r);
	row_text(r, au->request_id, sizeof(au->request_id));
	row_text(r, au->detail, sizeof(au->detail));
}

enum err
store_audit_list(struct store *st, uint64_t after, uint32_t limit,
    struct audit *rows, size_t *n)
{
	static const struct stmt s = {"audit_list",
	    "SELECT number, at, caller, action, object_kind, object, "
	    "outcome, pos, request_id, detail FROM audit WHERE number > $1 "
	    "ORDER BY number LIMIT $2"};
	const struct pg_list l = {row_audit, rows, sizeof(*rows), limit};
	struct pg_args a = {0};

	arg_int(&a, (int64_t)after);
	arg_int(&a, limit);
	return pg_list(st, &s, &a, &l, n);
}
