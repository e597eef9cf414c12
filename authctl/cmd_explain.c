#include <stdio.h>
#include <string.h>
#include "authctl/ctl.h"
#include "authctl/table.h"
#include "lib/base/b64url.h"
#include "lib/base/secret.h"
#include "lib/model/names.h"

#define SUBJECT_MAX 8192
#define PSKID_OCTETS 33

static const struct column device_columns[] = {
    {"device", "device_id"},
    {"number", "number"},
    {"state", "state"},
    {"epoch", "epoch"},
    {"pending epoch", "pending_epoch"},
    {"possible clone", "possible_clone"},
    {"serial", "serial"},
    {"order", "order"},
    {"model", "model"},
    {"groups", "groups"},
};
static const struct column claim_columns[] = {
    {"token", "jti"},
    {"issuer", "iss"},
    {"audience", "aud"},
    {"scope", "scope"},
    {"issued", "iat"},
    {"expires", "exp"},
    {"position", "pos"},
    {"epoch", "ep"},
    {"groups", "grp"},
};
static const struct column event_columns[] = {
    {"POSITION", "pos"},
    {"KIND", "kind"},
    {"ID", "id"},
    {"EFFECT", "effect"},
    {"EPOCH MAX", "ep_max"},
    {"AT", "at"},
};

/* '-': the first line of standard input, since tokens are secrets. */
static int
read_subject(const char *arg, char *out, size_t size)
{
	size_t len;

	if (strcmp(arg, "-") == 0) {
		if (fgets(out, (int)size, stdin) == NULL)
			return ctl_usage("standard input has no line");
	} else if (strlen(arg) < size) {
		memcpy(out, arg, strlen(arg) + 1);
	} else {
		return ctl_usage("the argument is too long");
	}
	len = strcspn(out, "\r\n");
	out[len] = '\0';
	return 0;
}

/* A JWS has two dots; a PSK identity is the text of 33 octets. */
static const char *
guess(const char *s)
{
	unsigned char octets[PSKID_OCTETS];
	const char *p;
	int dots = 0;

	for (p = s; *p != '\0'; p++)
		dots += *p == '.';
	if (dots == 2 && strlen(s) > NAME_MAX_LEN)
		return "token";
	if (strlen(s) == PSKID_LEN &&
	    b64url_decode_exact(s, PSKID_LEN, octets, sizeof(octets)) == ERR_OK)
		return "identity";
	return "device_id";
}

static const char *
member_of(const struct ctl *ctl, const char *subject)
{
	const char *as = ctl->args.as;

	if (as == NULL)
		return guess(subject);
	if (strcmp(as, "device") == 0)
		return "device_id";
	if (strcmp(as, "token") == 0 || strcmp(as, "identity") == 0)
		return as;
	return NULL;
}

static void
print_text(const char *title, const json_t *v)
{
	const struct column col = {title, "v"};
	json_t *row;

	if (!json_is_string(v) || *json_string_value(v) == '\0')
		return;
	row = json_pack("{s:O}", "v", v);
	if (row != NULL)
		(void)table_object(&col, 1, row);
	json_decref(row);
}

static void
print_verdict(const json_t *o)
{
	const struct column cols[] = {{"verdict", "v"}, {"code", "code"},
	    {"reason", "reason"}, {"as of position", "position"}};
	json_t *row;

	row = json_pack("{s:s, s:O?, s:O?, s:O?}", "v",
	    json_is_true(json_object_get(o, "accepted")) ? "accepted"
							 : "refused",
	    "code", json_object_get(o, "code"), "reason",
	    json_object_get(o, "reason"), "position",
	    json_object_get(o, "position"));
	if (row != NULL)
		(void)table_object(cols, N(cols), row);
	json_decref(row);
}

static void
print_explanation(const json_t *o)
{
	const json_t *part;

	print_text("what", json_object_get(o, "what"));
	print_text("audience", json_object_get(o, "audience"));
	part = json_object_get(o, "claims");
	if (json_is_object(part))
		(void)table_object(claim_columns, N(claim_columns), part);
	part = json_object_get(o, "device");
	if (json_is_object(part)) {
		printf("\n");
		(void)table_object(device_columns, N(device_columns), part);
	}
	printf("\n");
	print_verdict(o);
	part = json_object_get(o, "events");
	if (json_array_size(part) == 0) {
		printf("\nno event names it\n");
		return;
	}
	printf("\n");
	(void)table_print(event_columns, N(event_columns), part);
}

int
cmd_explain(struct ctl *ctl)
{
	char subject[SUBJECT_MAX];
	const char *member;
	json_t *o;
	int code;

	code = read_subject(ctl->args.pos[0], subject, sizeof(subject));
	if (code != 0)
		return code;
	member = member_of(ctl, subject);
	if (member == NULL) {
		wipe(subject, sizeof(subject));
		return ctl_usage("--as token, identity or device");
	}
	code = ctl_call(
	    ctl, "POST", json_pack("{s:s}", member, subject), "/v1/explain");
	wipe(subject, sizeof(subject));
	if (code != 0)
		return code;
	if (ctl->args.json)
		return ctl_print_json(ctl);
	o = ctl_answer(ctl);
	if (o == NULL)
		return EXIT_REFUSED;
	print_explanation(o);
	json_decref(o);
	return EXIT_DONE;
}

const struct opt explain_options[] = {
    {"as", 0, OPT_STRING, "KIND",
	"token, identity or device, where the form does not tell",
	offsetof(struct args, as), 0, NULL},
    OPTIONS_END,
};
