/** An export that is still packed: what reads exports wants a directory, and says how to get one. */
import { closeSync, openSync, readSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { EXIT, RealmliftError } from '../errors.js';
import { shellWord } from '../shell-word.js';

/** Where a tar has its magic: https://www.gnu.org/software/tar/manual/html_node/Standard.html */
const USTAR = 257;
/** First bytes of gzip, bzip2, xz and zstd. */
const COMPRESSED: readonly (readonly number[])[] = [[0x1f, 0x8b], [0x42, 0x5a, 0x68], [0xfd, 0x37, 0x7a, 0x58, 0x5a], [0x28, 0xb5, 0x2f, 0xfd]];

/**
 * Zulip and `export --tarball` leave NAME.tar.gz, which unpacks to one directory NAME.
 * @throws RealmliftError EXPORT_PACKED when `path` is an archive
 */
export function refusePacked(path: string): void {
  if (statSync(path, { throwIfNoEntry: false })?.isFile() !== true || !isArchive(path)) return;
  const into = join(dirname(path), basename(path).replace(/\.(tar(\.\w+)?|tgz|tbz2?|txz|tzst)$/, ''));
  throw new RealmliftError('EXPORT_PACKED', 'verify', `${path} is an archive: an export is read unpacked, as the import does`, {
    hint: `tar -xf ${shellWord(path)} -C ${shellWord(dirname(path))} makes ${into === path ? 'a directory' : into}: name that`, exit: EXIT.usage,
  });
}

function isArchive(path: string): boolean {
  const fd = openSync(path, 'r');
  try {
    const head = Buffer.alloc(USTAR + 5);
    const got = readSync(fd, head, 0, head.length, 0);
    return COMPRESSED.some((magic) => magic.every((byte, at) => head[at] === byte)) || (got === head.length && head.toString('latin1', USTAR) === 'ustar');
  } finally {
    closeSync(fd);
  }
}
