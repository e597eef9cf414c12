#ifndef TESTS_ROTATE_KIT_H
#define TESTS_ROTATE_KIT_H

#include "tests/unit/core_fixture.h"

/* Devices that rotate, over core_fixture. */
struct core_call device_call(struct fixture *f);
/* Asks with a request that is all of this octet. */
enum err rotate(struct fixture *f, const struct unit *u,
    unsigned char request, struct record *out);
const char *record_identity(const struct record *r, const char *audience);
/* The device once it has put the record in the place of its old one; r
 * outlives it. */
struct unit renewed(const struct unit *u, const struct record *r);
struct device row(struct fixture *f, const struct unit *u);
/* A handshake at the device listener: the look-up, and its completion. */
enum err handshake(struct fixture *f, const struct unit *u, int complete);
enum err resolve(struct fixture *f, const char *identity,
    struct psk_answer *a);
/* What a gateway says of a handshake, as of audience edge. */
enum err tell_used(struct fixture *f, const struct caller *gateway,
    const char *identity, uint32_t *known);
enum err assertion(struct fixture *f, const struct unit *u, const char *jti);
void policy_order(struct fixture *f, const char *name, int rotate_first,
    enum on_clone on_clone);

#endif
