#include "lib/wire/summary.h"

#include <string.h>

static json_t *
states_json(const struct order_summary *s)
{
	json_t *o = json_object();
	unsigned i;

	for (i = 0; o != NULL && i < DEVICE_STATES; i++) {
		if (json_object_set_new(o,
		    device_state_name((enum device_state)i),
		    json_integer((json_int_t)s->states[i])) != 0) {
			json_decref(o);
			return NULL;
		}
	}
	return o;
}

static json_t *
voids_json(const struct order_summary *s)
{
	json_t *a = json_array();
	size_t i;

	for (i = 0; a != NULL && i < s->nvoids; i++) {
		if (json_array_append_new(a, json_pack("{ss sI}", "reason",
		    s->voids[i].reason, "units",
		    (json_int_t)s->voids[i].units)) != 0) {
			json_decref(a);
			return NULL;
		}
	}
	return a;
}

json_t *
wire_summary_json(const struct order_summary *s)
{
	return json_pack("{so sI so}", "states", states_json(s), "unproven",
	    (json_int_t)s->unproven, "voids", voids_json(s));
}

static void
read_states(struct jin *in, struct order_summary *s)
{
	struct jin child;
	unsigned i;

	jin_object(in, "states", &child);
	for (i = 0; i < DEVICE_STATES; i++)
		jin_u64(&child, device_state_name((enum device_state)i),
		    NUMBER_MAX, &s->states[i]);
	jin_close(in, &child);
}

static void
read_voids(struct jin *in, struct order_summary *s)
{
	struct jin child;
	size_t i, n = 0;
	json_t *a = jin_array(in, "voids", ORDER_VOIDS_MAX, &n);

	for (i = 0; in->err == ERR_OK && i < n; i++) {
		jin_value(&child, json_array_get(a, i), in->d);
		jin_str(&child, "reason", s->voids[i].reason,
		    sizeof(s->voids[i].reason));
		jin_u64(&child, "units", NUMBER_MAX, &s->voids[i].units);
		jin_close(in, &child);
	}
	s->nvoids = n;
}

enum err
wire_summary_decode(const char *s, size_t len, struct order_summary *out,
    struct detail *d)
{
	struct order_summary v;
	struct jin in;
	enum err e;

	memset(&v, 0, sizeof(v));
	jin_open(&in, s, len, d);
	read_states(&in, &v);
	jin_u64(&in, "unproven", NUMBER_MAX, &v.unproven);
	read_voids(&in, &v);
	e = jin_done(&in);
	if (e == ERR_OK)
		*out = v;
	return e;
}
