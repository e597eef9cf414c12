#ifndef CORE_TICKETS_H
#define CORE_TICKETS_H

#include "authd/core/core_internal.h"

/* What tickets share with the burn, and with housekeeping. */

/*
 * A new device in a place of the order, with its key. serial NULL: that of an
 * identity in a ticket, which no unit can have, until its burn is pushed.
 * look: says so when another order's device has its device_id; else that is
 * ERR_CONFLICT, as is a serial that another one has taken meanwhile.
 */
#define TICKET_SERIAL '~'
enum err order_enrol(struct txn *tx, const struct order *o,
    const char *serial, int look, struct device *dev) MUST_CHECK;
/*
 * Policy never: scrapped after its key had been released, a serial number has
 * had its identity, too. ERR_SERIAL_USED. serial NULL: none yet. It holds if
 * asked behind the statement that takes the serial number: others may have
 * had it, and let it go, while that one waited.
 */
enum err serial_is_new(struct txn *tx, const struct order *o,
    const char *serial) MUST_CHECK;
/*
 * A release of K of l->key, encrypted to jwk, into jwe (reset before). moved:
 * to another one than before, so that K is made anew if it has been out.
 */
enum err key_release(struct txn *tx, struct burn_look *l, const char *jwk,
    int moved, struct buf *jwe) MUST_CHECK;
/* That of an identity in a ticket: good as long as the ticket is. */
enum err ticket_challenge_make(const struct core *c,
    const struct challenge_of *o, unsigned char out[CHALLENGE_LEN])
    MUST_CHECK;
enum err ticket_challenge_check(const struct core *c,
    const struct challenge_of *o,
    const unsigned char challenge[CHALLENGE_LEN]) MUST_CHECK;
/*
 * Makes what is left of tickets that have expired void; a session outside of
 * a transaction. At most limit tickets.
 */
enum err tickets_sweep(struct core *c, struct store *st, uint32_t tenant,
    uint32_t limit) MUST_CHECK;

#endif
