/**
 * Loop devices that go by themselves (linux/loop.h): the flag is set in the call that attaches the file, so that there is no
 * moment at which a killed command leaves one behind.
 */
import { closeSync, constants, openSync } from "node:fs";
import { BerthError, describeErrno } from "../base/errors.ts";
import { errno, libc, ptr } from "./libc.ts";

const LOOP_CTL_GET_FREE = 0x4c82;
const LOOP_CONFIGURE = 0x4c0a;
const LO_FLAGS_READ_ONLY = 1;
const LO_FLAGS_AUTOCLEAR = 4;
/** struct loop_config: the file, the block size, struct loop_info64 with its flags, and room to grow. */
const CONFIG_SIZE = 304;
const FLAGS_AT = 60;
const EBUSY = 16;
/** Others take the device that was free a moment ago. */
const MOST_TRIES = 64;

export type Loop = {
  /** "/dev/loop3". */
  readonly device: string;
  /** Keeps it there until it is mounted; it goes with the last who has it open or mounted. */
  readonly fd: number;
};

/** Attaches `file` to a free loop device. Close `fd` once the device is mounted. */
export function attachLoop(file: string, readOnly: boolean): Loop {
  const backing = openSync(file, readOnly ? constants.O_RDONLY : constants.O_RDWR);
  const control = openSync("/dev/loop-control", constants.O_RDWR);
  try {
    const config = Buffer.alloc(CONFIG_SIZE);
    config.writeUInt32LE(backing, 0);
    config.writeUInt32LE(LO_FLAGS_AUTOCLEAR | (readOnly ? LO_FLAGS_READ_ONLY : 0), FLAGS_AT);
    for (let tries = 1; ; tries += 1) {
      const number = libc().ioctl(control, LOOP_CTL_GET_FREE, null);
      if (number < 0) throw failed(file, errno());
      const device = `/dev/loop${number}`;
      const fd = openSync(device, readOnly ? constants.O_RDONLY : constants.O_RDWR);
      if (libc().ioctl(fd, LOOP_CONFIGURE, ptr(config)) === 0) return { device, fd };
      const code = errno();
      closeSync(fd);
      if (code !== EBUSY || tries === MOST_TRIES) throw failed(file, code);
    }
  } finally {
    closeSync(control);
    closeSync(backing);
  }
}

const failed = (file: string, code: number): BerthError =>
  new BerthError("storage.failed", `cannot attach ${file} to a loop device: ${describeErrno(code)}`);
