/** Do two export directories hold the same bytes? */
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { SIDE_FILES } from '../../src/package/side-files.js';

/** What names the run and not the rows. */
const OF_THE_RUN: Readonly<Record<string, RegExp>> = {
  'manifest.json': /"snapshot": \{[^}]*\}|\{"path":"(report\.json)",[^}]*\}|,\s+"base": \{[^}]*\}/g,
  'report.json': /"snapshot": \{[^}]*\}|"resumed": \d+|^ {2}"base": \{[^]*?^ {2}\},\n/gm,
};

/** The paths at which the two differ; the snapshot and the base that manifest and report name do not count. */
export function differingPaths(expected: string, actual: string): string[] {
  const paths = new Set([...files(expected), ...files(actual)]);
  return [...paths].filter((path) => !same(content(expected, path), content(actual, path))).sort();
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
