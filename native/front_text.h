/* front_text.h - figures and order as berth-cli has them, to the byte (src/base/units.ts, src/container/name.ts). */
#ifndef BERTH_FRONT_TEXT_H
#define BERTH_FRONT_TEXT_H

#include <stddef.h>
#include <stdint.h>

enum { TEXT_FIGURE = 32 };

/* Bytes: "512M", "1.5G". */
void text_size(char out[TEXT_FIGURE], uint64_t bytes);
/* Seconds: "3d 4h", "42s". */
void text_duration(char out[TEXT_FIGURE], uint64_t seconds);
/* A number of 1/per: "1.25", two digits, halves rounded up. */
void text_hundredths(char out[TEXT_FIGURE], uint64_t count, uint64_t per);
/* Names of containers: numbers in them by their value, "-" before digits before letters. 0 for names that only leading zeros
 * tell apart. */
int text_order(const char *a, const char *b);

#endif
