#ifndef WIRE_REGISTRY_H
#define WIRE_REGISTRY_H

#include "lib/wire/wire.h"
#include "lib/model/order.h"
#include "lib/model/caller.h"
#include "lib/model/device.h"
#include "lib/model/audit.h"

/* Orders, audiences, groups, callers, devices, audit: docs/api.md. */

/* A request (server-made members refused) and a whole order. */
enum err wire_order_request_decode(const char *s, size_t len,
    struct order *out, struct detail *d) MUST_CHECK;
enum err wire_order_decode(const char *s, size_t len, struct order *out,
    struct detail *d) MUST_CHECK;
json_t *wire_order_json(const struct order *o);

enum err wire_audience_request_decode(const char *s, size_t len,
    struct audience *out, struct detail *d) MUST_CHECK; /* name from path */
json_t *wire_audience_json(const struct audience *a);

enum err wire_group_request_decode(const char *s, size_t len, name_t name,
    struct detail *d) MUST_CHECK;
json_t *wire_group_json(const struct group *g);

enum err wire_caller_request_decode(const char *s, size_t len,
    struct caller *out, struct detail *d) MUST_CHECK;
/* credential NULL: not shown. */
json_t *wire_caller_json(const struct caller *c, const char *credential);

enum err wire_tenant_request_decode(const char *s, size_t len, name_t name,
    struct detail *d) MUST_CHECK;
/* {} or an empty body; {"reason"?} into reason (may be NULL: refused). */
enum err wire_reason_decode(const char *s, size_t len, char reason[201],
    struct detail *d) MUST_CHECK;

json_t *wire_device_json(const struct device *dev); /* add "pos" yourself */
enum err wire_device_decode_json(json_t *o, struct device *out,
    struct detail *d) MUST_CHECK; /* "pos" tolerated */
json_t *wire_audit_json(const struct audit *a);

/* {"NAME":[…]} around rows, with "next" unless next is UINT64_MAX. */
json_t *wire_list(const char *name, json_t *rows, uint64_t next);

#endif
