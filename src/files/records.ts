/**
 * records.json of one area: what the import reads to place the files. One array, sorted by path, written as the files
 * become whole, so that a million records are never held in memory.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { PartFile } from '../package/part-file.js';
import type { Area } from './wanted-files.js';

export type FileRecord = Readonly<Record<string, string | number | boolean | null>>;

/** By the bytes of their UTF-8, which is the order of Python's strings, of PostgreSQL's "C" and of S3's listings. */
export function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

/**
 * Writes `directory/area/records.json`, one record a line, in the order in which they come.
 *
 * @returns how many there were
 */
export async function writeRecords(directory: string, area: Area, records: AsyncIterable<FileRecord>): Promise<number> {
  await mkdir(join(directory, area), { recursive: true });
  const file = new PartFile(join(directory, area, 'records.json'));
  let count = 0;
  try {
    file.writeText('[');
    for await (const record of records) {
      file.writeText(`${count === 0 ? '\n' : ',\n'}${JSON.stringify(record)}`);
      count += 1;
    }
    file.writeText(count === 0 ? ']\n' : '\n]\n');
    await file.finish();
    return count;
  } catch (error) {
    file.abandon();
    throw error;
  }
}
