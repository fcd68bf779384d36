/** Comparison of one area of files (uploads, avatars, emoji, realm_icons): the same files with the same bytes, and the same records. */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join, relative } from 'node:path';
import { compareValue } from './compare-value.js';
import type { Report, Row } from './compare-value.js';

const RECORDS = 'records.json';

/** Compares two directories of an area; nothing is compared where `expected` does not exist. */
export function compareArea(area: string, expected: string, actual: string, report: Report): void {
  if (!existsSync(expected)) return;
  const [wanted, found] = [filesBelow(expected), filesBelow(actual)];
  for (const path of wanted) {
    if (path === RECORDS) continue;
    if (!found.has(path)) report(`${area}/`, `${path} is missing`);
    else if (!readFileSync(join(expected, path)).equals(readFileSync(join(actual, path)))) report(`${area}/`, `${path} has other bytes`);
  }
  for (const path of found) {
    if (path !== RECORDS && !wanted.has(path)) report(`${area}/`, `${path} should not be there`);
  }
  if (found.has(RECORDS)) compareRecords(`${area}/${RECORDS}`, records(expected), records(actual), report);
  else report(`${area}/${RECORDS}`, 'missing file');
}

function compareRecords(where: string, expected: Map<unknown, Row>, actual: Map<unknown, Row>, report: Report): void {
  for (const [path, wanted] of expected) {
    const found = actual.get(path);
    if (found === undefined) {
      report(where, `${String(path)} is missing`);
      continue;
    }
    for (const key of Object.keys(wanted)) {
      if (key !== 'last_modified') compareValue(where, wanted[key], found[key], report, `${String(path)} ${key}: `);
    }
  }
  for (const path of actual.keys()) if (!expected.has(path)) report(where, `${String(path)} should not be there`);
}

function records(directory: string): Map<unknown, Row> {
  const rows = JSON.parse(readFileSync(join(directory, RECORDS), 'utf8')) as Row[];
  return new Map(rows.map((row) => [row.path, row]));
}

function filesBelow(directory: string): Set<string> {
  if (!existsSync(directory)) return new Set();
  const entries = readdirSync(directory, { recursive: true, withFileTypes: true });
  return new Set(entries.filter((entry) => !entry.isDirectory()).map((entry) => relative(directory, join(entry.parentPath, entry.name))));
}
