/* fuzz.h - what a fuzz target offers: libFuzzer's entry, and seeds for both libFuzzer and mutate.c. */
#ifndef BERTH_FUZZ_H
#define BERTH_FUZZ_H

#include <stddef.h>
#include <stdint.h>

enum { FUZZ_MAX = 8192 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
/* Writes seed number i (from 0) into out, which has FUZZ_MAX bytes. Returns its size, 0 when there are no more. */
size_t fuzz_seed(size_t i, uint8_t *out);

#endif
