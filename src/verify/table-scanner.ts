/**
 * Reads columns of the tables of a file. Which keys of which table are looked at, and how, is said by a {@link TablePlan};
 * everything else is stepped over.
 *
 * Whoever wants rows as they are written reads them with pipe/table-file.ts and cuts them with RowFields. For the few numbers that
 * verify wants of each row that takes more than twice as long: of a usermessage 0.2 µs here with its SHA-256, 0.65 µs there.
 */
import { eachTable } from '../json/each-table.js';
import { ExpectedBytes } from '../json/expected-bytes.js';
import { CLOSE_ARRAY, CLOSE_OBJECT, COLON, COMMA, OPEN_ARRAY, OPEN_OBJECT, QUOTE } from '../json/json-bytes.js';
import type { ByteSource, JsonScanner } from '../json/json-scanner.js';
import { eachElement } from '../json/json-walk.js';
import type { RowOfNumbers } from '../json/row-of-numbers.js';

/** How the value of a key is read. */
export type Reading =
  /** Not at all. */
  | 'skip'
  /** Into `values`: the number, or {@link NULL}; anything else is {@link NOT_A_NUMBER}. */
  | 'number'
  /** Into `texts`: the string, or undefined for anything else. */
  | 'text'
  /** Into `values`: 1 for true, else 0. */
  | 'flag'
  /** Into `values`: 0 for null, false, true, "", {} and [], else 1. */
  | 'filled'
  /** Each number of an array goes to `element`; into `values`: how many, or {@link NOT_A_NUMBER} when it is no array of numbers. */
  | 'numbers';

/** The key is not in the row. */
export const ABSENT = -Infinity;
export const NULL = Infinity;
const NOT_A_NUMBER = NaN;

/** How a table is read. `values` and `texts` are overwritten by each row; `read` may replace them by longer ones. */
export interface TablePlan {
  /** Asked once for each key that a row of the table has. */
  read(key: string): { reading: Reading; slot: number };
  /** One place for each slot. */
  values: Float64Array;
  texts: (string | undefined)[];
  /** After each row. */
  row(): void;
  /** For each element of a key that is read as `numbers`, before `row`. */
  element?(slot: number, value: number): void;
}

/** Counts of one file: rows per table in the order of the file. `''` is the bare array of a records.json. */
export type RowCounts = Map<string, number>;

interface KeyReader {
  /** The bytes before the value in a compact row: `"key":`, and with the comma before it. */
  first: ExpectedBytes;
  further: ExpectedBytes;
  reading: Reading;
  slot: number;
}

/**
 * Reads one file to its end and returns its row counts. `planFor` says how a table is read; undefined: rows are only
 * counted. A value that is not an array counts as many rows as it has characters (as Zulip's stats.json does for
 * `"import_source": "zulip"`), or 0.
 *
 * @throws RealmliftError `JSON_DAMAGED` when the text is not JSON, or not tables of rows.
 */
export function scanTables(scanner: JsonScanner, planFor: (table: string) => TablePlan | undefined): RowCounts {
  const counts: RowCounts = new Map();
  eachTable(scanner, (table) => counts.set(table, scanRows(scanner, planFor(table))), (name, first) => {
    if (first === QUOTE) counts.set(name, scanner.string().length);
    else {
      scanner.skipValue(first);
      counts.set(name, 0);
    }
  });
  return counts;
}

function scanRows(scanner: JsonScanner, plan: TablePlan | undefined): number {
  if (plan === undefined) return eachElement(scanner, (first) => { scanner.skipValue(first); });
  const reader = new RowReader(scanner, plan);
  return eachElement(scanner, (first) => { reader.row(first); });
}

/**
 * Reads texts that each hold rows of one table, with commas between them.
 *
 * @returns how many rows each has
 * @throws RealmliftError `JSON_DAMAGED`
 */
export function scanTexts(scanner: JsonScanner, plan: TablePlan, texts: readonly Buffer[]): number[] {
  const reader = new RowReader(scanner, plan);
  return texts.map((text) => {
    scanner.open(sourceOf(Buffer.concat([Buffer.of(OPEN_ARRAY), text, Buffer.of(CLOSE_ARRAY)])));
    const rows = eachElement(scanner, (first) => { reader.row(first); });
    scanner.finish();
    return rows;
  });
}

function sourceOf(bytes: Buffer): ByteSource {
  let at = 0;
  return (target, offset) => {
    const got = bytes.copy(target, offset, at);
    at += got;
    return got;
  };
}

class RowReader {
  readonly #scanner: JsonScanner;
  readonly #plan: TablePlan;
  readonly #readers = new Map<string, KeyReader>();
  /** The reader of the n-th key of the last row: rows of one table have the same keys in the same order. */
  readonly #order: KeyReader[] = [];
  /** The last row, where it was nothing but natural numbers: the next one is likely to be such a row too. */
  #natural: RowOfNumbers | undefined;

  constructor(scanner: JsonScanner, plan: TablePlan) {
    this.#scanner = scanner;
    this.#plan = plan;
  }

  row(first: number): void {
    const scanner = this.#scanner;
    const { values, texts } = this.#plan;
    if (first !== OPEN_OBJECT) scanner.fail('a row that is no object');
    scanner.take();
    if (this.#natural !== undefined && scanner.takeNumbers(this.#natural, values)) {
      this.#plan.row();
      return;
    }
    for (let i = 0; i < values.length; i++) values[i] = ABSENT;
    for (let i = 0; i < texts.length; i++) texts[i] = undefined;
    let n = 0;
    let natural = true;
    for (;;) {
      // The guess saves looking at brackets, commas, colons and names one by one: half of the time of a short row.
      const guess = this.#order[n];
      if (guess !== undefined && scanner.takeBytes(n === 0 ? guess.first : guess.further)) {
        const value = scanner.next();
        natural &&= value >= 0x30 && value <= 0x39;
        this.#value(guess, value);
        n++;
        continue;
      }
      const c = scanner.next();
      if (c === CLOSE_OBJECT) break;
      natural = false;
      if (n > 0) scanner.expect(COMMA);
      const reader = this.#reader();
      this.#order[n++] = reader;
      scanner.expect(COLON);
      this.#value(reader, scanner.next());
    }
    scanner.take();
    this.#natural = natural ? numbersOf(this.#order.slice(0, n)) : undefined;
    this.#plan.row();
  }

  #reader(): KeyReader {
    if (this.#scanner.next() !== QUOTE) this.#scanner.fail();
    const key = this.#scanner.string();
    let reader = this.#readers.get(key);
    if (reader === undefined) {
      const text = `${JSON.stringify(key)}:`;
      reader = { first: ExpectedBytes.of(text), further: ExpectedBytes.of(`,${text}`), ...this.#plan.read(key) };
      this.#readers.set(key, reader);
    }
    return reader;
  }

  #value({ reading, slot }: KeyReader, first: number): void {
    const scanner = this.#scanner;
    const { values, texts } = this.#plan;
    switch (reading) {
      case 'skip':
        scanner.skipValue(first);
        return;
      case 'number':
        values[slot] = this.#number(first);
        return;
      case 'flag':
        values[slot] = first === 0x74 ? 1 : 0;
        scanner.skipValue(first);
        return;
      case 'filled':
        values[slot] = scanner.skipValue(first) ? 0 : 1;
        return;
      case 'text':
        if (first === QUOTE) texts[slot] = scanner.string();
        else {
          texts[slot] = undefined;
          scanner.skipValue(first);
        }
        return;
      case 'numbers':
        values[slot] = this.#numbers(slot, first);
    }
  }

  #number(first: number): number {
    const isNumber = (first >= 0x30 && first <= 0x39) || first === 0x2d;
    if (isNumber) return this.#scanner.number();
    this.#scanner.skipValue(first);
    return first === 0x6e ? NULL : NOT_A_NUMBER;
  }

  #numbers(slot: number, first: number): number {
    const scanner = this.#scanner;
    if (first !== OPEN_ARRAY) {
      scanner.skipValue(first);
      return NOT_A_NUMBER;
    }
    let count = 0;
    eachElement(scanner, (start) => {
      const value = this.#number(start);
      if (Number.isFinite(value)) {
        this.#plan.element?.(slot, value);
        count++;
      } else count = NOT_A_NUMBER;
    });
    return count;
  }
}

function numbersOf(order: readonly KeyReader[]): RowOfNumbers | undefined {
  if (order.length === 0 || !order.every(({ reading }) => reading === 'number' || reading === 'skip')) return undefined;
  return { members: order.map(({ first, further }, at) => (at === 0 ? first : further)), slots: order.map(({ reading, slot }) => (reading === 'number' ? slot : -1)) };
}
