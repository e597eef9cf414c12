#ifndef PROVISION_TARGET_H
#define PROVISION_TARGET_H

#include "lib/base/secret.h"
#include "lib/crypt/signer.h"
#include "lib/model/device.h"

/*
 * Where an identity record is burned. A kind of target is one table of
 * functions in a file of its own; targets are named KIND:REST on the command
 * line (docs/targets.md).
 */
struct target;

#define TARGET_READS 1	/* what was written can be read back */
#define TARGET_PROVES 2 /* the device itself answers the challenge */
#define TARGET_LOCKS 4	/* is to be locked at the end, as asked for by name */
#define TARGET_MAKES 8	/* the device makes its own key pair */

/* Can several devices be burned into one such target side by side? */
enum target_places {
	PLACE_ONE,	 /* no: it is where one device is */
	PLACE_BY_DEVICE, /* if its name holds {device_id} */
	PLACE_MANY,	 /* each device has a place of its own in it */
};

struct target_ops {
	const char *kind;
	const char *rest;  /* what stands for REST in the help */
	const char *about; /* one line for the help */
	/* d says what is wrong with rest, or why it cannot be used */
	enum err (*open)(const char *rest, void **state, struct detail *d);
	/* canonical REST, the same for the same place; lives with state */
	const char *(*name)(const void *state);
	/* could a record be written now; NULL: always */
	enum err (*ready)(void *state, struct detail *d);
	/* put the record there, all of it or none, and durably */
	enum err (*write)(void *state, const char *device_id,
			  const struct secret *record, struct detail *d);
	/* what the place holds now; ERR_NOT_FOUND when nothing */
	enum err (*read)(void *state, const char *device_id,
			 struct secret *record, struct detail *d);
	/* the device's answer to the challenge; NULL where no device can */
	enum err (*prove)(void *state, const char *device_id,
			  const unsigned char challenge[CHALLENGE_LEN],
			  unsigned char answer[32], struct detail *d);
	/* what cannot be taken back; may be done twice; NULL: nothing */
	enum err (*lock)(void *state, const char *device_id, struct detail *d);
	/*
	 * TARGET_MAKES: what is written then is the record with its key
	 * encrypted to the public key that the first gives (the pair is made
	 * if there is none), and the proof is the second's ES256.
	 */
	enum err (*public_key)(void *state, const char *device_id,
			       struct es256_public *out, struct detail *d);
	enum err (*sign)(void *state, const void *msg, size_t len,
			 unsigned char sig[ES256_SIG_LEN], struct detail *d);
	/* which of the TARGET_ it can; NULL: TARGET_READS */
	unsigned (*can)(const void *state);
	void (*close)(void *state);
	enum target_places places;
	enum proof proof; /* what a proof over what is read back shows */
};
extern const struct target_ops target_file;
extern const struct target_ops target_esp_nvs;
extern const struct target_ops target_exec;
extern const struct target_ops target_image;
extern const struct target_ops target_serial;
extern const struct target_ops target_pkcs11; /* if built */
extern const struct target_ops target_tpm2;   /* if built */

/* ERR_REQUEST for an unknown kind. */
enum err target_open(const char *spec, struct target **out,
		     struct detail *d) MUST_CHECK;
/* The kinds there are, for the help; NULL behind the last. */
const struct target_ops *target_kind(size_t i);
/* Those that were not built, and the library that was lacking. */
struct target_absent {
	const char *kind, *library;
};
const struct target_absent *target_absent(size_t i); /* likewise */
const char *target_name(const struct target *t); /* "file:/abs/dir" */
unsigned target_can(const struct target *t);
enum proof target_proof(const struct target *t);
/* 1 when several devices may be burned into targets of this name at once. */
int target_is_many(const struct target *t);
/* Before a key is released for it: is it there, and the one that is meant? */
enum err target_ready(struct target *t, struct detail *d) MUST_CHECK;
enum err target_write(struct target *t, const char *device_id,
		      const struct secret *record, struct detail *d) MUST_CHECK;
enum err target_read(struct target *t, const char *device_id,
		     struct secret *record, struct detail *d) MUST_CHECK;
/* Only where target_can says TARGET_PROVES. */
enum err target_prove(struct target *t, const char *device_id,
		      const unsigned char challenge[CHALLENGE_LEN],
		      unsigned char answer[32], struct detail *d) MUST_CHECK;
/* Only where target_can says TARGET_LOCKS: when all else is done. */
enum err target_lock(struct target *t, const char *device_id,
		     struct detail *d) MUST_CHECK;
/* Only where target_can says TARGET_MAKES. */
enum err target_public_key(struct target *t, const char *device_id,
			   struct es256_public *out,
			   struct detail *d) MUST_CHECK;
enum err target_sign(struct target *t, const void *msg, size_t len,
		     unsigned char sig[ES256_SIG_LEN],
		     struct detail *d) MUST_CHECK;
void target_close(struct target **t);

#endif
