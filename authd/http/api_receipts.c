#include <stdlib.h>
#include <string.h>

#include "authd/http/request.h"
#include "lib/wire/receipt.h"

enum err api_receipt(struct req *);
enum err api_receipts(struct req *);

/* On core's thread: kept, or not. */
static void
on_kept(void *arg, enum err e)
{
	struct req *r = arg;

	r->reply.status = 204;
	req_finish(r, e);
}

static void
take_receipt(struct req *r)
{
	enum err e = core_receipt_take(&r->call, &r->receipt, on_kept, r);

	if (e != ERR_OK)
		req_finish(r, e);
}

enum err
api_receipt(struct req *r)
{
	enum err e;

	e = wire_receipt_decode(r->body.p, r->body.len, &r->receipt,
	    &r->call.detail);
	if (e == ERR_OK)
		e = core_receipt_check(&r->call, &r->receipt);
	if (e == ERR_OK)
		r->later = take_receipt;
	return e;
}

static enum err
answer(struct req *r)
{
	struct receipt_report report;
	enum err e;

	e = core_watch_report(r->watch, &report);
	core_watch_free(&r->watch);
	if (e != ERR_OK)
		return e;
	e = wire_receipt_report_encode(&report, &r->reply.body);
	core_report_free(&report);
	return e;
}

/* On core's thread: all have said it, or the time is over. */
static void
on_watched(void *arg)
{
	struct req *r = arg;

	req_finish(r, answer(r));
}

static void
wait_receipts(struct req *r)
{
	enum err e = core_watch_wait(r->call.core, r->watch, r->wait_ms,
	    on_watched, r);

	if (e != ERR_OK)
		req_finish(r, e);
}

enum err
api_receipts(struct req *r)
{
	static const char *const names[] = {"wait", NULL};
	uint64_t wait = 0;
	enum err e;

	e = req_query_only(r, names);
	if (e == ERR_OK)
		e = req_query_u64(r, "wait", RECEIPT_WAIT_MAX, &wait);
	if (e == ERR_OK)
		e = core_receipts(&r->call, strtoull(req_param(r, 0), NULL,
		    10), &r->watch);
	if (e != ERR_OK)
		return e;
	if (wait == 0 || core_watch_complete(r->watch))
		return answer(r);
	r->wait_ms = (uint32_t)wait * 1000;
	r->later = wait_receipts;
	return ERR_OK;
}
