#include "lib/p11/p11_int.h"

#include <string.h>

#include "lib/base/source.h"

#define FILE_SCHEME "file:"

enum err
p11_pin(const char *source, struct secret *out, struct detail *d)
{
	enum err e;

	if (source == NULL) {
		detail_set(d, "the token wants a PIN: pin-source=");
		return ERR_REQUEST;
	}
	if (strncmp(source, FILE_SCHEME, strlen(FILE_SCHEME)) == 0)
		source += strlen(FILE_SCHEME);
	e = source_read(source, PIN_MAX, out);
	if (e == ERR_OK && out->len == 0)
		e = ERR_CONFIG;
	if (e != ERR_OK && e != ERR_NOMEM) {
		detail_set(d, "pin-source %.100s: %s", source,
		    source_fault(e));
		e = ERR_REQUEST;
	}
	return e;
}
