#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "authctl/ctl.h"
#include "authctl/table.h"
#include "lib/base/file.h"
#include "lib/model/receipt.h"

#define OPTIONS_MAX 32
#define PATH_MAX_LEN 1024
#define BODY_MAX 65536
#define ANSWER_MAX (4u << 20)
#define ENV_PREFIX "FEALTY"

#define O(m) offsetof(struct args, m)
static const struct opt common[] = {
    {"url", 'u', OPT_STRING, "URL", "issuer URL of the tenant (FEALTY_URL)",
	O(url), 0, NULL},
    {"credential-file", 'c', OPT_STRING, "FILE",
	"file with the caller's credential, mode 0600 "
	"(FEALTY_CREDENTIAL_FILE)",
	O(credential_file), 0, NULL},
    {"ca-file", 0, OPT_STRING, "FILE",
	"certificates to trust instead of the system's (FEALTY_CA_FILE)",
	O(ca_file), 0, NULL},
    {"timeout", 0, OPT_DURATION, "TIME", "limit of one try", O(timeout_ms),
	600000, "10s"},
    {"json", 'j', OPT_FLAG, NULL, "print the server's JSON", O(json), 0, NULL},
    {"help", 'h', OPT_FLAG, NULL, "show this help", O(help), 0, NULL},
    OPTIONS_END,
};
#undef O
#define NCOMMON (sizeof(common) / sizeof(common[0]) - 1)
#define NENV 3 /* of them may come from the environment */

const struct opt *
ctl_common_options(void)
{
	return common;
}

size_t
ctl_count(const struct opt *opts)
{
	size_t n = 0;

	while (opts != NULL && opts[n].name != NULL)
		n++;
	return n;
}

static int
tell(int code, const char *fmt, va_list ap)
{
	fputs("authctl: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	return code;
}

int
ctl_usage(const char *fmt, ...)
{
	va_list ap;
	int code;

	va_start(ap, fmt);
	code = tell(EXIT_USAGE, fmt, ap);
	va_end(ap);
	return code;
}

int
ctl_refused(const char *fmt, ...)
{
	va_list ap;
	int code;

	va_start(ap, fmt);
	code = tell(EXIT_REFUSED, fmt, ap);
	va_end(ap);
	return code;
}

int
ctl_problem(enum err e, const struct problem *why)
{
	const char *detail = "";
	char clean[sizeof(why->detail)] = "";
	size_t i;

	if (why != NULL && why->detail[0] != '\0') {
		memcpy(clean, why->detail, sizeof(clean));
		clean[sizeof(clean) - 1] = '\0';
		for (i = 0; clean[i] != '\0'; i++) {
			if ((unsigned char)clean[i] < 0x20 || clean[i] == 0x7f)
				clean[i] = '?';
		}
		detail = clean;
	}
	fprintf(stderr, "authctl: %s%s%s (%s)\n", err_text(e),
	    *detail != '\0' ? ": " : "", detail, err_code(e));
	return err_retryable(e) ? EXIT_RETRY : EXIT_REFUSED;
}

/* Words before the first option; a lone "-" is a word. */
static int
is_word(const char *s)
{
	return s[0] != '-' || s[1] == '\0';
}

static int
add_positional(struct args *a, const char *s)
{
	if (a->npos == POSITIONALS_MAX)
		return ctl_usage("too many arguments: %s", s);
	a->pos[a->npos++] = s;
	return 0;
}

/* Environment for the connection only: never for what a command does. */
static int
read_environment(struct args *a, char **argv)
{
	struct args env;
	struct detail d = {""};
	int rest;

	memset(&env, 0, sizeof(env));
	if (opt_parse(common, NENV, ENV_PREFIX, 1, argv, &env, &rest, &d) !=
	    ERR_OK)
		return ctl_usage("%s", d.text);
	if (a->url == NULL)
		a->url = env.url;
	if (a->credential_file == NULL)
		a->credential_file = env.credential_file;
	if (a->ca_file == NULL)
		a->ca_file = env.ca_file;
	return 0;
}

/* argv[0] is the command's name. */
int
ctl_parse(struct ctl *ctl, const struct command *cmd, int argc, char **argv)
{
	struct opt table[OPTIONS_MAX];
	struct args *a = &ctl->args;
	struct detail d = {""};
	size_t nopts = ctl_count(cmd->opts);
	int i, rest, first = 1, code;

	if (NCOMMON + nopts > OPTIONS_MAX)
		return ctl_refused("%s has too many options", cmd->name);
	memcpy(table, common, NCOMMON * sizeof(*table));
	if (nopts > 0)
		memcpy(table + NCOMMON, cmd->opts, nopts * sizeof(*table));
	while (first < argc && is_word(argv[first]))
		first++;
	if (opt_parse(table, NCOMMON + nopts, NULL, argc - first + 1,
		argv + first - 1, a, &rest, &d) != ERR_OK)
		return ctl_usage("%s; see authctl help %s", d.text, ctl->name);
	/* opt_parse may move words behind the options, so collect after */
	a->npos = 0;
	for (i = 1; i < argc; i++) {
		if (i >= first && i < first - 1 + rest)
			continue;
		code = add_positional(a, argv[i]);
		if (code != 0)
			return code;
	}
	if (!a->help && a->npos != cmd->npos)
		return ctl_usage("%s takes %s; see authctl help %s", ctl->name,
		    cmd->npos == 0 ? "no argument" : cmd->args, ctl->name);
	return read_environment(a, argv);
}

/* How long the authority may hold an answer back. */
static uint64_t
held_ms(const struct args *a)
{
	return a->wait_ms < RECEIPT_WAIT_MAX * 1000 ? a->wait_ms :
	    RECEIPT_WAIT_MAX * 1000;
}

int
ctl_open(struct ctl *ctl)
{
	const struct args *a = &ctl->args;
	struct secret credential = {0};
	struct client_conf conf = {
	    .url = a->url,
	    .ca_file = a->ca_file,
	    .credential = &credential,
	    .timeout_ms = (uint32_t)(a->timeout_ms + held_ms(a)),
	    .answer_max = ANSWER_MAX,
	};
	enum err e;
	int code = 0;

	if (a->url == NULL)
		return ctl_usage("give --url URL or set FEALTY_URL");
	if (a->credential_file == NULL)
		return ctl_usage("give --credential-file FILE or set "
				 "FEALTY_CREDENTIAL_FILE");
	e = client_read_credential(a->credential_file, &credential);
	if (e != ERR_OK) {
		code = ctl_usage("%s: %s", a->credential_file,
		    client_credential_fault(e));
		goto out;
	}
	e = client_new(&conf, &ctl->client);
	if (e != ERR_OK)
		code = ctl_usage("%s: %s: https, or http to a loopback "
				 "address",
		    a->url, err_text(e));
out:
	secret_free(&credential);
	return code;
}

void
ctl_close(struct ctl *ctl)
{
	client_free(&ctl->client);
	buf_free(&ctl->answer);
}

static enum err
request(struct ctl *ctl, const char *method, json_t *body, struct problem *why,
    const char *fmt, va_list ap)
{
	struct buf text = {.max = BODY_MAX};
	char path[PATH_MAX_LEN];
	enum err e;
	int n;

	memset(why, 0, sizeof(*why));
	n = vsnprintf(path, sizeof(path), fmt, ap);
	if (n < 0 || (size_t)n >= sizeof(path)) {
		json_decref(body);
		return ERR_TOO_LARGE;
	}
	if (body != NULL) {
		e = jout(body, &text);
		if (e != ERR_OK)
			goto out;
	}
	e = client_call(ctl->client, method, path, NULL,
	    body == NULL ? NULL : &text, &ctl->answer, why);
out:
	buf_free(&text);
	return e;
}

enum err
ctl_try(struct ctl *ctl, const char *method, json_t *body, struct problem *why,
    const char *fmt, ...)
{
	va_list ap;
	enum err e;

	va_start(ap, fmt);
	e = request(ctl, method, body, why, fmt, ap);
	va_end(ap);
	return e;
}

int
ctl_call(
    struct ctl *ctl, const char *method, json_t *body, const char *fmt, ...)
{
	struct problem why;
	va_list ap;
	enum err e;

	va_start(ap, fmt);
	e = request(ctl, method, body, &why, fmt, ap);
	va_end(ap);
	return e == ERR_OK ? 0 : ctl_problem(e, &why);
}

json_t *
ctl_answer(const struct ctl *ctl)
{
	json_t *o = NULL;

	if (ctl->answer.p != NULL)
		o = json_loadb(ctl->answer.p, ctl->answer.len,
		    JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(o)) {
		json_decref(o);
		(void)ctl_refused("the answer is no JSON object: is this URL "
				  "an authority's?");
		return NULL;
	}
	return o;
}

int
ctl_print_json(const struct ctl *ctl)
{
	if (ctl->answer.len > 0)
		fwrite(ctl->answer.p, 1, ctl->answer.len, stdout);
	fputc('\n', stdout);
	return EXIT_DONE;
}

int
ctl_print_object(const struct ctl *ctl, const struct column *cols, size_t n)
{
	json_t *o;

	if (ctl->args.json)
		return ctl_print_json(ctl);
	o = ctl_answer(ctl);
	if (o == NULL)
		return EXIT_REFUSED;
	(void)table_object(cols, n, o);
	json_decref(o);
	return EXIT_DONE;
}

int
ctl_print_rows(const struct ctl *ctl, const char *member,
    const struct column *cols, size_t n)
{
	json_t *o, *next;

	if (ctl->args.json)
		return ctl_print_json(ctl);
	o = ctl_answer(ctl);
	if (o == NULL)
		return EXIT_REFUSED;
	(void)table_print(cols, n, json_object_get(o, member));
	next = json_object_get(o, "next");
	if (json_is_integer(next))
		fprintf(stderr, "authctl: there are more: --after %lld\n",
		    (long long)json_integer_value(next));
	json_decref(o);
	return EXIT_DONE;
}

json_t *
ctl_list(const char *s)
{
	json_t *list = json_array();
	size_t n;

	while (list != NULL && s != NULL && *s != '\0') {
		n = strcspn(s, ",");
		if (json_array_append_new(list, json_stringn(s, n)) != 0) {
			json_decref(list);
			return NULL;
		}
		s += n;
		s += *s == ',';
	}
	return list;
}

json_t *
ctl_reason(const struct ctl *ctl)
{
	if (ctl->args.reason == NULL)
		return json_object();
	return json_pack("{s:s}", "reason", ctl->args.reason);
}

int
ctl_secret_check(const char *path, const char *option)
{
	struct stat st;

	if (path == NULL)
		return ctl_usage("give --%s FILE ('-' prints the new "
				 "credential)", option);
	if (strcmp(path, "-") != 0 && lstat(path, &st) == 0)
		return ctl_usage("%s exists: name a new file", path);
	return 0;
}

int
ctl_secret_write(const char *path, const char *text)
{
	struct buf line = {.max = 8192};
	enum err e;

	if (strcmp(path, "-") == 0) {
		printf("%s\n", text);
		return EXIT_DONE;
	}
	e = buf_fmt(&line, "%s\n", text);
	if (e == ERR_OK)
		e = file_create_atomic(path, 0600, line.p, line.len);
	if (line.p != NULL)
		wipe(line.p, line.len);
	buf_free(&line);
	if (e != ERR_OK)
		return ctl_refused("%s could not be written (%s): the new "
				   "credential is lost, disable it and make "
				   "another",
		    path, err_text(e));
	return EXIT_DONE;
}

int
ctl_credential_check(const struct ctl *ctl)
{
	return ctl_secret_check(ctl->args.credential_out, "credential-out");
}

int
ctl_credential_write(const struct ctl *ctl, const char *credential)
{
	return ctl_secret_write(ctl->args.credential_out, credential);
}
