/**
 * Loop devices (linux/loop.h) that go by themselves: with the last mount of theirs, or with the descriptor that holds
 * them. Whoever is killed in between leaves none behind.
 */
import { closeSync, constants, openSync } from "node:fs";
import { BerthError, describeErrno } from "../base/errors.ts";
import { waitForFileLock } from "./flock.ts";
import { errno, libc, ptr } from "./libc.ts";

const LOOP_CONFIGURE = 0x4c0a;
const LOOP_CTL_GET_FREE = 0x4c82;
const LO_FLAGS_READ_ONLY = 1;
const LO_FLAGS_AUTOCLEAR = 4;
/** struct loop_config: u32 fd, u32 block_size, struct loop_info64, 64 bytes reserved. */
const CONFIG_SIZE = 304;
const CONFIG_FLAGS = 60;
const CONFIG_FILE_NAME = 64;
const FILE_NAME_SIZE = 64;
const EBUSY = 16;
const TRIES = 64;
const PATIENCE_MS = 5000;

/** A device that lives as long as `fd` is open or a file system is mounted from it. */
export type Loop = { readonly device: string; readonly fd: number };

/**
 * Binds a free device to `file`. The open file is locked, as berth-launch locks it (native/loop.c): nobody binds it
 * twice but those who only read it. Throws storage.failed and storage.in-use.
 */
export async function bindLoop(file: string, readOnly: boolean): Promise<Loop> {
  const mode = (readOnly ? constants.O_RDONLY : constants.O_RDWR) | constants.O_NOFOLLOW;
  const image = openSync(file, mode);
  try {
    if (!(await waitForFileLock(image, PATIENCE_MS, readOnly)))
      throw new BerthError("storage.in-use", `${file} is in use`, "stop the container that uses it");
    const control = openSync("/dev/loop-control", constants.O_RDWR);
    try {
      return bindFree(control, image, file, mode, readOnly);
    } finally {
      closeSync(control);
    }
  } finally {
    closeSync(image);
  }
}

/** Between the question for a free device and its use another process may take it. */
function bindFree(control: number, image: number, file: string, mode: number, readOnly: boolean): Loop {
  for (let attempt = 0; attempt < TRIES; attempt += 1) {
    const number = libc().ioctl(control, LOOP_CTL_GET_FREE, null);
    if (number < 0) throw failed(file, "no loop device is free", errno());
    const device = `/dev/loop${number}`;
    const fd = openSync(device, mode);
    const config = configOf(image, file, readOnly);
    if (libc().ioctl(fd, LOOP_CONFIGURE, ptr(config)) === 0) return { device, fd };
    const code = errno();
    closeSync(fd);
    if (code !== EBUSY) throw failed(file, `cannot be bound to ${device}`, code);
  }
  throw failed(file, "every free loop device was taken by others", EBUSY);
}

function configOf(image: number, file: string, readOnly: boolean): Buffer {
  const config = Buffer.alloc(CONFIG_SIZE);
  config.writeUInt32LE(image, 0);
  config.writeUInt32LE(LO_FLAGS_AUTOCLEAR | (readOnly ? LO_FLAGS_READ_ONLY : 0), CONFIG_FLAGS);
  config.write(file.slice(0, FILE_NAME_SIZE - 1), CONFIG_FILE_NAME);
  return config;
}

const failed = (file: string, what: string, code: number): BerthError =>
  new BerthError(
    "storage.failed",
    `${file}: ${what}: ${describeErrno(code)}`,
    "`losetup -l` shows those in use",
  );
