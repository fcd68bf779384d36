/** Do two export directories hold the same bytes? */
import { createHash } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { parseLine } from '../../src/package/journal-lines.js';
import { CATCH_UP, SIDE_FILES } from '../../src/package/side-files.js';
import type { CheckedFile } from '../../src/verify/checked-files.js';

/** What names the run and not the rows. */
const OF_THE_RUN: Readonly<Record<string, RegExp>> = {
  'manifest.json': /"snapshot": \{[^}]*\}|\{"path":"(report\.json)",[^}]*\}|,\s+"base": \{[^}]*\}/g,
  'report.json': /"snapshot": \{[^}]*\}|"resumed": \d+|"verified": \{[^}]*\}|^ {2}"base": \{[^]*?^ {2}\},\n/gm,
};

/** The paths at which the two differ; the snapshot and the base that manifest and report name do not count. */
export function differingPaths(expected: string, actual: string): string[] {
  const paths = new Set([...files(expected), ...files(actual)]);
  return [...paths].filter((path) => !same(content(expected, path), content(actual, path))).sort();
}

/** The messages files of which verify remembers something else; each must be known. */
export function differingChecks(expected: string, actual: string): string[] {
  const [known, found] = [checks(expected), checks(actual)];
  const paths = files(expected).filter((path) => path.startsWith('messages-'));
  return paths.filter((path) => {
    const sha256 = createHash('sha256').update(readFileSync(join(expected, path))).digest('hex');
    return known.get(sha256) === undefined || !isDeepStrictEqual(known.get(sha256), found.get(sha256));
  }).map((path) => `verify of ${path}`);
}

/** By digest. */
function checks(directory: string): Map<string, CheckedFile> {
  const lines = readFileSync(join(directory, CATCH_UP), 'utf8').split('\n').map((line) => parseLine<CheckedFile & { kind: string }>(line));
  return new Map(lines.flatMap((line) => (line?.kind === 'checked' ? [[line.sha256, line]] : [])));
}

function files(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory()).map((entry) => join(entry.parentPath, entry.name).slice(directory.length + 1))
    .filter((path) => !SIDE_FILES.has(path));
}

function same(one: Buffer | undefined, other: Buffer | undefined): boolean {
  return one !== undefined && other !== undefined && one.equals(other);
}

function content(directory: string, path: string): Buffer | undefined {
  try {
    const bytes = readFileSync(join(directory, path));
    return OF_THE_RUN[path] === undefined ? bytes : Buffer.from(bytes.toString('latin1').replace(OF_THE_RUN[path], ''), 'latin1');
  } catch {
    return undefined;
  }
}
