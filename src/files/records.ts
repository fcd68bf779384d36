/**
 * records.json of one area: what the import reads to place the files. One array, sorted by path, written as the files
 * become whole, so that a million records are never held in memory.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { PartFile } from '../package/part-file.js';
import { AREAS, recordsOf, type Area } from '../package/export-files.js';
import type { WantedFiles } from './wanted-files.js';

export type FileRecord = Readonly<Record<string, string | number | boolean | null>>;

/** By the bytes of their UTF-8, which is the order of Python's strings, of PostgreSQL's "C" and of S3's listings. */
export function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

/** The fields of a record that say whose file it is. */
export function ownerRecord({ rules, emailOf }: WantedFiles, userId: number): FileRecord {
  return { user_profile_id: userId, ...(rules.ownerAddresses ? { user_profile_email: emailOf(userId) ?? null } : {}) };
}

/** Those of all areas, which the files stage writes at the end of each. */
export const RECORDS: ReadonlySet<string> = new Set(AREAS.map(recordsOf));

/** An area's records.json while it is being written, one record a line. */
export class RecordsFile {
  readonly #file: PartFile;
  #count = 0;

  /** @param directory the export's, in which the area's own must exist @throws RealmliftError as {@link diskError} */
  constructor(directory: string, area: Area) {
    this.#file = new PartFile(join(directory, recordsOf(area)));
  }

  /** @param record the bytes of a JSON object */
  write(record: Uint8Array): void {
    this.#file.writeText(this.#count === 0 ? '[\n' : ',\n');
    this.#file.write(record);
    this.#count += 1;
  }

  /** Closes it. @param flushed see PartFile.finish @returns how many records it holds */
  async finish(flushed = true): Promise<number> {
    this.#file.writeText(this.#count === 0 ? '[]\n' : '\n]\n');
    await this.#file.finish(flushed);
    return this.#count;
  }

  /** Closes the file as it is, unless it is finished; what it holds is worthless. */
  abandon(): void {
    this.#file.abandon();
  }
}

/**
 * Writes an area's records.json in the order in which the records come.
 *
 * @returns how many there were; they are not flushed yet
 */
export async function writeRecords(directory: string, area: Area, records: AsyncIterable<FileRecord>): Promise<number> {
  mkdirSync(join(directory, area), { recursive: true, mode: 0o700 });
  const file = new RecordsFile(directory, area);
  try {
    for await (const record of records) file.write(Buffer.from(JSON.stringify(record)));
    return await file.finish(false);
  } finally {
    file.abandon();
  }
}
