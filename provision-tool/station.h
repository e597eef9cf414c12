#ifndef PROVISION_STATION_H
#define PROVISION_STATION_H

#include <stddef.h>

#include "lib/base/opt.h"
#include "lib/client/client.h"
#include "lib/wire/registry.h"
#include "provision-tool/journal.h"
#include "provision-tool/label.h"

/* What every command of a station is told, and what it opens by that. */
struct station {
	const char *order, *target, *url, *credential_file, *ca_file, *journal;
};

/* The rows of a command's options; st is the member of its struct. */
/* clang-format off */
#define STATION_AT(type, member) offsetof(struct type, st.member)
#define STATION_OPTIONS(type) \
	{"target", 't', OPT_STRING, "KIND:WHERE", \
	 "what to burn into; provision-tool targets lists the kinds", \
	 STATION_AT(type, target), 0, NULL}, \
	STATION_WAY(type)
/* All but the target. */
#define STATION_WAY(type) \
	{"order", 'o', OPT_STRING, "ORDER", "production order of the units", \
	 STATION_AT(type, order), 0, NULL}, \
	{"url", 'u', OPT_STRING, "URL", "the authority's base URL", \
	 STATION_AT(type, url), 0, NULL}, \
	{"credential-file", 'c', OPT_STRING, "FILE", \
	 "file with the station's credential, mode 0600", \
	 STATION_AT(type, credential_file), 0, NULL}, \
	{"ca-file", 0, OPT_STRING, "FILE", \
	 "certificates to trust instead of the system's", \
	 STATION_AT(type, ca_file), 0, NULL}, \
	{"journal", 'j', OPT_STRING, "DIR", \
	 "folder of the journal [~/.local/state/fealty]", \
	 STATION_AT(type, journal), 0, NULL}
/* clang-format on */

/* Those of a label; label is the member of its struct. */
/* clang-format off */
#define LABEL_OPTIONS(type) \
	{"label", 0, OPT_STRING, "KIND", \
	 "png or zpl: a label with serial number, device id and QR code", \
	 offsetof(struct type, label.kind), 0, NULL}, \
	{"label-dir", 0, OPT_STRING, "DIR", \
	 "folder of the labels [beside the record]", \
	 offsetof(struct type, label.dir), 0, NULL}
/* clang-format on */

/* What is wrong with the order, the URL or the credential's file; or NULL. */
const char *station_fault(const struct station *st);
/* The journal's folder, as given or by default; NULL with d. */
const char *station_folder(const struct station *st, char *room, size_t size,
			   struct detail *d);
/* Each sets d; ERR_IO and ERR_NOMEM are the machine's fault, not the
 * options'. */
enum err station_journal(const struct station *st, struct journal **out,
			 struct detail *d) MUST_CHECK;
/* *step says "credential" or "connection"; tries as in client_conf. */
enum err station_client(const struct station *st, uint32_t tries,
			struct client **out, const char **step,
			struct detail *d) MUST_CHECK;
/* The same with the rest of conf as the caller wants it. */
enum err station_connect(struct client_conf *conf, const char *credential_file,
			 struct client **out, const char **step,
			 struct detail *d) MUST_CHECK;
/* What the authority says there; why it refuses goes to d. */
enum err station_get(struct client *c, const char *path, struct buf *answer,
		     struct detail *d) MUST_CHECK;
/* The order as the authority has it; places that are left, 0 if closed. */
enum err station_order(const struct station *st, struct client *c,
		       struct order *out, struct detail *d) MUST_CHECK;
uint32_t station_places_left(const struct order *o);

#endif
