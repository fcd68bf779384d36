/**
 * Values that the columns of the new server do not take: a damaged or edited export may hold a number where a text should be, one beyond
 * its column, or a text that is too long, and the import would stop there, half-way.
 */
import type pg from 'pg';
import { BACKSLASH, OPEN_ARRAY, OPEN_OBJECT, QUOTE } from '../json/json-bytes.js';
import { parsed } from '../json/parsed.js';
import { integerIn, type RowFields } from '../json/row-fields.js';
import { eachRow } from '../pipe/each-row.js';
import type { TableFile } from '../pipe/table-file.js';
import { keyOf } from '../plan/plan-tables.js';
import type { Registry } from '../plan/views/registry.js';
import type { TargetServer } from '../remap/target-server.js';
import { FaultyRows } from './row-faults.js';

/** Exported, and not imported. */
export const STAYS: ReadonlySet<string> = new Set(['zerver_analytics', 'zerver_realmexport', 'zerver_userprofile_crossrealm']);

/** What is wrong with the value that stands there; undefined when nothing is. */
type Look = (row: Buffer, start: number, end: number) => string | undefined;

interface Column {
  readonly key: string;
  readonly nullable: boolean;
  readonly look: Look;
}

interface Plan {
  /** In the order of the first row; undefined for keys without a column. */
  readonly columns: readonly (Column | undefined)[];
  readonly keys: readonly string[];
  /** Some may hold a text, by their type. */
  readonly texts: boolean;
}

interface Limits {
  /** Characters of a text. */
  readonly length: number | null;
  /** None below 0. */
  readonly natural: boolean;
}

const NO_LIMITS: Limits = { length: null, natural: false };

/** OIDs of bool, int8, int2 and int4. src/include/catalog/pg_type.dat */
const [BOOLEAN, BIGINT, SMALLINT, INTEGER] = [16, 20, 21, 23];
const WITHOUT_TEXT: ReadonlySet<number> = new Set([BOOLEAN, BIGINT, SMALLINT, INTEGER]);
const ESCAPE = Buffer.from('\\u');

/** Tells what is wrong with rows of one table or several, each under what it is. */
export class RowValues {
  readonly #target: TargetServer;
  readonly #registry: Registry;
  readonly #limits: ReadonlyMap<string, Limits>;
  readonly #plans = new Map<string, Plan>();
  /** By `table what`. */
  readonly #faults = new Map<string, { readonly table: string; readonly what: string; readonly rows: FaultyRows }>();

  private constructor(target: TargetServer, registry: Registry, limits: ReadonlyMap<string, Limits>) {
    [this.#target, this.#registry, this.#limits] = [target, registry, limits];
  }

  /** @param client of the new server, see withTarget */
  static async create(client: pg.Client, target: TargetServer, registry: Registry): Promise<RowValues> {
    // The modifier of a varchar is its length and four (src/backend/utils/adt/varchar.c); a PositiveIntegerField of Django has this one constraint.
    const { rows } = await client.query<Limits & { column: string }>(`
      SELECT c.relname || '.' || a.attname AS column, CASE WHEN a.atttypid IN ('varchar'::regtype, 'bpchar'::regtype) AND a.atttypmod > 4 THEN a.atttypmod - 4 END AS length,
             EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'c' AND k.conkey = ARRAY[a.attnum] AND pg_get_constraintdef(k.oid) = format('CHECK ((%I >= 0))', a.attname)) AS natural
      FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE n.nspname = $1 AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped`, [target.schema]);
    return new RowValues(target, registry, new Map(rows.map(({ column, ...limits }) => [column, limits])));
  }

  /** @param also gets each row too, which is split once for both */
  look(file: TableFile, also?: (table: string, fields: RowFields) => void): void {
    for (const table of file.tables) if (!STAYS.has(table)) this.#table(file, table, also);
  }

  /** One line; undefined when there is no fault. */
  get fault(): string | undefined {
    const [first, ...more] = [...this.#faults.values()];
    return first === undefined ? undefined : `${first.rows.told(first.table, first.what) as string}${more.length === 0 ? '' : `; ${more.length} more of the kind`}`;
  }

  #table(file: TableFile, table: string, also?: (table: string, fields: RowFields) => void): void {
    let number = 0;
    for (const fields of eachRow([file], table)) {
      number++;
      also?.(table, fields);
      let plan = this.#plans.get(table);
      if (plan === undefined) this.#plans.set(table, plan = this.#planOf(table, fields));
      const what = faultOf(plan, fields);
      if (what === undefined) continue;
      const id = fields.integerOf('id');
      this.#add(table, what, Number.isNaN(id) ? `(row ${number} of ${file.name})` : id);
    }
  }

  #add(table: string, what: string, row: number | string): void {
    const key = `${table} ${what}`;
    let fault = this.#faults.get(key);
    if (fault === undefined) this.#faults.set(key, fault = { table, what, rows: new FaultyRows() });
    fault.rows.add(row);
  }

  /** @param first row of the table */
  #planOf(name: string, first: RowFields): Plan {
    const { catalog } = this.#target;
    const view = this.#registry.tables.get(name);
    const table = view?.table ?? name;
    const live = new Map([...catalog.get(table)?.columns.values() ?? []].map((column) => [view === undefined ? column.name : keyOf(column.name, { view }, this.#registry, catalog), column]));
    const keys = Array.from({ length: first.count }, (_, field) => first.key(field));
    const columns = keys.map((key): Column | undefined => {
      const column = live.get(key);
      return column === undefined ? undefined : { key, nullable: column.nullable, look: lookAt(key, column.type, this.#limits.get(`${table}.${column.name}`) ?? NO_LIMITS) };
    });
    return { columns, keys, texts: keys.some((key) => !WITHOUT_TEXT.has(live.get(key)?.type ?? INTEGER)) };
  }
}

function faultOf({ columns, keys, texts }: Plan, fields: RowFields): string | undefined {
  const { count, row } = fields;
  const escaped = texts && row.includes(ESCAPE);
  let ordered = count === keys.length;
  for (let field = 0; field < count; field++) {
    const key = fields.key(field);
    let place = field;
    if (key !== keys[field]) [ordered, place] = [false, keys.indexOf(key)];
    // A loader takes the keys of a table from its first row.
    if (place === -1) return `it has the key ${key}, which the first row of the table has not`;
    const column = columns[place];
    if (column === undefined) continue;
    const [start, end] = [fields.start(field), fields.end(field)];
    const fault = isNull(row, start) ? (column.nullable ? undefined : 'is null and may not be') : column.look(row, start, end) ?? (escaped && isUnstorable(row, start, end) ? 'holds a character that PostgreSQL cannot store (U+0000 or half a surrogate pair)' : undefined);
    if (fault !== undefined) return `its ${key} ${fault}`;
  }
  return ordered ? undefined : otherKeys(columns, fields);
}

/** A row whose keys are not those of the first, or not in their order. */
function otherKeys(columns: readonly (Column | undefined)[], fields: RowFields): string | undefined {
  const there = new Set(Array.from({ length: fields.count }, (_, field) => fields.key(field)));
  if (there.size < fields.count) return 'it has a key twice';
  const lacking = columns.find((column) => column !== undefined && !column.nullable && !there.has(column.key));
  return lacking === undefined ? undefined : `its ${lacking.key} is missing`;
}

const isNull = (row: Buffer, start: number): boolean => row[start] === 0x6e;

/** @param type pg_type's OID, as src/include/catalog/pg_type.dat has it; a type that is not among them is asked for nothing. */
function lookAt(key: string, type: number, { length, natural }: Limits): Look {
  switch (type) {
    case BOOLEAN:
      return (row, start) => (row[start] === 0x74 || row[start] === 0x66 ? undefined : 'is neither true nor false');
    case BIGINT:
      // Before Zulip 7 the methods of logging in are bits in the database, and a list in the export.
      return key === 'authentication_methods' ? () => undefined : wholeNumber(9_223_372_036_854_775_807n, natural);
    case SMALLINT:
      return wholeNumber(32_767n, natural);
    case INTEGER:
      return wholeNumber(2_147_483_647n, natural);
    case 700: case 701: case 1700:
      return (row, start) => (isNumber(row[start] as number) ? undefined : 'is no number');
    case 25: case 1042: case 1043:
      return textOf(length);
    case 1082: case 1114: case 1184:
      return moment;
    case 2950:
      return matching(/^"[\da-f]{8}(-?[\da-f]{4}){3}-?[\da-f]{12}"$/i, 'is no UUID');
    case 1005: case 1007: case 1016:
      return matching(/^\[(\s*(-?\d+|null)\s*(,|(?=\])))*\]$/, 'is no list of whole numbers');
    case 3614:
      return matching(LEXEMES, 'is no tsvector');
    default:
      return () => undefined;
  }
}

/** A tsvector as the server prints it, in JSON: lexemes in quotes, in which quotes and backslashes are doubled, and the places of each. src/backend/utils/adt/tsvector.c */
const LEXEMES = /^"(?:'(?:[^'\\]|''|\\{4}|\\[^\\])[^'\\]*(?:(?:''|\\{4}|\\[^\\])[^'\\]*)*'(?::[1-9]\d*[ABC]?(?:,[1-9]\d*[ABC]?)*)?(?: (?=')|(?="$)))*"$/;

/** @param natural none below 0 */
function wholeNumber(highest: bigint, natural: boolean): Look {
  const lowest = natural ? 0n : -highest - 1n;
  const limit = Number(highest);
  return (row, start, end) => {
    const value = integerIn(row, start, end);
    // Nearly all are such: what a double does not hold exactly is NaN.
    if (value >= 0 && value <= limit) return undefined;
    const text = row.toString('latin1', start, end);
    if (!/^-?\d+$/.test(text)) return isNumber(row[start] as number) ? 'is not written as a whole number' : 'is no number';
    const exact = BigInt(text);
    return exact > highest ? `is beyond ${highest}, where its column ends` : exact < lowest ? `is below ${lowest}, where its column begins` : undefined;
  };
}

/** @param limit in characters; null: of any length */
function textOf(limit: number | null): Look {
  const length = limit ?? Infinity;
  return (row, start, end) => {
    const first = row[start];
    if (first === OPEN_ARRAY || first === OPEN_OBJECT) return 'is no text';
    if (end - start <= length || first !== QUOTE) return undefined;
    return [...JSON.parse(row.toString('utf8', start, end)) as string].length > length ? `is longer than ${length} characters` : undefined;
  };
}

/** The years that Python has, 1 to 9999, in seconds since the epoch. */
const [FIRST, LAST] = [-62_135_596_800, 253_402_300_800];

/** Seconds since the epoch, or in the few columns that exports write as text, its date. */
function moment(row: Buffer, start: number, end: number): string | undefined {
  const value = parsed(row.toString('utf8', start, end));
  return (typeof value === 'number' ? value >= FIRST && value < LAST : isDate(value)) ? undefined : 'is no moment';
}

/** @param value ISO 8601, of which JavaScript takes the 31st of February too */
function isDate(value: unknown): boolean {
  if (typeof value !== 'string' || !/^\d{4}-\d\d-\d\d/.test(value) || Number.isNaN(Date.parse(value))) return false;
  const day = value.slice(0, 10);
  return new Date(`${day}T00:00Z`).toISOString().startsWith(day);
}

function matching(pattern: RegExp, what: string): Look {
  return (row, start, end) => (pattern.test(row.toString('utf8', start, end)) ? undefined : what);
}

const isNumber = (byte: number): boolean => byte === 0x2d || (byte >= 0x30 && byte <= 0x39);

/** Does it hold an escape of what is no character of PostgreSQL's texts? https://www.postgresql.org/docs/current/datatype-json.html */
function isUnstorable(row: Buffer, start: number, end: number): boolean {
  let expected = false;
  for (let at = row.indexOf(BACKSLASH, start); at !== -1 && at < end; at = row.indexOf(BACKSLASH, at)) {
    if (row[at + 1] !== 0x75) {
      at += 2;
      continue;
    }
    const unit = Number.parseInt(row.toString('latin1', at + 2, at + 6), 16);
    at += 6;
    const low = unit >= 0xdc00 && unit < 0xe000;
    if (unit === 0 || low !== expected) return true;
    expected = unit >= 0xd800 && unit < 0xdc00;
    // Its other half must follow at once.
    if (expected && (row[at] !== BACKSLASH || row[at + 1] !== 0x75)) return true;
  }
  return expected;
}
