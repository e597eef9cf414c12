#include "authd/core/core_internal.h"

struct feeding {
	uint64_t after;
	uint32_t limit;
	struct event *rows;
	size_t n;
	uint64_t head, floor;
};

static enum err
feed_txn(struct txn *tx)
{
	struct feeding *f = tx->arg;
	enum err e;

	e = store_position(tx->st, &f->head, &f->floor);
	if (e == ERR_OK && f->after > f->head)
		return ERR_BACKWARDS;
	return e == ERR_OK ? store_event_list(tx->st, f->after, f->limit,
	    f->rows, &f->n) : e;
}

enum err
core_feed(struct core_call *call, uint64_t after, uint32_t limit,
    struct event *rows, size_t *n, uint64_t *head, uint64_t *floor)
{
	const struct revset *set = call->tenant->revset;
	struct feeding f = {.after = after, .limit = limit, .rows = rows};
	struct txn tx = {.call = call, .mode = STORE_READ, .arg = &f};
	enum err e;

	if (limit < 1 || limit > CORE_LIST_MAX)
		return ERR_REQUEST;
	e = call_check(call);
	if (e == ERR_OK) /* who is answered takes it for fresh */
		e = core_ready(call->core);
	if (e != ERR_OK)
		return e;
	/* Nothing new for most who ask: memory knows that. */
	if (after == revset_position(set)) {
		*n = 0;
		*head = after;
		*floor = revset_floor(set);
		return ERR_OK;
	}
	e = txn_run(&tx, feed_txn);
	if (e == ERR_OK) {
		*n = f.n;
		*head = f.head;
		*floor = f.floor;
	}
	return e;
}
