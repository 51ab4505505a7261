/* Growing text. Invariant: bytes has room for size bytes, used <= size; what is written is not terminated. */
#include "kernel/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/hw.h"
#include "mm/slab.h"

#define TEXT_LINE  512U		 /* the longest that one text_put writes */
#define TEXT_SERVE 4096U	 /* so much is written before others are served */
#define TEXT_PART  (64U * 1024U) /* copied before they are */

struct text *text_create(size_t size)
{
	struct text *text = kalloc(sizeof(*text));

	if (text == NULL)
		return NULL;
	text->bytes = kalloc(size);
	text->size = size;
	if (text->bytes == NULL) {
		kfree(text);
		return NULL;
	}
	return text;
}

void text_free(struct text *text)
{
	if (text == NULL)
		return;
	kfree(text->bytes);
	kfree(text);
}

static bool text_room(struct text *text, size_t n)
{
	char *bytes;

	if (n <= text->size - text->used)
		return true;
	bytes = text->fixed ? NULL : kalloc(text->size * 2 + TEXT_LINE);
	if (bytes == NULL) {
		text->failed = true;
		return false;
	}
	for (size_t at = 0; at < text->used; at += TEXT_PART) {
		memcpy(bytes + at, text->bytes + at, MIN(text->used - at, TEXT_PART));
		hw_relax();
	}
	kfree(text->bytes);
	text->bytes = bytes;
	text->size = text->size * 2 + TEXT_LINE;
	return true;
}

void text_put(struct text *text, const char *fmt, ...)
{
	char line[TEXT_LINE];
	va_list args;
	size_t n;
	int printed;

	if (text->failed && !text->fixed)
		return;
	va_start(args, fmt);
	printed = vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	n = printed < 0 ? 0 : MIN((size_t)printed, sizeof(line) - 1);
	if (!text_room(text, n))
		return;
	if (text->used / TEXT_SERVE != (text->used + n) / TEXT_SERVE)
		hw_relax();
	memcpy(text->bytes + text->used, line, n);
	text->used += n;
}
