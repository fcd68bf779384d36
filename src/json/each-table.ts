/** Walks over a file of an export: an object of tables, each an array of rows, or for records.json one bare array of rows. */
import { OPEN_ARRAY } from './json-bytes.js';
import type { JsonScanner } from './json-scanner.js';
import { eachMember } from './json-walk.js';

/** Name of the only table of a file that is one bare array. */
export const BARE = '';

/**
 * Reads the file that `scanner` has open to its end.
 *
 * @param rows is called where the array of a table begins, and must consume it
 * @param other is called with what stands beside the tables, such as `"import_source": "zulip"`, and its first byte, and must consume it
 * @throws RealmliftError JSON_DAMAGED
 */
export function eachTable(scanner: JsonScanner, rows: (table: string) => void, other: (name: string, first: number) => void): void {
  if (scanner.next() === OPEN_ARRAY) rows(BARE);
  else {
    eachMember(scanner, (name, first) => {
      // Zulip has no table that is called like what every object of JavaScript has (`constructor`), and rules are looked up by name.
      if (name in Object.prototype) scanner.fail(`a table cannot be called ${name}`);
      if (first === OPEN_ARRAY) rows(name);
      else other(name, first);
    });
  }
  scanner.finish();
}
