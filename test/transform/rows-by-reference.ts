/** The slow and obvious way to rows of binary COPY, and from the same values to the export's rows: what the row path is compared with. */
import type { ColumnKind, OutputColumn } from '../../src/transform/output-column.js';

/** A value as the server would print it; null is NULL. */
export type Printed = string | null;

const SIGNATURE = Buffer.from('PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0', 'latin1');
export const TRAILER = Buffer.from([0xff, 0xff]);

/** Microseconds since 1970 of `YYYY-MM-DD HH:MM:SS[.ffffff]+00`. */
function microseconds(text: string): bigint {
  const [, seconds, fraction = ''] = /^(.{19})(?:\.(\d+))?\+00$/.exec(text) as unknown as [string, string, string?];
  return BigInt(Date.parse(`${seconds.replace(' ', 'T')}Z`)) * 1000n + BigInt(fraction.padEnd(6, '0'));
}

export function bigint(value: bigint, length: 2 | 4 | 8 = 8): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(value);
  return bytes.subarray(8 - length);
}

/** `'lexeme':1,2B 'it''s'` as PostgreSQL's tsvectorsend has it. */
function vector(text: string): Buffer {
  const lexemes = [...text.matchAll(/'((?:[^']|'')*)'(?::([\dABC,]+))?(?: |$)/g)].map(([, lexeme = '', positions]) => {
    const each = positions?.split(',').map((position) => bigint(BigInt((' CBA'.indexOf(position.replace(/\d+/, '') || ' ') << 14) + parseInt(position)), 2)) ?? [];
    return Buffer.concat([Buffer.from(`${lexeme.replaceAll("''", "'").replaceAll('\\\\', '\\')}\0`), bigint(BigInt(each.length), 2), ...each]);
  });
  return Buffer.concat([bigint(BigInt(lexemes.length), 4), ...lexemes]);
}

/** Bytes of a field, in the shortest type that holds an integer. */
function fieldBytes(kind: ColumnKind, text: string): Buffer {
  switch (kind) {
    case 'integer': {
      const value = BigInt(text);
      return bigint(value, value === BigInt.asIntN(16, value) ? 2 : value === BigInt.asIntN(32, value) ? 4 : 8);
    }
    case 'boolean': return Buffer.from([text === 't' ? 1 : 0]);
    case 'timestamp': return bigint(microseconds(text) - 946_684_800_000_000n);
    case 'tsvector': return vector(text);
    default: return Buffer.from(text);
  }
}

export function field(bytes: Buffer | null): Buffer {
  const length = Buffer.alloc(4);
  length.writeInt32BE(bytes === null ? -1 : bytes.length);
  return bytes === null ? length : Buffer.concat([length, bytes]);
}

/** One row, whatever its fields are. */
export function rowOf(fields: readonly (Buffer | null)[], count = fields.length): Buffer {
  return Buffer.concat([bigint(BigInt(count), 2), ...fields.map(field)]);
}

/** What the server sends before the first row and behind the last. */
export function copyOf(...rows: readonly Buffer[]): Buffer {
  return Buffer.concat([SIGNATURE, ...rows, TRAILER]);
}

/** Rows as the server sends them. */
export function copied(columns: readonly OutputColumn[], rows: readonly (readonly Printed[])[]): Buffer {
  const all = rows.map((row) => rowOf(row.map((value, index) => (value === null ? null : fieldBytes((columns[index] as OutputColumn).kind, value)))));
  return copyOf(Buffer.concat(all));
}

/** JSON of one value. Not through JSON.parse where a number would lose digits. */
function json(kind: ColumnKind, text: string): string {
  switch (kind) {
    case 'integer': return String(BigInt(text));
    case 'number': return text;
    case 'boolean': return JSON.stringify(text === 't');
    case 'text':
    case 'tsvector': return JSON.stringify(text);
    case 'json': return text;
    case 'integer-array': return `[${text.slice(1, -1)}]`;
    case 'timestamp': {
      const micros = microseconds(text);
      const digits = String(micros < 0n ? -micros : micros).padStart(7, '0');
      return `${micros < 0n ? '-' : ''}${digits.slice(0, -6)}.${digits.slice(-6).replace(/0{1,5}$/, '')}`;
    }
  }
}

/** The rows as the transform writes them: compact objects with commas between them. */
export function rowsByReference(columns: readonly OutputColumn[], rows: readonly (readonly Printed[])[]): string {
  return rows.map((row) => `{${columns.map(({ key, kind }, index) => {
    const value = row[index] as Printed;
    return `${JSON.stringify(key)}:${value === null ? 'null' : json(kind, value)}`;
  }).join(',')}}`).join(',');
}
