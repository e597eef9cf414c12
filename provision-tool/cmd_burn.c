#include <limits.h>
#include <pwd.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/opt.h"
#include "provision-tool/burn.h"
#include "provision-tool/cmd.h"

struct burn_opts {
	int help, json;
	const char *order, *serial, *target, *url, *credential_file, *ca_file,
	    *journal;
};

#define AT(member) offsetof(struct burn_opts, member)
static const struct opt options[] = {
    {"order", 'o', OPT_STRING, "ORDER", "production order of the unit",
     AT(order), 0, NULL},
    {"serial", 's', OPT_STRING, "SERIAL", "serial number, as scanned",
     AT(serial), 0, NULL},
    {"target", 't', OPT_STRING, "KIND:WHERE", "what to burn into; provision-tool targets lists the kinds",
     AT(target), 0, NULL},
    {"url", 'u', OPT_STRING, "URL", "the authority's base URL", AT(url), 0,
     NULL},
    {"credential-file", 'c', OPT_STRING, "FILE",
     "file with the station's credential, mode 0600", AT(credential_file), 0,
     NULL},
    {"ca-file", 0, OPT_STRING, "FILE",
     "certificates to trust instead of the system's", AT(ca_file), 0, NULL},
    {"journal", 'j', OPT_STRING, "DIR",
     "folder of the journal [~/.local/state/fealty]", AT(journal), 0, NULL},
    {"json", 0, OPT_FLAG, NULL, "print the result as JSON", AT(json), 0, NULL},
    {"help", 'h', OPT_FLAG, NULL, "this text", AT(help), 0, NULL},
};
#define NOPTIONS (sizeof(options) / sizeof(options[0]))

static int
usage(const char *what, const char *more)
{
	(void)fprintf(stderr,
		      "provision-tool: %s%s; "
		      "see provision-tool burn --help\n",
		      what, more);
	return USAGE;
}

static int
exit_code(enum err e)
{
	if (e == ERR_OK)
		return DONE;
	return err_retryable(e) ? TRY_AGAIN : REFUSED;
}

/* What to do about a failure, where the error's own text does not say. */
static const char *
advice(const char *step, enum err e)
{
	if (err_retryable(e))
		return "; run the same command again";
	if (e == ERR_SERIAL_USED)
		return "; if the unit works, it is done; if what was burned "
		       "is lost, have that device revoked (authctl revoke) "
		       "and give the unit another serial number";
	if (strcmp(step, "write") == 0 || strcmp(step, "read-back") == 0 ||
	    strcmp(step, "prove") == 0 || strcmp(step, "lock") == 0 ||
	    strcmp(step, "target") == 0)
		return "; check the target and run the same command again";
	if (e == ERR_IO)
		return "; mend that and run the same command again";
	return "";
}

/*
 * One line: the unit, the step, what is wrong as authctl says it ("text:
 * detail (code)"), what to do.
 */
static int
complain(const struct burn_opts *o, const char *step, enum err e,
	 const struct detail *d)
{
	(void)fprintf(stderr, "provision-tool: unit %s: %s: %s%s%s (%s)%s\n",
		      o->serial, step, err_text(e),
		      d->text[0] == '\0' ? "" : ": ", d->text, err_code(e),
		      advice(step, e));
	return exit_code(e);
}

/*
 * The same for what the burn stands on: the fault is in the options, and the
 * detail, where there is one, says it better than the error's own text.
 */
static int
complain_options(const struct burn_opts *o, const char *what, enum err e,
		 const struct detail *d)
{
	(void)fprintf(stderr, "provision-tool: unit %s: %s: %s (%s)%s\n",
		      o->serial, what,
		      d->text[0] == '\0' ? err_text(e) : d->text,
		      err_code(e), advice(what, e));
	return e == ERR_IO || e == ERR_NOMEM ? REFUSED : USAGE;
}

static int
check_opts(const struct burn_opts *o)
{
	static const char lacks[] = "missing option --";

	if (o->order == NULL)
		return usage(lacks, "order");
	if (o->serial == NULL)
		return usage(lacks, "serial");
	if (o->target == NULL)
		return usage(lacks, "target");
	if (o->url == NULL)
		return usage(lacks, "url");
	if (o->credential_file == NULL)
		return usage(lacks, "credential-file");
	if (!name_is_order(o->order) || strcmp(o->order, ".") == 0 ||
	    strcmp(o->order, "..") == 0)
		return usage("that is no name of an order", "");
	if (!name_is_serial(o->serial))
		return usage("that is no serial number: scan again", "");
	return DONE;
}

static int
default_journal(char path[PATH_MAX])
{
	const struct passwd *me = getpwuid(getuid());
	int n;

	if (me == NULL || me->pw_dir == NULL || me->pw_dir[0] != '/')
		return 0;
	n = snprintf(path, PATH_MAX, "%s/.local/state/fealty", me->pw_dir);
	return n > 0 && n < PATH_MAX;
}

static void
print_result(const struct burn_opts *o, const struct burn *b)
{
	const struct device *dev = &b->device;

	if (!o->json) {
		(void)printf("burned %s (serial %s, epoch %u) to %s: %s, "
			     "proof %s\n",
			     dev->device_id, dev->serial, dev->epoch,
			     target_name(b->target),
			     device_state_name(dev->state),
			     proof_name(dev->proof));
		return;
	}
	/* all of these are names, which JSON takes as they are */
	(void)printf("{\"device_id\":\"%s\",\"number\":%llu,"
		     "\"serial\":\"%s\",\"order\":\"%s\",\"epoch\":%u,"
		     "\"state\":\"%s\",\"proof\":\"%s\",\"resumed\":%s}\n",
		     dev->device_id, (unsigned long long)dev->dn, dev->serial,
		     dev->order, dev->epoch, device_state_name(dev->state),
		     proof_name(dev->proof), b->resumed ? "true" : "false");
}

/* Everything the burn stands on; *step names what could not be opened. */
static enum err
prepare(const struct burn_opts *o, struct burn *b, struct detail *d,
	const char **step)
{
	struct client_conf conf = {.url = o->url, .ca_file = o->ca_file};
	struct secret credential = {0};
	char path[PATH_MAX];
	const char *journal = o->journal;
	enum err e;

	*step = "target";
	if ((e = target_open(o->target, &b->target, d)) != ERR_OK)
		goto out;
	*step = "journal";
	e = ERR_CONFIG;
	if (journal == NULL && !default_journal(path)) {
		detail_set(d, "give --journal DIR");
		goto out;
	}
	e = journal_open(journal == NULL ? path : journal, o->order,
			 &b->journal, d);
	if (e != ERR_OK)
		goto out;
	*step = "credential";
	e = client_read_credential(o->credential_file, &credential);
	if (e != ERR_OK) {
		detail_set(d, "%s: %s", o->credential_file,
			   client_credential_fault(e));
		goto out;
	}
	*step = "connection";
	conf.credential = &credential;
	e = client_new(&conf, &b->client);
	if (e != ERR_OK)
		detail_set(d, "check --url and --ca-file");
out:
	secret_free(&credential);
	return e;
}

int
cmd_burn(int argc, char **argv)
{
	struct burn_opts o = {0};
	struct burn b = {0};
	struct detail d = {""};
	const char *step;
	enum err e;
	int rest, code;

	if (opt_parse(options, NOPTIONS, "FEALTY", argc, argv, &o, &rest, &d) !=
	    ERR_OK)
		return usage(d.text, "");
	if (o.help) {
		(void)printf(
		    "usage: provision-tool burn --order ORDER "
		    "--serial SERIAL --target KIND:WHERE [OPTION]...\n\n");
		opt_help(options, NOPTIONS);
		return DONE;
	}
	if (rest < argc)
		return usage("burn takes options only", "");
	if ((code = check_opts(&o)) != DONE)
		return code;
	e = prepare(&o, &b, &d, &step);
	if (e != ERR_OK) {
		code = complain_options(&o, step, e, &d);
		goto out;
	}
	b.order = o.order;
	b.serial = o.serial;
	e = burn_run(&b);
	if (e == ERR_OK)
		print_result(&o, &b);
	else
		(void)complain(&o, b.step, e, &b.detail);
	code = exit_code(e);
out:
	client_free(&b.client);
	journal_close(&b.journal);
	target_close(&b.target);
	return code;
}
