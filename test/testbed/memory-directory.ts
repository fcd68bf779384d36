/**
 * A directory in memory for what tests write and throw away: databases, exports, files of object stores. A disk makes each of
 * their hundreds of thousands of small files slow to create, and waits for each that an export makes sure of.
 */
import { chmodSync, mkdtempSync, rmSync, statfsSync, symlinkSync, writeFileSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { freemem } from 'node:os';
import { join } from 'node:path';

const MEMORY = '/dev/shm';
/** Bytes that must be free, many times what the tests have there at once; containers often have 64 MB. */
const ROOM = 6 * 1024 ** 3;

/** Makes such a directory, which goes with this process; undefined where there is none with room, or none for programs to lie in. */
export function memoryDirectory(): string | undefined {
  let directory: string | undefined;
  try {
    const { bavail, bsize } = statfsSync(MEMORY);
    if (Math.min(bavail * bsize, freemem()) < ROOM) return undefined;
    const made = directory = mkdtempSync(join(MEMORY, 'realmlift-tests-'));
    process.once('exit', () => rmSync(made, { recursive: true, force: true }));
    // As /tmp: PostgreSQL runs as another user where tests run as root, and removes what it made.
    chmodSync(made, 0o1777);
    // For tests that write programs.
    symlinkSync(join(import.meta.dirname, '..', '..', '..', 'node_modules'), join(made, 'node_modules'));
    const program = join(made, 'program');
    writeFileSync(program, '#!/bin/sh\n', { mode: 0o755 });
    execFileSync(program);
    rmSync(program);
    return made;
  } catch {
    if (directory !== undefined) rmSync(directory, { recursive: true, force: true });
    return undefined;
  }
}
