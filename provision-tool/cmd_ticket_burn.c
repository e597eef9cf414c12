/* burn --ticket: a burn without network. */
#include <stddef.h>
#include <stdio.h>

#include "lib/base/opt.h"
#include "provision-tool/cmd.h"
#include "provision-tool/station_key.h"
#include "provision-tool/tell.h"
#include "provision-tool/ticket_burn.h"
#include "provision-tool/ticket_file.h"

struct ticket_opts {
	int help, json;
	const char *ticket, *key, *serial, *target, *journal;
};

#define AT(member) offsetof(struct ticket_opts, member)
static const struct opt options[] = {
    {"ticket", 0, OPT_STRING, "FILE", "the ticket, as it was pulled",
     AT(ticket), 0, NULL},
    {"station-key", 'k', OPT_STRING, "FILE",
     "the station's key, mode 0600, that the ticket is for", AT(key), 0, NULL},
    {"serial", 's', OPT_STRING, "SERIAL", "serial number, as scanned",
     AT(serial), 0, NULL},
    {"target", 't', OPT_STRING, "KIND:WHERE",
     "what to burn into; provision-tool targets lists the kinds", AT(target), 0,
     NULL},
    {"journal", 'j', OPT_STRING, "DIR",
     "folder of the journal and of the ticket's book", AT(journal), 0, NULL},
    {"json", 0, OPT_FLAG, NULL, "print the result as JSON", AT(json), 0, NULL},
    {"help", 'h', OPT_FLAG, NULL, "this text", AT(help), 0, NULL},
};
static const struct cmd self = {
    .name = "burn --ticket FILE",
    .synopsis = "--station-key FILE --serial SERIAL --target KIND:WHERE "
		"--journal DIR",
    .options = options,
    .noptions = sizeof(options) / sizeof(options[0]),
};

static int
check_opts(const struct ticket_opts *o)
{
	if (o->ticket == NULL)
		return cmd_usage(&self, "missing option --ticket");
	if (o->key == NULL)
		return cmd_usage(&self, "missing option --station-key");
	if (o->serial == NULL)
		return cmd_usage(&self, "missing option --serial");
	if (o->target == NULL)
		return cmd_usage(&self, "missing option --target");
	if (o->journal == NULL)
		return cmd_usage(&self, "missing option --journal");
	return tell_serial(o->serial);
}

static const char *
advice(const char *step, enum err e)
{
	if (e == ERR_SERIAL_USED)
		return "; if the unit works, it is done: push the ticket; else "
		       "give the unit another serial number";
	if (err_retryable(e) || burn_at_target(step) || e == ERR_IO)
		return "; check that and run the same command again";
	return "";
}

static int
complain(const struct ticket_opts *o, const char *step, enum err e,
	 const struct detail *d)
{
	(void)fprintf(stderr, "provision-tool: unit %s: %s: %s%s%s (%s)%s\n",
		      o->serial, step, err_text(e),
		      d->text[0] == '\0' ? "" : ": ", d->text, err_code(e),
		      advice(step, e));
	return err_retryable(e) ? TRY_AGAIN : REFUSED;
}

static void
print_result(const struct ticket_opts *o, const struct burn *b)
{
	const struct device *dev = &b->device;

	if (!o->json) {
		(void)printf("burned %s (serial %s, epoch %u) to %s: to be "
			     "pushed, proof %s\n",
			     dev->device_id, dev->serial, dev->epoch,
			     target_name(b->target), proof_name(dev->proof));
		return;
	}
	/* all of these are names, which JSON takes as they are */
	(void)printf("{\"device_id\":\"%s\",\"number\":%llu,"
		     "\"serial\":\"%s\",\"order\":\"%s\",\"epoch\":%u,"
		     "\"state\":\"to-be-pushed\",\"proof\":\"%s\","
		     "\"resumed\":%s}\n",
		     dev->device_id, (unsigned long long)dev->dn, dev->serial,
		     dev->order, dev->epoch, proof_name(dev->proof),
		     b->resumed ? "true" : "false");
}

/* All that the burn stands on. */
struct stand {
	struct signer *key;
	struct ticket ticket;
	struct burn_ticket by;
	char journal[TICKET_ID_LEN + sizeof("ticket-")];
};

static enum err
prepare(const struct ticket_opts *o, struct stand *s, struct burn *b,
	const char **step)
{
	enum err e;

	*step = "station key";
	e = station_key_read(o->key, &s->key, &b->detail);
	if (e == ERR_OK)
		e = jwe_key_of(s->key, &s->by.open);
	if (e != ERR_OK)
		return e;
	*step = "ticket";
	e = ticket_file_read(o->ticket, s->key, &s->ticket, &b->detail);
	if (e != ERR_OK)
		return e;
	*step = "target";
	e = target_open(o->target, &b->target, &b->detail);
	if (e == ERR_OK && (target_can(b->target) & TARGET_MAKES) != 0) {
		detail_set(&b->detail, "a device that makes its own key needs "
			   "the authority: burn it without --ticket");
		e = ERR_REQUEST;
	}
	if (e != ERR_OK)
		return e;
	*step = "journal";
	(void)snprintf(s->journal, sizeof(s->journal), "ticket-%s",
		       s->ticket.id);
	e = journal_open(o->journal, s->journal, &b->journal, &b->detail);
	s->by.ticket = &s->ticket;
	s->by.key = s->key;
	s->by.dir = o->journal;
	b->ticket = &s->by;
	b->order = s->journal;
	b->serial = o->serial;
	return e;
}

static int
run(const struct ticket_opts *o)
{
	struct stand s = {.key = NULL};
	struct burn b = {.step = NULL};
	enum err e;
	int code = DONE;

	e = prepare(o, &s, &b, &b.step);
	if (e == ERR_OK)
		e = burn_run(&b);
	if (e == ERR_OK)
		print_result(o, &b);
	else
		code = complain(o, b.step, e, &b.detail);
	journal_close(&b.journal);
	target_close(&b.target);
	ticket_free(&s.ticket);
	jwe_key_free(&s.by.open);
	signer_free(&s.key);
	return code;
}

int
cmd_ticket_burn(int argc, char **argv)
{
	struct ticket_opts o = {0};
	int code;

	if ((code = cmd_options(&self, argc, argv, &o, &o.help)) != GO_ON)
		return code;
	code = check_opts(&o);
	return code == DONE ? run(&o) : code;
}
