/* tar.h - the `tar` that criu finds first (criu_words in src/checkpoint/criu.ts puts it there): the same archives as GNU
 * tar's, without two programs for each file system in memory while the guest stands still. What it does not do itself it
 * leaves to the real one, before it has written anything. */
#ifndef BERTH_TAR_H
#define BERTH_TAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

enum { TAR_BLOCK = 512, TAR_NAME = 100 };

/* POSIX.1-1988 (ustar). */
struct tar_header {
	char name[TAR_NAME], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, link[TAR_NAME];
	char magic[6], version[2], uname[32], gname[32], major[8], minor[8], prefix[155], pad[12];
};
_Static_assert(sizeof(struct tar_header) == TAR_BLOCK, "a header is a block");

/* gzip without compression (RFC 1951, 3.2.4; RFC 1952): memory goes over a line that is faster than a compressor. */
enum { STORED_MAX = 65535 };
struct gzip_out {
	int fd;
	uint32_t crc, size, used;
	uint8_t data[STORED_MAX];
};
struct gzip_in {
	int fd;
	uint32_t left; /* of the current stored block */
	bool last;
};

int gzip_begin(struct gzip_out *out, int fd);
int gzip_put(struct gzip_out *out, const void *bytes, size_t size);
int gzip_end(struct gzip_out *out);
/* 1 when the file of that descriptor was made by us; then it stands behind the header. 0 and at its start otherwise. */
int gzip_is_ours(struct gzip_in *in, int fd);
/* Exactly so many bytes. */
int gzip_get(struct gzip_in *in, void *bytes, size_t size);

/* Everything below the directory to out_fd. 1: done. 0: something is there that only the real tar knows; nothing was written. */
int tar_create(int dir, int out_fd);
/* Puts what the archive has below the directory. 1: done. 0: it is not one of ours; nothing was changed. */
int tar_extract(int in_fd, int dir);

#endif
