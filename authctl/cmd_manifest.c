#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "authctl/ctl.h"
#include "lib/base/clock.h"
#include "lib/base/file.h"
#include "lib/base/parse.h"
#include "lib/jose/jwk.h"
#include "lib/jose/manifest.h"

/* The manifest of an order, as a file: docs/manifest.md. */
#define LINE_MAX_LEN ((size_t)SET_MAX + 16)
#define ROOT_FILE_MAX 16384
#define PATH_ROOM 4096

/* ---- get ---- */

struct getting {
	FILE *to;
	struct manifest_reader reader;
	struct verifier *root;
	char keys[SET_MAX + 1]; /* written last */
	uint64_t next;
};

static int
write_line(struct getting *g, const char *word, const char *jws)
{
	struct buf line = {.max = LINE_MAX_LEN};
	struct detail d = {""};
	enum err e;
	int code = 0;

	e = buf_fmt(&line, "%s %s", word, jws);
	if (e == ERR_OK)
		e = manifest_read(&g->reader, line.p, line.len, &d);
	if (e != ERR_OK)
		code = ctl_refused("the authority's answer: %s%s%s",
		    err_text(e), d.text[0] == '\0' ? "" : ": ", d.text);
	else if (fprintf(g->to, "%s\n", line.p) < 0)
		code = ctl_refused("the manifest could not be written");
	buf_free(&line);
	return code;
}

static int
take_root(struct ctl *ctl, struct getting *g, const json_t *root)
{
	struct es256_public pub;
	char *text;
	int code = 0;

	if (g->root != NULL)
		return 0;
	if (jwk_point(root, &pub) != ERR_OK ||
	    verifier_new(&pub, &g->root) != ERR_OK)
		return ctl_refused("the answer has no root key");
	g->reader.root = g->root;
	if (ctl->args.root_out == NULL)
		return 0;
	text = json_dumps(root, JSON_COMPACT);
	if (text == NULL)
		return ctl_refused("out of memory");
	if (file_write_atomic(ctl->args.root_out, 0644, text, strlen(text)) !=
	    ERR_OK)
		code = ctl_refused("%s could not be written",
		    ctl->args.root_out);
	free(text);
	return code;
}

static int
take_answer(struct ctl *ctl, struct getting *g, json_t *o)
{
	const char *keys = json_string_value(json_object_get(o, "keys"));
	const char *page = json_string_value(json_object_get(o, "page"));
	const json_t *next = json_object_get(o, "next");
	int code;

	if (keys == NULL || page == NULL || strlen(keys) > SET_MAX)
		return ctl_refused("the answer is no manifest: is the "
				   "authority too old?");
	code = take_root(ctl, g, json_object_get(o, "root"));
	if (code == 0 && strcmp(keys, g->keys) != 0) {
		code = write_line(g, "keys", keys);
		memcpy(g->keys, keys, strlen(keys) + 1);
	}
	if (code == 0)
		code = write_line(g, "page", page);
	if (code != 0)
		return code;
	g->next = (uint64_t)json_integer_value(next);
	if (g->reader.last.end == (next == NULL) &&
	    (next == NULL || g->next == g->reader.last.upto))
		return 0;
	return ctl_refused("the answer does not say where it ends");
}

static int
fetch(struct ctl *ctl, struct getting *g)
{
	json_t *o;
	int code;

	do {
		buf_reset(&ctl->answer);
		code = ctl_call(ctl, "GET", NULL,
		    "/v1/orders/%s/manifest?after=%llu", ctl->args.pos[0],
		    (unsigned long long)g->next);
		if (code != 0)
			return code;
		o = ctl_answer(ctl);
		if (o == NULL)
			return EXIT_REFUSED;
		code = take_answer(ctl, g, o);
		json_decref(o);
	} while (code == 0 && !g->reader.last.end);
	return code;
}

/* Under its own name only when it is whole and on the disk. */
static int
finish(struct getting *g, const char *part, const char *path)
{
	char dir[PATH_ROOM];
	const char *slash = strrchr(path, '/');
	int bad = fflush(g->to) != 0 || fsync(fileno(g->to)) != 0;

	bad |= fclose(g->to) != 0;
	g->to = NULL;
	(void)snprintf(dir, sizeof(dir), "%.*s",
	    slash == NULL ? 1 : (int)(slash - path) + 1,
	    slash == NULL ? "." : path);
	if (bad || rename(part, path) != 0 || dir_sync(dir) != ERR_OK)
		return ctl_refused("%s could not be written", path);
	printf("order %s: %llu units of %u, %llu pages, in %s\n",
	    g->reader.last.order, (unsigned long long)g->reader.units,
	    g->reader.last.quantity, (unsigned long long)g->reader.pages,
	    path);
	return EXIT_DONE;
}

static int
get(struct ctl *ctl)
{
	const char *path = ctl->args.out;
	struct getting *g;
	char part[PATH_ROOM];
	int n, fd, code;

	if (!name_is_order(ctl->args.pos[0]))
		return ctl_usage("%s is no order name", ctl->args.pos[0]);
	if (path == NULL)
		return ctl_usage("give --out FILE");
	n = snprintf(part, sizeof(part), "%s.part", path);
	if (n < 0 || (size_t)n >= sizeof(part))
		return ctl_usage("--out: too long");
	g = calloc(1, sizeof(*g));
	if (g == NULL)
		return ctl_refused("out of memory");
	fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC,
	    0644);
	g->to = fd < 0 ? NULL : fdopen(fd, "w");
	if (g->to == NULL) {
		code = ctl_refused("%s cannot be written", part);
		if (fd >= 0)
			(void)close(fd);
		goto out;
	}
	code = fetch(ctl, g);
	if (code == 0)
		code = finish(g, part, path);
	if (code != 0)
		(void)unlink(part);
out:
	if (g->to != NULL)
		(void)fclose(g->to);
	manifest_reader_free(&g->reader);
	verifier_free(&g->root);
	free(g);
	return code;
}

/* ---- verify ---- */

struct pinned {
	struct verifier *root;
	char issuer[ISSUER_MAX + 1]; /* "" : not said */
};

/* A bare JWK, or an enrolment file with the issuer beside it. */
static int
read_root(const char *path, struct pinned *p)
{
	struct buf text = {.max = ROOT_FILE_MAX};
	struct es256_public pub;
	const char *issuer;
	json_t *o = NULL, *key;
	int bad = 1;

	if (path == NULL)
		return ctl_usage("give --root FILE: the tenant's root key, "
				 "or an enrolment file");
	if (file_read(path, ROOT_FILE_MAX, &text) != ERR_OK)
		return ctl_usage("%s cannot be read", path);
	o = json_loadb(text.p, text.len, JSON_REJECT_DUPLICATES, NULL);
	key = json_object_get(o, "root");
	issuer = json_string_value(json_object_get(o, "issuer"));
	if (key != NULL && issuer != NULL &&
	    copy_str(p->issuer, sizeof(p->issuer), issuer) == ERR_OK)
		bad = 0;
	else if (key == NULL) {
		key = o;
		bad = 0;
	}
	bad = bad || jwk_point(key, &pub) != ERR_OK ||
	    verifier_new(&pub, &p->root) != ERR_OK;
	json_decref(o);
	buf_free(&text);
	return bad ? ctl_usage("%s: neither a root key (JWK, P-256) nor an "
			       "enrolment file", path) : 0;
}

/* 1: a line without its newline is in b; 0: the end; -1: neither. */
static int
next_line(FILE *f, struct buf *b)
{
	char c;
	int in;

	buf_reset(b);
	while ((in = getc(f)) != EOF && in != '\n') {
		c = (char)in;
		if (buf_add(b, &c, 1) != ERR_OK)
			return -1;
	}
	if (in == '\n')
		return 1;
	return b->len == 0 && !ferror(f) ? 0 : -1;
}

static void
print_units(const struct manifest_page *p)
{
	char made[TIME_TEXT], changed[TIME_TEXT];
	const struct device *u;
	size_t i;

	for (i = 0; i < p->n; i++) {
		u = &p->units[i];
		format_time(u->created_at, made);
		format_time(u->changed_at, changed);
		printf("{\"serial\":\"%s\",\"device_id\":\"%s\",\"number\":"
		       "%llu,\"epoch\":%u,\"proof\":\"%s\",%s\"state\":\"%s\","
		       "\"reserved_at\":\"%s\",\"changed_at\":\"%s\"}\n",
		    u->serial, u->device_id, (unsigned long long)u->dn,
		    u->epoch, proof_name(u->proof),
		    u->unproven ? "\"unproven\":true," : "",
		    device_state_name(u->state), made, changed);
	}
}

/* The whole of it; print 1: each unit, as its page has been judged. */
static int
pass(FILE *f, const char *path, struct manifest_reader *r, int print)
{
	struct buf line = {.max = LINE_MAX_LEN};
	struct detail d = {""};
	unsigned long long at = 1;
	uint64_t pages = 0;
	enum err e = ERR_OK;
	int more;

	rewind(f);
	for (; (more = next_line(f, &line)) == 1; at++) {
		e = manifest_read(r, line.p == NULL ? "" : line.p, line.len,
		    &d);
		if (e != ERR_OK)
			break;
		if (print && r->pages > pages)
			print_units(&r->last);
		pages = r->pages;
	}
	if (more < 0) {
		detail_set(&d, "the line has no end, or none that can be");
		e = ERR_TOKEN;
	} else if (more == 0) {
		e = manifest_read_end(r, &d);
	}
	buf_free(&line);
	if (e == ERR_OK)
		return 0;
	return ctl_refused("%s, line %llu: not to be believed: %s (%s)", path,
	    at, d.text[0] == '\0' ? err_text(e) : d.text, err_code(e));
}

static int
check(FILE *f, const struct ctl *ctl, const struct pinned *p)
{
	const struct manifest_reader fresh = {.root = p->root,
	    .iss = p->issuer[0] == '\0' ? NULL : p->issuer};
	struct manifest_reader r = fresh;
	char from[TIME_TEXT], to[TIME_TEXT];
	int code;

	code = pass(f, ctl->args.pos[0], &r, 0);
	if (code == 0 && ctl->args.json) {
		manifest_reader_free(&r);
		r = fresh;
		code = pass(f, ctl->args.pos[0], &r, 1);
	} else if (code == 0) {
		format_time(r.begun, from);
		format_time(r.last.iat, to);
		printf("order %s, model %s: %llu units of %u, %s, signed %s "
		       "to %s\n", r.last.order, r.last.model,
		    (unsigned long long)r.units, r.last.quantity,
		    r.last.closed ? "closed" : "still open", from, to);
		if (r.unproven > 0)
			printf("%llu of them unproven until their first "
			       "authentication\n",
			    (unsigned long long)r.unproven);
	}
	manifest_reader_free(&r);
	return code;
}

int
cmd_manifest_verify(struct ctl *ctl)
{
	struct pinned p = {0};
	FILE *f = NULL;
	int code;

	code = read_root(ctl->args.root, &p);
	if (code == 0) {
		f = fopen(ctl->args.pos[0], "re");
		code = f == NULL ? ctl_usage("%s cannot be read",
		    ctl->args.pos[0]) : check(f, ctl, &p);
	}
	if (f != NULL)
		(void)fclose(f);
	verifier_free(&p.root);
	return code;
}

#define O(m) offsetof(struct args, m)
static const struct opt get_options[] = {
    {"out", 'o', OPT_STRING, "FILE", "where to write it", O(out), 0, NULL},
    {"root-out", 0, OPT_STRING, "FILE",
	"where to write the tenant's root key, which it is checked by",
	O(root_out), 0, NULL},
    OPTIONS_END,
};
static const struct opt verify_options[] = {
    {"root", 'r', OPT_STRING, "FILE",
	"the tenant's root key (JWK), or an enrolment file", O(root), 0,
	NULL},
    OPTIONS_END,
};
#undef O

const struct command manifest_commands[] = {
    {"get", "ORDER", "what has been made of an order, signed", 1, get,
	get_options, NULL},
    {"verify", "FILE", "check one, without the authority", 1,
	cmd_manifest_verify, verify_options, NULL},
    COMMANDS_END,
};
