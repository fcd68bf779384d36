/** Directories of backups, and what the file system says of them. */
import { chmod, mkdir, open, rm } from 'node:fs/promises';
import { RealmliftError } from '../../errors.js';
import { ioReason, isDiskFull } from '../../io-reason.js';

/** Makes the directory and its missing parents; private, whatever the umask says. */
export async function makeDirectory(directory: string): Promise<void> {
  const first = await mkdir(directory, { recursive: true, mode: 0o700 });
  if (first !== undefined) await chmod(directory, 0o700);
}

/** So that what was renamed there is found after a crash of the machine. */
export async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Removes a directory with all that is in it, although a machine that was given up may be adding to it at this moment. */
export async function removeDirectory(directory: string): Promise<void> {
  await rm(directory, { recursive: true, force: true, maxRetries: 5 }).catch((error: unknown) => { throw storeError(error, `cannot remove ${directory}`); });
}

/** Errors of the file system in words; all others belong to whoever made or took the content. */
export function storeError(error: unknown, doing: string): unknown {
  const { code, syscall } = error as NodeJS.ErrnoException;
  if (error instanceof RealmliftError || code === undefined || syscall === undefined || !('path' in (error as object) || isDiskFull(error) || code === 'EIO')) return error;
  if (isDiskFull(error)) return new RealmliftError('DISK_FULL', 'backup', `${doing}: no room left (${code})`, { hint: 'make room, or choose another target', again: true, cause: error });
  if (code === 'ENOENT') return new RealmliftError('PART_MISSING', 'backup', `${doing}: there is no such file`, { cause: error });
  return new RealmliftError('TARGET_UNUSABLE', 'backup', `${doing}: ${ioReason(error)}`, { hint: 'check the path and its permissions', cause: error });
}
