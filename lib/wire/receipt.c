#include "lib/wire/receipt.h"

#include <stdlib.h>
#include <string.h>

#define REQUESTS "requests"
#define SESSIONS "sessions"

static const char *
enforced_name(const struct receipt *r)
{
	return r->sessions ? SESSIONS : REQUESTS;
}

enum err
wire_receipt_encode(const struct receipt *r, struct buf *out)
{
	return jout(json_pack("{ss sI ss sI sI}", "instance", r->instance,
	    "position", (json_int_t)r->position,
	    "enforced", enforced_name(r), "closed", (json_int_t)r->closed,
	    "took_us", (json_int_t)r->took_us), out);
}

enum err
wire_receipt_decode(const char *s, size_t len, struct receipt *out,
    struct detail *d)
{
	char enforced[16] = "";
	struct receipt r;
	struct jin in;
	enum err e;

	memset(&r, 0, sizeof(r));
	jin_open(&in, s, len, d);
	jin_str(&in, "instance", r.instance, sizeof(r.instance));
	if (in.err == ERR_OK && !name_is_device_id(r.instance))
		jin_fail(&in, ERR_NAME, "member instance: not a name");
	jin_u64(&in, "position", NUMBER_MAX, &r.position);
	jin_str(&in, "enforced", enforced, sizeof(enforced));
	r.sessions = strcmp(enforced, SESSIONS) == 0;
	if (in.err == ERR_OK && !r.sessions && strcmp(enforced, REQUESTS) != 0)
		jin_fail(&in, ERR_JSON,
		    "member enforced: \"requests\" or \"sessions\"");
	jin_u64(&in, "closed", NUMBER_MAX, &r.closed);
	jin_u64(&in, "took_us", NUMBER_MAX, &r.took_us);
	e = jin_done(&in);
	if (e == ERR_OK)
		*out = r;
	return e;
}

static json_t *
row_json(const struct receipt_row *row)
{
	return json_pack("{ss ss sI ss sI sI so so}",
	    "gateway", row->gateway, "instance", row->r.instance,
	    "position", (json_int_t)row->r.position,
	    "enforced", enforced_name(&row->r),
	    "closed", (json_int_t)row->r.closed,
	    "took_us", (json_int_t)row->r.took_us,
	    "ms", json_real(row->ms), "at", jout_time(row->at));
}

static json_t *
laggard_json(const struct laggard *l)
{
	return json_pack("{ss so}", "gateway", l->gateway,
	    "heard_s", l->heard_ms < 0 ? json_null() :
	    json_real((double)l->heard_ms / 1000));
}

/* With no more digits than were measured. */
static enum err
dump(json_t *o, struct buf *out)
{
	char *text;
	enum err e;

	if (o == NULL)
		return ERR_NOMEM;
	text = json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(12));
	json_decref(o);
	e = text == NULL ? ERR_NOMEM : buf_str(out, text);
	free(text);
	return e;
}

/* Takes o; 0 without memory. */
static int
append(json_t *array, json_t *o)
{
	return array != NULL && o != NULL &&
	    json_array_append_new(array, o) == 0;
}

enum err
wire_receipt_report_encode(const struct receipt_report *r, struct buf *out)
{
	json_t *rows = json_array(), *lagging = json_array();
	int ok = rows != NULL && lagging != NULL;
	size_t i;

	for (i = 0; ok && i < r->nrows; i++)
		ok = append(rows, row_json(&r->rows[i]));
	for (i = 0; ok && i < r->nlagging; i++)
		ok = append(lagging, laggard_json(&r->lagging[i]));
	if (!ok) {
		json_decref(rows);
		json_decref(lagging);
		return ERR_NOMEM;
	}
	return dump(json_pack("{sI so sI sI so sI so so}",
	    "position", (json_int_t)r->event.pos,
	    "at", jout_time(r->event.at),
	    "expected", (json_int_t)r->expected,
	    "enforced", (json_int_t)r->enforced,
	    "slowest_ms", r->enforced == 0 ? json_null() :
	    json_real(r->slowest_ms),
	    "token_life", (json_int_t)r->token_life,
	    "receipts", rows, "lagging", lagging), out);
}
