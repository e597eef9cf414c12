#include "provision-tool/burn.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/parse.h"
#include "lib/wire/burn.h"
#include "lib/wire/registry.h"
#include "provision-tool/burn_record.h"
#include "provision-tool/ticket_burn.h"

/* The epoch to burn: of a unit that came back, the next one. 0: none. */
static uint32_t
epoch_to_burn(const struct device *dev)
{
	if (dev->state == DEV_RESERVED || dev->state == DEV_BURNING)
		return dev->epoch;
	return dev->pending;
}

static enum err
step_reserve(struct burn *b)
{
	struct buf body = {.max = BURN_BODY_MAX};
	struct buf answer = {.max = BURN_BODY_MAX};
	char path[BURN_PATH_ROOM];
	enum err e;

	memset(&b->unit, 0, sizeof(b->unit));
	(void)snprintf(path, sizeof(path), "/v1/orders/%s/devices", b->order);
	e = wire_serial_encode(b->serial, &body);
	if (e == ERR_OK)
		e = burn_call(b, "POST", path, &body, &answer);
	if (e == ERR_OK)
		e = burn_take_answer(b, &answer);
	if (e == ERR_OK && epoch_to_burn(&b->device) == 0) {
		detail_set(&b->detail, "device %s is already %s",
			   b->device.device_id,
			   device_state_name(b->device.state));
		e = ERR_WRONG_STATE;
	}
	if (e == ERR_OK) {
		memcpy(b->unit.device_id, b->device.device_id,
		       sizeof(b->unit.device_id));
		b->unit.epoch = epoch_to_burn(&b->device);
		b->unit.dn = b->device.dn;
	}
	buf_free(&body);
	buf_free(&answer);
	return e;
}

static enum err
request_release(struct burn *b, const struct release_request *req,
		struct release *rel)
{
	struct buf body = {.max = BURN_BODY_MAX};
	struct buf answer = {.max = BURN_BODY_MAX};
	char path[BURN_PATH_ROOM];
	enum err e;

	(void)snprintf(path, sizeof(path), "/v1/devices/%s/release",
		       b->unit.device_id);
	if ((e = wire_release_request_encode(req, &body)) != ERR_OK)
		goto out;
	if ((e = burn_call(b, "POST", path, &body, &answer)) != ERR_OK)
		goto out;
	e = wire_release_decode(answer.p, answer.len, rel, &b->detail);
	if (e != ERR_OK)
		e = ERR_INTERNAL; /* the answer's fault, not the request's */
out:
	buf_free(&body);
	buf_free(&answer);
	return e;
}

static enum err
step_release(struct burn *b)
{
	struct jwe_key *station = NULL; /* one-time, never leaves memory */
	struct release_request req;
	struct release rel;
	enum err e;

	memset(&rel, 0, sizeof(rel));
	if ((e = burn_release_request(b, &station, &req)) != ERR_OK)
		goto out;
	if ((e = request_release(b, &req, &rel)) != ERR_OK)
		goto out;
	if ((e = burn_take_device(b, &rel.device)) != ERR_OK)
		goto out;
	if ((e = burn_record(b, station, &rel)) != ERR_OK)
		goto out;
	memcpy(b->unit.challenge, rel.challenge, sizeof(rel.challenge));
	b->unit.has_challenge = 1;
out:
	jwe_key_free(&station);
	return e;
}

static enum err
step_write(struct burn *b)
{
	return target_write(b->target, b->unit.device_id, &b->record,
			    &b->detail);
}

/* ERR_OK when the authority has this very identity as active. */
static enum err
look_up(struct burn *b)
{
	struct buf answer = {.max = BURN_BODY_MAX};
	char path[BURN_PATH_ROOM];
	enum err e;

	if (b->ticket != NULL)
		return ticket_look_up(b);
	(void)snprintf(path, sizeof(path), "/v1/devices/%s", b->unit.device_id);
	e = burn_call(b, "GET", path, NULL, &answer);
	if (e == ERR_OK)
		e = burn_take_answer(b, &answer);
	if (e == ERR_OK && (b->device.state != DEV_ACTIVE ||
			    b->device.epoch != b->unit.epoch)) {
		detail_set(&b->detail, "device %s is %s at epoch %u",
			   b->device.device_id,
			   device_state_name(b->device.state), b->device.epoch);
		e = ERR_WRONG_STATE;
	}
	buf_free(&answer);
	return e;
}

static enum err
send_confirm(struct burn *b)
{
	enum err e = burn_send_answer(b, "confirm");

	if (e == ERR_OK && b->device.state != DEV_ACTIVE) {
		detail_set(&b->detail, "device is %s, not active",
			   device_state_name(b->device.state));
		e = ERR_WRONG_STATE;
	}
	return e;
}

static enum err
step_confirm(struct burn *b)
{
	enum err e = send_confirm(b);

	/* an earlier run's confirm may have been heard, its answer not */
	if ((e == ERR_CHALLENGE || e == ERR_WRONG_STATE) &&
	    look_up(b) == ERR_OK)
		return ERR_OK;
	return e;
}

/* What cannot be taken back comes last, and only when asked for by name. */
static enum err
step_lock(struct burn *b)
{
	return target_lock(b->target, b->unit.device_id, &b->detail);
}

enum { RESERVE, RELEASE, WRITE, READ_BACK, PROVE, CONFIRM, LOCK, STEPS };

/*
 * Behind which steps the journal must be on the disk: before the authority
 * makes what is written live; before it is locked, or its end told. What is
 * lost of the others is done again: the same place, the same key, the same
 * proof. By ticket nobody else knows which identity the unit has: behind
 * every step.
 */
static const struct {
	const char *name;
	enum err (*run)(struct burn *);
	enum err (*by_ticket)(struct burn *); /* NULL: likewise */
	int lasts;
} steps[STEPS] = {
    [RESERVE] = {"reserve", step_reserve, ticket_reserve, 0},
    [RELEASE] = {"release", step_release, ticket_release, 0},
    [WRITE] = {"write", step_write, NULL, 1},
    [READ_BACK] = {"read-back", burn_read_back, NULL, 0},
    [PROVE] = {"prove", burn_prove, NULL, 0},
    [CONFIRM] = {"confirm", step_confirm, ticket_confirm, 1},
    [LOCK] = {"lock", step_lock, NULL, 1},
};

/* It is the journal that is to be mended first, whatever else there was. */
static enum err
unnoted(struct burn *b, enum err e)
{
	int why = errno;

	b->unnoted = 1;
	b->step = "journal";
	memset(&b->detail, 0, sizeof(b->detail));
	detail_set(&b->detail, "the journal cannot be written: %s",
		   e == ERR_IO ? strerror(why) : err_text(e));
	return e;
}

/*
 * The line that an earlier run was cut off behind can be read and be lost all
 * the same: what a resumed unit is confirmed by is a line of its own.
 */
static int
must_last(const struct burn *b, int step)
{
	return steps[step].lasts || b->ticket != NULL ||
	       (b->resumed && step == PROVE);
}

static enum err
note(struct burn *b, int step)
{
	enum err e;

	e = copy_str(b->unit.order, sizeof(b->unit.order), b->order);
	if (e == ERR_OK)
		e = copy_str(b->unit.serial, sizeof(b->unit.serial), b->serial);
	if (e == ERR_OK)
		e = copy_str(b->unit.target, sizeof(b->unit.target),
			     target_name(b->target));
	if (e == ERR_OK)
		e = copy_str(b->unit.step, sizeof(b->unit.step),
			     steps[step].name);
	if (e == ERR_OK)
		e = journal_note(&b->unit, &b->noted);
	if (e == ERR_OK && must_last(b, step))
		e = journal_commit(b->journal, &b->noted);
	return e == ERR_OK ? e : unnoted(b, e);
}

/* What a unit that stopped here has come to: the next run goes on there. */
static enum err
note_stop(struct burn *b, enum err why)
{
	enum err e = journal_commit(b->journal, &b->noted);

	return e == ERR_OK ? why : unnoted(b, e);
}

/* What was confirmed is finished. */
static int
halts(struct burn *b, int step)
{
	if (b->nmarks < BURN_MARKS)
		b->marks[b->nmarks++] = (struct burn_mark){
		    b->step, clock_mono_ms(&clock_system)};
	b->halted = step <= CONFIRM && b->halt != NULL &&
		    atomic_load(b->halt) != 0;
	return b->halted;
}

static enum err
run_step(struct burn *b, int i)
{
	return b->ticket != NULL && steps[i].by_ticket != NULL
		   ? steps[i].by_ticket(b)
		   : steps[i].run(b);
}

static enum err
run_steps(struct burn *b, int from, int to)
{
	enum err e;
	int i;

	for (i = from; i <= to; i++) {
		b->step = steps[i].name;
		e = halts(b, i) ? ERR_BUSY : run_step(b, i);
		if (e != ERR_OK)
			return note_stop(b, e);
		if ((e = note(b, i)) != ERR_OK)
			return e;
	}
	return ERR_OK;
}

static int
final_step(const struct target *t)
{
	return (target_can(t) & TARGET_LOCKS) != 0 ? LOCK : CONFIRM;
}

static int
step_number(const struct journal_entry *unit)
{
	int i;

	for (i = STEPS - 1; i >= 0; i--) {
		if (strcmp(unit->step, steps[i].name) == 0)
			break;
	}
	return i;
}

int
burn_before(struct journal *j, const char *serial, const struct target *t,
	    struct journal_entry *out)
{
	const char *name = target_name(t);

	return journal_last(j, serial, out) == ERR_OK &&
	       step_number(out) >= final_step(t) &&
	       strncmp(out->target, name, strcspn(name, ":") + 1) == 0;
}

/*
 * The step to go on behind, or -1. A unit whose last burn went into another
 * target is begun anew, so that the authority decides: what was written here
 * before could pass for the live identity that the other target holds.
 */
static int
last_step(struct burn *b)
{
	if (journal_last(b->journal, b->serial, &b->unit) != ERR_OK ||
	    strcmp(b->unit.target, target_name(b->target)) != 0)
		return -1;
	return step_number(&b->unit);
}

/*
 * Goes on behind the write: no key need be released for that again. That it
 * is done is noted anew: a line whose sync failed can be read all the same.
 */
static enum err
resume(struct burn *b, int last)
{
	unsigned can = target_can(b->target);
	enum err e = ERR_OK;

	b->resumed = 1;
	b->step = steps[CONFIRM].name;
	if (can != 0 && (last < CONFIRM || (can & TARGET_PROVES) != 0))
		return run_steps(b, READ_BACK, final_step(b->target));
	if (can != 0) { /* else nothing but the authority can tell */
		b->step = steps[READ_BACK].name;
		e = burn_read_back(b);
		if (e == ERR_OK)
			e = burn_prove(b);
	}
	if (e != ERR_OK)
		return e;
	b->step = steps[CONFIRM].name;
	e = look_up(b);
	if (e == ERR_OK)
		e = note(b, CONFIRM);
	return e == ERR_OK ? run_steps(b, LOCK, final_step(b->target)) : e;
}

int
burn_at_target(const char *step)
{
	return strcmp(step, "target") == 0 ||
	       strcmp(step, steps[WRITE].name) == 0 ||
	       strcmp(step, steps[READ_BACK].name) == 0 ||
	       strcmp(step, steps[PROVE].name) == 0 ||
	       strcmp(step, steps[LOCK].name) == 0;
}

/*
 * Was this failure of resume one that a burn from the start may mend? What is
 * late may be torn, too; but a unit that is done is not begun anew for that.
 */
static int
start_over(const struct burn *b, enum err e, int last)
{
	if (e == ERR_TIMEOUT)
		return last < CONFIRM && burn_at_target(b->step);
	return e == ERR_NOT_FOUND || e == ERR_RECORD || e == ERR_WRONG_STATE ||
	       e == ERR_CHALLENGE || e == ERR_PROOF || e == ERR_CONFIG ||
	       e == ERR_TOO_LARGE;
}

/*
 * The unit is done, or (ERR_WRONG_STATE) came back and is to be burned again.
 * That the authority will not have it burned is a device with a next key of
 * its own; any other failure leaves open which it is.
 */
static enum err
came_back(struct burn *b)
{
	const struct journal_entry unit = b->unit;
	const struct device dev = b->device;
	const struct detail d = b->detail;
	enum err e;

	if (dev.pending == 0)
		return ERR_OK; /* most are asked about once only */
	b->step = steps[RESERVE].name;
	e = step_reserve(b);
	if (e == ERR_OK)
		return ERR_WRONG_STATE;
	if (e != ERR_SERIAL_USED && e != ERR_WRONG_STATE)
		return e;
	b->unit = unit;
	b->device = dev;
	b->detail = d;
	return ERR_OK;
}

enum err
burn_run(struct burn *b)
{
	enum err e;
	int last;

	b->step = "journal";
	if ((e = journal_claim(b->journal, b->serial)) != ERR_OK) {
		detail_set(&b->detail, "another run is burning this unit");
		return e;
	}
	b->step = "target";
	if ((e = target_ready(b->target, &b->detail)) != ERR_OK)
		return e;
	e = ERR_NOT_FOUND;
	last = last_step(b);
	if (last >= WRITE && b->unit.has_challenge &&
	    name_is_device_id(b->unit.device_id) &&
	    burn_segment_ok(b->unit.device_id))
		e = resume(b, last);
	if (e == ERR_OK && b->resumed)
		e = came_back(b);
	if (e != ERR_OK && start_over(b, e, last)) {
		b->resumed = 0;
		memset(&b->detail, 0, sizeof(b->detail));
		secret_free(&b->record);
		memset(&b->unit, 0, sizeof(b->unit));
		e = run_steps(b, RESERVE, final_step(b->target));
	}
	secret_free(&b->record);
	buf_free(&b->noted);
	wipe(b->answer, sizeof(b->answer));
	return e;
}
