/** A text file line by line, in constant memory. */
import { closeSync, openSync, readSync } from 'node:fs';
import { StringDecoder } from 'node:string_decoder';

/** Bytes read at once. */
const BLOCK = 64 * 1024;
/** Characters: the longest path takes a few thousand. */
const LONGEST_LINE = 1024 * 1024;

/**
 * Lines by `\n` alone: node:readline also breaks at U+2028, which JSON strings, and so paths, may hold as it is.
 *
 * @param tooLong the error of a line that is not gathered
 * @param from @param to bytes of the file
 */
export function* lines(path: string, tooLong: () => Error, from = 0, to = Infinity): Generator<string, void> {
  const file = openSync(path, 'r');
  try {
    const block = Buffer.allocUnsafe(BLOCK);
    const decoder = new StringDecoder('utf8');
    let rest = '';
    for (let at = from, read = 0; (read = readSync(file, block, 0, Math.min(BLOCK, to - at), at)) > 0; at += read) {
      const parts = (rest + decoder.write(block.subarray(0, read))).split('\n');
      rest = parts.pop() ?? '';
      if (rest.length > LONGEST_LINE) throw tooLong();
      yield* parts;
    }
    rest += decoder.end();
    if (rest !== '') yield rest;
  } finally {
    closeSync(file);
  }
}
