#include <sys/stat.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/file.h"
#include "lib/base/opt.h"
#include "lib/wire/record.h"
#include "provision-tool/cmd.h"
#include "provision-tool/form.h"

struct show_opts {
	int help, json;
};

static const struct opt options[] = {
    {"json", 0, OPT_FLAG, NULL, "print it as JSON",
     offsetof(struct show_opts, json), 0, NULL},
    {"help", 'h', OPT_FLAG, NULL, "this text", offsetof(struct show_opts, help),
     0, NULL},
};
#define NOPTIONS (sizeof(options) / sizeof(options[0]))

static void
print_text(const struct record *r)
{
	const struct peer *p;
	uint32_t i;

	(void)printf("device     %s\nepoch      %u\nissuer     %s\n"
		     "key        32 octets, not shown\n",
		     r->device_id, r->epoch, r->issuer);
	for (i = 0; i < r->npeers; i++) {
		p = &r->peers[i];
		(void)printf("peer       %s at %s port %u, identity %s\n",
			     p->audience, p->host, p->port, p->identity);
	}
}

static enum err
print_json(const struct record *r)
{
	struct buf b = {.max = (size_t)2 * RECORD_MAX};
	enum err e;

	e = jout(json_pack("{s:s,s:I,s:s,s:o}", "device_id", r->device_id,
			   "epoch", (json_int_t)r->epoch, "issuer", r->issuer,
			   "peers", wire_peers_json(r->peers, r->npeers)),
		 &b);
	if (e == ERR_OK)
		(void)printf("%s\n", b.p);
	buf_free(&b);
	return e;
}

/* Why a file that is there is not read: what it is, or who may. */
static void
say_unfit(const char *path, struct detail *d)
{
	struct stat st;

	if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
		detail_set(d, "it is no file");
	else
		detail_set(d, "others may read it, so no key belongs there: "
			   "if it is a record, chmod 600");
}

static enum err
read_record(const char *path, struct record *r, struct detail *d)
{
	struct secret octets = {0}, record = {0};
	enum err e;

	e = file_read_secret(path, FORM_MAX, &octets);
	switch (e) {
	case ERR_OK:
		e = form_decode(form_detect(&octets), &octets, &record, d);
		if (e == ERR_OK)
			e = record_decode(record.p, record.len, r, d);
		break;
	case ERR_CONFIG:
		say_unfit(path, d);
		break;
	case ERR_NOT_FOUND:
		detail_set(d, "no such file");
		break;
	case ERR_TOO_LARGE:
		detail_set(d, "it is larger than any identity record");
		break;
	default:
		detail_set(d, "it cannot be read: %s", strerror(errno));
		break;
	}
	secret_free(&octets);
	secret_free(&record);
	return e;
}

int
cmd_show(int argc, char **argv)
{
	struct show_opts o = {0};
	struct detail d = {""};
	struct record r;
	enum err e;
	int rest;

	if (opt_parse(options, NOPTIONS, NULL, argc, argv, &o, &rest, &d) !=
	    ERR_OK) {
		(void)fprintf(stderr,
			      "provision-tool: %s; "
			      "see provision-tool show --help\n",
			      d.text);
		return USAGE;
	}
	if (o.help || argc - rest != 1) {
		(void)fprintf(o.help ? stdout : stderr,
			      "usage: provision-tool show FILE [--json]\n");
		if (o.help)
			opt_help(options, NOPTIONS);
		return o.help ? DONE : USAGE;
	}
	memset(&r, 0, sizeof(r));
	e = read_record(argv[rest], &r, &d);
	if (e == ERR_OK && o.json)
		e = print_json(&r);
	else if (e == ERR_OK)
		print_text(&r);
	record_wipe(&r);
	if (e == ERR_OK)
		return DONE;
	(void)fprintf(stderr, "provision-tool: %s: %s (%s)\n", argv[rest],
		      d.text[0] == '\0' ? err_text(e) : d.text, err_code(e));
	return REFUSED;
}
