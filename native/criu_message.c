/* criu_message.c - reads criu's answers: protobuf, of which only varints, bytes and the two fixed widths exist. */
#include <string.h>

#include "criu.h"

struct field {
	uint64_t number, value;
	const uint8_t *bytes;
	size_t size;
};

static bool varint(const uint8_t **at, const uint8_t *end, uint64_t *out)
{
	*out = 0;
	for (unsigned shift = 0; shift < 64 && *at < end; shift += 7) {
		uint8_t byte = *(*at)++;
		*out |= (uint64_t)(byte & 127) << shift;
		if (byte < 128)
			return true;
	}
	return false;
}

static bool next_field(const uint8_t **at, const uint8_t *end, struct field *f)
{
	uint64_t key;
	*f = (struct field){0};
	if (!varint(at, end, &key))
		return false;
	f->number = key >> 3;
	switch (key & 7) {
	case 0:
		return varint(at, end, &f->value);
	case 1:
	case 5:
		f->value = (key & 7) == 1 ? 8 : 4;
		break;
	case 2:
		if (!varint(at, end, &f->value))
			return false;
		break;
	default:
		return false;
	}
	if (f->value > (uint64_t)(end - *at))
		return false;
	f->bytes = *at;
	f->size = (size_t)f->value;
	*at += f->size;
	return true;
}

static void take_text(const struct field *f, char *out, size_t size)
{
	size_t n = f->size < size - 1 ? f->size : size - 1;
	if (n > 0)
		memcpy(out, f->bytes, n);
	out[n] = '\0';
}

/* criu_notify: 1 script, 2 pid. criu_restore_resp: 1 pid. */
static bool parse_inner(const struct field *outer, bool notify, struct criu_message *out)
{
	const uint8_t *at = outer->bytes, *end = at + outer->size;
	struct field f;
	while (at < end) {
		if (!next_field(&at, end, &f))
			return false;
		if (f.number == 1 && notify && f.bytes)
			take_text(&f, out->script, sizeof out->script);
		else if (f.number == (notify ? 2 : 1) && !f.bytes)
			out->pid = (pid_t)f.value;
	}
	return true;
}

bool criu_parse(const uint8_t *bytes, size_t size, struct criu_message *out)
{
	const uint8_t *at = bytes, *end = bytes + size;
	struct field f;
	*out = (struct criu_message){0};
	while (at < end) {
		if (!next_field(&at, end, &f))
			return false;
		/* criu_resp */
		if (f.number == 1 && !f.bytes)
			out->type = (uint32_t)f.value;
		else if (f.number == 2 && !f.bytes)
			out->success = f.value != 0;
		else if ((f.number == 4 || f.number == 5) && f.bytes && !parse_inner(&f, f.number == 5, out))
			return false;
		else if (f.number == 7 && !f.bytes)
			out->err = (int)f.value;
		else if (f.number == 9 && f.bytes)
			take_text(&f, out->text, sizeof out->text);
	}
	return true;
}
