/*
 * A small device: it reads its identity record, gets tokens from the
 * authority, and talks to gateways. The portable code in device/ does what
 * has to do with Fealty; this adds a host's files, sockets and OpenSSL.
 */
#include "examples/device.h"

#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <fealty/device_openssl.h>

#define PING_MS 10000

struct options {
	const char *record, *audience, *token, *at, *nonce, *scope;
	enum fealty_tls tls;
	bool hold, store_only;
};
static unsigned char octets[FEALTY_RECORD_MAX];

static int
read_record(const char *path, struct fealty_record *out)
{
	FILE *f = fopen(path, "rb");
	size_t n;

	if (f == NULL) {
		perror(path);
		return (USAGE);
	}
	setvbuf(f, NULL, _IONBF, 0); /* no copy of the key in a buffer */
	n = fread(octets, 1, sizeof(octets), f);
	fclose(f);
	if (fealty_record_read(octets, n, out) != FEALTY_OK) {
		fprintf(stderr, "device: %s is no identity record, or a torn "
		    "one\n", path);
		return (REFUSED);
	}
	return (DONE);
}

/* The text of a member of a flat JSON object; tokens need no unescaping. */
static bool
member(const char *json, const char *name, char *out, size_t size)
{
	const char *p = strstr(json, name), *end;

	if (p == NULL)
		return (false);
	p += strlen(name);
	while (*p == ' ' || *p == ':')
		p++;
	if (*p++ != '"' || (end = strchr(p, '"')) == NULL ||
	    (size_t)(end - p) >= size)
		return (false);
	memcpy(out, p, (size_t)(end - p));
	out[end - p] = '\0';
	return (true);
}

static int
ask_authority(const struct fealty_record *r, const struct options *o,
    const char *path, const char *form, char *out, size_t size)
{
	struct link l;
	int status, http;

	status = link_open(&l, r, FEALTY_AUTHORITY, o->at, o->tls);
	if (status != DONE)
		return (status);
	http = link_http(&l, path, form, out, size);
	link_close(&l);
	if (http == 200)
		return (DONE);
	fprintf(stderr, "device: the authority says: %d %s\n", http,
	    http > 0 ? out : "");
	if (http > 0 && l.retry_after >= 0)
		fprintf(stderr, "device: try again in %ld s\n",
		    l.retry_after);
	return (http < 0 || http == 429 || http == 503 ? TRY_AGAIN : REFUSED);
}

static int
cmd_token(const struct fealty_record *r, const struct options *o)
{
	char form[512], answer[8192], token[4097];
	int status;

	snprintf(form, sizeof(form), "grant_type=client_credentials%s%s%s%s",
	    o->audience != NULL ? "&audience=" : "",
	    o->audience != NULL ? o->audience : "",
	    o->scope != NULL ? "&scope=" : "",
	    o->scope != NULL ? o->scope : "");
	status = ask_authority(r, o, "/oauth2/token", form, answer,
	    sizeof(answer));
	if (status != DONE)
		return (status);
	if (!member(answer, "\"access_token\"", token, sizeof(token))) {
		fprintf(stderr, "device: an answer without a token\n");
		return (REFUSED);
	}
	puts(token);
	return (DONE);
}

static int
cmd_get(const struct fealty_record *r, const struct options *o,
    const char *path)
{
	char answer[16384];
	int status = ask_authority(r, o, path, NULL, answer, sizeof(answer));

	if (status == DONE)
		puts(answer);
	return (status);
}

static int
cmd_status(const struct fealty_record *r, const struct options *o)
{
	return (cmd_get(r, o, "/v1/device"));
}

static int
cmd_peers(const struct fealty_record *r, const struct options *o)
{
	return (cmd_get(r, o, "/v1/device/peers"));
}

/* Prints what comes until the gateway closes; asks now and then. */
static int
hold(struct link *l)
{
	struct pollfd p = {.fd = l->fd, .events = POLLIN};
	char text[1024];
	int n;

	for (;;) {
		if (SSL_pending(l->ssl) == 0 && poll(&p, 1, PING_MS) == 0) {
			if (link_write(l, "PING\n", 5) != 0)
				return (REFUSED);
			continue;
		}
		if ((n = link_read(l, text, sizeof(text))) <= 0)
			return (n == 0 ? DONE : REFUSED);
		fputs(text, stdout);
		fflush(stdout);
		if (strstr(text, "CLOSED ") != NULL)
			return (REFUSED);
	}
}

/* One line of an answer. */
static int
exchange(struct link *l, const char *line, size_t len)
{
	char text[1024];

	if (link_write(l, line, len) != 0 ||
	    link_read(l, text, sizeof(text)) <= 0) {
		fprintf(stderr, "device: the gateway closed\n");
		return (REFUSED);
	}
	fputs(text, stdout);
	fflush(stdout);
	return (strncmp(text, "OK ", 3) == 0 ||
	    strcmp(text, "PONG\n") == 0 ? DONE : REFUSED);
}

static int
cmd_connect(const struct fealty_record *r, const struct options *o)
{
	char line[4200];
	struct link l;
	int n, status;

	if (o->audience == NULL) {
		fprintf(stderr, "device: connect needs --audience\n");
		return (USAGE);
	}
	if (o->token != NULL)
		n = snprintf(line, sizeof(line), "TOKEN %s\n", o->token);
	else
		n = snprintf(line, sizeof(line), "PING\n");
	if ((size_t)n >= sizeof(line))
		return (USAGE);
	status = link_open(&l, r, o->audience, o->at, o->tls);
	if (status != DONE)
		return (status);
	status = exchange(&l, line, (size_t)n);
	if (status == DONE && o->hold)
		status = hold(&l);
	link_close(&l);
	return (status);
}

static int
cmd_assertion(const struct fealty_record *r, const struct options *o)
{
	struct fealty_assertion a = {.now = time(NULL), .life = 60,
	    .nonce = o->nonce};
	char text[FEALTY_ASSERTION_SIZE];
	size_t len;

	if (fealty_assertion(&fealty_device_port_openssl, r, &a, text,
	    sizeof(text), &len) != FEALTY_OK) {
		fprintf(stderr, "device: cannot make an assertion\n");
		return (REFUSED);
	}
	puts(text);
	return (DONE);
}

static int
cmd_rotate(const struct fealty_record *r, const struct options *o)
{
	return (rotate(r, o->record, o->at, o->tls, !o->store_only));
}

static const struct command {
	const char *name;
	int (*run)(const struct fealty_record *, const struct options *);
	const char *help;
} commands[] = {
	{"token", cmd_token, "get a token [--audience A] [--scope S]"},
	{"connect", cmd_connect, "to a gateway: --audience A [--token T]"
	    " [--hold]"},
	{"assertion", cmd_assertion, "print a client assertion [--nonce N]"},
	{"status", cmd_status, "ask the authority for this device's state"},
	{"peers", cmd_peers, "ask the authority for this device's peers"},
	{"rotate", cmd_rotate, "change the key, and the record with it"
	    " [--store-only: as FILE.next, not used yet]"},
};

static int
usage(FILE *f)
{
	fputs("usage: device --record FILE [--tls 1.2|1.3] [--at HOST:PORT] "
	    "COMMAND\n", f);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		fprintf(f, "  %-10s %s\n", commands[i].name,
		    commands[i].help);
	return (f == stdout ? DONE : USAGE);
}

static const struct option long_options[] = {
	{"record", required_argument, NULL, 'r'},
	{"tls", required_argument, NULL, 't'},
	{"at", required_argument, NULL, 'A'},
	{"audience", required_argument, NULL, 'a'},
	{"scope", required_argument, NULL, 's'},
	{"token", required_argument, NULL, 'T'},
	{"nonce", required_argument, NULL, 'n'},
	{"hold", no_argument, NULL, 'H'},
	{"store-only", no_argument, NULL, 'S'},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

/* -1: go on. */
static int
read_options(int argc, char **argv, struct options *o)
{
	int c;

	while ((c = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		switch (c) {
		case 'r': o->record = optarg; break;
		case 'A': o->at = optarg; break;
		case 'a': o->audience = optarg; break;
		case 's': o->scope = optarg; break;
		case 'T': o->token = optarg; break;
		case 'n': o->nonce = optarg; break;
		case 'H': o->hold = true; break;
		case 'S': o->store_only = true; break;
		case 't':
			if (strcmp(optarg, "1.2") != 0 &&
			    strcmp(optarg, "1.3") != 0)
				return (usage(stderr));
			o->tls = optarg[2] == '2' ? FEALTY_TLS12 :
			    FEALTY_TLS13;
			break;
		case 'h': return (usage(stdout));
		default: return (usage(stderr));
		}
	}
	return (o->record == NULL || optind + 1 != argc ? usage(stderr) : -1);
}

int
main(int argc, char **argv)
{
	struct options o = {.tls = FEALTY_TLS13};
	struct fealty_record record;
	const struct command *cmd = NULL;
	int status;

	signal(SIGPIPE, SIG_IGN);
	if ((status = read_options(argc, argv, &o)) >= 0)
		return (status);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(commands[i].name, argv[optind]) == 0)
			cmd = &commands[i];
	if (cmd == NULL)
		return (usage(stderr));
	if ((status = read_record(o.record, &record)) == DONE)
		status = cmd->run(&record, &o);
	fealty_wipe(octets, sizeof(octets));
	return (status);
}
