#include "provision-tool/words.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "provision-tool/spec.h"

#define WORDS_MAX 256

void
words_free(char ***words)
{
	size_t i;

	if (words == NULL || *words == NULL)
		return;
	for (i = 0; (*words)[i] != NULL; i++)
		free((*words)[i]);
	free(*words);
	*words = NULL;
}

/* One word from *s on, to out, which has room; 0 for an open quote. */
static int
take_word(const char **s, char *out)
{
	const char *p = *s;
	char quote = '\0';

	for (; *p != '\0' && (quote != '\0' || *p != ' '); p++) {
		if (quote == '\0' && (*p == '\'' || *p == '"')) {
			quote = *p;
			continue;
		}
		if (*p == quote) {
			quote = '\0';
			continue;
		}
		if (*p == '\\' && quote != '\'' && p[1] != '\0')
			p++;
		*out++ = *p;
	}
	*out = '\0';
	*s = p;
	return quote == '\0';
}

enum err
words_split(const char *s, char ***out, struct detail *d)
{
	char **words, *word = NULL;
	size_t n = 0;
	enum err e = ERR_NOMEM;

	words = calloc(WORDS_MAX + 1, sizeof(*words));
	word = malloc(strlen(s) + 1);
	if (words == NULL || word == NULL)
		goto out;
	e = ERR_REQUEST;
	for (s += strspn(s, " "); *s != '\0'; s += strspn(s, " ")) {
		if (n == WORDS_MAX || !take_word(&s, word)) {
			detail_set(d, "the command has an open quote, or too "
				      "many words");
			goto out;
		}
		if ((words[n++] = strdup(word)) == NULL) {
			e = ERR_NOMEM;
			goto out;
		}
	}
	if (n == 0 || words[0][0] == '\0') {
		detail_set(d, "the command is empty");
		goto out;
	}
	*out = words;
	words = NULL;
	e = ERR_OK;
out:
	words_free(&words);
	free(word);
	return e;
}

enum err
words_fill(char *const *words, const char *device_id, char ***out,
	   struct detail *d)
{
	char **filled, word[PATH_MAX];
	enum err e = ERR_OK;
	size_t n;

	filled = calloc(WORDS_MAX + 1, sizeof(*filled));
	if (filled == NULL)
		return ERR_NOMEM;
	for (n = 0; e == ERR_OK && words[n] != NULL; n++) {
		e = spec_path(words[n], device_id, word, sizeof(word), d);
		if (e == ERR_OK && (filled[n] = strdup(word)) == NULL)
			e = ERR_NOMEM;
	}
	if (e == ERR_OK)
		*out = filled;
	else
		words_free(&filled);
	return e;
}
