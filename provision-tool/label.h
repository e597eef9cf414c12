#ifndef PROVISION_LABEL_H
#define PROVISION_LABEL_H

#include "lib/base/buf.h"
#include "lib/model/device.h"

/*
 * What is stuck on a unit: serial number, device_id, and both as a QR code.
 * No secret is in it. Names are printable ASCII and need no escaping.
 */
#define LABEL_TEXT_MAX 160
#define LABEL_MAX ((size_t)1 << 20)

struct label {
	const char *kind; /* "png", "zpl"; NULL: none is asked for */
	const char *dir;  /* NULL: beside the record, where that is a file */
};
/* "fealty:DEVICE_ID?serial=SERIAL", what the code says. */
void label_text(const struct device *dev, char out[LABEL_TEXT_MAX]);
/* Grey image; black on white, a margin of four modules round the code. */
enum err label_png(const struct device *dev, struct buf *out) MUST_CHECK;
/* For a printer of 8 dots a millimetre or more. */
enum err label_zpl(const struct device *dev, struct buf *out) MUST_CHECK;
/* Why l cannot be made for that target ("KIND:WHERE"); NULL: it can. */
const char *label_fault(const struct label *l, const char *target);
/* 1 when that device has its label there. */
int label_there(const struct label *l, const char *target,
		const struct device *dev);
/*
 * DIR/DEVICE_ID.KIND, whole or not at all, over one that was there. target
 * as target_name gives it. ERR_OK without a kind. With d.
 */
enum err label_write(const struct label *l, const char *target,
		     const struct device *dev, struct detail *d) MUST_CHECK;

#endif
