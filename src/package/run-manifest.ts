/** OUT/manifest.json of a run of several exports: which they are, out of which snapshot, and what became of each. */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { MANIFEST } from './manifest.js';
import { inTheWay } from './output-directory.js';
import { requireOwn, writeOwn } from './own-path.js';
import { diskError } from './part-file.js';
import { REPORT_PAGE } from './side-files.js';

/** Its name beside the exports. */
export const RUN_MANIFEST = 'manifest.json';

export interface RunEntry {
  /** E.g. `acme`, or `acme/user@example.com`. */
  readonly target: string;
  /** Directory of the finished export below OUT; null for one that failed. */
  readonly directory: string | null;
  /** Rows of all its tables. */
  readonly rows: number | null;
  /** Code of the error that ended it. */
  readonly error: string | null;
  /** Of an export that an earlier run finished: its own. */
  readonly snapshot?: { readonly taken_at: string; readonly id: string } | undefined;
}

/** An entry as it is written. */
export type BoundEntry = RunEntry & { /** Of the export's own manifest.json. */ readonly manifest_sha256: string | null };

/** Finds out before a realm is exported whether the files beside the exports can be written. @throws RealmliftError OUTPUT_UNSAFE, OUTPUT_EXISTS */
export function tryRunFiles(output: string): void {
  for (const name of [RUN_MANIFEST, REPORT_PAGE]) {
    const path = join(output, name);
    if (requireOwn(path)?.isDirectory() === true) throw inTheWay(path, 'a directory');
  }
}

/** Each finished export is bound by the SHA-256 of its own manifest.json. @returns the path */
export function writeRunManifest(output: string, snapshot: { readonly id: string; readonly takenAt: string }, realmlift: string, entries: readonly RunEntry[]): string {
  const path = join(output, RUN_MANIFEST);
  try {
    const exports = entries.map((entry): BoundEntry => ({
      ...entry,
      manifest_sha256: entry.directory === null ? null : createHash('sha256').update(readFileSync(join(output, entry.directory, MANIFEST))).digest('hex'),
    }));
    writeOwn(path, `${JSON.stringify({ format: 1, realmlift, snapshot: { taken_at: snapshot.takenAt, id: snapshot.id }, exports }, null, 2)}\n`);
    return path;
  } catch (error) {
    throw diskError(error, path);
  }
}

/** The entries that an earlier run wrote; none where there is no such file, or nobody can read it. */
export function readRunManifest(output: string): readonly BoundEntry[] {
  const path = join(output, RUN_MANIFEST);
  return existsSync(path) ? entriesOf(() => readFileSync(path, 'utf8')) : [];
}

/** The same of one that lies elsewhere. */
export function parseRunManifest(text: string): readonly BoundEntry[] {
  return entriesOf(() => text);
}

function entriesOf(read: () => string): readonly BoundEntry[] {
  try {
    const { format, exports } = JSON.parse(read()) as { readonly format: number; readonly exports: readonly BoundEntry[] };
    return format === 1 ? [...exports] : [];
  } catch {
    return [];
  }
}
