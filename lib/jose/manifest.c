#include "lib/jose/manifest.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/parse.h"
#include "lib/jose/jws.h"
#include "lib/wire/wire.h"

#define TYP "fealty-manifest+jwt"
#define KEYS "keys "
#define PAGE "page "

/* Only who has shown the key is in a manifest. */
static int
unit_ok(const struct device *u)
{
	return device_had_proof(u) && u->proof != PROOF_NONE && u->epoch > 0;
}

static int
page_ok(const struct manifest_page *p)
{
	uint64_t before = p->after;
	size_t i;

	if (p->n > MANIFEST_UNITS_MAX || p->upto > NUMBER_MAX ||
	    p->upto < p->after || p->iat < 0)
		return 0;
	for (i = 0; i < p->n; i++) {
		if (p->units[i].dn <= before || p->units[i].dn > p->upto ||
		    !unit_ok(&p->units[i]))
			return 0;
		before = p->units[i].dn;
	}
	/* Who is not at the end has gone on. */
	return p->end || p->upto > p->after;
}

static json_t *
unit_json(const struct device *u)
{
	return json_pack("{ss ss sI sI ss so* ss so so}", "serial", u->serial,
	    "device_id", u->device_id, "number", (json_int_t)u->dn, "epoch",
	    (json_int_t)u->epoch, "proof", proof_name(u->proof), "unproven",
	    u->unproven ? json_true() : NULL, "state",
	    device_state_name(u->state), "reserved_at",
	    jout_time(u->created_at), "changed_at",
	    jout_time(u->changed_at));
}

static json_t *
units_json(const struct manifest_page *p)
{
	json_t *a = json_array();
	size_t i;

	for (i = 0; a != NULL && i < p->n; i++) {
		if (json_array_append_new(a, unit_json(&p->units[i])) != 0) {
			json_decref(a);
			return NULL;
		}
	}
	return a;
}

enum err
manifest_sign(const struct signer *s, const char *iss,
    const struct manifest_page *p, struct buf *out)
{
	struct buf b = {.max = SET_JSON_MAX};
	enum err e;

	if (!page_ok(p))
		return ERR_REQUEST;
	e = jout(json_pack("{ss sI ss ss sI sb sI sI sb so}", "iss", iss,
	    "iat", (json_int_t)p->iat, "order", p->order, "model", p->model,
	    "quantity", (json_int_t)p->quantity, "closed", p->closed,
	    "after", (json_int_t)p->after, "upto", (json_int_t)p->upto,
	    "end", p->end, "units", units_json(p)), &b);
	if (e == ERR_OK)
		e = jws_sign(s, TYP, b.p, b.len, out);
	buf_free(&b);
	return e;
}

static void
read_unit(json_t *o, struct device *u, struct jin *parent)
{
	char proof[16] = "", state[16] = "";
	struct jin in;

	jin_value(&in, o, parent->d);
	jin_str(&in, "serial", u->serial, sizeof(u->serial));
	jin_str(&in, "device_id", u->device_id, sizeof(u->device_id));
	jin_u64(&in, "number", NUMBER_MAX, &u->dn);
	jin_u32(&in, "epoch", UINT32_MAX, &u->epoch);
	jin_str(&in, "proof", proof, sizeof(proof));
	jin_opt_bool(&in, "unproven", &u->unproven);
	jin_str(&in, "state", state, sizeof(state));
	jin_time(&in, "reserved_at", &u->created_at);
	jin_time(&in, "changed_at", &u->changed_at);
	if (in.err == ERR_OK && (!name_is_serial(u->serial) ||
	    !name_is_device_id(u->device_id)))
		jin_fail(&in, ERR_NAME, "member serial or device_id: no "
		    "name");
	if (in.err == ERR_OK && (proof_parse(proof, &u->proof) != ERR_OK ||
	    device_state_parse(state, &u->state) != ERR_OK))
		jin_fail(&in, ERR_JSON, "member proof or state: unknown");
	jin_close(parent, &in);
}

static void
read_units(struct jin *in, struct manifest_page *p)
{
	size_t i, n = 0;
	json_t *a = jin_array(in, "units", MANIFEST_UNITS_MAX, &n);

	if (in->err != ERR_OK || n == 0)
		return;
	p->units = calloc(n, sizeof(*p->units));
	if (p->units == NULL) {
		jin_fail(in, ERR_NOMEM, "out of memory");
		return;
	}
	p->n = n;
	for (i = 0; in->err == ERR_OK && i < n; i++)
		read_unit(json_array_get(a, i), &p->units[i], in);
}

static void
read_page(struct jin *in, struct manifest_page *p)
{
	uint64_t iat = 0;

	jin_u64(in, "iat", NUMBER_MAX, &iat);
	p->iat = (int64_t)iat;
	jin_str(in, "order", p->order, sizeof(p->order));
	jin_str(in, "model", p->model, sizeof(p->model));
	jin_u32(in, "quantity", UINT32_MAX, &p->quantity);
	jin_opt_bool(in, "closed", &p->closed);
	jin_u64(in, "after", NUMBER_MAX, &p->after);
	jin_u64(in, "upto", NUMBER_MAX, &p->upto);
	jin_opt_bool(in, "end", &p->end);
	read_units(in, p);
	if (in->err == ERR_OK && (!name_is_order(p->order) || !page_ok(p)))
		jin_fail(in, ERR_JSON, "order, upto or units: wrong");
}

enum err
manifest_verify(const struct jwks *keys, const char *iss, const char *text,
    size_t len, struct manifest_page *out, struct detail *d)
{
	const struct jws_keys by = {.set = keys};
	char who[ISSUER_MAX + 1] = "";
	struct manifest_page p = {0};
	json_t *o = NULL;
	struct jin in;
	enum err e;

	e = jws_open(&by, TYP, text, len, &o, d);
	if (e != ERR_OK)
		return e;
	jin_value(&in, o, d);
	jin_str(&in, "iss", who, sizeof(who));
	read_page(&in, &p);
	e = jws_done(&in, iss, who);
	json_decref(o);
	if (e == ERR_OK)
		*out = p;
	else
		manifest_page_free(&p);
	return e;
}

void
manifest_page_free(struct manifest_page *p)
{
	if (p == NULL)
		return;
	free(p->units);
	memset(p, 0, sizeof(*p));
}

/* ---- the file ---- */

/* NULL: p goes on where the reader stands; else what is wrong. */
static const char *
misfit(const struct manifest_reader *r, const struct manifest_page *p)
{
	const struct manifest_page *last = &r->last;

	if (p->after != last->upto)
		return "units are missing or told twice before this page";
	if (r->pages == 0)
		return NULL;
	if (last->end)
		return "a page behind the end";
	if (strcmp(p->order, last->order) != 0 ||
	    strcmp(p->model, last->model) != 0 ||
	    p->quantity != last->quantity)
		return "a page of another order";
	if (p->iat < last->iat || p->iat - r->begun > MANIFEST_SPAN)
		return "a page of another manifest of this order";
	return NULL;
}

static enum err
take_page(struct manifest_reader *r, const char *text, size_t len,
    struct detail *d)
{
	struct manifest_page p;
	const char *wrong;
	enum err e;
	size_t i;

	if (r->keys.token == NULL) {
		detail_set(d, "a page before its key set");
		return ERR_TOKEN;
	}
	e = manifest_verify(r->keys.token, r->iss, text, len, &p, d);
	if (e != ERR_OK)
		return e;
	wrong = misfit(r, &p);
	if (wrong != NULL) {
		detail_set(d, "%s", wrong);
		manifest_page_free(&p);
		return ERR_TOKEN;
	}
	if (r->pages == 0)
		r->begun = p.iat;
	manifest_page_free(&r->last);
	r->last = p;
	r->pages++;
	r->units += p.n;
	for (i = 0; i < p.n; i++)
		r->unproven += p.units[i].unproven != 0;
	return ERR_OK;
}

static enum err
take_keys(struct manifest_reader *r, const char *text, size_t len,
    struct detail *d)
{
	struct keyset k = {0};
	enum err e;

	e = keyset_verify(r->root, r->iss, text, len, &k, d);
	if (e == ERR_OK && k.version < r->keys.version) {
		detail_set(d, "an older key set behind a newer one");
		e = ERR_TOKEN;
	}
	if (e != ERR_OK) {
		keyset_free(&k);
		return e;
	}
	keyset_free(&r->keys);
	r->keys = k;
	return ERR_OK;
}

enum err
manifest_read(struct manifest_reader *r, const char *line, size_t len,
    struct detail *d)
{
	if (len > strlen(KEYS) && memcmp(line, KEYS, strlen(KEYS)) == 0)
		return take_keys(r, line + strlen(KEYS), len - strlen(KEYS),
		    d);
	if (len > strlen(PAGE) && memcmp(line, PAGE, strlen(PAGE)) == 0)
		return take_page(r, line + strlen(PAGE), len - strlen(PAGE),
		    d);
	detail_set(d, "neither a key set nor a page");
	return ERR_TOKEN;
}

enum err
manifest_read_end(const struct manifest_reader *r, struct detail *d)
{
	if (r->last.end)
		return ERR_OK;
	detail_set(d, "cut off: the last page is missing");
	return ERR_TOKEN;
}

void
manifest_reader_free(struct manifest_reader *r)
{
	keyset_free(&r->keys);
	manifest_page_free(&r->last);
}
