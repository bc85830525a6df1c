/* fuzz_criu.c - criu's answers as arbitrary bytes: what criu says of a guest is not trusted further than the guest. */
#include "../criu.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy = fuzz_copy(data, size);
	struct criu_message m;
	(void)criu_parse(copy, size, &m);
	/* Malformed or not, its texts end. */
	if (strnlen(m.script, sizeof m.script) == sizeof m.script || strnlen(m.text, sizeof m.text) == sizeof m.text)
		abort();
	free(copy);
	return 0;
}

size_t fuzz_seed(size_t i, uint8_t *out)
{
	static const struct seed seeds[] = {
		/* criu_resp: type NOTIFY, success, notify {script, pid} */
		SEED("\x08\x06\x10\x01\x2a\x13\x0a\x0dnetwork-unlock\x10\xd2\x09"),
		/* RESTORE, success, restore {pid, restored} */
		SEED("\x08\x02\x10\x01\x22\x05\x08\xb9\xc5\x01\x10\x01"),
		/* DUMP, failed, cr_errno, cr_errmsg */
		SEED("\x08\x01\x10\x00\x38\x11\x4a\x06nested"),
		/* the two fixed widths, and a length that is too large */
		SEED("\x08\x06\x61" "12345678" "\x65" "1234" "\x4a\xff\x7f"),
	};
	return fuzz_seed_of(seeds, sizeof seeds / sizeof seeds[0], i, out);
}
