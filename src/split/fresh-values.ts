/** What takes the place of a column that is secret, in the rows of a split: nothing, or something fresh where the column must hold something. */
import { RealmliftError } from '../errors.js';
import type { ExportPlan } from '../plan/plan-export.js';
import type { SplitColumn } from './split-columns.js';

/** What an export leaves out because the new server makes it, and nobody's secret. */
const HARMLESS = new Set(['search_tsvector']);

/** Secrets, and what identifies a user to other servers. */
export function isSecret({ compiled }: ExportPlan, table: string, column: string): boolean {
  return compiled.secrets.get(table)?.has(column) === true && !HARMLESS.has(column);
}

/**
 * In SQL, of the column's type.
 *
 * @param seed the run's secret: a value is a digest of it and of the row's key, which PostgreSQL 12 can make too
 * @param key the row's key, in SQL
 * @throws RealmliftError SECRET_UNFILLED
 */
export function freshValue(table: string, { name, type, length, nullable }: SplitColumn, seed: string, key: string): string {
  const random = `encode(sha256(convert_to('${seed} ${table}.${name.replaceAll("'", "''")} ' || ${key}::text, 'UTF8')), 'hex')`;
  // Django's own mark of a password that nobody has.
  if (name === 'password') return `'!' || left(${random}, 40)`;
  if (type === 'uuid') return nullable ? 'NULL' : `left(${random}, 32)::uuid`;
  if (nullable) return 'NULL';
  if (name === 'value') return `''`;
  if (type === 'text' || type === 'varchar') return `left(${random}, ${Math.min(length ?? 32, 32)})`;
  if (type === 'jsonb') return `'{}'::jsonb`;
  throw new RealmliftError('SECRET_UNFILLED', 'plan', `${table}.${name} is a secret, must not be empty, and nothing is known to put in its place`, { table });
}

/** What a row holds in a column that the rules of its mode keep back and that must not be empty. */
export function neutralValue(table: string, column: SplitColumn, seed: string, key: string): string {
  if (column.nullable) return 'NULL';
  switch (column.type) {
    case 'bool': return 'false';
    case 'int2': case 'int4': case 'int8': case 'float8': case 'numeric': return '0';
    case 'jsonb': return `'{}'::jsonb`;
    case 'timestamptz': return `'1970-01-01T00:00:00Z'::timestamptz`;
    default: return freshValue(table, column, seed, key);
  }
}
