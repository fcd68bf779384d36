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
  return [...paths].filter((path) => content(expected, path) !== content(actual, path)).sort();
}

function files(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory()).map((entry) => join(entry.parentPath, entry.name).slice(directory.length + 1))
    .filter((path) => !SIDE_FILES.has(path));
}

function content(directory: string, path: string): string | undefined {
  try {
    const text = readFileSync(join(directory, path), 'latin1');
    return OF_THE_RUN[path] === undefined ? text : text.replace(OF_THE_RUN[path], '');
  } catch {
    return undefined;
  }
}
