#include "lib/wire/ticket.h"

#include <stdlib.h>
#include <string.h>

#include "lib/wire/burn.h"

static void
read_id(struct jin *in, ticket_id_t id)
{
	jin_str(in, "ticket", id, sizeof(ticket_id_t));
	if (in->err == ERR_OK && !name_is_ticket(id))
		jin_fail(in, ERR_NAME, "member ticket: 22 of A-Za-z0-9_-");
}

static void
read_name(struct jin *in, const char *member, name_t out,
	  int (*ok)(const char *))
{
	jin_str(in, member, out, sizeof(name_t));
	if (in->err == ERR_OK && !ok(out))
		jin_fail(in, ERR_NAME, "member %s: not an allowed name",
			 member);
}

enum err
wire_ticket_request_decode(const char *s, size_t len,
			   struct ticket_request *out, struct detail *d)
{
	struct ticket_request r;
	struct jin in;
	enum err e;

	memset(&r, 0, sizeof(r));
	jin_open(&in, s, len, d);
	read_id(&in, r.id);
	jin_u32(&in, "count", TICKET_UNITS_MAX, &r.count);
	if (in.err == ERR_OK && r.count == 0)
		jin_fail(&in, ERR_JSON, "member count: from 1");
	jin_u32(&in, "life", TICKET_LIFE_MAX, &r.life);
	if (in.err == ERR_OK && r.life == 0)
		jin_fail(&in, ERR_JSON, "member life: seconds, from 1");
	wire_jwk_read(&in, "station_key", r.station_key,
		      sizeof(r.station_key));
	e = jin_done(&in);
	if (e == ERR_OK)
		*out = r;
	return e;
}

enum err
wire_ticket_request_encode(const struct ticket_request *r, struct buf *out)
{
	json_t *key = json_loads(r->station_key, JSON_REJECT_DUPLICATES, NULL);

	if (key == NULL)
		return ERR_REQUEST;
	return jout(json_pack("{ss sI sI so}", "ticket", r->id, "count",
			      (json_int_t)r->count, "life",
			      (json_int_t)r->life, "station_key", key),
		    out);
}

static void
read_unit(struct jin *parent, json_t *o, struct ticket_unit *u)
{
	struct jin in;

	jin_value(&in, o, parent->d);
	jin_u64(&in, "number", NUMBER_MAX, &u->dn);
	read_name(&in, "device_id", u->device_id, name_is_device_id);
	jin_u32(&in, "epoch", UINT32_MAX, &u->epoch);
	if (in.err == ERR_OK && u->epoch == 0)
		jin_fail(&in, ERR_JSON, "member epoch: from 1");
	jin_octets(&in, "challenge", u->challenge, sizeof(u->challenge));
	jin_str(&in, "key", u->key, sizeof(u->key));
	wire_peers_read(&in, u->peers, &u->npeers);
	jin_close(parent, &in);
}

static void
read_units(struct jin *in, struct ticket *t)
{
	size_t i, n;
	json_t *a = jin_array(in, "units", TICKET_UNITS_MAX, &n);

	if (in->err != ERR_OK)
		return;
	t->units = calloc(n + 1, sizeof(*t->units));
	if (t->units == NULL) {
		jin_fail(in, ERR_NOMEM, "no memory");
		return;
	}
	for (i = 0; in->err == ERR_OK && i < n; i++)
		read_unit(in, json_array_get(a, i), &t->units[i]);
	t->n = (uint32_t)n;
}

enum err
wire_ticket_decode(const char *s, size_t len, struct ticket *out,
		   struct detail *d)
{
	char proof[16] = "";
	struct ticket t;
	struct jin in;
	enum err e;

	memset(&t, 0, sizeof(t));
	jin_open(&in, s, len, d);
	read_id(&in, t.id);
	jin_str(&in, "issuer", t.issuer, sizeof(t.issuer));
	read_name(&in, "order", t.order, name_is_order);
	read_name(&in, "model", t.model, name_is_order);
	jin_str(&in, "min_proof", proof, sizeof(proof));
	if (in.err == ERR_OK && proof_parse(proof, &t.min_proof) != ERR_OK)
		jin_fail(&in, ERR_JSON, "member min_proof: not a proof");
	jin_str(&in, "serial_pattern", t.serial_pattern,
		sizeof(t.serial_pattern));
	jin_time(&in, "expires_at", &t.expires_at);
	read_units(&in, &t);
	e = jin_done(&in);
	if (e == ERR_OK)
		*out = t;
	else
		ticket_free(&t);
	return e;
}

static json_t *
units_json(const struct ticket *t)
{
	json_t *a = json_array();
	uint32_t i;

	for (i = 0; a != NULL && i < t->n; i++) {
		const struct ticket_unit *u = &t->units[i];

		if (json_array_append_new(
			a, json_pack("{sI ss sI so ss so}", "number",
				     (json_int_t)u->dn, "device_id",
				     u->device_id, "epoch",
				     (json_int_t)u->epoch, "challenge",
				     jout_octets(u->challenge,
						 sizeof(u->challenge)),
				     "key", u->key, "peers",
				     wire_peers_json(u->peers, u->npeers))) !=
		    0) {
			json_decref(a);
			return NULL;
		}
	}
	return a;
}

enum err
wire_ticket_encode(const struct ticket *t, struct buf *out)
{
	return jout(json_pack("{ss ss ss ss ss ss so so}", "ticket", t->id,
			      "issuer", t->issuer, "order", t->order, "model",
			      t->model, "min_proof", proof_name(t->min_proof),
			      "serial_pattern", t->serial_pattern,
			      "expires_at", jout_time(t->expires_at), "units",
			      units_json(t)),
		    out);
}

void
wire_ticket_burn_read(struct jin *in, struct ticket_burn *b)
{
	struct confirm *c = &b->confirm;
	char proof[16] = "";

	jin_u64(in, "number", NUMBER_MAX, &b->dn);
	read_name(in, "device_id", b->device_id, name_is_device_id);
	jin_u32(in, "epoch", UINT32_MAX, &c->epoch);
	read_name(in, "serial", b->serial, name_is_serial);
	jin_octets(in, "challenge", c->challenge, sizeof(c->challenge));
	jin_str(in, "proof", proof, sizeof(proof));
	if (in->err == ERR_OK && (proof_parse(proof, &c->proof) != ERR_OK ||
				  (c->proof != PROOF_DEVICE &&
				   c->proof != PROOF_MEDIUM)))
		jin_fail(in, ERR_JSON, "member proof: medium or device");
	jin_octets(in, "answer", c->answer, 32);
	jin_octets(in, "nonce", b->nonce, sizeof(b->nonce));
	jin_octets(in, "signature", b->signature, sizeof(b->signature));
}

json_t *
wire_ticket_burn_json(const struct ticket_burn *b)
{
	const struct confirm *c = &b->confirm;

	return json_pack(
	    "{sI ss sI ss so ss so so so}", "number", (json_int_t)b->dn,
	    "device_id", b->device_id, "epoch", (json_int_t)c->epoch, "serial",
	    b->serial, "challenge",
	    jout_octets(c->challenge, sizeof(c->challenge)), "proof",
	    proof_name(c->proof), "answer", jout_octets(c->answer, 32),
	    "nonce", jout_octets(b->nonce, sizeof(b->nonce)), "signature",
	    jout_octets(b->signature, sizeof(b->signature)));
}

enum err
wire_ticket_push_decode(const char *s, size_t len, struct ticket_burn *rows,
			size_t *n, struct detail *d)
{
	struct jin in, one;
	size_t i, count;
	json_t *a;
	enum err e;

	memset(rows, 0, TICKET_PUSH_MAX * sizeof(*rows));
	jin_open(&in, s, len, d);
	a = jin_array(&in, "burns", TICKET_PUSH_MAX, &count);
	if (in.err == ERR_OK && count == 0)
		jin_fail(&in, ERR_JSON, "member burns: empty");
	for (i = 0; in.err == ERR_OK && i < count; i++) {
		jin_value(&one, json_array_get(a, i), d);
		wire_ticket_burn_read(&one, &rows[i]);
		jin_close(&in, &one);
	}
	e = jin_done(&in);
	if (e == ERR_OK)
		*n = count;
	return e;
}

/* Takes both: the rows under that name. */
static enum err
list_out(const char *name, json_t *a, int whole, struct buf *out)
{
	if (!whole) {
		json_decref(a);
		return ERR_NOMEM;
	}
	return jout(json_pack("{so}", name, a), out);
}

enum err
wire_ticket_push_encode(const struct ticket_burn *rows, size_t n,
			struct buf *out)
{
	json_t *a = json_array();
	int whole = a != NULL;
	size_t i;

	for (i = 0; whole && i < n; i++)
		whole = json_array_append_new(
			    a, wire_ticket_burn_json(&rows[i])) == 0;
	return list_out("burns", a, whole, out);
}

static void
read_result(struct jin *parent, json_t *o, struct ticket_result *r)
{
	char code[64] = "";
	struct jin in;

	jin_value(&in, o, parent->d);
	jin_u64(&in, "number", NUMBER_MAX, &r->dn);
	jin_str(&in, "code", code, sizeof(code));
	jin_opt_str(&in, "detail", r->detail.text, sizeof(r->detail.text));
	r->outcome = err_from_code(code);
	jin_close(parent, &in);
}

enum err
wire_ticket_results_decode(const char *s, size_t len,
			   struct ticket_result *rows, size_t *n,
			   struct detail *d)
{
	size_t i, count;
	struct jin in;
	json_t *a;
	enum err e;

	memset(rows, 0, TICKET_PUSH_MAX * sizeof(*rows));
	jin_open(&in, s, len, d);
	a = jin_array(&in, "results", TICKET_PUSH_MAX, &count);
	for (i = 0; in.err == ERR_OK && i < count; i++)
		read_result(&in, json_array_get(a, i), &rows[i]);
	e = jin_done(&in);
	if (e == ERR_OK)
		*n = count;
	return e;
}

enum err
wire_ticket_results_encode(const struct ticket_result *rows, size_t n,
			   struct buf *out)
{
	json_t *a = json_array();
	int whole = a != NULL;
	size_t i;

	for (i = 0; whole && i < n; i++)
		whole = json_array_append_new(
			    a, json_pack("{sI ss ss}", "number",
					 (json_int_t)rows[i].dn, "code",
					 err_code(rows[i].outcome), "detail",
					 rows[i].detail.text)) == 0;
	return list_out("results", a, whole, out);
}
