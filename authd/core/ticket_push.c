#include "authd/core/tickets.h"

#include <stdio.h>
#include <string.h>

#include "lib/crypt/ticket_burn.h"

/*
 * What was burned without network is told, one by one: each burn is a
 * decision of its own, as good as a confirmation, or the proof that an
 * identity has been burned twice (docs/tickets.md).
 */
struct pushing {
	const char *ticket;
	const struct ticket_burn *burn;
	struct ticket_row row;
	struct ticket_unit_row unit;
	struct device device;
	struct order order;
	enum err outcome; /* what the station hears once it is committed */
};

/* By the key the ticket was made for, of this ticket's very identity. */
static enum err
check_signature(struct txn *tx, const struct pushing *p)
{
	const struct ticket_burn *b = p->burn;
	const struct challenge_of about = {tx->call->tenant->number, b->dn,
	    b->confirm.epoch, p->row.station, 0};
	struct proof_message m;
	struct es256_public point;
	enum err e;

	if (strcmp(p->device.device_id, b->device_id) != 0)
		return ERR_TICKET_SIGNATURE;
	public_point(&p->row.key, &point);
	e = ticket_message(p->ticket, b, &m);
	if (e == ERR_OK)
		e = proof_check(&point, &m, b->signature);
	if (e == ERR_PROOF || e == ERR_NAME)
		return ERR_TICKET_SIGNATURE;
	return e == ERR_OK ? ticket_challenge_check(tx->call->core, &about,
	    b->confirm.challenge) : e;
}

/*
 * The station's key has signed two burns of one identity: somewhere are two
 * units with one key, and nobody can tell which is the right one.
 */
static enum err
burned_twice(struct txn *tx, struct pushing *p)
{
	struct device *dev = &p->device;
	enum err e = ERR_OK;

	p->outcome = ERR_TICKET_TWICE;
	tx->action = "ticket.twice";
	if (!p->unit.twice) {
		p->unit.twice = 1;
		e = store_ticket_unit_update(tx->st, &p->unit);
	}
	if (e != ERR_OK || dev->state == DEV_REVOKED ||
	    dev->state == DEV_ERASED || dev->state == DEV_VOID)
		return e;
	dev->state = DEV_REVOKED;
	e = store_device_update(tx->st, dev);
	return e == ERR_OK ? txn_device_event(tx, dev->dn, EFFECT_BLOCK) : e;
}

/* Taken once, its device never got the serial number: another one has it. */
static enum err
refused_before(struct txn *tx, const struct pushing *p)
{
	if (p->device.state != DEV_BURNING && p->device.state != DEV_VOID)
		return device_state_refusal(p->device.state);
	detail_set(&tx->call->detail, "serial %s was another device's when "
	    "this burn was told: give the unit another serial number and "
	    "burn it anew", p->burn->serial);
	return ERR_SERIAL_USED;
}

/* It was told before: all the same, or of another unit. */
static enum err
again(struct txn *tx, struct pushing *p)
{
	const struct ticket_burn *b = p->burn;

	if (p->unit.twice)
		return ERR_TICKET_TWICE;
	if (!ct_equal(p->unit.nonce, b->nonce, sizeof(b->nonce)))
		return burned_twice(tx, p);
	if (p->device.serial[0] == TICKET_SERIAL)
		return refused_before(tx, p);
	if (strcmp(p->device.serial, b->serial) != 0)
		return burned_twice(tx, p);
	return device_state_refusal(p->device.state);
}

static enum err
may_become(struct txn *tx, const struct pushing *p)
{
	const struct device *dev = &p->device;
	const struct confirm *c = &p->burn->confirm;
	enum err e;

	if (tx->call->caller->number != p->row.station) {
		detail_set(&tx->call->detail, "ticket %s is another "
		    "station's", p->ticket);
		return ERR_STATION;
	}
	if (p->row.swept || p->row.expires_at <=
	    clock_wall_s(tx->call->core->clock))
		return ERR_TICKET_EXPIRED;
	if (dev->state != DEV_BURNING || c->epoch != dev->epoch)
		return dev->state == DEV_REVOKED ? ERR_DEVICE_REVOKED :
		    ERR_WRONG_STATE;
	if (!proof_suffices(c->proof, p->order.min_proof)) {
		detail_set(&tx->call->detail, "proof: this order demands "
		    "\"%s\"", proof_name(p->order.min_proof));
		return ERR_PROOF;
	}
	e = order_check_serial(&p->order, p->burn->serial);
	return e == ERR_OK ? device_proof(tx, dev, "burn", c) : e;
}

/* One serial number is one device, whoever burned it first. */
static enum err
serial_is_free(struct txn *tx, const struct pushing *p)
{
	struct device other;
	enum err e;

	e = store_device_by_serial(tx->st, p->order.name, p->burn->serial,
	    &other);
	if (e == ERR_NOT_FOUND)
		return serial_is_new(tx, &p->order, p->burn->serial);
	if (e != ERR_OK)
		return e;
	detail_set(&tx->call->detail, "serial %s is device %s, which is %s: "
	    "give the unit another serial number and burn it anew",
	    p->burn->serial, other.device_id,
	    device_state_name(other.state));
	return ERR_SERIAL_USED;
}

/* Someone was faster with the serial number: start again, find it. */
static enum err
take_serial(struct txn *tx, const struct pushing *p)
{
	enum err e;

	e = store_device_set_serial(tx->st, p->device.dn, p->burn->serial);
	if (e == ERR_OK) /* what was scrapped meanwhile is seen behind it */
		e = serial_is_new(tx, &p->order, p->burn->serial);
	return e == ERR_EXISTS || e == ERR_SERIAL_USED ? ERR_CONFLICT : e;
}

/*
 * A burn that is refused for its serial number alone has used its identity
 * up all the same: a unit has the key. Its nonce is kept, so that the next
 * burn, from a copy of the ticket, is not taken for the first.
 */
static enum err
first_burn(struct txn *tx, struct pushing *p)
{
	struct device *dev = &p->device;
	enum err e;

	e = may_become(tx, p);
	if (e != ERR_OK)
		return e;
	p->unit.burned = 1;
	memcpy(p->unit.nonce, p->burn->nonce, sizeof(p->unit.nonce));
	e = serial_is_free(tx, p);
	if (e == ERR_SERIAL_USED) {
		p->outcome = e;
		tx->action = "ticket.serial_used";
		return store_ticket_unit_update(tx->st, &p->unit);
	}
	if (e == ERR_OK)
		e = take_serial(tx, p);
	dev->state = DEV_ACTIVE;
	dev->proof = p->burn->confirm.proof;
	dev->unproven = dev->proof == PROOF_MEDIUM;
	if (e == ERR_OK)
		e = store_device_update(tx->st, dev);
	return e == ERR_OK ? store_ticket_unit_update(tx->st, &p->unit) : e;
}

static enum err
push_txn(struct txn *tx)
{
	struct pushing *p = tx->arg;
	uint64_t dn = p->burn->dn;
	enum err e;

	p->outcome = ERR_OK;
	tx->action = "ticket.push";
	e = not_found(tx->call, store_ticket_get(tx->st, p->ticket, &p->row),
	    "ticket", p->ticket); /* locked */
	if (e == ERR_OK)
		e = order_for_station(tx, p->row.order, &p->order);
	if (e != ERR_OK)
		return e;
	e = store_ticket_unit_get(tx->st, p->ticket, dn, &p->unit);
	if (e == ERR_OK)
		e = store_device_get(tx->st, dn, &p->device); /* locked */
	if (e == ERR_NOT_FOUND)
		detail_set(&tx->call->detail, "device %llu is not of ticket "
		    "%s", (unsigned long long)dn, p->ticket);
	if (e != ERR_OK)
		return e;
	p->device.tenant = tx->call->tenant->number;
	e = check_signature(tx, p);
	if (e != ERR_OK)
		return e;
	return p->unit.burned ? again(tx, p) : first_burn(tx, p);
}

static enum err
push_one(struct core_call *call, const char *ticket,
    const struct ticket_burn *burn)
{
	struct pushing p = {.ticket = ticket, .burn = burn};
	struct txn tx = {.call = call, .mode = STORE_WRITE,
	    .action = "ticket.push", .object_kind = "device", .arg = &p};
	enum err e;

	txn_about_device(&tx, burn->dn);
	(void)snprintf(tx.note, sizeof(tx.note), "ticket %s serial %s proof "
	    "%s", ticket, burn->serial, proof_name(burn->confirm.proof));
	e = txn_run(&tx, push_txn);
	return e == ERR_OK ? p.outcome : e;
}

enum err
core_ticket_push(struct core_call *call, const char *ticket,
    const struct ticket_burn *burns, size_t n, struct ticket_result *out)
{
	enum err e = ERR_OK;
	size_t i;

	if (!name_is_ticket(ticket) || n < 1 || n > TICKET_PUSH_MAX)
		return ERR_REQUEST;
	for (i = 0; i < n; i++) {
		memset(&call->detail, 0, sizeof(call->detail));
		e = push_one(call, ticket, &burns[i]);
		/* Of the moment, or of the whole: the rest is not tried. */
		if (err_retryable(e) || err_status(e) >= 500 ||
		    e == ERR_CREDENTIAL)
			return e;
		out[i].dn = burns[i].dn;
		out[i].outcome = e;
		out[i].detail = call->detail;
	}
	memset(&call->detail, 0, sizeof(call->detail));
	return ERR_OK;
}
