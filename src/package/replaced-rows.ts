/**
 * Of a messages file that was made of one of an earlier export: which of its rows stand there in place of others. It lies beside the run for verify, which need
 * not believe it: with the old rows put back, the digest of the earlier file must come out.
 */
import { closeSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { RUN_DIRECTORY } from './output-directory.js';
import { createOwn } from './own-path.js';
import { diskError } from './part-file.js';

/** What stands from `at` on, `length` bytes, and what stood there. */
export type ReplacedRow = readonly [at: number, length: number, old: string];

export interface ReplacedRows {
  /** SHA-256 of the earlier file. */
  readonly base: string;
  /** In their order. */
  readonly rows: readonly ReplacedRow[];
}

function pathOf(directory: string, path: string): string {
  return join(directory, RUN_DIRECTORY, 'replaced', path);
}

/** @param directory of the export @param path of the messages file in it @throws RealmliftError as diskError */
export function writeReplacedRows(directory: string, path: string, replaced: ReplacedRows): void {
  const file = pathOf(directory, path);
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    const handle = createOwn(file);
    try {
      writeFileSync(handle, JSON.stringify(replaced));
    } finally {
      closeSync(handle);
    }
  } catch (error) {
    throw diskError(error, file);
  }
}

/** @returns undefined where it is not there, or not whole */
export function readReplacedRows(directory: string, path: string): ReplacedRows | undefined {
  try {
    const { base, rows } = JSON.parse(readFileSync(pathOf(directory, path), 'utf8')) as ReplacedRows;
    let end = 0;
    for (const [at, length, old] of rows) {
      if (!Number.isSafeInteger(at) || at < end || !Number.isSafeInteger(at + length) || length < 0 || typeof old !== 'string') return undefined;
      end = at + length;
    }
    return { base, rows };
  } catch {
    return undefined;
  }
}
