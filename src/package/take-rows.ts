/** The rows of a table, out of a file of an earlier export that holds several tables. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { PartFile, type FinishedFile } from './part-file.js';

/** Bytes read at once. */
const BLOCK = 1 << 20;

/**
 * Copies them to a part, which is not flushed: it goes into a file of the export that is.
 *
 * @param from a compact file, see assemble @param key of the table in it @param to is replaced by the rows with their brackets
 * @returns whether they are what was finished then; else what lies at `to` is worthless
 * @throws RealmliftError as diskError, the file system's own error
 */
export async function takeRows(from: string, key: string, to: string, finished: FinishedFile): Promise<boolean> {
  const file = new PartFile(to);
  try {
    for await (const bytes of rowsOf(from, key, finished.size)) file.write(bytes);
    // Another member of this name, deep in a value, is not what was finished.
    return (await file.finish(false)).sha256 === finished.sha256;
  } finally {
    file.abandon();
  }
}

/** Writes them without their last bracket, for more to come behind them. @returns as takeRows @throws as takeRows */
export async function beginWithRows(file: PartFile, from: string, key: string, { size, sha256 }: FinishedFile): Promise<boolean> {
  const hash = createHash('sha256');
  let left = size - 1;
  for await (const bytes of rowsOf(from, key, size)) {
    hash.update(bytes);
    file.write(bytes.subarray(0, left));
    left = Math.max(0, left - bytes.length);
  }
  return hash.digest('hex') === sha256;
}

/** @param size bytes of the rows with their brackets */
async function* rowsOf(from: string, key: string, size: number): AsyncGenerator<Buffer> {
  const mark = Buffer.from(`${JSON.stringify(key)}:[`);
  let before: Buffer | undefined = Buffer.alloc(0);
  let left = size;
  for await (const chunk of createReadStream(from, { highWaterMark: BLOCK }) as AsyncIterable<Buffer>) {
    let bytes = chunk;
    if (before !== undefined) {
      bytes = Buffer.concat([before, chunk]);
      const at = bytes.indexOf(mark);
      before = at === -1 ? bytes.subarray(1 - mark.length) : undefined;
      if (at === -1) continue;
      bytes = bytes.subarray(at + mark.length - 1);
    }
    yield bytes.subarray(0, left);
    left -= bytes.length;
    if (left <= 0) break;
  }
}
