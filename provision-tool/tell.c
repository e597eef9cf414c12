#include "provision-tool/tell.h"

#include <stdio.h>
#include <string.h>

#include "lib/wire/wire.h"
#include "provision-tool/cmd.h"
#include "provision-tool/feed.h"

#define LINE_MAX_LEN 8192

int
tell_exit(enum err e)
{
	if (e == ERR_OK)
		return DONE;
	return err_retryable(e) ? TRY_AGAIN : REFUSED;
}

/* What only somebody else can mend, or another command. */
static const struct {
	enum err e;
	const char *text;
} others[] = {
    {ERR_SERIAL_USED, "; if the unit works, it is done; if what was burned "
		      "is lost, have it approved to be burned again, where "
		      "the order's policy has it (authctl device approve), "
		      "or have that device revoked (authctl revoke) and "
		      "give the unit another serial number"},
    {ERR_ORDER_CLOSED, "; burn it for an order that is open (--order)"},
    {ERR_ORDER_EXPIRED, "; have another order opened (authctl order create) "
			"and burn it for that (--order)"},
    {ERR_ORDER_FULL, "; have another order opened (authctl order create) "
		     "and burn it for that (--order)"},
    {ERR_STATION, "; burn it at one of them, or have an order opened with "
		  "this station"},
    {ERR_CREDENTIAL, "; check --credential-file and --url"},
    {ERR_ROLE, "; give a station's --credential-file"},
};

/* What to do about a failure, where the error's own text does not say. */
static const char *
advice(const char *step, enum err e)
{
	size_t i;

	if (strcmp(step, "verify") == 0 && e == ERR_PROOF)
		return "; this is not what was burned: is it that unit? "
		       "what is lost is approved or revoked (authctl)";
	if (burn_at_target(step))
		return "; check the target and run the same command again";
	if (err_retryable(e))
		return "; run the same command again";
	for (i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (others[i].e == e)
			return others[i].text;
	if (e == ERR_NOT_FOUND && strcmp(step, "reserve") == 0)
		return "; check --order";
	if (e == ERR_PROOF)
		return "; take a target that proves as the order demands "
		       "(provision-tool targets)";
	if (e == ERR_IO)
		return "; mend that and run the same command again";
	return "";
}

void
tell_failure(const struct told *t)
{
	if (t->halted) {
		(void)fprintf(stderr,
			      "provision-tool: unit %s: %s: stopped before "
			      "that, nothing of it is alive; run the same "
			      "command again\n", t->serial, t->step);
		return;
	}
	(void)fprintf(stderr, "provision-tool: unit %s: %s: %s%s%s (%s)%s\n",
		      t->serial, t->step, err_text(t->e),
		      t->detail->text[0] == '\0' ? "" : ": ",
		      t->detail->text, err_code(t->e), advice(t->step, t->e));
}

int
tell_serial(const char *serial)
{
	struct detail d = {""};
	struct unit u;
	struct told t = {.serial = u.serial, .step = "serial", .e = ERR_NAME,
			 .detail = &d};

	unit_take(serial, strlen(serial), &u);
	if (u.fault == NULL)
		return DONE;
	detail_set(&d, "%s", u.fault);
	tell_failure(&t);
	return tell_exit(t.e);
}

void
tell_options(const char *serial, const char *what, enum err e,
	     const struct detail *d)
{
	const char *todo = advice(what, e);

	/* As it stands the command would be wrong again. */
	if (strcmp(what, "target") == 0 && e != ERR_IO && e != ERR_NOMEM)
		todo = "; correct --target or what it names";
	(void)fprintf(stderr, "provision-tool: %s%s%s%s: %s (%s)%s\n",
		      serial == NULL ? "" : "unit ",
		      serial == NULL ? "" : serial, serial == NULL ? "" : ": ",
		      what, d->text[0] == '\0' ? err_text(e) : d->text,
		      err_code(e), todo);
}

int
tell_burned(const struct told *t)
{
	const struct device *dev = t->device;

	if (t->scrapped)
		(void)printf("void %s (serial %s, epoch %u)\n",
			     dev->device_id, t->serial, dev->epoch);
	else if (t->verified != NULL)
		(void)printf("verified %s (serial %s, epoch %u) in %s: %s, "
			     "proof %s\n", dev->device_id, t->serial,
			     dev->epoch, t->target,
			     device_state_name(dev->state), t->verified);
	else if (t->before)
		(void)printf("done before: %s (serial %s, epoch %u) in %s\n",
			     dev->device_id, t->serial, dev->epoch, t->target);
	else
		(void)printf("burned %s (serial %s, epoch %u) to %s: %s, "
			     "proof %s%s\n", dev->device_id, t->serial,
			     dev->epoch, t->target,
			     device_state_name(dev->state),
			     proof_name(dev->proof), dev->unproven ?
			     ", unproven until it authenticates" : "");
	return fflush(stdout);
}

static const char *
result_name(const struct told *t)
{
	if (t->halted)
		return "stopped";
	if (t->e == ERR_OK)
		return "done";
	return err_retryable(t->e) ? "try-again" : "refused";
}

/* Ownership of o goes in and comes back; NULL when there is no room. */
static json_t *
put(json_t *o, const char *name, json_t *value)
{
	if (o != NULL && json_object_set_new(o, name, value) == 0)
		return o;
	json_decref(o);
	return NULL;
}

static json_t *
done_json(json_t *o, const struct told *t)
{
	const struct device *dev = t->device;

	o = put(o, "device_id", json_string(dev->device_id));
	o = put(o, "number", json_integer((json_int_t)dev->dn));
	o = put(o, "order", json_string(dev->order));
	o = put(o, "epoch", json_integer(dev->epoch));
	if (t->before)
		return put(o, "before", json_true());
	o = put(o, "state",
		json_string(device_state_name(dev->state)));
	o = put(o, "proof", json_string(proof_name(dev->proof)));
	if (dev->unproven)
		o = put(o, "unproven", json_true());
	if (t->scrapped)
		return o;
	if (t->verified != NULL)
		return put(o, "verified", json_string(t->verified));
	return put(o, "resumed", json_boolean(t->resumed));
}

/* What a target's tool printed need not be UTF-8. */
static json_t *
text_json(const char *s)
{
	char plain[sizeof(((struct detail *)NULL)->text)];
	size_t i;

	for (i = 0; s[i] != '\0' && i < sizeof(plain) - 1; i++)
		plain[i] = s[i] >= ' ' && s[i] <= '~' ? s[i] : '?';
	plain[i] = '\0';
	return json_string(plain);
}

static json_t *
failed_json(json_t *o, const struct told *t)
{
	o = put(o, "step", json_string(t->step));
	o = put(o, "code", json_string(t->halted ? "stopped" :
						    err_code(t->e)));
	o = put(o, "text", json_string(err_text(t->e)));
	return put(o, "detail", text_json(t->detail->text));
}

int
tell_json(const struct told *t)
{
	struct buf line = {.max = LINE_MAX_LEN};
	json_t *o = json_object();
	int bad = 1;

	o = put(o, "serial", text_json(t->serial));
	o = put(o, "result", json_string(result_name(t)));
	if (t->slot > 0)
		o = put(o, "slot", json_integer(t->slot));
	o = t->e == ERR_OK ? done_json(o, t) : failed_json(o, t);
	if (t->slot > 0 && !t->before)
		o = put(o, "ms", json_integer((json_int_t)t->ms));
	if (jout(o, &line) == ERR_OK && buf_str(&line, "\n") == ERR_OK)
		bad = fwrite(line.p, 1, line.len, stdout) != line.len ||
		      fflush(stdout) != 0;
	buf_free(&line);
	return bad;
}

void
tell_unit(const struct told *t, int json)
{
	if (t->e != ERR_OK)
		tell_failure(t);
	if (json)
		(void)tell_json(t);
	else if (t->e == ERR_OK)
		(void)tell_burned(t);
}
