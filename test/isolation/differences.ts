/** How rows differ from those expected, where an expected regular expression stands for a random value. */
import { isDeepStrictEqual } from 'node:util';
import type { Row, Tables } from './server-rows.js';

/** One line a difference; none when both hold the same rows in the same order. */
export function differences(expected: Tables, actual: Tables): string[] {
  const lines: string[] = [];
  for (const table of new Set([...Object.keys(expected), ...Object.keys(actual)])) {
    const [wanted, found] = [expected[table], actual[table]];
    if (wanted === undefined) lines.push(`${table} should not be there`);
    else if (found === undefined) lines.push(`${table} is missing`);
    else lines.push(...rowDifferences(table, wanted, found));
  }
  return lines;
}

function rowDifferences(table: string, expected: readonly Row[], actual: readonly Row[]): string[] {
  const lines: string[] = [];
  const found = new Map(actual.map((row) => [row.id, row]));
  if (found.size !== actual.length) lines.push(`${table}: an id occurs twice`);
  for (const row of expected) {
    const other = found.get(row.id);
    found.delete(row.id);
    if (other === undefined) lines.push(`${table}: row ${String(row.id)} is missing`);
    else {
      for (const key of new Set([...Object.keys(row), ...Object.keys(other)])) {
        if (!same(row[key], other[key])) lines.push(`${table}.${key}: row ${String(row.id)}: expected ${show(row[key])}, got ${show(other[key])}`);
      }
    }
  }
  for (const id of found.keys()) lines.push(`${table}: row ${String(id)} should not be there`);
  if (lines.length === 0 && !isDeepStrictEqual(expected.map((row) => row.id), actual.map((row) => row.id))) lines.push(`${table}: rows are not sorted by id`);
  return lines;
}

function same(expected: unknown, actual: unknown): boolean {
  return expected instanceof RegExp ? typeof actual === 'string' && expected.test(actual) : isDeepStrictEqual(expected, actual);
}

function show(value: unknown): string {
  return value instanceof RegExp ? String(value) : (JSON.stringify(value) ?? 'absent');
}
