/* Three ways to show a sample: a screen, lines, JSON. */
#ifndef CORRAL_TOP_SHOW_H
#define CORRAL_TOP_SHOW_H

#include "user/corral-top/sample.h"

enum style { STYLE_SCREEN, STYLE_PLAIN, STYLE_JSON };

/* False: it cannot be written. */
bool show(enum style style, const struct sample *now, double rates[][COUNTS], double every);

/* The terminal while there is a screen, and as it was. Both may be called without one. */
void screen_begin(void);
void screen_end(void);

#endif
