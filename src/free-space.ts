/** How much room there is where something is to be written. */
import { existsSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';

/** @param path may not be there yet @returns bytes that this user may still write, and the directory that was looked at */
export async function freeSpace(path: string): Promise<{ readonly free: number; readonly place: string }> {
  let place = resolve(path);
  while (!existsSync(place) && dirname(place) !== place) place = dirname(place);
  const { bavail, bsize } = await statfs(place);
  return { free: bavail * bsize, place };
}
