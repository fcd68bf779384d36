/** Temporary files beside the result, where there is room for what grows with the messages. */
import { closeSync, openSync, rmSync } from 'node:fs';
import { join } from 'node:path';

/** Opens `count` empty files in `directory` for `use`. Their names are gone before it begins, so that nothing is left behind. */
export async function withScratchFiles<T>(directory: string, count: number, use: (fds: readonly number[]) => Promise<T>): Promise<T> {
  const paths = Array.from({ length: count }, (_, index) => join(directory, `ids-${index}`));
  const fds = paths.map((path) => openSync(path, 'wx+', 0o600));
  for (const path of paths) rmSync(path);
  try {
    return await use(fds);
  } finally {
    for (const fd of fds) closeSync(fd);
  }
}
